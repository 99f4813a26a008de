//! A client's connection as an async function: a line is read, carried out, answered; then the next.
//!
//! - What a client says is read only when what it is owed is not too much: so it costs a bounded amount whatever it does.
//! - After its half-close, a last line without `\n` is a line, and what is outstanding is answered before we close.
//! - Each deadline is a `timeout` around what must happen in time.
//!
//! What happens to a client, and what is said, is `client`'s business.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::time::Instant;

use super::conversation::{Conversation, Party};
use crate::event_loop::{Loop, Lost};
use crate::server::client::{Client, Fault};
use crate::server::limits::{CLIENT_LINE, GOODBYE_TIME, IDLE_TIME, LINE_TIME, STALL_TIME};
use crate::server::{ServerId, Servers};
use crate::streams::{Either, Elapsed, Handle, ReadError, StreamReader, StreamWriter, race};

/// Serves one client.
pub(in crate::server) fn serve(
    handle: Handle<Servers>,
    server: ServerId,
    reader: StreamReader,
    writer: StreamWriter,
) -> impl Future<Output = io::Result<()>> {
    let talk = Conversation::new(handle, writer.id(), writer.peer().ip(), Client::new(server));
    let mut session = Session { talk, reader, writer, begun: None };
    async move {
        match session.converse().await {
            Ok(Leave::Close) => session.writer.close(),
            Ok(Leave::CloseSlowly) => session.writer.close_slowly(GOODBYE_TIME),
            // It may not stay, or is lost, or was too slow.
            Err(_) => session.writer.abort(),
        }
        session.talk.end(session.writer.wait_closed().await);
        Ok(())
    }
}

/// One client.
struct Session {
    talk: Conversation<Client>,
    reader: StreamReader,
    writer: StreamWriter,
    /// When the line began that is not complete.
    begun: Option<Instant>,
}

/// What comes from a client.
enum Heard {
    Line(Vec<u8>),
    /// A line that began like this, and is none.
    Fault(Fault, Vec<u8>),
    /// Nothing more.
    End,
    /// Nothing, for too long.
    Silence,
}

/// How a client is left, once it is answered.
enum Leave {
    /// It has said all.
    Close,
    /// It may be talking.
    CloseSlowly,
}

impl Session {
    /// Carries out what the client says, line by line, and answers it, until both are over.
    async fn converse(&mut self) -> io::Result<Leave> {
        self.welcome().await?;
        let leave = self.listen().await?;
        self.answer_all().await?;
        Ok(leave)
    }

    /// Lets the client in, if it may stay.
    async fn welcome(&mut self) -> io::Result<()> {
        let (id, peer) = (self.talk.id(), self.writer.peer().ip().expect("clients come over TCP"));
        if !self.talk.lend(move |client, event_loop, servers| client.admit(event_loop, servers, id, peer)).await {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.reader.set_limit(CLIENT_LINE);
        self.writer.set_close_timeout(STALL_TIME);
        Ok(())
    }

    /// Carries out what the client says, line by line, until that is over.
    async fn listen(&mut self) -> io::Result<Leave> {
        // Once the server stops: how many of the bytes that came are still to be carried out.
        let mut left = None;
        loop {
            self.answer().await?;
            if left.is_some_and(|left| !self.reader.buffered()[..left].contains(&b'\n')) {
                return Ok(Leave::CloseSlowly);
            }
            let heard = if self.talk.party().has_room() {
                let awaits_places = self.talk.party().awaits_places();
                let Self { talk, reader, writer, begun } = self;
                race(hear(talk.handle(), reader, begun, awaits_places), writer.woken()).await
            } else {
                self.writer.woken().await;
                Either::Right(())
            };
            match heard {
                Either::Left(heard) => match heard? {
                    Heard::Line(line) => {
                        left = left.map(|left: usize| left.saturating_sub(line.len() + 1));
                        self.obey(line).await?;
                    }
                    Heard::Fault(fault, start) => {
                        self.refuse(fault, start).await?;
                        return Ok(Leave::CloseSlowly);
                    }
                    Heard::End => return Ok(Leave::Close),
                    Heard::Silence => {
                        let id = self.talk.id();
                        self.talk.lend(move |client, _, servers| client.log_idle(servers, id)).await;
                        return Ok(Leave::Close);
                    }
                },
                Either::Right(()) => {
                    if self.look().await? && left.is_none() {
                        left = Some(self.reader.buffered().len());
                    }
                }
            }
        }
    }

    /// Carries out one line.
    async fn obey(&mut self, line: Vec<u8>) -> io::Result<()> {
        let id = self.talk.id();
        let obey = move |client: &mut Client, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers| {
            client.obey(event_loop, servers, id, &line).map(Cow::into_owned)
        };
        match self.talk.lend(obey).await {
            Some(reply) => self.say(&reply).await,
            None => Ok(()),
        }
    }

    async fn refuse(&mut self, fault: Fault, start: Vec<u8>) -> io::Result<()> {
        let id = self.talk.id();
        match self.talk.lend(move |client, _, servers| client.refuse(servers, id, fault, &start)).await {
            Some(refusal) => self.say(&refusal).await,
            None => Ok(()),
        }
    }

    /// Says what had to wait and need not any more.
    async fn answer(&mut self) -> io::Result<()> {
        let id = self.talk.id();
        while !self.talk.party().is_answered()
            && let Some(reply) = self.talk.lend(move |client, _, servers| client.next_reply(servers, id)).await
        {
            self.say(&reply).await?;
        }
        Ok(())
    }

    /// Waits until nothing is outstanding, and says it.
    async fn answer_all(&mut self) -> io::Result<()> {
        loop {
            self.answer().await?;
            if self.talk.party().is_answered() {
                return Ok(());
            }
            self.writer.woken().await;
            self.look().await?;
        }
    }

    /// Somebody has woken us: an answer of Places has come, or the server stops, which is the result. Or the client is gone.
    async fn look(&mut self) -> io::Result<bool> {
        if self.writer.is_closing() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let id = self.talk.id();
        let look = move |client: &mut Client, _: &mut Loop<'_, Servers>, servers: &mut Servers| {
            client.take_answers(servers, id);
            servers.is_draining()
        };
        Ok(self.talk.lend(look).await)
    }

    /// Sends a reply, and waits while the client does not read.
    async fn say(&mut self, reply: &[u8]) -> io::Result<()> {
        self.writer.write(reply);
        match self.talk.handle().timeout(STALL_TIME, self.writer.drain()).await {
            Ok(outcome) => outcome,
            Err(Elapsed) => {
                let id = self.talk.id();
                let log = move |client: &mut Client, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers| {
                    let unsent = event_loop.transport(id).map_or(0, |transport| transport.write_buffer_size());
                    client.log_stalled(servers, id, unsent);
                };
                self.talk.lend(log).await;
                Err(Elapsed.into())
            }
        }
    }
}

/// Waits for the next line. Who waits for Places may be silent.
async fn hear(
    handle: &Handle<Servers>,
    reader: &mut StreamReader,
    begun: &mut Option<Instant>,
    awaits_places: bool,
) -> io::Result<Heard> {
    let first = if awaits_places {
        reader.fill_buf().await?
    } else {
        match handle.timeout(IDLE_TIME, reader.fill_buf()).await {
            Ok(first) => first?,
            Err(Elapsed) => return Ok(Heard::Silence),
        }
    };
    if first.is_empty() {
        return Ok(Heard::End);
    }
    let until = *begun.get_or_insert(handle.now()) + LINE_TIME;
    let line = handle.timeout_at(until, reader.read_until(b"\n")).await;
    *begun = None;
    match line {
        Ok(Ok([line @ .., _])) => Ok(Heard::Line(line.to_vec())),
        Ok(Ok([])) => unreachable!("its `\\n` is part of it"),
        // The client has ended its half; that is heard next.
        Ok(Err(ReadError::Incomplete { partial, .. })) => Ok(Heard::Line(partial)),
        Ok(Err(ReadError::LimitOverrun { .. })) => {
            Ok(Heard::Fault(Fault::TooLong, reader.read(CLIENT_LINE).await?.to_vec()))
        }
        Ok(Err(ReadError::Failed(error))) => Err(error),
        Err(Elapsed) => Ok(Heard::Fault(Fault::TooSlow, reader.buffered().to_vec())),
    }
}

impl Party for Client {
    fn farewell(self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        Client::farewell(&self, event_loop, servers, lost);
    }
}
