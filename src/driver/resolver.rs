//! Names to addresses on a helper thread, since the system's resolver blocks.
//!
//! One thread, started with the first question, shared with nobody else: a full pool of other work cannot delay a
//! connection. A question whose asker is gone is answered all the same, and the loop ignores the answer.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

use crate::event_loop::ConnId;

/// A name that waits for its addresses.
struct Question {
    id: ConnId,
    host: String,
    port: u16,
}

/// What was found for whom.
pub(super) struct Answer {
    pub(super) id: ConnId,
    pub(super) found: io::Result<Vec<SocketAddr>>,
}

/// The helper thread and the two ways to it and back.
pub(super) struct Resolver {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
}

impl Resolver {
    /// Starts the thread; `waker` is woken whenever an answer has come. The thread ends when the resolver is dropped.
    pub(super) fn start(waker: Arc<Waker>) -> io::Result<Self> {
        let (questions, asked) = channel::<Question>();
        let (answered, answers) = channel();
        thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            for Question { id, host, port } in asked {
                let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                let found = found.map_err(|error| io::Error::new(error.kind(), format!("look up {host}: {error}")));
                if answered.send(Answer { id, found }).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers })
    }

    pub(super) fn ask(&self, id: ConnId, host: String, port: u16) {
        self.questions.send(Question { id, host, port }).expect("the thread lives as long as the resolver");
    }

    /// The next answer, if one has come.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}
