//! The same on real sockets, with strangers on other threads. It cannot be played again; but whenever everybody holds still,
//! nothing is left to do, and that shows whether an edge was lost:
//!
//! - The poll sleeps: no turn comes without a reason.
//! - No byte waits in the system for a connection that reads, no connection for a listener that has room, and nothing is
//!   kept back that the system would take. (What the system knows of its sockets is read in `/proc`.)
//! - In the end every connection was lost once, the log has no error, and no descriptor is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{Address, EventLoop, Listen, Remote, Security, ServerSecurity};
use proxy_herd::streams::Handle;
use rlimit::Resource;
use socket2::{Domain, Socket, Type};

use crate::certificates::Authority;
use crate::company::Company;
use crate::logbook::logged;
use crate::protocols::{Chaos, Door, Entrance, Mood, NAME, On, Stage, address};
use crate::strangers::Group;

/// A loop in the real world, and the strangers around it.
struct World {
    event_loop: EventLoop<Chaos>,
    sockets: Sockets,
    remote: Remote<Chaos>,
    /// Tasks that do the same.
    company: Company<Chaos>,
    dice: fastrand::Rng,
    authority: Rc<Authority>,
    /// Where somebody listens: plain and TLS by turns.
    doors: Vec<Address>,
    groups: Vec<Group>,
    opened: u32,
}

impl World {
    fn new(seed: u64, doors: Vec<Address>, streets: [Address; 3], elsewhere: &[Address]) -> Self {
        let authority = Rc::new(Authority::new());
        let (everywhere, open) = ([elsewhere, &doors].concat(), [&streets, &doors[..]].concat());
        let chaos = Chaos::new(seed, &authority, everywhere);
        let mut event_loop = EventLoop::new(chaos, Instant::now(), SystemTime::now());
        let [streams, streams_tls, unix] = streets;
        let ways = vec![
            (streams, ServerSecurity::Plain, Security::Plain),
            (streams_tls, authority.server(NAME), authority.client(NAME)),
            (unix, ServerSecurity::Plain, Security::Plain),
        ];
        let (remote, company) = event_loop.enter(|event_loop, chaos| {
            let company = Company::new(Handle::new(event_loop), seed, false, ways);
            company.open();
            chaos.company = Some(company.clone());
            event_loop.set_exception_handler(|event_loop, chaos: &mut Chaos, _| chaos.act(event_loop, None));
            (event_loop.remote(), company)
        });
        let group = |number| Group::new(seed * 100 + number, open.clone(), authority.client(NAME));
        Self {
            event_loop,
            sockets: Sockets::new().expect("descriptors for a poll"),
            remote,
            company,
            dice: fastrand::Rng::with_seed(seed),
            groups: (0..GROUPS).map(group).collect(),
            authority,
            doors,
            opened: 0,
        }
    }

    /// Listens at every door that is not listened at by us already, or at all.
    fn open_doors(&mut self) {
        let Self { event_loop, dice, authority, doors, opened, .. } = self;
        event_loop.enter(|event_loop, chaos| {
            for listener in chaos.open.drain(..) {
                event_loop.close_listener(listener);
            }
            for (index, door) in doors.iter().enumerate() {
                let security = if index % 2 == 0 { ServerSecurity::Plain } else { authority.server(NAME) };
                let most = if dice.bool() { 30 } else { usize::MAX };
                *opened += 1;
                chaos.listeners.insert(*opened, Entrance::Begun);
                let listen = Listen::on(door.clone()).security(security).max_connections(most);
                chaos.open.push(event_loop.listen_with(listen, Door(*opened)));
            }
        });
    }

    /// Has every group do something on a thread of its own, and runs the loop meanwhile.
    fn meanwhile(&mut self, act: fn(&mut Group, &Remote<Chaos>)) {
        self.event_loop.enter(|_, chaos| chaos.finished = 0);
        let threads: Vec<_> = std::mem::take(&mut self.groups)
            .into_iter()
            .map(|mut group| {
                let remote = self.remote.clone();
                thread::spawn(move || {
                    let _end = End(remote.clone());
                    act(&mut group, &remote);
                    group
                })
            })
            .collect();
        // Nobody ends its sleep who should not: the last thread has to.
        while self.event_loop.state().finished < GROUPS as usize {
            self.sockets.turn(&mut self.event_loop, None).expect("the poll works");
        }
        self.groups = threads.into_iter().map(|thread| thread.join().expect("strangers do not panic")).collect();
    }

    /// Everybody holds still, until the poll has slept a few times.
    fn rest(&mut self) {
        let until = Instant::now() + PATIENCE;
        let mut slept = 0;
        while slept < 3 {
            let begun = Instant::now();
            self.sockets.turn(&mut self.event_loop, Some(A_WHILE)).expect("the poll works");
            slept = if begun.elapsed() >= A_WHILE { slept + 1 } else { 0 };
            assert!(begun < until, "the loop does not come to rest");
        }
    }

    /// Nothing waits that could go on. What is seen once may be on its way.
    fn check_rest(&mut self) {
        for _ in 0..10 {
            self.rest();
            let stuck = self.stuck();
            if stuck.is_empty() {
                return;
            }
        }
        panic!("{:#?}", self.stuck());
    }

    fn stuck(&mut self) -> Vec<String> {
        let queues = Queues::read();
        let Self { event_loop, company, doors, .. } = self;
        let mut stuck: Vec<_> =
            company.forgotten().into_iter().map(|what| format!("somebody waits for {what}")).collect();
        for (door, listener) in doors.iter().zip(&event_loop.state().open) {
            let waiting = door.ip().and_then(|door| queues.listeners.get(&door)).copied().unwrap_or_default();
            if event_loop.wants_accept(*listener) && waiting > 0 {
                stuck.push(format!("{waiting} wait at {door}"));
            }
        }
        event_loop.enter(|event_loop, chaos| {
            for (id, seen) in &chaos.connections {
                let Some(transport) = event_loop.transport(*id) else { continue };
                let (Some(local), Some(peer)) = (transport.local_addr(), transport.peer_addr()) else { continue };
                let Some((incoming, outgoing)) = queues.connections.get(&(local, peer)) else {
                    // Whose ends have both ended may have none.
                    if seen.stage != Stage::Ended && !seen.finished && !transport.is_closing() {
                        stuck.push(format!("{id} has not heard that its socket is gone: {seen:?}"));
                    }
                    continue;
                };
                if transport.is_reading() && *incoming > 0 {
                    stuck.push(format!("{id} leaves {incoming} bytes unread: {seen:?}"));
                }
                let unsent = transport.write_buffer_size();
                if matches!(seen.stage, Stage::Open | Stage::Ended) && unsent > 0 && *outgoing == 0 {
                    stuck.push(format!("{id} keeps {unsent} bytes back: {seen:?}"));
                }
            }
            for id in company.own.connections.borrow().iter() {
                let Some(transport) = event_loop.transport(*id) else { continue };
                let Some(ends) = transport.local_addr().zip(transport.peer_addr()) else { continue };
                let Some((incoming, outgoing)) = queues.connections.get(&ends) else { continue };
                if transport.is_reading() && *incoming > 0 || transport.write_buffer_size() > 0 && *outgoing == 0 {
                    stuck.push(format!("{id}, a task's, leaves {incoming} bytes, and {outgoing} are taken"));
                }
            }
        });
        stuck
    }

    /// One round: everybody does anything, then nobody does.
    fn play(&mut self, is_short: bool) {
        self.open_doors();
        self.event_loop.enter(|event_loop, chaos| {
            chaos.mood = Mood::Wild;
            chaos.mercy = 97;
            chaos.energy = 200;
            for _ in 0..20 {
                chaos.begin(event_loop);
            }
        });
        self.company.storm(10, 40);
        let (soft, hard) = rlimit::getrlimit(Resource::NOFILE).expect("there is a limit");
        if is_short {
            let few = descriptors() as u64 + 100;
            rlimit::setrlimit(Resource::NOFILE, few.min(soft), hard).expect("less is allowed");
        }
        self.meanwhile(Group::storm);
        rlimit::setrlimit(Resource::NOFILE, soft, hard).expect("it was so before");
        self.event_loop.enter(|_, chaos| chaos.mood = Mood::Calm);
        self.company.calm_down();
        self.check_rest();
        self.event_loop.enter(|event_loop, chaos| chaos.resume_all(event_loop));
        self.check_rest();
    }

    /// Everybody leaves: either we do, and they hear all that we have said, or they do, and we hear it.
    fn end(&mut self, we_first: bool) {
        self.event_loop.enter(|event_loop, chaos| {
            chaos.mood = Mood::Leaving;
            for (id, seen) in &chaos.connections {
                let Some(mut transport) = event_loop.transport(*id) else { continue };
                transport.set_close_timeout(PATIENCE);
                if we_first || seen.ours || seen.stage == Stage::Ended {
                    transport.close();
                }
            }
            chaos.resume_all(event_loop);
        });
        self.company.leave(we_first);
        self.meanwhile(if we_first { Group::hear_all } else { Group::go });
        let until = Instant::now() + PATIENCE;
        while !self.event_loop.state().connections.is_empty() || self.company.tokens() > 0 {
            self.sockets.turn(&mut self.event_loop, Some(A_WHILE)).expect("the poll works");
            let left = &self.event_loop.state().connections;
            assert!(Instant::now() < until, "they do not end: {left:#?}, and of tasks {}", self.company.tokens());
        }
    }

    fn close_doors(&mut self) {
        self.event_loop.enter(|event_loop, chaos| {
            for listener in chaos.open.drain(..) {
                event_loop.close_listener(listener);
            }
        });
        self.rest();
    }
}

/// Says that a group has finished, or that it could not.
struct End(Remote<Chaos>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.call_soon_threadsafe(|_, chaos| chaos.finished += 1).expect("the loop lives");
    }
}

/// What the system keeps for its TCP sockets, in bytes: came and not read, written and not acknowledged. (For who listens,
/// the first is how many wait.)
struct Queues {
    connections: BTreeMap<(SocketAddr, SocketAddr), (usize, usize)>,
    listeners: BTreeMap<SocketAddr, usize>,
}

impl Queues {
    fn read() -> Self {
        let mut queues = Self { connections: BTreeMap::new(), listeners: BTreeMap::new() };
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
        // Other tests may have left thousands that are over.
        for line in table.lines().skip(1).filter(|line| !line.contains(TIME_WAIT)) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let hex = |text: &str| usize::from_str_radix(text, 16).expect("a number");
            let address = |text: &str| {
                let (ip, port) = text.split_once(':').expect("two parts");
                let ip = u32::from_str_radix(ip, 16).expect("a number").to_ne_bytes();
                SocketAddr::from((ip, u16::from_str_radix(port, 16).expect("a number")))
            };
            let (outgoing, incoming) = fields[4].split_once(':').expect("two parts");
            match fields[3] {
                LISTEN => drop(queues.listeners.insert(address(fields[1]), hex(incoming))),
                _ => {
                    let ends = (address(fields[1]), address(fields[2]));
                    queues.connections.insert(ends, (hex(incoming), hex(outgoing)));
                }
            }
        }
        queues
    }
}

#[test]
fn whatever_protocols_and_strangers_do_nothing_is_stuck_spins_or_leaks() {
    watched(|| {
        let before = descriptors();
        let mut calls = BTreeSet::new();
        let log = logged(|| calls = (0..WORLDS).flat_map(world).collect());
        calls.remove(&On::TlsStarted);
        assert_eq!(calls.len(), 7, "not everything has happened: {calls:?}");
        assert_eq!(descriptors(), before);
        let errors: Vec<_> = log.iter().filter(|line| line.starts_with("ERROR")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    });
}

fn world(seed: u64) -> BTreeSet<On> {
    let folder = tempfile::tempdir().expect("a folder");
    let (silent, refuses) = (bound(), bound());
    silent.listen(1024).expect("it is bound");
    let (plain, tls) = (bound(), bound());
    let doors = vec![
        at(&plain),
        at(&tls),
        Address::Unix(folder.path().join("plain")),
        Address::Unix(folder.path().join("tls")),
    ];
    drop((plain, tls));
    let letter = folder.path().join("letter");
    fs::write(&letter, "nobody can listen here").expect("a writable folder");
    let streets = [at(&bound()), at(&bound()), Address::Unix(folder.path().join("streams"))];
    let mut world = World::new(seed, doors, streets, &[Address::Unix(letter), at(&silent), at(&refuses)]);
    for round in 0..3 {
        world.play(round == 1);
    }
    world.end(seed.is_multiple_of(2));
    world.close_doors();
    assert_eq!(world.company.own.violations.take(), Vec::<String>::new());
    let chaos = world.event_loop.state();
    assert_eq!(chaos.violations, Vec::<String>::new());
    assert_eq!(chaos.gone.len(), chaos.begun, "each was lost once");
    assert_eq!(chaos.jobs, 0, "each was done");
    chaos.calls.clone()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&address(0).into()).expect("a free port");
    socket
}

fn at(socket: &Socket) -> Address {
    socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound").into()
}

/// Runs a test that might sleep for ever.
fn watched(test: impl FnOnce() + Send + 'static) {
    let (say, hear) = channel::<()>();
    let thread = thread::spawn(move || {
        let _over = say;
        test();
    });
    assert_ne!(hear.recv_timeout(FOR_EVER), Err(RecvTimeoutError::Timeout), "the loop sleeps");
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

const LISTEN: &str = "0A";

const TIME_WAIT: &str = " 06 ";

const GROUPS: u64 = 4;

const WORLDS: u64 = 3;

/// How long the poll has to sleep to have nothing to do.
const A_WHILE: Duration = Duration::from_millis(20);

/// Far too long for anything to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole test takes a few seconds.
const FOR_EVER: Duration = Duration::from_secs(120);
