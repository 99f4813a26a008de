//! Listening sockets: bound or inherited, and asked for connections.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};

use super::token;
use crate::event_loop::ListenerId;

/// The listening sockets, by the slots of their ids.
#[derive(Default)]
pub(super) struct Listening {
    sockets: Vec<Option<(ListenerId, TcpListener)>>,
    provided: Vec<std::net::TcpListener>,
}

impl Listening {
    /// Keeps a bound socket for when somebody wants to listen on its address.
    pub(super) fn provide(&mut self, listener: std::net::TcpListener) {
        self.provided.push(listener);
    }

    /// Listens, and says on which address, which matters if the port was 0.
    pub(super) fn listen(
        &mut self,
        registry: &Registry,
        id: ListenerId,
        address: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let given = self.provided.iter().position(|given| given.local_addr().is_ok_and(|local| local == address));
        let socket = match given {
            Some(place) => self.provided.swap_remove(place),
            None => bind(address)?,
        };
        socket.set_nonblocking(true)?;
        let mut socket = TcpListener::from_std(socket);
        let local = socket.local_addr()?;
        registry.register(&mut socket, token::listener(id), Interest::READABLE)?;
        if self.sockets.len() <= id.index() {
            self.sockets.resize_with(id.index() + 1, || None);
        }
        self.sockets[id.index()] = Some((id, socket));
        Ok(local)
    }

    pub(super) fn close(&mut self, registry: &Registry, id: ListenerId) {
        if let Some(place) = self.sockets.get_mut(id.index())
            && let Some((_, mut socket)) = place.take_if(|(owner, _)| *owner == id)
        {
            // The descriptor is closed next; should the poll have lost it already, nothing is missing.
            let _ = registry.deregister(&mut socket);
        }
    }

    /// Who listens in this slot.
    pub(super) fn owner(&self, slot: usize) -> Option<ListenerId> {
        self.sockets.get(slot)?.as_ref().map(|(id, _)| *id)
    }

    /// The next connection that waits; `None` if nobody listens any more.
    pub(super) fn accept(&self, id: ListenerId) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        let (owner, socket) = self.sockets.get(id.index())?.as_ref()?;
        (*owner == id).then(|| socket.accept())
    }
}

/// Binds with SO_REUSEADDR, as servers do, so that a restart need not wait for old connections to be forgotten.
fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
