//! What streams cost, beside callbacks, on the same work: `cargo bench --bench styles [-- FILTER]`.
//!
//! - `talk`: messages over loopback, of an echo and of the herd's server; how many times as long they take in streams.
//! - `tasks`: what tasks do without any network, beside the same on tokio's current-thread executor.
//! - `memory`: what an idle connection, and an idle task, keep allocated.
//!
//! Both of a row run in turns, so a row's ratio holds wherever it is measured; the other figures are this machine's. Memory
//! is counted by the allocator, which every allocation here pays for a little, in both of a row.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]

#[allow(dead_code, reason = "each bench uses what it needs")]
#[path = "../common/mod.rs"]
mod common;
mod memory;
#[allow(dead_code, reason = "it stands on what the tests of memory stand on, and uses less of it")]
#[path = "../../tests/cost/stage.rs"]
mod stage;
mod talk;
mod tasks;

use std::fmt::Display;

fn main() {
    // Cargo adds `--bench`.
    let filters = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = Wanted(filters);
    let tables = [talk::table(&wanted), tasks::table(&wanted), memory::table(&wanted)];
    println!("\nMeasured on two cores; `cargo bench --bench styles` repeats it.");
    tables.iter().for_each(Table::print);
}

/// Which rows were asked for: those whose names have all these words; without a word, all.
struct Wanted(Vec<String>);

impl Wanted {
    /// Whether to measure this; says so, as it takes some seconds.
    fn begins(&self, name: &str) -> bool {
        let begins = self.0.iter().all(|word| name.contains(word.as_str()));
        if begins {
            eprintln!("{name} ...");
        }
        begins
    }
}

/// Rows of text, for a README.
struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn print(&self) {
        if self.rows.is_empty() {
            return;
        }
        println!();
        row(self.head);
        row(&vec!["---"; self.head.len()]);
        self.rows.iter().for_each(|cells| row(cells));
    }
}

fn row(cells: &[impl Display]) {
    cells.iter().for_each(|cell| print!("| {cell} "));
    println!("|");
}
