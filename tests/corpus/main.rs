//! The corpora of the fuzz targets, replayed: every file through the property of its target, and through a whole server.
//!
//! The properties are the files beside this one; the targets in `fuzz/` include them, so what a fuzzer tries and what
//! is replayed here is the same. A file that a fuzzer finds is put into its corpus under a name that says what it is.

mod command;
mod lines;
mod link;
mod pieces;
mod response;
mod session;

use std::fs;
use std::panic;
use std::path::Path;

#[test]
fn what_clients_say() {
    replay("command", command::check);
}

#[test]
fn what_neighbours_say() {
    replay("link", link::check);
}

#[test]
fn what_places_says() {
    replay("response", response::check);
}

#[test]
fn what_comes_in_by_either_door() {
    for corpus in ["command", "link", "response", "session"] {
        replay(corpus, session::check);
    }
}

/// Runs `property` on every file of a corpus, of which there must be some.
///
/// # Panics
/// If the property does, with the names of the files that make it.
fn replay(corpus: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(corpus);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let failed: Vec<_> = files
        .iter()
        .filter(|file| {
            let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            panic::catch_unwind(|| property(&bytes)).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "these do not hold, for the reasons above: {failed:#?}");
}
