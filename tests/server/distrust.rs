//! Upstreams that are not to be trusted with the key: none is asked, the log says why, and the client is told in time.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use log::Level;
use proxy_herd::driver::sim::Weather;
use proxy_herd::event_loop::{Loop, Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::{Places, Topology, Url};
use proxy_herd::places::key::Key;
use proxy_herd::server::{Provider, Servers};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;

use crate::asking::{ask, failure};
use crate::loopback::Loopback;
use crate::records::{Logged, logged};
use crate::simulated::Simulated;
use crate::upstream::PLACES;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// One who poses as Places.
struct Upstream {
    security: ServerSecurity,
    /// What it says as soon as it hears something.
    says: Vec<u8>,
    /// Who is believed, in a folder that lives as long.
    trusted: (TempDir, PathBuf),
}

impl Upstream {
    /// With a certificate for `host` that is good in `days` from now on, and is believed if it is `believed`.
    fn certified(host: &str, days: std::ops::Range<i32>, believed: bool) -> Self {
        let at = |days: i32| match u32::try_from(days) {
            Ok(days) => SystemTime::now() + DAY * days,
            Err(_) => SystemTime::now() - DAY * days.unsigned_abs(),
        };
        let (key, mut params) = to_certify(host);
        (params.not_before, params.not_after) = (at(days.start).into(), at(days.end).into());
        let certificate = params.self_signed(&key).expect("it can sign");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("key and certificate belong together");
        let pem = if believed { certificate.pem() } else { another() };
        Self { security: ServerSecurity::Tls(Arc::new(config)), says: answer(), trusted: trusted(&pem) }
    }

    /// Without TLS: it says these bytes to whatever it hears.
    fn saying(says: &[u8]) -> Self {
        Self { security: ServerSecurity::Plain, says: says.to_vec(), trusted: trusted(&another()) }
    }

    fn provider(&self, address: SocketAddr) -> Provider {
        let places = Places {
            url: Some(Url::parse(&format!("https://{address}")).expect("a URL")),
            ca_file: Some(self.trusted.1.clone()),
            ..Places::default()
        };
        Provider::google(&places, Key::new(KEY).expect("a key")).expect("the file is good")
    }

    fn listen(&self, event_loop: &mut Loop<'_, Servers>, address: SocketAddr) {
        let says = self.says.clone();
        event_loop.listen(address, self.security.clone(), move |_: &mut Servers| Says(says.clone()));
    }
}

/// Says the same to whatever it hears, but never hears the key.
struct Says(Vec<u8>);

impl Protocol<Servers> for Says {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        if let Some(info) = transport.tls_info() {
            log::info!("{RESUMED}{}", info.is_resumed);
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, data: &[u8]) {
        assert!(transport.tls_info().is_some() || !data.windows(KEY.len()).any(|part| part == KEY.as_bytes()));
        transport.write(&self.0);
    }
}

fn to_certify(host: &str) -> (KeyPair, CertificateParams) {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("ring makes Ed25519 keys");
    (key, CertificateParams::new([host.to_owned()]).expect("a valid name"))
}

/// A certificate of somebody else.
fn another() -> String {
    let (key, mut params) = to_certify(HOST);
    params.distinguished_name.push(DnType::CommonName, "somebody else");
    params.self_signed(&key).expect("it can sign").pem()
}

fn trusted(pem: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).expect("written");
    (folder, file)
}

fn answer() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}".to_vec()
}

/// What is told and logged on the simulated network, and how long it takes.
fn simulated(upstream: &Upstream) -> (String, Vec<Logged>, Duration) {
    let (mut told, mut took) = (String::new(), Duration::ZERO);
    let lines = logged(|| {
        let mut world = Simulated::new(Topology::built_in(), &upstream.provider(PLACES), 7, Weather::default());
        let host = world.host("Welsh");
        world.sim.enter(host, |event_loop, _| upstream.listen(event_loop, PLACES));
        let asked = world.sim.now();
        told = ask(&mut world, "+1+1", 1);
        took = world.sim.now() - asked;
    });
    (told, lines, took)
}

/// The same on sockets.
fn on_sockets(upstream: &Upstream) -> (String, Vec<Logged>) {
    let mut told = String::new();
    let lines = logged(|| {
        let mut world = Loopback::new(Topology::built_in(), |address| upstream.provider(address));
        let address = world.places;
        world.event_loop.enter(|event_loop, _| upstream.listen(event_loop, address));
        told = ask(&mut world, "+1+1", 1);
    });
    (told, lines)
}

#[track_caller]
fn check(told: &str, lines: &[Logged], message: &str, reason: &str) {
    assert_eq!(told, failure("UNKNOWN_ERROR", message), "{reason}");
    let is_it = |line: &&Logged| line.text.contains("gets no places for its reply 0: UNKNOWN_ERROR, ");
    let line = lines.iter().find(is_it).expect("it is logged");
    assert!(line.level == Level::Warn && line.text.contains(reason), "{reason} is not in {line:?}");
    for line in lines {
        assert!(!line.text.contains(KEY) && !line.text.contains("/maps/"), "{line:?}");
    }
}

/// Refused at once on both networks, for this reason.
#[track_caller]
fn refused(upstream: &Upstream, reason: &str) {
    let (told, lines, took) = simulated(upstream);
    check(&told, &lines, UNREACHABLE, reason);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (told, lines) = on_sockets(upstream);
    check(&told, &lines, UNREACHABLE, reason);
}

#[test]
fn one_with_a_good_certificate_is_asked() {
    let (told, ..) = simulated(&Upstream::certified(HOST, -1..1, true));
    assert_eq!(told, "{\"status\":\"OK\"}\n\n");
    let (told, _) = on_sockets(&Upstream::certified(HOST, -1..1, true));
    assert_eq!(told, "{\"status\":\"OK\"}\n\n");
}

/// Whether the session of each connection was one that was known before.
fn resumed(lines: &[Logged]) -> Vec<&str> {
    lines.iter().filter_map(|line| Some(line.text.split_once(RESUMED)?.1)).collect()
}

#[test]
fn connections_after_the_first_one_resume_its_session() {
    let mut upstream = Upstream::certified(HOST, -1..1, true);
    upstream.says = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}".to_vec();
    let thrice = |ask: &mut dyn FnMut() -> String| {
        for _ in 0..3 {
            assert_eq!(ask(), "{\"status\":\"OK\"}\n\n");
        }
    };
    let lines = logged(|| {
        let mut world = Simulated::new(Topology::built_in(), &upstream.provider(PLACES), 7, Weather::default());
        let host = world.host("Welsh");
        world.sim.enter(host, |event_loop, _| upstream.listen(event_loop, PLACES));
        thrice(&mut || ask(&mut world, "+1+1", 1));
    });
    assert_eq!(resumed(&lines), ["false", "true", "true"]);
    let lines = logged(|| {
        let mut world = Loopback::new(Topology::built_in(), |address| upstream.provider(address));
        let address = world.places;
        world.event_loop.enter(|event_loop, _| upstream.listen(event_loop, address));
        thrice(&mut || ask(&mut world, "+1+1", 1));
    });
    assert_eq!(resumed(&lines), ["false", "true", "true"]);
}

#[test]
fn certificates_that_are_no_good_are_refused() {
    refused(&Upstream::certified(HOST, -2..-1, true), "certificate expired");
    refused(&Upstream::certified(HOST, 1..2, true), "certificate not valid yet");
    refused(&Upstream::certified("places.example", -1..1, true), "certificate not valid for name");
    refused(&Upstream::certified(HOST, -1..1, false), "UnknownIssuer");
}

#[test]
fn who_does_not_speak_tls_of_today_is_refused() {
    // A ServerHello of TLS 1.1, and what a server says that speaks nothing newer.
    let hello = [
        &[0x16, 3, 2, 0, 42][..], // a record of the handshake
        &[2, 0, 0, 38, 3, 2],     // a ServerHello of this version
        &[7; 32],                 // random
        &[0, 0, 0x2f, 0],         // no session, a cipher of the time, no compression
    ];
    refused(&Upstream::saying(&hello.concat()), "ServerDoesNotSupportTls12Or13");
    refused(&Upstream::saying(&[0x15, 3, 1, 0, 2, 2, 70]), "ProtocolVersion");
    refused(&Upstream::saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "InvalidContentType");
}

#[test]
fn a_handshake_that_stalls_is_given_up() {
    let stalled = Upstream::saying(b"");
    // A record that does not end, too.
    let stuck = Upstream::saying(&[0x16, 3, 3, 0, 200, 2]);
    for upstream in [&stalled, &stuck] {
        let (told, lines, took) = simulated(upstream);
        check(&told, &lines, UNREACHABLE, "the TLS handshake took too long");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    thread::scope(|scope| {
        for upstream in [&stalled, &stuck] {
            scope.spawn(move || {
                let (told, lines) = on_sockets(upstream);
                check(&told, &lines, UNREACHABLE, "the TLS handshake took too long");
            });
        }
    });
}

const UNREACHABLE: &str = "Places could not be reached.";
/// What is logged of a connection that is made.
const RESUMED: &str = "a TLS session was resumed: ";

const HOST: &str = "127.0.0.1";
const KEY: &str = "AIzaCanary-of-distrust-0123456789abcdef";
