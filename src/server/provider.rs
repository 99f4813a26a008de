//! Who answers questions about places: Google, by one or the other of its APIs, or the stand-in in this process.
//!
//! The key goes into a request and nowhere else: an answer that shows it is none. How TLS is configured is `trust`'s business.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::trust::{Identity, TrustError, client_trusting};
use crate::event_loop::{Security, Target};
use crate::herd::topology::{self, Places, Rate, Scheme, Url};
use crate::places::answer::{Answer, Nonsense};
use crate::places::api::Api;
use crate::places::key::Key;
use crate::places::question::Question;

/// Who answers questions about places.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Google, or what speaks like it at another address.
    Google(Google),
    /// The stand-in in this process.
    Embedded(Identity),
}

/// How Google is asked.
#[derive(Clone, Debug)]
pub struct Google {
    pub(super) upstream: Arc<Upstream>,
    /// Who is asked instead, once that one says that it is not enabled for the key's project.
    pub(super) fallback: Option<Arc<Upstream>>,
    pub(super) rate: Rate,
}

/// Where questions go, in which language, how, and who pays.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    api: Api,
    places: Url,
    key: Key,
    pub(super) target: Target,
    pub(super) security: Security,
}

impl Provider {
    /// Google, or who listens at `places.url`, which must have a certificate of the public authorities or of one in
    /// `places.ca_file` (PEM). If `places.provider` names no API, the legacy one is asked, and the new one as soon as it says that
    /// it is not enabled for the key's project.
    ///
    /// # Errors
    /// If `ca_file` cannot be read or holds no certificate, or the host of `url` can have none.
    pub fn google(places: &Places, key: Key) -> Result<Self, TrustError> {
        let config = client_trusting(places.ca_file.as_deref())
            .map_err(|TrustError(why)| TrustError(format!("places.ca_file: {why}")))?;
        let upstream = |api: Api| {
            let url = places.url.clone().unwrap_or_else(|| api.google());
            Upstream::new(api, url, key.clone(), &config).map(Arc::new)
        };
        let (first, then) = match places.provider {
            topology::Provider::New => (Api::New, None),
            topology::Provider::Legacy => (Api::Legacy, None),
            topology::Provider::Auto | topology::Provider::Embedded => (Api::Legacy, Some(Api::New)),
        };
        Ok(Self::Google(Google {
            upstream: upstream(first)?,
            fallback: then.map(upstream).transpose()?,
            rate: places.rate,
        }))
    }

    /// The stand-in, with a new certificate.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn embedded() -> Result<Self, TrustError> {
        Identity::embedded().map(Self::Embedded)
    }
}

impl Upstream {
    fn new(api: Api, places: Url, key: Key, config: &Arc<ClientConfig>) -> Result<Self, TrustError> {
        let target = (places.host.as_str(), places.port).into();
        let security = match places.scheme {
            Scheme::Http => Security::Plain,
            Scheme::Https => {
                let name = ServerName::try_from(places.host.clone()).map_err(|error| {
                    TrustError(format!("places.url: no certificate can be good for {}: {error}", places.host))
                })?;
                Security::Tls(Arc::clone(config), name)
            }
        };
        Ok(Self { api, places, key, target, security })
    }

    /// The stand-in in this process, which listens at `address` as `identity`.
    pub(super) fn embedded(identity: &Identity, address: SocketAddr) -> Self {
        let (client, host) = identity.client();
        let name = ServerName::try_from(host).expect("the name is one");
        let places = Url { scheme: Scheme::Https, host: host.to_owned(), port: address.port(), path: String::new() };
        Self {
            api: Api::Legacy,
            places,
            key: Key::new("embedded").expect("the key is not empty"),
            target: address.into(),
            security: Security::Tls(client, name),
        }
    }

    /// The bytes that ask `question`. They hold the key: for the wire, never for a log.
    pub(super) fn request(&self, question: &Question) -> Vec<u8> {
        self.api.request(question, &self.places, &self.key)
    }

    /// Reads a response. A body that shows the key is no answer, whatever else it is: it would be passed on.
    pub(super) fn read(&self, status: u16, body: Vec<u8>) -> Result<Answer, Nonsense> {
        if self.key.is_in(&body) { Err(Nonsense::ShowsKey) } else { self.api.read(status, body) }
    }

    /// Whether an answer says that this API is not enabled for the key's project, while another may be.
    pub(super) fn is_not_enabled(&self, answer: &Answer) -> bool {
        self.api.is_not_enabled(answer)
    }

    /// Which of Google's APIs it speaks.
    pub(super) fn api(&self) -> Api {
        self.api
    }
}
