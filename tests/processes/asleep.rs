//! A server that is stopped for longer than its neighbours bear, and goes on: its links come back, and it learns what it missed.

use std::time::Duration;

use crate::command::{EMBEDDED, Herd};
use crate::known::{tell, until_known};
use crate::wait_until_in_step;

/// It takes as long as a link may be silent: half a minute, in which the other tests run.
#[test]
fn a_server_that_was_asleep_is_dropped_and_comes_back_in_step() {
    let herd =
        Herd::new(&["Ball", "Hill", "Smith"], &[("Ball", "Hill"), ("Ball", "Smith"), ("Hill", "Smith")], EMBEDDED);
    let mut ball = herd.start("callbacks", &["Ball"]);
    // A neighbour of each style.
    let mut others = [("Hill", "callbacks"), ("Smith", "streams")].map(|(name, style)| herd.start(style, &[name]));
    wait_until_in_step(&mut ball, ["Hill", "Smith"]);
    for other in &mut others {
        wait_until_in_step(other, ["Ball"]);
        other.said.clear();
        other.patience = Duration::from_secs(50);
    }
    let before = tell(herd.clients("Hill"), "before");
    until_known(herd.clients("Ball"), &before);

    ball.signal("STOP");
    let asleep = tell(herd.clients("Hill"), "asleep");
    until_known(herd.clients("Smith"), &asleep);
    for other in &mut others {
        other.wait_for(" is dropped: silent for 30s");
        other.said.clear();
    }
    let missed = ["Hill", "Smith"].map(|name| tell(herd.clients(name), &format!("missed-by-{name}")));

    ball.signal("CONT");
    for other in &mut others {
        wait_until_in_step(other, ["Ball"]);
    }
    let [of_hill, of_smith] = &missed;
    for report in [&before, &asleep, of_hill, of_smith, &tell(herd.clients("Ball"), "awake")] {
        for name in ["Ball", "Hill", "Smith"] {
            until_known(herd.clients(name), report);
        }
    }
}
