//! What a full directory costs when one client comes for another: little, whatever the timestamps are.

use std::time::{Duration, Instant};

use proxy_herd::herd::directory::{Directory, Merged};
use proxy_herd::herd::report::Report;

/// Clients choose their timestamps: all the same, they must not make the least of all expensive to find.
#[test]
fn equal_timestamps_do_not_make_room_expensive() {
    let distinct = time_of_evictions(|client| client);
    let equal = time_of_evictions(|_| 5);
    assert!(equal < 50 * distinct, "{equal:?} with equal timestamps, {distinct:?} with different ones");
}

/// How long a full directory takes to let newcomers in.
fn time_of_evictions(stamp: impl Fn(usize) -> usize) -> Duration {
    let mut directory = Directory::new(7).with_max_clients(CLIENTS);
    let mut offer = |client: usize, stamp: usize| {
        let line = format!("AT Ball +0.500000000 k{client} +1+1 {stamp}");
        assert_eq!(directory.merge(&Report::parse(line.as_bytes()).expect("a report")), Merged::Fresh);
    };
    (0..CLIENTS).for_each(|client| offer(client, stamp(client)));
    let start = Instant::now();
    (CLIENTS..CLIENTS + NEWCOMERS).for_each(|client| offer(client, CLIENTS));
    start.elapsed()
}

const CLIENTS: usize = 20_000;
const NEWCOMERS: usize = 200;
