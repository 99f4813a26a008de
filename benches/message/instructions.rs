//! How many instructions the parts take, counted by valgrind's callgrind and held against what they were.
//!
//! - This program runs itself under valgrind, goes through a few rounds of each part inside [`counted`], and callgrind dumps its
//!   counter each time that returns; the least counts. The kernel's instructions are not counted, nor what a cache that misses costs.
//! - Counts repeat to within a few in a thousand. They depend on the compiler, so on another one than the baseline's they are printed, but
//!   nothing fails; they depend a little on the C library and on what the processor can do, for which the tolerance has room.
//! - Where there is no valgrind, or it does not work, it says so and nothing fails.
//!
//! Our own, beside gungraun (iai-callgrind): that wants a runner of its own version installed on each machine, and keeps what
//! it compares with where it builds, not in the repository.

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use super::baseline::{Baseline, Count};
use super::parts::{Extent, OPERATIONS, all};

/// What is done with the counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// They are held against the baseline: fails if one is larger by more than the tolerance.
    Compare,
    /// They are the baseline from now on.
    Update,
}

/// Counts, prints, and compares or updates.
pub(super) fn guard(then: Then) -> ExitCode {
    let names = match output(Command::new(own_path()).arg(COUNT)) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(why) => {
            println!("the parts cannot be gone through: {why}");
            return ExitCode::FAILURE;
        }
    };
    let counts = match under_valgrind() {
        Ok(counts) => counts,
        Err(why) => {
            println!("INSTRUCTIONS ARE NOT COUNTED: {why}");
            return if then == Then::Update { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    assert_eq!(names.lines().count() * ROUNDS, counts.len(), "each part is counted as often");
    let counts = names.lines().zip(counts.chunks(ROUNDS)).map(|(name, rounds)| {
        let least = *rounds.iter().min().expect("there are some");
        Count { name: name.to_owned(), each: least as f64 / OPERATIONS as f64 }
    });
    let now = Baseline { rustc: rustc(), counts: counts.collect() };
    match then {
        Then::Compare => now.compare(&Baseline::read()),
        Then::Update => now.write(),
    }
}

/// Goes through all parts, and says which: what is run under valgrind.
pub(super) fn count() {
    for part in all().into_iter().filter(|part| part.extent == Extent::Both) {
        let mut round = (part.ready)();
        // Until everything has the size that it stays at.
        (0..WARM_UP).for_each(|_| round(&mut |run| run()));
        (0..ROUNDS).for_each(|_| round(&mut counted));
        println!("{}", part.name);
    }
}

/// The argument by which this program knows that it is to [`count`].
pub(super) const COUNT: &str = "--count";

/// The name that callgrind looks for. It must return by itself, not by a jump to what it calls.
#[inline(never)]
fn counted(run: &mut dyn FnMut()) {
    run();
    black_box(());
}

/// The counts of the parts in their order; or why there are none.
fn under_valgrind() -> Result<Vec<u64>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("counts");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--combine-dumps=yes"]);
    valgrind.arg(format!("--toggle-collect={COUNTED}")).arg(format!("--dump-after={COUNTED}"));
    valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(own_path()).arg(COUNT);
    output(&mut valgrind)?;
    read_dumps(&file).map_err(|error| format!("what callgrind has written cannot be read: {error}"))
}

/// The sums of the dumps that were made when [`counted`] returned.
fn read_dumps(file: &Path) -> io::Result<Vec<u64>> {
    let text = fs::read_to_string(file)?;
    let (mut counts, mut is_ours) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(trigger) = line.strip_prefix("desc: Trigger: ") {
            is_ours = trigger.starts_with("--dump-after");
        } else if let Some(sum) = line.strip_prefix("summary: ").filter(|_| is_ours) {
            counts.push(sum.parse().map_err(io::Error::other)?);
        }
    }
    Ok(counts)
}

/// What a program has said; or why it did not end well.
fn output(command: &mut Command) -> Result<Output, String> {
    let program = command.get_program().display().to_string();
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{program} is not installed"),
        _ => format!("{program} cannot be run: {error}"),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let end: Vec<&str> = said.lines().rev().take(SHOWN).collect();
    Err(format!("{program} fails ({}):\n{}", output.status, end.into_iter().rev().collect::<Vec<_>>().join("\n")))
}

/// The compiler's version.
fn rustc() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    match output(Command::new(rustc).arg("--version")) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(why) => why,
    }
}

fn own_path() -> std::path::PathBuf {
    env::current_exe().expect("the system knows what it runs")
}

/// [`counted`], as callgrind knows it.
const COUNTED: &str = "*::instructions::counted";

/// How many rounds do not count.
const WARM_UP: usize = 4;

/// How many rounds are counted: in one, a table may grow or another second begin.
const ROUNDS: usize = 3;

/// How many lines of a failed program's complaints are shown.
const SHOWN: usize = 20;
