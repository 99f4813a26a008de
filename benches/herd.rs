//! What the herd decides, without a network: an IAMAT through the node by the number of known clients, a newcomer in a full
//! directory, and an answer of Places mapped, read and cut. The other parts of a message's way are in `message`.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use proxy_herd::herd::directory::{Directory, Merged};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::node::{Effects, NeighbourId, Node, Origin};
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::places::answer::Answer;
use proxy_herd::places::mapping;
use serde_json::Value;

fn handling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("node");
    group.throughput(Throughput::Elements(1));
    for clients in [1_000, 100_000, 1_000_000] {
        iamat(&mut group, clients);
    }
    group.finish();
}

/// Clients say in an order that no cache foresees where they are, each time a nanosecond later: every IAMAT is fresh.
fn iamat(group: &mut BenchmarkGroup<'_, WallTime>, clients: u64) {
    let mut node = Node::new(ServerName::parse(b"Goloman").expect("a name"), 7);
    let mut effects = Effects::new();
    let now = Timestamp::parse(b"1520023935.182837383").expect("a timestamp");
    for client in 0..clients {
        let line = format!("AT Hands +0.263873386 client-{client:07} +34.068930-118.445127 1520023934.000000000");
        node.handle(Origin::Neighbour(NeighbourId(0)), line.as_bytes(), now, &mut effects);
        effects.clear();
    }
    let mut line = b"IAMAT client-0000000 +34.068930-118.445127 1520023934.000000000".to_vec();
    let mut turn = 0_u64;
    group.bench_function(format!("IAMAT among {clients} clients"), |bencher| {
        bencher.iter(|| {
            turn += 1;
            write_digits(&mut line[13..20], turn * STRIDE % clients);
            let end = line.len();
            write_digits(&mut line[end - 9..], turn);
            effects.clear();
            node.handle(Origin::Client, black_box(&line), now, &mut effects);
            black_box(&effects);
        });
    });
    assert_eq!(node.directory().len() as u64, clients);
}

/// A full directory lets newcomers in, each for the least report there is; clients choose the timestamps, also all the same.
fn evicting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("full directory");
    group.throughput(Throughput::Elements(1));
    let line =
        |client: u64, second: u64| format!("AT Hands +0.263873386 client-{client:09} +34.068930-118.445127 {second}");
    for (name, spread) in [("timestamps that differ", 1), ("timestamps all the same", 0)] {
        let mut directory = Directory::new(7).with_max_clients(FULL as usize);
        let mut offer = |client: u64| {
            let line = line(client, spread * client);
            directory.merge(&Report::parse(line.as_bytes()).expect("a report"))
        };
        (0..FULL).for_each(|client| assert_eq!(offer(client), Merged::Fresh));
        let mut client = FULL;
        group.bench_function(format!("a newcomer among {FULL}, {name}"), |bencher| {
            bencher.iter(|| {
                client += 1;
                black_box(offer(client))
            });
        });
    }
    group.finish();
}

/// An answer is mapped if it is the new API's, read once, and cut for each client that asked.
fn answering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer of 20 results");
    let new = new_page();
    group.throughput(Throughput::Bytes(new.len() as u64));
    group.bench_function("map", |bencher| bencher.iter(|| mapping::legacy(black_box(new.as_bytes()))));
    group.throughput(Throughput::Bytes(HELSINKI.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter_batched(|| HELSINKI.to_vec(), |body| Answer::read(black_box(body)), BatchSize::SmallInput);
    });
    let answer = Answer::read(HELSINKI.to_vec()).expect("an answer of Places");
    for bound in [0, 5, 20] {
        group.throughput(Throughput::Bytes(answer.text(bound).len() as u64));
        group.bench_function(format!("cut to {bound}"), |bencher| bencher.iter(|| answer.text(black_box(bound))));
    }
    group.finish();
}

/// What the new API says of as many places as there may be, each with all its fields.
fn new_page() -> String {
    let mut page: Value = serde_json::from_str(NEW).expect("JSON");
    let place = page["places"][0].take();
    page["places"] = vec![place; Answer::RESULTS_LIMIT].into();
    format!("{page:#}")
}

fn write_digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

const NEW: &str = include_str!("../tests/data/nearby_new.json");
const HELSINKI: &[u8] = include_bytes!("../tests/data/helsinki.json");

/// How many clients the full directory has room for.
const FULL: u64 = 100_000;

/// Shares no factor with the numbers of clients, so that each is visited once a round, far from the one before.
const STRIDE: u64 = 7_919_111;

criterion_group!(benches, handling, evicting, answering);
criterion_main!(benches);
