//! The herd's authority (CA): what signs the servers' certificates.
//!
//! All of an authority but its key is fixed, its name being made from the key. So `ca.key` alone makes it again, nothing of `ca.pem`
//! has to be understood, and two authorities never have the same name. Keys are Ed25519; serial numbers are random.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber,
};
use rustls::crypto::ring;
use time::OffsetDateTime;

use super::Failure;
use crate::herd::name::ServerName;
use crate::server::exposure;

/// An authority, with its key.
pub(super) struct Authority(Issuer<'static, KeyPair>);

/// When a certificate is good.
#[derive(Clone, Copy)]
pub(super) struct Term {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

impl Authority {
    pub(super) fn new() -> Result<Self, Failure> {
        new_key().map(Self::of)
    }

    /// The one whose key is in `file`.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        key_of(file).map(Self::of)
    }

    fn of(key: KeyPair) -> Self {
        Self(Issuer::new(params(&key), key))
    }

    /// Its key, as PEM.
    pub(super) fn key(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// Its certificate, as PEM: a new one each time, for the same authority.
    pub(super) fn certificate(&self, term: Term) -> Result<String, Failure> {
        let params = dated(params(self.0.key()), term)?;
        params.self_signed(self.0.key()).map(|certificate| certificate.pem()).map_err(failed)
    }

    /// A certificate for a server that has `key`, as PEM.
    pub(super) fn sign(&self, name: &ServerName, key: &KeyPair, term: Term) -> Result<String, Failure> {
        let mut params = CertificateParams::new([name.to_string()]).map_err(failed)?;
        params.distinguished_name = called(name.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let params = dated(params, term)?;
        params.signed_by(key, &self.0).map(|certificate| certificate.pem()).map_err(failed)
    }
}

pub(super) fn new_key() -> Result<KeyPair, Failure> {
    KeyPair::generate_for(&PKCS_ED25519).map_err(failed)
}

/// The key in `file`.
pub(super) fn key_of(file: &Path) -> Result<KeyPair, Failure> {
    let unread = |error| Failure::Failed(format!("{}: {error}", file.display()));
    if let Some(mode) = exposure(&fs::metadata(file).map_err(unread)?) {
        let what =
            format!("others can read {} (mode {mode:o}): chmod 600 it, and renew it if anybody did", file.display());
        return Err(Failure::Failed(what));
    }
    let text = fs::read_to_string(file).map_err(unread)?;
    // What was wrong with it might show what it is.
    KeyPair::from_pem(&text).map_err(|_| {
        Failure::Failed(format!("{} holds no key that can be used: remove it to have another made", file.display()))
    })
}

/// All that is fixed about the authority of `key`: it signs servers' certificates, and no other authority's.
fn params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = "proxy-herd authority ".to_owned();
    for byte in &params.key_identifier(key)[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    params.distinguished_name = called(&name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn dated(mut params: CertificateParams, term: Term) -> Result<CertificateParams, Failure> {
    params.not_before = date(term.from);
    params.not_after = date(term.until);
    let mut serial = [0; 16];
    let filled = ring::default_provider().secure_random.fill(&mut serial);
    filled.map_err(|_| Failure::Failed("the system has no random numbers".to_owned()))?;
    // Positive, and always as long.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn date(when: SystemTime) -> OffsetDateTime {
    let seconds = when.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn failed(error: rcgen::Error) -> Failure {
    Failure::Failed(format!("no certificate can be made: {error}"))
}
