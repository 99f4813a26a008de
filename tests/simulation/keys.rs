//! The keys of servers whose links are encrypted, made once for all runs: one authority, which has signed everybody's.
//!
//! All that is random in them has one length, so that a run whose links are encrypted repeats, but for what cannot be read.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use proxy_herd::herd::name::ServerName;
use proxy_herd::server::{Keys, Pem};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ED25519,
};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// A server's keys, the same for each run.
pub(crate) fn of(server: &ServerName) -> Keys {
    let mut all = MADE.lock().expect("who makes keys does not panic");
    all.entry(server.to_string()).or_insert_with(|| make(server)).clone()
}

static MADE: Mutex<BTreeMap<String, Keys>> = Mutex::new(BTreeMap::new());

static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = params([]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key()).expect("it can sign itself")
});

fn make(server: &ServerName) -> Keys {
    let (key, mut params) = (key(), params([server.to_string()]));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &*AUTHORITY).expect("the authority can sign");
    let [authorities, certificate, key] = [AUTHORITY.pem(), certificate.pem(), key.serialize_pem()];
    let pem = Pem { authorities: authorities.as_bytes(), certificate: certificate.as_bytes(), key: key.as_bytes() };
    Keys::new(server, pem, Arc::new(Standing)).expect("they are good")
}

fn params<const N: usize>(names: [String; N]) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("servers have names that certificates can have");
    params.serial_number = Some(1_u64.into());
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("ring makes Ed25519 keys")
}

/// A clock that stands still: servers disagree on the time by an hour, and certificates are not what that is about.
#[derive(Debug)]
struct Standing;

impl TimeProvider for Standing {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_520_000_000)))
    }
}
