//! What holds for whatever comes in by either door of a server: it ends, panics nothing, costs a bounded amount, and both
//! styles say the same in any weather; but for repair, which says what it has to between the lines, when there is time.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::{HostId, Weather};
use proxy_herd::herd::command::Command;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::{Places, Topology, Url};
use proxy_herd::places::key::Key;
use proxy_herd::server::{Provider, Servers, Style};

/// Plays `bytes` to a server, once as a client and once as a neighbour, and ends its half.
///
/// # Panics
/// If something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let topology = Topology::parse(TOPOLOGY).expect("a topology");
    let server = topology.find(&name()).expect("it is there");
    for door in [server.clients, server.peers] {
        let play = |style, weather| Stage::new(&topology, style, weather).play(door, bytes);
        let said = play(Style::Callbacks, Weather::default());
        assert_eq!(play(Style::Streams, Weather::default()), said, "in streams");
        for style in [Style::Callbacks, Style::Streams] {
            assert_eq!(play(style, Weather::rough()), said, "in rough weather, by {style}");
        }
    }
}

/// Goloman, whose neighbour is not there, and whose Places refuses.
struct Stage {
    sim: Sim<Servers>,
    host: HostId,
    peers: SocketAddr,
    panics: mpsc::Receiver<String>,
}

impl Stage {
    fn new(topology: &Topology, style: Style, weather: Weather) -> Self {
        let url = Url::parse("http://127.0.0.1:3").expect("a URL");
        let provider = Provider::google(&Places { url: Some(url), ..Places::default() }, Key::new("k").expect("a key"))
            .expect("no TLS is needed");
        let servers = Servers::new(topology, &[name()], provider, SEED).with_style(style);
        let mut sim = Sim::new(SEED, weather);
        let host = sim.add_host("Goloman", servers);
        let (told, panics) = mpsc::channel();
        sim.enter(host, |event_loop, servers| {
            event_loop.set_exception_handler(move |_, _, panicked| {
                told.send(panicked.to_string()).expect("the stage outlives the loop");
            });
            servers.start(event_loop);
        });
        let peers = topology.find(&name()).expect("it is there").peers;
        Self { sim, host, peers, panics }
    }

    /// What the one who says this hears, without clocks and repair.
    fn play(mut self, door: SocketAddr, bytes: &[u8]) -> Vec<String> {
        let guest = self.sim.connect(door);
        self.sim.send(guest, bytes);
        self.sim.half_close(guest);
        let ended = self.sim.run_until(PATIENCE, |sim| sim.ending(guest).is_some());
        assert!(ended, "it is still there after {PATIENCE:?}");
        self.sim.run_for(Duration::from_secs(1));
        assert_eq!(self.panics.try_iter().collect::<Vec<_>>(), [""; 0]);
        let heard = self.sim.received(guest);
        let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
        // Each line of a neighbour may ask for all that it has told.
        let told = if door == self.peers { bytes.len() } else { 0 };
        let most = lines * (Command::LIMIT + ANSWER + told);
        assert!(heard.len() <= most, "{} bytes are said to {lines} lines", heard.len());
        let servers = self.sim.state(self.host);
        assert_eq!(servers.clients(&name()), Some(0), "nobody is left");
        assert!(servers.node(&name()).expect("it runs").directory().len() <= lines);
        let is_repair = |line: &&[u8]| door == self.peers && (line.starts_with(b"DIGEST ") || line.starts_with(b"AT "));
        heard.split(|byte| *byte == b'\n').filter(|line| !is_repair(line)).map(without_difference).collect()
    }
}

/// A line without the time difference, which is the weather's.
fn without_difference(line: &[u8]) -> String {
    let text = line.escape_ascii().to_string();
    match text.splitn(4, ' ').collect::<Vec<_>>()[..] {
        ["AT", origin, _, rest] => format!("AT {origin} ~ {rest}"),
        _ => text,
    }
}

fn name() -> ServerName {
    ServerName::parse(b"Goloman").expect("a name")
}

const TOPOLOGY: &str = r#"{
    "herd": "goloman",
    "servers": {
        "Goloman": { "clients": "127.0.0.1:1", "peers": "127.0.0.1:2" },
        "Hands": { "clients": "127.0.0.1:4", "peers": "127.0.0.1:5" }
    },
    "links": [["Goloman", "Hands"]]
}"#;

const SEED: u64 = 7;

/// More than what is said about one line beside a copy of it.
const ANSWER: usize = 1_024;

/// How much simulated time may pass.
const PATIENCE: Duration = Duration::from_secs(120);
