//! The simulated world: one host, and clients without sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::{ClientId, Ending, HostId, Weather};
use proxy_herd::event_loop::{Loop, Signal};

use crate::recorder::Journal;
use crate::world::{Client, World};

/// A simulation with the host that is tested.
pub(crate) struct Simulated {
    sim: Sim<Journal>,
    host: HostId,
    clients: Vec<ClientId>,
    ports: u16,
    until: Instant,
}

impl Simulated {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let mut sim = Sim::new(seed, weather);
        let host = sim.add_host("Server", Journal::default());
        let until = sim.now() + PATIENCE;
        Self { sim, host, clients: Vec::new(), ports: FIRST_PORT, until }
    }

    fn client(&self, client: Client) -> ClientId {
        self.clients[client.0]
    }
}

impl World for Simulated {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, FIRST_PORT).into()
    }

    fn another_address(&mut self) -> SocketAddr {
        self.ports += 1;
        (Ipv4Addr::LOCALHOST, self.ports).into()
    }

    fn open(&mut self, _: SocketAddr) {}

    fn connect_to(&mut self, address: SocketAddr) -> Client {
        self.clients.push(self.sim.connect(address));
        Client(self.clients.len() - 1)
    }

    fn send(&mut self, client: Client, data: &[u8]) {
        self.sim.send(self.client(client), data);
    }

    fn half_close(&mut self, client: Client) {
        self.sim.half_close(self.client(client));
    }

    fn reset(&mut self, client: Client) {
        self.sim.reset(self.client(client));
    }

    fn stop_reading(&mut self, client: Client) {
        self.sim.stop_reading(self.client(client));
    }

    fn go_on_reading(&mut self, client: Client) {
        self.sim.go_on_reading(self.client(client));
    }

    fn received(&self, client: Client) -> &[u8] {
        self.sim.received(self.client(client))
    }

    fn take_received(&mut self, client: Client) -> Vec<u8> {
        self.sim.take_received(self.client(client))
    }

    fn ending(&self, client: Client) -> Option<Ending> {
        self.sim.ending(self.client(client))
    }

    fn journal(&self) -> &Journal {
        self.sim.state(self.host)
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut Loop<'_, Journal>, &mut Journal)) {
        self.sim.enter(self.host, visit);
    }

    fn is_running(&self) -> bool {
        self.sim.is_running(self.host)
    }

    fn signal(&mut self, signal: Signal) {
        self.sim.signal(self.host, signal);
    }

    /// One event, or some time without any.
    fn step(&mut self) -> bool {
        let mut is_second = false;
        self.sim.run_until(A_WHILE, |_| std::mem::replace(&mut is_second, true));
        self.sim.now() < self.until
    }

    fn quiet(&mut self) {
        while !self.sim.run_until_quiet(A_WHILE) {
            assert!(self.sim.now() < self.until, "it is never quiet: {:?}", self.sim.trace());
        }
    }

    fn trace(&self) -> String {
        format!("{:?}", self.sim.trace())
    }

    fn sim(&mut self) -> &mut Sim<Journal> {
        &mut self.sim
    }

    fn host(&self) -> HostId {
        self.host
    }
}

/// The first port where the loop may listen.
const FIRST_PORT: u16 = 11645;

/// Longer than any piece is on its way, shorter than any timeout.
const A_WHILE: Duration = Duration::from_millis(100);

/// How much simulated time may pass before a test counts as hanging.
const PATIENCE: Duration = Duration::from_secs(600);
