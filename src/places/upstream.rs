//! Where Places is asked: Google's address, or another one from the configuration.
//!
//! - `https` everywhere; `http` to loopback only, so that a key never crosses a network in the clear.
//! - The host is a DNS name or an IP address; a path before Google's own is kept, a query or credentials are refused.
//!
//! It neither resolves nor connects.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

/// An origin with a path, checked so that requests to it can be written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
}

/// How to talk to an [`Upstream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// HTTP over plain TCP.
    Http,
}

impl Upstream {
    /// Google's legacy Places.
    pub fn google() -> Self {
        Self { scheme: Scheme::Https, host: "maps.googleapis.com".to_owned(), port: 443, path: String::new() }
    }

    /// Reads `https://host[:port][/path]`.
    ///
    /// # Errors
    /// Why the URL cannot be used, without the URL.
    pub fn parse(url: &str) -> Result<Self, BadUpstream> {
        let (scheme, rest) = match url.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(BadUpstream::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').ok_or(BadUpstream::Host)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let address = host.parse::<IpAddr>().ok();
        if address.is_some_and(|address| address.is_ipv6()) != authority.starts_with('[') {
            return Err(BadUpstream::Host);
        }
        if address.is_none() && !is_dns_name(host) {
            return Err(BadUpstream::Host);
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => scheme.port(),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0).ok_or(BadUpstream::Port)?
            }
            _ => return Err(BadUpstream::Port),
        };
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(BadUpstream::Path);
        }
        let loopback = address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback());
        if scheme == Scheme::Http && !loopback {
            return Err(BadUpstream::Plain);
        }
        let (host, path) = (host.to_owned(), path.trim_end_matches('/').to_owned());
        Ok(Self { scheme, host, port, path })
    }

    /// Whether to talk TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The name or address to connect to, an IPv6 address without brackets. TLS checks the certificate against it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What stands before the service's own path: empty, or `/path`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The `Host` header (RFC 9112, 3.2): without the port if it is the scheme's own.
    pub(super) fn authority(&self) -> String {
        let Self { scheme, host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == scheme.port() { host } else { format!("{host}:{port}") }
    }
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// Why a URL is no [`Upstream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUpstream {
    /// Neither `https://` nor `http://`.
    Scheme,
    /// Neither a DNS name nor an IP address.
    Host,
    /// Not a port from 1 to 65535.
    Port,
    /// A query, a fragment, or a byte that is not a visible ASCII character.
    Path,
    /// `http` to another machine.
    Plain,
}

impl fmt::Display for BadUpstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Scheme => "it must start with https:// (or http:// on loopback)",
            Self::Host => "its host must be a DNS name or an IP address ([...] around IPv6), without a user",
            Self::Port => "its port must be a number from 1 to 65535",
            Self::Path => "its path must be visible ASCII without a query or a fragment",
            Self::Plain => "http is for loopback only: the key would cross the network in the clear; use https",
        })
    }
}

impl Error for BadUpstream {}

fn is_dns_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: `connect-to Host-header path`.
    fn check(url: &str, expected: Result<&str, BadUpstream>) {
        let shown = Upstream::parse(url).map(|upstream| {
            let Upstream { host, port, path, .. } = &upstream;
            format!("{host} {port} {} {path}", upstream.authority())
        });
        assert_eq!(shown, expected.map(str::to_owned), "{url}");
    }

    #[test]
    fn a_url_is_an_origin_and_a_path() {
        check("https://example.org", Ok("example.org 443 example.org "));
        check("https://example.org/", Ok("example.org 443 example.org "));
        check("https://example.org:8443/a/b/", Ok("example.org 8443 example.org:8443 /a/b"));
        check("https://192.0.2.1:443/a", Ok("192.0.2.1 443 192.0.2.1 /a"));
        check("https://[2001:db8::1]:80", Ok("2001:db8::1 80 [2001:db8::1]:80 "));
        check("http://localhost:8080", Ok("localhost 8080 localhost:8080 "));
        check("http://127.0.0.1", Ok("127.0.0.1 80 127.0.0.1 "));
        check("http://[::1]:1", Ok("::1 1 [::1]:1 "));
        assert_eq!(Upstream::parse("https://maps.googleapis.com"), Ok(Upstream::google()));
    }

    #[test]
    fn what_cannot_be_asked_safely_is_refused() {
        check("example.org", Err(BadUpstream::Scheme));
        check("ftp://example.org", Err(BadUpstream::Scheme));
        check("http://example.org", Err(BadUpstream::Plain));
        check("http://192.0.2.1", Err(BadUpstream::Plain));
        check("http://localhost.example.org", Err(BadUpstream::Plain));
        check("https://", Err(BadUpstream::Host));
        check("https://a..b", Err(BadUpstream::Host));
        check("https://user@example.org", Err(BadUpstream::Host));
        check("https://exa mple.org", Err(BadUpstream::Host));
        check("https://[::1", Err(BadUpstream::Host));
        check("https://[127.0.0.1]", Err(BadUpstream::Host));
        check("https://example.org?a", Err(BadUpstream::Host));
        check("https://a:", Err(BadUpstream::Port));
        check("https://a:0", Err(BadUpstream::Port));
        check("https://a:+1", Err(BadUpstream::Port));
        check("https://a:65536", Err(BadUpstream::Port));
        check("https://[::1]x", Err(BadUpstream::Port));
        check("https://a/b?c", Err(BadUpstream::Path));
        check("https://a/b c", Err(BadUpstream::Path));
        check("https://a/\r\nX: y", Err(BadUpstream::Path));
    }
}
