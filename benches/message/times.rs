//! How long the parts take: Criterion's times are of a round, its throughput is of what a round consists of.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};

use super::parts::{OPERATIONS, all};

/// Measures those that the command line asks for.
pub(super) fn measure() {
    let short = Criterion::default().sample_size(20);
    let short = short.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(1_500));
    let mut criterion = short.configure_from_args();
    let mut group = criterion.benchmark_group("message");
    group.throughput(Throughput::Elements(OPERATIONS as u64));
    for part in all() {
        // Only if it is asked for.
        let mut round = None;
        group.bench_function(&part.name, |bencher| {
            let round = round.get_or_insert_with(&part.ready);
            bencher.iter_custom(|rounds| {
                let mut time = Duration::ZERO;
                for _ in 0..rounds {
                    round(&mut |run| {
                        let begun = Instant::now();
                        run();
                        time += begun.elapsed();
                    });
                }
                time
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
