//! Plans being played on the simulated network: what comes when, in which order, how it ends, and what stays behind.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use log::Level;
use proxy_herd::driver::sim::{ClientId, Ending, HostId, Sim, Weather};
use proxy_herd::event_loop::{
    AfterEof, EventLoop, Listen, Loop, Lost, Protocol, ProtocolFactory, Request, Security, ServerSecurity, Transport,
};
use proxy_herd::places::faults::Faults;
use proxy_herd::server::limits::STANDIN_IDLE_TIME;
use proxy_herd::server::{Identity, Standin};

use crate::trusting::trusting;
use crate::{NOTHING, NOTHING_NEAR, answer, faulty, get};

/// The network, and the stand-in's host.
struct World {
    sim: Sim<Heard>,
    host: HostId,
}

/// What a client over TLS hears.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
    lost: Option<Option<io::ErrorKind>>,
}

impl World {
    fn new(weather: Weather) -> Self {
        Self::protected(weather, ServerSecurity::Plain)
    }

    fn protected(weather: Weather, security: ServerSecurity) -> Self {
        let mut sim = Sim::new(7, weather);
        let host = sim.add_host("places", Heard::default());
        let standin = Standin::new(Faults::default(), Level::Debug);
        sim.enter(host, |event_loop, _| {
            event_loop.listen(address(), security, move |_: &mut Heard| standin.conversation());
        });
        Self { sim, host }
    }

    fn ask(&mut self, requests: &str) -> ClientId {
        let client = self.sim.connect(address());
        self.sim.send(client, requests.as_bytes());
        client
    }

    fn after(&mut self, time: Duration, client: ClientId) -> (String, Option<Ending>) {
        self.sim.run_for(time);
        (String::from_utf8_lossy(self.sim.received(client)).into_owned(), self.sim.ending(client))
    }
}

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 11_650).into()
}

const MOMENT: Duration = Duration::from_millis(500);
const DELAY: Duration = Duration::from_secs(10);

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let slow = faulty("delay=10000");
    let fast = get(NOTHING_NEAR);
    let mut world = World::new(Weather::default());
    let client = world.ask(&[fast.as_str(), &slow, &fast, &slow, &fast].concat());
    assert_eq!(world.after(MOMENT, client), (answer(NOTHING), None));
    assert_eq!(world.after(DELAY, client), (answer(NOTHING).repeat(3), None));
    assert_eq!(world.after(DELAY, client), (answer(NOTHING).repeat(5), None));

    let mut world = World::new(Weather::rough());
    let client = world.ask(&[slow.as_str(), &fast].concat().repeat(20));
    let expected = answer(NOTHING).repeat(40);
    assert!(world.sim.run_until(DELAY * 21, |sim| sim.received(client).len() >= expected.len()));
    assert_eq!(world.after(MOMENT, client), (expected, None));
}

#[test]
fn a_client_that_says_nothing_more_is_answered_first() {
    for faults in ["delay=10000", "delay=10000,until-close", "delay=10000,no-close-notify"] {
        let mut world = World::new(Weather::default());
        let client = world.ask(&faulty(faults));
        world.sim.half_close(client);
        assert_eq!(world.after(MOMENT, client), (String::new(), None), "{faults}");
        let (text, ending) = world.after(DELAY, client);
        assert!(text.ends_with(NOTHING), "{faults}: {text}");
        assert_eq!(ending, Some(Ending::Fin), "{faults}");
    }
}

#[test]
fn what_ends_ends_as_it_should() {
    for weather in [Weather::default(), Weather::rough()] {
        let check = |faults: &str, expected: &dyn Fn(&str) -> bool, ending| {
            let mut world = World::new(weather.clone());
            // The second request is never answered, and its being there takes nothing from the first one's answer.
            let client = world.ask(&[faulty(faults), get(NOTHING_NEAR)].concat());
            let (text, found) = world.after(DELAY, client);
            assert!(expected(&text), "{faults}: {text:?}");
            assert_eq!(found, ending, "{faults}");
            assert_eq!(world.sim.connections(world.host), usize::from(ending.is_none()), "{faults}");
        };
        let whole = answer(NOTHING);
        check("cut=0", &str::is_empty, Some(Ending::Fin));
        check("cut=100", &|text| text == &whole[..100], Some(Ending::Fin));
        check("cut=100,no-close-notify", &|text| text.len() == 100, Some(Ending::Fin));
        check("cut=0,no-close-notify", &str::is_empty, Some(Ending::Fin));
        check("until-close", &|text| text.ends_with(NOTHING) && !text.contains("Content-Length"), Some(Ending::Fin));
        check("no-close-notify", &|text| text.ends_with(NOTHING), Some(Ending::Fin));
        check("no-close-notify,long-body", &|text| text.len() > 2 << 20, Some(Ending::Fin));
        check("http-1.0", &|text| text.starts_with("HTTP/1.0 200 OK\r\n"), Some(Ending::Fin));
        check("garbage", &|text| text.starts_with('\x15'), Some(Ending::Fin));
        check("silent", &str::is_empty, None);
    }
}

#[test]
fn bytes_drip() {
    let mut world = World::new(Weather::default());
    let client = world.ask(&[faulty("drip=1000,delay=10000"), get(NOTHING_NEAR)].concat());
    let whole = answer(NOTHING);
    assert_eq!(world.after(DELAY + MOMENT, client), (whole[..1].to_owned(), None));
    assert_eq!(world.after(Duration::from_secs(9), client), (whole[..10].to_owned(), None));
    assert_eq!(world.after(Duration::from_secs(whole.len() as u64), client), (whole.repeat(2), None));
}

#[test]
fn nobody_is_kept_for_ever() {
    for request in ["", "GET / HT", &faulty("silent")] {
        let mut world = World::new(Weather::default());
        let client = world.ask(request);
        assert_eq!(world.after(STANDIN_IDLE_TIME - MOMENT, client), (String::new(), None), "{request}");
        assert_eq!(world.after(2 * MOMENT, client), (String::new(), Some(Ending::Fin)), "{request}");
    }
    // One that does not read what it has asked for.
    for faults in ["long-body", "long-body,no-close-notify"] {
        let mut world = World::new(Weather::default());
        let client = world.ask(&[faulty(faults), faulty(faults)].concat());
        world.sim.stop_reading(client);
        world.sim.run_for(STANDIN_IDLE_TIME - MOMENT);
        assert_eq!(world.sim.connections(world.host), 1, "{faults}");
        world.sim.run_for(2 * MOMENT);
        assert_eq!(world.sim.connections(world.host), 0, "{faults}");
    }
}

#[test]
fn a_request_that_drips_in_is_not_waited_for_any_longer() {
    for first in [String::new(), get(NOTHING_NEAR), faulty("delay=1000")] {
        let mut world = World::new(Weather::default());
        let client = world.ask(&first);
        world.sim.run_for(Duration::from_secs(1) + MOMENT);
        let bytes = get(NOTHING_NEAR).into_bytes();
        let begun = world.sim.now();
        for byte in bytes.chunks(1).take(20) {
            world.sim.send(client, byte);
            world.sim.run_for(STANDIN_IDLE_TIME / 10);
        }
        assert!(world.sim.now() - begun > STANDIN_IDLE_TIME);
        assert_eq!(world.sim.connections(world.host), 0, "{first}");
    }
}

#[test]
fn a_client_that_has_gone_is_forgotten() {
    for faults in ["delay=10000", "drip=1000", "silent", "delay=10000,no-close-notify"] {
        let mut world = World::new(Weather::default());
        let client = world.ask(&faulty(faults));
        world.sim.run_for(MOMENT);
        world.sim.reset(client);
        world.sim.run_for(MOMENT);
        assert_eq!(world.sim.connections(world.host), 0, "{faults}");
        // Were its timer still set, it would not be quiet.
        assert!(world.sim.run_until_quiet(MOMENT), "{faults}");
    }
}

#[test]
fn a_reader_that_pauses_gets_it_all() {
    let mut world = World::new(Weather::default());
    let client = world.ask(&[faulty("long-body"), get(NOTHING_NEAR)].concat());
    world.sim.stop_reading(client);
    world.sim.run_for(DELAY);
    world.sim.go_on_reading(client);
    let (text, ending) = world.after(DELAY, client);
    assert!(text.len() > 2 << 20 && text.ends_with(&answer(NOTHING)), "{} bytes", text.len());
    assert_eq!(ending, None);
}

#[test]
fn what_is_no_request_is_refused() {
    let check = |request: &str, expected: &str| {
        let mut world = World::new(Weather::default());
        let client = world.ask(request);
        let (text, ending) = world.after(DELAY, client);
        assert!(text.starts_with(expected) && text.contains("Connection: close\r\n"), "{request:.40}: {text}");
        assert_eq!(ending, Some(Ending::Fin), "{request:.40}");
    };
    check("nonsense\r\n\r\n", "HTTP/1.1 400 ");
    check(&get(&"/x".repeat(8 * 1024)), "HTTP/1.1 431 ");
    let long = format!("POST /v1/places:searchNearby HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 16 * 1024 + 1);
    check(&long, "HTTP/1.1 413 ");
    check("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 ");
}

#[test]
fn a_connection_is_not_read_from_while_it_is_answered() {
    let mut event_loop = EventLoop::new((), std::time::Instant::now(), SystemTime::UNIX_EPOCH);
    let standin = Standin::new(Faults::default(), Level::Debug);
    struct Entrance(Standin);
    impl ProtocolFactory<()> for Entrance {
        fn protocol(&mut self, _: &mut ()) -> Box<dyn Protocol<()>> {
            Box::new(self.0.conversation())
        }
    }
    let door = event_loop.enter(|event_loop, _| event_loop.listen_with(Listen::on(address()), Entrance(standin)));
    assert!(matches!(event_loop.poll_request(), Some(Request::Listen { .. })));
    let endpoints = proxy_herd::event_loop::Endpoints::new(address(), address());
    let check = |event_loop: &mut EventLoop<()>, faults: &str, expected: bool| {
        let id = event_loop.accepted(door, endpoints.clone()).expect("it may come in");
        event_loop.received(id, [faulty(faults), get(NOTHING_NEAR).repeat(100)].concat().as_bytes());
        assert_eq!(event_loop.wants_read(id), expected, "{faults}");
        assert!(event_loop.pending(id).is_empty(), "{faults}");
    };
    check(&mut event_loop, "delay=1", false);
    check(&mut event_loop, "delay=1,until-close", false);
    // It is read from, so that no reset overtakes what it is told; what is read is thrown away.
    check(&mut event_loop, "delay=1,no-close-notify", true);
    check(&mut event_loop, "silent", true);
}

/// A client over TLS.
struct Client(String);

impl Protocol<Heard> for Client {
    fn connection_made(&mut self, transport: &mut Transport<'_, Heard>, _: &mut Heard) {
        transport.write(self.0.as_bytes());
    }

    fn data_received(&mut self, _: &mut Transport<'_, Heard>, heard: &mut Heard, data: &[u8]) {
        heard.bytes.extend_from_slice(data);
    }

    fn eof_received(&mut self, _: &mut Transport<'_, Heard>, heard: &mut Heard) -> AfterEof {
        heard.ended = true;
        AfterEof::Close
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Heard>, heard: &mut Heard, lost: Lost) {
        heard.lost = Some(lost.why.map(|why| why.kind()));
    }
}

#[test]
fn over_tls_an_end_in_good_order_is_told_from_a_cut() {
    let check = |faults: &str, length: Option<usize>, cut: bool| {
        let identity = Identity::of_hosts(vec!["localhost".to_owned()], SystemTime::now()).expect("random numbers");
        let trusted = trusting(identity.certificate().as_bytes());
        let mut world = World::protected(Weather::rough(), identity.server());
        let other = world.sim.add_host("client", Heard::default());
        let security = Security::Tls(trusted, "localhost".try_into().expect("a name"));
        let request = faulty(faults);
        world.sim.enter(other, move |event_loop, _| event_loop.connect(address(), security, Client(request)));
        world.sim.run_for(DELAY);
        let Heard { bytes, ended, lost } = world.sim.state(other);
        match length {
            Some(length) => assert_eq!(bytes.len(), length, "{faults}"),
            None => assert!(bytes.ends_with(NOTHING.as_bytes()), "{faults}"),
        }
        assert_eq!((*ended, *lost), (!cut, Some(cut.then_some(io::ErrorKind::UnexpectedEof))), "{faults}");
    };
    check("until-close", None, false);
    check("http-1.0", None, false);
    check("cut=100", Some(100), false);
    check("cut=0", Some(0), false);
    check("no-close-notify", None, true);
    check("no-close-notify,delay=100", None, true);
    check("no-close-notify,cut=100", Some(100), true);
    check("no-close-notify,cut=0", Some(0), true);
}
