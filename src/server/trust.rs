//! Whom we trust over TLS when we ask for places, and as whom the stand-in appears: rustls configurations.
//!
//! Certificates are always verified; nothing here can turn that off. The stand-in's certificate is made at start and its key
//! never leaves the process; that of the embedded one only this process trusts. Mutual TLS between servers is configured in `keys`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::event_loop::ServerSecurity;

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
    pub(super) fn embedded() -> Result<Self, TrustError> {
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

    /// How the embedded stand-in is trusted, and nobody else, and by which name.
    pub(super) fn client(&self) -> (Arc<ClientConfig>, &'static str) {
        (Arc::clone(&self.client), NAME)
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

/// Trusts the public authorities, and those in `more` (PEM).
///
/// # Errors
/// If the file cannot be read or holds no certificate.
pub(super) fn client_trusting(more: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = more {
        add(&mut roots, file)?;
    }
    Ok(client(roots))
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
