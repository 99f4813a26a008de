//! What the loop itself costs: an echo without sockets, in either style.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::event_loop::{EventLoop, ServerSecurity};
use proxy_herd::server::Style;
use proxy_herd::streams::Handle;

use super::parts::{OPERATIONS, Round};
use crate::common::bare::Bare;
use crate::common::echo::{self, Echo, MESSAGE};

/// Turns in each of which each connection has a message.
pub(super) fn echo(style: Style) -> Round {
    let mut bare = Bare::new(EventLoop::new(0, Instant::now(), SystemTime::now()));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    bare.enter(|event_loop, _| match style {
        Style::Callbacks => {
            event_loop.listen(address, ServerSecurity::Plain, |_: &mut usize| Echo { timeout: None });
        }
        Style::Streams => echo::start(&Handle::new(event_loop), address, echo::echo),
    });
    bare.turn(TICK, |_| ());
    let connections = bare.accept(address, CONNECTIONS);
    Box::new(move |meter| {
        let before = bare.sent;
        meter(&mut || {
            for _ in 0..OPERATIONS / CONNECTIONS {
                bare.turn(TICK, |event_loop| connections.iter().for_each(|id| event_loop.received(*id, MESSAGE)));
            }
        });
        assert_eq!(bare.sent - before, OPERATIONS * MESSAGE.len(), "all comes back");
    })
}

/// How many connections have something to say in a turn.
pub(super) const CONNECTIONS: usize = 16;

/// From turn to turn. So little that nobody is silent for too long.
pub(super) const TICK: Duration = Duration::from_micros(1);
