//! The six herds that ship: a report given to any server reaches all five.

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Provider;

use crate::loopback::Loopback;
use crate::script;
use crate::simulated::Simulated;
use crate::world::World;

const SHIPPED: [(&str, &str); 6] = [
    ("goloman", include_str!("../../topology.json")),
    ("alford", include_str!("../../examples/topologies/alford.json")),
    ("hill", include_str!("../../examples/topologies/hill.json")),
    ("juzang", include_str!("../../examples/topologies/juzang.json")),
    ("riley", include_str!("../../examples/topologies/riley.json")),
    ("bailey", include_str!("../../examples/topologies/bailey.json")),
];

#[test]
fn a_report_given_to_any_server_reaches_all_five() {
    let provider = Provider::embedded().expect("a certificate");
    for (herd, text) in SHIPPED {
        let topology = Topology::parse(text).expect(herd);
        assert_eq!((topology.herd(), topology.servers().len()), (herd, 5));
        spread(&mut Loopback::new(topology.clone(), |_| provider.clone()), &topology);
        for seed in 0..4 {
            let mut world = Simulated::new(topology.clone(), &provider, seed, Weather::rough());
            spread(&mut world, &topology);
        }
    }
}

fn spread(world: &mut impl World, topology: &Topology) {
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
