//! Faults that were found in the loop, its drivers and the simulation: one conversation for each, named after the promise.

#[allow(dead_code, reason = "shared with the contract suite")]
#[path = "contract/certificates.rs"]
mod certificates;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::resume_unwind;
use std::time::Duration;

use certificates::Authority;
use proxy_herd::driver::sim::{Crash, HostId, Sim, Weather};
use proxy_herd::event_loop::{
    AfterEof, ConnId, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity, StartTls, Transport,
};

const NAME: &str = "goloman.example";

/// What the protocols of a host were told, who was made last, and what else a test wants to know.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    made: Option<ConnId>,
    everybody: Vec<ConnId>,
    depths: Vec<usize>,
}

impl Notes {
    fn note(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

/// What a [`Told`] was called with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On<'a> {
    Made,
    Data(&'a [u8]),
    Eof,
    Paused,
    Resumed,
    Woken,
    TlsStarted,
}

type React = fn(On<'_>, &mut Transport<'_, Notes>, &mut Notes);

/// Notes what it is told, and reacts.
struct Told(&'static str, React);

impl Told {
    fn on(&mut self, on: On<'_>, transport: &mut Transport<'_, Notes>, notes: &mut Notes) {
        notes.note(match on {
            On::Data(data) if data.len() > 64 => format!("{} data {} bytes", self.0, data.len()),
            On::Data(data) => format!("{} data {}", self.0, data.escape_ascii()),
            on => format!("{} {on:?}", self.0),
        });
        self.1(on, transport, notes);
    }
}

impl Protocol<Notes> for Told {
    fn connection_made(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes) {
        notes.made = Some(transport.id());
        self.on(On::Made, transport, notes);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes, data: &[u8]) {
        self.on(On::Data(data), transport, notes);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes) -> AfterEof {
        self.on(On::Eof, transport, notes);
        AfterEof::Close
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes) {
        self.on(On::Paused, transport, notes);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes) {
        self.on(On::Resumed, transport, notes);
    }

    fn woken(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes) {
        self.on(On::Woken, transport, notes);
    }

    fn tls_started(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes) {
        self.on(On::TlsStarted, transport, notes);
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Notes>, notes: &mut Notes, lost: Lost) {
        notes.note(format!("{} lost {:?}", self.0, lost.why.map(|why| why.kind())));
    }
}

fn quiet(_: On<'_>, _: &mut Transport<'_, Notes>, _: &mut Notes) {}

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 11645).into()
}

fn calm() -> Sim<Notes> {
    Sim::new(0, Weather::default())
}

/// A host that listens; its connections are all called `s`.
fn serve(sim: &mut Sim<Notes>, security: ServerSecurity, react: React) -> HostId {
    let host = sim.add_host("Server", Notes::default());
    sim.enter(host, |event_loop, _| event_loop.listen(address(), security, move |_: &mut Notes| Told("s", react)));
    host
}

/// Calls `visit` with the connection that was made last.
fn with<R>(sim: &mut Sim<Notes>, host: HostId, visit: impl FnOnce(&mut Transport<'_, Notes>) -> R) -> R {
    sim.enter(host, |event_loop, notes| {
        let id = notes.made.expect("one was made");
        visit(&mut event_loop.transport(id).expect("it lives"))
    })
}

fn start_server(authority: &Authority) -> StartTls {
    let ServerSecurity::Tls(config) = authority.server(NAME) else { unreachable!("it is TLS") };
    StartTls::Server(config)
}

const LONG: Duration = Duration::from_secs(1);

#[test]
fn data_in_the_flight_of_finished_waits_for_resume() {
    let mut sim = calm();
    let authority = Authority::new();
    let host = serve(&mut sim, authority.server(NAME), |on, transport, _| {
        if on == On::Made {
            transport.pause_reading();
        }
    });
    let client = sim.add_host("Client", Notes::default());
    sim.enter(client, |event_loop, _| {
        let id = event_loop.connect(address(), authority.client(NAME), Told("c", quiet));
        event_loop.transport(id).expect("it is being made").write(b"early");
    });
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines, ["s Made"]);
    with(&mut sim, host, |transport| transport.resume_reading());
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines, ["s Made", "s data early"]);
}

/// Callbacks do not nest, nor does what leads to them: a loop of 10,000 connections has one stack.
#[test]
fn those_who_resume_at_once_are_called_at_the_same_depth() {
    let mut sim = calm();
    let authority = Authority::new();
    let host = serve(&mut sim, authority.server(NAME), |on, transport, notes| match on {
        On::Made => {
            notes.everybody.push(transport.id());
            transport.pause_reading();
        }
        On::Data(_) => notes.depths.push(std::ptr::from_ref(&on).addr()),
        _ => {}
    });
    let client = sim.add_host("Client", Notes::default());
    sim.enter(client, |event_loop, _| {
        for _ in 0..20 {
            let id = event_loop.connect(address(), authority.client(NAME), Told("c", quiet));
            event_loop.transport(id).expect("it is being made").write(b"early");
        }
    });
    sim.run_for(LONG);
    sim.enter(host, |event_loop, notes| {
        for id in &notes.everybody {
            event_loop.transport(*id).expect("it lives").resume_reading();
        }
    });
    let depths = &sim.state(host).depths;
    assert_eq!(depths.len(), 20);
    assert!(depths.iter().all(|depth| *depth == depths[0]), "{depths:?}");
}

#[test]
fn who_takes_over_in_pause_writing_is_told_of_the_end() {
    let mut sim = calm();
    let host = serve(&mut sim, ServerSecurity::Plain, |on, transport, _| match on {
        On::Made => transport.write(&[0; 100_000]),
        On::Paused => {
            transport.set_protocol(Told("t", quiet));
            transport.abort();
        }
        _ => {}
    });
    sim.connect(address());
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines, ["s Made", "s Paused", "t lost None"]);
}

#[test]
fn start_tls_finds_the_hello_that_came_while_reading_was_paused() {
    let mut sim = calm();
    let authority = Authority::new();
    let host = serve(&mut sim, ServerSecurity::Plain, |on, transport, _| {
        if on == On::Made {
            transport.pause_reading();
        }
    });
    let client = sim.add_host("Client", Notes::default());
    sim.enter(client, |event_loop, _| event_loop.connect(address(), authority.client(NAME), Told("c", quiet)));
    sim.run_for(LONG);
    with(&mut sim, host, |transport| transport.start_tls(start_server(&authority), &[]));
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines, ["s Made", "s TlsStarted"]);
    assert_eq!(sim.state(client).lines, ["c Made"]);
}

#[test]
fn a_wake_before_it_is_made_is_told_after_that_and_during_start_tls_at_once() {
    let mut sim = calm();
    let authority = Authority::new();
    let host = serve(&mut sim, ServerSecurity::Plain, quiet);
    let client = sim.add_host("Client", Notes::default());
    sim.connect(address());
    sim.enter(client, |event_loop, _| {
        let id = event_loop.connect(address(), authority.client(NAME), Told("c", quiet));
        event_loop.wake(id);
    });
    sim.run_for(Duration::from_micros(250));
    assert_eq!(sim.state(host).lines, ["s Made", "s Made"]);
    with(&mut sim, host, |transport| {
        transport.start_tls(start_server(&authority), &[]);
        let id = transport.id();
        transport.event_loop().wake(id);
    });
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines[2..], ["s Woken", "s TlsStarted"]);
    assert_eq!(sim.state(client).lines, ["c Made", "c Woken"]);
}

struct Counter;

impl ProtocolFactory<Notes> for Counter {
    fn protocol(&mut self, _: &mut Notes) -> Box<dyn Protocol<Notes>> {
        Box::new(Told("s", quiet))
    }

    fn handshake_failed(&mut self, _: &mut Loop<'_, Notes>, notes: &mut Notes, lost: &Lost) {
        notes.note(format!("handshake failed {:?}", lost.why.as_ref().map(io::Error::kind)));
    }
}

#[test]
fn a_factory_is_told_of_garbage_instead_of_a_hello() {
    let mut sim = calm();
    let host = sim.add_host("Server", Notes::default());
    sim.enter(host, |event_loop, _| event_loop.listen(address(), Authority::new().server(NAME), Counter));
    let client = sim.connect(address());
    sim.send(client, b"GET / HTTP/1.0\r\n\r\n");
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines, ["handshake failed Some(InvalidData)", "s lost Some(InvalidData)"]);
}

/// Panics when it is dropped; and before, if it is to.
struct Bomb {
    also_when_lost: bool,
}

impl Protocol<Notes> for Bomb {
    fn connection_made(&mut self, transport: &mut Transport<'_, Notes>, _: &mut Notes) {
        if self.also_when_lost {
            transport.abort();
        } else {
            transport.set_protocol(Told("t", quiet));
        }
    }

    fn data_received(&mut self, _: &mut Transport<'_, Notes>, _: &mut Notes, _: &[u8]) {}

    fn connection_lost(&mut self, _: &mut Loop<'_, Notes>, _: &mut Notes, _: Lost) {
        resume_unwind(Box::new("lost on purpose"));
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("dropped on purpose"));
    }
}

fn check_bomb(also_when_lost: bool, expected: &[&str]) {
    let mut sim = calm();
    let host = sim.add_host("Server", Notes::default());
    sim.enter(host, |event_loop, _| {
        event_loop.set_exception_handler(|_, notes, panicked| notes.note(panicked.to_string()));
        event_loop.listen(address(), ServerSecurity::Plain, move |_: &mut Notes| Bomb { also_when_lost });
    });
    let client = sim.connect(address());
    sim.send(client, b"x");
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines, expected);
}

#[test]
fn a_protocol_that_panics_when_it_is_dropped_costs_no_more_than_its_connection() {
    check_bomb(false, &["drop of #2 panicked: dropped on purpose", "t data x"]);
    check_bomb(true, &["connection_lost of #2 panicked: lost on purpose", "drop of #2 panicked: dropped on purpose"]);
}

#[test]
fn a_host_that_was_restarted_gets_no_answer_to_its_predecessor() {
    let mut sim = calm();
    let host = sim.add_host("Client", Notes::default());
    sim.name("old", [IpAddr::from([10, 0, 0, 1])]);
    serve(&mut sim, ServerSecurity::Plain, quiet);
    sim.name("new", [address().ip()]);
    sim.enter(host, |event_loop, _| event_loop.connect(("old", 1), Security::Plain, Told("c", quiet)));
    sim.run_for(Duration::from_micros(50));
    sim.crash(host, Crash::Killed);
    sim.restart(host, Notes::default());
    sim.enter(host, |event_loop, _| event_loop.connect(("new", 11645), Security::Plain, Told("c", quiet)));
    sim.run_for(LONG);
    assert_eq!(sim.state(host).lines, ["c Made"]);
    assert!(!sim.trace().as_str().contains("connects to 10.0.0.1:1"), "{:?}", sim.trace());
}

/// The words before TLS, those after it, and when a side begins with TLS and how.
#[derive(Clone, Copy, Debug)]
struct Upgrade {
    /// How much the server says in plain text before it agrees.
    plain: usize,
    /// How much both say afterwards.
    sealed: usize,
    /// The server pauses reading at the request, and starts TLS only later.
    late: bool,
    /// Who writes after `start_tls` does so, and ends, before the handshake is done.
    early: bool,
}

/// One end: what came before TLS and after it.
struct Upgrader {
    role: &'static str,
    upgrade: Upgrade,
    start: Option<StartTls>,
    got: Vec<u8>,
}

impl Upgrader {
    const REQUEST: &'static [u8] = b"STARTTLS\n";

    fn speak(&self, transport: &mut Transport<'_, Notes>) {
        transport.write(&vec![b's'; self.upgrade.sealed]);
        transport.write_eof();
    }

    fn upgrade(&mut self, transport: &mut Transport<'_, Notes>, leftover: &[u8]) {
        transport.start_tls(self.start.take().expect("once"), leftover);
        if self.upgrade.early {
            self.speak(transport);
        }
    }
}

impl Protocol<Notes> for Upgrader {
    fn connection_made(&mut self, transport: &mut Transport<'_, Notes>, _: &mut Notes) {
        if self.role == "c" {
            transport.write(Self::REQUEST);
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes, data: &[u8]) {
        self.got.extend_from_slice(data);
        if self.start.is_none() {
            return;
        }
        let Some(end) = self.got.iter().position(|byte| *byte == b'\n') else { return };
        let leftover = self.got.split_off(end + 1);
        notes.note(format!("{} {} plain", self.role, self.got.len()));
        self.got.clear();
        if self.role == "s" {
            transport.write(&vec![b'p'; self.upgrade.plain]);
            transport.write(b"\n");
        }
        if self.upgrade.late && self.role == "s" {
            transport.pause_reading();
            transport.set_timeout(Some(Duration::from_millis(200)));
            self.got = leftover;
        } else {
            self.upgrade(transport, &leftover);
        }
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Notes>, _: &mut Notes) {
        let leftover = std::mem::take(&mut self.got);
        self.upgrade(transport, &leftover);
        transport.resume_reading();
    }

    fn tls_started(&mut self, transport: &mut Transport<'_, Notes>, notes: &mut Notes) {
        notes.note(format!("{} started", self.role));
        if !self.upgrade.early {
            self.speak(transport);
        }
    }

    fn eof_received(&mut self, _: &mut Transport<'_, Notes>, notes: &mut Notes) -> AfterEof {
        let all = self.got.iter().all(|byte| *byte == b's');
        notes.note(format!("{} {} sealed {all}", self.role, self.got.len()));
        AfterEof::Close
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Notes>, notes: &mut Notes, lost: Lost) {
        notes.note(format!("{} lost {:?}", self.role, lost.why));
    }
}

#[test]
fn start_tls_keeps_every_byte_in_its_place() {
    let authority = Authority::new();
    let play = |seed: u64, upgrade: Upgrade| {
        let mut sim = Sim::new(seed, if seed == 0 { Weather::default() } else { Weather::rough() });
        let server = sim.add_host("Server", Notes::default());
        let start = start_server(&authority);
        sim.enter(server, |event_loop, _| {
            event_loop.listen(address(), ServerSecurity::Plain, move |_: &mut Notes| Upgrader {
                role: "s",
                upgrade,
                start: Some(start.clone()),
                got: Vec::new(),
            });
        });
        let client = sim.add_host("Client", Notes::default());
        let Security::Tls(config, name) = authority.client(NAME) else { unreachable!("it is TLS") };
        let start = Some(StartTls::Client(config, name));
        let protocol = Upgrader { role: "c", upgrade, start, got: Vec::new() };
        sim.enter(client, |event_loop, _| event_loop.connect(address(), Security::Plain, protocol));
        sim.run_for(30 * LONG);
        let Upgrade { plain, sealed, .. } = upgrade;
        for (host, role, heard) in [(server, "s", 9), (client, "c", plain + 1)] {
            let expected = [
                format!("{role} {heard} plain"),
                format!("{role} started"),
                format!("{role} {sealed} sealed true"),
                format!("{role} lost None"),
            ];
            assert_eq!(sim.state(host).lines, expected, "seed {seed}, {upgrade:?}");
        }
    };
    for plain in [0, 200_000] {
        for sealed in [0, 1, 100_000] {
            for (late, early) in [(false, false), (false, true), (true, false), (true, true)] {
                for seed in 0..4 {
                    play(seed, Upgrade { plain, sealed, late, early });
                }
            }
        }
    }
}

/// Connects, gives up at once, and so on.
struct Fickle {
    left: usize,
}

impl Fickle {
    fn connect(self, event_loop: &mut Loop<'_, Notes>) {
        let id = event_loop.connect(address(), Security::Plain, self);
        let mut transport = event_loop.transport(id).expect("it is being made");
        // More than may wait: that ends it.
        transport.set_write_buffer_cap(100_000);
        transport.write(&[0; 200_000]);
    }
}

impl Protocol<Notes> for Fickle {
    fn data_received(&mut self, _: &mut Transport<'_, Notes>, _: &mut Notes, _: &[u8]) {}

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Notes>, notes: &mut Notes, lost: Lost) {
        assert_eq!(lost.why.map(|why| why.kind()), Some(io::ErrorKind::QuotaExceeded));
        notes.note(format!("{:?}", event_loop.now()));
        if self.left > 0 {
            Self { left: self.left - 1 }.connect(event_loop);
        }
    }
}

#[test]
fn who_connects_again_as_soon_as_it_is_lost_does_so_in_the_next_turn() {
    let mut sim = calm();
    let host = sim.add_host("Client", Notes::default());
    sim.enter(host, |event_loop, _| Fickle { left: 9 }.connect(event_loop));
    sim.run_for(LONG);
    let mut turns = sim.state(host).lines.clone();
    assert_eq!(turns.len(), 10);
    turns.dedup();
    assert_eq!(turns.len(), 10, "each in a turn of its own");
}
