//! Questions to Places over kept-alive connections, each answered within its deadline, one way or another.
//!
//! - At most [`LOOKUPS`] connections; one question on each at a time. A connection that is free is used again.
//! - A kept connection that ends before it says anything to a question costs the question nothing: it is asked again on
//!   another one. Only a connection that has answered before can do that, so it happens at most once for each that is kept.
//! - A connection on which something comes unasked is dropped, lest it be taken for an answer.
//! - Whatever goes wrong, the client gets Google-shaped JSON; what exactly went wrong is for the log. The key is in neither.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::Servers;
use super::inquiries::{Asker, Inquiries, Opened};
use super::limits::{LOOKUP_IDLE_TIME, LOOKUP_TIME, LOOKUPS};
use super::replies::Answered;
use super::standin;
use super::trust::{Provider, Upstream};
use crate::event_loop::{AfterEof, ConnId, Loop, Lost, Protocol, Transport};
use crate::herd::command::Radius;
use crate::herd::position::Position;
use crate::places::answer::Answer;
use crate::places::question::Question;
use crate::wire::escaped::Escaped;
use crate::wire::http::{HttpError, Limits, Status};
use crate::wire::http_response::{Response, ResponseDecoder};

/// All questions and connections of the process.
pub(super) struct Lookups {
    provider: Provider,
    /// `None` until the stand-in listens.
    upstream: Option<Upstream>,
    inquiries: Inquiries,
    connections: HashMap<ConnId, Errand>,
    idle: Vec<ConnId>,
}

/// What a connection is doing.
struct Errand {
    question: Option<Question>,
    /// How many questions it has answered.
    answered: u32,
}

impl Lookups {
    pub(super) fn new(provider: Provider) -> Self {
        Self {
            provider,
            upstream: None,
            inquiries: Inquiries::default(),
            connections: HashMap::new(),
            idle: Vec::new(),
        }
    }

    pub(super) fn start(&mut self, event_loop: &mut Loop<'_, Servers>) {
        match &self.provider {
            Provider::Google(upstream) => self.upstream = Some(upstream.clone()),
            Provider::Embedded(identity) => standin::listen(event_loop, identity),
        }
    }

    /// The stand-in listens: questions can be asked.
    pub(super) fn found(&mut self, event_loop: &mut Loop<'_, Servers>, upstream: Upstream) {
        self.upstream = Some(upstream);
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
        let session = asker.session;
        let opened = self.inquiries.open(&question, asker);
        log::debug!(target: name.as_str(), "{session} asks Places {question} ({opened:?})");
        match opened {
            Opened::Joined => {}
            Opened::Waiting => {
                let late = question.clone();
                let deadline = event_loop.call_later(LOOKUP_TIME, move |event_loop, servers: &mut Servers| {
                    servers.lookups.give_up(event_loop, &late);
                });
                self.inquiries.set_deadline(&question, deadline);
                self.pump(event_loop);
            }
            Opened::Refused => {
                log::warn!(target: name.as_str(), "{session} asks Places {question}: too many questions wait");
                return Err(Answer::unknown_error("Too many questions are waiting for Places. Ask again later."));
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
        for deadline in self.inquiries.abandon(|session| event_loop.transport(session).is_some()) {
            event_loop.cancel(deadline);
        }
    }

    /// Gives waiting questions to connections, old or new.
    fn pump(&mut self, event_loop: &mut Loop<'_, Servers>) {
        while let Some(upstream) = &self.upstream
            && (!self.idle.is_empty() || self.connections.len() < LOOKUPS)
            && let Some(question) = self.inquiries.next()
        {
            let kept = std::iter::from_fn(|| self.idle.pop()).find(|id| event_loop.transport(*id).is_some());
            let id = match kept {
                Some(id) => {
                    if let Some(mut transport) = event_loop.transport(id) {
                        transport.write(&upstream.request(&question));
                        transport.set_timeout(None);
                    }
                    id
                }
                None => event_loop.connect(upstream.target.clone(), upstream.security.clone(), Lookup::new()),
            };
            self.connections.entry(id).or_insert(Errand { question: None, answered: 0 }).question = Some(question);
        }
    }

    /// A question has taken too long.
    fn give_up(&mut self, event_loop: &mut Loop<'_, Servers>, question: &Question) {
        let asked = self.connections.iter_mut().find(|(_, errand)| errand.question.as_ref() == Some(question));
        if let Some((id, errand)) = asked {
            // What it would say now nobody waits for.
            errand.question = None;
            if let Some(mut transport) = event_loop.transport(*id) {
                transport.abort();
            }
        }
        let detail = format!("no answer within {LOOKUP_TIME:?}");
        self.fail(event_loop, question, "Places took too long to answer.", &detail);
    }

    /// Hands an UNKNOWN_ERROR to all who asked: `message` is for them, `detail` for the log.
    fn fail(&mut self, event_loop: &mut Loop<'_, Servers>, question: &Question, message: &str, detail: &str) {
        self.answer_all(event_loop, question, Answer::unknown_error(message), detail);
    }

    /// Hands the answer to all who asked; `detail` is what the log says of an UNKNOWN_ERROR.
    fn answer_all(&mut self, event_loop: &mut Loop<'_, Servers>, question: &Question, answer: Answer, detail: &str) {
        let Some((askers, deadline)) = self.inquiries.close(question) else { return };
        if let Some(deadline) = deadline {
            event_loop.cancel(deadline);
        }
        let answer = Rc::new(answer);
        // It is Places that says it: it may be anything.
        let status = answer.status().as_bytes();
        let shown = Escaped(&status[..status.len().min(STATUS_SHOWN)]);
        for asker in askers {
            let (name, session) = (asker.server.as_str(), asker.session);
            if answer.status() == Answer::UNKNOWN_ERROR {
                log::warn!(target: name, "{session} gets no places {question}: {detail}");
            } else {
                log::info!(target: name, "{session} gets places {question}: {shown}");
            }
            // One that has gone wants nothing.
            if event_loop.transport(session).is_some() {
                self.inquiries.deliver(&asker, &answer);
                event_loop.wake(session);
            }
        }
    }

    /// Whether a question is out on a connection.
    fn is_asked(&self, id: ConnId) -> bool {
        self.connections.get(&id).is_some_and(|errand| errand.question.is_some())
    }

    fn responded(&mut self, event_loop: &mut Loop<'_, Servers>, id: ConnId, response: Response) {
        let Some(errand) = self.connections.get_mut(&id) else { return };
        errand.answered += 1;
        let Some(question) = errand.question.take() else { return };
        let status = response.status;
        match Answer::read(response.body) {
            Ok(answer) => self.answer_all(event_loop, &question, answer, "Places says so itself"),
            Err(nonsense) => {
                let detail = format!("HTTP {status}: {nonsense}");
                self.fail(event_loop, &question, "Places gave an answer that makes no sense.", &detail);
            }
        }
        match event_loop.transport(id) {
            Some(mut transport) if response.keep_alive => {
                transport.set_timeout(Some(LOOKUP_IDLE_TIME));
                self.idle.push(id);
            }
            Some(mut transport) => transport.close(),
            None => {}
        }
        self.pump(event_loop);
    }

    fn garbled(&mut self, event_loop: &mut Loop<'_, Servers>, id: ConnId, error: HttpError) {
        let question = self.connections.get_mut(&id).and_then(|errand| errand.question.take());
        if let Some(question) = question {
            let message = "Places gave an answer that is cut short or malformed.";
            self.fail(event_loop, &question, message, &error.to_string());
        }
    }

    fn lost(&mut self, event_loop: &mut Loop<'_, Servers>, heard: bool, Lost { id, why, .. }: Lost) {
        self.idle.retain(|idle| *idle != id);
        let Some(Errand { question, answered }) = self.connections.remove(&id) else { return };
        if let Some(question) = question {
            if answered > 0 && !heard {
                // It was kept too long; that is nobody's fault.
                self.inquiries.ask_again(question);
            } else {
                let detail = why.map_or_else(|| "the connection ended".to_owned(), |error| error.to_string());
                self.fail(event_loop, &question, "Places could not be reached.", &detail);
            }
        }
        self.pump(event_loop);
    }

    /// The request for a connection that was made.
    fn request(&self, id: ConnId) -> Option<Vec<u8>> {
        let question = self.connections.get(&id)?.question.as_ref()?;
        Some(self.upstream.as_ref()?.request(question))
    }
}

/// One connection to Places.
struct Lookup {
    decoder: Option<ResponseDecoder>,
    /// Whether anything came since the last answer.
    heard: bool,
}

impl Lookup {
    fn new() -> Self {
        Self { decoder: Some(ResponseDecoder::new(Limits::default())), heard: false }
    }
}

impl Protocol<Servers> for Lookup {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        transport.set_close_timeout(Duration::from_secs(1));
        match servers.lookups.request(transport.id()) {
            Some(request) => transport.write(&request),
            None => transport.close(),
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        let id = transport.id();
        let Some(decoder) = &mut self.decoder else { return };
        if !servers.lookups.is_asked(id) {
            // What comes before the next question must not be taken for its answer.
            log::info!("{id} is dropped: Places speaks unasked");
            return transport.abort();
        }
        self.heard = true;
        match decoder.decode(data) {
            Ok(Status::Partial) => {}
            Ok(Status::Complete { mut message, consumed }) => {
                // Who says more than was asked is not asked again.
                message.keep_alive &= consumed == data.len();
                self.heard = false;
                servers.lookups.responded(&mut transport.event_loop(), id, message);
            }
            Err(error) => {
                servers.lookups.garbled(&mut transport.event_loop(), id, error);
                transport.abort();
            }
        }
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) -> AfterEof {
        let id = transport.id();
        match self.decoder.take().map(ResponseDecoder::finish) {
            Some(Ok(response)) => servers.lookups.responded(&mut transport.event_loop(), id, response),
            Some(Err(HttpError::Silent)) | None => {}
            Some(Err(error)) => servers.lookups.garbled(&mut transport.event_loop(), id, error),
        }
        AfterEof::Close
    }

    /// It was kept, and nobody asked.
    fn timed_out(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.close();
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        servers.lookups.lost(event_loop, self.heard, lost);
    }
}

/// How much of a status is logged, in bytes.
const STATUS_SHOWN: usize = 64;

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::event_loop::{Endpoints, EventLoop, Request};
    use crate::herd::topology::{Topology, Url};
    use crate::places::question::Key;

    /// Whom a request dials for, if it does.
    fn connects(request: Request) -> Option<ConnId> {
        if let Request::Connect { id, .. } = request { Some(id) } else { None }
    }

    #[test]
    fn an_answer_to_a_session_that_is_lost_before_it_looks_is_forgotten() {
        let topology = Topology::built_in();
        let url = Url::parse("http://127.0.0.1:9999").expect("a URL");
        let provider = Provider::google(url, Key::new("k").expect("a key"), None).expect("no TLS is needed");
        let servers = Servers::new(&topology, &[topology.servers()[0].name.clone()], provider, 7);
        let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::UNIX_EPOCH);
        event_loop.enter(|event_loop, servers| servers.start(event_loop));
        let Some(Request::Listen { listener: door, .. }) = event_loop.poll_request() else {
            panic!("clients come first")
        };
        while event_loop.poll_request().is_some() {}

        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let endpoints = || Endpoints::new(address, address);
        let client = event_loop.accepted(door, endpoints()).expect("it may come in");
        event_loop.received(client, b"IAMAT a +1+1 5\nWHATSAT a 1 1\n");
        let places = std::iter::from_fn(|| event_loop.poll_request()).find_map(connects).expect("Places is asked");
        assert!(event_loop.connected(places, endpoints()));
        event_loop.received(places, b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}");
        event_loop.lost(client, io::ErrorKind::ConnectionReset.into());
        event_loop.advance(Instant::now(), SystemTime::UNIX_EPOCH);
        assert!(event_loop.state().lookups.inquiries.holds_nothing());
    }
}
