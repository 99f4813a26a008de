//! An echo in a thousand networks, none of them real: `cargo run --release --example echo_simulated [-- SEED]`.
//!
//! For each seed there are other delays and other splits, and a cut at another moment, after which the client begins anew. Whatever
//! happens, what it has heard in the end is what it said. With a seed as the argument it shows all that happened, and the
//! same each time.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proxy_herd::driver::sim::{Sim, Weather};
use proxy_herd::event_loop::{Loop, Lost, Protocol, Security, ServerSecurity, Transport};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(seed) = std::env::args().nth(1) {
        let (sim, _) = converse(seed.parse()?);
        print!("{}", sim.trace());
        return Ok(());
    }
    let begun = Instant::now();
    let simulated: Duration = (0..1_000).map(|seed| converse(seed).1).sum();
    println!("1000 conversations that took {simulated:.0?} together, in {:.1?}", begun.elapsed());
    Ok(())
}

/// A conversation from its beginning to its end, and how long it took.
fn converse(seed: u64) -> (Sim<Heard>, Duration) {
    let mut sim = Sim::new(seed, Weather::rough());
    let [server, client] = ["server", "client"].map(|name| sim.add_host(name, Heard::new()));
    let begun = sim.now();
    sim.enter(server, |event_loop, _| event_loop.listen(address(), ServerSecurity::Plain, |_: &mut Heard| Echo));
    sim.enter(client, |event_loop, _| event_loop.connect(address(), Security::Plain, Caller));

    sim.run_for(Duration::from_millis(seed % 200));
    sim.cut(server, client);
    sim.run_for(Duration::from_secs(1));
    sim.heal(server, client);
    sim.run_until(Duration::from_secs(60), |sim| sim.state(client).len() == message().len());
    assert!(*sim.state(client) == message(), "seed {seed}:\n{}", sim.trace());
    let took = sim.now() - begun;
    (sim, took)
}

/// What the client has heard: the state that its callbacks are lent.
type Heard = Vec<u8>;

/// Sends back what comes.
struct Echo;

impl Protocol<Heard> for Echo {
    fn data_received(&mut self, transport: &mut Transport<'_, Heard>, _: &mut Heard, data: &[u8]) {
        transport.write(data);
    }
}

/// Says it all, and all again whenever it was interrupted.
struct Caller;

impl Protocol<Heard> for Caller {
    fn connection_made(&mut self, transport: &mut Transport<'_, Heard>, heard: &mut Heard) {
        heard.clear();
        transport.write(&message());
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Heard>, heard: &mut Heard, data: &[u8]) {
        heard.extend_from_slice(data);
        if heard.len() == message().len() {
            transport.close();
        }
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Heard>, _: &mut Heard, lost: Lost) {
        if lost.why.is_some() {
            event_loop.connect(address(), Security::Plain, Self);
        }
    }
}

fn message() -> Heard {
    (0..10_000_u32).map(|index| (index % 251) as u8).collect()
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7))
}
