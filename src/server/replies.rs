//! The replies of one client, in the order of its commands, though some are finished before others.
//!
//! A reply that nothing waits in front of is not kept here at all. The places of an answer are shared by all who asked,
//! and become a client's own text when it leaves: so answers cost a client that does not read next to nothing. It knows
//! no transport: it is told what is finished and says what may be sent.

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use crate::herd::command::Bound;
use crate::places::answer::Answer;

/// The replies that cannot be sent yet.
#[derive(Default)]
pub(super) struct Replies {
    /// In a box, since most clients have none most of the time.
    waiting: Option<Box<Waiting>>,
    /// The number of the first one.
    first: u32,
}

/// At least one reply.
#[derive(Default)]
struct Waiting {
    replies: VecDeque<Reply>,
    /// How many of them want places, whether these have come or not.
    outstanding: usize,
    /// How many bytes the others have.
    held: usize,
}

/// Which of a client's replies an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ticket(u32);

impl fmt::Display for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "reply {}", self.0)
    }
}

enum Reply {
    /// Begins like this; the places have not come.
    Begun(Vec<u8>),
    /// Begins like this and ends with these places.
    Answered(Vec<u8>, Answered),
    Finished(Vec<u8>),
}

/// The places that one reply waits for: an answer, and how much of it.
pub(super) struct Answered {
    pub(super) ticket: Ticket,
    pub(super) bound: Bound,
    pub(super) answer: Rc<Answer>,
}

impl Replies {
    /// Whether nothing waits: a reply may be sent at once.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// How many wait for places, or to be sent with them.
    pub(super) fn outstanding(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.outstanding)
    }

    /// How many bytes of the other replies are held back.
    pub(super) fn held(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.held)
    }

    /// A reply that is finished, but must wait for those before it.
    pub(super) fn hold(&mut self, reply: &[u8]) {
        let waiting = self.waiting.get_or_insert_default();
        waiting.held += reply.len();
        waiting.replies.push_back(Reply::Finished(reply.to_vec()));
    }

    /// A reply that begins with `start`; the rest comes with the ticket.
    pub(super) fn begin(&mut self, start: &[u8]) -> Ticket {
        let waiting = self.waiting.get_or_insert_default();
        let ticket = Ticket(self.first.wrapping_add(waiting.replies.len() as u32));
        waiting.replies.push_back(Reply::Begun(start.to_vec()));
        waiting.outstanding += 1;
        ticket
    }

    /// The places for a reply have come. A ticket that was used already finds nothing.
    pub(super) fn finish(&mut self, answered: Answered) {
        let place = answered.ticket.0.wrapping_sub(self.first) as usize;
        let Some(reply) = self.waiting.as_mut().and_then(|waiting| waiting.replies.get_mut(place)) else { return };
        if let Reply::Begun(start) = reply {
            *reply = Reply::Answered(std::mem::take(start), answered);
        }
    }

    /// The next reply that may be sent.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let waiting = self.waiting.as_mut()?;
        let reply = match waiting.replies.pop_front()? {
            begun @ Reply::Begun(_) => {
                waiting.replies.push_front(begun);
                return None;
            }
            Reply::Answered(mut start, Answered { bound, answer, .. }) => {
                waiting.outstanding -= 1;
                start.extend_from_slice(&answer.text(bound.as_usize()));
                start
            }
            Reply::Finished(reply) => {
                waiting.held -= reply.len();
                reply
            }
        };
        self.first = self.first.wrapping_add(1);
        if waiting.replies.is_empty() {
            self.waiting = None;
        }
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(ticket: Ticket, message: &str) -> Answered {
        let bound = Bound::parse(b"1").expect("a bound");
        Answered { ticket, bound, answer: Rc::new(Answer::unknown_error(message)) }
    }

    /// The replies that may be sent, each as its first byte and whether it holds the message.
    fn sent(replies: &mut Replies, messages: &[&str]) -> Vec<String> {
        let all: Vec<Vec<u8>> = std::iter::from_fn(|| replies.next()).collect();
        let shown = all.iter().map(|reply| {
            let text = String::from_utf8_lossy(reply);
            let message = messages.iter().find(|message| text.contains(**message)).unwrap_or(&"");
            format!("{}{message}", &text[..1])
        });
        shown.collect()
    }

    #[test]
    fn replies_leave_in_the_order_of_the_commands() {
        let mut replies = Replies::default();
        let first = replies.begin(b"a");
        replies.hold(b"b");
        let third = replies.begin(b"c");
        replies.hold(b"d");
        replies.finish(answered(third, "three"));
        assert_eq!((replies.next(), replies.outstanding(), replies.held()), (None, 2, 2));
        replies.finish(answered(first, "one"));
        replies.finish(answered(first, "again"));
        assert_eq!(sent(&mut replies, &["one", "again", "three"]), ["aone", "b", "cthree", "d"]);
        assert!(replies.is_empty());
        assert_eq!((replies.outstanding(), replies.held()), (0, 0));
    }

    #[test]
    fn a_ticket_of_a_reply_that_has_left_finds_nothing() {
        let mut replies = Replies::default();
        let old = replies.begin(b"x");
        replies.finish(answered(old, "old"));
        assert_eq!(sent(&mut replies, &["old"]), ["xold"]);
        let new = replies.begin(b"x");
        replies.finish(answered(old, "wrong"));
        assert_eq!(replies.next(), None);
        replies.finish(answered(new, "new"));
        assert_eq!(sent(&mut replies, &["wrong", "new"]), ["xnew"]);
    }
}
