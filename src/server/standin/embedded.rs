//! The built-in Places of a herd: the stand-in over TLS on a port of loopback that the system chooses, on the servers' own loop.
//!
//! It is there so that the whole path runs without a network, a key or a bill. Only this process trusts its certificate. Its log is
//! for those who want everything (`-v`): the servers say what they ask.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use log::Level;

use super::Standin;
use crate::event_loop::{Address, Loop, Protocol, ProtocolFactory};
use crate::places::faults::Faults;
use crate::server::Servers;
use crate::server::provider::Upstream;
use crate::server::trust::Identity;

/// Starts it; the lookups are told when it listens.
pub(in crate::server) fn listen(event_loop: &mut Loop<'_, Servers>, identity: &Identity) {
    // Made now, which takes some milliseconds, and not while somebody waits.
    let standin = Standin::new(Faults::default(), Level::Trace);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    event_loop.listen(address, identity.server(), Entrance { standin, identity: identity.clone() });
}

struct Entrance {
    standin: Standin,
    identity: Identity,
}

impl ProtocolFactory<Servers> for Entrance {
    fn protocol(&mut self, _: &mut Servers) -> Box<dyn Protocol<Servers>> {
        Box::new(self.standin.conversation())
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, address: &Address) {
        let address = address.ip().expect("it was asked to listen on one");
        log::info!("the built-in places listen on {address}");
        servers.lookups.found(event_loop, Upstream::embedded(&self.identity, address));
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, error: io::Error) {
        let why = format!("the built-in places cannot listen on {error}");
        log::error!("{why}");
        servers.fail(event_loop, why);
    }
}
