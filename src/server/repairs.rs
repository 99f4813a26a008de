//! The repair of a server's links: when a lesson begins, how its lines leave, and what is said about it.
//!
//! - A lesson begins when a link comes up, every [`REPAIR_EVERY`], and when the neighbour says that it has dropped reports.
//! - What there is to say leaves slice by slice, one in a turn, and waits while the neighbour does not read: so live reports
//!   go on, and a repair adds little to what waits. What a neighbour teaches is read in small pieces, too.
//! - A neighbour that *lags* (not even reports find room) is taught nothing; once it has read, it is told to ask again.
//!
//! What the lines mean, `herd::repair` knows.

use super::limits::{PEER_WRITE_CAP, PEER_WRITE_RESERVE, REPAIR_EVERY, REPAIR_PATIENCE};
use super::links::Link;
use super::{Server, ServerId, Servers, neighbours};
use crate::event_loop::{CallId, ConnId, Loop, Transport};
use crate::herd::node::NeighbourId;
use crate::herd::repair::{Heard, Lesson, Repair};
use crate::mutation::Rule;

/// What passes between a server and one neighbour beside the reports that are flooded.
#[derive(Default)]
pub(super) struct Exchange {
    repair: Repair,
    flow: Flow,
    /// Whether the neighbour may lack what only we can teach it: from the moment the link is up, or reports are dropped, until
    /// a lesson is over.
    owes: bool,
    /// For how many times of [`REPAIR_EVERY`] the lesson has gone on.
    waited: u32,
    pub(super) figures: Figures,
}

/// Whether lines of the repair leave.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Flow {
    /// There is nothing to say.
    #[default]
    Resting,
    /// The next slice leaves by this call, next turn.
    Due(CallId),
    /// Too much waits for the neighbour: it has to read first.
    Blocked,
    /// So much waits that reports are dropped.
    Lagging,
}

/// What was counted on one link.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Figures {
    pub(super) in_step: bool,
    /// Reports that came and were news since it was in step, or since the lesson was asked for that found more.
    came: u64,
    /// Reports that came, news or not.
    pub(super) reports: u64,
    pub(super) repaired: u64,
    pub(super) dropped: u64,
}

impl Figures {
    /// The link is lost or made anew, or the neighbour has dropped reports. What came out of step goes on counting.
    pub(super) fn lose_step(&mut self) {
        if self.in_step {
            (self.in_step, self.came) = (false, 0);
        }
    }
}

impl Exchange {
    /// With the same neighbour, of which nothing counts any more but what was counted.
    pub(super) fn begin_anew(&self) -> Self {
        let mut figures = self.figures;
        figures.lose_step();
        Self { figures, ..Self::default() }
    }

    pub(super) fn is_lagging(&self) -> bool {
        self.flow == Flow::Lagging
    }

    /// Whether we have to stay, as the neighbour has not learnt what it missed.
    pub(super) fn owes(&self) -> bool {
        self.owes
    }

    /// Whether reports, so many bytes, may be written.
    pub(super) fn has_room(&self, transport: &Transport<'_, Servers>, length: usize) -> bool {
        let fits = transport.write_buffer_size() + length <= PEER_WRITE_CAP - PEER_WRITE_RESERVE;
        fits && !self.is_lagging() || !Rule::Lagging.holds()
    }

    /// A report for which there is no room is dropped, and will be repaired. The server's name is for the log.
    pub(super) fn drop_report(&mut self, transport: &mut Transport<'_, Servers>, name: &str) {
        self.figures.dropped += 1;
        self.owes = true;
        if !self.is_lagging() {
            let id = transport.id();
            log::warn!(target: name, "{id} does not keep up: reports to it are dropped until it has read, then repaired");
            self.stop(&mut transport.event_loop());
            self.flow = Flow::Lagging;
            self.repair.interrupt();
            // A task waits for room only if it knows that there is none.
            transport.event_loop().wake(id);
        }
    }

    /// A report has come that was news.
    pub(super) fn learnt(&mut self) {
        self.figures.came += 1;
    }

    fn stop(&mut self, event_loop: &mut Loop<'_, Servers>) {
        if let Flow::Due(call) = std::mem::take(&mut self.flow) {
            event_loop.cancel(call);
        }
    }

    /// Has the next slice made, if there is something to say and nothing in the way.
    fn go_on(&mut self, event_loop: &mut Loop<'_, Servers>, edge: Edge) {
        if self.repair.has_work() && self.flow == Flow::Resting {
            self.flow = Flow::Due(event_loop.call_soon(move |event_loop, servers| slice(event_loop, servers, edge)));
        }
    }
}

/// One end of a link, as long as it is this connection.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) server: ServerId,
    pub(super) neighbour: NeighbourId,
    pub(super) connection: ConnId,
}

/// A link is up: what was missed is asked for, now and then every [`REPAIR_EVERY`].
pub(super) fn begin(event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, edge: Edge) {
    let exchange = &mut servers.server(edge.server).links.get_mut(edge.neighbour).exchange;
    exchange.stop(event_loop);
    exchange.repair = Repair::default();
    exchange.owes = Rule::Repair.holds();
    exchange.figures.lose_step();
    ask(event_loop, servers, edge);
    look_again(event_loop, edge);
}

/// Carries out what a neighbour says after `DIGEST `.
pub(super) fn hear(
    event_loop: &mut Loop<'_, Servers>,
    servers: &mut Servers,
    edge: Edge,
    words: &[u8],
) -> Result<(), &'static str> {
    let Server { name, node, links, .. } = servers.server(edge.server);
    let other = links.get_mut(edge.neighbour);
    if other.link.connection() != Some(edge.connection) {
        return Ok(());
    }
    match other.exchange.repair.hear(node.directory(), words)? {
        Heard::Nothing => other.exchange.go_on(event_loop, edge),
        Heard::Again => {
            other.exchange.figures.lose_step();
            ask(event_loop, servers, edge);
        }
        Heard::InStep(sent) => {
            let Figures { in_step, came, repaired, .. } = &mut other.exchange.figures;
            // In step, most of what has come was flooded, and some of what was sent was known. Out of step, some may have come on a
            // connection before this one, and some in a lesson before this one.
            let was_in_step = std::mem::replace(in_step, true);
            let reports = if was_in_step { sent.min(*came) } else { *came };
            *came = 0;
            read_at_once(event_loop, edge.connection, usize::MAX);
            *repaired += reports;
            if !was_in_step || reports > 0 {
                let (id, who, known) = (edge.connection, &other.name, node.directory().len());
                log::info!(
                    target: name.as_str(),
                    "{id} is in step with {who}: reports that had been missing {reports}, clients known {known}"
                );
            }
        }
    }
    Ok(())
}

/// What waited on a connection has sunk to the low mark: if it is a link, its repair goes on, and begins anew if reports were
/// dropped.
pub(super) fn caught_up(event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, connection: ConnId) {
    for (index, server) in servers.each.iter_mut().enumerate() {
        let Some(neighbour) = server.links.find_link(connection) else { continue };
        let (name, exchange) = (server.name.as_str(), &mut server.links.get_mut(neighbour).exchange);
        match exchange.flow {
            Flow::Lagging => {
                log::info!(target: name, "{connection} has caught up");
                // A lesson that was asked for meanwhile may not know of what was dropped after that.
                exchange.repair.interrupt();
                let mut again = Vec::new();
                Repair::again(&mut again);
                say(event_loop, name, connection, &again);
            }
            Flow::Blocked => {}
            Flow::Resting | Flow::Due(_) => continue,
        }
        exchange.flow = Flow::Resting;
        exchange.go_on(event_loop, Edge { server: ServerId(index), neighbour, connection });
    }
}

/// Begins a lesson, as soon as the neighbour reads.
fn ask(event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, edge: Edge) {
    if !Rule::Repair.holds() {
        return;
    }
    let lesson = Lesson(servers.dice.u32(..));
    let exchange = &mut servers.server(edge.server).links.get_mut(edge.neighbour).exchange;
    exchange.waited = 0;
    if exchange.figures.in_step {
        exchange.figures.came = 0;
    }
    exchange.repair.ask(lesson);
    exchange.go_on(event_loop, edge);
    read_at_once(event_loop, edge.connection, Repair::SLICE);
}

/// Compares again after [`REPAIR_EVERY`], as long as this is the link, and unless a lesson is under way.
fn look_again(event_loop: &mut Loop<'_, Servers>, edge: Edge) {
    event_loop.call_later(REPAIR_EVERY, move |event_loop, servers| {
        let other = servers.server(edge.server).links.get_mut(edge.neighbour);
        if other.link.connection() != Some(edge.connection) {
            return;
        }
        let Exchange { repair, waited, .. } = &mut other.exchange;
        *waited += 1;
        let busy = repair.is_learning() && *waited < REPAIR_PATIENCE;
        if !busy {
            ask(event_loop, servers, edge);
        }
        look_again(event_loop, edge);
    });
}

/// Says the next lines of a repair, if the neighbour reads.
fn slice(event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, edge: Edge) {
    let Server { name, node, links, .. } = servers.server(edge.server);
    let other = links.get_mut(edge.neighbour);
    let Link::Up { connection, .. } = other.link else { return };
    let Some(transport) = event_loop.transport(connection).filter(|_| connection == edge.connection) else { return };
    if transport.is_writing_paused() {
        other.exchange.flow = Flow::Blocked;
        event_loop.wake(connection);
        return;
    }
    other.exchange.flow = Flow::Resting;
    let mut text = Vec::new();
    let was_teaching = other.exchange.repair.is_teaching();
    other.exchange.repair.work(node.directory(), &mut text);
    other.exchange.owes &= !was_teaching || other.exchange.repair.is_teaching();
    say(event_loop, name.as_str(), connection, &text);
    other.exchange.go_on(event_loop, edge);
    servers.leave_if_done(event_loop);
}

/// Has so much of what a neighbour says read in a turn: little while it teaches, so that others have their turn.
fn read_at_once(event_loop: &mut Loop<'_, Servers>, id: ConnId, most: usize) {
    if let Some(mut transport) = event_loop.transport(id) {
        transport.set_read_size(most);
    }
}

/// Writes lines of a repair, and logs them.
fn say(event_loop: &mut Loop<'_, Servers>, name: &str, id: ConnId, lines: &[u8]) {
    let Some(mut transport) = event_loop.transport(id) else { return };
    transport.write(lines);
    if log::log_enabled!(target: name, log::Level::Debug) {
        lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| neighbours::note(name, id, line));
    }
}
