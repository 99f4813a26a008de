//! What the parts took when somebody last wrote it down, in `benches/message/instructions.json`; and what is different now.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

/// The counts of all parts, and the compiler that has made them.
pub(super) struct Baseline {
    pub(super) rustc: String,
    pub(super) counts: Vec<Count>,
}

/// What a part takes.
pub(super) struct Count {
    pub(super) name: String,
    /// Instructions for each line or message.
    pub(super) each: f64,
}

impl Baseline {
    /// What is written down.
    pub(super) fn read() -> Self {
        let text = fs::read_to_string(path()).expect("it is in the repository");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let counts = value["instructions"].as_object().expect("counts by name");
        let count =
            |(name, each): (&String, &Value)| Count { name: name.clone(), each: each.as_f64().expect("a number") };
        Self {
            rustc: value["rustc"].as_str().expect("a version").to_owned(),
            counts: counts.iter().map(count).collect(),
        }
    }

    /// Writes it down.
    pub(super) fn write(&self) -> ExitCode {
        let counts = self.counts.iter().map(|count| (count.name.clone(), json!((count.each * 10.0).round() / 10.0)));
        let value = json!({ "rustc": self.rustc, "instructions": counts.collect::<Map<_, _>>() });
        fs::write(path(), format!("{value:#}\n")).expect("the repository is writable");
        println!("{} parts are written to {}", self.counts.len(), path().display());
        ExitCode::SUCCESS
    }

    /// Prints all, beside what was written down; fails if something takes more than the tolerance allows, by the same compiler.
    pub(super) fn compare(&self, before: &Self) -> ExitCode {
        println!("| instructions | each | baseline | change |\n|---|--:|--:|--:|");
        let (mut more, mut less) = (0, 0);
        for count in &self.counts {
            let Some(before) = before.counts.iter().find(|other| other.name == count.name) else {
                println!("| {} | {:.0} | | new |", count.name, count.each);
                continue;
            };
            let change = 100.0 * (count.each / before.each - 1.0);
            more += usize::from(change > TOLERANCE);
            less += usize::from(change < -TOLERANCE);
            // Adding nothing makes nothing of what is less than nothing by less than is shown.
            let shown = (change * 10.0).round() / 10.0 + 0.0;
            println!("| {} | {:.0} | {:.0} | {shown:+.1} % |", count.name, count.each, before.each);
        }
        let gone = before.counts.iter().filter(|before| self.counts.iter().all(|count| count.name != before.name));
        gone.for_each(|before| println!("| {} | | {:.0} | gone |", before.name, before.each));
        println!(
            "\nmore than {TOLERANCE} % above the baseline: {more}; below: {less}. To write down what is now: {UPDATE}"
        );
        if self.rustc != before.rustc {
            println!("nothing fails, as the baseline is of another compiler: {}, not {}", before.rustc, self.rustc);
            return ExitCode::SUCCESS;
        }
        if more > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches", "message", "instructions.json"].iter().collect()
}

/// By how many per cent a part may take more.
const TOLERANCE: f64 = 5.0;

const UPDATE: &str = "cargo bench --bench message -- --instructions --update";
