//! Who else was on this machine's cores, as far as Linux tells.

use std::fs;
use std::time::Instant;

/// How busy the machine was until some time, and how busy this process.
pub(super) struct Machine {
    at: Instant,
    busy: Option<f64>,
}

impl Machine {
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), busy: others() }
    }

    /// How many cores were busy with others since then, in the mean.
    pub(super) fn others_since(&self) -> Option<f64> {
        Some((others()? - self.busy?).max(0.0) / self.at.elapsed().as_secs_f64())
    }
}

/// For how many seconds cores were busy with others, since the machine started.
fn others() -> Option<f64> {
    let all = fs::read_to_string("/proc/stat").ok()?;
    let all: Vec<u64> =
        all.lines().next()?.split_ascii_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; a guest's time is among the first two.
    let busy = all.get(..8)?.iter().sum::<u64>() - all[3] - all[4];
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, which may have spaces, ends with the last parenthesis; user and system are the twelfth and the
    // thirteenth word after it.
    let own = own.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
    let own: u64 = own.map_while(|word| word.parse::<u64>().ok()).sum();
    Some((busy as f64 - own as f64) / TICKS)
}

/// In which both files count: `USER_HZ`, the same on all machines.
const TICKS: f64 = 100.0;
