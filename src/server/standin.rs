//! The stand-in for Places as a server on any loop: requests in, and what is planned for each of them played, in their order.
//!
//! - What it says, and what goes wrong with it, is `places::standin`'s business; when, is here. Timers are the loop's.
//! - While an answer is played its connection is not read from: a client that sends many requests at once waits, and holds no memory
//!   here but one read. Only before a connection is cut off, or hangs, what comes is read and thrown away: closing a socket
//!   with something unread resets it, and a reset overtakes our last words.
//! - A client that does not read is not written to: the next step waits until it has read.
//! - The log has each request's method and path, never its query, headers or body: there are keys and positions in them.
//!
//! A server whose Places are the built-in ones has one [embedded] in its process; `proxy-herd places` runs one alone.

mod conversation;
mod embedded;

use std::rc::Rc;

use log::Level;

use crate::event_loop::Protocol;
use crate::places::faults::Faults;
use crate::places::gazetteer::Gazetteer;

pub(super) use self::embedded::listen;

use self::conversation::Conversation;

/// The stand-in for Places, to be put on a listener.
#[derive(Clone, Debug)]
pub struct Standin {
    usual: Rc<Faults>,
    level: Level,
}

impl Standin {
    /// One that has these faults where a request names no others, and logs at this level what it is asked.
    ///
    /// Takes some milliseconds the first time: it reads the data that it answers from.
    pub fn new(usual: Faults, level: Level) -> Self {
        Gazetteer::shipped();
        Self { usual: Rc::new(usual), level }
    }

    /// Who talks with a client that has come in.
    pub fn conversation<S>(&self) -> impl Protocol<S> + use<S> {
        Conversation::new(self.clone())
    }
}
