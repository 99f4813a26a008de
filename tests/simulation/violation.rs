//! What a herd promises, and how a run shows that a promise was broken.

use std::fmt;

/// What must hold in every run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Promise {
    /// Once all is well and quiet, all servers know the same, but for what counts as over by the clock of one.
    Agreement,
    /// What a server knows of a client is never replaced by less.
    NoWayBack,
    /// What is over is not known, and does not come back.
    NothingOver,
    /// What a server knows, a client has said, to the server that is named.
    NothingInvented,
    /// What a server has confirmed, it knows, or better, as long as it runs.
    NothingForgotten,
    /// A flood crosses an edge once in each direction, and a bridge once.
    FloodsEnd,
    /// What waits on a link, and for a client, is bounded.
    BoundedBuffers,
    /// Clients and strangers are counted right: each comes once and goes once.
    CountedOnce,
    /// Every connection that was made or tried is let go of, but the links.
    LostOnce,
    /// Every command is answered, in order, as long as the connection stands.
    Answers,
    /// A client's connection ends only for a reason.
    NoEndWithoutReason,
    /// Once all is well, every link is up.
    LinksUp,
    /// No callback and no task panics.
    NoPanic,
}

/// A promise that was broken, and how.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) how: String,
}

impl Violation {
    pub(crate) fn new(promise: Promise, how: impl fmt::Display) -> Self {
        Self { promise, how: how.to_string() }
    }

    /// An error of this kind unless `holds`.
    pub(crate) fn unless(holds: bool, promise: Promise, how: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { promise, how: how() }) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.promise, self.how)
    }
}
