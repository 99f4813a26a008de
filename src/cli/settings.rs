//! What comes from files and the environment: the topology, the keys of links, Google's key, where logs go, an unguessable number.
//!
//! The key is read here, handed to [`Provider`] and shown nowhere: no error tells what a key or its file holds. It is never
//! taken from argv, which everybody on the machine can read.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::time_provider::DefaultTimeProvider;

use super::logs::Logs;
use super::{Failure, Options, commands, tell};
use crate::herd::name::ServerName;
use crate::herd::topology::{self, Places, Server, Topology};
use crate::places::key::Key;
use crate::server::{Keys, Provider};

/// The topology of `--topology` or `HERD_TOPOLOGY`, else of ./topology.json if there is one, else the built-in one.
pub(super) fn topology(options: &Options) -> Result<Topology, Failure> {
    read_topology(options.topology.as_deref())
}

/// The same, once more: it must still have the servers `names`.
pub(super) fn topology_again(file: Option<&Path>, names: &[ServerName]) -> Result<Topology, Failure> {
    let topology = read_topology(file)?;
    names.iter().try_for_each(|name| server(&topology, name.as_str()).map(drop))?;
    Ok(topology)
}

fn read_topology(given: Option<&Path>) -> Result<Topology, Failure> {
    let file = given.unwrap_or(Path::new(USUAL_TOPOLOGY));
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => {
            return Ok(Topology::built_in());
        }
        Err(error) => return Err(Failure::Configuration(format!("{}: {error}", file.display()))),
    };
    let wrong = |what: &dyn std::fmt::Display| {
        Failure::Configuration(format!("{} is no topology that can be run:\n{what}", file.display()))
    };
    let topology = Topology::parse(text).map_err(|errors| wrong(&errors))?;
    let taken = |name: &str| commands().chain([OTHER_LOG.to_owned()]).any(|word| word == name);
    let names = topology.servers().iter().map(|server| server.name.as_str()).filter(|name| taken(name));
    let clashes: Vec<String> =
        names.map(|name| format!("$.servers.{name}: {name} is a word of the command line; choose another")).collect();
    if clashes.is_empty() { Ok(topology) } else { Err(wrong(&clashes.join("\n"))) }
}

/// The server that is called `name`; the failure lists those there are.
pub(super) fn server<'a>(topology: &'a Topology, name: &str) -> Result<&'a Server, Failure> {
    topology.servers().iter().find(|server| server.name.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = topology.servers().iter().map(|server| server.name.as_str()).collect();
        let names = names.join(", ");
        Failure::Configuration(format!("the herd {} has no server {name:?}; it has {names}", topology.herd()))
    })
}

/// The keys for the links of the servers `names`, if the topology wants them encrypted.
pub(super) fn keys(topology: &Topology, names: &[ServerName]) -> Result<Vec<Keys>, Failure> {
    let Some(security) = topology.security() else { return Ok(Vec::new()) };
    let read = |name| Keys::read(&security.keys, name, Arc::new(DefaultTimeProvider));
    let wrong = |why| Failure::Configuration(format!("security.keys: {why}"));
    names.iter().map(|name| read(name).map_err(wrong)).collect()
}

/// Who answers questions about places. Without a key and without having asked for Google, says so in one line.
pub(super) fn provider(places: &Places) -> Result<Provider, Failure> {
    let key = match places.provider {
        topology::Provider::Embedded => None,
        topology::Provider::Auto | topology::Provider::Legacy | topology::Provider::New => {
            key(places.key_file.as_deref())?
        }
    };
    let wants_a_key = |provider: &str| {
        Failure::Configuration(format!(
            "places.provider is \"{provider}\", and Google wants a key: set {KEY}, or places.key_file to the name of a file \
             that holds it, or places.provider to \"embedded\""
        ))
    };
    let provider = match (places.provider, key) {
        (_, Some(key)) => Provider::google(places, key),
        (topology::Provider::Legacy, None) => return Err(wants_a_key("legacy")),
        (topology::Provider::New, None) => return Err(wants_a_key("new")),
        (topology::Provider::Auto, None) => {
            tell(&format!("places come from the built-in data, as there is no Google key (set {KEY} to ask Google)"));
            Provider::embedded()
        }
        (topology::Provider::Embedded, None) => Provider::embedded(),
    };
    provider.map_err(|error| Failure::Configuration(error.to_string()))
}

/// The logs that the options ask for, for these servers.
pub(super) fn logs(options: &Options, names: &[ServerName]) -> Result<Logs, Failure> {
    match &options.log_dir {
        None => Ok(Logs::to_standard_error()),
        Some(folder) => {
            Logs::to_folder(folder, names).map_err(|error| Failure::Configuration(format!("--log-dir: {error}")))
        }
    }
}

/// A number that no client can guess: it keys the hash of client IDs, which clients choose. From rustls' source of random
/// numbers, which is made for secrets; fastrand's and the clock are not.
pub(super) fn seed() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    let filled = ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Failure::Failed("the system has no random numbers".to_owned()))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// The key of the environment, else that of `file`. A variable without content counts as none.
fn key(file: Option<&Path>) -> Result<Option<Key>, Failure> {
    if let Some(text) = env::var_os(KEY) {
        let text = text.into_string().map_err(|_| Failure::Configuration(format!("{KEY} holds no key: not text")))?;
        match parse(&text) {
            Ok(key) => return Ok(Some(key)),
            Err(NO_KEY) => {}
            Err(why) => return Err(Failure::Configuration(format!("{KEY} {why}"))),
        }
    }
    let Some(file) = file else { return Ok(None) };
    // Somebody may have written the key itself where the name of its file should be.
    let name = file.display().to_string();
    let name = if name.starts_with(GOOGLES) { "what looks like a key and no file's name" } else { &name };
    let wrong = |why: &dyn std::fmt::Display| Failure::Configuration(format!("places.key_file: {name}: {why}"));
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(KEY_LIMIT as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| wrong(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong(&"holds no key: not text"))?;
    parse(&text).map(Some).map_err(|why| wrong(&why))
}

fn parse(text: &str) -> Result<Key, &'static str> {
    let word = text.trim();
    if text.len() > KEY_LIMIT {
        return Err("holds too much to be a key");
    }
    if word.is_empty() {
        return Err(NO_KEY);
    }
    Key::new(word).ok_or("holds more than a key: one word of ASCII is wanted")
}

const KEY: &str = "GOOGLE_PLACES_API_KEY";
const NO_KEY: &str = "holds nothing, where a key should be";

/// How Google's keys begin.
const GOOGLES: &str = "AIza";

/// The most bytes that are taken for a key, white space included; Google's have 39.
const KEY_LIMIT: usize = 1024;

const USUAL_TOPOLOGY: &str = "topology.json";

/// A server of this name would share its log with whatever no server says.
const OTHER_LOG: &str = "proxy-herd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word() {
        let check = |text: &str, expected: Result<(), &str>| assert_eq!(parse(text).map(drop), expected, "{text:?}");
        check("AIzaSy-1_2\n", Ok(()));
        check(&"k".repeat(KEY_LIMIT), Ok(()));
        check(&"k".repeat(KEY_LIMIT + 1), Err("holds too much to be a key"));
        check(" \n", Err(NO_KEY));
        check("", Err(NO_KEY));
        for more in ["one two", "one\0two", "\u{e9}"] {
            check(more, Err("holds more than a key: one word of ASCII is wanted"));
        }
    }
}
