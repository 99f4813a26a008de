//! Who finds out what a neighbour lacks, and sends it.

use super::chosen::Chosen;
use super::line::{Buckets, DigestLine, Lesson, Numbers};
use super::parts::{Parts, Walk, buckets_for, is_shape};
use super::{MALFORMED, Repair};
use crate::herd::digest::{Digest, Place};
use crate::herd::directory::Directory;

/// How far the lesson is.
#[derive(Default)]
pub(super) enum Teacher {
    /// There is none.
    #[default]
    Idle,
    /// The learner holds the same as we do.
    Agreeing { lesson: Lesson },
    /// The sums of so many buckets are being told, from `next` on.
    Telling { lesson: Lesson, of: usize, next: usize },
    /// The parts of the learner's buckets that differ are coming.
    Hearing { lesson: Lesson, of: usize, told: Option<Told> },
    /// Ours are being summed up.
    Comparing { lesson: Lesson, told: Told, walk: Walk },
    /// What the learner lacks is being found.
    Choosing { lesson: Lesson, lacks: Lacks, walk: Walk, chosen: Chosen },
    /// It is being sent.
    Sending { lesson: Lesson, chosen: Chosen, sent: u64 },
}

/// The sums of the learner's parts, cut, and places for ours.
pub(super) struct Told {
    ours: Parts,
    theirs: Vec<u32>,
}

/// What the learner may lack.
pub(super) enum Lacks {
    Everything,
    /// What is in the parts that differ.
    Some(Told),
}

impl Told {
    fn differs(&self, lesson: Lesson, place: Place) -> bool {
        self.ours.part(place).is_some_and(|part| lesson.cut(self.ours.sums()[part]) != self.theirs[part])
    }
}

impl Teacher {
    /// A learner asks. A lesson that is under way counts no more.
    pub(super) fn begin(&mut self, directory: &Directory, lesson: Lesson, theirs: Digest) {
        let ours = directory.digest();
        *self = if ours == theirs {
            Self::Agreeing { lesson }
        } else if ours.count == 0 {
            Self::Sending { lesson, chosen: Chosen::default(), sent: 0 }
        } else if theirs.count == 0 {
            Self::choosing(lesson, Lacks::Everything)
        } else {
            Self::Telling { lesson, of: buckets_for(ours.count.max(theirs.count)), next: 0 }
        };
    }

    /// The parts of one of the learner's buckets. Those of another lesson are let pass.
    pub(super) fn hear(&mut self, from: Lesson, bucket: u64, sums: Numbers<'_>) -> Result<(), &'static str> {
        let Self::Hearing { lesson, of, told } = self else { return Ok(()) };
        if *lesson != from {
            return Ok(());
        }
        let bucket = usize::try_from(bucket).ok().filter(|bucket| bucket < of).ok_or(MALFORMED)?;
        let sums = sums.map(|sum| sum.and_then(|sum| u32::try_from(sum).ok()));
        let sums: Vec<u32> = sums.collect::<Option<_>>().ok_or(MALFORMED)?;
        let new = || Told { ours: Parts::new(*of, sums.len(), Vec::new()), theirs: Vec::new() };
        let Told { ours, theirs } = told.get_or_insert_with(new);
        let ascends = ours.last().is_none_or(|last| last < bucket);
        if !is_shape(*of, sums.len()) || ours.per() != sums.len() || !ascends {
            return Err(MALFORMED);
        }
        ours.push(bucket);
        theirs.extend(sums);
        Ok(())
    }

    /// All parts have come.
    pub(super) fn hear_end(&mut self, from: Lesson) {
        if let Self::Hearing { lesson, told, .. } = self
            && *lesson == from
        {
            *self = match told.take() {
                Some(told) => Self::Comparing { lesson: from, told, walk: Walk::default() },
                None => Self::Sending { lesson: from, chosen: Chosen::default(), sent: 0 },
            };
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !matches!(self, Self::Idle | Self::Hearing { .. })
    }

    pub(super) fn work(&mut self, directory: &Directory, text: &mut Vec<u8>) {
        *self = match std::mem::take(self) {
            Self::Agreeing { lesson } => {
                DigestLine::Same { lesson }.write(text);
                Self::Idle
            }
            Self::Telling { lesson, of, next } => Self::tell(directory, lesson, of, next, text),
            Self::Comparing { lesson, mut told, mut walk } => {
                if walk.go_on(directory, |known| told.ours.add(&known)) {
                    Self::Comparing { lesson, told, walk }
                } else {
                    Self::choosing(lesson, Lacks::Some(told))
                }
            }
            Self::Choosing { lesson, lacks, mut walk, mut chosen } => {
                let mut run = Vec::new();
                let more = walk.go_on(directory, |known| {
                    let lacking = match &lacks {
                        Lacks::Everything => true,
                        Lacks::Some(told) => told.differs(lesson, known.place()),
                    };
                    if lacking {
                        run.push(known.name());
                    }
                });
                chosen.add(run);
                if more {
                    Self::Choosing { lesson, lacks, walk, chosen }
                } else {
                    Self::Sending { lesson, chosen, sent: 0 }
                }
            }
            Self::Sending { lesson, chosen, sent } => Self::send(directory, lesson, chosen, sent, text),
            waiting => waiting,
        };
    }

    fn choosing(lesson: Lesson, lacks: Lacks) -> Self {
        Self::Choosing { lesson, lacks, walk: Walk::default(), chosen: Chosen::default() }
    }

    fn tell(directory: &Directory, lesson: Lesson, of: usize, first: usize, text: &mut Vec<u8>) -> Self {
        let (sums, count) = (directory.bucket_sums(of), directory.digest().count);
        let (mut next, mut numbers, end) = (first, Vec::new(), text.len() + Repair::SLICE);
        while next < of && text.len() < end {
            let line = &sums[next..of.min(next + SUMS_PER_LINE)];
            numbers.clear();
            let sums = Numbers::write(&mut numbers, line.iter().copied());
            DigestLine::Buckets(Buckets { lesson, count, of: of as u64, first: next as u64, sums }).write(text);
            next += line.len();
        }
        if next < of { Self::Telling { lesson, of, next } } else { Self::Hearing { lesson, of, told: None } }
    }

    /// The newest first. What has changed since it was chosen is not sent: it was flooded.
    fn send(directory: &Directory, lesson: Lesson, mut chosen: Chosen, mut sent: u64, text: &mut Vec<u8>) -> Self {
        let end = text.len() + Repair::SLICE;
        while text.len() < end {
            let Some(name) = chosen.pop() else {
                DigestLine::Done { lesson, sent }.write(text);
                return Self::Idle;
            };
            for line in directory.find_known(name) {
                text.extend_from_slice(line);
                text.push(b'\n');
                sent += 1;
            }
        }
        Self::Sending { lesson, chosen, sent }
    }
}

/// How many sums of buckets a line holds: 17 bytes each, at the most.
const SUMS_PER_LINE: usize = 400;
