//! In which style the conversations are held: the one place where connections are given their protocols or tasks.

use std::fmt;

use super::callbacks::lookup::Lookup;
use super::callbacks::peer::Peer;
use super::callbacks::session::Session;
use super::contact::Contact;
use super::limits::LOOKUP_CONNECT_TIME;
use super::provider::Upstream;
use super::{ServerId, Servers, streaming};
use crate::event_loop::{ConnId, Connect, Loop, Protocol};
use crate::streams::Handle;

/// How connections are served; what is said on them is the same.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Style {
    /// By a protocol each, which is called.
    #[default]
    Callbacks,
    /// By a task each, which waits.
    Streams,
}

impl fmt::Display for Style {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Callbacks => "callbacks",
            Self::Streams => "streams",
        })
    }
}

/// A style, and what it takes.
#[derive(Clone)]
pub(super) enum Host {
    Callbacks,
    Streams(Handle<Servers>),
}

impl Host {
    pub(super) fn new(style: Style, event_loop: &mut Loop<'_, Servers>) -> Self {
        match style {
            Style::Callbacks => Self::Callbacks,
            Style::Streams => Self::Streams(Handle::new(event_loop)),
        }
    }

    /// Who talks with a client that has come in.
    pub(super) fn client(&self, server: ServerId) -> Box<dyn Protocol<Servers>> {
        match self {
            Self::Callbacks => Box::new(Session::new(server)),
            Self::Streams(handle) => {
                let tasks = handle.clone();
                Box::new(
                    handle.protocol(move |reader, writer| streaming::session::serve(tasks, server, reader, writer)),
                )
            }
        }
    }

    /// Who talks with whoever has come in by the address for peers.
    pub(super) fn peer(&self, server: ServerId) -> Box<dyn Protocol<Servers>> {
        let contact = Contact::accepted(server);
        match self {
            Self::Callbacks => Box::new(Peer::new(contact)),
            Self::Streams(handle) => {
                let tasks = handle.clone();
                Box::new(handle.protocol(move |reader, writer| streaming::peer::accept(tasks, contact, reader, writer)))
            }
        }
    }

    /// Connects to a neighbour, and talks with it.
    pub(super) fn dial(&self, event_loop: &mut Loop<'_, Servers>, connect: Connect, contact: Contact) -> ConnId {
        match self {
            Self::Callbacks => event_loop.connect_with(connect, Peer::new(contact)),
            Self::Streams(handle) => {
                let opening = handle.connect(event_loop, connect);
                let id = opening.id();
                handle.spawn(streaming::peer::dial(handle.clone(), contact, opening)).detach();
                id
            }
        }
    }

    /// Connects to Places, and asks.
    pub(super) fn connect(&self, event_loop: &mut Loop<'_, Servers>, upstream: &Upstream) -> ConnId {
        let connect = Connect::to(upstream.target.clone())
            .security(upstream.security.clone())
            .timeout(LOOKUP_CONNECT_TIME)
            .handshake_timeout(LOOKUP_CONNECT_TIME);
        match self {
            Self::Callbacks => event_loop.connect_with(connect, Lookup),
            Self::Streams(handle) => {
                let opening = handle.connect(event_loop, connect);
                let id = opening.id();
                handle.spawn(streaming::lookup::ask(handle.clone(), opening)).detach();
                id
            }
        }
    }
}
