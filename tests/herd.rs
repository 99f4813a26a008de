//! Herds without a network: servers that heard the same know the same, floods end, no line breaks a server.

use std::collections::HashMap;

use proptest::prelude::*;
use proxy_herd::herd::directory::Directory;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::node::{Effect, Effects, NeighbourId, Node, Origin};
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Timestamp;

proptest! {
    #[test]
    fn any_order_of_any_reports_gives_equal_directories(
        (reports, shuffled) in prop::collection::vec(report(), 0..20)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        let directory = |reports: &[String], seed: u64| {
            let mut directory = Directory::new(seed);
            for line in reports {
                directory.merge(&Report::parse(line.as_bytes()).expect("a report"));
            }
            lines(&directory)
        };
        let greatest = |client: &[u8]| {
            let reports = reports.iter().map(|line| Report::parse(line.as_bytes()).expect("a report"));
            reports.filter(|report| report.client() == client).max().map(|report| report.line().to_vec())
        };
        let mut expected: Vec<_> = [b"k", b"w"].into_iter().filter_map(|client| greatest(client)).collect();
        expected.sort();
        prop_assert_eq!(directory(&reports, 1), expected.clone());
        prop_assert_eq!(directory(&shuffled, 2), expected);
    }

    #[test]
    fn what_clients_say_is_known_everywhere(
        said in prop::collection::vec((0..SERVERS, "[kw]", "[+-]", "-?[12](\\.0|\\.1)?"), 0..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
    ) {
        let mut herd = Herd::new();
        let mut said = said.iter();
        // Each turn a client speaks or one of the lines under way arrives, whichever comes up.
        for turn in order {
            match turn.index(herd.under_way.len() + 1).checked_sub(1) {
                Some(line) => herd.deliver(line),
                None => if let Some((server, client, sign, time)) = said.next() {
                    herd.hear(*server, Origin::Client, &format!("IAMAT {client} {sign}1+1 {time}"));
                },
            }
        }
        while !herd.under_way.is_empty() {
            herd.deliver(0);
        }
        let directories: Vec<_> = herd.nodes.iter().map(|node| lines(node.directory())).collect();
        prop_assert!(directories.windows(2).all(|pair| pair[0] == pair[1]), "{directories:?}");
        prop_assert!(herd.crossings.values().all(|times| *times <= 2), "{:?}", herd.crossings);
    }

    #[test]
    fn no_line_breaks_a_server(said in prop::collection::vec((any::<bool>(), garbage()), 0..20)) {
        let mut node = Node::new(name(0), 1);
        let mut effects = Effects::new();
        for (client, line) in said {
            let from = if client { Origin::Client } else { Origin::Neighbour(NeighbourId(0)) };
            node.handle(from, &line, now(), &mut effects);
        }
        for effect in effects.iter() {
            if let Effect::Reply(line) | Effect::Flood { line, .. } | Effect::Ask { report: line, .. } = effect {
                prop_assert!(line.ends_with(b"\n"));
            }
        }
    }
}

/// A herd with cycles, whose lines arrive in any order.
struct Herd {
    nodes: Vec<Node>,
    under_way: Vec<(Hop, String)>,
    /// How often each report crossed each edge, either way.
    crossings: HashMap<(Hop, String), usize>,
}

/// From one server to another.
type Hop = (usize, usize);

impl Herd {
    fn new() -> Self {
        let nodes = (0..SERVERS).map(|server| Node::new(name(server), server as u64)).collect();
        Self { nodes, under_way: Vec::new(), crossings: HashMap::new() }
    }

    fn hear(&mut self, server: usize, from: Origin, line: &str) {
        let mut effects = Effects::new();
        self.nodes[server].handle(from, line.as_bytes(), now(), &mut effects);
        for effect in effects.iter() {
            let Effect::Flood { line, except } = effect else { continue };
            let line = String::from_utf8(line.trim_ascii_end().into()).expect("these lines are text");
            for neighbour in neighbours(server).filter(|neighbour| except != Some(NeighbourId(*neighbour as u16))) {
                self.under_way.push(((server, neighbour), line.clone()));
            }
        }
    }

    fn deliver(&mut self, index: usize) {
        let ((from, to), line) = self.under_way.remove(index);
        *self.crossings.entry(((from.min(to), from.max(to)), line.clone())).or_default() += 1;
        self.hear(to, Origin::Neighbour(NeighbourId(from as u16)), &line);
    }
}

fn neighbours(server: usize) -> impl Iterator<Item = usize> {
    EDGES.iter().filter_map(move |&(one, other)| match server {
        _ if server == one => Some(other),
        _ if server == other => Some(one),
        _ => None,
    })
}

fn name(server: usize) -> ServerName {
    ServerName::parse(&[b'A' + server as u8]).expect("a letter is a name")
}

fn now() -> Timestamp {
    Timestamp::parse(b"10").expect("a timestamp")
}

/// What a directory holds, sorted.
fn lines(directory: &Directory) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> = directory.iter().map(|report| report.line().to_vec()).collect();
    lines.sort();
    lines
}

/// Reports of few clients, times and origins, so that most of them compete, and many tie.
fn report() -> impl Strategy<Value = String> {
    ("[AB]", "[01]", "[kw]", "[+-]", "-?[12](\\.0|\\.1)?").prop_map(|(origin, difference, client, sign, time)| {
        format!("AT {origin} +0.00000000{difference} {client} {sign}1+1 {time}")
    })
}

/// Anything, and words that come close to meaning something.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "IAMAT|WHATSAT|AT|A|k|w|\\+1-1/?|[+-]0\\.\\d{8,10}|-?\\d{1,22}(\\.\\d{0,10})?".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(&b' '))
}

const SERVERS: usize = 4;
const EDGES: [Hop; 5] = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)];
