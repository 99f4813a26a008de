//! A file or a stream that takes log lines, and what becomes of them when it does not.
//!
//! After a flush nothing waits: lines that cannot be written are counted and dropped. That is said once when it begins, and again
//! when writing works, both to whoever hears complaints and in the log itself, where the lines are missing.
//!
//! Lines of messages come by the hundred thousand. Those of one turn that follow each other begin with the same head, time
//! included: it is made once, and copied.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use log::{Level, Record};

use crate::cli::logs::line::{self, Head};

/// A file or a stream, and the whole lines that wait for it.
pub(super) struct Outlet {
    name: String,
    output: Box<dyn Write + Send>,
    /// What to open again; `None` for a stream.
    path: Option<PathBuf>,
    waiting: Vec<u8>,
    /// Where in `waiting` the head of its last line stands, if that is of a message; else empty.
    head: Range<usize>,
    /// What could not be written since that last worked.
    loss: Option<Loss>,
}

/// What is missing in an outlet that did not take lines.
#[derive(Clone, Copy)]
struct Loss {
    lines: usize,
    /// Whether a line stands there without its end.
    broken: bool,
    /// How many bytes of what waits tell of this loss, before all else.
    note: usize,
}

impl Outlet {
    /// A stream for the lines of `name`.
    pub(super) fn new(name: &str, output: Box<dyn Write + Send>) -> Self {
        Self { name: name.to_owned(), output, path: None, waiting: Vec::new(), head: 0..0, loss: None }
    }

    /// A file for the lines of `name`, made if it is not there, else appended to. An error names the file.
    pub(super) fn open(name: &str, path: PathBuf) -> io::Result<Self> {
        let file = append_to(&path)?;
        Ok(Self { path: Some(path), ..Self::new(name, Box::new(file)) })
    }

    /// The target whose lines come here.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes a line; too many that wait are written.
    pub(super) fn add(&mut self, stamp: &str, record: &Record<'_>, complaints: &mut dyn Write) {
        self.own_up(stamp);
        let start = self.waiting.len();
        Head { stamp, level: record.level(), target: record.target() }.push(&mut self.waiting);
        self.head = if self.is_of_message(record) { start..self.waiting.len() } else { 0..0 };
        self.end_line(record, complaints);
    }

    /// Takes a line that follows one with the same head: both are of messages, in the same turn. False if that is not so.
    pub(super) fn add_alike(&mut self, record: &Record<'_>, complaints: &mut dyn Write) -> bool {
        let is_alike = !self.head.is_empty() && self.is_of_message(record);
        if is_alike {
            self.waiting.extend_from_within(self.head.clone());
            self.end_line(record, complaints);
        }
        is_alike
    }

    /// Writes what waits, or drops it.
    pub(super) fn flush(&mut self, complaints: &mut dyn Write) {
        if self.waiting.is_empty() {
            return;
        }
        let (written, result) = write_until_error(&mut *self.output, &self.waiting);
        let before = self.loss.take();
        let name = &self.name;
        let complaint = match (&result, before) {
            (Ok(()), None) | (Err(_), Some(_)) => Ok(()),
            (Ok(()), Some(Loss { lines, .. })) => {
                writeln!(complaints, "proxy-herd: the log of {name} is written again; lines missing: {lines}")
            }
            (Err(error), None) => {
                writeln!(complaints, "proxy-herd: the log of {name} cannot be written, lines are lost: {error}")
            }
        };
        // There is nobody left to tell that complaints are not heard either.
        let _ = complaint;
        self.loss = result.err().map(|_| self.loss_after(written, before));
        self.waiting.clear();
        self.head = 0..0;
    }

    /// Writes what waits, and opens the file anew by its name; if that cannot be, keeps the old one.
    pub(super) fn reopen(&mut self, complaints: &mut dyn Write) {
        self.flush(complaints);
        let Some(path) = &self.path else { return };
        match append_to(path) {
            Ok(file) => self.output = Box::new(file),
            Err(error) => {
                let _ = writeln!(complaints, "proxy-herd: the log of {} stays as it is: {error}", self.name);
            }
        }
    }

    /// Only a callback says such a line, and the loop does not sleep after one before the log was flushed: so a head does not
    /// grow old.
    fn is_of_message(&self, record: &Record<'_>) -> bool {
        record.level() == Level::Debug && record.target() == self.name
    }

    fn end_line(&mut self, record: &Record<'_>, complaints: &mut dyn Write) {
        line::push_message(record.args(), &mut self.waiting);
        if self.waiting.len() >= MOST_WAITING {
            self.flush(complaints);
        }
    }

    /// Before the first line after a loss: says how much is missing.
    fn own_up(&mut self, stamp: &str) {
        let Some(loss) = self.loss.as_mut().filter(|_| self.waiting.is_empty()) else { return };
        if loss.broken {
            self.waiting.push(b'\n');
        }
        Head { stamp, level: Level::Warn, target: &self.name }.push(&mut self.waiting);
        let lines = loss.lines;
        line::push_message(&format_args!("could not be written, lines missing here: {lines}"), &mut self.waiting);
        loss.note = self.waiting.len();
    }

    /// What is missing when only `written` bytes of what waits went out, `before` being what was missing already.
    fn loss_after(&self, written: usize, before: Option<Loss>) -> Loss {
        let note = before.map_or(0, |loss| loss.note);
        let untold = before.filter(|_| written < note).map_or(0, |loss| loss.lines);
        let unwritten = self.waiting[written.max(note)..].iter().filter(|byte| **byte == b'\n').count();
        let broken = match written.checked_sub(1) {
            Some(last) => self.waiting[last] != b'\n',
            None => before.is_some_and(|loss| loss.broken),
        };
        Loss { lines: untold + unwritten, broken, note: 0 }
    }
}

/// `error` with the path that it is about.
pub(super) fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path).map_err(|error| about(path, &error))
}

/// How many bytes went out, and the error that stopped the rest. (`write_all` does not tell how many.)
fn write_until_error(output: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match output.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// The most bytes that wait in memory for one outlet, but for the line that reaches it.
const MOST_WAITING: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn lines_wait_for_the_flush_or_until_there_are_too_many() {
        let disk = Disk::with_room(usize::MAX);
        let mut outlet = Outlet::new("Goloman", Box::new(disk.clone()));
        let frame = "NOW INFO Goloman \n".len();
        say(&mut outlet, &"x".repeat(MOST_WAITING - frame - 1));
        assert_eq!(disk.text().len(), 0);
        outlet.flush(&mut io::sink());
        assert_eq!(disk.text().len(), MOST_WAITING - 1);
        say(&mut outlet, &"x".repeat(MOST_WAITING - frame));
        assert_eq!(disk.text().len(), MOST_WAITING);
    }

    #[test]
    fn what_a_full_disk_swallowed_is_counted_and_told() {
        let disk = Disk::with_room(0);
        let mut outlet = Outlet::new("Goloman", Box::new(disk.clone()));
        let mut complaints = Vec::new();
        let mut turn = |room: usize, messages: &[&str], written: &str, complaint: &str| {
            disk.make_room(room);
            messages.iter().for_each(|message| say(&mut outlet, message));
            outlet.flush(&mut complaints);
            assert_eq!(disk.text(), written, "after {messages:?}");
            assert_eq!(String::from_utf8_lossy(&complaints), complaint, "after {messages:?}");
            complaints.clear();
        };
        let lost = "proxy-herd: the log of Goloman cannot be written, lines are lost: no storage space\n";
        turn(18, &["one", "two"], "NOW INFO Goloman o", lost);
        turn(0, &["three"], "", "");
        turn(4, &["four"], "\nNOW", "");
        turn(usize::MAX, &[], "", "");
        let missing = "NOW WARN Goloman could not be written, lines missing here: ";
        let expected = format!("\n{missing}4\nNOW INFO Goloman five\n");
        turn(usize::MAX, &["five"], &expected, "proxy-herd: the log of Goloman is written again; lines missing: 4\n");
        turn(0, &["six"], "", lost);
        let note = format!("{missing}1\n");
        turn(note.len(), &["seven", "eight"], &note, "");
        let expected = format!("{missing}2\nNOW INFO Goloman nine\n");
        turn(usize::MAX, &["nine"], &expected, "proxy-herd: the log of Goloman is written again; lines missing: 2\n");
    }

    #[test]
    fn a_head_is_of_its_turn_and_of_messages_only() {
        let disk = Disk::with_room(usize::MAX);
        let mut outlet = Outlet::new("Goloman", Box::new(disk.clone()));
        let mut said = |time: &str, level: Level, target: &str| {
            let alike = Record::builder().level(level).target(target).args(format_args!("alike")).build();
            let other = Record::builder().level(level).target(target).args(format_args!("other")).build();
            if !outlet.add_alike(&alike, &mut io::sink()) {
                outlet.add(time, &other, &mut io::sink());
            }
            if time == "T3" {
                outlet.flush(&mut io::sink());
            }
        };
        said("T1", Level::Debug, "Goloman");
        said("T2", Level::Debug, "Goloman");
        said("T3", Level::Debug, "Goloman");
        said("T4", Level::Debug, "Goloman");
        said("T5", Level::Info, "Goloman");
        said("T6", Level::Debug, "Goloman");
        said("T7", Level::Debug, "Hands");
        said("T8", Level::Debug, "Hands");
        outlet.flush(&mut io::sink());
        let expected = [
            "T1 DEBUG Goloman other",
            "T1 DEBUG Goloman alike",
            "T1 DEBUG Goloman alike",
            "T4 DEBUG Goloman other",
            "T5 INFO Goloman other",
            "T6 DEBUG Goloman other",
            "T7 DEBUG Hands other",
            "T8 DEBUG Hands other",
        ];
        assert_eq!(disk.text().lines().collect::<Vec<_>>(), expected);
    }

    fn say(outlet: &mut Outlet, message: &str) {
        outlet.add(
            "NOW",
            &Record::builder().target("Goloman").args(format_args!("{message}")).build(),
            &mut io::sink(),
        );
    }

    /// A disk with so much room left, in bytes, and what was written since somebody looked.
    #[derive(Clone)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Disk {
        fn with_room(room: usize) -> Self {
            Self(Arc::new(Mutex::new((room, Vec::new()))))
        }

        fn make_room(&self, room: usize) {
            self.0.lock().expect("one thread").0 = room;
        }

        fn text(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.0.lock().expect("one thread").1)).expect("a log is text")
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, written) = &mut *self.0.lock().expect("one thread");
            let count = bytes.len().min(*room);
            written.extend_from_slice(&bytes[..count]);
            *room -= count;
            if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
