//! Who the servers of a herd are, where they listen, and who talks with whom: topology.json, checked.
//!
//! Strict: what a file holds is understood or refused, never skipped, and everything wrong is told at once. A [`Topology`] that
//! exists is sound: addresses differ, links join two different servers once, and links lead from each server to every other.
//! Reading the file, the key of Places and opening sockets are done elsewhere.

mod json;
mod places;
mod reading;
mod security;
mod url;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::herd::name::ServerName;

pub use json::Errors;
pub use url::{Scheme, Url};

/// A herd: its servers, the links between them, and the settings they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    herd: String,
    servers: Vec<Server>,
    /// Pairs of indices into `servers`.
    links: Vec<[usize; 2]>,
    places: Places,
    limits: Limits,
    security: Option<Security>,
}

/// One server of the herd and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name, on the wire and in the logs.
    pub name: ServerName,
    /// Where clients find it.
    pub clients: SocketAddr,
    /// Where its neighbours find it: without [`Security`] a loopback address.
    pub peers: SocketAddr,
}

/// Where answers to "what is near?" come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Who answers.
    pub provider: Provider,
    /// Another address than Google's.
    pub url: Option<Url>,
    /// More certificate authorities (PEM) than the public ones. A relative path starts at the working directory.
    pub ca_file: Option<PathBuf>,
    /// A file that holds the key, read when the environment has none. A relative path starts at the working directory.
    pub key_file: Option<PathBuf>,
    /// How often Google may be asked.
    pub rate: Rate,
}

/// How often a process may ask Google, all its servers together. It counts in memory: a restart begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// How many questions in any second; `None` is as many as come.
    pub per_second: Option<u32>,
    /// How many questions on a day (UTC); `None` is as many as come.
    pub per_day: Option<u32>,
}

/// Who answers a question about places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// Google if there is a key (the legacy API, or the new one if that is not enabled for the key's project), the built-in stand-in
    /// if there is none.
    #[default]
    Auto,
    /// Google's legacy Places API: needs a key.
    Legacy,
    /// Google's Places API (New): needs a key.
    New,
    /// The built-in stand-in: needs nothing.
    Embedded,
}

/// How links are protected: mutual TLS, with a private authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// The folder with the authority's certificate, and each server's certificate and key. A relative path starts at the working
    /// directory.
    pub keys: PathBuf,
}

/// The limits that a topology may set, for each of its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long outstanding answers may take after the signal to stop.
    pub drain: Duration,
    /// How many clients may be connected at a time.
    pub max_connections: u32,
    /// How many of them from one address; `None` is as many as there may be in all.
    pub max_connections_per_address: Option<u32>,
    /// How many clients a server remembers; the oldest report goes for a newer one.
    pub max_clients: usize,
    /// How long a report is remembered after the time that its client gave; `None` is for ever.
    pub client_ttl: Option<Duration>,
    /// How far ahead of the server's clock a client's timestamp may be; `None` is as far as it likes.
    pub max_future: Option<Duration>,
}

impl Topology {
    /// Reads the text of a topology.json.
    ///
    /// # Errors
    /// Everything that is wrong with it: a line each, with its JSON path, what was found there, and the remedy.
    /// If the text is not JSON at all, the line and column of the first mistake.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, Errors> {
        let json = json::Json::parse(text.as_ref())?;
        let mut errors = Errors::default();
        let topology = reading::topology(&json::Field::root(&json), &mut errors);
        errors.or(topology)
    }

    /// The herd that is run when nobody names a file: Goloman, Hands, Holiday, Welsh and Wilkes.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test reads the built-in topology")
    }

    /// The same herd elsewhere: `place` gives each server's address for clients and its address for peers.
    ///
    /// Nothing is checked, so that tests can take port 0 and whatever else they need.
    pub fn with_addresses(mut self, mut place: impl FnMut(&Server) -> (SocketAddr, SocketAddr)) -> Self {
        for server in &mut self.servers {
            (server.clients, server.peers) = place(server);
        }
        self
    }

    /// The herd's name: a link between servers of two herds is refused.
    pub fn herd(&self) -> &str {
        &self.herd
    }

    /// All servers, at least one, in the file's order.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The server that is called `name`.
    pub fn find(&self, name: &ServerName) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == *name)
    }

    /// All links, in the file's order, each with its two ends.
    pub fn links(&self) -> impl ExactSizeIterator<Item = [&Server; 2]> {
        self.links.iter().map(|ends| ends.map(|index| &self.servers[index]))
    }

    /// The servers that `name` is linked with, in the order of [`Topology::links`]; none if nobody is called so.
    pub fn neighbours(&self, name: &ServerName) -> impl Iterator<Item = &Server> {
        self.links().filter_map(move |[one, other]| {
            if one.name == *name {
                return Some(other);
            }
            (other.name == *name).then_some(one)
        })
    }

    /// Who is asked for places, and how.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The limits of each server.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How all links are protected; `None` if they are plain, all on loopback.
    pub fn security(&self) -> Option<&Security> {
        self.security.as_ref()
    }

    /// Whether each server can have a certificate under its name, as it must in a topology with [`security`](Self::security).
    ///
    /// # Errors
    /// A line for each name that does not do.
    pub fn check_certificates(&self) -> Result<(), Errors> {
        let mut errors = Errors::default();
        security::check_names(self.servers.iter().map(|server| server.name.as_str()), &mut errors);
        errors.or(Some(()))
    }
}

impl Limits {
    /// The longest `drain` that can be set: an hour, in seconds.
    pub const LONGEST_DRAIN: u32 = 3600;
    /// The highest number of connections that can be set.
    pub const MOST_CONNECTIONS: u32 = 1_000_000;
    /// The highest number of clients to remember that can be set: some 20 GB of memory.
    pub const MOST_CLIENTS: u32 = 100_000_000;
    /// The longest `client_ttl` and `max_future` that can be set: a hundred years, in seconds.
    pub const LONGEST_TIME: u32 = 100 * 366 * 24 * 3600;
}

impl Rate {
    /// The highest `per_second` that can be set.
    pub const MOST_PER_SECOND: u32 = 10_000;
    /// The highest `per_day` that can be set.
    pub const MOST_PER_DAY: u32 = 100_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(5),
            max_connections: 10_000,
            max_connections_per_address: None,
            max_clients: 1_000_000,
            client_ttl: None,
            max_future: None,
        }
    }
}

/// For people: a table of the servers, their addresses and their neighbours.
impl fmt::Display for Topology {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["server", "clients", "peers", "neighbours"].map(str::to_owned)];
        rows.extend(self.servers.iter().map(|server| {
            let neighbours: Vec<&str> = self.neighbours(&server.name).map(|other| other.name.as_str()).collect();
            [server.name.to_string(), server.clients.to_string(), server.peers.to_string(), neighbours.join(" ")]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let [first, second, third] = [width(0), width(1), width(2)];
        writeln!(formatter, "herd {}: {} servers, {} links\n", self.herd, self.servers.len(), self.links.len())?;
        for [name, clients, peers, neighbours] in &rows {
            let line = format!("{name:first$}  {clients:second$}  {peers:third$}  {neighbours}");
            writeln!(formatter, "{}", line.trim_end())?;
        }
        match &self.security {
            None => writeln!(formatter, "\nlinks: plain, all on this machine")?,
            Some(Security { keys }) => {
                writeln!(formatter, "\nlinks: encrypted (mutual TLS, with the keys in {})", keys.display())?;
            }
        }
        write!(formatter, "places: {}{}", self.places.provider, self.places.rate)
    }
}

/// As it follows who is asked; nothing, if that may be as often as one likes.
impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [(self.per_second, "second"), (self.per_day, "day")];
        limits.into_iter().filter_map(|(most, time)| Some((most?, time))).try_for_each(|(most, time)| {
            let plural = if most == 1 { "" } else { "s" };
            write!(formatter, ", at most {most} question{plural} a {time}")
        })
    }
}

/// As topology.json names it, and what that means.
impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto (Google if there is a key, else the built-in data)",
            Self::Legacy => "legacy (Google's legacy API, with a key)",
            Self::New => "new (Google's Places API (New), with a key)",
            Self::Embedded => "embedded (the built-in data)",
        })
    }
}

/// The topology.json at the top of the project.
const BUILT_IN: &[u8] = include_bytes!("../../topology.json");
