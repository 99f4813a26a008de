//! The shipped topologies say what they should, and a wrong one is told everything that is wrong with it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::{Limits, Places, Provider, Rate, Scheme, Topology};

/// The servers, the first client port, and the links that the file at `path` must hold, and nothing else.
#[track_caller]
fn check_shipped(path: &str, servers: &str, first_port: u16, links: &str) {
    let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
    let topology = Topology::parse(text).unwrap_or_else(|errors| panic!("{path}:\n{errors}"));

    let lines = topology.servers().iter().map(|server| format!("{} {} {}", server.name, server.clients, server.peers));
    let expected = servers.split(' ').zip(first_port..).map(|(name, port)| {
        let peers = port + 10_000;
        format!("{name} 127.0.0.1:{port} 127.0.0.1:{peers}")
    });
    assert_eq!(lines.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{path}");

    let pairs: Vec<String> = topology.links().map(|[one, other]| format!("{}-{}", one.name, other.name)).collect();
    assert_eq!(pairs.join(" "), links, "{path}");
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    assert_eq!(Some(topology.herd()), stem.map(|stem| if stem == "topology" { "goloman" } else { stem }), "{path}");
    assert_eq!((topology.places(), topology.limits()), (&Places::default(), &Limits::default()), "{path}");
    for server in topology.servers() {
        assert_eq!(reached_from(&topology, &server.name), 5, "{path}: a report at {} reaches all", server.name);
    }
}

/// How many servers a report would get to that is forwarded from neighbour to neighbour.
fn reached_from(topology: &Topology, start: &ServerName) -> usize {
    let mut reached = vec![start.clone()];
    let mut next = 0;
    while let Some(name) = reached.get(next).cloned() {
        let new = topology.neighbours(&name).filter(|other| !reached.contains(&other.name));
        let new: Vec<ServerName> = new.map(|other| other.name.clone()).collect();
        reached.extend(new);
        next += 1;
    }
    reached.len()
}

#[test]
fn every_shipped_topology_is_the_herd_it_says_and_whole() {
    let check = check_shipped;
    check(
        "topology.json",
        "Goloman Hands Holiday Welsh Wilkes",
        11645,
        "Goloman-Hands Goloman-Holiday Goloman-Wilkes Hands-Wilkes Holiday-Welsh Holiday-Wilkes",
    );
    check(
        "examples/topologies/alford.json",
        "Alford Hamilton Welsh Ball Holiday",
        19625,
        "Alford-Hamilton Alford-Welsh Ball-Holiday Ball-Welsh Hamilton-Holiday",
    );
    check(
        "examples/topologies/hill.json",
        "Hill Jaquez Smith Campbell Singleton",
        8000,
        "Hill-Jaquez Hill-Smith Singleton-Jaquez Singleton-Smith Singleton-Campbell Smith-Campbell",
    );
    check(
        "examples/topologies/juzang.json",
        "Juzang Bernard Jaquez Johnson Clark",
        9991,
        "Clark-Jaquez Clark-Juzang Bernard-Juzang Bernard-Jaquez Bernard-Johnson Juzang-Johnson",
    );
    check(
        "examples/topologies/riley.json",
        "Riley Jaquez Juzang Bernard Campbell",
        12000,
        "Riley-Jaquez Riley-Juzang Bernard-Jaquez Bernard-Juzang Bernard-Campbell Juzang-Campbell",
    );
    check(
        "examples/topologies/bailey.json",
        "Bailey Bona Campbell Clark Jaquez",
        12100,
        "Clark-Jaquez Clark-Bona Campbell-Bailey Campbell-Bona Campbell-Jaquez Bona-Bailey",
    );
}

#[test]
fn no_shipped_topology_is_left_untested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/topologies");
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("examples").map(|entry| entry.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["alford.json", "bailey.json", "hill.json", "juzang.json", "riley.json"]);
}

#[test]
fn the_built_in_topology_is_printed_as_a_table() {
    let expected = "\
herd goloman: 5 servers, 6 links

server   clients          peers            neighbours
Goloman  127.0.0.1:11645  127.0.0.1:21645  Hands Holiday Wilkes
Hands    127.0.0.1:11646  127.0.0.1:21646  Goloman Wilkes
Holiday  127.0.0.1:11647  127.0.0.1:21647  Goloman Welsh Wilkes
Welsh    127.0.0.1:11648  127.0.0.1:21648  Holiday
Wilkes   127.0.0.1:11649  127.0.0.1:21649  Goloman Hands Holiday

links: plain, all on this machine
places: auto (Google if there is a key, else the built-in data)";
    assert_eq!(Topology::built_in().to_string(), expected);
}

#[test]
fn addresses_can_be_replaced() {
    let anywhere = "[::1]:0".parse().expect("an address");
    let moved = Topology::built_in().with_addresses(|server| (server.peers, anywhere));
    let welsh = moved.find(&name("Welsh")).expect("Welsh is in the herd");
    assert_eq!((welsh.clients.port(), welsh.peers), (21648, anywhere));
    assert_eq!(moved.find(&name("welsh")), None);
    assert_eq!(moved.neighbours(&name("welsh")).count(), 0);
}

#[test]
fn settings_are_taken_and_limits_hold_at_their_edges() {
    let settings = r#"{"provider": "embedded", "url": "https://places.example/nearby", "ca_file": "ca.pem",
        "key_file": "key", "rate": {"per_second": 10000, "per_day": 100000000}}"#;
    let topology = one_server(&format!(
        r#""places": {settings}, "limits": {{"drain": 3600, "max_connections": 1000000,
            "max_connections_per_address": 1, "max_clients": 100000000, "client_ttl": 1, "max_future": 3162240000}}"#
    ));
    let topology = topology.unwrap_or_else(|errors| panic!("{errors}"));
    let places = topology.places();
    assert_eq!(places.provider, Provider::Embedded);
    assert_eq!(places.url.as_ref().map(|url| (url.scheme, url.host.as_str())), Some((Scheme::Https, "places.example")));
    assert_eq!(places.ca_file.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(places.key_file.as_deref(), Some(Path::new("key")));
    assert_eq!(places.rate, Rate { per_second: Some(10_000), per_day: Some(100_000_000) });
    let limits = topology.limits();
    assert_eq!((limits.drain.as_secs(), limits.max_connections), (3600, 1_000_000));
    assert_eq!(limits.max_connections_per_address, Some(1));
    assert_eq!(limits.max_clients, 100_000_000);
    let (second, century) = (Duration::from_secs(1), Duration::from_secs(3_162_240_000));
    assert_eq!((limits.client_ttl, limits.max_future), (Some(second), Some(century)));

    let quick = one_server(r#""limits": {"drain": 0, "max_connections": 1}"#).map(|topology| *topology.limits());
    assert!(quick.is_ok_and(|limits| limits.drain.is_zero() && limits.max_connections == 1));
}

#[test]
fn places_are_shown_as_they_were_set() {
    let google = "(Google's legacy API, with a key)";
    for (settings, provider, rate, shown) in [
        (r#""provider": "legacy", "rate": {}"#, Provider::Legacy, [None, None], format!("legacy {google}")),
        (
            r#""provider": "legacy", "rate": {"per_second": 1}"#,
            Provider::Legacy,
            [Some(1), None],
            format!("legacy {google}, at most 1 question a second"),
        ),
        (
            r#""provider": "new", "rate": {"per_day": 2, "per_second": 5}"#,
            Provider::New,
            [Some(5), Some(2)],
            "new (Google's Places API (New), with a key), at most 5 questions a second, at most 2 questions a day"
                .to_owned(),
        ),
        (r#""provider": "embedded""#, Provider::Embedded, [None, None], "embedded (the built-in data)".to_owned()),
        (
            r#""rate": {"per_day": 1}"#,
            Provider::Auto,
            [None, Some(1)],
            "auto (Google if there is a key, else the built-in data), at most 1 question a day".to_owned(),
        ),
    ] {
        let topology = one_server(&format!(r#""places": {{{settings}}}"#)).unwrap_or_else(|errors| panic!("{errors}"));
        let Rate { per_second, per_day } = topology.places().rate;
        assert_eq!((topology.places().provider, [per_second, per_day]), (provider, rate), "{settings}");
        assert!(topology.to_string().ends_with(&format!("\nplaces: {shown}")), "{topology}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = r#"{
        "herd": "two words",
        "servers": {
            "Goloman": { "clients": "127.0.0.1:11645", "peers": "localhost:21645" },
            "Hands":   { "client": "127.0.0.1:11646", "peers": "127.0.0.1:11645" },
            "4ever":   { "clients": "127.0.0.1:0", "peers": "10.0.0.1:21647" }
        },
        "links": [["Goloman", "Hand"], ["Hands", "Hands"], ["4ever", "Hands"], ["Hands", "4ever"]],
        "places": { "provider": "new", "key": "AIza" },
        "limits": { "drain": -1 },
        "herd": "goloman"
    }"#;
    check(
        text,
        r#"
$.herd: given twice; keep one
$.herd: found "two words"; write one name for all its servers: 1 to 63 letters, digits, "-" or "_", a letter first
$.servers.Goloman.peers: found "localhost:21645"; write an IP address and a port, like "127.0.0.1:11645"
$.servers.Hands.client: unknown key; did you mean "clients"?
$.servers.Hands.clients: missing; write an IP address and a port, like "127.0.0.1:11645"
$.servers.Hands.peers: 127.0.0.1:11645 is taken by $.servers.Goloman.clients; choose a free port
$.servers["4ever"]: not a server's name; use 1 to 63 letters, digits, "-" or "_", a letter first
$.servers["4ever"].clients: found "127.0.0.1:0"; write a port from 1 to 65535
$.servers["4ever"].peers: 10.0.0.1:21647 is not on loopback, links between machines need mutual TLS, and security.keys is not set; make keys with "proxy-herd keygen" and name their folder there, or use 127.0.0.1 or [::1]
$.links[0][1]: no server is called "Hand"; did you mean "Hands"?
$.links[1]: Hands is linked to itself; name another server, or remove it
$.links[3]: Hands and 4ever are linked by $.links[2] already; remove one of the two
$.places.key: unknown key; did you mean "key_file"?
$.limits.drain: found -1; write a whole number from 0 to 3600"#,
    );
}

#[test]
fn text_that_is_no_json_is_told_by_line_and_column() {
    check("", "line 1, column 0: EOF while parsing a value; a topology is one JSON object");
    check("{\n  \"herd\": goloman\n}", "line 2, column 11: expected value; a topology is one JSON object");
    check("{} {}", "line 1, column 4: trailing characters; a topology is one JSON object");
    check("[".repeat(200), "line 1, column 128: recursion limit exceeded; a topology is one JSON object");
    check(b"\"\xff\"", "line 1, column 2: invalid unicode code point; a topology is one JSON object");
}

#[test]
fn every_part_is_held_to_its_form() {
    check("[]", "$: found an array of 0; write an object with the herd's servers");
    check(
        "{}",
        r#"
$.herd: missing; write one name for all its servers: 1 to 63 letters, digits, "-" or "_", a letter first
$.servers: missing; write each server by name, like { "Hands": { "clients": ADDRESS, "peers": ADDRESS } }"#,
    );
    check(
        r#"{"herd": 7, "servers": {}, "links": null, "port": 1}"#,
        r#"
$.port: unknown key; there are only herd, servers, links, places, limits, security
$.herd: found 7; write one name for all its servers: 1 to 63 letters, digits, "-" or "_", a letter first
$.servers: found an empty object; write each server by name, like { "Hands": { "clients": ADDRESS, "peers": ADDRESS } }"#,
    );
    check(
        r#"{"herd": "h", "servers": {"A": [], "B": {"clients": 1, "peers": "x"}, "A": {}}}"#,
        r#"
$.servers.A: given twice; keep one
$.servers.A: found an array of 0; write its two addresses, like { "clients": ADDRESS, "peers": ADDRESS }
$.servers.B.clients: found 1; write an IP address and a port, like "127.0.0.1:11645"
$.servers.B.peers: found "x"; write an IP address and a port, like "127.0.0.1:11645"
$.links: no links lead from A to B; link them, or reports would never get there"#,
    );
    check_part(
        r#""links": ["A", ["A"], ["A", 1], ["A", "B", "C"]]"#,
        r#"
$.links[0]: found "A"; write the names of two servers, like ["Goloman", "Hands"]
$.links[1]: found an array of 1; write the names of two servers, like ["Goloman", "Hands"]
$.links[2][1]: found 1; write a server's name
$.links[3]: found an array of 3; write the names of two servers, like ["Goloman", "Hands"]"#,
    );
    check_part(
        r#""links": {}"#,
        "$.links: found an empty object; write pairs of servers, like [[\"Goloman\", \"Hands\"]]",
    );
    check_part(
        r#""places": {"provider": "google", "url": "http://places.example", "ca_file": "", "key_file": true}"#,
        r#"
$.places.provider: found "google"; write "auto", "legacy", "new" or "embedded"
$.places.url: it would send the key in the clear; write https (http is for loopback only)
$.places.ca_file: found ""; write the name of a file
$.places.key_file: found true; write the name of a file"#,
    );
    check_part(
        r#""places": {"rate": {"per_second": 10001, "per_day": 100000001, "per_minute": 1}}"#,
        r#"
$.places.rate.per_minute: unknown key; there are only per_second, per_day
$.places.rate.per_second: found 10001; write a whole number from 1 to 10000
$.places.rate.per_day: found 100000001; write a whole number from 1 to 100000000"#,
    );
    check_part(
        r#""places": {"rate": {"per_second": 0, "per_day": 0.5, "per_dya": 5}}"#,
        r#"
$.places.rate.per_dya: unknown key; did you mean "per_day"?
$.places.rate.per_second: found 0; write a whole number from 1 to 10000
$.places.rate.per_day: found 0.5; write a whole number from 1 to 100000000"#,
    );
    check_part(
        r#""places": {"rate": 5}"#,
        "$.places.rate: found 5; write an object, like { \"per_second\": 10, \"per_day\": 1000 }",
    );
    check_part(
        r#""places": "auto", "limits": 5"#,
        r#"
$.places: found "auto"; write an object, like { "provider": "auto" }
$.limits: found 5; write an object, like { "drain": 5 }"#,
    );
    check_part(
        r#""limits": {"drain": 3601, "max_connections": 0, "max_connections_per_address": 1000001,
            "max_clients": 0, "client_ttl": 0, "max_future": -1}"#,
        r#"
$.limits.drain: found 3601; write a whole number from 0 to 3600
$.limits.max_connections: found 0; write a whole number from 1 to 1000000
$.limits.max_connections_per_address: found 1000001; write a whole number from 1 to 1000000
$.limits.max_clients: found 0; write a whole number from 1 to 100000000
$.limits.client_ttl: found 0; write a whole number from 1 to 3162240000
$.limits.max_future: found -1; write a whole number from 0 to 3162240000"#,
    );
    check_part(r#""limits": {"drain": 1.5}"#, "$.limits.drain: found 1.5; write a whole number from 0 to 3600");
}

/// What is wrong with a herd of these two servers, of which the second listens at `peers` for the first.
#[track_caller]
fn check_secured(names: [&str; 2], peers: &str, security: &str, expected: &str) {
    let [one, other] = names;
    let text = format!(
        r#"{{"herd": "h", "links": [["{one}", "{other}"]], "servers": {{
            "{one}": {{"clients": "127.0.0.1:11", "peers": "127.0.0.1:21"}},
            "{other}": {{"clients": "127.0.0.1:12", "peers": "{peers}"}}}}{security}}}"#
    );
    check(text, expected);
}

const SECURED: &str = r#", "security": {"keys": "keys"}"#;

#[test]
fn links_between_machines_need_keys() {
    let names = ["A", "B"];
    check_secured(names, "[::1]:22", "", "");
    check_secured(names, "10.0.0.1:22", SECURED, "");
    check_secured(names, "127.0.0.1:22", SECURED, "");
    check_secured(
        names,
        "10.0.0.1:22",
        "",
        "$.servers.B.peers: 10.0.0.1:22 is not on loopback, links between machines need mutual TLS, and security.keys is \
         not set; make keys with \"proxy-herd keygen\" and name their folder there, or use 127.0.0.1 or [::1]",
    );
    check_secured(
        names,
        "0.0.0.0:22",
        SECURED,
        "$.servers.B.peers: nobody can dial 0.0.0.0:22; write the address of the server's machine",
    );
    let folder = "the folder of the servers' keys, which \"proxy-herd keygen\" makes";
    for (security, wrong) in [
        (r#", "security": true"#, "$.security: found true; write an object, like { \"keys\": \"keys\" }".to_owned()),
        (r#", "security": {}"#, format!("$.security.keys: missing; write {folder}")),
        (r#", "security": {"keys": ""}"#, format!("$.security.keys: found \"\"; write {folder}")),
        (
            r#", "security": {"keys": "k", "key": "k"}"#,
            "$.security.key: unknown key; did you mean \"keys\"?".to_owned(),
        ),
    ] {
        check_secured(names, "10.0.0.1:22", security, &wrong);
    }
    let topology = one_server(r#""security": {"keys": "etc/keys"}"#).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(topology.security().map(|security| security.keys.as_path()), Some(Path::new("etc/keys")));
    assert!(
        topology.to_string().contains("\nlinks: encrypted (mutual TLS, with the keys in etc/keys)\n"),
        "{topology}"
    );
}

#[test]
fn a_certificate_must_be_able_to_name_each_server() {
    for (names, wrong) in [
        (["rack-4_b", "x_"], ""),
        (
            ["Ball", "ball"],
            "$.servers.ball: certificates do not tell ball from Ball; choose names that differ in more than case",
        ),
        (["A", "B-"], "$.servers.B-: no certificate can be for B-; choose a name that does not end with \"-\""),
        (["A", "Ca"], "$.servers.Ca: ca.pem is the authority's certificate; choose another name"),
    ] {
        check_secured(names, "127.0.0.1:22", SECURED, wrong);
        check_secured(names, "127.0.0.1:22", "", "");
    }
}

#[test]
fn addresses_that_cannot_both_be_listened_on_are_refused() {
    let taken = |port| format!("$.servers.B.clients: {port} is taken by $.servers.A.clients; choose a free port");
    check_addresses("127.0.0.1:5", "127.0.0.1:6", None);
    check_addresses("127.0.0.1:5", "127.0.0.2:5", None);
    check_addresses("[::1]:5", "127.0.0.1:5", None);
    check_addresses("127.0.0.1:5", "127.0.0.1:5", Some(&taken("127.0.0.1:5")));
    check_addresses("0.0.0.0:5", "127.0.0.1:5", Some(&taken("127.0.0.1:5")));
    check_addresses("127.0.0.1:5", "[::]:5", Some(&taken("[::]:5")));
}

#[test]
fn a_herd_is_one_piece() {
    check_links("", "$.links: no links lead from A to B, C, D; link them, or reports would never get there");
    check_links(
        r#"["B", "A"], ["C", "D"]"#,
        "$.links: no links lead from A to C, D; link them, or reports would never get there",
    );
    check_links(
        r#"["B", "C"], ["C", "D"], ["D", "B"]"#,
        "$.links: no links lead from A to B, C, D; link them, or reports would never get there",
    );
    check_links(r#"["D", "C"], ["C", "B"], ["B", "A"]"#, "");
    assert!(one_server(r#""links": []"#).is_ok(), "a herd of one needs no links");
}

/// What is wrong with `text`, in lines; nothing if it is a topology.
#[track_caller]
fn check(text: impl AsRef<[u8]>, expected: &str) {
    let errors = Topology::parse(text).map_or_else(|errors| errors.to_string(), |_| String::new());
    assert_eq!(errors, expected.trim_start());
}

#[track_caller]
fn check_part(part: &str, expected: &str) {
    let errors = one_server(part).map_or_else(|errors| errors.to_string(), |_| String::new());
    assert_eq!(errors, expected.trim_start());
}

#[track_caller]
fn check_addresses(one: &str, other: &str, expected: Option<&str>) {
    let text = format!(
        r#"{{"herd": "h", "links": [["A", "B"]], "servers": {{
            "A": {{"clients": "{one}", "peers": "127.0.0.1:21"}}, "B": {{"clients": "{other}", "peers": "127.0.0.1:22"}}}}}}"#
    );
    check(text, expected.unwrap_or_default());
}

#[track_caller]
fn check_links(links: &str, expected: &str) {
    let server = |name, port| format!(r#""{name}": {{"clients": "127.0.0.1:1{port}", "peers": "127.0.0.1:2{port}"}}"#);
    let servers: Vec<String> = "ABCD".chars().zip(0..).map(|(name, port)| server(name, port)).collect();
    let servers = servers.join(", ");
    check(format!(r#"{{"herd": "h", "servers": {{{servers}}}, "links": [{links}]}}"#), expected);
}

/// A herd of one with `part` beside it.
fn one_server(part: &str) -> Result<Topology, proxy_herd::herd::topology::Errors> {
    let server = r#""A": {"clients": "127.0.0.1:11", "peers": "127.0.0.1:21"}"#;
    Topology::parse(format!(r#"{{"herd": "h", "servers": {{{server}}}, {part}}}"#))
}

fn name(text: &str) -> ServerName {
    ServerName::parse(text.as_bytes()).expect("a name")
}
