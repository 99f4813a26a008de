//! Which questions are open, who asked them, and which wait for a connection. No I/O.
//!
//! Identical questions that are open at the same time are one question: its answer goes to all who asked, and so does its end
//! when the first of them has waited long enough, as Places has then had all its time. An answer that
//! has come waits here until its session, which is woken, takes it. Nothing is kept after that (Google's terms).

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use super::limits::QUESTIONS_WAITING;
use super::replies::{Answered, Ticket};
use crate::event_loop::{CallId, ConnId};
use crate::herd::command::Bound;
use crate::herd::name::ServerName;
use crate::places::answer::Answer;
use crate::places::question::Question;

/// Who wants an answer, for which of its replies, and how much of it.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) session: ConnId,
    pub(super) server: ServerName,
    pub(super) ticket: Ticket,
    pub(super) bound: Bound,
}

/// The questions that are not answered, and the answers that were not fetched.
#[derive(Default)]
pub(super) struct Inquiries {
    open: HashMap<Question, Inquiry>,
    waiting: VecDeque<Question>,
    answers: HashMap<ConnId, Vec<Answered>>,
}

struct Inquiry {
    askers: Vec<Asker>,
    /// When it is given up, and the timer that does.
    due: Instant,
    deadline: Option<CallId>,
}

/// What becomes of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opened {
    /// It waits for a connection.
    Waiting,
    /// Somebody else has asked it, and has no answer yet.
    Joined,
    /// Too many wait.
    Refused,
}

impl Inquiries {
    /// Somebody asks what, if it is a new question, is given up when it is `due`; says what becomes of that.
    pub(super) fn open(&mut self, question: &Question, asker: Asker, due: Instant) -> Opened {
        if let Some(inquiry) = self.open.get_mut(question) {
            inquiry.askers.push(asker);
            return Opened::Joined;
        }
        if self.waiting.len() >= QUESTIONS_WAITING {
            return Opened::Refused;
        }
        self.open.insert(question.clone(), Inquiry { askers: vec![asker], due, deadline: None });
        self.waiting.push_back(question.clone());
        Opened::Waiting
    }

    /// Notes the timer that gives the question up.
    pub(super) fn set_deadline(&mut self, question: &Question, deadline: CallId) {
        if let Some(inquiry) = self.open.get_mut(question) {
            inquiry.deadline = Some(deadline);
        }
    }

    /// Whether a question waits for a connection.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes those of the waiting questions that are due before `until`, for which nobody is to wait that long.
    pub(super) fn take_due_before(&mut self, until: Instant) -> Vec<Question> {
        let Self { open, waiting, .. } = self;
        let is_due = |question: &Question| open.get(question).is_none_or(|inquiry| inquiry.due < until);
        // They wait in the order in which they were asked.
        let count = waiting.iter().take_while(|question| is_due(question)).count();
        waiting.drain(..count).collect()
    }

    /// The next question for a connection that is free.
    pub(super) fn next(&mut self) -> Option<Question> {
        self.waiting.pop_front()
    }

    /// A question that was asked in vain, and may be asked again, waits where it would if it had not been.
    pub(super) fn ask_again(&mut self, question: Question) {
        let Self { open, waiting, .. } = self;
        let Some(Inquiry { due, .. }) = open.get(&question) else { return };
        let at = waiting.partition_point(|other| open.get(other).is_some_and(|inquiry| inquiry.due < *due));
        waiting.insert(at, question);
    }

    /// The question is answered, one way or another: who asked, and the timer that is no longer needed.
    pub(super) fn close(&mut self, question: &Question) -> Option<(Vec<Asker>, Option<CallId>)> {
        let inquiry = self.open.remove(question)?;
        self.waiting.retain(|waiting| waiting != question);
        Some((inquiry.askers, inquiry.deadline))
    }

    /// Puts an answer where its session will look.
    pub(super) fn deliver(&mut self, asker: &Asker, answer: &Rc<Answer>) {
        let answered = Answered { ticket: asker.ticket, bound: asker.bound, answer: Rc::clone(answer) };
        self.answers.entry(asker.session).or_default().push(answered);
    }

    /// Drops the questions that wait for a connection though all who asked have gone; the timers that are no longer needed.
    pub(super) fn abandon(&mut self, mut is_there: impl FnMut(ConnId) -> bool) -> Vec<CallId> {
        let Self { open, waiting, .. } = self;
        let mut deadlines = Vec::new();
        waiting.retain(|question| {
            let Some(inquiry) = open.get_mut(question) else { return false };
            // From the end, and for good: nobody who has gone is looked at twice.
            while inquiry.askers.pop_if(|asker| !is_there(asker.session)).is_some() {}
            if inquiry.askers.is_empty() {
                deadlines.extend(inquiry.deadline);
                open.remove(question);
                return false;
            }
            true
        });
        deadlines
    }

    /// Whether nobody waits and nothing waits for anybody.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.open.is_empty() && self.waiting.is_empty() && self.answers.is_empty()
    }

    /// What has come for a session.
    pub(super) fn take_answers(&mut self, session: ConnId) -> Vec<Answered> {
        self.answers.remove(&session).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, SystemTime};

    use super::super::replies::Replies;
    use super::*;
    use crate::event_loop::{EventLoop, Protocol, Security, Transport};

    struct Nobody;

    impl Protocol<()> for Nobody {
        fn data_received(&mut self, _: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {}
    }

    fn asker() -> Asker {
        let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::UNIX_EPOCH);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        Asker {
            session: event_loop.enter(|event_loop, ()| event_loop.connect(address, Security::Plain, Nobody)),
            server: ServerName::parse(b"Hands").expect("a name"),
            ticket: Replies::default().begin(b""),
            bound: Bound::parse(b"5").expect("a bound"),
        }
    }

    fn question(metres: usize) -> Question {
        Question::new(b"+1", b"+2", metres.to_string().as_bytes()).expect("a question")
    }

    #[test]
    fn identical_questions_are_one_and_all_who_asked_are_named() {
        let (mut inquiries, now) = (Inquiries::default(), Instant::now());
        assert_eq!(inquiries.open(&question(1), asker(), now), Opened::Waiting);
        assert_eq!(inquiries.open(&question(1), asker(), now), Opened::Joined);
        assert_eq!(inquiries.open(&question(2), asker(), now), Opened::Waiting);
        assert_eq!(inquiries.next(), Some(question(1)));
        assert_eq!(inquiries.open(&question(1), asker(), now), Opened::Joined, "also while it is being asked");
        assert_eq!(inquiries.close(&question(1)).map(|(askers, _)| askers.len()), Some(3));
        assert!(inquiries.close(&question(1)).is_none());
        assert_eq!(inquiries.next(), Some(question(2)));
        assert_eq!(inquiries.next(), None);
    }

    #[test]
    fn a_question_too_many_is_refused() {
        let (mut inquiries, now) = (Inquiries::default(), Instant::now());
        for metres in 0..QUESTIONS_WAITING {
            assert_eq!(inquiries.open(&question(metres), asker(), now), Opened::Waiting);
        }
        assert_eq!(inquiries.open(&question(QUESTIONS_WAITING), asker(), now), Opened::Refused);
        inquiries.next();
        assert_eq!(inquiries.open(&question(QUESTIONS_WAITING), asker(), now), Opened::Waiting);
    }

    #[test]
    fn those_that_are_due_before_a_time_are_taken_and_the_others_wait() {
        let (mut inquiries, now) = (Inquiries::default(), Instant::now());
        let second = Duration::from_secs(1);
        for metres in 0..4 {
            inquiries.open(&question(metres), asker(), now + second * metres as u32);
        }
        // One that was asked, and is to be asked again.
        let first = inquiries.next().expect("it waits");
        inquiries.ask_again(first);
        assert!(inquiries.take_due_before(now).is_empty());
        assert_eq!(inquiries.take_due_before(now + 2 * second), [question(0), question(1)]);
        assert_eq!(inquiries.next(), Some(question(2)));
        assert!(inquiries.is_waiting());
        assert_eq!(inquiries.take_due_before(now + 9 * second), [question(3)]);
        assert!(!inquiries.is_waiting());
    }

    #[test]
    fn questions_that_are_asked_again_take_their_old_places() {
        let (mut inquiries, now) = (Inquiries::default(), Instant::now());
        let due = |metres| now + Duration::from_secs(metres as u64);
        for metres in 0..4 {
            inquiries.open(&question(metres), asker(), due(metres));
        }
        let asked: Vec<Question> = (0..3).filter_map(|_| inquiries.next()).collect();
        asked.into_iter().for_each(|question| inquiries.ask_again(question));
        assert_eq!(inquiries.take_due_before(due(1)), [question(0)], "the others may wait");
        let order: Vec<Question> = std::iter::from_fn(|| inquiries.next()).collect();
        assert_eq!(order, [question(1), question(2), question(3)]);
    }

    #[test]
    fn a_question_that_was_given_up_is_not_asked_again() {
        let (mut inquiries, now) = (Inquiries::default(), Instant::now());
        inquiries.open(&question(1), asker(), now);
        inquiries.close(&question(1));
        inquiries.ask_again(question(1));
        assert_eq!(inquiries.next(), None);
    }
}
