//! A loop with clients in a world around it: one body of a test for the simulated network and for real sockets.
//!
//! A test is a conversation. The loop is what is tested: its connections are recorded as `s1`, `s2`, ... where it listens and
//! as it names them where it [`dial`](World#method.dial)s, itself perhaps. The clients are played by hand, and know no
//! protocol. Both live on the test's own thread, a step at a time:
//!
//! - [`until`](World#method.until) lets the world go on for as long as it takes, and fails with what was missed;
//! - [`quiet`](World::quiet) lets it go on until nothing more happens by itself. No timeout of the loop passes meanwhile;
//! - nothing happens in between, so what a test does before is there when the world goes on.
//!
//! What only a simulation can do (time, faults, names) is [`sim`](World::sim)'s, what only sockets can is
//! [`loopback`](World::loopback)'s.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_herd::driver::sim::{Ending, HostId, Sim, Weather};
use proxy_herd::event_loop::{
    Address, ConnId, ListenerId, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity, Signal, Transport,
};

use crate::loopback::Loopback;
use crate::recorder::{Journal, On, Recorder};
use crate::simulated::Simulated;

/// A client that the test plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client(pub(crate) usize);

/// Where a loop runs and clients come.
pub(crate) trait World {
    /// Where the loop listens, once it was told to; until then connections are refused.
    fn address(&self) -> SocketAddr;
    /// Another such address.
    fn another_address(&mut self) -> SocketAddr;
    /// The loop is about to listen there.
    fn open(&mut self, address: SocketAddr);

    /// A client connects.
    fn connect_to(&mut self, address: SocketAddr) -> Client;
    /// It sends, as soon and as far as the way is free; the rest follows by itself.
    fn send(&mut self, client: Client, data: &[u8]);
    /// It ends its half after everything that it sent.
    fn half_close(&mut self, client: Client);
    /// It drops the connection with a reset.
    fn reset(&mut self, client: Client);
    /// It leaves what comes where it is.
    fn stop_reading(&mut self, client: Client);
    /// It reads again.
    fn go_on_reading(&mut self, client: Client);
    /// What it has received and not taken.
    fn received(&self, client: Client) -> &[u8];
    /// The same, and forgets it.
    fn take_received(&mut self, client: Client) -> Vec<u8>;
    /// How the loop has ended the connection, if it has.
    fn ending(&self, client: Client) -> Option<Ending>;

    /// What the loop's protocols were told.
    fn journal(&self) -> &Journal;
    /// Lends the loop to `visit`, once: see [`enter`](Self#method.enter).
    fn visit(&mut self, visit: &mut dyn FnMut(&mut Loop<'_, Journal>, &mut Journal));
    /// False once the loop was stopped, and its sockets were closed by the system.
    fn is_running(&self) -> bool;
    /// The loop's process gets a signal; a handler is in place once the loop has had a turn.
    fn signal(&mut self, signal: Signal);

    /// Lets something happen; false if the world has had its time.
    fn step(&mut self) -> bool;
    /// Lets everything happen that happens by itself. What waits for a timer, a thread or a client is left waiting.
    fn quiet(&mut self);
    /// What has happened, for a test that fails.
    fn trace(&self) -> String;

    /// The simulation, for tests that are about time and faults.
    fn sim(&mut self) -> &mut Sim<Journal> {
        panic!("time and faults are the simulation's")
    }

    /// The simulated host that the loop runs on.
    fn host(&self) -> HostId {
        panic!("hosts are the simulation's")
    }

    /// The sockets, for tests that are about them.
    fn loopback(&mut self) -> &mut Loopback {
        panic!("sockets are the real world's")
    }
}

/// What is said in most conversations.
impl dyn World + '_ {
    /// Has the loop listen; its connections are called `s1`, `s2`, ... and react like this.
    pub(crate) fn serve<R>(&mut self, react: R) -> ListenerId
    where
        R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + Clone + 'static,
    {
        self.serve_with(ServerSecurity::Plain, move |name| Recorder::new(name, react.clone()))
    }

    /// The same, with TLS perhaps and any protocol.
    pub(crate) fn serve_with<P>(
        &mut self,
        security: ServerSecurity,
        protocol: impl Fn(&str) -> P + 'static,
    ) -> ListenerId
    where
        P: Protocol<Journal> + 'static,
    {
        self.listen(self.address(), security, move |journal: &mut Journal| protocol(&journal.next_name()))
    }

    /// Has the loop listen on an address of this world.
    pub(crate) fn listen(
        &mut self,
        address: SocketAddr,
        security: ServerSecurity,
        factory: impl ProtocolFactory<Journal> + 'static,
    ) -> ListenerId {
        self.open(address);
        self.enter(|event_loop, _| event_loop.listen(address, security, factory))
    }

    /// Has the loop connect to where it listens.
    pub(crate) fn dial(&mut self, security: Security, protocol: impl Protocol<Journal> + 'static) -> ConnId {
        let address = self.address();
        self.enter(|event_loop, _| event_loop.connect(address, security, protocol))
    }

    /// Lends the loop and its journal, as a callback would get them.
    pub(crate) fn enter<V>(&mut self, visit: impl FnOnce(&mut Loop<'_, Journal>, &mut Journal) -> V) -> V {
        let mut visit = Some(visit);
        let mut result = None;
        self.visit(&mut |event_loop, journal| {
            result = visit.take().map(|visit| visit(event_loop, journal));
        });
        result.expect("a loop that runs is lent once")
    }

    /// Lends the connection of `who`.
    pub(crate) fn with<V>(&mut self, who: &str, visit: impl FnOnce(&mut Transport<'_, Journal>) -> V) -> V {
        self.enter(|event_loop, journal| {
            visit(&mut event_loop.transport(journal.id(who)).expect("the connection lives"))
        })
    }

    /// A client connects to where the loop listens.
    pub(crate) fn connect(&mut self) -> Client {
        self.connect_to(self.address())
    }

    /// Lets the world go on until `condition` holds, or fails with `what`. It is asked first, and after every step.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            assert!(self.step(), "still not: {what}\n{:#?}\n{}", self.journal().all(), self.trace());
        }
    }

    /// Lets the world go on until `who` was told of its end.
    pub(crate) fn until_lost(&mut self, who: &str) {
        self.until(&format!("{who} is lost"), |world| world.journal().is_lost(who));
    }

    /// Compares what `who` was told so far; an expected `lost X` stands for any reason of kind `X`.
    #[track_caller]
    pub(crate) fn told(&self, who: &str, expected: &[&str]) {
        let told = self.journal().of(who);
        let alike = |(told, expected): (&String, &&str)| {
            told == expected || (expected.starts_with("lost ") && told.starts_with(&format!("{expected}:")))
        };
        assert!(
            told.len() == expected.len() && told.iter().zip(expected).all(alike),
            "{who}: {told:#?}\nbut should be {expected:#?}\n{}",
            self.trace()
        );
    }
}

/// Runs a test in all worlds: simulated, in calm weather and in rough weather of many kinds, and on sockets.
pub(crate) fn everywhere(test: impl Fn(&mut dyn World)) {
    simulated(&test);
    on_sockets(test);
}

/// Runs a test where what is sent together arrives together: in calm weather and on sockets.
pub(crate) fn calmly(test: impl Fn(&mut dyn World)) {
    calm(&test);
    on_sockets(test);
}

/// Runs a test in simulated weather of all kinds.
#[expect(clippy::print_stdout, reason = "a test that fails shows its seed")]
pub(crate) fn simulated(test: impl Fn(&mut dyn World)) {
    calm(&test);
    for seed in 1..=20 {
        println!("seed {seed}, rough");
        test(&mut Simulated::new(seed, Weather::rough()));
    }
}

/// Runs a test in calm simulated weather.
pub(crate) fn calm(test: impl Fn(&mut dyn World)) {
    test(&mut Simulated::new(0, Weather::default()));
}

/// Runs a test on sockets.
#[expect(clippy::print_stdout, reason = "a test that fails shows where")]
pub(crate) fn on_sockets(test: impl Fn(&mut dyn World)) {
    println!("on sockets");
    test(&mut Loopback::new());
}

/// A loop that reacts like this, a client that does that: what is `s1` told, everywhere?
#[track_caller]
pub(crate) fn check<R>(react: R, play: impl Fn(&mut dyn World, Client), expected: &[&str])
where
    R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + Clone + 'static,
{
    everywhere(|world| {
        world.serve(react.clone());
        let client = world.connect();
        play(world, client);
        world.quiet();
        world.told("s1", expected);
    });
}

/// A listener's factory that notes what becomes of it, as `door`; its connections echo.
pub(crate) struct Door;

impl ProtocolFactory<Journal> for Door {
    fn protocol(&mut self, journal: &mut Journal) -> Box<dyn Protocol<Journal>> {
        Box::new(Recorder::new(&journal.next_name(), crate::recorder::echo))
    }

    fn listening(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, address: &Address) {
        journal.note("door", format!("listening {address}"));
    }

    fn failed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, error: io::Error) {
        journal.note("door", format!("failed {:?}: {error}", error.kind()));
    }

    fn handshake_failed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, lost: &Lost) {
        let why = lost.why.as_ref().map(io::Error::kind);
        journal.note("door", format!("handshake failed {why:?}"));
    }

    fn closed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal) {
        journal.note("door", "closed");
    }
}

/// Some bytes that are not all alike.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let pattern: Vec<u8> = (0..=250).collect();
    let mut bytes = pattern.repeat(count / pattern.len() + 1);
    bytes.truncate(count);
    bytes
}

/// More than any window, and more than a system takes for a peer that does not read.
pub(crate) const FAR_TOO_MUCH: usize = 16 * 1024 * 1024;

/// Longer than anything takes by itself, timeouts aside.
pub(crate) const LONG: Duration = Duration::from_secs(3);
