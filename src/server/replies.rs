//! The replies of one client, in the order of its commands, though some are finished before others.
//!
//! A reply that nothing waits in front of is not kept here at all. It knows no transport: it is told what is finished and
//! says what may be sent.

use std::collections::VecDeque;

/// The replies that cannot be sent yet.
#[derive(Default)]
pub(super) struct Replies {
    waiting: VecDeque<Reply>,
    /// The number of the first one.
    first: u32,
    /// How many of them are not finished.
    outstanding: usize,
    /// How many bytes the finished ones have.
    held: usize,
}

/// Which of a client's replies an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ticket(u32);

enum Reply {
    /// Begins like this and is not finished.
    Begun(Vec<u8>),
    Finished(Vec<u8>),
}

impl Replies {
    /// Whether nothing waits: a reply may be sent at once.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many are not finished.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many bytes of finished replies are held back.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// A reply that is finished, but must wait for those before it.
    pub(super) fn hold(&mut self, reply: &[u8]) {
        self.held += reply.len();
        self.waiting.push_back(Reply::Finished(reply.to_vec()));
    }

    /// A reply that begins with `start`; the rest comes with the ticket.
    pub(super) fn begin(&mut self, start: &[u8]) -> Ticket {
        let ticket = Ticket(self.first.wrapping_add(self.waiting.len() as u32));
        self.waiting.push_back(Reply::Begun(start.to_vec()));
        self.outstanding += 1;
        ticket
    }

    /// The rest of a reply has come. A ticket that was used already finds nothing.
    pub(super) fn finish(&mut self, ticket: Ticket, rest: &[u8]) {
        let place = ticket.0.wrapping_sub(self.first) as usize;
        let Some(reply) = self.waiting.get_mut(place) else { return };
        if let Reply::Begun(start) = reply {
            let mut whole = std::mem::take(start);
            whole.extend_from_slice(rest);
            self.outstanding -= 1;
            self.held += whole.len();
            *reply = Reply::Finished(whole);
        }
    }

    /// The next reply that may be sent.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let Some(Reply::Finished(_)) = self.waiting.front() else { return None };
        let Some(Reply::Finished(reply)) = self.waiting.pop_front() else { return None };
        self.first = self.first.wrapping_add(1);
        self.held -= reply.len();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_the_order_of_the_commands() {
        let mut replies = Replies::default();
        let first = replies.begin(b"a:");
        replies.hold(b"b");
        let third = replies.begin(b"c:");
        replies.hold(b"d");
        replies.finish(third, b"3");
        assert_eq!((replies.next(), replies.outstanding(), replies.held()), (None, 1, 5));
        replies.finish(first, b"1");
        replies.finish(first, b"again");
        let all: Vec<Vec<u8>> = std::iter::from_fn(|| replies.next()).collect();
        assert_eq!(all, [b"a:1".to_vec(), b"b".to_vec(), b"c:3".to_vec(), b"d".to_vec()]);
        assert!(replies.is_empty());
        assert_eq!((replies.outstanding(), replies.held()), (0, 0));
    }

    #[test]
    fn a_ticket_of_a_reply_that_has_left_finds_nothing() {
        let mut replies = Replies::default();
        let old = replies.begin(b"");
        replies.finish(old, b"1");
        assert_eq!(replies.next(), Some(b"1".to_vec()));
        let new = replies.begin(b"");
        replies.finish(old, b"wrong");
        assert_eq!(replies.next(), None);
        replies.finish(new, b"2");
        assert_eq!(replies.next(), Some(b"2".to_vec()));
    }
}
