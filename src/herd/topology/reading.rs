//! From the tree of a file to a [`Topology`], with everything that is wrong found in one pass.
//!
//! A name or an address that is wrong is reported once: what stands beside it, and the links that name it, are still checked.
//! A setting that is wrong becomes the usual one: nobody sees it, as one error throws the whole topology away.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::herd::name::ServerName;
use crate::herd::topology::json::{Errors, Field, did_you_mean};
use crate::herd::topology::places::read_places;
use crate::herd::topology::security::{check_names, read_security};
use crate::herd::topology::{Limits, Server, Topology};

/// The topology that `root` describes, for nobody's use if an error was added.
pub(super) fn topology(root: &Field<'_>, errors: &mut Errors) -> Option<Topology> {
    let known = ["herd", "servers", "links", "places", "limits", "security"];
    let wanted = "an object with the herd's servers";
    let [herd, servers, links, places, limits, security] = root.keys(known, wanted, errors)?;
    let herd = match herd {
        Some(field) => herd_name(&field, errors),
        None => root.missing("herd", HERD, errors),
    };
    let servers = match servers {
        Some(field) => some_entries(&field, errors),
        None => root.missing("servers", SERVERS, errors),
    };
    let servers = servers.unwrap_or_default();
    let names: Vec<&str> = servers.iter().map(|(name, _)| *name).collect();
    let links_are = if security.is_some() { Protection::Tls } else { Protection::None };
    let servers = read_servers(&servers, links_are, errors);
    if security.is_some() {
        check_names(names.iter().copied(), errors);
    }
    let links = read_links(links.as_ref(), &names, errors);
    let places = places.and_then(|field| read_places(&field, errors)).unwrap_or_default();
    let limits = limits.and_then(|field| read_limits(&field, errors)).unwrap_or_default();
    let security = match security {
        Some(field) => Some(read_security(&field, errors)?),
        None => None,
    };
    Some(Topology { herd: herd?, servers: servers?, links: links?, places, limits, security })
}

fn herd_name(field: &Field<'_>, errors: &mut Errors) -> Option<String> {
    let text = field.text(HERD, errors)?;
    match ServerName::parse(text.as_bytes()) {
        Some(name) => Some(name.as_str().to_owned()),
        None => field.refuse(HERD, errors),
    }
}

fn some_entries<'a>(field: &Field<'a>, errors: &mut Errors) -> Option<Vec<(&'a str, Field<'a>)>> {
    let entries = field.entries(SERVERS, errors)?;
    if entries.is_empty() {
        return field.refuse(SERVERS, errors);
    }
    Some(entries)
}

/// How links are protected, and so where servers may listen for each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protection {
    None,
    Tls,
}

/// The addresses that servers may have.
struct Addresses {
    /// Those of earlier servers, with their paths.
    taken: Vec<(SocketAddr, String)>,
    links: Protection,
}

fn read_servers(entries: &[(&str, Field<'_>)], links: Protection, errors: &mut Errors) -> Option<Vec<Server>> {
    let mut addresses = Addresses { taken: Vec::new(), links };
    let servers: Vec<_> = entries.iter().map(|entry| read_server(entry, &mut addresses, errors)).collect();
    servers.into_iter().collect()
}

/// Neighbours must be able to dial `peers`, and nobody must listen in on the way.
fn check_peers(path: &str, peers: SocketAddr, links: Protection, errors: &mut Errors) {
    match links {
        Protection::None if !peers.ip().is_loopback() => {
            let what = "is not on loopback, links between machines need mutual TLS, and security.keys is not set";
            let remedy = "make keys with \"proxy-herd keygen\" and name their folder there, or use 127.0.0.1 or [::1]";
            errors.add(path, format_args!("{peers} {what}"), remedy);
        }
        Protection::Tls if peers.ip().is_unspecified() => {
            errors.add(path, format_args!("nobody can dial {peers}"), "write the address of the server's machine");
        }
        Protection::None | Protection::Tls => {}
    }
}

/// One server; its addresses are taken then.
fn read_server((name, field): &(&str, Field<'_>), addresses: &mut Addresses, errors: &mut Errors) -> Option<Server> {
    let parsed = ServerName::parse(name.as_bytes());
    if parsed.is_none() {
        errors.add(&field.path, "not a server's name", format_args!("use {WORD}"));
    }
    let [clients, peers] = field.keys(["clients", "peers"], SERVER, errors)?;
    let mut read = |key: &str, given: Option<Field<'_>>| match given {
        Some(given) => read_address(&given, &mut addresses.taken, errors),
        None => field.missing(key, ADDRESS, errors),
    };
    let (clients, peers) = (read("clients", clients), read("peers", peers));
    if let Some(peers) = peers {
        check_peers(&format!("{}.peers", field.path), peers, addresses.links, errors);
    }
    Some(Server { name: parsed?, clients: clients?, peers: peers? })
}

fn read_address(field: &Field<'_>, taken: &mut Vec<(SocketAddr, String)>, errors: &mut Errors) -> Option<SocketAddr> {
    let text = field.text(ADDRESS, errors)?;
    let Ok(address) = text.parse::<SocketAddr>() else { return field.refuse(ADDRESS, errors) };
    if address.port() == 0 {
        return field.refuse("a port from 1 to 65535", errors);
    }
    if let Some((_, owner)) = taken.iter().find(|(other, _)| clash(*other, address)) {
        errors.add(&field.path, format_args!("{address} is taken by {owner}"), "choose a free port");
    }
    taken.push((address, field.path.clone()));
    Some(address)
}

/// Whether both cannot be listened on: the same port of the same address, or of all addresses.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (one.ip() == other.ip() || everywhere)
}

/// The links as pairs of indices into `names`; no links at all is right for a herd of one, and nothing to check without names.
fn read_links(field: Option<&Field<'_>>, names: &[&str], errors: &mut Errors) -> Option<Vec<[usize; 2]>> {
    if names.is_empty() {
        return None;
    }
    let before = errors.count();
    let items = field.map_or_else(|| Some(Vec::new()), |field| field.items(LINKS, errors))?;
    let mut links: Vec<([usize; 2], &str)> = Vec::with_capacity(items.len());
    for item in &items {
        let Some([one, other]) = read_link(item, names, errors) else { continue };
        match links.iter().find(|(earlier, _)| *earlier == [one, other] || *earlier == [other, one]) {
            Some((_, earlier)) => {
                let what = format_args!("{} and {} are linked by {earlier} already", names[one], names[other]);
                errors.add(&item.path, what, "remove one of the two");
            }
            None => links.push(([one, other], &item.path)),
        }
    }
    let links = links.into_iter().map(|(link, _)| link).collect::<Vec<_>>();
    if errors.count() > before {
        return None;
    }
    check_reach(&links, names, errors);
    Some(links)
}

fn read_link(item: &Field<'_>, names: &[&str], errors: &mut Errors) -> Option<[usize; 2]> {
    let ends = item.items(LINK, errors)?;
    let [one, other] = ends.as_slice() else { return item.refuse(LINK, errors) };
    let mut index = |end: &Field<'_>| {
        let name = end.text("a server's name", errors)?;
        let index = names.iter().position(|known| *known == name);
        if index.is_none() {
            errors.add(&end.path, format_args!("no server is called {name:?}"), did_you_mean(name, names));
        }
        index
    };
    let (one, other) = (index(one), index(other));
    let (one, other) = (one?, other?);
    if one == other {
        errors.add(&item.path, format_args!("{} is linked to itself", names[one]), "name another server, or remove it");
        return None;
    }
    Some([one, other])
}

/// Floods only follow links: a server that no chain of them leads to would never hear of a report.
fn check_reach(links: &[[usize; 2]], names: &[&str], errors: &mut Errors) {
    let mut reached = vec![false; names.len()];
    let mut waiting = vec![0];
    while let Some(server) = waiting.pop() {
        if !std::mem::replace(&mut reached[server], true) {
            let ends = links.iter().filter(|link| link.contains(&server)).flatten();
            waiting.extend(ends.filter(|end| !reached[**end]));
        }
    }
    let cut_off: Vec<&str> = (0..names.len()).filter(|index| !reached[*index]).map(|index| names[index]).collect();
    if !cut_off.is_empty() {
        let what = format_args!("no links lead from {} to {}", names[0], cut_off.join(", "));
        errors.add("$.links", what, "link them, or reports would never get there");
    }
}

pub(super) fn read_file(field: &Field<'_>, wanted: &str, errors: &mut Errors) -> Option<PathBuf> {
    match field.text(wanted, errors)? {
        "" => field.refuse(wanted, errors),
        path => Some(path.into()),
    }
}

fn read_limits(field: &Field<'_>, errors: &mut Errors) -> Option<Limits> {
    let known = ["drain", "max_connections", "max_connections_per_address", "max_clients", "client_ttl", "max_future"];
    let wanted = "an object, like { \"drain\": 5 }";
    let [drain, connections, per_address, clients, ttl, future] = field.keys(known, wanted, errors)?;
    let mut read = |field: Option<Field<'_>>, range| field.and_then(|field| field.whole_number(range, errors));
    let seconds = |number: u32| Duration::from_secs(number.into());
    let usual = Limits::default();
    Some(Limits {
        drain: read(drain, 0..=Limits::LONGEST_DRAIN).map_or(usual.drain, seconds),
        max_connections: read(connections, 1..=Limits::MOST_CONNECTIONS).unwrap_or(usual.max_connections),
        max_connections_per_address: read(per_address, 1..=Limits::MOST_CONNECTIONS),
        max_clients: read(clients, 1..=Limits::MOST_CLIENTS).map_or(usual.max_clients, |number| number as usize),
        client_ttl: read(ttl, 1..=Limits::LONGEST_TIME).map(seconds),
        max_future: read(future, 0..=Limits::LONGEST_TIME).map(seconds),
    })
}

const WORD: &str = "1 to 63 letters, digits, \"-\" or \"_\", a letter first";
const HERD: &str = "one name for all its servers: 1 to 63 letters, digits, \"-\" or \"_\", a letter first";
const SERVERS: &str = "each server by name, like { \"Hands\": { \"clients\": ADDRESS, \"peers\": ADDRESS } }";
const SERVER: &str = "its two addresses, like { \"clients\": ADDRESS, \"peers\": ADDRESS }";
const ADDRESS: &str = "an IP address and a port, like \"127.0.0.1:11645\"";
const LINKS: &str = "pairs of servers, like [[\"Goloman\", \"Hands\"]]";
const LINK: &str = "the names of two servers, like [\"Goloman\", \"Hands\"]";
