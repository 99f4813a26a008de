//! Plays a script to a herd of one style, and notes what can be told from outside.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::{ClientId, Crash, Ending, HostId, Weather};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::{Places, Topology, Url};
use proxy_herd::places::key::Key;
use proxy_herd::server::limits::{IDLE_TIME, STALL_TIME};
use proxy_herd::server::{Provider, Servers, Style};

use crate::places;
use crate::script::{Script, Step};

/// What can be told: lines, by heading.
#[derive(Default)]
pub(crate) struct Outcome {
    told: BTreeMap<String, Vec<String>>,
    /// How each connection has ended, and when, about.
    endings: Vec<Option<(Ending, Duration)>>,
}

impl Outcome {
    /// What only one has, for each heading.
    pub(crate) fn compare(one: &Self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let nothing = Vec::new();
        for heading in one.told.keys().chain(other.told.keys()).collect::<BTreeSet<_>>() {
            let [one, other] = [one, other].map(|outcome| outcome.told.get(heading).unwrap_or(&nothing));
            if one != other {
                let [only, only_other] = [(one, other), (other, one)].map(|(these, those)| {
                    let only: Vec<_> = these.iter().filter(|line| !those.contains(line)).map(String::as_str).collect();
                    only.join("\n    ")
                });
                differences.push(format!("== {heading}: callbacks\n    {only}\n-- but streams\n    {only_other}"));
            }
        }
        for (number, both) in one.endings.iter().zip(&other.endings).enumerate() {
            let is_same = match both {
                (Some((how, when)), Some((other, then))) => how == other && when.abs_diff(*then) <= LOOK,
                (one, other) => one.is_none() && other.is_none(),
            };
            if !is_same {
                differences.push(format!("== the end of {number}: {both:?}"));
            }
        }
        differences
    }

    fn note(&mut self, heading: impl Into<String>, line: impl Into<String>) {
        self.told.entry(heading.into()).or_default().push(line.into());
    }
}

/// Plays it, to the end.
pub(crate) fn play(script: &Script, style: Style) -> Outcome {
    // The second test to come finds it set.
    let _ = log::set_logger(&KEPT);
    log::set_max_level(LevelFilter::Trace);
    LINES.with_borrow_mut(|lines| lines.clear());
    let mut herd = Herd::new(style);
    for (pause, step) in &script.steps {
        herd.pass(*pause);
        herd.perform(step);
    }
    herd.pass(LAST);
    herd.outcome()
}

struct Herd {
    topology: Topology,
    style: Style,
    sim: Sim<Servers>,
    hosts: Vec<HostId>,
    people: Vec<ClientId>,
    endings: Vec<Option<(Ending, Duration)>>,
    passed: Duration,
}

impl Herd {
    fn new(style: Style) -> Self {
        let topology = Topology::built_in();
        let mut sim = Sim::new(7, Weather::default());
        let mut hosts = Vec::new();
        for place in 0..topology.servers().len() {
            let server = &topology.servers()[place];
            let host = sim.add_host(server.name.as_str(), process(&topology, place, style));
            sim.enter(host, |event_loop, servers| servers.start(event_loop));
            hosts.push(host);
        }
        let mut herd =
            Self { topology, style, sim, hosts, people: Vec::new(), endings: Vec::new(), passed: Duration::ZERO };
        let welsh = herd.host("Welsh");
        herd.sim.enter(welsh, |event_loop, _| places::listen(event_loop, places()));
        herd.pass(Duration::from_secs(1));
        herd
    }

    fn place(&self, server: &str) -> usize {
        self.topology.servers().iter().position(|other| other.name.as_str() == server).expect("it is there")
    }

    fn host(&self, server: &str) -> HostId {
        self.hosts[self.place(server)]
    }

    /// Lets time pass, in steps that show when somebody's connection ended.
    fn pass(&mut self, time: Duration) {
        let until = self.passed + time;
        while self.passed < until {
            let rest = until - self.passed;
            let step =
                if rest > Duration::from_secs(100) { Duration::from_secs(50) } else { Duration::from_millis(500) }
                    .min(rest);
            self.sim.run_for(step);
            self.passed += step;
            for (person, ending) in self.people.iter().zip(&mut self.endings) {
                if let (Some(how), None) = (self.sim.ending(*person), &ending) {
                    *ending = Some((how, self.passed));
                }
            }
        }
    }

    fn perform(&mut self, step: &Step) {
        match *step {
            Step::Client(server) => self.come(self.topology.servers()[self.place(server)].clients),
            Step::Guest(server) => self.come(self.topology.servers()[self.place(server)].peers),
            Step::Say(number, ref words) => self.sim.send(self.people[number], words),
            Step::HalfClose(number) => self.sim.half_close(self.people[number]),
            Step::Reset(number) => self.sim.reset(self.people[number]),
            Step::StopReading(number) => self.sim.stop_reading(self.people[number]),
            Step::GoOnReading(number) => self.sim.go_on_reading(self.people[number]),
            Step::Cut(one, other) => {
                self.sim.cut(self.host(one), self.host(other));
                self.sim.heal(self.host(one), self.host(other));
            }
            Step::Kill(server) => {
                if self.sim.is_running(self.host(server)) {
                    self.sim.crash(self.host(server), Crash::Killed);
                }
            }
            Step::Restart(server) => {
                if !self.sim.is_running(self.host(server)) {
                    let (host, place) = (self.host(server), self.place(server));
                    self.sim.restart(host, process(&self.topology, place, self.style));
                    self.sim.enter(host, |event_loop, servers| servers.start(event_loop));
                }
            }
            Step::Without(server, other) => {
                let text = include_str!("../../topology.json");
                let without = text.lines().map(|line| {
                    let names_both = line.contains(&format!("\"{server}\"")) && line.contains(&format!("\"{other}\""));
                    if names_both && line.contains('[') {
                        line.replace(&format!("[\"{server}\", \"{other}\"],"), "")
                    } else {
                        line.to_owned()
                    }
                });
                let without = Topology::parse(without.collect::<String>()).expect("a topology");
                assert!(without.links().len() < self.topology.links().len(), "{server}, {other}");
                self.reread(server, &without);
            }
            Step::Reread(server) => self.reread(server, &Topology::built_in()),
            Step::Drain(server) => {
                self.sim.enter(self.host(server), |event_loop, servers| servers.drain(event_loop));
            }
        }
    }

    fn come(&mut self, address: SocketAddr) {
        self.people.push(self.sim.connect(address));
        self.endings.push(None);
    }

    fn reread(&mut self, server: &str, topology: &Topology) {
        self.sim.enter(self.host(server), |event_loop, servers| servers.set_topology(event_loop, topology, Vec::new()));
    }

    fn outcome(self) -> Outcome {
        let mut outcome = Outcome { endings: self.endings, ..Outcome::default() };
        for (number, person) in self.people.iter().enumerate() {
            let heading = format!("person {number}");
            let received = String::from_utf8_lossy(self.sim.received(*person));
            for line in received.lines().filter(|line| !line.starts_with("DIGEST ")) {
                outcome.note(&heading, plain(line));
            }
        }
        for (server, host) in self.topology.servers().iter().zip(&self.hosts) {
            let heading = format!("{} knows", server.name);
            if !self.sim.is_running(*host) {
                outcome.note(heading, "nothing");
                continue;
            }
            let servers = self.sim.state(*host);
            let node = servers.node(&server.name).expect("it is there");
            for number in 0..5 {
                if let Some(report) = node.directory().find(format!("c{number}").as_bytes()) {
                    outcome.note(&heading, plain(&String::from_utf8_lossy(report.line())));
                }
            }
            outcome.note(
                &heading,
                format!("{:?} clients, {:?} links", servers.clients(&server.name), servers.links_up(&server.name)),
            );
        }
        // By connection and kind: in which order different things happen in a turn is nobody's business. Nor is who asks PING
        // first, what is said to find out that nothing is to be repaired, or how often a neighbour is dialled that does not want
        // to be one.
        let mut talks = BTreeMap::<(String, String, String), Vec<String>>::new();
        for (target, line) in LINES.take() {
            let mut words = line.split(' ').skip_while(|word| !word.starts_with('#'));
            let (who, kind) = (words.next().unwrap_or("nobody").to_owned(), words.next().unwrap_or("").to_owned());
            let is_repair = line.contains(" DIGEST ") || line.contains(" is in step with ");
            let is_chatter = line.ends_with("PING") || line.ends_with("PONG") || is_repair;
            if !is_chatter {
                let line = line.trim_end_matches(" (Waiting)").trim_end_matches(" (Joined)");
                talks.entry((target, who, kind)).or_default().push(plain(line));
            }
        }
        let told = talks.into_iter().map(|((target, _, kind), mut lines)| {
            if kind == "gets" {
                lines.sort();
            }
            (target, lines.join("\n      "))
        });
        for (target, talk) in told.collect::<BTreeSet<_>>() {
            outcome.note(format!("log of {target}"), talk);
        }
        outcome
    }
}

fn process(topology: &Topology, place: usize, style: Style) -> Servers {
    let names: &[ServerName] = std::slice::from_ref(&topology.servers()[place].name);
    let url = Url::parse(&format!("http://{}", places())).expect("a URL");
    let provider =
        Provider::google(&Places { url: Some(url), ..Places::default() }, Key::new("canary").expect("a key"))
            .expect("no TLS is needed");
    Servers::new(topology, names, provider, 7).with_style(style)
}

fn places() -> SocketAddr {
    ([127, 0, 0, 1], 9_999).into()
}

/// The line, without names of connections, ports, time differences and the style, which is said once, at the start.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    for word in line.split(' ') {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(match word.as_bytes() {
            [b'#', ..] => "#",
            [b'+' | b'-', ..] if is_difference(&word[1..]) => "~",
            _ if word.starts_with("127.0.0.1:") => "address",
            b"callbacks" | b"streams" => "style",
            _ => word,
        });
    }
    plain
}

fn is_difference(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('.').is_some_and(|(one, other)| digits(one) && other.len() == 9 && digits(other))
}

/// How long it goes on after the last step: until who is idle, and then does not read, has had its time.
const LAST: Duration = IDLE_TIME.saturating_add(STALL_TIME).saturating_add(Duration::from_secs(40));

/// How often it is looked who has ended.
const LOOK: Duration = Duration::from_millis(500);

thread_local! {
    static LINES: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what each test's thread logs.
struct Kept;

static KEPT: Kept = Kept;

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(char::is_uppercase) || metadata.target().contains("server")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            LINES.with_borrow_mut(|lines| lines.push((record.target().to_owned(), line)));
        }
    }

    fn flush(&self) {}
}
