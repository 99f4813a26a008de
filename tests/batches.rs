//! Lines that come together lead to what they would lead to one by one: the same effects, in the same order, the same directory.
//!
//! IDs are taken from one small table of the directory, so that it grows and shrinks under the seats that were looked up.

use std::sync::LazyLock;
use std::time::Duration;

use arrayvec::ArrayVec;
use proptest::prelude::*;
use proxy_herd::herd::directory::Directory;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::node::{Effect, Effects, NeighbourId, Node, Origin};
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::herd::topology::Limits;
use proxy_herd::wire::lines::{BATCH, Batch};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn lines_together_lead_to_what_they_lead_to_one_by_one(
        limits in limits(),
        script in prop::collection::vec((origin(), prop::collection::vec((line(), 0_u8..30), 1..=BATCH)), 1..12),
    ) {
        let (mut alone, mut together) = (node(&limits), node(&limits));
        let clients = &*CLIENTS_OF_ONE_TABLE;
        for (from, said) in script {
            let said: Vec<(Vec<u8>, Timestamp)> =
                said.iter().map(|(line, now)| (line.text(from, clients), timestamp(*now))).collect();
            let (mut expected, mut effects) = (Effects::new(), Effects::new());
            for (line, now) in &said {
                alone.handle(from, line, *now, &mut expected);
            }
            let lines: Batch<'_> = said.iter().map(|(line, _)| line.as_slice()).collect();
            let mut heard = ArrayVec::new();
            together.hear(from, &lines, &mut heard);
            for (heard, (line, now)) in heard.iter().zip(&said) {
                prop_assert_eq!(heard.line(), line.as_slice());
                together.obey(heard, *now, &mut effects);
            }
            let pairs = effects.iter().zip(expected.iter());
            pairs.for_each(|(effect, expected)| assert_eq!(effect, expected));
            prop_assert_eq!(effects.len(), expected.len());
            prop_assert_eq!(effects.lines(), expected.lines());
            prop_assert_eq!(floods_one_by_one(&effects), floods_by_run(&effects));
            prop_assert_eq!(together.directory().digest(), alone.directory().digest());
            prop_assert!(together.directory().iter().eq(alone.directory().iter()), "an entry is elsewhere");
        }
    }
}

/// The lines to flood, with whom they are not said to.
type Floods = Vec<(Vec<u8>, Option<NeighbourId>)>;

fn floods_one_by_one(effects: &Effects) -> Floods {
    let floods = effects.iter().filter_map(|effect| match effect {
        Effect::Flood { line, except } => Some((line.to_vec(), except)),
        _ => None,
    });
    floods.collect()
}

fn floods_by_run(effects: &Effects) -> Floods {
    let lines = |(run, except): (&[u8], _)| -> Floods {
        run.split_inclusive(|byte| *byte == b'\n').map(|line| (line.to_vec(), except)).collect()
    };
    effects.floods().flat_map(lines).collect()
}

/// What somebody says about one of the clients.
#[derive(Clone, Copy, Debug)]
enum Said {
    Where { client: usize, second: u8, spaces: &'static str },
    What { client: usize },
    Garbage(&'static str),
}

impl Said {
    fn text(self, from: Origin, clients: &[String]) -> Vec<u8> {
        let text = match (self, from) {
            (Self::Where { client, second, spaces }, Origin::Client) => {
                format!("IAMAT{spaces}{}{spaces}+1-1 {second}.5", clients[client])
            }
            (Self::Where { client, second, .. }, Origin::Neighbour(NeighbourId(origin))) => {
                format!("AT Origin{origin} +0.000000000 {} +1-1 {second}.5", clients[client])
            }
            (Self::What { client }, _) => format!("WHATSAT {} 10 5", clients[client]),
            (Self::Garbage(text), _) => text.to_owned(),
        };
        text.into_bytes()
    }
}

fn line() -> impl Strategy<Value = Said> {
    let spaces = prop::sample::select(vec![" ", " ", " ", "  ", "\t"]);
    let garbage = vec!["", " \t\r", "IAMAT ", "IAMAT k +1-1 x", " IAMAT", "AT ", "AT x", "?", "\u{a0}"];
    prop_oneof![
        12 => (0..CLIENTS, 0_u8..30, spaces).prop_map(|(client, second, spaces)| Said::Where { client, second, spaces }),
        2 => (0..CLIENTS).prop_map(|client| Said::What { client }),
        1 => prop::sample::select(garbage).prop_map(Said::Garbage),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![Just(Origin::Client), (0_u16..2).prop_map(|neighbour| Origin::Neighbour(NeighbourId(neighbour)))]
}

fn limits() -> impl Strategy<Value = Limits> {
    let seconds = || prop::option::of((1_u64..20).prop_map(Duration::from_secs));
    let most = prop_oneof![1_usize..8, Just(Limits::default().max_clients)];
    (most, seconds(), seconds()).prop_map(|(max_clients, client_ttl, max_future)| Limits {
        max_clients,
        client_ttl,
        max_future,
        ..Limits::default()
    })
}

fn node(limits: &Limits) -> Node {
    Node::new(ServerName::parse(b"Goloman").expect("a name"), SEED).with_limits(limits)
}

/// Of many clients that are told of table by table, those that come first.
static CLIENTS_OF_ONE_TABLE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut directory = Directory::new(SEED);
    for number in 0..20_000 {
        let line = format!("AT A +0.000000000 k{number} +1-1 5");
        directory.merge(&Report::parse(line.as_bytes()).expect("a report"));
    }
    let clients = directory.iter().take(CLIENTS);
    clients.map(|report| String::from_utf8_lossy(report.client()).into_owned()).collect()
});

fn timestamp(second: u8) -> Timestamp {
    Timestamp::parse(second.to_string().as_bytes()).expect("a timestamp")
}

const SEED: u64 = 7;
const CLIENTS: usize = 16;
