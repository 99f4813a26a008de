//! A herd in a test, and its clients: on real loopback sockets, or on the simulated network.
//!
//! Both worlds run on the test's own thread, a step at a time, so that a test waits for what it wants to see and for nothing
//! else: no sleeping, no fixed port, no thread that outlives it.

use proxy_herd::herd::name::ServerName;
use proxy_herd::server::{Servers, Style};

use crate::STYLES;

/// A place where a herd runs and clients come.
pub(crate) trait World {
    /// A new client of that server; its number.
    fn connect(&mut self, server: &str) -> usize;
    /// The client says something.
    fn send(&mut self, client: usize, data: &[u8]);
    /// The client ends its half.
    fn half_close(&mut self, client: usize);
    /// What the client has heard and not yet taken, and whether the server has ended.
    fn heard(&mut self, client: usize) -> (&mut Vec<u8>, bool);
    /// Lets something happen; false if the world has had its time.
    fn step(&mut self) -> bool;
    /// The state in which that server lives.
    fn servers(&self, server: &str) -> &Servers;

    /// Steps until `done`, or fails with `what`.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool)
    where
        Self: Sized,
    {
        while !done(self) {
            assert!(self.step(), "time is up: {what}");
        }
    }

    /// Whether the server knows this client of the herd, at this line.
    fn knows(&self, server: &str, client: &str) -> Option<String> {
        let node = self.servers(server).node(&name(server)).expect("the server runs here");
        let report = node.directory().find(client.as_bytes())?;
        Some(String::from_utf8_lossy(report.line()).into_owned())
    }

    /// How many of a server's links are up.
    fn links_up(&self, server: &str) -> usize {
        self.servers(server).links_up(&name(server)).expect("the server runs here")
    }
}

/// In which style the process at this place of the topology serves: they take turns.
pub(crate) fn style(place: usize) -> Style {
    STYLES[place % STYLES.len()]
}

pub(crate) fn name(text: &str) -> ServerName {
    ServerName::parse(text.as_bytes()).expect("a server name")
}

/// Waits until every link of the Goloman herd is up.
pub(crate) fn links_are_up(world: &mut impl World) {
    for (server, links) in [("Goloman", 3), ("Hands", 2), ("Holiday", 3), ("Welsh", 1), ("Wilkes", 3)] {
        world.until("the links are up", |world| world.links_up(server) == links);
    }
}
