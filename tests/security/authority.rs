//! Authorities for tests, and what they sign, good or not; and folders of keys as a server reads them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxy_herd::event_loop::{Security, ServerSecurity};
use proxy_herd::server::{Keys, Pem};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ED25519,
};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::stage::name;

/// An authority, made for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What it has signed.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// When a certificate is good, seen from the clock of the tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Term {
    Now,
    /// Until tomorrow.
    Soon,
    /// Until an hour ago.
    Past,
    /// From in an hour.
    Future,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(Self::params(name), key()).expect("it can sign itself"))
    }

    /// One that this one vouches for.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self(CertifiedIssuer::signed_by(Self::params(name), key(), &self.0).expect("it can sign another"))
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new([]).expect("no names are valid names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, name: &str) -> Signed {
        self.sign_for(&[name], Term::Now, &BOTH_ENDS)
    }

    pub(crate) fn sign_for(&self, names: &[&str], term: Term, purposes: &[ExtendedKeyUsagePurpose]) -> Signed {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        let hour = Duration::from_secs(3600);
        let (from, until) = match term {
            Term::Now => (noon() - 24 * hour, noon() + 100 * 24 * hour),
            Term::Soon => (noon() - 24 * hour, noon() + 24 * hour),
            Term::Past => (noon() - 24 * hour, noon() - hour),
            Term::Future => (noon() + hour, noon() + 24 * hour),
        };
        (params.not_before, params.not_after) = (from.into(), until.into());
        params.extended_key_usages = purposes.to_vec();
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("the authority can sign");
        Signed { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A server's keys, under this authority alone.
    pub(crate) fn keys(&self, server: &str) -> Keys {
        keys(server, &self.pem(), &self.sign(server)).unwrap_or_else(|why| panic!("{why}"))
    }

    /// What somebody who dials does to look like the owner of `signed`; it does not care whom it meets but for `name`.
    pub(crate) fn dials_as(&self, signed: Option<&Signed>, name: &str) -> Security {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("it is an authority");
        let config = ClientConfig::builder_with_details(Arc::new(ring::default_provider()), clock())
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots);
        let mut config = match signed {
            Some(signed) => config.with_client_auth_cert(signed.chain(), signed.secret()).expect("a pair"),
            None => config.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Security::Tls(Arc::new(config), ServerName::try_from(name.to_owned()).expect("a valid name"))
    }
}

impl Signed {
    /// Somebody who listens with it, and lets everybody in.
    pub(crate) fn listens(&self) -> ServerSecurity {
        let config = ServerConfig::builder_with_details(Arc::new(ring::default_provider()), clock())
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.secret())
            .expect("a pair");
        ServerSecurity::Tls(Arc::new(config))
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>().expect("certificates")
    }

    fn secret(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key")
    }
}

/// A server's keys; the error that they lead to.
pub(crate) fn keys(server: &str, authorities: &str, signed: &Signed) -> Result<Keys, String> {
    let Signed { certificate, key } = signed;
    let pem = Pem { authorities: authorities.as_bytes(), certificate: certificate.as_bytes(), key: key.as_bytes() };
    Keys::new(&name(server), pem, clock()).map_err(|why| why.to_string())
}

/// Puts a server's files into a folder.
pub(crate) fn write(folder: &Path, server: &str, authorities: &str, signed: &Signed) {
    let key = folder.join(format!("{server}.key"));
    fs::write(folder.join("ca.pem"), authorities).expect("written");
    fs::write(folder.join(format!("{server}.pem")), &signed.certificate).expect("written");
    fs::write(&key, &signed.key).expect("written");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// A clock that stands still: what expires does not depend on when the tests run.
pub(crate) fn clock() -> Arc<dyn TimeProvider> {
    Arc::new(Noon)
}

#[derive(Debug)]
struct Noon;

impl TimeProvider for Noon {
    fn current_time(&self) -> Option<UnixTime> {
        noon().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_520_000_000)
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("ring makes Ed25519 keys")
}

/// What a link's certificate is for.
pub(crate) const BOTH_ENDS: [ExtendedKeyUsagePurpose; 2] =
    [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
