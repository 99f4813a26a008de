//! A client's connection in callbacks: what is read goes to its [`Client`], what that says is written.
//!
//! - A client is not read from while it does not read, or while too much of it is unanswered or held back; the lines that
//!   came with the last read wait in `lines`. So a client costs a bounded amount whatever it does.
//! - After its half-close, a last line without `\n` is a line, and what is outstanding is answered before we close.
//! - At most one deadline runs: see `Pace`.
//!
//! What happens to a client, and what is said, is `client`'s business.

use crate::event_loop::{AfterEof, Loop, Lost, Protocol, Transport};
use crate::server::client::{Client, Fault};
use crate::server::limits::{CLIENT_LINE, GOODBYE_TIME, IDLE_TIME, LINE_TIME, STALL_TIME};
use crate::server::{ServerId, Servers};
use crate::wire::lines::{Batch, Line, LineBuffer};

/// One client.
pub(in crate::server) struct Session {
    client: Client,
    stage: Stage,
    pace: Pace,
    lines: LineBuffer,
}

/// How far the conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Talking,
    /// The client has ended its half; what it said is still carried out and answered.
    Ended,
    /// The server stops; what the client has said is still carried out and answered.
    Stopping,
    /// We hear no more, because of a line; replies to what came before it are still owed.
    Leaving,
}

/// What the deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// It may say something.
    Idle,
    /// It has begun a line.
    Line,
    /// It is waiting for us: no deadline.
    Waiting,
    /// It has to read.
    Stalled,
}

impl Session {
    pub(in crate::server) fn new(server: ServerId) -> Self {
        let (client, lines) = (Client::new(server), LineBuffer::new(CLIENT_LINE));
        Self { client, stage: Stage::Talking, pace: Pace::Idle, lines }
    }

    /// Sends what may be sent, and carries out what can be of the lines in `data` and of those that waited.
    fn run(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        let id = transport.id();
        let mut fresh = self.lines.is_empty();
        let Self { client, stage, lines, .. } = self;
        while !transport.is_writing_paused()
            && let Some(reply) = client.next_reply(servers, id)
        {
            transport.write(&reply);
        }
        let (mut feed, mut batch) = (lines.feed(data), Batch::new());
        while may_go_on(client, transport) && *stage != Stage::Leaving {
            feed.fill(&mut batch, |line| client.may_be_next(line));
            if !batch.is_empty() {
                fresh = true;
                obey(client, transport, servers, &batch);
                continue;
            }
            match feed.next() {
                Some(Line::Whole(line)) => {
                    fresh = true;
                    obey(client, transport, servers, &Batch::from_iter([line]));
                }
                Some(Line::TooLong(start)) => {
                    if let Some(refusal) = client.refuse(servers, id, Fault::TooLong, start) {
                        transport.write(&refusal);
                    }
                    *stage = Stage::Leaving;
                }
                None => break,
            }
        }
        drop((feed, batch));
        self.go_on(transport, fresh);
    }

    /// After every event: reads or not, ends or not, and sets the deadline. `fresh` tells that the unfinished line, if
    /// there is one, began just now.
    fn go_on(&mut self, transport: &mut Transport<'_, Servers>, fresh: bool) {
        let reads = may_go_on(&self.client, transport) && self.stage == Stage::Talking;
        if reads {
            transport.resume_reading();
        } else {
            transport.pause_reading();
        }
        let answered = self.client.is_answered() && !transport.is_writing_paused();
        match self.stage {
            Stage::Ended if answered => return transport.close(),
            Stage::Stopping | Stage::Leaving if answered => return transport.close_slowly(GOODBYE_TIME),
            _ => {}
        }
        let pace = if transport.is_writing_paused() {
            Pace::Stalled
        } else if reads && !self.lines.is_empty() {
            Pace::Line
        } else if self.client.awaits_places() {
            Pace::Waiting
        } else {
            Pace::Idle
        };
        let begins = pace != self.pace || pace == Pace::Idle || pace == Pace::Line && fresh;
        if begins {
            self.pace = pace;
            transport.set_timeout(match pace {
                Pace::Idle => Some(IDLE_TIME),
                Pace::Line => Some(LINE_TIME),
                Pace::Waiting => None,
                Pace::Stalled => Some(STALL_TIME),
            });
        }
    }
}

impl Protocol<Servers> for Session {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let id = transport.id();
        let peer = transport.peer_addr().expect("the connection stands");
        if !self.client.admit(&transport.event_loop(), servers, id, peer) {
            return transport.abort();
        }
        transport.set_close_timeout(STALL_TIME);
        transport.set_timeout(Some(IDLE_TIME));
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        self.run(transport, servers, data);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) -> AfterEof {
        if let Some(line) = self.lines.take_last() {
            obey(&mut self.client, transport, servers, &Batch::from_iter([&*line]));
        }
        if self.stage == Stage::Talking {
            self.stage = Stage::Ended;
        }
        self.go_on(transport, true);
        AfterEof::KeepOpen
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        self.go_on(transport, false);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        // It reads: should it be given so much at once that it has to read on, its time for that begins anew.
        self.pace = Pace::Idle;
        self.run(transport, servers, &[]);
    }

    /// An answer of Places has come, or the server stops.
    fn woken(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        self.client.take_answers(servers, transport.id());
        if servers.is_draining() && self.stage == Stage::Talking {
            self.stage = Stage::Stopping;
        }
        self.run(transport, servers, &[]);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let id = transport.id();
        match self.pace {
            Pace::Idle | Pace::Waiting => {
                self.client.log_idle(servers, id);
                transport.close();
            }
            Pace::Line => {
                let start = self.lines.take_last().unwrap_or_default();
                if let Some(refusal) = self.client.refuse(servers, id, Fault::TooSlow, &start) {
                    transport.write(&refusal);
                }
                self.stage = Stage::Leaving;
                self.go_on(transport, true);
            }
            Pace::Stalled => {
                self.client.log_stalled(servers, id, transport.write_buffer_size());
                transport.abort();
            }
        }
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        self.client.farewell(event_loop, servers, lost);
    }
}

fn obey(client: &mut Client, transport: &mut Transport<'_, Servers>, servers: &mut Servers, lines: &Batch<'_>) {
    let id = transport.id();
    let said = client.obey(&mut transport.event_loop(), servers, id, lines);
    transport.write(&said);
}

fn may_go_on(client: &Client, transport: &Transport<'_, Servers>) -> bool {
    client.has_room() && !transport.is_writing_paused()
}
