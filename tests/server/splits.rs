//! However the bytes of a conversation are split, it is the same conversation.

use proptest::prelude::*;
use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Provider;

use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, PLACES};
use crate::world::{self, World};

/// What a client says, in `pieces`, and everything it hears until the server ends, time differences left out.
fn conversation(said: &[u8], pieces: &[usize], seed: u64, weather: Weather) -> Vec<String> {
    let provider: Provider = upstream::provider(PLACES);
    let mut world = Simulated::new(Topology::built_in(), &provider, seed, weather);
    let host = world.host("Welsh");
    world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, Behaviour::good(3, LATER)));
    world::links_are_up(&mut world);
    let client = world.connect("Goloman");
    let mut rest = said;
    for piece in pieces {
        let (now, later) = rest.split_at(rest.len().min(*piece));
        world.send(client, now);
        world.step();
        rest = later;
    }
    world.send(client, rest);
    world.half_close(client);
    world.until("the server ends", |world| world.heard(client).1);
    let heard = String::from_utf8_lossy(world.heard(client).0).into_owned();
    heard
        .lines()
        .map(|line| {
            line.split(' ')
                .enumerate()
                .filter(|(place, _)| *place != 2)
                .map(|(_, word)| word)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

const LATER: std::time::Duration = std::time::Duration::from_millis(7);

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (0..4_u8, 0..9_u32).prop_map(|(client, stamp)| format!("IAMAT c{client} +34.0-118.4 {stamp}")),
        2 => (0..4_u8, 0..4_u8).prop_map(|(client, bound)| format!("WHATSAT c{client} 10 {bound}")),
        1 => Just(String::new()),
        1 => "(IAMAT )?[ -~]{0,40}",
        1 => (4_090..4_100_usize).prop_map(|length| "x".repeat(length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_conversation(
        lines in prop::collection::vec(line(), 1..40),
        unfinished in prop::option::of("[ -~]{1,20}"),
        pieces in prop::collection::vec(1..200_usize, 0..40),
        seed in 0..1_000_u64,
    ) {
        let said = [lines.join("\n"), "\n".to_owned(), unfinished.unwrap_or_default()].concat();
        let whole = conversation(said.as_bytes(), &[], 1, Weather::default());
        let split = conversation(said.as_bytes(), &pieces, seed, Weather::rough());
        prop_assert_eq!(whole, split);
    }
}
