//! What an idle connection keeps allocated, in each style, and what an idle task does.
//!
//! Counted as in `tests/cost`. Tables double when they are full, so what each costs depends on how many there are: the least
//! of what is measured is with full tables, the most with tables that have just doubled.

use std::fmt;
use std::future::pending;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use proxy_herd::event_loop::{EventLoop, ServerSecurity};
use proxy_herd::server::Style;
use proxy_herd::streams::Handle;

use super::common::clients::Talk;
use super::common::echo::{self, Echo};
use super::common::{goloman, herd};
use super::stage::{Stage, Used, bytes, connect};
use super::tasks::{Executor, Ours, Runner, Tokio};
use super::{Table, Wanted};

pub(super) fn table(wanted: &Wanted) -> Table {
    let measures: [(&str, Measure, &str); 3] = [
        ("connection of an echo", || [idle_echo(echo_in_callbacks), idle_echo(echo_in_streams)], "1024 more"),
        ("client of the herd, alone", || [Style::Callbacks, Style::Streams].map(idle_client), "512, 1536"),
        ("task, beside tokio", || [idle_tasks::<Tokio>(), idle_tasks::<Ours>()], ""),
    ];
    let rows = measures.into_iter().filter(|(name, ..)| wanted.begins(&format!("memory of an idle {name}")));
    Table {
        head: &["bytes of an idle", "callbacks", "streams", "more", "at most"],
        rows: rows
            .map(|(name, measure, limit)| {
                let [beside, streams] = measure();
                let more = Costs { full: streams.full - beside.full, doubled: streams.doubled - beside.doubled };
                vec![name.to_owned(), beside.to_string(), streams.to_string(), more.to_string(), limit.to_owned()]
            })
            .collect(),
    }
}

/// The way to measure a row: callbacks first, or whoever stands beside.
type Measure = fn() -> [Costs; 2];

/// Bytes that each costs.
#[derive(Clone, Copy)]
struct Costs {
    full: i64,
    doubled: i64,
}

impl Costs {
    fn of(measured: impl Iterator<Item = i64> + Clone) -> Self {
        let [full, doubled] = [measured.clone().min(), measured.max()].map(|one| one.expect("several counts"));
        Self { full, doubled }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} / {}", self.full, self.doubled)
    }
}

fn idle<S>(start: impl FnOnce(SocketAddr) -> EventLoop<S>, connections: fn(&S) -> usize, talk: &Talk) -> Costs {
    let mut stage = Stage::new(start, connections);
    let measured = stage.idle(&Used { counts: &COUNTS, message: talk.line, answer: talk.answer }, connect);
    Costs::of(measured.into_iter().map(|(_, each)| each))
}

fn idle_echo(start: fn(SocketAddr) -> EventLoop<usize>) -> Costs {
    idle(start, |connections| *connections, &echo::TALK)
}

fn idle_client(style: Style) -> Costs {
    idle(|address| goloman::goloman(style, address), goloman::clients, &herd::TALK)
}

fn idle_tasks<R: Runner>() -> Costs {
    let mut runner = R::new();
    let (mut count, mut grown) = (0, 0);
    let each = COUNTS.map(|wanted| {
        grown += bytes(|| {
            let tasks = runner.executor();
            runner.run(async move {
                (count..wanted).for_each(|_| tasks.detach(pending()));
                // Until they were polled.
                tasks.join(async {}).await;
            });
        });
        count = wanted;
        grown / wanted as i64
    });
    Costs::of(each.into_iter())
}

fn echo_in_callbacks(address: SocketAddr) -> EventLoop<usize> {
    let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        event_loop.listen(address, ServerSecurity::Plain, |_: &mut usize| Echo { timeout: None });
    });
    event_loop
}

fn echo_in_streams(address: SocketAddr) -> EventLoop<usize> {
    let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        let handle = Handle::new(event_loop);
        echo::start(&handle.clone(), address, move |reader, writer| {
            handle.call_soon(|_, connections| *connections += 1);
            echo::echo(reader, writer)
        });
    });
    event_loop
}

/// About the size at which tables double; the server of a style may have an entry of its own.
const COUNTS: [usize; 3] = [4_095, 4_096, 4_097];
