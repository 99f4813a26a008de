//! Who holds the conversations: the one place where connections are given their protocols.

use std::net::SocketAddr;

use super::contact::Contact;
use super::lookup::Lookup;
use super::peer::Peer;
use super::session::Session;
use super::trust::Upstream;
use super::{ServerId, Servers};
use crate::event_loop::{ConnId, Loop, Protocol, Security};

/// With a client that has come in.
pub(super) fn client(server: ServerId) -> Box<dyn Protocol<Servers>> {
    Box::new(Session::new(server))
}

/// With whoever has come in by the address for peers.
pub(super) fn peer(server: ServerId) -> Box<dyn Protocol<Servers>> {
    Box::new(Peer::new(Contact::accepted(server)))
}

/// With a neighbour that we connect to.
pub(super) fn dial(event_loop: &mut Loop<'_, Servers>, address: SocketAddr, contact: Contact) -> ConnId {
    event_loop.connect(address, Security::Plain, Peer::new(contact))
}

/// With Places.
pub(super) fn connect(event_loop: &mut Loop<'_, Servers>, upstream: &Upstream) -> ConnId {
    event_loop.connect(upstream.target.clone(), upstream.security.clone(), Lookup)
}
