//! The simulated world: a host for each server, a network between them, and clients without sockets.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::{ClientId, HostId, Weather};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers};

use crate::world::{self, World, name};

pub(crate) struct Simulated {
    pub(crate) topology: Topology,
    pub(crate) sim: Sim<Servers>,
    pub(crate) hosts: Vec<HostId>,
    clients: Vec<(ClientId, Vec<u8>)>,
    left: Duration,
}

impl Simulated {
    /// All servers of `topology`, each on a host of its own.
    pub(crate) fn new(topology: Topology, provider: &Provider, seed: u64, weather: Weather) -> Self {
        let mut sim = Sim::new(seed, weather);
        let mut hosts = Vec::new();
        for (place, server) in topology.servers().iter().enumerate() {
            let state = process(&topology, place, provider.clone(), seed);
            let host = sim.add_host(server.name.as_str(), state);
            sim.enter(host, |event_loop, servers| servers.start(event_loop));
            hosts.push(host);
        }
        Self { topology, sim, hosts, clients: Vec::new(), left: PATIENCE }
    }

    pub(crate) fn host(&self, server: &str) -> HostId {
        self.hosts[self.place(server)]
    }

    /// Starts a server that has crashed; it has forgotten everything.
    pub(crate) fn restart(&mut self, server: &str, provider: Provider) {
        let place = self.place(server);
        let host = self.hosts[place];
        self.sim.restart(host, process(&self.topology, place, provider, 8));
        self.sim.enter(host, |event_loop, servers| servers.start(event_loop));
    }

    /// Somebody who comes by a server's door for peers, and says this.
    pub(crate) fn stranger(&mut self, server: &str, says: &[u8]) -> ClientId {
        let address = self.topology.find(&name(server)).expect("a server of the topology").peers;
        let stranger = self.sim.connect(address);
        self.sim.send(stranger, says);
        stranger
    }

    fn place(&self, server: &str) -> usize {
        let name = name(server);
        let place = self.topology.servers().iter().position(|server| server.name == name);
        place.expect("a server of the topology")
    }

    pub(crate) fn address(&self, server: &str) -> SocketAddr {
        self.topology.find(&name(server)).expect("a server of the topology").clients
    }

    /// The simulator's name of a client.
    pub(crate) fn client(&self, client: usize) -> ClientId {
        self.clients[client].0
    }

    /// Lets this much time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.sim.run_for(time);
    }
}

impl World for Simulated {
    fn connect(&mut self, server: &str) -> usize {
        let client = self.sim.connect(self.address(server));
        self.clients.push((client, Vec::new()));
        self.clients.len() - 1
    }

    fn send(&mut self, client: usize, data: &[u8]) {
        self.sim.send(self.clients[client].0, data);
    }

    fn half_close(&mut self, client: usize) {
        self.sim.half_close(self.clients[client].0);
    }

    fn heard(&mut self, client: usize) -> (&mut Vec<u8>, bool) {
        let (id, heard) = &mut self.clients[client];
        heard.extend(self.sim.take_received(*id));
        (heard, self.sim.ending(*id).is_some())
    }

    fn step(&mut self) -> bool {
        self.sim.run_for(STEP);
        self.left = self.left.saturating_sub(STEP);
        !self.left.is_zero()
    }

    fn servers(&self, server: &str) -> &Servers {
        self.sim.state(self.host(server))
    }
}

/// A process that is one server of the topology.
fn process(topology: &Topology, place: usize, provider: Provider, seed: u64) -> Servers {
    let names = std::slice::from_ref(&topology.servers()[place].name);
    Servers::new(topology, names, provider, seed).with_style(world::style(place))
}

const STEP: Duration = Duration::from_millis(1);

/// How much simulated time may pass before a test counts as hanging.
const PATIENCE: Duration = Duration::from_secs(600);
