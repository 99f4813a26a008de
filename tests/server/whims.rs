//! A Places that does with each request what comes into its head, clients that come and go: whoever stays is told once what it
//! asked, in order and in time, and afterwards all is as it was.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use proxy_herd::driver::sim::Weather;
use proxy_herd::event_loop::{Loop, Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::{Places, Rate, Topology, Url};
use proxy_herd::places::key::Key;
use proxy_herd::server::limits::{LOOKUP_TIME, LOOKUPS, OUTSTANDING, RETRY_AFTER_LAST, TOLD_OFF_LAST};
use proxy_herd::server::{Provider, Servers};

use crate::simulated::Simulated;
use crate::upstream::PLACES;
use crate::world::{self, World};

/// What all connections of this Places share.
#[derive(Clone)]
struct Whims {
    dice: Rc<RefCell<Rng>>,
    /// It has had enough of its whims.
    is_calm: Rc<Cell<bool>>,
    /// Whether it says more than was asked. What comes so late that it could be the next answer nobody can tell from that: so only
    /// where the network does not split.
    is_talkative: bool,
}

struct Conversation {
    whims: Whims,
    request: Vec<u8>,
}

/// What follows the bytes.
#[derive(Clone, Copy)]
enum Then {
    Stay,
    Close,
    Abort,
}

impl Whims {
    fn new(seed: u64, is_talkative: bool) -> Self {
        let dice = Rc::new(RefCell::new(Rng::with_seed(seed)));
        Self { dice, is_calm: Rc::default(), is_talkative }
    }

    fn listen(&self, event_loop: &mut Loop<'_, Servers>, address: SocketAddr) {
        let whims = self.clone();
        event_loop.listen(address, ServerSecurity::Plain, move |_: &mut Servers| Conversation {
            whims: whims.clone(),
            request: Vec::new(),
        });
    }

    /// What comes of a request, after how long.
    fn whim(&self, request: &str) -> (Duration, Vec<u8>, Then) {
        let good = good(request);
        if self.is_calm.get() {
            return (Duration::ZERO, good, Then::Stay);
        }
        let mut dice = self.dice.borrow_mut();
        let time = Duration::from_millis([0, 0, 5, 50, 500, 3_000, 9_990, 10_000, 12_000][dice.usize(..9)]);
        let (bytes, then) = match dice.u8(..22) {
            0 if request.starts_with("GET") => (answer(403, "", CLOSED), Then::Stay),
            1 => (answer(429, "Retry-After: 1\r\n", "{}"), Then::Stay),
            2 => (answer(200, "", r#"{"status":"OVER_QUERY_LIMIT"}"#), Then::Close),
            3 => (answer(503, "Retry-After: 2\r\n", "<html>"), Then::Stay),
            4 => (b"\x15\x03\x01 what?\r\n\r\n".to_vec(), Then::Stay),
            5 => (good[..good.len() / 2].to_vec(), Then::Close),
            6 => (good[..good.len() / 2].to_vec(), Then::Abort),
            7 => (good[..good.len() / 2].to_vec(), Then::Stay),
            8 => (Vec::new(), Then::Close),
            9 => (Vec::new(), Then::Abort),
            10 => (Vec::new(), Then::Stay),
            11 => (good, Then::Close),
            12 => (good, Then::Abort),
            13 if self.is_talkative => ([&good[..], b"HTTP/1.1 200 OK\r\n"].concat(), Then::Stay),
            14 if self.is_talkative => ([&good[..], &good[..]].concat(), Then::Stay),
            15 => ([b"HTTP/1.1 100 Continue\r\n\r\n", &good[..]].concat(), Then::Stay),
            16 => (answer(200, "Retry-After: 1\r\nConnection: close\r\n", "[]"), Then::Stay),
            _ => (good, Then::Stay),
        };
        (time, bytes, then)
    }
}

impl Protocol<Servers> for Conversation {
    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, data: &[u8]) {
        self.request.extend_from_slice(data);
        let end: &[u8] = if self.request.starts_with(b"GET") { b"\r\n\r\n" } else { b"}}}" };
        if !self.request.ends_with(end) {
            return;
        }
        let request = String::from_utf8(std::mem::take(&mut self.request)).expect("ASCII");
        assert_eq!(request.matches(" HTTP/1.1\r\n").count(), 1, "one question at a time: {request}");
        let (time, bytes, then) = self.whims.whim(&request);
        let id = transport.id();
        transport.event_loop().call_later(time, move |event_loop, _| {
            let Some(mut transport) = event_loop.transport(id) else { return };
            transport.write(&bytes);
            match then {
                Then::Stay => {}
                Then::Close => transport.close(),
                Then::Abort => transport.abort(),
            }
        });
    }
}

/// A good answer, which tells the radius that was asked for, in metres.
fn good(request: &str) -> Vec<u8> {
    let number = |after: &str| {
        let (_, rest) = request.split_once(after).expect("a radius");
        rest.split(|next: char| !next.is_ascii_digit()).next().expect("a piece").to_owned()
    };
    let body = match request.starts_with("GET") {
        true => format!(r#"{{"results":[{{"place_id":"r{}."}}],"status":"OK"}}"#, number("radius=")),
        false => format!(r#"{{"places":[{{"id":"r{}."}}]}}"#, number(r#""radius":"#)),
    };
    answer(200, "", &body)
}

fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} So\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A client, and what it has to be told: the radius that it asked for, or something else, and when it asked.
struct Client {
    number: usize,
    owed: VecDeque<(Option<u32>, Duration)>,
}

impl Client {
    fn new(world: &mut Simulated) -> Self {
        let number = world.connect("Goloman");
        world.send(number, b"IAMAT a +1+1 5\n");
        world.until("a reply", |world| world.heard(number).0.ends_with(b"\n"));
        world.heard(number).0.clear();
        Self { number, owed: VecDeque::new() }
    }

    fn ask(&mut self, world: &mut Simulated, kilometres: Option<u32>, now: Duration) {
        let line = kilometres.map_or("?\n".to_owned(), |kilometres| format!("WHATSAT a {kilometres} 1\n"));
        world.send(self.number, line.as_bytes());
        self.owed.push_back((kilometres, now));
    }

    /// Takes what has come, which has to be what it was owed; how many of the answers had places. None may be late.
    fn hear(&mut self, world: &mut Simulated, now: Duration) -> usize {
        let (heard, _) = world.heard(self.number);
        let mut places = 0;
        while let Some((kilometres, _)) = self.owed.front() {
            let end: &[u8] = if kilometres.is_some() { b"}\n\n" } else { b"\n" };
            let Some(at) = heard.windows(end.len()).position(|some| some == end) else { break };
            let reply = String::from_utf8(heard.drain(..at + end.len()).collect()).expect("text");
            match kilometres {
                None => assert_eq!(reply, "? ?\n"),
                Some(kilometres) => {
                    let json = reply.split_once('\n').expect("an AT line").1;
                    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
                    let place = json["results"][0]["place_id"].as_str();
                    let status = json["status"].as_str().expect("a status");
                    match status {
                        "OK" => assert_eq!(place, Some(&*format!("r{kilometres}000."))),
                        "UNKNOWN_ERROR" | "OVER_QUERY_LIMIT" => assert_eq!(place, None),
                        _ => panic!("{reply}"),
                    }
                    places += usize::from(status == "OK");
                }
            }
            self.owed.pop_front();
        }
        if let Some((kilometres, asked)) = self.owed.front() {
            assert!(now - *asked <= LOOKUP_TIME + SLACK, "client {} waits: {kilometres:?}", self.number);
        } else {
            assert!(heard.is_empty(), "{}", String::from_utf8_lossy(heard));
        }
        places
    }
}

/// One run; how many connections there were at most, and how many answers with places.
fn run(seed: u64, is_rough: bool) -> [usize; 2] {
    let weather = if is_rough { Weather::rough() } else { Weather::default() };
    let mut dice = Rng::with_seed(seed);
    let whims = Whims::new(seed, !is_rough);
    let rate = Rate { per_second: dice.bool().then_some(4), per_day: None };
    let url = Url::parse(&format!("http://{PLACES}")).expect("a URL");
    let places = Places { url: Some(url), rate, ..Places::default() };
    let provider = Provider::google(&places, Key::new("canary").expect("a key")).expect("no TLS is needed");
    let mut world = Simulated::new(Topology::built_in(), &provider, seed, weather);
    let host = world.host("Welsh");
    world.sim.enter(host, |event_loop, _| whims.listen(event_loop, PLACES));
    world::links_are_up(&mut world);
    let mut clients: Vec<Client> = (0..4).map(|_| Client::new(&mut world)).collect();
    let asker = world.host("Goloman");
    let others = world.sim.connections(asker);
    let (begun, mut told, mut most) = (world.sim.now(), 0, 0);
    for _ in 0..120 {
        let at = dice.usize(..clients.len());
        let now = world.sim.now() - begun;
        if dice.u8(..20) == 0 {
            let gone = world.client(clients[at].number);
            world.sim.reset(gone);
            clients[at] = Client::new(&mut world);
        }
        for _ in 0..dice.usize(..5) {
            if clients[at].owed.len() < OUTSTANDING {
                let kilometres = (dice.u8(..4) > 0).then(|| dice.u32(1..=30));
                clients[at].ask(&mut world, kilometres, now);
            }
        }
        world.pass(Duration::from_millis([0, 1, 20, 300, 2_000][dice.usize(..5)]));
        let now = world.sim.now() - begun;
        told += clients.iter_mut().map(|client| client.hear(&mut world, now)).sum::<usize>();
        most = most.max(world.sim.connections(asker) - others);
    }
    whims.is_calm.set(true);
    world.pass(LOOKUP_TIME + SLACK);
    let now = world.sim.now() - begun;
    for mut client in clients {
        told += client.hear(&mut world, now);
        assert!(client.owed.is_empty(), "{:?} are forgotten", client.owed);
    }
    // Whatever pause there was is over, and so are the connections that hang.
    world.pass(TOLD_OFF_LAST + SLACK);
    let mut last = Client::new(&mut world);
    let begun = world.sim.now();
    (1..=30).for_each(|kilometres| last.ask(&mut world, Some(kilometres), Duration::ZERO));
    world.pass(LOOKUP_TIME + SLACK);
    let passed = world.sim.now() - begun;
    assert_eq!(last.hear(&mut world, passed), 30, "all is as it was");
    [most, told]
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed that fails is the last one")]
fn whoever_stays_is_told_once_in_order_and_in_time() {
    assert!(RETRY_AFTER_LAST > TOLD_OFF_LAST, "no Retry-After here is longer than our own pauses");
    let (mut most, mut told) = (0, 0);
    for seed in 0..RUNS {
        println!("seed {seed}");
        let [open, answered] = run(seed, seed % 2 == 1);
        (most, told) = (most.max(open), told + answered);
    }
    assert_eq!(most, LOOKUPS);
    assert!(told > 100, "{told}");
}

const RUNS: u64 = 20;

/// How long anything takes on the way.
const SLACK: Duration = Duration::from_secs(1);

const CLOSED: &str =
    r#"{"error_message":"This API project is not authorized to use this API.","status":"REQUEST_DENIED"}"#;
