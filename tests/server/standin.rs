//! A Places that can be trusted, or not: the stand-in on any loop, with the faults that a URL asks for, and who asks it.

use std::net::SocketAddr;
use std::time::SystemTime;

use log::Level;
use proxy_herd::event_loop::{Loop, ServerSecurity};
use proxy_herd::herd::topology::{self, Rate, Url};
use proxy_herd::places::faults::Faults;
use proxy_herd::places::key::Key;
use proxy_herd::server::{Identity, Provider, Servers, Standin};
use tempfile::TempDir;

/// How a question goes there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    Plain,
    Tls,
}

impl Wire {
    /// How a URL over it begins.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }

    /// How who has this certificate listens.
    pub(crate) fn security(self, identity: &Identity) -> ServerSecurity {
        match self {
            Self::Plain => ServerSecurity::Plain,
            Self::Tls => identity.server(),
        }
    }
}

/// A stand-in, its certificate, and a file with that.
pub(crate) struct Places {
    wire: Wire,
    identity: Identity,
    folder: TempDir,
}

impl Places {
    pub(crate) fn new(wire: Wire) -> Self {
        let identity = Identity::of_hosts(vec!["127.0.0.1".to_owned()], SystemTime::now()).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(CA_FILE), identity.certificate()).expect("written");
        Self { wire, identity, folder }
    }

    /// It is asked at `address`, by this API, for answers with these faults.
    pub(crate) fn provider(&self, api: topology::Provider, address: SocketAddr, faults: &str) -> Provider {
        self.provider_at(Rate::default(), api, address, faults)
    }

    /// The same, so often.
    pub(crate) fn provider_at(
        &self,
        rate: Rate,
        api: topology::Provider,
        address: SocketAddr,
        faults: &str,
    ) -> Provider {
        let scheme = self.wire.scheme();
        let places = topology::Places {
            provider: api,
            url: Some(Url::parse(&format!("{scheme}://{address}/faults/{faults}")).expect("a URL")),
            ca_file: Some(self.folder.path().join(CA_FILE)),
            rate,
            ..topology::Places::default()
        };
        Provider::google(&places, Key::new(KEY).expect("a key")).expect("the file is good")
    }

    /// It listens there.
    pub(crate) fn listen(&self, event_loop: &mut Loop<'_, Servers>, address: SocketAddr) {
        let standin = Standin::new(Faults::default(), Level::Trace);
        event_loop.listen(address, self.wire.security(&self.identity), move |_: &mut Servers| standin.conversation());
    }
}

/// The key that is sent.
pub(crate) const KEY: &str = "AIzaCanary-of-the-faults-0123456789abcd";

const CA_FILE: &str = "ca.pem";
