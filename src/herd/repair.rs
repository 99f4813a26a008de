//! Repair (anti-entropy): how a server learns from a neighbour what it has missed, and nothing else. No I/O, no clock.
//!
//! Whoever wants to know asks: the *learner* says what it holds in ever finer sums, the *teacher* finds out what it lacks. Both
//! ends of a link are both, independently. One *lesson*, two round trips:
//!
//! ```text
//! learner                                          teacher
//! DIGEST <lesson> <count> <sum>                ->              what I hold
//!                                              <-  DIGEST SAME <lesson>
//!                                                  ... or:
//!                                              <-  DIGEST BUCKETS <lesson> <count> <of> <first> <sum>...
//! DIGEST PARTS <lesson> <bucket> <sum>...      ->              of each bucket whose sum differs from mine
//! DIGEST END <lesson>                          ->
//!                                              <-  AT ...      newest first
//!                                              <-  DIGEST DONE <lesson> <sent>
//! ```
//!
//! Numbers are hexadecimal. A sum is that of the hashes of the lines (see [`digest`](crate::herd::digest)) whose clients are in a
//! range of places: of all of them, in one of `<of>` buckets (powers of two, by the number of clients), in one of equal parts of a
//! bucket. A part holds less than one report, and its sum is cut to 32 bits, mixed with the lesson's number: by chance a difference
//! may escape one lesson, and not the next one. A learner that holds nothing is sent everything at once.
//!
//! - The directories may change meanwhile: what changes after the link came up is flooded, so that it does not matter which
//!   state a sum is of. A report that is replaced before its turn comes is not sent.
//! - `DIGEST AGAIN` says that reports were dropped: the learner begins a new lesson, and the old one counts no more.
//! - All is done in slices: [`work`](Repair::work) says some lines and is called again. A lesson costs the teacher at most 12 MiB
//!   for sums, and 16 bytes for each report that it has still to send.
//!
//! When to ask, and how long a slice may wait, is decided above (`server::repairs`).

mod chosen;
mod learner;
mod line;
mod parts;
mod teacher;

use crate::herd::directory::Directory;

use self::learner::Learner;
use self::line::DigestLine;
use self::teacher::Teacher;

pub use self::line::Lesson;

/// Both sides of the repair of one link.
#[derive(Default)]
pub struct Repair {
    learner: Learner,
    teacher: Teacher,
}

/// What has come of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing yet, or something to say: see [`Repair::has_work`].
    Nothing,
    /// Our lesson is over: we hold what the neighbour held. It has sent so many reports.
    InStep(u64),
    /// The neighbour asks us to begin a lesson: it has dropped reports.
    Again,
}

impl Repair {
    /// How many bytes each side says at once, about; and how many it should hear at once, so that whoever is served beside a repair
    /// waits some tenths of a millisecond, and not a whole one.
    pub const SLICE: usize = 8 * 1024;

    /// Begins a lesson; one that is under way counts no more. [`work`](Self::work) says the line that asks, what we hold by then in
    /// it. `lesson` should be random.
    pub fn ask(&mut self, lesson: Lesson) {
        self.learner = Learner::Asking { lesson };
    }

    /// Whether we are waiting for what a neighbour sends, or for the end of it.
    pub fn is_learning(&self) -> bool {
        !matches!(self.learner, Learner::Idle)
    }

    /// Whether a lesson of the neighbour is under way.
    pub fn is_teaching(&self) -> bool {
        !matches!(self.teacher, Teacher::Idle)
    }

    /// Takes in what a neighbour has said after `DIGEST `.
    ///
    /// # Errors
    /// What the neighbour did wrong.
    pub fn hear(&mut self, directory: &Directory, words: &[u8]) -> Result<Heard, &'static str> {
        match DigestLine::parse(words).ok_or(MALFORMED)? {
            DigestLine::Ask { lesson, digest } => self.teacher.begin(directory, lesson, digest),
            DigestLine::Parts { lesson, bucket, sums } => self.teacher.hear(lesson, bucket, sums)?,
            DigestLine::End { lesson } => self.teacher.hear_end(lesson),
            DigestLine::Buckets(buckets) => self.learner.hear(directory, buckets)?,
            DigestLine::Same { lesson } => return Ok(self.learner.end(lesson, 0)),
            DigestLine::Done { lesson, sent } => return Ok(self.learner.end(lesson, sent)),
            DigestLine::Again => return Ok(Heard::Again),
        }
        Ok(Heard::Nothing)
    }

    /// Whether there is something to do without waiting for the neighbour.
    pub fn has_work(&self) -> bool {
        self.learner.has_work() || self.teacher.has_work()
    }

    /// Does a slice of what there is to do: appends lines, twice [`SLICE`](Self::SLICE) or little more
    /// at the most, or looks at some thousand reports.
    pub fn work(&mut self, directory: &Directory, text: &mut Vec<u8>) {
        self.learner.work(directory, text);
        self.teacher.work(directory, text);
    }

    /// Reports to the neighbour are dropped: its lesson is over, and once it reads again it must be told
    /// [`again`](Self::again).
    pub fn interrupt(&mut self) {
        self.teacher = Teacher::Idle;
    }

    /// Appends the line that asks for a new lesson.
    pub fn again(text: &mut Vec<u8>) {
        DigestLine::Again.write(text);
    }
}

const MALFORMED: &str = "this DIGEST makes no sense here";
