//! Two simulated hosts, and strangers who come by.
//!
//! All chance but the keys of TLS follows from a seed. Seeds are printed, the last is the one that failed: it replays, step
//! for step, when [`SEEDS`] is that one alone; print [`Sim::trace`] to see them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use proxy_herd::driver::sim::{HostId, Sim, Weather};
use proxy_herd::event_loop::{Listen, ServerSecurity};

use crate::certificates::Authority;
use crate::protocols::{Chaos, Door, Entrance, NAME, On, address};

/// What is played.
const SEEDS: Range<u64> = 0..40;

fn host(sim: &mut Sim<Chaos>, name: &str, seed: u64, authority: &Rc<Authority>) -> HostId {
    let doors = (1..5).map(|port| address(port).into()).collect();
    sim.add_host(name, Chaos::new(seed, authority, doors))
}

/// A server, a client and some strangers; what was called.
fn play(seed: u64, authority: &Rc<Authority>) -> BTreeSet<On> {
    let mut sim = Sim::new(seed, if seed.is_multiple_of(2) { Weather::rough() } else { Weather::default() });
    let (server, client) = (host(&mut sim, "Server", seed, authority), host(&mut sim, "Client", seed + 1, authority));
    sim.enter(server, |event_loop, chaos| {
        for port in 1..4 {
            let security = if port == 1 { ServerSecurity::Plain } else { authority.server(NAME) };
            let listen = Listen::on(address(port)).security(security).max_connections(3);
            chaos.listeners.insert(port.into(), Entrance::Begun);
            chaos.open.push(event_loop.listen_with(listen, Door(port.into())));
        }
        event_loop.set_exception_handler(|event_loop, chaos, _| chaos.act(event_loop, None));
    });
    sim.enter(client, |event_loop, chaos| {
        for _ in 0..20 {
            chaos.begin(event_loop);
        }
    });
    for round in 0..20 {
        let stranger = sim.connect(address(1 + round % 3));
        sim.send(stranger, &[7; 300]);
        if round % 3 == 0 {
            sim.half_close(stranger);
        }
        if round == 7 {
            sim.out_of_descriptors(server);
        }
        if round == 9 {
            sim.descriptors_again(server);
        }
        sim.run_for(Duration::from_millis(50));
    }
    // The end: nobody begins anything any more, and everything is over.
    for host in [server, client] {
        sim.enter(host, |event_loop, chaos| {
            chaos.energy = 0;
            for listener in chaos.open.iter().chain(&chaos.others) {
                event_loop.shut_down(*listener, Duration::from_millis(100));
            }
        });
    }
    sim.run_for(Duration::from_secs(20));
    // Who still waited at a door of the client's is let in, and has to go, too.
    for _ in 0..20 {
        for host in [server, client] {
            sim.enter(host, |event_loop, chaos| {
                for id in chaos.connections.keys().copied().collect::<Vec<_>>() {
                    if let Some(mut transport) = event_loop.transport(id) {
                        transport.abort();
                    }
                }
            });
        }
        sim.run_for(Duration::from_secs(1));
    }
    for host in [server, client] {
        let chaos = sim.state(host);
        assert_eq!(chaos.violations, Vec::<String>::new());
        assert!(chaos.connections.is_empty(), "{:?}", chaos.connections);
        assert_eq!(chaos.gone.len(), chaos.begun);
        assert!(chaos.listeners.values().all(|listener| *listener == Entrance::Gone), "{:?}", chaos.listeners);
    }
    [server, client].iter().flat_map(|host| &sim.state(*host).calls).copied().collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that fails shows its seed")]
fn whatever_protocols_do_they_are_called_by_the_grammar() {
    let authority = Rc::new(Authority::new());
    let mut calls = BTreeSet::new();
    for seed in SEEDS {
        println!("seed {seed}");
        calls.extend(play(seed, &authority));
    }
    assert_eq!(calls.len(), 8, "not everything has happened: {calls:?}");
}
