//! What the loop costs, in time: dispatch and timers without a socket, and echo over loopback beside a bare mio server.
//!
//! Without sockets, this file plays the driver: it says what was received and takes what is pending, a turn at a time.
//! Over sockets, a round trip of N clients is: all send, then all wait; the server has its own thread.
//!
//! What fraction of a bare server's speed the loop reaches is not to be taken from here: the machine drifts between two
//! groups. `ratios` measures that.

#[allow(dead_code, reason = "each bench uses what it needs")]
mod common;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proxy_herd::event_loop::{ConnId, Endpoints, EventLoop, Loop, Request, ServerSecurity};

use self::common::clients::Clients;
use self::common::echo::{CASES, Echo, MESSAGE, SERVERS, TALK};

/// A loop with connections but without sockets, and the time it is told.
struct Bare {
    event_loop: EventLoop<usize>,
    connections: Vec<ConnId>,
    now: Instant,
    wall: SystemTime,
    next: usize,
}

impl Bare {
    fn new(count: usize, timeout: Option<Duration>) -> Self {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let mut event_loop = EventLoop::new(0, now, wall);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        event_loop.enter(|event_loop, _| {
            event_loop.listen(address, ServerSecurity::Plain, move |_: &mut usize| Echo { timeout })
        });
        let Some(Request::Listen { listener, address, .. }) = event_loop.poll_request() else {
            panic!("not asked to listen")
        };
        event_loop.listening(listener, address.clone());
        let endpoints = Endpoints::new(address.clone(), address);
        let accept = |_| event_loop.accepted(listener, endpoints.clone()).expect("the listener is open");
        let connections = (0..count).map(accept).collect();
        Self { event_loop, connections, now, wall, next: 0 }
    }

    /// A turn, `later` than the last: each of some connections has a message, scattered over all, and gets it back.
    fn turn(&mut self, later: Duration) {
        self.now += later;
        self.event_loop.advance(self.now, self.wall);
        for _ in 0..TURN {
            self.next = (self.next + STRIDE) % self.connections.len();
            self.event_loop.received(self.connections[self.next], black_box(MESSAGE));
        }
        self.event_loop.end_turn();
        while let Some(request) = self.event_loop.poll_request() {
            black_box(request);
        }
        while let Some(id) = self.event_loop.next_dirty() {
            let count = black_box(self.event_loop.pending(id)).len();
            self.event_loop.sent(id, count);
        }
    }
}

fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(TURN as u64));
    for connections in [10, 1_000, 100_000] {
        let mut bare = Bare::new(connections, None);
        group.bench_function(format!("{connections} connections"), |bencher| {
            bencher.iter(|| bare.turn(Duration::ZERO));
        });
    }
    // Each connection speaks once a second and may be silent for ten, so its timer comes up for every tenth message.
    let mut bare = Bare::new(MANY, Some(Duration::from_secs(10)));
    let turn = Duration::from_secs(1) * TURN as u32 / MANY as u32;
    group.bench_function(format!("{MANY} connections, set_timeout each time"), |bencher| {
        bencher.iter(|| bare.turn(turn));
    });
    group.finish();
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    group.throughput(Throughput::Elements(1));
    for waiting in [0, MANY] {
        let mut bare = Bare::new(0, None);
        bare.event_loop.enter(|event_loop, _| {
            for index in 0..waiting {
                event_loop.call_later(FAR + Duration::from_millis(index as u64), count);
            }
        });
        group.bench_function(format!("call_later and fire, {waiting} waiting"), |bencher| {
            bencher.iter(|| {
                bare.event_loop.enter(|event_loop, _| event_loop.call_later(TICK, count));
                bare.now += TICK;
                bare.event_loop.advance(bare.now, bare.wall);
                bare.event_loop.end_turn();
            });
            assert!(*bare.event_loop.state() > 0, "they were called");
        });
        group.bench_function(format!("call_later and cancel, {waiting} waiting"), |bencher| {
            bencher.iter(|| {
                bare.event_loop.enter(|event_loop, _| {
                    let call = event_loop.call_later(FAR, count);
                    event_loop.cancel(call);
                });
            });
        });
    }
    let mut bare = Bare::new(0, None);
    group.bench_function("call_soon", |bencher| {
        bencher.iter(|| {
            bare.event_loop.enter(|event_loop, _| event_loop.call_soon(count));
            bare.event_loop.advance(bare.now, bare.wall);
        });
    });
    group.finish();
}

fn count(_: &mut Loop<'_, usize>, calls: &mut usize) {
    *calls += 1;
}

fn echo(criterion: &mut Criterion) {
    for case in CASES {
        let mut group = criterion.benchmark_group(format!("echo, {case}"));
        group.throughput(Throughput::Elements(case.messages() as u64));
        for (name, serve) in SERVERS {
            let mut clients = Clients::connect(case, TALK, serve);
            group.bench_function(name, |bencher| bencher.iter(|| clients.round_trip()));
        }
        group.finish();
    }
}

/// Messages in a turn without sockets.
const TURN: usize = 10;

/// A prime: connections are visited in a scattered order.
const STRIDE: usize = 7_919;

const MANY: usize = 100_000;

/// When timers that shall not fire would.
const FAR: Duration = Duration::from_secs(3_600);

const TICK: Duration = Duration::from_nanos(1);

/// Short, so that what one group compares is measured within a few seconds of the same machine.
fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = dispatch, timers, echo }
criterion_main!(benches);
