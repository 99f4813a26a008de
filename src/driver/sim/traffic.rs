//! What hosts say to each other, shown while they say it: for a test that counts.

use super::{ClientId, HostId};

/// What a host hands to the network for another one, or for a client, at its one write for a connection and turn.
///
/// ```
/// # use std::{cell::Cell, net::SocketAddr, rc::Rc};
/// # use proxy_herd::{driver::sim::*, event_loop::*};
/// #
/// # struct Talker;
/// #
/// # impl Protocol<()> for Talker {
/// #     fn connection_made(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
/// #         transport.write(&[b'x'; 100_000]);
/// #     }
/// #
/// #     fn data_received(&mut self, _: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {}
/// # }
/// #
/// # let mut sim = Sim::new(7, Weather::default()).without_trace();
/// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// # let [goloman, hands] = ["Goloman", "Hands"].map(|name| sim.add_host(name, ()));
/// let (bytes, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
/// let (sum, peak) = (Rc::clone(&bytes), Rc::clone(&most));
/// sim.watch(move |sent| {
///     sum.update(|sum| sum + sent.bytes.len());
///     peak.update(|peak| peak.max(sent.waiting));
/// });
/// // Each says 100,000 bytes to the other, more than a write may take at a time.
/// sim.enter(goloman, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Talker));
/// sim.enter(hands, |event_loop, _| event_loop.connect(address, Security::Plain, Talker));
/// sim.run_for(std::time::Duration::from_secs(1));
/// assert_eq!((bytes.get(), most.get()), (200_000, 100_000));
/// assert_eq!(sim.trace().as_str(), "");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Who says it.
    pub from: HostId,
    /// To whom.
    pub to: Receiver,
    /// On which connection; numbers are not used again.
    pub connection: u64,
    /// What the network took: nothing if the window is full.
    pub bytes: &'a [u8],
    /// How many bytes waited, these included.
    pub waiting: usize,
}

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receiver {
    /// Another host, or the same one.
    Host(HostId),
    /// Somebody whom a test plays.
    Client(ClientId),
}

/// One that is shown everything.
pub(super) type Watcher = Box<dyn FnMut(&Sent<'_>)>;
