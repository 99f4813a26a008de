//! Where the lines of the `log` facade go: a file for each server, or standard error.
//!
//! A line's target is the server that says it; its message starts with the connection it is about. One record is one line, whatever
//! a client sent: control characters are escaped here, once for all. Lines wait in memory until somebody calls `flush`, which
//! the loop does at the end of each turn. A line that cannot be written is counted and dropped: no server stops for its log.
//! Files are appended to and never turned over: that is for whoever moves them and then asks to [`Logs::reopen`].
//!
//! Our own, because flexi_logger sorts lines into files only by targets of the form `{file}` (see its `writers` page), which the
//! library would have to write, and because what a full disk swallows shall be counted and told.

mod line;
mod outlet;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::cli::logs::line::Clock;
use crate::cli::logs::outlet::Outlet;
use crate::herd::name::ServerName;

/// The log of this process.
pub struct Logs(Mutex<Outlets>);

impl Logs {
    /// All lines to standard error.
    pub fn to_standard_error() -> Self {
        Self::new(vec![Outlet::new(THE_OTHERS, Box::new(io::stderr()))])
    }

    /// The lines of each of the `servers` to `<folder>/<SERVER>.log`, all others to `<folder>/proxy-herd.log`.
    ///
    /// # Errors
    /// If the folder cannot be made or a file in it not be opened: names it.
    pub fn to_folder<'a>(folder: &Path, servers: impl IntoIterator<Item = &'a ServerName>) -> io::Result<Self> {
        fs::create_dir_all(folder).map_err(|error| outlet::about(folder, &error))?;
        let names = servers.into_iter().map(ServerName::as_str).chain([THE_OTHERS]);
        let outlets = names.map(|name| Outlet::open(name, folder.join(format!("{name}.log"))));
        Ok(Self::new(outlets.collect::<io::Result<_>>()?))
    }

    /// Makes this the log of the process, for lines up to `level`: `Debug` shows every line received and sent, `Info` only
    /// what became of connections, `Trace` the loop's insides too.
    ///
    /// # Panics
    /// If the process has a log already.
    pub fn install(self, level: LevelFilter) -> &'static Self {
        let logs: &'static Self = Box::leak(Box::new(self));
        log::set_logger(logs).expect("a process installs its log once");
        log::set_max_level(level);
        logs
    }

    /// Opens the files anew by their names, so that lines no longer go to files that were moved away.
    /// What cannot be opened is said on standard error, and the old file kept.
    pub fn reopen(&self) {
        let Outlets { outlets, complaints, .. } = &mut *self.outlets();
        outlets.iter_mut().for_each(|outlet| outlet.reopen(complaints));
    }

    fn new(outlets: Vec<Outlet>) -> Self {
        Self(Mutex::new(Outlets { outlets, last: 0, clock: Clock::default(), complaints: Box::new(io::stderr()) }))
    }

    /// A panic in a message's own formatting leaves at worst half a line, as a line of its own.
    fn outlets(&self) -> MutexGuard<'_, Outlets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logs {
    /// Other crates have their say only where something is wrong: the traces of mio and rustls would drown ours.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn || !FOREIGN.iter().any(|other| metadata.target().starts_with(other))
    }

    /// The values of a message must not log when they are shown: the log is locked then.
    fn log(&self, record: &Record<'_>) {
        let Outlets { outlets, last, clock, complaints } = &mut *self.outlets();
        if outlets[*last].add_alike(record, complaints) || !self.enabled(record.metadata()) {
            return;
        }
        let others = outlets.len() - 1;
        *last = outlets[..others].iter().position(|outlet| outlet.name() == record.target()).unwrap_or(others);
        outlets[*last].add(clock.stamp(SystemTime::now()), record, complaints);
    }

    fn flush(&self) {
        let Outlets { outlets, complaints, .. } = &mut *self.outlets();
        outlets.iter_mut().for_each(|outlet| outlet.flush(complaints));
    }
}

/// The outlets by target; the last takes every target that has none.
struct Outlets {
    outlets: Vec<Outlet>,
    /// The one that took the last line: mostly, the next is its too.
    last: usize,
    clock: Clock,
    /// Where it is said that a log cannot be written.
    complaints: Box<dyn Write + Send>,
}

/// What the targets of other crates' lines begin with.
const FOREIGN: [&str; 2] = ["mio::", "rustls::"];

/// The outlet of the lines that no server says.
const THE_OTHERS: &str = "proxy-herd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_its_file_and_the_rest_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("made/here");
        let logs = Logs::to_folder(&inner, &[name("Goloman"), name("Hands")]).expect("writable");
        ["Hands", "proxy_herd::driver", "Hands", "goloman", "mio::poll"]
            .into_iter()
            .for_each(|target| say(&logs, target));
        let lines = || ["Goloman", "Hands", "proxy-herd"].map(|file| count_lines(&inner.join(format!("{file}.log"))));
        assert_eq!(lines(), [0, 0, 0], "they wait");
        logs.flush();
        assert_eq!(lines(), [0, 2, 2]);
    }

    #[test]
    fn a_file_that_was_moved_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = Logs::to_folder(folder.path(), &[name("Hands")]).expect("writable");
        let [live, moved, last] = ["Hands.log", "Hands.1", "Hands.2"].map(|file| folder.path().join(file));
        say(&logs, "Hands");
        fs::rename(&live, &moved).expect("renamed");
        logs.reopen();
        say(&logs, "Hands");
        logs.flush();
        assert_eq!([count_lines(&moved), count_lines(&live)], [1, 1]);

        fs::rename(&live, &last).expect("renamed");
        fs::create_dir(&live).expect("in the way");
        logs.outlets().complaints = Box::new(io::sink());
        logs.reopen();
        say(&logs, "Hands");
        logs.flush();
        assert_eq!(count_lines(&last), 2, "what cannot be opened anew stays open");
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = Logs::to_folder(&file.path().join("logs"), []).err().expect("a file is no folder");
        assert!(error.to_string().starts_with(&format!("{}/logs: ", file.path().display())), "{error}");
    }

    fn say(logs: &Logs, target: &str) {
        logs.log(&Record::builder().target(target).args(format_args!("c#1 connected")).build());
    }

    fn count_lines(path: &Path) -> usize {
        fs::read_to_string(path).expect("a log").lines().count()
    }

    fn name(text: &str) -> ServerName {
        ServerName::parse(text.as_bytes()).expect("a name")
    }
}
