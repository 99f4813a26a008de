//! Promises about edges that come for nothing, do not come again, or come with many others; and signals that interrupt a poll.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proxy_herd::event_loop::{Listen, ServerSecurity};
use signal_hook::consts::SIGUSR2;
use socket2::SockRef;

use crate::logbook::logged;
use crate::loop_core::{millis, note};
use crate::loopback::PATIENCE;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::world::{Client, FAR_TOO_MUCH, World, bytes, on_sockets};

#[test]
fn spurious_event_is_harmless() {
    on_sockets(|world| {
        world.serve(listen_only);
        let client = world.connect();
        world.quiet();
        // Exactly what one read takes: the next has been announced, and finds nothing.
        world.send(client, &bytes(READ));
        world.quiet();
        // The system tells of an urgent byte, and gives none to read.
        let stream = world.loopback().stream(client);
        assert_eq!(SockRef::from(&stream).send_out_of_band(b"!").ok(), Some(1));
        world.quiet();
        world.told("s1", &["made", "data 65536 bytes"]);
        world.send(client, b"x");
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "data 65537 bytes", "eof", "lost"]);
    });
}

#[test]
fn an_edge_of_a_listener_that_somebody_else_has_served_is_harmless() {
    let lines = logged(|| {
        on_sockets(|world| {
            let door = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = door.local_addr().expect("it is bound");
            world.loopback().sockets().provide(door.try_clone().expect("a descriptor"));
            let factory = |journal: &mut Journal| Recorder::new(&journal.next_name(), echo);
            world.enter(|event_loop, _| event_loop.listen(address, ServerSecurity::Plain, factory));
            world.quiet();
            let (first, taken) = (TcpStream::connect(address), door.try_clone().expect("a descriptor"));
            world.enter(|event_loop, _| {
                // After the poll and before the driver accepts.
                event_loop.call_soon(move |_, journal| {
                    journal.note("other", format!("{}", taken.accept().is_ok()));
                });
            });
            world.quiet();
            assert!(first.is_ok());
            world.told("other", &["true"]);
            world.told("s1", &[]);
            let second = world.connect_to(address);
            world.send(second, b"hello");
            world.until("the answer", |world| world.received(second) == b"hello");
        })
    });
    assert!(lines.is_empty(), "{lines:?}");
}

/// How many connections were made.
fn made(world: &dyn World) -> usize {
    world.journal().all().iter().filter(|line| line.ends_with(" made")).count()
}

#[test]
fn listener_left_with_pending_connections_is_revisited_without_new_edge() {
    on_sockets(|world| {
        world.serve(listen_only);
        for _ in 0..100 {
            world.connect();
        }
        world.loopback().turn(Duration::ZERO);
        assert_eq!(made(world), 64, "as many as one turn accepts");
        world.until("the others", |world| made(world) == 100);
    });
    // One is let in at a time, and while the others wait nothing new comes.
    on_sockets(|world| {
        let address = world.address();
        world.open(address);
        let factory = |journal: &mut Journal| Recorder::new(&journal.next_name(), listen_only);
        world.enter(|event_loop, _| event_loop.listen_with(Listen::on(address).max_connections(1), factory));
        let clients = [(); 3].map(|()| world.connect());
        for (before, client) in clients.into_iter().enumerate() {
            world.quiet();
            assert_eq!(made(world), before + 1);
            world.half_close(client);
        }
    });
}

#[test]
fn writable_edge_not_needed_after_short_write_without_wouldblock() {
    on_sockets(|world| {
        let all = bytes(FAR_TOO_MUCH);
        let sent = all.clone();
        world.serve(move |on, transport, _| {
            if on == On::Made {
                transport.write(&sent);
            }
        });
        let client = world.connect();
        world.stop_reading(client);
        world.until("it is made", |world| made(world) == 1);
        let (mut left, mut short) = (all.len(), 0);
        let begun = Instant::now();
        while left > 0 {
            assert!(begun.elapsed() < PATIENCE, "{left} bytes are left, after {short} short writes");
            world.loopback().turn(Duration::ZERO);
            let before = std::mem::replace(&mut left, world.with("s1", |transport| transport.write_buffer_size()));
            if before - left < WRITE {
                // Either a short write or none at all: now there is room again.
                short += usize::from(before > left);
                drain(world, client);
            }
        }
        world.until("all of it", |world| {
            assert!(begun.elapsed() < PATIENCE);
            world.received(client).len() == all.len()
        });
        assert!(world.received(client) == all);
        assert!(short > 0, "the system takes everything");
    });
}

/// The client reads all there is.
fn drain(world: &mut dyn World, client: Client) {
    world.go_on_reading(client);
    while world.loopback().move_clients() {}
    world.stop_reading(client);
}

/// Everybody sends at once, and they are more than one poll reports.
#[test]
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn events_capacity_smaller_than_ready() {
    const ALL: usize = EVENTS + 100;
    on_sockets(|world| {
        let needed = 2 * ALL + 100;
        let most = rlimit::increase_nofile_limit(needed as u64).expect("a limit");
        if most < needed as u64 {
            return println!("skipped: {needed} descriptors are not permitted, only {most}");
        }
        world.serve(echo);
        let mut clients = Vec::new();
        while clients.len() < ALL {
            clients.extend((0..ALL / 4).map(|_| world.connect()));
            world.quiet();
        }
        for client in &clients {
            world.send(*client, b"x");
        }
        let told = |world: &dyn World| world.journal().all().iter().filter(|line| line.ends_with(" data x")).count();
        world.loopback().turn(Duration::ZERO);
        assert!((1..=EVENTS).contains(&told(world)), "{} are told in the first turn", told(world));
        world.quiet();
        assert_eq!(told(world), clients.len());
        assert!(clients.iter().all(|client| world.received(*client) == b"x"));
    });
}

// Signals that interrupt a poll.

/// Turns that end with a timer each, while signals come all the time, until it was many. False if it took the end of the
/// signals to end the sleep.
#[cfg(target_os = "linux")]
fn sleep_under_fire(world: &mut dyn World) -> bool {
    const MANY: usize = 20;
    let thread = fs::read_link("/proc/thread-self").expect("a thread has a number");
    let thread = thread.file_name().expect("it comes last");
    let caught = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(SIGUSR2, Arc::clone(&caught)).expect("a handler");
    let (count, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let outlived = thread::scope(|scope| {
        let fire = scope.spawn(|| {
            let begun = Instant::now();
            while !is_over.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                // The kernel prefers the thread that is named, which is the loop's.
                let kill = Command::new("sh").args(["-c", "kill -USR2 $0"]).arg(thread).status();
                assert!(kill.expect("there is a shell").success());
                count.fetch_add(usize::from(caught.swap(false, Ordering::Relaxed)), Ordering::Relaxed);
            }
            is_over.load(Ordering::Relaxed)
        });
        while count.load(Ordering::Relaxed) < MANY && !fire.is_finished() {
            let before = world.journal().length();
            world.enter(|event_loop, _| event_loop.call_later(millis(200), note("in time")));
            world.loopback().turn(Duration::MAX);
            assert_eq!(world.journal().length(), before + 1, "one turn, one sleep");
        }
        is_over.store(true, Ordering::Relaxed);
        fire.join().expect("it does not panic")
    });
    signal_hook::low_level::unregister(handler);
    outlived
}

#[cfg(target_os = "linux")]
#[test]
fn eintr_in_poll_is_retried() {
    on_sockets(|world| {
        world.quiet();
        sleep_under_fire(world);
        assert!(world.journal().times("call", "in time") > 0);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn poll_timeout_recomputed_after_eintr() {
    on_sockets(|world| {
        world.quiet();
        assert!(sleep_under_fire(world), "every signal has begun the sleep anew");
    });
}

// The driver's measures.

/// The most bytes that one read takes.
const READ: usize = 64 * 1024;

/// The most bytes that one write gives.
const WRITE: usize = 64 * 1024;

/// How many events one poll reports.
const EVENTS: usize = 1024;
