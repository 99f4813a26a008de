//! Whole herds with encrypted links, of one style and of both: a report reaches all, and nothing of it is on the wire.

use std::time::Duration;

use proxy_herd::driver::sim::Crash;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Style;

use crate::authority::Authority;
use crate::stage::{Place, SECURED, Stage, process};

/// The Goloman herd, its servers in these styles, in turns.
fn goloman(place: Place, styles: &[Style], authority: &Authority) -> Stage {
    let text = include_str!("../../topology.json").trim_end().strip_suffix('}').expect("an object").to_owned();
    let topology = Topology::parse(text + SECURED + "}").expect("a topology");
    let mut stage = Stage::new(place, topology, |topology, server| {
        let number = topology.servers().iter().position(|other| other.name.as_str() == server).expect("one of them");
        process(topology, server, styles[number % styles.len()]).with_keys([authority.keys(server)])
    });
    stage.start_all();
    stage.links_are_up();
    stage
}

const SERVERS: [&str; 5] = ["Goloman", "Hands", "Holiday", "Welsh", "Wilkes"];
const STYLES: [&[Style]; 3] = [&[Style::Callbacks], &[Style::Streams], &[Style::Callbacks, Style::Streams]];

#[test]
fn a_report_given_to_any_server_reaches_all_over_tls() {
    let authority = Authority::new("test");
    for place in [Place::Simulated, Place::Sockets] {
        for styles in STYLES {
            let mut stage = goloman(place, styles, &authority);
            for (stamp, server) in SERVERS.iter().enumerate() {
                let reply = stage.ask(server, &format!("IAMAT secret.example +1+1 {stamp}\n"));
                let known = |stage: &Stage, other: &str| stage.knows(other, "secret.example");
                stage.until(|stage| {
                    SERVERS.iter().all(|other| known(stage, other).as_deref() == Some(reply.trim_end()))
                });
            }
        }
    }
}

#[test]
fn nothing_of_a_report_is_on_the_wire_between_servers() {
    let authority = Authority::new("test");
    let mut stage = goloman(Place::Simulated, STYLES[2], &authority);
    // A client says it, in the clear; and is answered.
    stage.ask("Goloman", "IAMAT secret.example +1+1 5\n");
    stage.until(|stage| stage.knows("Welsh", "secret.example").is_some());
    let trace = stage.sim().trace().as_str().to_owned();
    assert_eq!(trace.matches("secret.example").count(), 2, "{trace}");
    assert_eq!(trace.matches("HERD ").count(), 0, "{trace}");
}

#[test]
fn a_server_that_was_down_is_linked_again_over_tls() {
    for styles in STYLES {
        let authority = Authority::new("test");
        let mut stage = goloman(Place::Simulated, styles, &authority);
        let hands = stage.host("Hands");
        stage.sim().crash(hands, Crash::Killed);
        stage.sim().run_for(Duration::from_secs(5));
        assert_eq!((stage.links_up("Goloman"), stage.links_up("Wilkes")), (2, 2));
        let again = process(&stage.topology, "Hands", styles[0]).with_keys([authority.keys("Hands")]);
        stage.sim().restart(hands, again);
        stage.start("Hands");
        stage.links_are_up();
    }
}
