//! One simulated host: an event loop, its system, its clock, and when it is its turn.

use std::time::{Duration, Instant, SystemTime};

use super::HostId;
use super::network::Network;
use super::system::System;
use crate::event_loop::EventLoop;

/// A host and what runs on it.
pub(super) struct Host<S> {
    pub(super) process: Process<S>,
    pub(super) system: System,
    /// What its clock showed when the simulation began.
    wall_zero: SystemTime,
    /// A turn takes time: the next one does not begin before this.
    rested: Instant,
}

/// Whether it runs.
pub(super) enum Process<S> {
    Running(Box<EventLoop<S>>),
    /// The loop was stopped; its state can still be looked at.
    Exited(Box<EventLoop<S>>),
    Down,
}

impl<S> Host<S> {
    pub(super) fn new(id: HostId, state: S, network: &Network) -> Self {
        let mut host = Self {
            process: Process::Down,
            system: System::new(id),
            wall_zero: SystemTime::UNIX_EPOCH + START,
            rested: network.now,
        };
        host.boot(state, network);
        host
    }

    pub(super) fn boot(&mut self, state: S, network: &Network) {
        let event_loop = EventLoop::new(state, network.now, self.wall_clock(network));
        self.process = Process::Running(Box::new(event_loop));
    }

    pub(super) fn wall_clock(&self, network: &Network) -> SystemTime {
        self.wall_zero + (network.now - network.start)
    }

    pub(super) fn set_wall_clock(&mut self, wall: SystemTime, network: &Network) {
        self.wall_zero = wall - (network.now - network.start);
    }

    /// The running loop, or the one that has run until it was stopped.
    pub(super) fn event_loop(&self) -> Option<&EventLoop<S>> {
        match &self.process {
            Process::Running(event_loop) | Process::Exited(event_loop) => Some(event_loop),
            Process::Down => None,
        }
    }

    /// When the next turn must begin.
    pub(super) fn due(&self) -> Option<Instant> {
        let Process::Running(event_loop) = &self.process else { return None };
        if self.system.is_busy() {
            return Some(self.rested);
        }
        event_loop.next_deadline().map(|deadline| deadline.max(self.rested))
    }

    /// One turn, as the socket driver has them; `visit` comes last of the inputs. `None` if nothing runs here.
    pub(super) fn turn<R>(&mut self, network: &mut Network, visit: impl FnOnce(&mut EventLoop<S>) -> R) -> Option<R> {
        let wall = self.wall_clock(network);
        let Process::Running(event_loop) = &mut self.process else { return None };
        self.rested = network.now + TURN;
        event_loop.advance(network.now, wall);
        self.system.tell(event_loop, network);
        self.system.read(event_loop, network);
        self.system.accept(event_loop, network);
        let result = visit(event_loop);
        event_loop.end_turn();
        self.system.obey(event_loop, network);
        if event_loop.is_stopped() {
            self.exit(network);
        }
        Some(result)
    }

    /// The process ends in order: the system closes what it had open.
    pub(super) fn exit(&mut self, network: &mut Network) {
        if let Process::Running(event_loop) = std::mem::replace(&mut self.process, Process::Down) {
            network.note(|network| format!("{} exits", network.name(self.system.host)));
            self.process = Process::Exited(event_loop);
            self.system.release(network);
        }
    }
}

/// How long a turn takes.
const TURN: Duration = Duration::from_micros(10);

/// What the clocks show when a simulation begins: 2018-03-02, 20:52:14 UTC, in the time of the assignment's example.
const START: Duration = Duration::from_secs(1_520_023_934);
