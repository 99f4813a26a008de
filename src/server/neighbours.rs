//! What a server does about its neighbours: it dials them, for ever, floods reports, and lets go of links it does not need.
//!
//! - A link that is *retired* is told ERR and ended by the neighbour; what it had sent before is taken in, so that no report
//!   is lost. It has a while for that, unless another one is retired meanwhile: a neighbour never has more than two connections.
//! - A neighbour that does not keep up (its write buffer is full) is not queued for: reports to it are dropped until it has
//!   caught up, then repaired (`repairs`).
//! - A lost link is dialled again for ever; that a neighbour is down is said once, not every second.
//!
//! What is said on one connection is `contact`'s business.

use std::io;
use std::net::SocketAddr;

use super::contact::Contact;
use super::limits::{GOODBYE_TIME, HANDSHAKE_TIME, RETIRED_TIME};
use super::links::{ChangeKind, Link, Neighbour};
use super::{Server, ServerId, Servers};
use crate::event_loop::{ConnId, Connect, Loop, Security};
use crate::herd::link;
use crate::herd::name::ServerName;
use crate::herd::node::NeighbourId;
use crate::mutation::Rule;
use crate::wire::escaped::Escaped;

/// Connects to all neighbours of a server.
pub(super) fn dial_all(event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, id: ServerId) {
    for neighbour in servers.server(id).links.ids() {
        dial(event_loop, servers, id, neighbour);
    }
}

/// Takes over who a server's neighbours are, and where.
pub(super) fn set(
    event_loop: &mut Loop<'_, Servers>,
    servers: &mut Servers,
    id: ServerId,
    neighbours: impl IntoIterator<Item = (ServerName, SocketAddr)>,
) {
    for change in servers.server(id).links.set(neighbours) {
        let server = servers.server(id);
        let Neighbour { name: who, address, .. } = server.links.get(change.neighbour);
        let name = server.name.as_str();
        match change.kind {
            ChangeKind::New => log::info!(target: name, "{who} at {address} is a neighbour now"),
            ChangeKind::Moved => log::info!(target: name, "{who} has moved to {address}"),
            ChangeKind::Gone => log::info!(target: name, "{who} is no neighbour any more"),
        }
        match (change.old, change.kind) {
            (Link::Up { connection, .. }, ChangeKind::Moved) => {
                retire(event_loop, server, change.neighbour, connection, "the topology has another address");
            }
            (Link::Up { connection, .. }, _) => {
                if let Some(mut old) = event_loop.transport(connection) {
                    old.write(&err(name, connection, &format!("{who} is no neighbour of {name} any more")));
                    old.close_slowly(GOODBYE_TIME);
                }
            }
            // Nothing is agreed on yet.
            (Link::Dialling(connection), _) => {
                if let Some(mut old) = event_loop.transport(connection) {
                    old.fail(io::Error::other("the topology has changed"));
                }
            }
            (Link::Down | Link::Former, _) => {}
        }
        if change.kind != ChangeKind::Gone {
            dial(event_loop, servers, id, change.neighbour);
        }
    }
}

/// Says AT lines on every link but one.
pub(super) fn flood(
    event_loop: &mut Loop<'_, Servers>,
    server: &mut Server,
    lines: &[u8],
    except: Option<NeighbourId>,
) {
    let Server { name, links, .. } = server;
    let name = name.as_str();
    for (neighbour, connection, exchange) in links.up() {
        if Some(neighbour) == except && Rule::SplitHorizon.holds() {
            continue;
        }
        let Some(mut transport) = event_loop.transport(connection) else { continue };
        if exchange.has_room(&transport, lines.len()) {
            transport.write(lines);
            note_all(name, connection, lines);
            continue;
        }
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if exchange.has_room(&transport, line.len()) {
                transport.write(line);
                note(name, connection, line);
            } else {
                exchange.drop_report(&mut transport, name);
            }
        }
    }
}

/// Tells the neighbour why a connection is no longer wanted; what it sent before it ends it is taken in.
pub(super) fn retire(
    event_loop: &mut Loop<'_, Servers>,
    server: &mut Server,
    neighbour: NeighbourId,
    id: ConnId,
    why: &str,
) {
    let before = server.links.get_mut(neighbour).retired.replace(id);
    if let Some(mut older) = before.and_then(|older| event_loop.transport(older)) {
        older.abort();
    }
    let Some(mut old) = event_loop.transport(id) else { return };
    let name = server.name.as_str();
    log::info!(target: name, "{id} is retired: {why}");
    old.write(&err(name, id, why));
    event_loop.call_later(RETIRED_TIME, move |event_loop, _| {
        if let Some(mut old) = event_loop.transport(id) {
            old.close();
        }
    });
}

/// A connection with a neighbour is gone: says so, and dials again if nothing else leads there.
pub(super) fn left(
    event_loop: &mut Loop<'_, Servers>,
    servers: &mut Servers,
    id: ServerId,
    neighbour: NeighbourId,
    connection: ConnId,
    why: String,
) {
    let draining = servers.is_draining();
    let (now, jitter) = (event_loop.now(), servers.dice.f64());
    let server = servers.server(id);
    let name = server.name.as_str();
    let other = server.links.get_mut(neighbour);
    if other.link != Link::Dialling(connection) {
        log::info!(target: name, "{connection} with {} is gone{why}", other.name);
    } else if other.complaint != why {
        let (who, address) = (&other.name, other.address);
        log::warn!(target: name, "no link to {who} at {address}{why}; it is dialled again and again");
        other.complaint = why;
    }
    if let Some(pause) = server.links.leave(neighbour, connection, now, jitter)
        && !draining
    {
        event_loop.call_later(pause, move |event_loop, servers| {
            if servers.server(id).links.get(neighbour).link == Link::Down && !servers.is_draining() {
                dial(event_loop, servers, id, neighbour);
            }
        });
    }
}

/// The line that says why we close, logged as said.
pub(super) fn err(name: &str, id: ConnId, why: &str) -> Vec<u8> {
    let mut line = Vec::new();
    link::write_err(&mut line, why);
    note(name, id, &line);
    line
}

/// Logs lines that are said, each given with its `\n`.
fn note_all(name: &str, id: ConnId, lines: &[u8]) {
    if log::log_enabled!(target: name, log::Level::Debug) {
        lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| note(name, id, line));
    }
}

/// Logs a line that is said, given with its `\n`.
pub(super) fn note(name: &str, id: ConnId, line: &[u8]) {
    log::debug!(target: name, "{id} > {}", Escaped(line.trim_ascii_end()));
}

fn dial(event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, id: ServerId, neighbour: NeighbourId) {
    let server = servers.server(id);
    let Neighbour { name, address, .. } = server.links.get(neighbour);
    let security = server.keys.as_ref().map_or(Security::Plain, |keys| keys.client(name));
    let connect = Connect::to(*address).security(security).handshake_timeout(HANDSHAKE_TIME);
    let connection = servers.host.dial(event_loop, connect, Contact::dialled(id, neighbour));
    servers.server(id).links.get_mut(neighbour).link = Link::Dialling(connection);
}
