//! Tasks on the simulated network, as clients and servers of each other.
//!
//! All chance but the keys of TLS follows from a seed: one that fails is printed, and replays.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use proxy_herd::driver::sim::{Sim, Weather};
use proxy_herd::event_loop::{Security, ServerSecurity, Signal};
use proxy_herd::streams::Handle;

use crate::certificates::Authority;
use crate::company::{Company, Way};
use crate::protocols::{NAME, address};

/// What is played.
const SEEDS: Range<u64> = 0..24;

/// Some rounds of anything, each with a rest in which nobody is forgotten; what was seen, and what happened.
fn play(seed: u64, ways: &[Way]) -> (String, BTreeSet<&'static str>) {
    let mut sim = Sim::new(seed, if seed.is_multiple_of(2) { Weather::rough() } else { Weather::default() });
    let host = sim.add_host("Goloman", ());
    let company = sim.enter(host, |event_loop, ()| {
        let company = Company::new(Handle::new(event_loop), seed, true, ways.to_vec());
        let stirred = company.clone();
        event_loop.set_exception_handler(move |_, (), _| stirred.stir());
        company.open();
        company
    });
    sim.run_for(Duration::from_millis(1));
    for _ in 0..3 {
        company.storm(20, 40);
        for _ in 0..10 {
            sim.run_for(Duration::from_millis(20));
            sim.signal(host, Signal::Hangup);
            sim.enter(host, |_, ()| company.stir());
        }
        company.calm_down();
        assert!(sim.run_until_quiet(Duration::from_secs(20)), "somebody acts on and on");
        assert_eq!(company.forgotten(), Vec::<&str>::new());
    }
    company.leave(seed % 4 < 2);
    assert!(sim.run_until_quiet(Duration::from_secs(20)), "somebody acts on and on");
    assert_eq!(company.own.violations.take(), Vec::<String>::new());
    assert_eq!(company.tokens(), 0, "of tasks, calls and servers");
    sim.enter(host, |event_loop, ()| {
        for id in company.own.connections.take() {
            assert!(event_loop.transport(id).is_none(), "{id} is left");
        }
    });
    assert!(sim.run_until_quiet(Duration::ZERO), "the loop sleeps");
    (sim.trace().to_string(), company.own.events.take())
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that fails shows its seed")]
fn whatever_tasks_do_nobody_is_forgotten_and_nothing_is_left() {
    let authority = Authority::new();
    let ways = [
        (address(1).into(), ServerSecurity::Plain, Security::Plain),
        (address(2).into(), authority.server(NAME), authority.client(NAME)),
    ];
    let mut events = BTreeSet::new();
    for seed in SEEDS {
        println!("seed {seed}");
        let (trace, more) = play(seed, &ways);
        if seed < 2 {
            assert_eq!(trace, play(seed, &ways).0, "the same seed is the same play");
        }
        events.extend(more);
    }
    assert_eq!(events.len(), 35, "not everything has happened: {events:?}");
}
