//! Promises of the socket driver that only real sockets can break: turns, edges, and who is told what when.

#[path = "event_loop/recorder.rs"]
#[expect(dead_code, reason = "shared with the tests on the simulated network")]
mod recorder;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{
    EventLoop, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity, Target, Transport,
};

use self::recorder::{Journal, On, Recorder};

/// A loop on real sockets.
struct Stage {
    sockets: Sockets,
    event_loop: EventLoop<Journal>,
}

impl Stage {
    fn new() -> Self {
        let event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
        Self { sockets: Sockets::new().expect("a poll"), event_loop }
    }

    /// A server whose connections are called `s1`, `s2`, ... and are made like this; and where it listens.
    fn serve(&mut self, protocol: impl Fn(&str) -> Recorder + 'static) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        self.sockets.provide(listener);
        self.event_loop.enter(|event_loop, _| {
            event_loop
                .listen(address, ServerSecurity::Plain, move |journal: &mut Journal| protocol(&journal.next_name()));
        });
        address
    }

    fn turn(&mut self, at_most: Duration) {
        self.sockets.turn(&mut self.event_loop, Some(at_most)).expect("the poll works");
    }

    /// Turns until `who` was told exactly this.
    fn expect(&mut self, who: &str, expected: &[&str]) {
        let until = Instant::now() + PATIENCE;
        while self.told(who) != expected && Instant::now() < until {
            self.turn(PATIENCE / 10);
        }
        assert_eq!(self.told(who), expected);
    }

    /// What `who` was told; of a reason for the end only the kind.
    fn told(&self, who: &str) -> Vec<String> {
        let mut told = self.event_loop.state().of(who);
        for line in &mut told {
            let kind = line.starts_with("lost ").then(|| line.find(':')).flatten();
            line.truncate(kind.unwrap_or(line.len()));
        }
        told
    }
}

/// Ends a connection with a reset.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// Stops the loop when it cannot listen.
struct NoEntrance;

impl ProtocolFactory<Journal> for NoEntrance {
    fn protocol(&mut self, _: &mut Journal) -> Box<dyn Protocol<Journal>> {
        unreachable!("nobody listens")
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: io::Error) {
        journal.note("door", "failed");
        event_loop.stop();
    }
}

#[test]
fn a_loop_that_is_stopped_while_it_sends_and_binds_does_not_sleep() {
    let Stage { mut sockets, mut event_loop } = Stage::new();
    event_loop.enter(|event_loop, _| {
        // TEST-NET-3 (RFC 5737): nobody's address, so nobody's to listen on.
        event_loop.listen(([203, 0, 113, 1], 0), ServerSecurity::Plain, NoEntrance);
        event_loop.call_later(PATIENCE, |event_loop, journal| {
            journal.note("door", "woke up");
            event_loop.stop();
        });
    });
    sockets.run(&mut event_loop).expect("the poll works");
    assert_eq!(event_loop.state().of("door"), ["failed"]);
}

#[test]
fn hooks_see_what_protocols_were_told_while_it_was_sent() {
    let mut stage = Stage::new();
    let address = stage.serve(|name| {
        Recorder::new(name, |on, transport, _| {
            if let On::Data(_) = on {
                transport.set_write_buffer_limits(0, 0);
                transport.write(b"x");
            }
        })
    });
    let mut client = TcpStream::connect(address).expect("the loop listens");
    stage.expect("s1", &["made"]);
    client.write_all(b"x").expect("it is connected");
    let Stage { mut sockets, mut event_loop } = stage;
    event_loop.before_sleep(|event_loop, journal| {
        if journal.of("s1").iter().any(|line| line == "resumed") {
            event_loop.stop();
        }
    });
    event_loop.enter(|event_loop, _| {
        event_loop.call_later(PATIENCE, |event_loop, journal| {
            journal.note("hook", "was not called before the loop slept");
            event_loop.stop();
        });
    });
    sockets.run(&mut event_loop).expect("the poll works");
    assert_eq!(event_loop.state().of("hook"), [""; 0]);
}

#[test]
fn one_write_per_connection_per_turn_though_it_writes_again_in_resume_writing() {
    let mut stage = Stage::new();
    let address = stage.serve(|name| {
        Recorder::new(name, |on, transport, _| match on {
            On::Made => {
                transport.set_write_buffer_limits(0, 0);
                transport.write(b"x");
            }
            On::Resumed => transport.write(b"x"),
            _ => {}
        })
    });
    let _client = TcpStream::connect(address).expect("the loop listens");
    let mut before = 0;
    for _ in 0..20 {
        stage.turn(Duration::ZERO);
        let resumed = stage.told("s1").iter().filter(|line| *line == "resumed").count();
        assert!(resumed <= before + 1, "{} times in one turn", resumed - before);
        before = resumed;
    }
    assert!(before > 10, "it goes on, turn by turn");
}

/// Connects again as soon as it is lost.
struct Stubborn(Target);

impl Protocol<Journal> for Stubborn {
    fn data_received(&mut self, _: &mut Transport<'_, Journal>, _: &mut Journal, _: &[u8]) {}

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: Lost) {
        journal.note("stubborn", "lost");
        if journal.of("stubborn").len() < 1000 {
            event_loop.connect(self.0.clone(), Security::Plain, Self(self.0.clone()));
        }
    }
}

#[test]
fn who_connects_again_at_once_does_not_hold_up_the_others() {
    let mut stage = Stage::new();
    // A link-local address without its link: the system refuses at once, whether it has IPv6 or not.
    let nowhere = Target::from("[fe80::1]:1".parse::<SocketAddr>().expect("an address"));
    stage.event_loop.enter(|event_loop, _| {
        event_loop.connect(nowhere.clone(), Security::Plain, Stubborn(nowhere));
    });
    for turn in 1..10 {
        stage.turn(Duration::ZERO);
        let tries = stage.told("stubborn").len();
        assert!(tries <= turn, "{tries} tries in {turn} turns");
    }
    stage.turn(PATIENCE);
    assert!(stage.told("stubborn").len() > 5, "it goes on, turn by turn");
}

#[test]
fn new_arrivals_do_not_raise_what_is_accepted_in_a_turn() {
    let mut stage = Stage::new();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    socket.listen(512).expect("it is bound");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("it is bound");
    stage.sockets.provide(listener);
    stage.event_loop.enter(|event_loop, _| {
        event_loop.listen(address, ServerSecurity::Plain, |_: &mut Journal| Recorder::new("s", |_, _, _| {}));
    });
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut before = 0;
    for arrivals in [200, 1, 1, 1] {
        clients.extend((0..arrivals).map(|_| TcpStream::connect(address).expect("the backlog has room")));
        stage.turn(PATIENCE);
        let accepted = stage.told("s").len();
        assert!(accepted - before <= 64, "{} in one turn", accepted - before);
        before = accepted;
    }
    assert_eq!(before, clients.len());
}

#[test]
fn a_reset_is_told_though_reading_is_paused() {
    let mut stage = Stage::new();
    let address = stage.serve(|name| {
        Recorder::new(name, |on, transport, _| {
            if on == On::Made {
                transport.pause_reading();
            }
        })
    });
    let client = TcpStream::connect(address).expect("the loop listens");
    stage.expect("s1", &["made"]);
    reset(client);
    stage.expect("s1", &["made", "lost ConnectionReset"]);
}

#[test]
fn a_reset_is_told_though_reading_is_paused_just_before_it_would_show() {
    let mut stage = Stage::new();
    let address = stage.serve(|name| {
        Recorder::new(name, |on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
            }
        })
    });
    let mut client = TcpStream::connect(address).expect("the loop listens");
    stage.expect("s1", &["made"]);
    client.write_all(b"x").expect("it is connected");
    reset(client);
    stage.expect("s1", &["made", "data x", "lost ConnectionReset"]);
}

#[test]
fn a_reset_is_told_after_the_peers_end() {
    let mut stage = Stage::new();
    let address = stage.serve(|name| Recorder::new(name, |_, _, _| {}).that_stays());
    let client = TcpStream::connect(address).expect("the loop listens");
    client.shutdown(std::net::Shutdown::Write).expect("it is connected");
    stage.expect("s1", &["made", "eof"]);
    reset(client);
    // What a reset after the end is called differs between systems.
    let until = Instant::now() + PATIENCE;
    while !stage.event_loop.state().is_lost("s1") && Instant::now() < until {
        stage.turn(PATIENCE / 10);
    }
    let told = stage.told("s1");
    assert!(told.len() == 3 && told[2].starts_with("lost "), "{told:?}");
}

#[test]
fn no_sleep_is_too_long() {
    let mut stage = Stage::new();
    stage.event_loop.enter(|event_loop, _| {
        event_loop.call_soon(|_, journal| journal.note("call", "made"));
    });
    stage.turn(Duration::MAX);
    assert_eq!(stage.told("call"), ["made"]);
}

/// Longer than anything takes by itself.
const PATIENCE: Duration = Duration::from_secs(2);
