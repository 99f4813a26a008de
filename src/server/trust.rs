//! Whom we trust over TLS and as whom we appear: rustls configurations, and who answers questions about places.
//!
//! Certificates are always verified; nothing here can turn that off. The stand-in's certificate is made at start and its key
//! never leaves the process; that of the embedded one only this process trusts. Mutual TLS between servers is configured in `keys`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::event_loop::{Security, ServerSecurity, Target};
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

/// A certificate that the stand-in has made for itself, and a configuration that trusts no other.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate: String,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Why TLS cannot be had: what was wrong, where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustError(pub(super) String);

impl Provider {
    /// Google, or who listens at `places.url`, which must have a certificate of the public authorities or of one in
    /// `places.ca_file` (PEM). If `places.provider` names no API, the legacy one is asked, and the new one as soon as it says that
    /// it is not enabled for the key's project.
    ///
    /// # Errors
    /// If `ca_file` cannot be read or holds no certificate, or the host of `url` can have none.
    pub fn google(places: &Places, key: Key) -> Result<Self, TrustError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = &places.ca_file {
            add(&mut roots, file)?;
        }
        let config = client(roots);
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
                let name = ServerName::try_from(places.host.clone())
                    .map_err(|error| TrustError(format!("no certificate can be good for {}: {error}", places.host)))?;
                Security::Tls(Arc::clone(config), name)
            }
        };
        Ok(Self { api, places, key, target, security })
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

impl Identity {
    /// For the stand-in at `hosts`, DNS names or IP addresses: good from a day before `now` on, for 397 days. With a key of the kind
    /// that every client knows (P-256).
    ///
    /// # Errors
    /// If a host can have no certificate, or the system has no random numbers.
    pub fn of_hosts(hosts: Vec<String>, now: SystemTime) -> Result<Self, TrustError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(uncertified)?;
        let mut params = CertificateParams::new(hosts).map_err(uncertified)?;
        params.distinguished_name.push(DnType::CommonName, "proxy-herd places");
        (params.not_before, params.not_after) = ((now - DAY).into(), (now + DAY * 397).into());
        Self::signed(params, &key)
    }

    /// For the stand-in in this process. Ed25519: its signatures have one length, so that a simulation with TLS repeats.
    fn embedded() -> Result<Self, TrustError> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(uncertified)?;
        let mut params = CertificateParams::new([NAME.to_owned()]).map_err(uncertified)?;
        params.serial_number = Some(1_u64.into());
        Self::signed(params, &key)
    }

    fn signed(params: CertificateParams, key: &KeyPair) -> Result<Self, TrustError> {
        let certificate = params.self_signed(key).map_err(uncertified)?;
        let (text, certificate) = (certificate.pem(), certificate.der().clone());
        let mut roots = RootCertStore::empty();
        let refused = |error: rustls::Error| TrustError(format!("the certificate of the built-in places: {error}"));
        roots.add(certificate.clone()).map_err(refused)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
        let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(refused)?;
        Ok(Self { certificate: text, server: Arc::new(server), client: client(roots) })
    }

    /// The certificate, as PEM: who trusts it trusts the stand-in.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// How the stand-in protects its connections.
    pub fn server(&self) -> ServerSecurity {
        ServerSecurity::Tls(Arc::clone(&self.server))
    }

    /// The stand-in at `address`, as Places.
    pub(super) fn upstream(&self, address: SocketAddr) -> Upstream {
        let name = ServerName::try_from(NAME).expect("the name is one");
        let places = Url { scheme: Scheme::Https, host: NAME.to_owned(), port: address.port(), path: String::new() };
        Upstream {
            api: Api::Legacy,
            places,
            key: Key::new("embedded").expect("the key is not empty"),
            target: address.into(),
            security: Security::Tls(Arc::clone(&self.client), name),
        }
    }
}

impl std::fmt::Display for TrustError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for TrustError {}

fn uncertified(error: rcgen::Error) -> TrustError {
    TrustError(format!("no certificate for the built-in places: {error}"))
}

/// No ALPN is offered: who does not hear of it speaks HTTP/1.1 (RFC 9113, 3.2), and nobody can refuse us for it.
fn client(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), TrustError> {
    let failed = |error: &dyn std::fmt::Display| TrustError(format!("{}: {error}", file.display()));
    let text = fs::read(file).map_err(|error| failed(&error))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
        count += 1;
    }
    if count == 0 { Err(failed(&"holds no certificate (PEM)")) } else { Ok(()) }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the embedded stand-in's certificate is made out to.
const NAME: &str = "places.invalid";
