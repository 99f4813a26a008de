//! A simulated network of event loops with one clock: no sockets, no threads, no waiting, and the same for equal seeds.
//!
//! [`Sim`] drives the same [`EventLoop`](crate::event_loop::EventLoop) through the same calls as
//! [`Sockets`](super::Sockets) does. Each host has one; far ends without a loop are *clients*, which a test plays by hand.
//! Time stands still but for [`run_for`](Sim::run_for) and its kin, which jump from one event to the next. TCP is
//! modelled as far as a protocol can tell: order, windows, half-closes, resets, refusals; pieces, delays and faults are
//! the seed's and the test's choice.
//!
//! One thing can make equal seeds differ: a TLS configuration that is shared by two simulations and resumes sessions.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use proxy_herd::driver::sim::{Ending, Sim, Weather};
//! use proxy_herd::event_loop::{Protocol, ServerSecurity, Transport};
//!
//! struct Echo;
//!
//! impl Protocol<()> for Echo {
//!     fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), data: &[u8]) {
//!         transport.write(data);
//!     }
//! }
//!
//! let mut sim = Sim::new(7, Weather::rough());
//! let address = SocketAddr::from(([127, 0, 0, 1], 7));
//! let host = sim.add_host("Goloman", ());
//! sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Echo));
//! let client = sim.connect(address);
//! sim.send(client, b"hello");
//! sim.half_close(client);
//! assert!(sim.run_until(Duration::from_secs(1), |sim| sim.ending(client).is_some()));
//! assert_eq!(sim.received(client), b"hello");
//! assert_eq!(sim.ending(client), Some(Ending::Fin));
//! ```
//!
//! Reading order: this file; `host` and `system` (one loop's turn); `wire` and `network` (what is on its way); `client`;
//! `faults`; `trace` and `traffic`.

mod client;
mod faults;
mod host;
mod network;
mod system;
mod trace;
mod traffic;
mod weather;
mod wire;

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

pub use self::client::Ending;
pub use self::faults::Crash;
pub use self::trace::Trace;
pub use self::traffic::{Receiver, Sent};
pub use self::weather::{Pieces, Weather};

use self::host::{Host, Process};
use self::network::Network;
use crate::event_loop::{Loop, Signal};

/// Hosts, clients, the network between them, and the time: see the [module](self).
pub struct Sim<S> {
    hosts: Vec<Host<S>>,
    network: Network,
}

/// The name of a host, for good: restarts do not change it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostId(usize);

/// The name of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(usize);

impl<S> Sim<S> {
    /// An empty network. All that is left to chance follows from `seed`.
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self { hosts: Vec::new(), network: Network::new(seed, weather, Instant::now()) }
    }

    /// Without a [trace](Self::trace), which takes most of the time: for many runs of which few are looked at.
    pub fn without_trace(mut self) -> Self {
        self.network.trace = Trace::dropped();
        self
    }

    /// Shows `watcher` whatever a host sends, from now on.
    pub fn watch(&mut self, watcher: impl FnMut(&Sent<'_>) + 'static) {
        self.network.watcher = Some(Box::new(watcher));
    }

    /// Adds a host with one event loop; `name` is for the trace.
    pub fn add_host(&mut self, name: &str, state: S) -> HostId {
        let id = HostId(self.hosts.len());
        self.network.host_names.push(name.to_owned());
        self.hosts.push(Host::new(id, state, &self.network));
        id
    }

    /// Gives a name its addresses, in the resolver's order; replaces those before. Other names are not found.
    pub fn name(&mut self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        self.network.names.insert(name.to_owned(), addresses.into_iter().collect());
    }

    /// Lends a host's loop and state to `visit`, in a turn of its own, which also makes the calls that are due. No time
    /// passes.
    ///
    /// # Panics
    ///
    /// If the host does not run.
    pub fn enter<R>(&mut self, host: HostId, visit: impl FnOnce(&mut Loop<'_, S>, &mut S) -> R) -> R {
        let result = self.hosts[host.0].turn(&mut self.network, |event_loop| event_loop.enter(visit));
        self.hand_out();
        result.unwrap_or_else(|| panic!("{} does not run", self.network.name(host)))
    }

    /// A host's state; also after its loop was stopped.
    ///
    /// # Panics
    ///
    /// If the host has crashed.
    pub fn state(&self, host: HostId) -> &S {
        let event_loop = self.hosts[host.0].event_loop();
        event_loop.unwrap_or_else(|| panic!("{} has crashed", self.network.name(host))).state()
    }

    /// Whether a host runs: not after a crash, and not after its loop was stopped.
    pub fn is_running(&self, host: HostId) -> bool {
        matches!(self.hosts[host.0].process, Process::Running(_))
    }

    /// How many connections a host's process has: those that its loop was given or has asked for, also in vain so far, and
    /// has not let go of.
    pub fn connections(&self, host: HostId) -> usize {
        self.hosts[host.0].system.connections()
    }

    /// Sets a host's wall clock; it goes on from there. What the loop times, [`Loop::now`], is the simulation's.
    pub fn set_wall_clock(&mut self, host: HostId, wall: SystemTime) {
        self.hosts[host.0].set_wall_clock(wall, &self.network);
    }

    /// What a host's wall clock shows. All start at 1520023934 s after the epoch.
    pub fn wall_clock(&self, host: HostId) -> SystemTime {
        self.hosts[host.0].wall_clock(&self.network)
    }

    /// Sends a signal to a host's process, which ends if it does not watch for it.
    pub fn signal(&mut self, host: HostId, signal: Signal) {
        self.network.note(|network| format!("{} gets {signal:?}", network.name(host)));
        let host = &mut self.hosts[host.0];
        if host.system.watched.contains(&signal) {
            host.system.signals.push_back(signal);
        } else {
            host.exit(&mut self.network);
        }
    }

    /// The simulated time.
    pub fn now(&self) -> Instant {
        self.network.now
    }

    /// What has happened so far.
    pub fn trace(&self) -> &Trace {
        &self.network.trace
    }
}

/// Time.
impl<S> Sim<S> {
    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `condition` holds, or `limit` is over; true if it holds. It is asked first, and then
    /// whenever something has happened.
    pub fn run_until(&mut self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let until = self.network.now + limit;
        while !condition(self) {
            if !self.step(until) {
                self.network.now = until;
                return condition(self);
            }
        }
        true
    }

    /// Lets everything happen that is under way or due before `limit` is over; the clock stops at the last of it. False if
    /// something is still on its way then.
    pub fn run_until_quiet(&mut self, limit: Duration) -> bool {
        let until = self.network.now + limit;
        while self.step(until) {}
        self.network.next_event().is_none()
    }

    /// The next thing that happens, if it does by `until`. What arrives at a moment is there when the hosts have theirs.
    fn step(&mut self, until: Instant) -> bool {
        let now = self.network.now;
        let due = self.hosts.iter().enumerate().filter_map(|(index, host)| Some((host.due()?.max(now), index))).min();
        let arrival = self.network.next_event();
        match (arrival, due) {
            (Some(when), due) if when <= until && due.is_none_or(|(turn, _)| when <= turn) => self.network.happen(),
            (_, Some((when, index))) if when <= until => {
                self.network.now = when;
                self.hosts[index].turn(&mut self.network, |_| ());
            }
            _ => return false,
        }
        self.hand_out();
        true
    }

    /// Brings hosts the news.
    fn hand_out(&mut self) {
        while let Some((host, notice)) = self.network.notices.pop_front() {
            let host = &mut self.hosts[host.0];
            if let Process::Running(_) = host.process {
                host.system.notices.push_back(notice);
            }
        }
    }
}
