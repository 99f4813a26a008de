//! Where Places is asked, as `places.url` says it: https anywhere, http only on this machine.
//!
//! Only what a request line, a `Host` header and a certificate check need: no user, no query, no fragment, no percent-decoding.

use std::net::IpAddr;

/// A checked `places.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether the connection is TLS.
    pub scheme: Scheme,
    /// A DNS name or an IP address (IPv6 without its brackets), as it was written.
    pub host: String,
    /// The port, the scheme's own if none was written.
    pub port: u16,
    /// What stands before the service's own path: empty, or `/path`.
    pub path: String,
}

/// How a [`Url`] is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear: to a loopback host only.
    Http,
    /// Over TLS.
    Https,
}

impl Url {
    /// Takes `text` for a URL of Places, or says what is wrong with it, and the remedy.
    pub fn parse(text: &str) -> Result<Self, [&'static str; 2]> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            _ => return Err(NO_URL),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(BAD_PATH);
        }
        let (host, port) = split_port(authority).ok_or(NO_URL)?;
        let port = match (port, scheme) {
            (Some(port), _) => port.parse().ok().filter(|port| *port != 0).ok_or(NO_PORT)?,
            (None, Scheme::Https) => 443,
            (None, Scheme::Http) => 80,
        };
        if scheme == Scheme::Http && !is_loopback(host) {
            return Err(IN_THE_CLEAR);
        }
        let path = path.trim_end_matches('/').to_owned();
        Ok(Self { scheme, host: host.to_owned(), port, path })
    }

    /// Google's own, of the legacy API.
    pub fn google_legacy() -> Self {
        Self { scheme: Scheme::Https, host: "maps.googleapis.com".to_owned(), port: 443, path: String::new() }
    }

    /// Google's own, of Places API (New).
    pub fn google_new() -> Self {
        Self { host: "places.googleapis.com".to_owned(), ..Self::google_legacy() }
    }

    /// The `Host` header (RFC 9112, 3.2): without the port if it is the scheme's own.
    pub fn authority(&self) -> String {
        let Self { scheme, host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let usual = match scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
        };
        if *port == usual { host } else { format!("{host}:{port}") }
    }
}

/// The host and the port, if one is written; `None` if the host is neither a DNS name nor an address.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return matches!(host.parse(), Ok(IpAddr::V6(_))).then_some((host, port));
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (host.len() <= 253 && host.split('.').all(is_label)).then_some((host, port))
}

/// Whether `host` is this machine without asking anybody.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

const NO_URL: [&str; 2] = ["is no URL", "write https://HOST, https://HOST:PORT or https://HOST:PORT/PATH"];
const NO_PORT: [&str; 2] = ["has no valid port", "write one from 1 to 65535"];
const BAD_PATH: [&str; 2] = ["has a path that cannot be sent", "write visible ASCII without \"?\" and \"#\""];
const IN_THE_CLEAR: [&str; 2] = ["would send the key in the clear", "write https (http is for loopback only)"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_a_port_and_a_path() {
        let check = |text: &str, scheme, host: &str, port, path: &str| {
            let url = Url { scheme, host: host.into(), port, path: path.into() };
            assert_eq!(Url::parse(text), Ok(url), "{text}");
        };
        check("https://maps.example", Scheme::Https, "maps.example", 443, "");
        check("HTTPS://maps.example:8443/", Scheme::Https, "maps.example", 8443, "");
        check("https://maps.example/a/b", Scheme::Https, "maps.example", 443, "/a/b");
        check("http://localhost", Scheme::Http, "localhost", 80, "");
        check("http://127.0.0.9:8080/json", Scheme::Http, "127.0.0.9", 8080, "/json");
        check("http://[::1]:65535", Scheme::Http, "::1", 65535, "");
        check("https://[2001:db8::1]/x", Scheme::Https, "2001:db8::1", 443, "/x");
    }

    #[test]
    fn the_host_header_has_the_port_only_if_it_is_not_the_usual_one() {
        let check = |text: &str, authority: &str| {
            assert_eq!(Url::parse(text).map(|url| url.authority()).as_deref(), Ok(authority), "{text}");
        };
        check("https://maps.example:443", "maps.example");
        check("https://maps.example:80", "maps.example:80");
        check("http://[::1]:80/x", "[::1]");
        check("http://[::1]:8080", "[::1]:8080");
    }

    #[test]
    fn what_cannot_be_asked_safely_is_refused() {
        let check = |text: &str, why: [&'static str; 2]| assert_eq!(Url::parse(text), Err(why), "{text}");
        check("", NO_URL);
        check("maps.example", NO_URL);
        check("ftp://maps.example", NO_URL);
        check("https://", NO_URL);
        check("https://user@maps.example", NO_URL);
        check("https://maps..example", NO_URL);
        check("https://[::1", NO_URL);
        check("https://[maps.example]", NO_URL);
        check("https://[::1]8443", NO_URL);
        check("https://maps.example:", NO_PORT);
        check("https://maps.example:0", NO_PORT);
        check("https://maps.example:65536", NO_PORT);
        check("https://maps.example/a b", BAD_PATH);
        check("https://maps.example/a?key=1", BAD_PATH);
        check("https://maps.example/a\r\nHost: b", BAD_PATH);
        check("http://maps.example", IN_THE_CLEAR);
        check("http://localhost.example", IN_THE_CLEAR);
    }
}
