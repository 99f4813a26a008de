//! Which connection to Places has which question, and how far it is. No I/O.
//!
//! - One question on each at a time; a connection that is kept is used again. Each leads to one upstream, whose language its
//!   questions are asked in, and its answers read.
//! - A kept connection that ends before it says anything to a question costs the question nothing: it is asked again on
//!   another one. Only a connection that has answered before can do that, so it happens at most once for each that is kept. A
//!   POST may be asked again like a GET: a search changes nothing (RFC 9110, 9.2.2).
//! - What comes unasked while a question is on the way is taken for its answer. HTTP/1.1 cannot tell; who does that over TLS is
//!   Places itself.
//! - What comes on a connection before its request was fetched, to be sent, is no answer.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::limits::LOOKUPS;
use super::provider::Upstream;
use crate::event_loop::ConnId;
use crate::places::question::Question;
use crate::wire::http::{HttpError, Limits, Status};
use crate::wire::http_response::{Response, ResponseDecoder};

/// The connections, and what they are doing.
#[derive(Default)]
pub(super) struct Errands {
    connections: HashMap<ConnId, Connection>,
    /// Those that are kept and have no question.
    idle: Vec<ConnId>,
}

struct Connection {
    upstream: Arc<Upstream>,
    errand: Option<Errand>,
    /// How many questions it has answered.
    answered: u32,
    decoder: ResponseDecoder,
}

struct Errand {
    question: Question,
    stage: Stage,
}

/// How far a question is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Its request was not fetched.
    Given,
    /// Its request is on the way.
    Asked,
    /// Its answer has begun to come.
    Answering,
}

/// What a connection has said so far.
pub(super) enum Said {
    /// Nothing, or a part of the answer.
    Part,
    /// The answer to this question, of this upstream.
    Answer(Question, Response, Arc<Upstream>),
    /// What is no answer to this question, for this reason.
    Garbage(Question, HttpError),
    /// Something, though nothing was asked.
    Unasked,
}

/// What becomes of the question of a connection that is lost.
pub(super) enum Orphan {
    /// The connection was kept too long; that is nobody's fault.
    AskAgain(Question),
    Unanswered(Question),
}

impl Errands {
    /// Whether there is a connection for one more question, or may be.
    pub(super) fn has_room(&self) -> bool {
        !self.idle.is_empty() || self.connections.len() < LOOKUPS
    }

    /// The kept connection that was used last; it must be given a question, or be over.
    pub(super) fn take_kept(&mut self) -> Option<ConnId> {
        self.idle.pop()
    }

    /// Keeps a connection for the next question, if it is still there.
    pub(super) fn keep(&mut self, id: ConnId) {
        if self.connections.contains_key(&id) {
            self.idle.push(id);
        }
    }

    /// All that are kept, which are then to be over.
    pub(super) fn take_all_kept(&mut self) -> Vec<ConnId> {
        mem::take(&mut self.idle)
    }

    /// A connection, a new one to `upstream` or one that was kept, is to ask this.
    pub(super) fn give(&mut self, id: ConnId, upstream: &Arc<Upstream>, question: Question) {
        let connection = self.connections.entry(id).or_insert_with(|| Connection {
            upstream: Arc::clone(upstream),
            errand: None,
            answered: 0,
            decoder: decoder(),
        });
        connection.errand = Some(Errand { question, stage: Stage::Given });
    }

    /// What a connection sends now; it holds the key. `None` if there is nothing new.
    pub(super) fn fetch(&mut self, id: ConnId) -> Option<Vec<u8>> {
        let Connection { upstream, errand, .. } = self.connections.get_mut(&id)?;
        let errand = errand.as_mut().filter(|errand| errand.stage == Stage::Given)?;
        errand.stage = Stage::Asked;
        Some(upstream.request(&errand.question))
    }

    /// Takes in what has come on a connection.
    pub(super) fn hear(&mut self, id: ConnId, data: &[u8]) -> Said {
        let Some(connection) = self.connections.get_mut(&id) else { return Said::Unasked };
        let Some(errand) = connection.errand.take_if(|errand| errand.stage != Stage::Given) else {
            return Said::Unasked;
        };
        match connection.decoder.decode(data) {
            Ok(Status::Partial) => {
                connection.errand = Some(Errand { stage: Stage::Answering, ..errand });
                Said::Part
            }
            Ok(Status::Complete { mut message, consumed }) => {
                connection.answered += 1;
                // Who says more than was asked is not asked again.
                message.keep_alive &= consumed == data.len();
                Said::Answer(errand.question, message, Arc::clone(&connection.upstream))
            }
            Err(error) => Said::Garbage(errand.question, error),
        }
    }

    /// Takes in that a connection will say nothing more.
    pub(super) fn hear_end(&mut self, id: ConnId) -> Said {
        let Some(Connection { upstream, errand, decoder: ended, .. }) = self.connections.get_mut(&id) else {
            return Said::Part;
        };
        match mem::replace(ended, decoder()).finish() {
            Err(HttpError::Silent) => Said::Part,
            outcome => match (errand.take(), outcome) {
                (Some(Errand { question, .. }), Ok(response)) => Said::Answer(question, response, Arc::clone(upstream)),
                (Some(Errand { question, .. }), Err(error)) => Said::Garbage(question, error),
                (None, _) => Said::Part,
            },
        }
    }

    /// Takes a question back from the connection that has it, if one does. What that says now nobody waits for.
    pub(super) fn take_back(&mut self, question: &Question) -> Option<ConnId> {
        self.connections
            .iter_mut()
            .find_map(|(id, connection)| connection.errand.take_if(|errand| errand.question == *question).map(|_| *id))
    }

    /// A connection is gone; what becomes of its question, if it had one.
    pub(super) fn lose(&mut self, id: ConnId) -> Option<Orphan> {
        self.idle.retain(|idle| *idle != id);
        let Connection { errand, answered, .. } = self.connections.remove(&id)?;
        let Errand { question, stage } = errand?;
        let was_kept_too_long = answered > 0 && stage != Stage::Answering;
        Some(if was_kept_too_long { Orphan::AskAgain(question) } else { Orphan::Unanswered(question) })
    }
}

fn decoder() -> ResponseDecoder {
    ResponseDecoder::new(Limits::default())
}
