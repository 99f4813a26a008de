//! The simulator repeats: the same seed gives the same trace to the byte, with whole herds and TLS in it.

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Provider;

use crate::simulated::Simulated;
use crate::{script, world};

fn trace(seed: u64) -> String {
    // A new certificate each time: nothing random that it brings may show.
    let provider = Provider::embedded().expect("a certificate");
    let mut world = Simulated::new(Topology::built_in(), &provider, seed, Weather::rough());
    world::links_are_up(&mut world);
    script::check(
        &mut world,
        "@ Hands
         > IAMAT k +34.068930-118.445127 5
         < AT Hands ~ k +34.068930-118.445127 5
         ~ Welsh k
         @ Welsh
         > WHATSAT k 10 5
         > x
         < AT Hands ~ k +34.068930-118.445127 5
         { 5
         < ? x",
        |left| left,
    );
    world.sim.trace().as_str().to_owned()
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = trace(11);
    assert!(first.len() > 5_000, "the trace says what happened");
    assert!(first == trace(11), "seed 11 does not repeat");
    assert!(first != trace(12), "another seed changes something");
}
