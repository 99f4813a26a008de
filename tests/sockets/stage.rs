//! What the tests over real sockets begin with: a loop, its driver, and turns until something has come.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{
    Address, EventLoop, Loop, Protocol, ProtocolFactory, Security, ServerSecurity, Target, Transport,
};

use crate::recorder::{Journal, On, Recorder};

pub(crate) type React = fn(On<'_>, &mut Transport<'_, Journal>, &mut Journal);

/// A loop and its driver; other tests wait until it is gone.
pub(crate) struct Stage {
    pub(crate) event_loop: EventLoop<Journal>,
    pub(crate) sockets: Sockets,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
        Self { event_loop, sockets: Sockets::new().expect("descriptors for a poll"), _alone: alone }
    }

    pub(crate) fn turn(&mut self) {
        self.sockets.turn(&mut self.event_loop, Some(Duration::from_millis(100))).expect("the poll works");
    }

    /// Turns until `done`.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "still no {what}: {:#?}", self.event_loop.state().all());
            self.turn();
        }
    }

    /// Turns until `who` was told of its end, and once more: a turn begins with closing sockets.
    pub(crate) fn until_lost(&mut self, who: &str) {
        self.until(&format!("end of {who}"), |stage| stage.event_loop.state().is_lost(who));
        self.sockets.turn(&mut self.event_loop, Some(Duration::ZERO)).expect("the poll works");
    }

    pub(crate) fn until_said(&mut self, who: &str, line: &str) {
        self.until(line, |stage| stage.said(who).iter().any(|said| said == line));
    }

    pub(crate) fn said(&self, who: &str) -> Vec<String> {
        self.event_loop.state().of(who)
    }

    pub(crate) fn enter<R>(&mut self, visit: impl FnOnce(&mut Loop<'_, Journal>, &mut Journal) -> R) -> R {
        self.event_loop.enter(visit)
    }

    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn serve(&mut self, security: ServerSecurity, react: React) -> SocketAddr {
        self.serve_on(([127, 0, 0, 1], 0), security, react);
        self.until("address", |stage| !stage.said("door").is_empty());
        self.said("door")[0].parse().expect("the door notes its address")
    }

    pub(crate) fn serve_on(&mut self, address: impl Into<Address>, security: ServerSecurity, react: React) {
        self.enter(|event_loop, _| event_loop.listen(address, security, Door(react)));
    }

    pub(crate) fn dial(&mut self, target: impl Into<Target>, security: Security, react: React) {
        let target = target.into();
        self.enter(|event_loop, _| event_loop.connect(target, security, Recorder::new("c", react)));
    }
}

/// Notes where it listens; its connections are called `s1`, `s2`, ...
struct Door(React);

impl ProtocolFactory<Journal> for Door {
    fn protocol(&mut self, journal: &mut Journal) -> Box<dyn Protocol<Journal>> {
        Box::new(Recorder::new(&journal.next_name(), self.0))
    }

    fn listening(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, address: &Address) {
        journal.note("door", address.to_string());
    }

    fn failed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, error: io::Error) {
        journal.note("door", format!("{:?}", error.kind()));
    }
}

/// Far too long for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
