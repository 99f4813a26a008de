//! The two doors of a server: the addresses that it listens on, for clients and for its neighbours.
//!
//! Who has come in is handed to a conversation of the server's style; what is said then is not known here. Clients are never
//! asked for a certificate; neighbours are, if the server has keys.

use std::io;
use std::net::SocketAddr;

use super::keys::Keys;
use super::limits::{HANDSHAKE_TIME, HANDSHAKES};
use super::{ServerId, Servers, handshake};
use crate::event_loop::{Address, Listen, ListenerId, Loop, Lost, Protocol, ProtocolFactory, ServerSecurity};
use crate::herd::topology;

/// Where one server listens.
pub(super) struct Doors {
    addresses: [(Door, SocketAddr); 2],
    listeners: Vec<(Door, ListenerId)>,
    /// How many of the listeners are bound.
    bound: usize,
}

/// Who may come in by an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    Clients,
    Peers,
}

impl Doors {
    /// Those of a server, closed.
    pub(super) fn new(place: &topology::Server) -> Self {
        let addresses = [(Door::Clients, place.clients), (Door::Peers, place.peers)];
        Self { addresses, listeners: Vec::new(), bound: 0 }
    }

    /// Listens. An address that cannot be had stops the servers: see [`Servers::failure`].
    pub(super) fn open(&mut self, event_loop: &mut Loop<'_, Servers>, server: ServerId, keys: Option<&Keys>) {
        for (door, address) in self.addresses {
            let security = match (keys, door) {
                (Some(keys), Door::Peers) => keys.server(),
                (None, Door::Peers) | (_, Door::Clients) => ServerSecurity::Plain,
            };
            let listen = Listen::on(address).security(security);
            let listen = listen.max_handshakes(HANDSHAKES).handshake_timeout(HANDSHAKE_TIME);
            self.listeners.push((door, event_loop.listen_with(listen, Entrance { server, door })));
        }
    }

    /// Whether all are bound.
    pub(super) fn are_open(&self) -> bool {
        self.bound == self.addresses.len()
    }

    /// Receives neighbours with these keys from now on.
    pub(super) fn set_keys(&self, event_loop: &mut Loop<'_, Servers>, keys: &Keys) {
        for (_, listener) in self.listeners.iter().filter(|(door, _)| *door == Door::Peers) {
            event_loop.set_security(*listener, keys.server());
        }
    }

    /// Listens no more. Those who have come in are woken, so that they can see why.
    pub(super) fn close(&mut self, event_loop: &mut Loop<'_, Servers>) {
        for (_, listener) in self.listeners.drain(..) {
            for connection in event_loop.connections_of(listener) {
                event_loop.wake(connection);
            }
            event_loop.close_listener(listener);
        }
    }
}

/// What makes protocols for those who come in by one door.
struct Entrance {
    server: ServerId,
    door: Door,
}

impl ProtocolFactory<Servers> for Entrance {
    fn protocol(&mut self, servers: &mut Servers) -> Box<dyn Protocol<Servers>> {
        match self.door {
            Door::Clients => servers.host.client(self.server),
            Door::Peers => servers.host.peer(self.server),
        }
    }

    fn listening(&mut self, _: &mut Loop<'_, Servers>, servers: &mut Servers, address: &Address) {
        let server = servers.server(self.server);
        server.doors.bound += 1;
        log::info!(target: server.name.as_str(), "listens for {} on {address}", self.door.who());
    }

    fn handshake_failed(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: &Lost) {
        let Some(error) = &lost.why else { return };
        let (server, why) = (servers.server(self.server), handshake::reason(error));
        if server.refusals.is_news(lost.peer.map(|peer| peer.ip()), &why, event_loop.now()) {
            let from = lost.peer.map_or_else(String::new, |peer| format!(" from {peer}"));
            log::warn!(target: server.name.as_str(), "{}{from} is refused: {why}", lost.id);
        }
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, error: io::Error) {
        let name = &servers.server(self.server).name;
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => ": is this server running already? If not, give it another port",
            io::ErrorKind::PermissionDenied => ": ports below 1024 are for the system; give it another port",
            _ => "",
        };
        let why = format!("{name} cannot listen for {} on {error}{remedy}", self.door.who());
        log::error!(target: name.as_str(), "{why}");
        servers.fail(event_loop, why);
    }
}

impl Door {
    fn who(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Peers => "peers",
        }
    }
}
