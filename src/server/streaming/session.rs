//! A client's connection as an async function: lines are read, carried out, answered; then the next.
//!
//! - All whole lines that are here are carried out in one call, which costs as much for many as for one.
//! - What a client says is read only when what it is owed is not too much: so it costs a bounded amount whatever it does.
//! - After its half-close, a last line without `\n` is a line, and what is outstanding is answered before we close.
//! - At most one deadline runs, around what must happen in time: `patience`.
//!
//! What happens to a client, and what is said, is `client`'s business.

use std::future::Future;
use std::io;
use std::time::Instant;

use memchr::memchr;

use super::talk::{Party, Talk};
use crate::event_loop::{ConnId, Loop, Lost};
use crate::server::client::{Client, Fault};
use crate::server::limits::{CLIENT_LINE, GOODBYE_TIME, IDLE_TIME, LINE_TIME, STALL_TIME};
use crate::server::{ServerId, Servers};
use crate::streams::{Either, Elapsed, Handle, ReadError, Sleep, StreamReader, StreamWriter, race};
use crate::wire::lines::{Batch, Line, Lines};

/// Serves one client.
pub(in crate::server) fn serve(
    handle: Handle<Servers>,
    server: ServerId,
    reader: StreamReader,
    writer: StreamWriter,
) -> impl Future<Output = io::Result<()>> {
    let patience = handle.sleep(IDLE_TIME);
    let (id, peer) = (writer.id(), writer.peer().ip());
    let talk = Talk::new(handle, id, peer, Guest { client: Client::new(server), writer, reader });
    let mut session = Session { talk, patience, begun: None };
    async move {
        match session.converse().await {
            Ok(Leave::Close) => session.writer().close(),
            Ok(Leave::CloseSlowly) => session.writer().close_slowly(GOODBYE_TIME),
            // It may not stay, or is lost, or was too slow.
            Err(_) => session.writer().abort(),
        }
        let how = session.writer().wait_closed().await;
        session.talk.end(how);
        Ok(())
    }
}

/// One client.
struct Session {
    talk: Talk<Guest>,
    patience: Sleep,
    /// When the line began that is not complete.
    begun: Option<Instant>,
}

/// What is lent to calls: what it says is carried out where it lies, and answered there.
struct Guest {
    client: Client,
    writer: StreamWriter,
    reader: StreamReader,
}

/// What comes from a client.
enum Heard {
    /// Whole lines, so many bytes. They stay in the reader until they are carried out.
    Lines(usize),
    /// The last line, which has no `\n`.
    Last(Vec<u8>),
    /// A line that began like this, and is none.
    Fault(Fault, Vec<u8>),
    /// Nothing more.
    End,
    /// Nothing, for too long.
    Silence,
    /// Nothing yet, but somebody has woken us.
    Woken,
}

/// How a client is left, once it is answered.
enum Leave {
    /// It has said all.
    Close,
    /// It may be talking.
    CloseSlowly,
}

impl Session {
    /// Carries out what the client says and answers it, until both are over.
    async fn converse(&mut self) -> io::Result<Leave> {
        self.welcome().await?;
        let leave = self.listen().await?;
        self.answer_all().await?;
        Ok(leave)
    }

    /// Lets the client in, if it may stay.
    async fn welcome(&mut self) -> io::Result<()> {
        let (id, peer) = (self.talk.id(), self.writer().peer().ip().expect("clients come over TCP"));
        if !self.talk.lend(move |guest, event_loop, servers| guest.client.admit(event_loop, servers, id, peer)).await {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.talk.party_mut().reader.set_limit(CLIENT_LINE);
        self.writer().set_close_timeout(STALL_TIME);
        Ok(())
    }

    /// Carries out what the client says, until that is over.
    async fn listen(&mut self) -> io::Result<Leave> {
        // Once the server stops: how many of the bytes that came are still to be carried out.
        let mut left = None;
        loop {
            self.answer().await?;
            let reader = &mut self.talk.party_mut().reader;
            if left.is_some_and(|left| memchr(b'\n', &reader.buffered()[..left]).is_none()) {
                return Ok(Leave::CloseSlowly);
            }
            match self.hear().await? {
                Heard::Lines(count) => {
                    let done = self.obey(count.min(left.unwrap_or(count))).await?;
                    left = left.map(|left| left - done);
                }
                Heard::Last(line) => self.obey_last(line).await?,
                Heard::Fault(fault, start) => {
                    self.refuse(fault, start).await?;
                    return Ok(Leave::CloseSlowly);
                }
                Heard::End => return Ok(Leave::Close),
                Heard::Silence => {
                    let id = self.talk.id();
                    self.talk.lend(move |guest, _, servers| guest.client.log_idle(servers, id)).await;
                    return Ok(Leave::Close);
                }
                Heard::Woken => {
                    if self.look().await? && left.is_none() {
                        left = Some(self.talk.party_mut().reader.buffered().len());
                    }
                }
            }
        }
    }

    /// Waits until the client says something, unless it is owed too much, or until somebody wakes us.
    async fn hear(&mut self) -> io::Result<Heard> {
        let Self { talk, patience, begun } = self;
        let (Guest { client, writer, reader }, handle) = talk.parts();
        if !client.has_room() {
            writer.woken().await;
            return Ok(Heard::Woken);
        }
        match race(next_lines(reader, patience, begun, handle), writer.woken()).await {
            Either::Left(heard) => heard,
            Either::Right(()) => Ok(Heard::Woken),
        }
    }

    /// Carries out the lines in the first `count` bytes of the reader, as long as the client may be heard, and says what comes of
    /// it; how many bytes they were.
    async fn obey(&mut self, count: usize) -> io::Result<usize> {
        let id = self.talk.id();
        let lent = self.talk.lend(move |Guest { client, writer, reader }, event_loop, servers| {
            let (mut said, room) = (0, room(event_loop, id));
            let (mut lines, mut batch) = (Lines::new(&reader.buffered()[..count], CLIENT_LINE), Batch::new());
            while client.has_room() && said <= room {
                lines.fill(&mut batch, |line| client.may_be_next(line));
                if batch.is_empty() {
                    let Some(Line::Whole(line)) = lines.next() else { break };
                    batch.push(line);
                }
                let replies = client.obey(event_loop, servers, id, &batch);
                writer.write_through(event_loop, &replies);
                said += replies.len();
            }
            let done = count - lines.rest().len();
            drop(batch);
            reader.consume(done);
            (done, said > room)
        });
        let (done, is_full) = lent.await;
        if is_full {
            self.drain().await?;
        }
        Ok(done)
    }

    async fn obey_last(&mut self, line: Vec<u8>) -> io::Result<()> {
        let id = self.talk.id();
        let lent = self.talk.lend(move |guest, event_loop, servers| {
            guest.client.obey(event_loop, servers, id, &Batch::from_iter([&*line])).into_owned()
        });
        let said = lent.await;
        self.say(&said).await
    }

    async fn refuse(&mut self, fault: Fault, start: Vec<u8>) -> io::Result<()> {
        let id = self.talk.id();
        let refusal = self.talk.lend(move |guest, _, servers| guest.client.refuse(servers, id, fault, &start)).await;
        self.say(&refusal.unwrap_or_default()).await
    }

    /// Says what had to wait and need not any more.
    async fn answer(&mut self) -> io::Result<()> {
        while !self.talk.party().client.is_answered() {
            let id = self.talk.id();
            let lent = self.talk.lend(move |guest, event_loop, servers| {
                let (mut said, room) = (0, room(event_loop, id));
                while said <= room
                    && let Some(reply) = guest.client.next_reply(servers, id)
                {
                    guest.writer.write_through(event_loop, &reply);
                    said += reply.len();
                }
                said
            });
            if lent.await == 0 {
                break;
            }
            self.drain().await?;
        }
        Ok(())
    }

    /// Waits until nothing is outstanding, and says it.
    async fn answer_all(&mut self) -> io::Result<()> {
        loop {
            self.answer().await?;
            if self.talk.party().client.is_answered() {
                return Ok(());
            }
            self.writer().woken().await;
            self.look().await?;
        }
    }

    /// Somebody has woken us: an answer of Places has come, or the server stops, which is the result. Or the client is gone.
    async fn look(&mut self) -> io::Result<bool> {
        if self.writer().is_closing() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let id = self.talk.id();
        let lent = self.talk.lend(move |guest, _, servers| {
            guest.client.take_answers(servers, id);
            servers.is_draining()
        });
        Ok(lent.await)
    }

    /// Says what there is to say, and waits while the client does not read.
    async fn say(&mut self, reply: &[u8]) -> io::Result<()> {
        self.writer().write(reply);
        self.drain().await
    }

    /// Waits while the client does not read.
    async fn drain(&mut self) -> io::Result<()> {
        self.patience.reset(self.talk.handle().now() + STALL_TIME);
        if let Ok(outcome) = self.patience.timeout(self.talk.party().writer.drain()).await {
            return outcome;
        }
        let id = self.talk.id();
        let lent = self.talk.lend(move |guest, event_loop, servers| {
            let unsent = event_loop.transport(id).map_or(0, |transport| transport.write_buffer_size());
            guest.client.log_stalled(servers, id, unsent);
        });
        lent.await;
        Err(Elapsed.into())
    }

    fn writer(&self) -> &StreamWriter {
        &self.talk.party().writer
    }
}

/// How many bytes more may wait for a client before it has to read: what was written before the call is with its transport.
fn room(event_loop: &mut Loop<'_, Servers>, id: ConnId) -> usize {
    // To one that is lost all can be said.
    event_loop
        .transport(id)
        .map_or(usize::MAX, |transport| transport.write_buffer_limits().1.saturating_sub(transport.write_buffer_size()))
}

/// Waits for whole lines: first for anything, then for a `\n`.
async fn next_lines(
    reader: &mut StreamReader,
    patience: &mut Sleep,
    begun: &mut Option<Instant>,
    handle: &Handle<Servers>,
) -> io::Result<Heard> {
    // Who waits for Places is answered, and we are woken, long before it counts as silent.
    patience.reset(handle.now() + IDLE_TIME);
    let Ok(first) = patience.timeout(reader.fill_buf()).await else { return Ok(Heard::Silence) };
    if first?.is_empty() {
        return Ok(Heard::End);
    }
    patience.reset(*begun.get_or_insert(handle.now()) + LINE_TIME);
    let lines = patience.timeout(reader.fill_until(b"\n")).await;
    *begun = None;
    match lines {
        Ok(Ok(lines)) => Ok(Heard::Lines(lines.len())),
        // The client has ended its half; that is heard next.
        Ok(Err(ReadError::Incomplete { partial, .. })) => Ok(Heard::Last(partial)),
        Ok(Err(ReadError::LimitOverrun { .. })) => Ok(Heard::Fault(Fault::TooLong, reader.buffered().to_vec())),
        Ok(Err(ReadError::Failed(error))) => Err(error),
        Err(Elapsed) => Ok(Heard::Fault(Fault::TooSlow, reader.buffered().to_vec())),
    }
}

impl Party for Guest {
    fn farewell(self) -> impl FnOnce(&mut Loop<'_, Servers>, &mut Servers, Lost) + 'static {
        let client = self.client;
        move |event_loop, servers, lost| client.farewell(event_loop, servers, lost)
    }
}
