//! One client of the stand-in: its requests, one after the other, and the plan that is being played for it.
//!
//! The connection's timer is the plan's while that waits; else it is how long a client may take for its next request, the whole of it,
//! or not read.

use std::mem;
use std::time::Duration;

use super::Standin;
use crate::event_loop::{AfterEof, Loop, Lost, Protocol, Transport};
use crate::places::gazetteer::Gazetteer;
use crate::places::plan::{End, Plan, Step};
use crate::places::standin;
use crate::server::limits::{GOODBYE_TIME, STANDIN_IDLE_TIME};
use crate::wire::http::{Limits, Status};
use crate::wire::http_request::RequestDecoder;

/// A connection to the stand-in.
pub(super) struct Conversation {
    standin: Standin,
    decoder: RequestDecoder,
    /// What was read behind the request that is being answered.
    unread: Vec<u8>,
    stage: Stage,
}

/// What is waited for.
enum Stage {
    /// The next request.
    Listening,
    /// The plan's next step: it is not time yet.
    Waiting(Plan),
    /// The plan's next step: the client has to read first.
    Blocked(Plan),
    /// That all has left, for the connection to be cut off.
    CuttingOff,
    /// Nothing: the client is never answered.
    Hanging,
}

impl Conversation {
    pub(super) fn new(standin: Standin) -> Self {
        Self { standin, decoder: RequestDecoder::new(LIMITS), unread: Vec::new(), stage: Stage::Listening }
    }

    /// Answers what is a whole request, until one takes its time; what came behind that one waits.
    fn hear<S>(&mut self, transport: &mut Transport<'_, S>, mut data: &[u8]) {
        while !data.is_empty() && matches!(self.stage, Stage::Listening) && !transport.is_closing() {
            let id = transport.id();
            let plan = match self.decoder.decode(data) {
                Ok(Status::Partial) => break,
                Ok(Status::Complete { message, consumed }) => {
                    data = &data[consumed..];
                    let plan = standin::respond(Gazetteer::shipped(), &message, &self.standin.usual);
                    self.say(format_args!("{id} {message:?} is answered {}", Answered(&plan)));
                    plan
                }
                Err(error) => {
                    data = &[];
                    self.say(format_args!("{id} is answered {}: {error}", error.status()));
                    standin::refuse(error.status())
                }
            };
            self.play(transport, plan);
        }
        match &self.stage {
            Stage::Waiting(plan) | Stage::Blocked(plan) if plan.end != End::CutOff => {
                self.unread.extend_from_slice(data);
                transport.pause_reading();
            }
            // What is not read when the connection is aborted would reset it.
            Stage::Listening | Stage::Waiting(_) | Stage::Blocked(_) | Stage::CuttingOff | Stage::Hanging => {}
        }
    }

    /// Plays a plan until it has to wait, or is over.
    fn play<S>(&mut self, transport: &mut Transport<'_, S>, mut plan: Plan) {
        loop {
            if transport.is_writing_paused() {
                transport.set_timeout(Some(STANDIN_IDLE_TIME));
                self.stage = Stage::Blocked(plan);
                return;
            }
            let pause = match plan.steps.pop_front() {
                None => return self.end(transport, plan.end),
                Some(Step::Send(bytes)) => {
                    transport.write(&bytes);
                    Duration::ZERO
                }
                Some(Step::Wait(time)) => time,
                Some(Step::Drip(mut bytes, time)) => {
                    let Some(byte) = bytes.pop_front() else { continue };
                    transport.write(&[byte]);
                    plan.steps.push_front(Step::Drip(bytes, time));
                    time
                }
            };
            if !pause.is_zero() {
                transport.set_timeout(Some(pause));
                self.stage = Stage::Waiting(plan);
                return;
            }
        }
    }

    fn end<S>(&mut self, transport: &mut Transport<'_, S>, end: End) {
        self.stage = match end {
            End::KeepOpen => {
                transport.set_timeout(Some(STANDIN_IDLE_TIME));
                Stage::Listening
            }
            // In the clear there is no good-bye to leave out.
            End::CutOff if transport.tls_info().is_none() => Self::end_in_order(transport),
            End::Close => Self::end_in_order(transport),
            End::CutOff => {
                // To be told as soon as the system has it all: what it has, it sends, and `abort` adds no close_notify.
                transport.set_write_buffer_limits(0, 0);
                transport.set_timeout(Some(STANDIN_IDLE_TIME));
                if transport.write_buffer_size() == 0 {
                    transport.abort();
                }
                Stage::CuttingOff
            }
            End::Hang => {
                transport.set_timeout(Some(STANDIN_IDLE_TIME));
                Stage::Hanging
            }
        };
    }

    /// Whoever goes on sending is not reset before it has read.
    fn end_in_order<S>(transport: &mut Transport<'_, S>) -> Stage {
        transport.close_slowly(GOODBYE_TIME);
        Stage::Listening
    }

    /// Plays on; if that was all, has the next request heard.
    fn go_on<S>(&mut self, transport: &mut Transport<'_, S>, plan: Plan) {
        self.play(transport, plan);
        if let Stage::Listening = self.stage {
            let unread = mem::take(&mut self.unread);
            transport.resume_reading();
            self.hear(transport, &unread);
        }
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        log::log!(target: TARGET, self.standin.level, "{what}");
    }
}

impl<S> Protocol<S> for Conversation {
    fn connection_made(&mut self, transport: &mut Transport<'_, S>, _: &mut S) {
        let peer = transport.peer_addr().map_or_else(String::new, |peer| format!(" from {peer}"));
        self.say(format_args!("{} connected{peer}", transport.id()));
        transport.set_timeout(Some(STANDIN_IDLE_TIME));
    }

    fn data_received(&mut self, transport: &mut Transport<'_, S>, _: &mut S, data: &[u8]) {
        self.hear(transport, data);
    }

    /// A client that says nothing more may still wait to be answered.
    fn eof_received(&mut self, _: &mut Transport<'_, S>, _: &mut S) -> AfterEof {
        match self.stage {
            Stage::Listening => AfterEof::Close,
            Stage::Waiting(_) | Stage::Blocked(_) | Stage::CuttingOff | Stage::Hanging => AfterEof::KeepOpen,
        }
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, S>, _: &mut S) {
        match mem::replace(&mut self.stage, Stage::Listening) {
            Stage::Blocked(plan) => self.go_on(transport, plan),
            Stage::CuttingOff => transport.abort(),
            stage @ (Stage::Listening | Stage::Waiting(_) | Stage::Hanging) => self.stage = stage,
        }
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, S>, _: &mut S) {
        match mem::replace(&mut self.stage, Stage::Listening) {
            Stage::Waiting(plan) => self.go_on(transport, plan),
            Stage::Listening | Stage::Blocked(_) | Stage::CuttingOff | Stage::Hanging => transport.abort(),
        }
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, S>, _: &mut S, lost: Lost) {
        let why = lost.why.map_or_else(String::new, |why| format!(": {why}"));
        self.say(format_args!("{} is gone{why}", lost.id));
    }
}

/// With what a request is answered, for the log.
struct Answered<'a>(&'a Plan);

impl std::fmt::Display for Answered<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.status, self.0.end) {
            (Some(status), _) => write!(formatter, "{status}"),
            (None, End::Hang) => formatter.write_str("with nothing"),
            (None, _) => formatter.write_str("with garbage"),
        }
    }
}

/// A request is a line, a few headers, and perhaps a circle in JSON.
const LIMITS: Limits = Limits { head: 16 * 1024, body: 16 * 1024 };

/// Whose lines in the log they are.
const TARGET: &str = "proxy_herd::server::standin";
