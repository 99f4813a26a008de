//! The six herds that ship: a report given to any server reaches all five.

use std::time::Duration;

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Provider;

use crate::script;
use crate::simulated::Simulated;
use crate::world::{self, World};

/// By name.
pub(crate) const SHIPPED: [(&str, &str); 6] = [
    ("goloman", include_str!("../../topology.json")),
    ("alford", include_str!("../../examples/topologies/alford.json")),
    ("hill", include_str!("../../examples/topologies/hill.json")),
    ("juzang", include_str!("../../examples/topologies/juzang.json")),
    ("riley", include_str!("../../examples/topologies/riley.json")),
    ("bailey", include_str!("../../examples/topologies/bailey.json")),
];

const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_report_given_to_any_server_reaches_all_five() {
    let provider = Provider::embedded().expect("a certificate");
    for (herd, text) in SHIPPED {
        let topology = Topology::parse(text).expect(herd);
        assert_eq!((topology.herd(), topology.servers().len()), (herd, 5));
        for seed in 0..4 {
            let mut world = Simulated::new(topology.clone(), &provider, seed, Weather::rough());
            spread(&mut world, &topology);
        }
    }
}

/// How often servers have told each other something that contains `what`.
fn told(world: &Simulated, what: &str) -> usize {
    world.sim.trace().as_str().lines().filter(|line| line.contains("\"AT ") && line.contains(what)).count()
}

#[test]
fn a_flood_crosses_an_edge_at_most_twice_and_ends() {
    for (herd, text) in SHIPPED {
        let topology = Topology::parse(text).expect(herd);
        let edges: usize = topology.servers().iter().map(|server| topology.neighbours(&server.name).count()).sum();
        let provider = Provider::embedded().expect("a certificate");
        let mut world = Simulated::new(topology.clone(), &provider, 7, Weather::default());
        world.pass(SOON);
        let first = topology.servers()[0].name.as_str();
        let client = world.connect(first);
        let mut says = |said: &str| {
            world.send(client, format!("IAMAT {said}\n").as_bytes());
            world.pass(SOON);
            // One is the reply.
            told(&world, said) - 1
        };
        let news = says("k +1+1 5");
        // `edges` counts each edge from both ends.
        assert!((4..=edges).contains(&news), "{herd}: {news} for {edges}");
        assert_eq!((says("k +2+2 5"), says("k +3+3 4")), (0, 0), "{herd}: what is no news goes nowhere");
    }
}

#[test]
fn equal_stamps_given_to_two_servers_at_once_converge() {
    let provider = Provider::embedded().expect("a certificate");
    for seed in 0..50 {
        let mut world = Simulated::new(Topology::built_in(), &provider, seed, Weather::rough());
        world::links_are_up(&mut world);
        for server in ["Hands", "Welsh", "Welsh", "Goloman"] {
            let client = world.connect(server);
            world.send(client, format!("IAMAT k +{seed}+1 5\n").as_bytes());
        }
        world.pass(SOON);
        let known: Vec<_> =
            world.topology.servers().iter().map(|server| world.knows(server.name.as_str(), "k")).collect();
        assert!(known[0].is_some() && known.iter().all(|report| *report == known[0]), "seed {seed}: {known:?}");
    }
}

/// Waits until the herd is linked, and has each server tell all others of a client.
pub(crate) fn spread(world: &mut impl World, topology: &Topology) {
    for server in topology.servers() {
        let links = topology.neighbours(&server.name).count();
        world.until("the links are up", |world| world.links_up(server.name.as_str()) == links);
    }
    for server in topology.servers() {
        let name = &server.name;
        script::check(
            world,
            &format!(
                "@ {name}\n > IAMAT of-{name} +34.068930-118.445127 5.5\n < AT {name} ~ of-{name} +34.068930-118.445127 5.5"
            ),
            |left| left,
        );
        let mut reports = Vec::new();
        for other in topology.servers() {
            let client = format!("of-{name}");
            world.until("the report arrives", |world| world.knows(other.name.as_str(), &client).is_some());
            reports.extend(world.knows(other.name.as_str(), &client));
        }
        reports.dedup();
        assert_eq!(reports.len(), 1, "all five have the same: {reports:?}");
    }
}
