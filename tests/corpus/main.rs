//! The corpora of the fuzz targets, replayed: every file through the property of its target, and through a whole server.
//!
//! The properties are the files beside this one; the targets in `fuzz/` include them, so what a fuzzer tries and what
//! is replayed here is the same. A file that a fuzzer finds is put into its corpus under a name that says what it is, and if
//! it is a response, also into the table of what becomes of each.

mod command;
mod framing;
mod lines;
mod link;
mod messages;
mod outcomes;
mod pieces;
mod recorded;
mod request;
mod response;
mod session;

use std::collections::BTreeMap;
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
fn what_the_stand_in_is_asked() {
    replay("request", request::check);
}

#[test]
fn what_comes_in_by_either_door() {
    for corpus in ["command", "link", "request", "response", "session"] {
        replay(corpus, session::check);
    }
}

/// Runs `property` on every file of a corpus, of which there must be some.
///
/// # Panics
/// If the property does, with the names of the files that make it.
fn replay(corpus: &str, property: fn(&[u8])) {
    let failed: Vec<_> = files(corpus)
        .into_iter()
        .filter(|(_, bytes)| panic::catch_unwind(|| property(bytes)).is_err())
        .map(|(name, _)| name)
        .collect();
    assert!(failed.is_empty(), "these of {corpus} do not hold, for the reasons above: {failed:#?}");
}

/// The files of a corpus by their names, of which there must be some.
fn files(corpus: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(corpus);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: BTreeMap<_, _> = entries
        .map(|entry| {
            let file = entry.expect("a readable folder").path();
            let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            (file.file_name().expect("a file").to_string_lossy().into_owned(), bytes)
        })
        .collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}
