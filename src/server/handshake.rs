//! Why a link's TLS was refused, by either end, in words.
//!
//! The words hold no times and no numbers that change from one attempt to the next: what is refused is tried again every second, and
//! whoever logs it says it once per reason.

use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, Error};

use crate::wire::escaped::Escaped;

/// Why a connection was lost, or not made.
pub(super) fn reason(error: &io::Error) -> String {
    let Some(inner) = of_tls(error) else { return error.to_string() };
    match inner {
        Error::InvalidCertificate(_) => format!("its certificate {}", fault(inner)),
        Error::NoCertificatesPresented => "it has no certificate".to_owned(),
        Error::InvalidMessage(_) => NO_TLS.to_owned(),
        Error::PeerIncompatible(_) => "it does not speak TLS 1.3".to_owned(),
        Error::AlertReceived(alert) => complaint(*alert),
        _ => inner.to_string(),
    }
}

/// What is wrong with a certificate, as it goes on after "the certificate".
pub(super) fn fault(error: &Error) -> String {
    let Error::InvalidCertificate(error) = error else { return format!("cannot be taken ({error})") };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet (are the clocks right?)".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            format!("is for {}, not for {}", Escaped(names.as_bytes()), expected.to_str())
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "is of another authority (CA)".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not made for both ends of a link (serverAuth and clientAuth)".to_owned()
        }
        other => format!("cannot be taken ({other})"),
    }
}

/// What TLS says, which the streams share.
pub(super) fn of_tls(error: &io::Error) -> Option<&Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<Arc<io::Error>>().map_or_else(|| inner.downcast_ref(), |shared| of_tls(shared))
}

/// Whether bytes that should be lines are TLS: a record's type, and the first number of every version.
pub(super) fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, ..])
}

/// Of one that does, where lines are expected.
pub(super) const TLS_HERE: &str =
    "it speaks TLS, and the links of this server are plain (is security.keys set for both?)";

const NO_TLS: &str = "it does not speak TLS (is security.keys set for both?)";

/// What the other end says of us.
fn complaint(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::CertificateRequired => "it got no certificate of ours",
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "our certificate is of an authority (CA) that it does not know"
        }
        AlertDescription::CertificateExpired => "our certificate is not valid now",
        AlertDescription::BadCertificate => "our certificate is for another name",
        AlertDescription::UnsupportedCertificate => "our certificate is not made for this",
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => "we have no version of TLS in common",
        AlertDescription::DecodeError => "what we say is no TLS",
        other => return format!("its other end refuses: {other:?}"),
    };
    format!("its other end says that {why}")
}

/// The DNS name in what webpki shows of it.
fn plain(shown: &str) -> &str {
    shown.strip_prefix("DnsName(\"").and_then(|rest| rest.strip_suffix("\")")).unwrap_or(shown)
}
