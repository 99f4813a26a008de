//! Protocols that do anything at any time: whatever they do, they are called by the grammar, and everything ends.

#[allow(dead_code, reason = "shared with the contract suite")]
#[path = "contract/certificates.rs"]
mod certificates;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use certificates::Authority;
use proxy_herd::driver::sim::{HostId, Sim, Weather};
use proxy_herd::event_loop::{
    Address, AfterEof, ConnId, Listen, ListenerId, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity,
    StartTls, Transport,
};

const NAME: &str = "goloman.example";

/// What a host's application knows.
struct Chaos {
    dice: fastrand::Rng,
    authority: Rc<Authority>,
    connections: BTreeMap<ConnId, Seen>,
    /// How far each listener is, by the number of its door.
    listeners: BTreeMap<u32, &'static str>,
    /// Those that the test has opened.
    open: Vec<ListenerId>,
    violations: Vec<String>,
    /// What anybody was called with.
    calls: BTreeSet<On>,
    /// How much may still be begun.
    energy: usize,
}

/// What a connection was told so far.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    made: bool,
    ended: bool,
    write_paused: bool,
    read_paused: bool,
    upgrading: bool,
    lost: bool,
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
    fn check(&mut self, id: ConnId, on: On) {
        self.calls.insert(on);
        let seen = self.connections.entry(id).or_default();
        let before = *seen;
        let fits = match on {
            On::Made => !before.made,
            On::Data | On::Eof => before.made && !before.ended && !before.read_paused && !before.upgrading,
            On::Paused => before.made && !before.write_paused && !before.upgrading,
            On::Resumed => before.made && before.write_paused && !before.upgrading,
            On::TimedOut => before.made && !before.upgrading,
            On::Woken => before.made,
            On::TlsStarted => before.upgrading,
        };
        match on {
            On::Made => seen.made = true,
            On::Eof => seen.ended = true,
            On::Paused => seen.write_paused = true,
            On::Resumed => seen.write_paused = false,
            On::TlsStarted => seen.upgrading = false,
            _ => {}
        }
        if !fits || before.lost {
            self.violations.push(format!("{id:?} {on:?} after {before:?}"));
        }
    }

    /// Does anything to anybody.
    fn act(&mut self, event_loop: &mut Loop<'_, Self>, this: Option<ConnId>) {
        for _ in 0..self.dice.usize(0..4) {
            let living: Vec<ConnId> =
                self.connections.iter().filter(|(_, seen)| !seen.lost).map(|(id, _)| *id).collect();
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
                let start = if self.dice.bool() {
                    let Security::Tls(config, name) = self.authority.client(NAME) else { unreachable!() };
                    StartTls::Client(config, name)
                } else {
                    let ServerSecurity::Tls(config) = self.authority.server(NAME) else { unreachable!() };
                    StartTls::Server(config)
                };
                let leftover: &[u8] = if self.dice.u8(0..4) == 0 { b"garbage" } else { &[] };
                transport.start_tls(start, leftover);
                seen.upgrading |= plain && seen.made && transport.tls_info().is_some();
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
                let address = if self.dice.bool() { address(1) } else { address(0) };
                let listen = Listen::on(address).security(security).max_connections(self.dice.usize(1..5));
                let key = self.dice.u32(..);
                self.listeners.insert(key, "new");
                let listener = event_loop.listen_with(listen, Door(key));
                if self.dice.u8(0..4) == 0 {
                    event_loop.close_listener(listener);
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
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

struct Chaotic;

impl Chaotic {
    fn on(on: On, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        if transport.is_closing() {
            chaos.violations.push(format!("{:?} {on:?} while closing", transport.id()));
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
        if std::mem::replace(&mut seen.lost, true) {
            chaos.violations.push(format!("{:?} lost twice", lost.id));
        }
        chaos.act(event_loop, Some(lost.id));
    }
}

struct Door(u32);

impl Door {
    fn on(&self, chaos: &mut Chaos, from: &[&'static str], to: &'static str) {
        let before = chaos.listeners.insert(self.0, to).expect("it was noted before");
        if !from.contains(&before) {
            chaos.violations.push(format!("listener {to} after {before}"));
        }
    }
}

impl ProtocolFactory<Chaos> for Door {
    fn protocol(&mut self, chaos: &mut Chaos) -> Box<dyn Protocol<Chaos>> {
        self.on(chaos, &["listening"], "listening");
        if chaos.dice.u8(0..20) == 0 {
            resume_unwind(Box::new("chaos at the door"));
        }
        Box::new(Chaotic)
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: &Address) {
        self.on(chaos, &["new"], "listening");
        chaos.act(event_loop, None);
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: io::Error) {
        self.on(chaos, &["new"], "gone");
        chaos.act(event_loop, None);
    }

    fn handshake_failed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: &Lost) {
        self.on(chaos, &["listening"], "listening");
        chaos.act(event_loop, None);
    }

    fn closed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos) {
        self.on(chaos, &["new", "listening"], "gone");
        chaos.act(event_loop, None);
    }
}

fn host(sim: &mut Sim<Chaos>, name: &str, seed: u64, authority: &Rc<Authority>) -> HostId {
    sim.add_host(
        name,
        Chaos {
            dice: fastrand::Rng::with_seed(seed),
            authority: Rc::clone(authority),
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            open: Vec::new(),
            violations: Vec::new(),
            calls: BTreeSet::new(),
            energy: 60,
        },
    )
}

/// A server, a client and some strangers; what was called.
fn play(seed: u64, authority: &Rc<Authority>) -> BTreeSet<On> {
    let mut sim = Sim::new(seed, if seed.is_multiple_of(2) { Weather::rough() } else { Weather::default() });
    let (server, client) = (host(&mut sim, "Server", seed, authority), host(&mut sim, "Client", seed + 1, authority));
    sim.enter(server, |event_loop, chaos| {
        for port in 1..4 {
            let security = if port == 1 { ServerSecurity::Plain } else { authority.server(NAME) };
            let listen = Listen::on(address(port)).security(security).max_connections(3);
            chaos.listeners.insert(port.into(), "new");
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
            let listeners: Vec<ListenerId> = chaos.open.clone();
            for listener in listeners {
                event_loop.shut_down(listener, Duration::from_millis(100));
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
        assert_eq!(chaos.violations, Vec::<String>::new(), "seed {seed}");
        let left: Vec<_> = chaos.connections.iter().filter(|(_, seen)| !seen.lost).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?}");
    }
    for port in 1..4 {
        assert_eq!(sim.state(server).listeners[&port], "gone", "seed {seed}");
    }
    [server, client].iter().flat_map(|host| &sim.state(*host).calls).copied().collect()
}

#[test]
fn whatever_protocols_do_they_are_called_by_the_grammar() {
    let authority = Rc::new(Authority::new());
    let calls: BTreeSet<On> = (0..40).flat_map(|seed| play(seed, &authority)).collect();
    assert_eq!(calls.len(), 8, "not everything has happened: {calls:?}");
}
