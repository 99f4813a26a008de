//! The same promises over real sockets: what the simulation cannot know about mio, the system and its descriptors.
//!
//! One test at a time, for some count descriptors. Nothing sleeps: the loop is turned until what is expected has come, or
//! until it has taken far too long.

#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "event_loop/certificates.rs"]
mod certificates;
#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "event_loop/recorder.rs"]
mod recorder;
#[path = "sockets/stage.rs"]
mod stage;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use proxy_herd::event_loop::{Security, ServerSecurity, Signal, Target};

use crate::certificates::Authority;
use crate::recorder::{On, Recorder, echo, listen_only};
use crate::stage::{PATIENCE, Stage};

/// A far end whose calls fail, should they take far too long.
fn client(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("somebody listens");
    client.set_read_timeout(Some(PATIENCE)).and_then(|()| client.set_write_timeout(Some(PATIENCE))).expect("not zero");
    client
}

/// Makes the end of a stream a reset.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket can be reset");
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

// Reading.

#[test]
fn data_and_fin_in_one_event_deliver_data_then_eof() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, echo);
    let mut client = client(address);
    client.write_all(b"hello").expect("it is connected");
    client.shutdown(Shutdown::Write).expect("it is connected");
    stage.until_lost("s1");
    assert_eq!(stage.said("s1"), ["made", "data hello", "eof", "lost"]);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "hello");
}

#[test]
fn partial_read_continues_without_new_edge() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, listen_only);
    let mut client = client(address);
    // All is sent, and nothing happens at the client any more: what is left must be read without a new edge.
    let writer = thread::spawn(move || {
        client.write_all(&bytes(1024 * 1024)).expect("it is read");
        client
    });
    stage.until("all of it", |stage| stage.event_loop.state().bytes_of("s1").len() == 1024 * 1024);
    assert!(stage.event_loop.state().bytes_of("s1") == bytes(1024 * 1024));
    drop(writer.join().expect("it has written"));
}

#[test]
fn two_flooders_alternate() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, |on, transport, journal| {
        if let On::Data(data) = on {
            assert!(data.len() <= 64 * 1024);
            journal.note("reads", format!("{} at {:?}", transport.id(), transport.event_loop().now()));
        }
    });
    let _flooders = [(), ()].map(|()| {
        let mut flooder = client(address);
        flooder.set_nonblocking(true).expect("a socket can");
        let mut sent = 0;
        while let Ok(count) = flooder.write(&[0; 64 * 1024]) {
            sent += count;
        }
        assert!(sent > 4 * 64 * 1024, "the system takes {sent} bytes only");
        flooder
    });
    stage.until("reads", |stage| stage.said("reads").len() >= 8);
    let reads = stage.said("reads");
    assert!(reads.windows(2).all(|pair| pair[0] != pair[1]), "one read per connection and turn: {reads:#?}");
    let who = |line: &String| line.split(' ').next().map(str::to_owned);
    let first_both = reads.iter().position(|line| who(line) != who(&reads[0])).expect("both are read");
    assert!(reads[first_both..first_both + 6].windows(2).all(|pair| who(&pair[0]) != who(&pair[1])), "{reads:#?}");
}

#[test]
fn rst_gives_lost_with_reset_error_and_no_eof() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, listen_only);
    let client = client(address);
    stage.until_said("s1", "made");
    reset(client);
    stage.until_lost("s1");
    assert!(stage.said("s1")[1].starts_with("lost ConnectionReset"), "{:?}", stage.said("s1"));
}

#[test]
fn resume_delivers_what_came_while_paused() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, |on, transport, _| {
        if on == On::Made {
            transport.pause_reading();
        }
    });
    let mut paused = client(address);
    paused.write_all(b"hello").expect("it is connected");
    paused.shutdown(Shutdown::Write).expect("it is connected");
    // A second connection that has come and gone proves that the first one's events are over.
    stage.until_said("s1", "made");
    drop(client(address));
    stage.until_said("s2", "made");
    stage.turn();
    assert_eq!(stage.said("s1"), ["made"]);
    stage.enter(|event_loop, journal| event_loop.transport(journal.id("s1")).expect("it lives").resume_reading());
    stage.until_lost("s1");
    assert_eq!(stage.said("s1"), ["made", "data hello", "eof", "lost"]);
}

// Writing.

#[test]
fn partial_writes_keep_order_and_go_on_by_themselves() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, |on, transport, _| {
        if on == On::Made {
            for round in 0..2000 {
                transport.write(&bytes(1 + round * 7919 % 12_000));
            }
            transport.close();
        }
    });
    let expected: Vec<u8> = (0..2000).flat_map(|round| bytes(1 + round * 7919 % 12_000)).collect();
    let mut client = client(address);
    stage.until_said("s1", "made");
    // Nobody reads, until the system takes no more.
    for _ in 0..300 {
        stage.sockets.turn(&mut stage.event_loop, Some(Duration::from_millis(1))).expect("the poll works");
    }
    assert_eq!(stage.said("s1"), ["made"], "most of it still waits");
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).map(|_| all)
    });
    stage.until_lost("s1");
    assert!(reader.join().expect("it reads").expect("an orderly end") == expected);
    assert_eq!(stage.said("s1"), ["made", "lost"]);
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, |on, transport, journal| {
        echo(on, transport, journal);
        match on {
            On::Paused => transport.pause_reading(),
            On::Resumed => transport.resume_reading(),
            _ => {}
        }
        assert!(transport.write_buffer_size() <= 2 * 64 * 1024);
    });
    let mut half = client(address);
    let mut other = half.try_clone().expect("a descriptor");
    let writer = thread::spawn(move || {
        half.write_all(&bytes(16 * 1024 * 1024)).expect("it is read in the end");
        half.shutdown(Shutdown::Write).expect("it is connected");
    });
    stage.until_said("s1", "paused");
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        other.read_to_end(&mut all).map(|_| all)
    });
    stage.until_lost("s1");
    writer.join().expect("it has written");
    assert!(reader.join().expect("it reads").expect("an orderly end") == bytes(16 * 1024 * 1024));
}

// Connecting and listening.

#[test]
fn connect_refused_gives_lost_once() {
    let mut stage = Stage::new();
    // Bound, so that it is nobody else's, and not listening.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = bound.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    stage.dial(address, Security::Plain, listen_only);
    stage.until_lost("c");
    assert!(stage.said("c")[0].starts_with("lost ConnectionRefused"), "{:?}", stage.said("c"));
    stage.turn();
    assert_eq!(stage.said("c").len(), 1);
}

#[test]
fn connect_by_name() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, echo);
    stage.dial(Target::Name("localhost".to_owned(), address.port()), Security::Plain, |on, transport, _| match on {
        On::Made => transport.write(b"hello"),
        On::Data(_) => transport.close(),
        _ => {}
    });
    stage.until_lost("c");
    assert_eq!(stage.said("c"), ["made", "data hello", "lost"]);
}

#[test]
fn tls_is_the_same_to_a_protocol() {
    let mut stage = Stage::new();
    let authority = Authority::new();
    let address = stage.serve(authority.server("localhost"), echo);
    stage.dial(address, authority.client("localhost"), |on, transport, journal| match on {
        On::Made => transport.write(&bytes(300_000)),
        On::Data(_) if journal.bytes_of("c").len() == 300_000 => transport.close(),
        _ => {}
    });
    stage.until_lost("c");
    stage.until_lost("s1");
    assert!(stage.event_loop.state().bytes_of("c") == bytes(300_000));
    assert_eq!(stage.said("s1").last().map(String::as_str), Some("lost"));
}

#[test]
fn a_provided_listener_is_used() {
    let mut stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let _early = client(address);
    stage.sockets.provide(listener);
    stage.serve_on(address, ServerSecurity::Plain, listen_only);
    stage.until_said("s1", "made");
    assert_eq!(stage.said("door"), [address.to_string()]);
}

#[test]
fn address_in_use_recovers_or_gives_up() {
    let mut stage = Stage::new();
    // A loopback address of its own: a port that it gives up for a moment is not taken by another test.
    let listener = TcpListener::bind("127.0.0.77:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    stage.serve_on(address, ServerSecurity::Plain, listen_only);
    for _ in 0..3 {
        stage.turn();
    }
    assert!(stage.said("door").is_empty());
    drop(listener);
    stage.until_said("door", &address.to_string());
    // Now it is the loop's own.
    let begun = Instant::now();
    stage.serve_on(address, ServerSecurity::Plain, listen_only);
    stage.until_said("door", "AddrInUse");
    let tried = begun.elapsed();
    assert!(tried >= Duration::from_secs(2), "{tried:?}");
}

#[test]
fn stale_events_reach_nobody() {
    let mut stage = Stage::new();
    // Of the first two connections, whoever is read from first ends the other.
    let address = stage.serve(ServerSecurity::Plain, |on, transport, journal| {
        if on == On::Data(b"kill") {
            for id in ["s1", "s2"].map(|name| journal.id(name)) {
                if id != transport.id() {
                    transport.event_loop().transport(id).expect("it lives").abort();
                }
            }
        }
    });
    let mut pair = [(), ()].map(|()| client(address));
    stage.until_said("s2", "made");
    // One batch: data for both, and a newcomer.
    for client in &mut pair {
        client.write_all(b"kill").expect("it is connected");
    }
    let mut newcomer = client(address);
    newcomer.write_all(b"mine").expect("it is connected");
    stage.until_said("s3", "data mine");
    let mut fates = [stage.said("s1"), stage.said("s2")];
    fates.sort();
    assert_eq!(fates, [vec!["made", "data kill"], vec!["made", "lost"]]);
    // And the slot's next user.
    let mut next = client(address);
    next.write_all(b"mine, too").expect("it is connected");
    stage.until_said("s4", "data mine, too");
    assert_eq!(stage.said("s3"), ["made", "data mine"]);
    assert_eq!(stage.said("s4"), ["made", "data mine, too"]);
}

// The process.

#[test]
fn signals_are_events() {
    let mut stage = Stage::new();
    stage.enter(|event_loop, _| {
        event_loop.on_signal(Signal::User1, |_, journal| journal.note("signals", "user 1"));
        event_loop.on_signal(Signal::Hangup, |event_loop, journal| {
            journal.note("signals", "hangup");
            event_loop.stop();
        });
    });
    stage.turn();
    for signal in [signal_hook::consts::SIGUSR1, signal_hook::consts::SIGHUP] {
        signal_hook::low_level::raise(signal).expect("a process may signal itself");
    }
    stage.sockets.run(&mut stage.event_loop).expect("the poll works");
    let mut signals = stage.said("signals");
    signals.sort();
    assert_eq!(signals, ["hangup", "user 1"]);
}

#[test]
fn timer_never_early() {
    let mut stage = Stage::new();
    stage.enter(|event_loop, _| {
        for index in 0..20 {
            let when = event_loop.now() + Duration::from_micros(1500) * index;
            event_loop.call_at(when, move |event_loop, journal| {
                journal.note("timers", if event_loop.now() >= when { "in time" } else { "early" });
            });
        }
    });
    stage.until("timers", |stage| stage.said("timers").len() == 20);
    assert_eq!(stage.said("timers"), ["in time"; 20]);
}

#[cfg(target_os = "linux")]
#[test]
fn fd_count_returns_to_baseline_after_2000_mixed_endings() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, |on, transport, _| {
        let (id, ours) = (transport.id(), transport.id().generation() % 4);
        match (on, ours) {
            (On::Made, 0) => transport.abort(),
            (On::Made, 1) => {
                transport.write(b"bye");
                transport.close();
            }
            (On::Made, 2) => transport.close_slowly(Duration::from_secs(1)),
            (On::Made, _) => {
                // Itself, and once more a connection of its own that is not let in.
                let refused = SocketAddr::from(([127, 0, 0, 1], 1));
                transport.event_loop().connect(refused, Security::Plain, Recorder::new("refused", listen_only));
                transport.event_loop().wake(id);
            }
            _ => {}
        }
    });
    let open = || std::fs::read_dir("/proc/self/fd").expect("Linux has it").count();
    let before = open();
    for round in 0..2000 {
        let mut client = client(address);
        match round % 3 {
            0 => reset(client),
            1 => drop(client),
            _ => {
                let _ = client.write_all(b"hello");
            }
        }
        // The backlog has room for so many.
        if round % 100 == 99 {
            let name = format!("s{}", round + 1);
            stage.until("connection", |stage| !stage.said(&name).is_empty());
        }
    }
    stage.until("quiet", |stage| {
        let all = stage.event_loop.state().all();
        let count = |end: &str| all.iter().filter(|line| line.contains(end)).count();
        count(" made") == 2000 && count(" lost") == 2000 + count("refused lost")
    });
    stage.turn();
    let after = open();
    assert!(after <= before, "{before} descriptors became {after}");
}

/// Runs itself again in a process with few descriptors.
#[cfg(unix)]
#[test]
fn emfile_pauses_listener_and_recovers() {
    const ALONE: &str = "PROXY_HERD_TEST_WITH_FEW_DESCRIPTORS";
    if std::env::var_os(ALONE).is_none() {
        let test = std::env::current_exe().expect("a test has a file");
        let run = format!("ulimit -n 48 && exec '{}' --exact emfile_pauses_listener_and_recovers", test.display());
        let output = Command::new("sh").args(["-c", &run]).env(ALONE, "1").output().expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, echo);
    let mut old = client(address);
    stage.until_said("s1", "made");
    let mut files = Vec::new();
    let full = loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => break error,
        }
    };
    assert_ne!(full.kind(), ErrorKind::NotFound);
    // One for the newcomer's own end, none for ours.
    files.pop();
    let mut new = client(address);
    new.write_all(b"hello").expect("the system has let it in");
    for _ in 0..5 {
        stage.turn();
    }
    assert!(stage.said("s2").is_empty());
    old.write_all(b"still there?").expect("it is connected");
    stage.until_said("s1", "data still there?");
    drop(files);
    stage.until_said("s2", "data hello");
}
