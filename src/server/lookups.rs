//! Questions to Places, each answered within its deadline, one way or another; whatever the style that asks them.
//!
//! - At most [`LOOKUPS`](super::limits::LOOKUPS) connections; which of them has which question `errands` knows, and who asked
//!   it, and who waits, `inquiries`.
//! - An answer that says that this API is not enabled for the key's project answers nobody, if there is another API: its question is
//!   asked there, and so are all from then on.
//! - An answer is read some time after it has come, one in a turn of the loop: reading takes its time, and many may come at once.
//! - A connection on which something comes unasked is dropped, lest it be taken for an answer.
//! - Whatever goes wrong, the client gets Google-shaped JSON; what exactly went wrong is for the log. The key is in neither.
//! - Where a client is, only the log's line of the question says, which `-q` turns off; that of the outcome names the question by
//!   the client's reply that waits for it. What Places says of itself may be anything: `-q` turns that off, too.
//!
//! What a response means is in `outcome`. How bytes come and go, and how long a connection is kept, is the style's: `lookup`.

mod outcome;
mod unreached;

use std::collections::VecDeque;
use std::iter;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::outcome::Outcome;
use super::allowance::{Allowance, Verdict, Why};
use super::errands::{Errands, Orphan, Said};
use super::inquiries::{Asker, Inquiries, Opened};
use super::limits::{LOOKUP_LEAST_TIME, LOOKUP_TIME};
use super::provider::{Google, Provider, Upstream};
use super::replies::Answered;
use super::style::Host;
use super::{Servers, standin};
use crate::event_loop::{CallId, ConnId, Loop, Lost};
use crate::herd::command::Radius;
use crate::herd::position::Position;
use crate::herd::topology::Rate;
use crate::places::answer::Answer;
use crate::places::question::Question;
use crate::wire::http_response::Response;

/// All questions and connections of the process.
pub(super) struct Lookups {
    provider: Provider,
    host: Host,
    /// `None` until the stand-in listens.
    upstream: Option<Arc<Upstream>>,
    /// Who is asked instead, if `upstream` is not enabled for the key's project.
    fallback: Option<Arc<Upstream>>,
    inquiries: Inquiries,
    errands: Errands,
    /// What has come and was not read: at most one response for each connection, which is asked nothing before it is read.
    unread: VecDeque<Unread>,
    allowance: Allowance,
    /// When it is looked at again what may be asked, if questions are held back.
    alarm: Option<(Instant, CallId)>,
}

/// A response that was not read.
struct Unread {
    id: ConnId,
    question: Question,
    response: Response,
    upstream: Arc<Upstream>,
}

/// What becomes of a connection on which something has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// The answer goes on.
    Part,
    /// It was the end of the answer, and the connection is kept.
    Kept,
    /// It was the end of the answer, and the connection is to be closed.
    Last,
    /// It was no answer: the connection is to be aborted.
    Nonsense,
}

impl Lookups {
    /// `dice` are for pauses.
    pub(super) fn new(provider: Provider, dice: fastrand::Rng) -> Self {
        let rate = match &provider {
            Provider::Google(google) => google.rate,
            Provider::Embedded(_) => Rate::default(),
        };
        Self {
            provider,
            host: Host::Callbacks,
            upstream: None,
            fallback: None,
            inquiries: Inquiries::default(),
            errands: Errands::default(),
            unread: VecDeque::new(),
            allowance: Allowance::new(rate, dice),
            alarm: None,
        }
    }

    pub(super) fn start(&mut self, event_loop: &mut Loop<'_, Servers>, host: Host) {
        self.host = host;
        match &self.provider {
            Provider::Google(Google { upstream, fallback, .. }) => {
                self.upstream = Some(Arc::clone(upstream));
                self.fallback = fallback.clone();
            }
            Provider::Embedded(identity) => standin::listen(event_loop, identity),
        }
    }

    /// The stand-in listens: questions can be asked.
    pub(super) fn found(&mut self, event_loop: &mut Loop<'_, Servers>, upstream: Upstream) {
        self.upstream = Some(Arc::new(upstream));
        self.pump(event_loop);
    }

    /// Asks what is near; the asker's session is woken when the answer has come. If too many wait, the answer is this one.
    pub(super) fn ask(
        &mut self,
        event_loop: &mut Loop<'_, Servers>,
        position: &Position<'_>,
        radius: Radius,
        asker: Asker,
    ) -> Result<(), Answer> {
        let mut metres = Vec::new();
        radius.write_metres(&mut metres);
        let question = Question::new(position.latitude(), position.longitude(), &metres)
            .expect("a position and a radius are decimal numbers");
        let name = asker.server.clone();
        let (session, ticket) = (asker.session, asker.ticket);
        let due = event_loop.now() + LOOKUP_TIME;
        let opened = self.inquiries.open(&question, asker, due);
        log::debug!(target: name.as_str(), "{session} asks Places {question} ({opened:?}) for its {ticket}");
        match opened {
            Opened::Joined => {}
            Opened::Waiting => {
                let late = question.clone();
                let deadline = event_loop.call_at(due, move |event_loop, servers: &mut Servers| {
                    servers.lookups.expire(event_loop, late);
                });
                self.inquiries.set_deadline(&question, deadline);
                self.pump(event_loop);
            }
            Opened::Refused => {
                log::warn!(target: name.as_str(), "{session} gets no places for its {ticket}: too many questions wait");
                return Err(Answer::unknown_error(TOO_MANY_WAIT));
            }
        }
        Ok(())
    }

    /// What has come for a session.
    pub(super) fn take_answers(&mut self, session: ConnId) -> Vec<Answered> {
        self.inquiries.take_answers(session)
    }

    /// A session that was owed answers has gone: they are not kept, and what nobody else waits for is not asked.
    pub(super) fn forget(&mut self, event_loop: &mut Loop<'_, Servers>, session: ConnId) {
        self.inquiries.take_answers(session);
        self.abandon(event_loop);
    }

    /// What a connection is to ask now, to be sent at once: called when it was made, and when it is woken. `None` if there is
    /// nothing new.
    pub(super) fn request(&mut self, id: ConnId) -> Option<Vec<u8>> {
        self.errands.fetch(id)
    }

    /// Something has come on a connection.
    pub(super) fn hear(&mut self, event_loop: &mut Loop<'_, Servers>, id: ConnId, data: &[u8]) -> Heard {
        let said = self.errands.hear(id, data);
        self.take_in(event_loop, id, said)
    }

    /// The other end of a connection will say nothing more: it is to be closed.
    pub(super) fn hear_end(&mut self, event_loop: &mut Loop<'_, Servers>, id: ConnId) {
        let said = self.errands.hear_end(id);
        self.take_in(event_loop, id, said);
    }

    /// Something came before anything was asked: the connection is to be aborted.
    pub(super) fn log_unasked(&self, id: ConnId) {
        log::info!(target: TARGET, "{id} is dropped: Places speaks unasked");
    }

    /// A connection is gone, or was not made.
    pub(super) fn lost(&mut self, event_loop: &mut Loop<'_, Servers>, lost: Lost) {
        match self.errands.lose(lost.id) {
            Some(Orphan::AskAgain(question)) => self.ask_again(event_loop, question),
            Some(Orphan::Unanswered(question)) => {
                let detail = unreached::reason(lost.why.as_ref());
                self.fail(event_loop, &question, "Places could not be reached.", &detail);
            }
            None => {}
        }
        self.pump(event_loop);
    }

    /// A question was asked in vain, and waits again, if somebody still waits for it.
    fn ask_again(&mut self, event_loop: &mut Loop<'_, Servers>, question: Question) {
        self.inquiries.ask_again(question);
        self.abandon(event_loop);
    }

    /// Forgets the questions that have not been asked, and that nobody waits for any more.
    fn abandon(&mut self, event_loop: &mut Loop<'_, Servers>) {
        for deadline in self.inquiries.abandon(|session| event_loop.transport(session).is_some()) {
            event_loop.cancel(deadline);
        }
    }

    /// Gives waiting questions to connections, old or new.
    fn pump(&mut self, event_loop: &mut Loop<'_, Servers>) {
        while let Some(upstream) = &self.upstream
            && self.errands.has_room()
            && self.inquiries.is_waiting()
        {
            if let Verdict::Wait { until, why } = self.allowance.take(event_loop.now(), event_loop.wall_clock()) {
                return self.hold_back(event_loop, until, why);
            }
            let question = self.inquiries.next().expect("one waits");
            let kept = iter::from_fn(|| self.errands.take_kept()).find(|id| event_loop.transport(*id).is_some());
            let id = kept.unwrap_or_else(|| self.host.connect(event_loop, upstream));
            if kept.is_some() {
                event_loop.wake(id);
            }
            self.errands.give(id, upstream, question);
        }
    }

    /// Nothing may be asked before `until`: questions that are due by then, or soon after, are answered so, the others wait.
    fn hold_back(&mut self, event_loop: &mut Loop<'_, Servers>, until: Instant, why: Why) {
        for question in self.inquiries.take_due_before(until + LOOKUP_LEAST_TIME) {
            let (message, detail) = held_back(why, until - event_loop.now());
            self.answer_all(event_loop, &question, Answer::over_query_limit(&message), detail);
        }
        let alarm = self.alarm.take_if(|(at, _)| *at != until || !self.inquiries.is_waiting());
        if let Some((_, call)) = alarm {
            event_loop.cancel(call);
        }
        if self.alarm.is_none() && self.inquiries.is_waiting() {
            let call = event_loop.call_at(until, |event_loop, servers: &mut Servers| {
                servers.lookups.alarm = None;
                servers.lookups.pump(event_loop);
            });
            self.alarm = Some((until, call));
        }
    }

    /// A question has had its time. An answer that came in time, to a process that was held up, is in this turn's reads; so the
    /// turn, and with it the tasks, has its end before that counts.
    fn expire(&mut self, event_loop: &mut Loop<'_, Servers>, question: Question) {
        let late = question.clone();
        let end = event_loop.call_soon(move |event_loop, servers: &mut Servers| {
            servers.lookups.give_up(event_loop, &late);
        });
        self.inquiries.set_deadline(&question, end);
    }

    /// A question has taken too long, if its answer is not about to be read.
    fn give_up(&mut self, event_loop: &mut Loop<'_, Servers>, question: &Question) {
        if self.unread.iter().any(|unread| unread.question == *question) {
            return self.expire(event_loop, question.clone());
        }
        let Some(id) = self.errands.take_back(question) else {
            let detail = format!("it could not be asked within {LOOKUP_TIME:?}");
            return self.fail(event_loop, question, TOO_MANY_WAIT, &detail);
        };
        if let Some(mut transport) = event_loop.transport(id) {
            transport.abort();
        }
        let detail = format!("no answer within {LOOKUP_TIME:?}");
        self.fail(event_loop, question, "Places took too long to answer.", &detail);
    }

    /// Hands an UNKNOWN_ERROR to all who asked: `message` is for them, `detail` for the log.
    fn fail(&mut self, event_loop: &mut Loop<'_, Servers>, question: &Question, message: &str, detail: &str) {
        self.answer_all(event_loop, question, Answer::unknown_error(message), detail);
    }

    /// Hands the answer to all who asked; `detail` is what the log says of one without places.
    fn answer_all(&mut self, event_loop: &mut Loop<'_, Servers>, question: &Question, answer: Answer, detail: &str) {
        let Some((askers, deadline)) = self.inquiries.close(question) else { return };
        if let Some(deadline) = deadline {
            event_loop.cancel(deadline);
        }
        let answer = Rc::new(answer);
        // It is Places that says it, so it may be anything: also where the client is.
        let status = answer.status();
        let is_word = status.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let shown = if is_word && status.len() <= STATUS_SHOWN { status } else { "a status unlike Google's" };
        for asker in askers {
            let (name, session, ticket) = (asker.server.as_str(), asker.session, asker.ticket);
            if answer.is_good() {
                log::info!(target: name, "{session} gets places for its {ticket}: {shown}");
            } else {
                log::warn!(target: name, "{session} gets no places for its {ticket}: {shown}, {detail}");
            }
            // One that has gone wants nothing.
            if event_loop.transport(session).is_some() {
                self.inquiries.deliver(&asker, &answer);
                event_loop.wake(session);
            }
        }
    }

    fn take_in(&mut self, event_loop: &mut Loop<'_, Servers>, id: ConnId, said: Said) -> Heard {
        match said {
            Said::Part => Heard::Part,
            Said::Answer(question, response, upstream) => {
                let heard = if response.keep_alive { Heard::Kept } else { Heard::Last };
                self.put_off(event_loop, Unread { id, question, response, upstream });
                heard
            }
            Said::Garbage(question, error) => {
                let message = "Places gave an answer that is cut short or malformed.";
                self.fail(event_loop, &question, message, &error.to_string());
                Heard::Nonsense
            }
            Said::Unasked => {
                self.log_unasked(id);
                Heard::Nonsense
            }
        }
    }

    /// A response waits for its turn to be read.
    fn put_off(&mut self, event_loop: &mut Loop<'_, Servers>, unread: Unread) {
        self.unread.push_back(unread);
        if self.unread.len() == 1 {
            read_soon(event_loop);
        }
    }

    /// Reads the response that has waited longest, and has the next one read in the next turn.
    fn read(&mut self, event_loop: &mut Loop<'_, Servers>) {
        let Unread { id, question, response, upstream } = self.unread.pop_front().expect("one was put off");
        let keep_alive = response.keep_alive;
        self.responded(event_loop, question, Outcome::of(response, &upstream), &upstream);
        if keep_alive && self.is_asked(&upstream) {
            self.errands.keep(id);
        } else if let Some(mut transport) = event_loop.transport(id) {
            transport.close();
        }
        self.pump(event_loop);
        if !self.unread.is_empty() {
            read_soon(event_loop);
        }
    }

    fn responded(
        &mut self,
        event_loop: &mut Loop<'_, Servers>,
        question: Question,
        outcome: Outcome,
        upstream: &Arc<Upstream>,
    ) {
        let Outcome { answer, detail, said, is_not_enabled, is_too_much, retry_after } = outcome;
        let (now, wall) = (event_loop.now(), event_loop.wall_clock());
        if is_too_much && let Some(pause) = self.allowance.told_off(now, wall, retry_after) {
            log::warn!(target: TARGET, "Places has had too many questions: it is asked nothing for {pause:.1?}");
        }
        if is_not_enabled && self.turn_from(event_loop, upstream) {
            return self.ask_again(event_loop, question);
        }
        if answer.is_good() {
            self.allowance.went_well(now);
        }
        if !said.is_empty() {
            log::debug!(target: TARGET, "{} says: {said}", upstream.api());
        }
        self.answer_all(event_loop, &question, answer, &detail);
    }

    /// Whether questions go to this upstream.
    fn is_asked(&self, upstream: &Arc<Upstream>) -> bool {
        self.upstream.as_ref().is_some_and(|asked| Arc::ptr_eq(asked, upstream))
    }

    /// This upstream is not enabled for the key's project. Whether another one is asked from now on, or already.
    fn turn_from(&mut self, event_loop: &mut Loop<'_, Servers>, left: &Arc<Upstream>) -> bool {
        if !self.is_asked(left) {
            return true;
        }
        let Some(next) = self.fallback.take() else { return false };
        let (left, api) = (left.api(), next.api());
        log::warn!(target: TARGET, "{left} is not enabled for the key's project: from now on {api} is asked");
        self.upstream = Some(next);
        for id in self.errands.take_all_kept() {
            if let Some(mut transport) = event_loop.transport(id) {
                transport.close();
            }
        }
        true
    }
}

/// What is told to those whose turn would be too late, as nothing may be asked for `time`; and what the log says of it.
fn held_back(why: Why, time: Duration) -> (String, &'static str) {
    match why {
        Why::PerSecond => (TOO_MANY_WAIT.to_owned(), "as its turn by places.rate.per_second would be too late"),
        Why::PerDay => {
            let message = "No more questions are asked of Places today (UTC).";
            (message.to_owned(), "as places.rate.per_day is used up")
        }
        Why::ToldOff => {
            let seconds = time.as_secs_f64().ceil();
            (format!("Places has had too many questions. Ask again in {seconds} s."), "as Places is left alone")
        }
    }
}

fn read_soon(event_loop: &mut Loop<'_, Servers>) {
    event_loop.call_soon(|event_loop, servers: &mut Servers| servers.lookups.read(event_loop));
}

/// Whose lines in the log are no server's, but about a connection to Places.
const TARGET: &str = "proxy_herd::server::lookup";

/// What a client is told whose question has no turn.
const TOO_MANY_WAIT: &str = "Too many questions are waiting for Places. Ask again later.";

/// The longest status that is logged, in bytes.
const STATUS_SHOWN: usize = 64;

#[cfg(test)]
mod tests;
