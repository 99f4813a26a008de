//! Listening sockets: bound or inherited, and asked for connections.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry};
use socket2::{Domain, Socket, Type};

use super::socket_file::SocketFile;
use super::stream::{self, Stream};
use super::token;
use crate::event_loop::{Address, Endpoints, ListenerId};

/// The listening sockets, by the slots of their ids.
#[derive(Default)]
pub(super) struct Listening {
    sockets: Vec<Option<(ListenerId, Listener)>>,
    provided: Vec<Socket>,
}

impl Listening {
    /// Keeps a bound socket for when somebody wants to listen on its address.
    pub(super) fn provide(&mut self, listener: OwnedFd) {
        self.provided.push(listener.into());
    }

    /// A socket that listens there: one that was given, or a new one for which so many connections may wait.
    pub(super) fn bind(&mut self, address: &Address, backlog: u32) -> io::Result<Listener> {
        if let Some(place) = self.provided.iter().position(|given| is_bound_to(given, address)) {
            return Listener::new(self.provided.swap_remove(place), address, None);
        }
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        let (socket, file) = match address {
            Address::Ip(ip) => (bind_ip(*ip)?, None),
            Address::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                let file = SocketFile::bind(&socket, path)?;
                (socket, Some(file))
            }
        };
        socket.listen(backlog)?;
        Listener::new(socket, address, file)
    }

    /// Waits for connections. Says on which address, which matters if the port was 0.
    pub(super) fn open(&mut self, registry: &Registry, id: ListenerId, mut listener: Listener) -> io::Result<Address> {
        let local = listener.local_addr()?;
        registry.register(listener.source(), token::listener(id), Interest::READABLE)?;
        if self.sockets.len() <= id.index() {
            self.sockets.resize_with(id.index() + 1, || None);
        }
        self.sockets[id.index()] = Some((id, listener));
        Ok(local)
    }

    pub(super) fn close(&mut self, registry: &Registry, id: ListenerId) {
        if let Some(place) = self.sockets.get_mut(id.index())
            && let Some((_, mut listener)) = place.take_if(|(owner, _)| *owner == id)
        {
            // The descriptor is closed next; should the poll have lost it already, nothing is missing.
            let _ = registry.deregister(listener.source());
        }
    }

    /// Who listens in this slot.
    pub(super) fn owner(&self, slot: usize) -> Option<ListenerId> {
        self.sockets.get(slot)?.as_ref().map(|(id, _)| *id)
    }

    /// The next connection that waits; `None` if nobody listens any more.
    pub(super) fn accept(&self, id: ListenerId) -> Option<io::Result<(Stream, Endpoints)>> {
        let (owner, listener) = self.sockets.get(id.index())?.as_ref()?;
        (*owner == id).then(|| listener.accept())
    }
}

/// A listening socket of either kind.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix {
        /// Removed before the socket is closed: fields are dropped in order. Of what was given, somebody else takes care.
        _file: Option<SocketFile>,
        socket: UnixListener,
    },
}

impl Listener {
    fn new(socket: Socket, address: &Address, file: Option<SocketFile>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(match address {
            Address::Ip(_) => Self::Tcp(TcpListener::from_std(socket.into())),
            Address::Unix(_) => {
                let socket = UnixListener::from_std(OwnedFd::from(socket).into());
                Self::Unix { _file: file, socket }
            }
        })
    }

    fn local_addr(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Address::Ip),
            Self::Unix { socket, .. } => socket.local_addr().map(|address| stream::unix(&address)),
        }
    }

    /// The peer's address is what accepting said: one that has reset the connection meanwhile has none any more.
    fn accept(&self) -> io::Result<(Stream, Endpoints)> {
        let (stream, peer) = match self {
            Self::Tcp(socket) => socket.accept().map(|(stream, peer)| (Stream::Tcp(stream), peer.into()))?,
            Self::Unix { socket, .. } => {
                socket.accept().map(|(stream, peer)| (Stream::Unix(stream), stream::unix(&peer)))?
            }
        };
        // Some systems have forgotten ours, too.
        let local = stream.local_addr().map_err(|_| ErrorKind::ConnectionAborted)?;
        Ok((stream, Endpoints { peer, local }))
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(socket) => socket,
            Self::Unix { socket, .. } => socket,
        }
    }
}

fn is_bound_to(socket: &Socket, address: &Address) -> bool {
    socket.local_addr().is_ok_and(|local| match address {
        Address::Ip(address) => local.as_socket() == Some(*address),
        Address::Unix(path) => local.as_pathname() == Some(path),
    })
}

/// Binds with SO_REUSEADDR, as servers do, so that a restart need not wait for old connections to be forgotten.
fn bind_ip(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
