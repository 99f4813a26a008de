//! What the tests of the simulated network begin with: every weather, a host that listens, and what it should have been told.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_herd::driver::sim::{HostId, Sim, Weather};
use proxy_herd::event_loop::{ConnId, Loop, Protocol, Security, ServerSecurity, Transport};

use crate::recorder::{Journal, On, Recorder};

/// Runs a test in calm weather, then in rough weather of many kinds.
#[expect(clippy::print_stdout, reason = "a test that fails shows its seed")]
pub(crate) fn in_every_weather(test: impl Fn(Sim<Journal>)) {
    test(Sim::new(0, Weather::default()));
    for seed in 1..=20 {
        println!("seed {seed}, rough");
        test(Sim::new(seed, Weather::rough()));
    }
}

pub(crate) fn calm() -> Sim<Journal> {
    Sim::new(0, Weather::default())
}

/// A host whose connections are called `s1`, `s2`, ... and react like this.
pub(crate) fn serve<R>(sim: &mut Sim<Journal>, react: R) -> HostId
where
    R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + Clone + 'static,
{
    serve_with(sim, ServerSecurity::Plain, move |name| Recorder::new(name, react.clone()))
}

pub(crate) fn serve_with<P: Protocol<Journal> + 'static>(
    sim: &mut Sim<Journal>,
    security: ServerSecurity,
    protocol: impl Fn(&str) -> P + 'static,
) -> HostId {
    let host = sim.add_host("Server", Journal::default());
    sim.enter(host, |event_loop, _| {
        event_loop.listen(address(), security, move |journal: &mut Journal| protocol(&journal.next_name()));
    });
    host
}

/// Connects a host to the one that serves.
pub(crate) fn dial(
    sim: &mut Sim<Journal>,
    host: HostId,
    security: Security,
    protocol: impl Protocol<Journal> + 'static,
) -> ConnId {
    sim.enter(host, |event_loop, _| event_loop.connect(address(), security, protocol))
}

/// Calls `visit` with the connection of `who`.
pub(crate) fn with<R>(
    sim: &mut Sim<Journal>,
    host: HostId,
    who: &str,
    visit: impl FnOnce(&mut Transport<'_, Journal>) -> R,
) -> R {
    sim.enter(host, |event_loop: &mut Loop<'_, Journal>, journal| {
        visit(&mut event_loop.transport(journal.id(who)).expect("the connection lives"))
    })
}

/// Where servers listen.
pub(crate) fn address() -> SocketAddr {
    ([127, 0, 0, 1], 11645).into()
}

/// Compares what `who` was told; an expected `lost X` stands for any reason of kind `X`.
pub(crate) fn told(sim: &Sim<Journal>, host: HostId, who: &str, expected: &[&str]) {
    let told = sim.state(host).of(who);
    let alike = |(told, expected): (&String, &&str)| {
        told == expected || (expected.starts_with("lost ") && told.starts_with(&format!("{expected}:")))
    };
    assert!(
        told.len() == expected.len() && told.iter().zip(expected).all(alike),
        "{who}: {told:#?}\nbut should be {expected:#?}\n{:?}",
        sim.trace()
    );
}

/// Some bytes that are not all alike.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

/// Longer than anything takes by itself, timeouts aside.
pub(crate) const LONG: Duration = Duration::from_secs(3);
