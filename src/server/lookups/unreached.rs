//! Why a connection to Places was lost, or not made, and what to look at, in words for the log.

use std::io;

use rustls::{CertificateError, Error};

use crate::server::handshake::of_tls;

/// As the log has it after the status; `None` is an end in good order.
pub(super) fn reason(why: Option<&io::Error>) -> String {
    let Some(error) = why else { return "the connection ended before an answer".to_owned() };
    let remedy = match of_tls(error) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; an authority that is not a public one has to be in places.ca_file"
        }
        Some(Error::InvalidMessage(_)) => "; it speaks no TLS: should places.url begin with http://?",
        _ => "",
    };
    format!("{error}{remedy}")
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    #[test]
    fn what_can_be_mended_here_has_a_remedy() {
        let check = |error: Error, expected: &str| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(reason(Some(&error)), expected);
        };
        check(
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            "invalid peer certificate: UnknownIssuer; an authority that is not a public one has to be in places.ca_file",
        );
        check(
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            "received corrupt message of type InvalidContentType; it speaks no TLS: should places.url begin with http://?",
        );
        check(Error::InvalidCertificate(CertificateError::Revoked), "invalid peer certificate: Revoked");
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connect to 127.0.0.1:1: refused");
        assert_eq!(reason(Some(&refused)), "connect to 127.0.0.1:1: refused");
        assert_eq!(reason(None), "the connection ended before an answer");
    }
}
