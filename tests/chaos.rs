//! Protocols that do anything at any time: whatever they do, they are called by the grammar, and everything ends.
//!
//! Two simulated hosts full of them, and strangers who come by. What must hold, whoever does what to whom:
//!
//! - a protocol is called in the order of the grammar, never while its connection is closing, not with data while it has
//!   paused reading or TLS is being started, and never after `connection_lost`;
//! - a factory is told once how its listening began, asked for protocols only while it lasts, and told once how it ended;
//! - a panic, in any callback, is nobody else's business;
//! - nothing that comes through TLS was made up on the way;
//! - once nobody begins anything any more, every connection is lost, once, and every listener gone.
//!
//! All chance but the keys of TLS follows from a seed. Seeds are printed, the last is the one that failed: it replays, step
//! for step, when [`SEEDS`] is that one alone; print [`Sim::trace`] to see them.

#[allow(dead_code, reason = "shared with the contract suite")]
#[path = "contract/certificates.rs"]
mod certificates;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use certificates::Authority;
use proxy_herd::driver::sim::{Sim, Weather};
use proxy_herd::event_loop::{
    Address, AfterEof, ConnId, Listen, ListenerId, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity,
    Transport,
};

/// Whom certificates are for.
const NAME: &str = "goloman.example";

/// What is played.
const SEEDS: Range<u64> = 0..40;

/// What a host's application knows.
struct Chaos {
    dice: fastrand::Rng,
    authority: Rc<Authority>,
    connections: BTreeMap<ConnId, Seen>,
    /// All that were ever begun, and how far each is.
    listeners: Vec<ListenerId>,
    doors: Vec<Entrance>,
    violations: Vec<String>,
    /// What anybody was called with.
    calls: BTreeSet<On>,
    /// How much may still be begun.
    energy: usize,
}

/// What a connection was told so far.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    stage: Stage,
    write_paused: bool,
    /// Its own wish; the others are the loop's word.
    read_paused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Stage {
    #[default]
    Begun,
    Open,
    Upgrading,
    Ended,
    Lost,
}

/// How far a listener is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entrance {
    Begun,
    Open,
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum On {
    Made,
    Data,
    Eof,
    Paused,
    Resumed,
    TimedOut,
    Woken,
    TlsStarted,
}

impl Chaos {
    fn new(seed: u64, authority: &Rc<Authority>) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed),
            authority: Rc::clone(authority),
            connections: BTreeMap::new(),
            listeners: Vec::new(),
            doors: Vec::new(),
            violations: Vec::new(),
            calls: BTreeSet::new(),
            energy: 60,
        }
    }

    fn check(&mut self, id: ConnId, on: On) {
        self.calls.insert(on);
        let seen = self.connections.entry(id).or_default();
        let before = *seen;
        let fits = match (on, before.stage) {
            (On::Made, Stage::Begun) | (On::TlsStarted, Stage::Upgrading) => true,
            (On::Data | On::Eof, Stage::Open) => !before.read_paused,
            (On::Paused, Stage::Open | Stage::Ended) => !before.write_paused,
            (On::Resumed, Stage::Open | Stage::Ended) => before.write_paused,
            (On::TimedOut, Stage::Open | Stage::Ended) => true,
            (On::Woken, Stage::Open | Stage::Ended | Stage::Upgrading) => true,
            _ => false,
        };
        match on {
            On::Made | On::TlsStarted => seen.stage = Stage::Open,
            On::Eof => seen.stage = Stage::Ended,
            On::Paused | On::Resumed => seen.write_paused = on == On::Paused,
            On::Data | On::TimedOut | On::Woken => {}
        }
        if !fits {
            self.violations.push(format!("{id} {on:?} after {before:?}"));
        }
    }

    /// Does anything to anybody.
    fn act(&mut self, event_loop: &mut Loop<'_, Self>, this: Option<ConnId>) {
        for _ in 0..self.dice.usize(0..4) {
            let living: Vec<ConnId> = self.living();
            let other = self.dice.choice(living);
            let id = if self.dice.u8(0..4) == 0 { other } else { this.or(other) };
            if let Some(mut transport) = id.and_then(|id| event_loop.transport(id)) {
                self.do_to(&mut transport);
            }
        }
        if self.energy > 0 && self.dice.u8(0..4) == 0 {
            self.energy -= 1;
            self.begin(event_loop);
        }
        if this.is_some() && self.dice.u8(0..60) == 0 {
            resume_unwind(Box::new("chaos"));
        }
    }

    fn living(&self) -> Vec<ConnId> {
        let living = self.connections.iter().filter(|(_, seen)| seen.stage != Stage::Lost);
        living.map(|(id, _)| *id).collect()
    }

    fn do_to(&mut self, transport: &mut Transport<'_, Self>) {
        let id = transport.id();
        let closing = transport.is_closing();
        let seen = self.connections.entry(id).or_default();
        match self.dice.u8(0..60) {
            0 => transport.close(),
            1 => transport.abort(),
            2 => transport.reset(),
            3 => transport.close_slowly(Duration::from_millis(20)),
            4 => transport.fail(io::Error::other("chaos")),
            5 => transport.write_eof(),
            6..=8 => {
                transport.pause_reading();
                seen.read_paused |= !closing;
            }
            9..=14 => {
                transport.resume_reading();
                seen.read_paused = false;
            }
            15..=18 => transport.set_protocol(Chaotic),
            19..=24 => transport.event_loop().wake(id),
            25..=27 => transport.set_timeout(Some(Duration::from_millis(self.dice.u64(0..5)))),
            28 => transport.set_write_buffer_cap(200_000),
            29..=31 => {
                let high = self.dice.usize(0..2) * 1000;
                transport.set_write_buffer_limits(high, high / 2);
            }
            32 | 33 => {
                let plain = transport.tls_info().is_none();
                let [server, client] = self.authority.ends(NAME);
                let leftover: &[u8] = if self.dice.u8(0..4) == 0 { b"garbage" } else { &[] };
                transport.start_tls(if self.dice.bool() { client } else { server }, leftover);
                if plain && seen.stage == Stage::Open && transport.tls_info().is_some() {
                    seen.stage = Stage::Upgrading;
                }
            }
            34 => transport.set_close_timeout(Duration::from_millis(10)),
            35 => {
                if let Some(listener) = transport.listener() {
                    let mut event_loop = transport.event_loop();
                    match self.dice.u8(0..20) {
                        0 => event_loop.close_listener(listener),
                        1 => event_loop.shut_down(listener, Duration::from_millis(self.dice.u64(0..20))),
                        2 => event_loop.close_clients(listener),
                        3 => event_loop.abort_clients(listener),
                        _ => {}
                    }
                }
            }
            36 | 37 => transport.write(&vec![7; 70_000]),
            _ => transport.write(&vec![7; self.dice.usize(0..500)]),
        }
    }

    fn begin(&mut self, event_loop: &mut Loop<'_, Self>) {
        match self.dice.u8(0..12) {
            0 => {
                let security = if self.dice.bool() { ServerSecurity::Plain } else { self.authority.server(NAME) };
                let port = self.dice.u16(0..2);
                let most = self.dice.usize(1..5);
                self.listen(event_loop, Listen::on(address(port)).security(security).max_connections(most));
                if self.dice.u8(0..4) == 0 {
                    event_loop.close_listener(self.listeners[self.listeners.len() - 1]);
                }
            }
            1 | 2 => {
                event_loop.call_soon(|event_loop, chaos: &mut Self| chaos.act(event_loop, None));
            }
            kind => {
                let security = if self.dice.bool() {
                    Security::Plain
                } else {
                    self.authority.client(if kind == 3 { "wrong.example" } else { NAME })
                };
                let port = self.dice.u16(1..5);
                let id = event_loop.connect(address(port), security, Chaotic);
                self.connections.insert(id, Seen::default());
            }
        }
    }

    fn listen(&mut self, event_loop: &mut Loop<'_, Self>, listen: Listen) {
        self.listeners.push(event_loop.listen_with(listen, Door(self.doors.len())));
        self.doors.push(Entrance::Begun);
    }
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Does anything, whenever it is called.
struct Chaotic;

impl Chaotic {
    fn on(on: On, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        if transport.is_closing() {
            chaos.violations.push(format!("{} {on:?} while closing", transport.id()));
        }
        chaos.check(transport.id(), on);
        let id = transport.id();
        chaos.act(&mut transport.event_loop(), Some(id));
    }
}

impl Protocol<Chaos> for Chaotic {
    fn connection_made(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Made, transport, chaos);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos, data: &[u8]) {
        if data.is_empty() || data.iter().any(|byte| *byte != 7) && transport.tls_info().is_some() {
            chaos.violations.push("strange data".to_owned());
        }
        Self::on(On::Data, transport, chaos);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) -> AfterEof {
        Self::on(On::Eof, transport, chaos);
        if chaos.dice.bool() { AfterEof::Close } else { AfterEof::KeepOpen }
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Paused, transport, chaos);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Resumed, transport, chaos);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::TimedOut, transport, chaos);
    }

    fn woken(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Woken, transport, chaos);
    }

    fn tls_started(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::TlsStarted, transport, chaos);
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, lost: Lost) {
        let seen = chaos.connections.entry(lost.id).or_default();
        if std::mem::replace(&mut seen.stage, Stage::Lost) == Stage::Lost {
            chaos.violations.push(format!("{} lost twice", lost.id));
        }
        chaos.act(event_loop, Some(lost.id));
    }
}

/// A listener's factory, with its place in [`Chaos::doors`].
struct Door(usize);

impl Door {
    fn on(&self, chaos: &mut Chaos, from: &[Entrance], to: Entrance) {
        let before = std::mem::replace(&mut chaos.doors[self.0], to);
        if !from.contains(&before) {
            chaos.violations.push(format!("listener {to:?} after {before:?}"));
        }
    }
}

impl ProtocolFactory<Chaos> for Door {
    fn protocol(&mut self, chaos: &mut Chaos) -> Box<dyn Protocol<Chaos>> {
        self.on(chaos, &[Entrance::Open], Entrance::Open);
        if chaos.dice.u8(0..20) == 0 {
            resume_unwind(Box::new("chaos at the door"));
        }
        Box::new(Chaotic)
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: &Address) {
        self.on(chaos, &[Entrance::Begun], Entrance::Open);
        chaos.act(event_loop, None);
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: io::Error) {
        self.on(chaos, &[Entrance::Begun], Entrance::Gone);
        chaos.act(event_loop, None);
    }

    fn handshake_failed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: &Lost) {
        self.on(chaos, &[Entrance::Open], Entrance::Open);
        chaos.act(event_loop, None);
    }

    fn closed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos) {
        self.on(chaos, &[Entrance::Begun, Entrance::Open], Entrance::Gone);
        chaos.act(event_loop, None);
    }
}

/// A server, a client and some strangers; what was called.
fn play(seed: u64, authority: &Rc<Authority>) -> BTreeSet<On> {
    let mut sim = Sim::new(seed, if seed.is_multiple_of(2) { Weather::rough() } else { Weather::default() });
    let hosts =
        [("Server", seed), ("Client", seed + 1)].map(|(name, seed)| sim.add_host(name, Chaos::new(seed, authority)));
    let [server, client] = hosts;
    sim.enter(server, |event_loop, chaos| {
        for port in 1..4 {
            let security = if port == 1 { ServerSecurity::Plain } else { authority.server(NAME) };
            chaos.listen(event_loop, Listen::on(address(port)).security(security).max_connections(3));
        }
        event_loop.set_exception_handler(|event_loop, chaos, _| chaos.act(event_loop, None));
    });
    sim.enter(client, |event_loop, chaos| (0..20).for_each(|_| chaos.begin(event_loop)));
    for round in 0..20 {
        let stranger = sim.connect(address(1 + round % 3));
        sim.send(stranger, &[7; 300]);
        match round {
            7 => sim.out_of_descriptors(server),
            9 => sim.descriptors_again(server),
            _ if round % 3 == 0 => sim.half_close(stranger),
            _ => {}
        }
        sim.run_for(Duration::from_millis(50));
    }
    // The end: nobody begins anything any more, everybody has to go, and there is time for every timeout.
    for host in hosts {
        sim.enter(host, |event_loop, chaos| {
            chaos.energy = 0;
            for listener in &chaos.listeners {
                event_loop.shut_down(*listener, Duration::from_millis(100));
            }
        });
    }
    sim.run_for(Duration::from_secs(20));
    for host in hosts {
        sim.enter(host, |event_loop, chaos| {
            for id in chaos.living() {
                event_loop.transport(id).expect("it is not lost").abort();
            }
        });
    }
    sim.run_for(Duration::from_secs(1));
    for host in hosts {
        let chaos = sim.state(host);
        assert_eq!(chaos.violations, Vec::<String>::new());
        assert_eq!(chaos.living(), [], "they are left");
        assert!(chaos.doors.iter().all(|door| *door == Entrance::Gone), "{:?}", chaos.doors);
    }
    hosts.iter().flat_map(|host| &sim.state(*host).calls).copied().collect()
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
