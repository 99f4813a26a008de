//! What the loop costs, in time: dispatch and timers without a socket, and echo over loopback beside a bare mio server.
//!
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
use proxy_herd::event_loop::{ConnId, EventLoop, Loop, ServerSecurity};

use self::common::bare::Bare;
use self::common::clients::Clients;
use self::common::echo::{CASES, Echo, MESSAGE, SERVERS, TALK};

/// A loop of echoes, and which of its connections is next.
struct Crowd {
    bare: Bare<usize>,
    connections: Vec<ConnId>,
    next: usize,
}

impl Crowd {
    fn new(count: usize, timeout: Option<Duration>) -> Self {
        let mut bare = bare();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        bare.enter(|event_loop, _| {
            event_loop.listen(address, ServerSecurity::Plain, move |_: &mut usize| Echo { timeout });
        });
        bare.turn(Duration::ZERO, |_| ());
        let connections = bare.accept(address, count);
        Self { bare, connections, next: 0 }
    }

    /// A turn, `later` than the last: each of some connections has a message, scattered over all, and gets it back.
    fn turn(&mut self, later: Duration) {
        let Self { bare, connections, next } = self;
        bare.turn(later, |event_loop| {
            for _ in 0..TURN {
                *next = (*next + STRIDE) % connections.len();
                event_loop.received(connections[*next], black_box(MESSAGE));
            }
        });
    }
}

fn bare() -> Bare<usize> {
    Bare::new(EventLoop::new(0, Instant::now(), SystemTime::now()))
}

fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(TURN as u64));
    for connections in [10, 1_000, 100_000] {
        let mut crowd = Crowd::new(connections, None);
        group.bench_function(format!("{connections} connections"), |bencher| {
            bencher.iter(|| crowd.turn(Duration::ZERO));
        });
    }
    // Each connection speaks once a second and may be silent for ten, so its timer comes up for every tenth message.
    let mut crowd = Crowd::new(MANY, Some(Duration::from_secs(10)));
    let turn = Duration::from_secs(1) * TURN as u32 / MANY as u32;
    group.bench_function(format!("{MANY} connections, set_timeout each time"), |bencher| {
        bencher.iter(|| crowd.turn(turn));
    });
    group.finish();
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    group.throughput(Throughput::Elements(1));
    for waiting in [0, MANY] {
        let mut bare = bare();
        bare.enter(|event_loop, _| {
            for index in 0..waiting {
                event_loop.call_later(FAR + Duration::from_millis(index as u64), count);
            }
        });
        group.bench_function(format!("call_later and fire, {waiting} waiting"), |bencher| {
            bencher.iter(|| {
                bare.enter(|event_loop, _| event_loop.call_later(TICK, count));
                bare.turn(TICK, |_| ());
            });
            assert!(*bare.state() > 0, "they were called");
        });
        group.bench_function(format!("call_later and cancel, {waiting} waiting"), |bencher| {
            bencher.iter(|| {
                bare.enter(|event_loop, _| {
                    let call = event_loop.call_later(FAR, count);
                    event_loop.cancel(call);
                });
            });
        });
    }
    let mut bare = bare();
    group.bench_function("call_soon", |bencher| {
        bencher.iter(|| {
            bare.enter(|event_loop, _| event_loop.call_soon(count));
            bare.turn(Duration::ZERO, |_| ());
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
