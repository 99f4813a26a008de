//! Who has links with whom: the built-in herd, each with each, or a ring of the same five.

use std::fmt;

use clap::ValueEnum;
use proxy_herd::herd::topology::Topology;

/// The links of the five servers.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Shape {
    /// The six links of the assignment
    BuiltIn,
    /// Each with each: ten links
    Mesh,
    /// Five links in a ring
    Ring,
}

impl Shape {
    /// The built-in topology with these links.
    pub(super) fn topology(self) -> Topology {
        let built_in = Topology::built_in();
        let count = built_in.servers().len();
        let edges: Vec<[usize; 2]> = match self {
            Self::BuiltIn => return built_in,
            Self::Mesh => (0..count).flat_map(|one| (0..one).map(move |other| [other, one])).collect(),
            Self::Ring => (0..count).map(|one| [one, (one + 1) % count]).collect(),
        };
        let name = |index: usize| built_in.servers()[index].name.as_str();
        let servers = built_in.servers().iter().map(|server| {
            format!(r#""{}": {{ "clients": "{}", "peers": "{}" }}"#, server.name, server.clients, server.peers)
        });
        let servers: Vec<String> = servers.collect();
        let links: Vec<String> = edges.iter().map(|edge| format!("{:?}", edge.map(name))).collect();
        let (servers, links) = (servers.join(", "), links.join(", "));
        let text = format!(r#"{{ "herd": "bench", "servers": {{ {servers} }}, "links": [{links}] }}"#);
        Topology::parse(text).expect("a topology")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BuiltIn => "the built-in herd's six links",
            Self::Mesh => "each linked with each",
            Self::Ring => "linked in a ring",
        })
    }
}
