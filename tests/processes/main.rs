//! Servers as processes: killed, stopped, restarted one by one under load, without a disk, on hosts whose cable is pulled.
//!
//! Each server is the real command. What it knows is asked from outside (`known`): the first line of an answer to WHATSAT is
//! the report that it holds. Load (`load`) is clients that report without a pause and write down what they were told.

mod across_hosts;
mod asleep;
#[path = "../command/mod.rs"]
#[expect(dead_code, reason = "the tests of the command line need more of it")]
mod command;
mod crash;
mod disk;
mod drain;
mod known;
mod load;
mod namespaces;
mod restart;

use std::io::{self, Write};

use command::{EMBEDDED, Herd, Running};

/// The herd of five, as in topology.json: Welsh has no neighbour but Holiday.
const GOLOMAN: [&str; 5] = ["Goloman", "Hands", "Holiday", "Welsh", "Wilkes"];

const LINKS: [(&str, &str); 6] = [
    ("Goloman", "Hands"),
    ("Goloman", "Holiday"),
    ("Goloman", "Wilkes"),
    ("Hands", "Wilkes"),
    ("Holiday", "Welsh"),
    ("Holiday", "Wilkes"),
];

fn goloman() -> Herd {
    Herd::new(&GOLOMAN, &LINKS, EMBEDDED)
}

/// The neighbours of a server by these links.
fn neighbours(links: &'static [(&str, &str)], name: &str) -> impl Iterator<Item = &'static str> {
    let other = move |(one, other): &(&'static str, &'static str)| match name {
        name if name == *one => Some(*other),
        name if name == *other => Some(*one),
        _ => None,
    };
    links.iter().filter_map(other)
}

/// Waits until a server is linked with each of these, and knows what they know.
#[track_caller]
fn wait_until_in_step<'a>(server: &mut Running, neighbours: impl IntoIterator<Item = &'a str>) {
    for neighbour in neighbours {
        let line = format!(" is in step with {neighbour}: ");
        if !server.said.contains(&line) {
            server.wait_for(&line);
        }
    }
}

/// Says that a test cannot be, where the machine does not have what it takes; not only if it fails.
fn skip(what: &str, why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {what}: {why}");
}
