//! Signals as readiness: the process's signals become ordinary events of the poll.
//!
//! The handler sets a flag and writes a byte, nothing else; many signals at once lose none of their kinds.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::event_loop::Signal;

/// The signals that somebody watches.
pub(super) struct Signals(signal_hook_mio::v1_0::Signals);

impl Signals {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut signals = signal_hook_mio::v1_0::Signals::new(std::iter::empty::<i32>())?;
        registry.register(&mut signals, token, Interest::READABLE)?;
        Ok(Self(signals))
    }

    pub(super) fn watch(&mut self, signal: Signal) -> io::Result<()> {
        self.0.add_signal(number(signal))
    }

    /// Those that came. All must be taken: the poll reports edges.
    pub(super) fn pending(&mut self) -> Vec<Signal> {
        self.0.pending().filter_map(|came| EVERY.into_iter().find(|signal| number(*signal) == came)).collect()
    }
}

/// What the system does when a process gets this signal that has not asked for it. All of these end the process.
pub(super) fn take_default_effect(signal: Signal) -> io::Result<()> {
    signal_hook::low_level::emulate_default_handler(number(signal))
}

const EVERY: [Signal; 4] = [Signal::Hangup, Signal::Interrupt, Signal::Terminate, Signal::User1];

fn number(signal: Signal) -> i32 {
    match signal {
        Signal::Hangup => SIGHUP,
        Signal::Interrupt => SIGINT,
        Signal::Terminate => SIGTERM,
        Signal::User1 => SIGUSR1,
    }
}
