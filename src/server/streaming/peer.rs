//! A neighbour's connection as an async function: HERD from both sides, then lines after lines, and PING when there is none.
//!
//! What the lines lead to, and what is said, is `contact`'s business.

use std::convert::Infallible;
use std::future::pending;
use std::io;

use super::talk::{Party, Talk};
use crate::event_loop::{Loop, Lost};
use crate::server::contact::{self, Contact, Parting, Phase};
use crate::server::limits::{
    GOODBYE_TIME, HELLO_TIME, LINE_TIME, PEER_HIGH_WATER, PEER_LINE, PEER_LOW_WATER, PING_AFTER, SILENCE_TIME,
};
use crate::server::{Servers, repairs};
use crate::streams::{Either, Elapsed, Handle, Opening, ReadError, StreamReader, StreamWriter, race};
use crate::wire::lines::{Batch, Line, Lines};

/// Talks with whoever has connected to us.
pub(in crate::server) async fn accept(
    handle: Handle<Servers>,
    contact: Contact,
    reader: StreamReader,
    writer: StreamWriter,
) -> io::Result<()> {
    let talk = Talk::new(handle, writer.id(), writer.peer().ip(), contact);
    converse(talk, reader, writer).await;
    Ok(())
}

/// Talks with a neighbour, once it is connected to.
pub(in crate::server) async fn dial(handle: Handle<Servers>, contact: Contact, opening: Opening) {
    let mut talk = Talk::new(handle, opening.id(), None, contact);
    match opening.await {
        Ok((reader, writer)) => converse(talk, reader, writer).await,
        Err(why) => talk.end(Err(why)),
    }
}

/// How the conversation is over, but for what the connection itself says.
enum Over {
    /// There is something left to say, or not.
    Parting(Parting),
    /// They have ended.
    End,
    /// There is no sign of life.
    Silence,
}

async fn converse(mut talk: Talk<Contact>, mut reader: StreamReader, writer: StreamWriter) {
    let id = talk.id();
    match talk.lend(move |contact, _, servers| contact.meet(servers, id)).await {
        Some(hello) => {
            writer.set_write_buffer_limits(PEER_HIGH_WATER, PEER_LOW_WATER);
            writer.write(&hello);
            let handle = talk.handle().clone();
            let over = race(listen(&mut talk, &mut reader, &writer), catch_up(&handle, &writer)).await;
            match over {
                Either::Left(Ok(Over::Parting(Parting::Ours(err)))) => {
                    writer.write(&err);
                    writer.close_slowly(GOODBYE_TIME);
                }
                Either::Left(Ok(Over::Parting(Parting::Theirs) | Over::End)) => writer.close(),
                Either::Left(Ok(Over::Silence) | Err(_)) => writer.abort(),
                Either::Right(never) => match never {},
            }
        }
        // Too many wait at the door.
        None => writer.abort(),
    }
    talk.end(writer.wait_closed().await);
}

/// Carries out what they say, all lines that are here in one call, until that is over.
async fn listen(talk: &mut Talk<Contact>, reader: &mut StreamReader, writer: &StreamWriter) -> io::Result<Over> {
    let (handle, id) = (talk.handle().clone(), talk.id());
    reader.set_limit(PEER_LINE);
    let hello_until = handle.now() + HELLO_TIME;
    loop {
        let lines = if matches!(talk.party().phase(), Phase::Hello(_)) {
            handle.timeout_at(hello_until, reader.fill_until(b"\n")).await.map_err(|Elapsed| contact::NO_HELLO)
        } else {
            // The first sign of life, then the rest of the line.
            if handle.timeout(PING_AFTER, reader.fill_buf()).await.is_err() {
                let ping = talk.lend(move |contact, event_loop, servers| contact.ping(event_loop, servers, id)).await;
                writer.write(ping.unwrap_or_default());
                if handle.timeout(SILENCE_TIME - PING_AFTER, reader.fill_buf()).await.is_err() {
                    talk.lend(move |contact, _, servers| contact.log_silence(servers, id)).await;
                    return Ok(Over::Silence);
                }
            }
            handle.timeout(LINE_TIME, reader.fill_until(b"\n")).await.map_err(|Elapsed| contact::TOO_SLOW)
        };
        let lines = match lines {
            Ok(Ok(lines)) => Ok(lines.to_vec()),
            Ok(Err(ReadError::Incomplete { partial, .. })) => {
                talk.party_mut().cut_off(&partial);
                return Ok(Over::End);
            }
            Ok(Err(ReadError::Failed(error))) => return Err(error),
            Ok(Err(ReadError::LimitOverrun { .. })) => Err(contact::TOO_LONG),
            Err(why) => Err(why),
        };
        reader.consume(lines.as_ref().map_or(0, Vec::len));
        let obey = move |contact: &mut Contact, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers| {
            let mut answers = Vec::new();
            let lines = match lines {
                Ok(lines) => lines,
                Err(why) => return (answers, Err(contact.refuse(event_loop, servers, id, why))),
            };
            let (mut lines, mut batch) = (Lines::new(&lines, PEER_LINE), Batch::new());
            loop {
                lines.fill(&mut batch, |line| contact.may_be_next(line));
                let outcome = match batch.is_empty() {
                    false => contact.learn(event_loop, servers, id, &batch).map(|()| None),
                    true => match lines.next() {
                        Some(Line::Whole(line)) => contact.obey(event_loop, servers, id, line),
                        _ => return (answers, Ok(())),
                    },
                };
                match outcome {
                    Ok(answer) => answers.extend(answer.unwrap_or_default()),
                    Err(parting) => return (answers, Err(parting)),
                }
            }
        };
        let (answers, outcome) = talk.lend(obey).await;
        // Also what answers the lines before the one that ends it.
        writer.write(&answers);
        if let Err(parting) = outcome {
            return Ok(Over::Parting(parting));
        }
    }
}

/// Goes on with the repair when a neighbour that did not keep up has read on: whoever finds that it does not wakes us.
async fn catch_up(handle: &Handle<Servers>, writer: &StreamWriter) -> Infallible {
    let id = writer.id();
    loop {
        writer.woken().await;
        if writer.drain().await.is_err() {
            // How it is lost, `listen` hears, once it has carried out what came before.
            return pending().await;
        }
        handle.call(move |event_loop, servers| repairs::caught_up(event_loop, servers, id)).await;
    }
}

impl Party for Contact {
    fn farewell(self) -> impl FnOnce(&mut Loop<'_, Servers>, &mut Servers, Lost) + 'static {
        move |event_loop, servers, lost| Contact::farewell(&self, event_loop, servers, lost)
    }
}
