//! A Places that misbehaves as it is told, on any loop.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use proxy_herd::event_loop::{Loop, Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::{Places, Url};
use proxy_herd::places::key::Key;
use proxy_herd::server::{Provider, Servers};

use crate::simulated::Simulated;

/// What is done with every request.
#[derive(Clone)]
pub(crate) struct Behaviour {
    /// How long the answer takes.
    pub(crate) delay: Duration,
    /// The bytes of the answer.
    pub(crate) answer: Vec<u8>,
    pub(crate) then: Then,
}

/// What follows an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    KeepOpen,
    Close,
    /// The connection stays open until the next request, which ends it.
    CloseAtNext,
}

impl Behaviour {
    /// A good answer with these results, after this time.
    pub(crate) fn good(results: usize, delay: Duration) -> Self {
        let body = body(results);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Self { delay, answer: [head, body].concat().into_bytes(), then: Then::KeepOpen }
    }

    /// These bytes, at once, and the end.
    pub(crate) fn bytes(answer: impl Into<Vec<u8>>) -> Self {
        Self { delay: Duration::ZERO, answer: answer.into(), then: Then::Close }
    }
}

/// An answer's body with these results, in Google's layout.
pub(crate) fn body(results: usize) -> String {
    let each: Vec<String> =
        (0..results).map(|n| format!("\n      {{\n         \"name\" : \"place {n}\"\n      }}")).collect();
    let inside = if results == 0 { String::new() } else { format!("{}\n   ", each.join(",")) };
    format!("{{\n   \"html_attributions\" : [],\n   \"results\" : [{inside}],\n   \"status\" : \"OK\"\n}}\n")
}

/// Asks `address` over plain HTTP, as configuration allows on loopback.
pub(crate) fn provider(address: SocketAddr) -> Provider {
    let url = Url::parse(&format!("http://{address}")).expect("a URL");
    Provider::google(&Places { url: Some(url), ..Places::default() }, Key::new("canary").expect("a key"))
        .expect("no TLS is needed")
}

/// Listens there and behaves.
pub(crate) fn listen(event_loop: &mut Loop<'_, Servers>, address: SocketAddr, behaviour: Behaviour) {
    event_loop.listen(address, ServerSecurity::Plain, move |_: &mut Servers| Upstream {
        behaviour: behaviour.clone(),
        request: Vec::new(),
        answered: false,
    });
}

/// How often somebody connected to it, and how often it was asked.
pub(crate) fn traffic(world: &Simulated) -> (usize, usize) {
    let trace = world.sim.trace().as_str();
    let connected = trace.matches(&format!("connects to {PLACES}")).count();
    (connected, trace.matches("GET /maps/api/place/nearbysearch/json").count())
}

/// Where Places is on the simulated network.
pub(crate) const PLACES: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9_999));

struct Upstream {
    behaviour: Behaviour,
    request: Vec<u8>,
    answered: bool,
}

impl Protocol<Servers> for Upstream {
    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, data: &[u8]) {
        self.request.extend_from_slice(data);
        if !self.request.ends_with(b"\r\n\r\n") {
            return;
        }
        self.request.clear();
        if std::mem::replace(&mut self.answered, true) && self.behaviour.then == Then::CloseAtNext {
            return transport.close();
        }
        let (id, behaviour) = (transport.id(), self.behaviour.clone());
        transport.event_loop().call_later(behaviour.delay, move |event_loop, _| {
            if let Some(mut transport) = event_loop.transport(id) {
                transport.write(&behaviour.answer);
                if behaviour.then == Then::Close {
                    transport.close();
                }
            }
        });
    }
}
