//! Names to addresses on threads of their own, since the system's resolver blocks.
//!
//! Shared with nobody else: a full pool of other work cannot delay a connection, and one name whose server is dead not the
//! others. A question whose asker is gone is answered all the same, and the loop ignores the answer.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;

use super::pool::Pool;
use crate::event_loop::ConnId;

/// What was found for whom.
pub(super) struct Answer {
    pub(super) id: ConnId,
    pub(super) found: io::Result<Vec<SocketAddr>>,
}

/// The threads, and the way back from them.
pub(super) struct Resolver {
    threads: Pool,
    waker: Waker,
    answered: Sender<Answer>,
    answers: Receiver<Answer>,
}

impl Resolver {
    /// `waker` is woken whenever an answer has come. Threads come with the questions.
    pub(super) fn new(waker: Waker) -> Self {
        let (answered, answers) = channel();
        Self { threads: Pool::new("resolver", THREADS), waker, answered, answers }
    }

    /// Looks the name up; an `answer` follows in any case.
    pub(super) fn ask(&self, id: ConnId, host: String, port: u16) {
        let (answered, waker) = (self.answered.clone(), self.waker.clone());
        let job = move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            let found = found.map_err(|error| io::Error::new(error.kind(), format!("look up {host}: {error}")));
            answer(&answered, &waker, Answer { id, found });
        };
        if let Err(error) = self.threads.run(Box::new(job)) {
            answer(&self.answered, &self.waker, Answer { id, found: Err(error) });
        }
    }

    /// The next answer, if one has come.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

/// Without a receiver nobody waits: the driver is gone.
fn answer(answered: &Sender<Answer>, waker: &Waker, answer: Answer) {
    if answered.send(answer).is_ok() {
        waker.wake_by_ref();
    }
}

/// The most names looked up at a time: libuv's number.
const THREADS: usize = 4;
