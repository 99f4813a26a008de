//! The parts of a message's way, each ready to be gone through again and again.
//!
//! A round is [`OPERATIONS`] of the same. What it needs is made before, and does not count: only what is inside the meter does.

use proxy_herd::server::Style;

use super::{herd, logging, loops, servers};

/// One part.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) extent: Extent,
    /// Gets it ready, which may take a while.
    pub(super) ready: Box<dyn Fn() -> Round>,
}

/// Where a part is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// In time and in instructions.
    Both,
    /// In time: with so many clients it differs by the memory, which instructions do not show, and takes minutes to get ready.
    Time,
}

/// Does everything once, [`OPERATIONS`] times what is measured, which it hands to the meter.
pub(super) type Round = Box<dyn FnMut(Meter<'_>)>;

/// Measures what it is given by calling it once.
pub(super) type Meter<'m> = &'m mut dyn FnMut(&mut dyn FnMut());

/// How many lines or messages there are in a round.
pub(super) const OPERATIONS: usize = 256;

/// All parts, in the order of a message's way.
pub(super) fn all() -> Vec<Part> {
    let mut parts = vec![
        part("split: a line", herd::split),
        part("parse: IAMAT", herd::parse_iamat),
        part("parse: WHATSAT", herd::parse_whatsat),
        part("parse: AT", herd::parse_at),
        part("write: AT", herd::write),
    ];
    for known in [1_000, 100_000, 1_000_000] {
        parts.push(part(&format!("merge: among {known} clients"), move || herd::merge(known)).of_many(known));
    }
    parts.push(part("log: a line", logging::line));
    for style in [Style::Callbacks, Style::Streams] {
        parts.push(part(&format!("echo, {style}: one at a time"), move || loops::echo(style)));
        for (depth, words) in [(1, "one at a time"), (servers::BATCH, "16 at a time")] {
            let name = format!("IAMAT, {style}: {words}");
            parts.push(part(&name, move || servers::iamat(style, depth, FEW)));
        }
        for known in [100_000, 1_000_000] {
            let name = format!("IAMAT, {style}: 16 at a time among {known} clients");
            parts.push(part(&name, move || servers::iamat(style, servers::BATCH, known)).of_many(known));
        }
        parts.push(part(&format!("IAMAT, {style}: 16 at a time, logged"), move || logging::iamat(style)));
        parts.push(part(&format!("flood, {style}: IAMAT to 3 neighbours"), move || servers::flood(style)));
        parts.push(part(&format!("flood, {style}: AT from one to 2 others"), move || servers::pass_on(style)));
        parts.push(part(&format!("flood, {style}: AT that is known"), move || servers::hear_again(style)));
    }
    parts
}

fn part(name: &str, ready: impl Fn() -> Round + 'static) -> Part {
    Part { name: name.to_owned(), extent: Extent::Both, ready: Box::new(ready) }
}

impl Part {
    fn of_many(self, known: u64) -> Self {
        Self { extent: if known > 100_000 { Extent::Time } else { Extent::Both }, ..self }
    }
}

/// How many clients are known where their number is not the question.
pub(super) const FEW: u64 = 1_000;
