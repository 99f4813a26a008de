//! A loop without sockets: who has it plays its driver, a turn at a time, and the network, which takes everything at once.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proxy_herd::event_loop::{Address, ConnId, Endpoints, EventLoop, ListenerId, Loop, Request};

/// A loop, and the time that it is told.
pub(crate) struct Bare<S> {
    event_loop: EventLoop<S>,
    now: Instant,
    listeners: Vec<(ListenerId, Address)>,
    /// Where it has connected to, which succeeds.
    pub(crate) dialled: Vec<(ConnId, Address)>,
    /// How many bytes it has said.
    pub(crate) sent: usize,
}

impl<S> Bare<S> {
    /// Does what the loop asks for first.
    pub(crate) fn new(event_loop: EventLoop<S>) -> Self {
        let mut bare = Self { event_loop, now: Instant::now(), listeners: Vec::new(), dialled: Vec::new(), sent: 0 };
        bare.turn(Duration::ZERO, |_| ());
        bare
    }

    /// So many have connected to where it listens.
    pub(crate) fn accept(&mut self, address: SocketAddr, count: usize) -> Vec<ConnId> {
        let listens = |(_, other): &&(ListenerId, Address)| *other == Address::from(address);
        let (listener, address) = self.listeners.iter().find(listens).expect("it listens there").clone();
        let endpoints = Endpoints::new((Ipv4Addr::LOCALHOST, 49_152), address);
        let accept = |_| self.event_loop.accepted(listener, endpoints.clone()).expect("the listener is open");
        let connections = (0..count).map(accept).collect();
        self.turn(Duration::ZERO, |_| ());
        connections
    }

    /// A turn, `later` than the last, in which `input` happens, and those that it leads to at once.
    pub(crate) fn turn(&mut self, later: Duration, input: impl FnOnce(&mut EventLoop<S>)) {
        self.now += later;
        self.event_loop.advance(self.now, wall());
        input(&mut self.event_loop);
        self.event_loop.end_turn();
        self.obey();
        while self.event_loop.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.event_loop.advance(self.now, wall());
            self.event_loop.end_turn();
            self.obey();
        }
    }

    /// Lends the loop and the state, outside a turn.
    pub(crate) fn enter<R>(&mut self, visit: impl FnOnce(&mut Loop<'_, S>, &mut S) -> R) -> R {
        self.event_loop.enter(visit)
    }

    pub(crate) fn state(&self) -> &S {
        self.event_loop.state()
    }

    fn obey(&mut self) {
        loop {
            while let Some(request) = self.event_loop.poll_request() {
                self.perform(request);
            }
            let Some(id) = self.event_loop.next_dirty() else { return };
            let count = black_box(self.event_loop.pending(id)).len();
            self.event_loop.sent(id, count);
            self.sent += count;
        }
    }

    fn perform(&mut self, request: Request) {
        match request {
            Request::Listen { listener, address, .. } => {
                self.event_loop.listening(listener, address.clone());
                self.listeners.push((listener, address));
            }
            Request::Connect { id, address, .. } => {
                let endpoints = Endpoints::new(address.clone(), (Ipv4Addr::LOCALHOST, 49_152));
                assert!(self.event_loop.connected(id, endpoints), "it wants to connect");
                self.dialled.push((id, address));
            }
            request => drop(black_box(request)),
        }
    }
}

/// The date, which stands: replies are as long each time.
fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_520_023_935)
}
