//! How fast echo on the loop is, as a fraction of a bare mio server's speed: `cargo bench --bench ratios [-- FILTER]`.
//!
//! Both servers of a case stand at the same time, each with its clients, and take turns.
//!
//! What it does not do: absolute figures; `event_loop` has them.

#![expect(clippy::print_stdout, reason = "the ratios are what it is for")]

#[allow(dead_code, reason = "each bench uses what it needs")]
mod common;

use self::common::clients::Clients;
use self::common::echo::{CASES, SERVERS, TALK};
use self::common::pairs::compare;

fn main() {
    // Cargo adds `--bench`.
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for case in CASES {
        let name = format!("echo, {case}");
        if filters.iter().all(|filter| name.contains(filter.as_str())) {
            let [mut bare, mut ours] = SERVERS.map(|(_, serve)| Clients::connect(case, TALK, serve));
            // As many times as long as ours it takes, so many times as fast are we.
            println!("{name}: loop / mio = {}", compare(&mut ours, &mut bare));
        }
    }
}
