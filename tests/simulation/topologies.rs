//! Who the servers of a run are: a herd that ships, or one that nobody has thought of; and what else the file may say meanwhile.

use std::net::SocketAddr;

use fastrand::Rng;
use proxy_herd::herd::topology::Topology;

use crate::plan::Kind;

/// The topology of a run; then those that servers may read before all read the first again. All have the same servers.
pub(crate) fn draw(dice: &mut Rng, kind: Kind) -> Vec<Topology> {
    let file = File::draw(dice, kind);
    let others = if kind == Kind::Faulty && dice.u8(..4) == 0 { dice.usize(1..4) } else { 0 };
    let mut all = vec![file.read()];
    all.extend((0..others).map(|_| file.changed(dice).read()));
    all
}

/// Pairs of servers, numbered as in the topology, that are neighbours.
pub(crate) fn edges(topology: &Topology) -> impl Iterator<Item = (usize, usize)> {
    let place = |name| topology.servers().iter().position(|server| server.name == name);
    topology.links().map(move |ends| {
        let [one, other] = ends.map(|end| place(end.name.clone()).expect("a link is between servers"));
        (one, other)
    })
}

/// What stands in a topology.json.
struct File {
    herd: String,
    /// Each one's name, and where it listens for clients and for peers.
    servers: Vec<(String, SocketAddr, SocketAddr)>,
    links: Vec<(usize, usize)>,
    rest: String,
}

impl File {
    fn draw(dice: &mut Rng, kind: Kind) -> Self {
        let file = match kind {
            Kind::Flooded => {
                let count = dice.usize(2..4);
                Self::invented(dice, count)
            }
            _ if dice.u8(..3) == 0 => Self::shipped(SHIPPED[dice.usize(..SHIPPED.len())]),
            _ => {
                let count = dice.usize(2..8);
                Self::invented(dice, count)
            }
        };
        Self { rest: settings(dice, kind), ..file }
    }

    fn shipped(text: &str) -> Self {
        let topology = Topology::parse(text).expect("it ships");
        let servers = topology.servers().iter();
        let servers = servers.map(|server| (server.name.to_string(), server.clients, server.peers)).collect();
        let links = edges(&topology).collect();
        Self { herd: topology.herd().to_owned(), servers, links, rest: String::new() }
    }

    fn invented(dice: &mut Rng, count: usize) -> Self {
        let mut names = NAMES;
        dice.shuffle(&mut names);
        let mut links = Vec::new();
        for one in 1..count {
            let first = dice.usize(..one);
            links.extend((0..one).filter(|other| *other == first || dice.u8(..4) == 0).map(|other| (one, other)));
        }
        let server = |place: usize| (names[place].to_owned(), address(1_000, place), address(2_000, place));
        Self { herd: "drawn".to_owned(), servers: (0..count).map(server).collect(), links, rest: String::new() }
    }

    /// Some links are others, and some servers listen elsewhere for their neighbours.
    fn changed(&self, dice: &mut Rng) -> Self {
        let count = self.servers.len();
        let tree: Vec<_> = (1..count).map(|one| (one, dice.usize(..one))).collect();
        let mut links: Vec<_> = self.links.iter().copied().filter(|_| dice.bool()).collect();
        for (one, other) in tree {
            if !links.contains(&(one, other)) && !links.contains(&(other, one)) {
                links.push((one, other));
            }
        }
        let mut servers = self.servers.clone();
        for (place, (_, _, peers)) in servers.iter_mut().enumerate() {
            if dice.u8(..5) == 0 {
                *peers = address(3_000, place);
            }
        }
        Self { herd: self.herd.clone(), servers, links, rest: self.rest.clone() }
    }

    fn read(&self) -> Topology {
        let Self { herd, servers, links, rest } = self;
        let each = servers.iter().map(|(name, clients, peers)| {
            format!("\"{name}\": {{ \"clients\": \"{clients}\", \"peers\": \"{peers}\" }}")
        });
        let links = links.iter().map(|(one, other)| format!("[\"{}\", \"{}\"]", servers[*one].0, servers[*other].0));
        let [each, links] = [each.collect::<Vec<_>>(), links.collect()].map(|parts| parts.join(", "));
        let text = format!("{{ \"herd\": \"{herd}\", \"servers\": {{ {each} }}, \"links\": [{links}]{rest} }}");
        Topology::parse(text).unwrap_or_else(|errors| panic!("any tree with more links is a topology: {errors}"))
    }
}

fn address(first: u16, place: usize) -> SocketAddr {
    ([127, 0, 0, 1], first + place as u16).into()
}

/// How long and of how many clients servers remember what, and how their links are protected.
fn settings(dice: &mut Rng, kind: Kind) -> String {
    // Few enough that some must be forgotten.
    let most = if kind != Kind::Flooded && dice.u8(..6) == 0 { dice.u32(1..50) } else { 1_000_000 };
    let mut limits = format!("\"max_clients\": {most}");
    if kind != Kind::Flooded && dice.u8(..6) == 0 {
        limits += &format!(", \"client_ttl\": {}", dice.u32(20..180));
    }
    if dice.u8(..8) == 0 {
        limits += &format!(", \"max_future\": {}", dice.u32(..60));
    }
    let security = if dice.u8(..30) == 0 { ", \"security\": { \"keys\": \"keys\" }" } else { "" };
    format!(", \"limits\": {{ {limits} }}{security}")
}

const SHIPPED: [&str; 6] = [
    include_str!("../../topology.json"),
    include_str!("../../examples/topologies/alford.json"),
    include_str!("../../examples/topologies/bailey.json"),
    include_str!("../../examples/topologies/hill.json"),
    include_str!("../../examples/topologies/juzang.json"),
    include_str!("../../examples/topologies/riley.json"),
];

const NAMES: [&str; 9] = ["Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Niklaus", "Tony"];
