//! A server's keys for its links: mutual TLS under a private authority, tried out before they are used.
//!
//! - Both ends of a link show a certificate, and it must lead to an authority of `ca.pem`. The name in it is the server's: who dials
//!   has TLS compare it, who is dialled compares it with HERD ([`check_name`]).
//! - TLS 1.3 only, and nothing is resumed: a session would outlive the certificate that began it.
//! - Keys are taken if a neighbour would take them: what it would refuse, we say at start. No error shows what a key file holds.
//!
//! Who makes the files is not known here (`cli/keygen` does); what is wrong with a handshake, `handshake` says.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName as DnsName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, ServerConfig};

use super::handshake;
use super::limits::{KEY_FILE, KEYS_AHEAD};
use super::trust::TrustError;
use crate::event_loop::{Security, ServerSecurity};
use crate::herd::name::ServerName;

/// With what a server appears on its links, and whom it lets in.
#[derive(Clone)]
pub struct Keys {
    name: ServerName,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    trial: Arc<Trial>,
}

/// What the three files hold.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// The certificates of the authorities that are trusted, at least one.
    pub authorities: &'a [u8],
    /// The server's certificate, and those that lead from it to an authority.
    pub certificate: &'a [u8],
    /// The server's key.
    pub key: &'a [u8],
}

/// Where they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFiles {
    /// `ca.pem`.
    pub authorities: PathBuf,
    /// `<SERVER>.pem`.
    pub certificate: PathBuf,
    /// `<SERVER>.key`.
    pub key: PathBuf,
}

impl KeyFiles {
    /// The files of a server in a folder.
    pub fn new(folder: &Path, name: &ServerName) -> Self {
        Self {
            authorities: folder.join(AUTHORITIES),
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        }
    }
}

impl Keys {
    /// Reads a server's keys from a folder. `clock` says what has expired: now, and in each handshake.
    ///
    /// # Errors
    /// If a file is missing or not what it should be, or others can read the key; and what [`Keys::new`] finds.
    pub fn read(folder: &Path, name: &ServerName, clock: Arc<dyn TimeProvider>) -> Result<Self, TrustError> {
        let files = KeyFiles::new(folder, name);
        let authorities = read(&files.authorities, Readers::Any)?;
        let certificate = read(&files.certificate, Readers::Any)?;
        let key = read(&files.key, Readers::Owner)?;
        let pem = Pem { authorities: &authorities, certificate: &certificate, key: &key };
        Self::new(name, pem, clock).map_err(|TrustError(why)| TrustError(format!("{}: {why}", folder.display())))
    }

    /// The keys of the server `name`.
    ///
    /// # Errors
    /// If a text is not what it should be, or a neighbour would refuse the certificate: it is for another server, has expired, or
    /// leads to no authority of these.
    pub fn new(name: &ServerName, pem: Pem<'_>, clock: Arc<dyn TimeProvider>) -> Result<Self, TrustError> {
        if DnsName::try_from(name.as_str()).is_err() {
            return Err(TrustError(format!("no certificate can be for {name}: choose another name")));
        }
        let certificates = |text, file: &str, remedy: &str| {
            let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
            let some = all.ok().filter(|all| !all.is_empty());
            some.ok_or_else(|| TrustError(format!("{file} holds no certificate (PEM), or what is none: {remedy}")))
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates(pem.authorities, AUTHORITIES, &format!("remove it, then {MAKE}"))? {
            let wrong = |error| TrustError(format!("{AUTHORITIES} holds what is no authority's certificate: {error}"));
            roots.add(authority).map_err(wrong)?;
        }
        let roots = Arc::new(roots);
        let renew = renew(name);
        let chain = certificates(pem.certificate, &format!("{name}.pem"), &renew)?;
        // What was wrong with it might show what it is.
        let key = PrivateKeyDer::from_pem_slice(pem.key)
            .map_err(|_| TrustError(format!("{name}.key holds no private key (PEM): {renew}")))?;

        let provider = Arc::new(ring::default_provider());
        let trial = Trial::new(chain.clone(), &roots, &provider, Arc::clone(&clock))?;
        trial.pass(name, Duration::ZERO)?;
        let unfit = |error: Error| match error {
            Error::InconsistentKeys(_) => TrustError(format!("{name}.key is not the key of {name}.pem: {renew}")),
            _ => TrustError(format!("{name}.key holds no key that can be used: {renew}")),
        };
        let mut server = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&clock))
            .with_protocol_versions(&[&TLS13])
            .expect("ring knows TLS 1.3")
            .with_client_cert_verifier(Arc::clone(&trial.clients))
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(unfit)?;
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let mut client = ClientConfig::builder_with_details(provider, clock)
            .with_protocol_versions(&[&TLS13])
            .expect("ring knows TLS 1.3")
            .with_webpki_verifier(Arc::clone(&trial.servers))
            .with_client_auth_cert(chain, key)
            .map_err(unfit)?;
        client.resumption = Resumption::disabled();
        // A server has one certificate; whom we dial is nobody else's business.
        client.enable_sni = false;
        let (server, client, trial) = (Arc::new(server), Arc::new(client), Arc::new(trial));
        Ok(Self { name: name.clone(), server, client, trial })
    }

    /// Whose they are.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// What will be wrong with them within [`KEYS_AHEAD`], if nobody renews them.
    pub(super) fn fault_ahead(&self) -> Option<TrustError> {
        self.trial.pass(&self.name, KEYS_AHEAD).err()
    }

    /// How those who dial us are received.
    pub(super) fn server(&self) -> ServerSecurity {
        ServerSecurity::Tls(Arc::clone(&self.server))
    }

    /// How we dial a neighbour.
    pub(super) fn client(&self, neighbour: &ServerName) -> Security {
        Security::Tls(Arc::clone(&self.client), dns_name(neighbour))
    }
}

/// Shows whose they are, and nothing of them.
impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether the certificate that a peer has shown, with what came with it, is for the server `name`; else for whom it is.
pub(super) fn check_name(shown: Option<&[CertificateDer<'_>]>, name: &ServerName) -> Result<(), String> {
    let is_for = |certificate| verify_server_name(&ParsedCertificate::try_from(certificate)?, &dns_name(name));
    let checked = shown.and_then(<[_]>::first).map_or(Err(Error::NoCertificatesPresented), is_for);
    checked.map_err(|error| handshake::fault(&error))
}

/// What a neighbour does with our certificate, one end of a link and the other.
struct Trial {
    chain: Vec<CertificateDer<'static>>,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    clock: Arc<dyn TimeProvider>,
}

impl Trial {
    fn new(
        chain: Vec<CertificateDer<'static>>,
        roots: &Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, TrustError> {
        let refused = |error: &dyn fmt::Display| TrustError(format!("{AUTHORITIES}: {error}"));
        // Whoever knocks is not told whom we trust.
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| refused(&error))?;
        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
            .build()
            .map_err(|error| refused(&error))?;
        Ok(Self { chain, clients, servers, clock })
    }

    /// Whether a neighbour would take it, so long from now.
    fn pass(&self, name: &ServerName, ahead: Duration) -> Result<(), TrustError> {
        let now = self.clock.current_time();
        let now = now.ok_or_else(|| TrustError("the system does not say what time it is".to_owned()))?;
        let when = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()).saturating_add(ahead));
        let (own, others) = self.chain.split_first().expect("somebody counted them");
        let as_server = self.servers.verify_server_cert(own, others, &dns_name(name), &[], when);
        let checked = as_server.and_then(|_| self.clients.verify_client_cert(own, others, when));
        checked.map(drop).map_err(|error| {
            let remedy = match error {
                Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                    CHAIN.to_owned()
                }
                _ => renew(name),
            };
            TrustError(format!("the certificate {name}.pem {}: {remedy}", handshake::fault(&error)))
        })
    }
}

/// Who may be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Any,
    Owner,
}

/// The mode of a key's file, if others than its owner can read it.
pub fn exposure(key: &Metadata) -> Option<u32> {
    let mode = key.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

fn read(file: &Path, readers: Readers) -> Result<Vec<u8>, TrustError> {
    let failed = |why: &dyn fmt::Display| TrustError(format!("{}: {why}", file.display()));
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => failed(&format_args!("is not there: {MAKE}")),
        _ => failed(&error),
    };
    let opened = File::open(file).map_err(missing)?;
    let metadata = opened.metadata().map_err(|error| failed(&error))?;
    if readers == Readers::Owner
        && let Some(mode) = exposure(&metadata)
    {
        return Err(failed(&format_args!(
            "others can read this key (mode {mode:o}): chmod 600 it, and renew it if anybody did"
        )));
    }
    let mut text = Vec::new();
    opened.take(KEY_FILE + 1).read_to_end(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > KEY_FILE {
        return Err(failed(&format_args!("is longer than {KEY_FILE} bytes")));
    }
    Ok(text)
}

/// What helps a server whose files are no good: `keygen` replaces nothing, and runs where `ca.key` is.
fn renew(name: &ServerName) -> String {
    format!("where ca.key is, remove {name}.pem and {name}.key, run \"proxy-herd keygen\", and copy what it makes")
}

fn dns_name(name: &ServerName) -> DnsName<'static> {
    DnsName::try_from(name.to_string()).expect("a topology with keys has names that certificates can have")
}

const AUTHORITIES: &str = "ca.pem";
const MAKE: &str = "make it with \"proxy-herd keygen\", or copy it from where that was run";
const CHAIN: &str = "put that authority's certificate into ca.pem, or have an authority of ca.pem sign another";
