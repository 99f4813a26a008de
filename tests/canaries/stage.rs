//! Two servers, one of each style, a Places of any kind on a host of its own, and everything that comes out of them, searched.
//!
//! What Places hears is known, also over TLS: by that it is told that the key was there to be shown.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use log::Level;
use proxy_herd::driver::sim::{HostId, Receiver, Weather};
use proxy_herd::event_loop::{AfterEof, Loop, Lost, Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::{self, Rate, Topology, Url};
use proxy_herd::places::faults::Faults;
use proxy_herd::places::key::Key;
use proxy_herd::server::{Identity, Provider, Servers, Standin};
use tempfile::TempDir;

use crate::records::logged;
use crate::servers::check_line;
use crate::simulated::Simulated;
use crate::standin::Wire;
use crate::upstream::PLACES;
use crate::world::{World, name};
use crate::{CLIENT, KEY, KEY_IN_URL, POSITION, assert_no_key};

/// Who listens where Places should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// The stand-in, with its faults.
    Standin,
    /// One who says this to whatever it hears, and then ends.
    Says(Vec<u8>),
    Nobody,
}

/// What is played.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) wire: Wire,
    pub(crate) api: topology::Provider,
    /// The host that is asked.
    pub(crate) host: &'static str,
    /// What is asked for in the path of the URL.
    pub(crate) faults: String,
    pub(crate) rate: Rate,
    pub(crate) who: Who,
    /// Whether the certificate of whoever listens is trusted.
    pub(crate) is_trusted: bool,
}

impl Setting {
    pub(crate) fn new(wire: Wire, api: topology::Provider) -> Self {
        let (faults, rate) = (String::new(), Rate::default());
        Self { wire, api, host: "127.0.0.1", faults, rate, who: Who::Standin, is_trusted: true }
    }

    /// Every way to ask.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let wires = [Wire::Plain, Wire::Tls].into_iter();
        wires.flat_map(|wire| APIS.into_iter().map(move |api| Self::new(wire, api)))
    }

    /// Plays `scene`, and searches all that came out of it: the log at every level, what clients and neighbours heard, what
    /// can be asked of the servers, and whatever else they sent, but to Places.
    pub(crate) fn play(&self, scene: impl FnOnce(&mut Stage)) -> Played {
        let (mut log, mut asked) = (String::new(), Vec::new());
        let lines = logged(|| {
            let mut stage = Stage::new(self);
            scene(&mut stage);
            stage.end();
            asked = stage.asked.take();
        });
        for line in &lines {
            check_line(line);
            log += &format!("{}\n", line.text);
        }
        Played { log, asked: String::from_utf8_lossy(&asked).into_owned() }
    }

    fn provider(&self, trusted: PathBuf) -> Provider {
        let url = format!("{}://{}:{}/faults/{}", self.wire.scheme(), self.host, PLACES.port(), self.faults);
        let places = topology::Places {
            provider: self.api,
            url: Some(Url::parse(&url).expect("a URL")),
            ca_file: Some(trusted),
            rate: self.rate,
            ..topology::Places::default()
        };
        Provider::google(&places, Key::new(KEY).expect("a key")).expect("the file is good")
    }
}

/// What came of it, and was searched.
pub(crate) struct Played {
    pub(crate) log: String,
    /// What Places heard, without TLS.
    pub(crate) asked: String,
}

impl Played {
    /// The key was in the requests, exactly, as each API wants it: so many times to the legacy one, so many to the new one, if
    /// that is known.
    #[track_caller]
    pub(crate) fn check_asked(&self, what: &str, api: topology::Provider) {
        let count = |part: &str| self.asked.matches(part).count();
        let (gets, posts) = (count("GET /"), count("POST /"));
        assert_eq!(count(&format!("&key={KEY_IN_URL} HTTP/1.1\r\n")), gets, "{what}: {}", self.asked);
        assert_eq!(count(&format!("\r\nX-Goog-Api-Key: {KEY}\r\n")), posts, "{what}: {}", self.asked);
        match api {
            topology::Provider::New => assert!(gets == 0 && posts > 0, "{what}: {}", self.asked),
            topology::Provider::Legacy => assert!(gets > 0 && posts == 0, "{what}: {}", self.asked),
            _ => assert!(gets > 0 && (posts > 0) == what.contains("no-legacy"), "{what}: {}", self.asked),
        }
    }
}

/// The servers at work.
pub(crate) struct Stage {
    pub(crate) world: Simulated,
    /// What each client has said; their numbers are the world's.
    clients: Vec<usize>,
    asked: Rc<RefCell<Vec<u8>>>,
    /// What servers have sent, by connection, but to Places.
    sent: Rc<RefCell<HashMap<u64, Vec<u8>>>>,
    provider: Provider,
    _folder: TempDir,
}

impl Stage {
    fn new(setting: &Setting) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let identity = || Identity::of_hosts(vec!["127.0.0.1".to_owned()], SystemTime::now()).expect("a certificate");
        let (places, other) = (identity(), identity());
        let trusted = if setting.is_trusted { &places } else { &other };
        std::fs::write(&file, trusted.certificate()).expect("written");

        let topology = Topology::parse(TOPOLOGY).expect("a topology");
        let provider = setting.provider(file);
        let mut world = Simulated::new(topology, &provider, 7, Weather::default());
        let nobody = Servers::new(&world.topology, &[], provider.clone(), 7);
        let host = world.sim.add_host("Places", nobody);
        let (asked, sent) = (Rc::default(), Rc::default());
        let security = setting.wire.security(&places);
        let (who, ear) = (setting.who.clone(), Rc::clone(&asked));
        world.sim.enter(host, |event_loop, _| listen(event_loop, security, who, &ear));
        let mut stage = Self { world, clients: Vec::new(), asked, sent, provider, _folder: folder };
        stage.watch(host, setting.wire);
        stage.world.until("the link is up", |world| SERVERS.iter().all(|server| world.links_up(server) == 1));
        stage
    }

    /// Keeps what is sent. In the clear the key is to go to Places; over TLS, nowhere.
    fn watch(&mut self, places: HostId, wire: Wire) {
        let kept = Rc::clone(&self.sent);
        self.world.sim.watch(move |sent| {
            let is_question = wire == Wire::Plain && sent.to == Receiver::Host(places);
            if sent.from != places && !is_question {
                kept.borrow_mut().entry(sent.connection).or_default().extend_from_slice(sent.bytes);
            }
        });
    }

    /// A client of each server says where it is, and asks so many questions.
    pub(crate) fn ask(&mut self, questions: usize) {
        self.ask_from(0, questions);
    }

    /// The same, with others than those that ask from elsewhere.
    pub(crate) fn ask_from(&mut self, first: usize, questions: usize) {
        for server in SERVERS {
            let client = self.world.connect(server);
            let questions = first + 1..=first + questions;
            let more: String = questions.map(|each| format!("WHATSAT {CLIENT} 0.{each:04} 20\n")).collect();
            self.world.send(client, format!("IAMAT {CLIENT} {POSITION} 5\n{more}").as_bytes());
            self.clients.push(client);
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.world.pass(time);
    }

    /// How many answers all clients have had.
    pub(crate) fn answers(&mut self) -> usize {
        let clients = self.clients.clone();
        let ends = |heard: &[u8]| heard.windows(3).filter(|end| end == b"}\n\n").count();
        clients.into_iter().map(|client| ends(self.world.heard(client).0)).sum()
    }

    /// The servers are told to stop, if they run.
    pub(crate) fn drain(&mut self) {
        for server in SERVERS {
            let host = self.world.host(server);
            if self.world.sim.is_running(host) {
                self.world.sim.enter(host, |event_loop, servers| servers.drain(event_loop));
            }
        }
    }

    /// What can be asked of the servers is searched; then they stop, and what they have sent is.
    fn end(&mut self) {
        assert_no_key(&format!("{:?} {:#?}", self.provider, self.provider));
        for server in SERVERS {
            let servers = self.world.servers(server);
            let name = name(server);
            let told = format!(
                "{:?} {:?} {:?} {:?} {:?}",
                servers.links(&name),
                servers.clients(&name),
                servers.strangers(&name),
                servers.failure(),
                servers.node(&name).map(|node| node.directory().len()),
            );
            assert_no_key(&told);
        }
        self.drain();
        self.pass(Duration::from_secs(10));
        for bytes in self.sent.borrow().values() {
            assert_no_key(&String::from_utf8_lossy(bytes));
        }
    }
}

/// Somebody listens where Places should be, and what they hear is kept.
fn listen(event_loop: &mut Loop<'_, Servers>, security: ServerSecurity, who: Who, kept: &Rc<RefCell<Vec<u8>>>) {
    let kept = Rc::clone(kept);
    match who {
        Who::Nobody => {}
        Who::Says(says) => drop(event_loop.listen(PLACES, security, move |_: &mut Servers| Ear {
            kept: Rc::clone(&kept),
            inner: Says(says.clone()),
        })),
        Who::Standin => {
            let standin = Standin::new(Faults::default(), Level::Trace);
            event_loop.listen(PLACES, security, move |_: &mut Servers| Ear {
                kept: Rc::clone(&kept),
                inner: standin.conversation(),
            });
        }
    }
}

/// Keeps what a protocol hears.
struct Ear<P> {
    kept: Rc<RefCell<Vec<u8>>>,
    inner: P,
}

impl<P: Protocol<Servers>> Protocol<Servers> for Ear<P> {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        self.inner.connection_made(transport, servers);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        self.kept.borrow_mut().extend_from_slice(data);
        self.inner.data_received(transport, servers, data);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) -> AfterEof {
        self.inner.eof_received(transport, servers)
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        self.inner.resume_writing(transport, servers);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        self.inner.timed_out(transport, servers);
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        self.inner.connection_lost(event_loop, servers, lost);
    }
}

/// Says the same to whatever it hears, and ends.
struct Says(Vec<u8>);

impl Protocol<Servers> for Says {
    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, _: &[u8]) {
        transport.write(&self.0);
        transport.close();
    }
}

/// Whose clients ask: one serves by callbacks, the other by streams.
const SERVERS: [&str; 2] = ["Goloman", "Hands"];

pub(crate) const APIS: [topology::Provider; 3] =
    [topology::Provider::Legacy, topology::Provider::New, topology::Provider::Auto];

const TOPOLOGY: &str = r#"{
    "herd": "canaries",
    "servers": {
        "Goloman": { "clients": "127.0.0.1:11645", "peers": "127.0.0.1:21645" },
        "Hands": { "clients": "127.0.0.1:11646", "peers": "127.0.0.1:21646" }
    },
    "links": [["Goloman", "Hands"]]
}"#;
