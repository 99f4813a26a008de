//! Who wants to know what a neighbour holds.

use super::line::{Buckets, DigestLine, Lesson, Numbers};
use super::parts::{Parts, Walk, is_shape, parts_for};
use super::{Heard, MALFORMED, Repair};
use crate::herd::directory::Directory;

/// How far the lesson is.
#[derive(Default)]
pub(super) enum Learner {
    /// There is none.
    #[default]
    Idle,
    /// We want to know, and have not said so.
    Asking { lesson: Lesson },
    /// The teacher's buckets are wanted; these have come.
    Asked { lesson: Lesson, of: usize, sums: Vec<u64> },
    /// The parts of our buckets that differ are being summed up.
    Summing { lesson: Lesson, parts: Parts, walk: Walk },
    /// They are being told; the next is this.
    Telling { lesson: Lesson, parts: Parts, next: usize },
    /// The teacher knows all, and sends what we lack.
    Listening { lesson: Lesson },
}

impl Learner {
    /// Some of the teacher's buckets. Those of another lesson are let pass.
    pub(super) fn hear(&mut self, directory: &Directory, told: Buckets<'_>) -> Result<(), &'static str> {
        let Self::Asked { lesson, of, sums } = self else { return Ok(()) };
        if *lesson != told.lesson {
            return Ok(());
        }
        let told_of = usize::try_from(told.of).ok().filter(|of| is_shape(*of, 2)).ok_or(MALFORMED)?;
        if told.first != sums.len() as u64 || (*of != 0 && *of != told_of) {
            return Err(MALFORMED);
        }
        *of = told_of;
        for sum in told.sums {
            sums.push(sum.ok_or(MALFORMED)?);
        }
        if sums.len() > told_of {
            return Err(MALFORMED);
        }
        if sums.len() == told_of {
            let ours = directory.bucket_sums(told_of);
            let differ = (0..told_of).filter(|bucket| sums[*bucket] != ours[*bucket]).collect();
            let parts = Parts::new(told_of, parts_for(told.count.max(directory.len() as u64), told_of), differ);
            *self = Self::Summing { lesson: told.lesson, parts, walk: Walk::default() };
        }
        Ok(())
    }

    /// The lesson is over.
    pub(super) fn end(&mut self, told: Lesson, reports: u64) -> Heard {
        match self {
            Self::Asked { lesson, .. } | Self::Listening { lesson } if *lesson == told => {
                *self = Self::Idle;
                Heard::InStep(reports)
            }
            _ => Heard::Nothing,
        }
    }

    pub(super) fn has_work(&self) -> bool {
        matches!(self, Self::Asking { .. } | Self::Summing { .. } | Self::Telling { .. })
    }

    pub(super) fn work(&mut self, directory: &Directory, text: &mut Vec<u8>) {
        *self = match std::mem::take(self) {
            Self::Asking { lesson } => {
                DigestLine::Ask { lesson, digest: directory.digest() }.write(text);
                Self::Asked { lesson, of: 0, sums: Vec::new() }
            }
            Self::Summing { lesson, mut parts, mut walk } => {
                let more = parts.len() > 0 && walk.go_on(directory, |known| parts.add(&known));
                if more { Self::Summing { lesson, parts, walk } } else { Self::Telling { lesson, parts, next: 0 } }
            }
            Self::Telling { lesson, parts, mut next } => {
                let (mut numbers, end) = (Vec::new(), text.len() + Repair::SLICE);
                while next < parts.len() && text.len() < end {
                    let (bucket, sums) = parts.get(next);
                    numbers.clear();
                    let sums = Numbers::write(&mut numbers, sums.iter().map(|sum| lesson.cut(*sum).into()));
                    DigestLine::Parts { lesson, bucket: bucket as u64, sums }.write(text);
                    next += 1;
                }
                if next < parts.len() {
                    Self::Telling { lesson, parts, next }
                } else {
                    DigestLine::End { lesson }.write(text);
                    Self::Listening { lesson }
                }
            }
            waiting => waiting,
        };
    }
}
