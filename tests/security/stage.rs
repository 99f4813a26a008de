//! Servers that are processes of their own, on the simulated network or on real loopback sockets, and strangers who connect.
//!
//! On sockets each process has a loop and a driver, and the test's thread makes their turns one after the other: what is
//! waited for is looked for between turns.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::sim::{HostId, Weather};
use proxy_herd::driver::{Sim, Sockets};
use proxy_herd::event_loop::{ConnId, EventLoop, Loop, Lost, Protocol, Security, Transport};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers, Style};

/// Where a test runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Simulated,
    Sockets,
}

/// A herd, a process for each of its servers.
pub(crate) struct Stage {
    pub(crate) topology: Topology,
    world: World,
}

enum World {
    Simulated { sim: Box<Sim<Servers>>, hosts: Vec<HostId>, left: Duration },
    Sockets { processes: Vec<(EventLoop<Servers>, Sockets)>, until: Instant },
}

impl Stage {
    /// The servers of `topology`, made by `servers` of it and of each one's name. None has started.
    pub(crate) fn new(place: Place, topology: Topology, servers: impl Fn(&Topology, &str) -> Servers) -> Self {
        let names: Vec<String> = topology.servers().iter().map(|server| server.name.to_string()).collect();
        match place {
            Place::Simulated => {
                let mut sim = Box::new(Sim::new(7, Weather::default()));
                let hosts = names.iter().map(|name| sim.add_host(name, servers(&topology, name))).collect();
                Self { topology, world: World::Simulated { sim, hosts, left: PATIENCE * 10 } }
            }
            Place::Sockets => {
                let mut free = Vec::new();
                let mut drivers: Vec<Sockets> = names.iter().map(|_| Sockets::new().expect("a poll")).collect();
                for driver in &mut drivers {
                    let mut address = || {
                        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
                        let address = listener.local_addr().expect("it is bound");
                        driver.provide(listener);
                        address
                    };
                    free.push((address(), address()));
                }
                let mut free = free.into_iter();
                let topology = topology.with_addresses(|_| free.next().expect("two for each"));
                let event_loop =
                    |name: &String| EventLoop::new(servers(&topology, name), Instant::now(), SystemTime::now());
                let processes = names.iter().map(event_loop).zip(drivers).collect();
                Self { topology, world: World::Sockets { processes, until: Instant::now() + PATIENCE } }
            }
        }
    }

    /// Lends the loop and the servers of a process.
    pub(crate) fn enter<R>(
        &mut self,
        server: &str,
        visit: impl FnOnce(&mut Loop<'_, Servers>, &mut Servers) -> R,
    ) -> R {
        let place = self.place(server);
        match &mut self.world {
            World::Simulated { sim, hosts, .. } => sim.enter(hosts[place], visit),
            World::Sockets { processes, .. } => processes[place].0.enter(visit),
        }
    }

    pub(crate) fn start(&mut self, server: &str) {
        self.enter(server, |event_loop, servers| servers.start(event_loop));
    }

    pub(crate) fn start_all(&mut self) {
        let names: Vec<String> = self.topology.servers().iter().map(|server| server.name.to_string()).collect();
        names.iter().for_each(|name| self.start(name));
    }

    /// The servers of a process, also one that has stopped.
    pub(crate) fn state(&self, server: &str) -> &Servers {
        let place = self.place(server);
        match &self.world {
            World::Simulated { sim, hosts, .. } => sim.state(hosts[place]),
            World::Sockets { processes, .. } => processes[place].0.state(),
        }
    }

    /// How many of a server's links are up.
    pub(crate) fn links_up(&self, server: &str) -> usize {
        self.state(server).links_up(&name(server)).expect("the server runs here")
    }

    /// What a server knows of a client.
    pub(crate) fn knows(&self, server: &str, client: &str) -> Option<String> {
        let node = self.state(server).node(&name(server)).expect("the server runs here");
        let report = node.directory().find(client.as_bytes())?;
        Some(String::from_utf8_lossy(report.line()).into_owned())
    }

    /// Where a server listens for its clients, and for its neighbours.
    pub(crate) fn doors(&self, server: &str) -> (SocketAddr, SocketAddr) {
        let server = self.topology.find(&name(server)).expect("a server of the topology");
        (server.clients, server.peers)
    }

    /// Lets something happen.
    pub(crate) fn step(&mut self) {
        match &mut self.world {
            World::Simulated { sim, left, .. } => {
                sim.run_for(STEP);
                *left = left.checked_sub(STEP).expect("time is up");
            }
            World::Sockets { processes, until } => {
                for (event_loop, sockets) in processes {
                    sockets.turn(event_loop, Some(STEP)).expect("the poll works");
                }
                assert!(Instant::now() < *until, "time is up");
            }
        }
    }

    /// Steps until `done`.
    pub(crate) fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        while !done(self) {
            self.step();
        }
    }

    /// Waits until every link of the herd is up.
    pub(crate) fn links_are_up(&mut self) {
        let links = |stage: &Self, server: &str| stage.topology.neighbours(&name(server)).count();
        let names: Vec<String> = self.topology.servers().iter().map(|server| server.name.to_string()).collect();
        self.until(|stage| names.iter().all(|server| stage.links_up(server) == links(stage, server)));
    }

    /// Connects from a server's process, says `text` as soon as it can, and keeps what is heard.
    pub(crate) fn call(&mut self, from: &str, address: SocketAddr, security: Security, text: &str) -> Ear {
        let (ear, text) = (Ear::default(), text.as_bytes().to_vec());
        let caller = Caller { text, ear: ear.clone() };
        self.enter(from, |event_loop, _| event_loop.connect(address, security, caller));
        ear
    }

    /// A client of a server says `lines`; what it has heard once that many lines have come.
    pub(crate) fn ask(&mut self, server: &str, lines: &str) -> String {
        let ear = self.call(server, self.doors(server).0, Security::Plain, lines);
        self.until(|_| ear.heard().matches('\n').count() == lines.matches('\n').count());
        ear.heard()
    }

    pub(crate) fn sim(&mut self) -> &mut Sim<Servers> {
        let World::Simulated { sim, .. } = &mut self.world else { panic!("time and faults are the simulation's") };
        sim
    }

    pub(crate) fn host(&self, server: &str) -> HostId {
        let World::Simulated { hosts, .. } = &self.world else { panic!("hosts are the simulation's") };
        hosts[self.place(server)]
    }

    fn place(&self, server: &str) -> usize {
        let place = self.topology.servers().iter().position(|other| other.name == name(server));
        place.expect("a server of the topology")
    }
}

/// What somebody who connected, or was connected to, has heard.
#[derive(Clone, Default)]
pub(crate) struct Ear(Rc<RefCell<Heard>>);

#[derive(Default)]
struct Heard {
    id: Option<ConnId>,
    data: Vec<u8>,
    lost: bool,
}

impl Ear {
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().data).into_owned()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.0.borrow().lost
    }

    pub(crate) fn id(&self) -> ConnId {
        self.0.borrow().id.expect("it was made")
    }

    pub(crate) fn is_made(&self) -> bool {
        self.0.borrow().id.is_some()
    }
}

/// Says something, and listens.
pub(crate) struct Caller {
    pub(crate) text: Vec<u8>,
    pub(crate) ear: Ear,
}

impl Protocol<Servers> for Caller {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        self.ear.0.borrow_mut().id = Some(transport.id());
        transport.write(&self.text);
    }

    fn data_received(&mut self, _: &mut Transport<'_, Servers>, _: &mut Servers, data: &[u8]) {
        self.ear.0.borrow_mut().data.extend_from_slice(data);
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Servers>, _: &mut Servers, _: Lost) {
        self.ear.0.borrow_mut().lost = true;
    }
}

/// One server of a topology, in a style, with the built-in places.
pub(crate) fn process(topology: &Topology, server: &str, style: Style) -> Servers {
    thread_local! {
        static PROVIDER: Provider = Provider::embedded().expect("a certificate");
    }
    Servers::new(topology, &[name(server)], PROVIDER.with(Provider::clone), 7).with_style(style)
}

/// A herd of two, linked, with encrypted links or without.
pub(crate) fn ball_and_hill(security: &str) -> Topology {
    let text = format!(
        r#"{{ "herd": "test", "links": [["Ball", "Hill"]], "servers": {{
            "Ball": {{ "clients": "127.0.0.1:11001", "peers": "127.0.0.1:21001" }},
            "Hill": {{ "clients": "127.0.0.1:11002", "peers": "127.0.0.1:21002" }} }}{security} }}"#
    );
    Topology::parse(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Runs a test in every place and style.
#[expect(clippy::print_stdout, reason = "a test that fails shows where")]
pub(crate) fn everywhere(test: impl Fn(Place, Style)) {
    for place in [Place::Simulated, Place::Sockets] {
        for style in [Style::Callbacks, Style::Streams] {
            println!("{place:?}, {style}");
            test(place, style);
        }
    }
}

pub(crate) fn name(text: &str) -> ServerName {
    ServerName::parse(text.as_bytes()).expect("a server name")
}

/// What a topology says whose links are encrypted; where the keys are matters to the command only.
pub(crate) const SECURED: &str = r#", "security": { "keys": "keys" }"#;

const STEP: Duration = Duration::from_millis(1);

/// How long a test may take on sockets before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);
