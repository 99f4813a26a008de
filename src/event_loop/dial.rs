//! Making one connection out of many addresses: Happy Eyeballs (RFC 8305).
//!
//! The families take turns, the resolver's first choice begins. The next attempt starts when the one before has failed,
//! or after the attempt delay; the first that stands wins, and the driver drops the rest.
//!
//! What it does not do: it opens no socket and sets no timer; `hub` asks it what to do next.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::address::Address;
use super::channel::Security;
use super::clock::Moment;

/// Where to connect to. Made of a `SocketAddr`, of a path, of a name and a port, as `("kiwi.cs.ucla.edu", 80)`, or parsed from
/// `kiwi.cs.ucla.edu:80`, `127.0.0.1:80`, `[::1]:80`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// This address: nothing is looked up.
    Address(Address),
    /// A name, which the driver's resolver looks up, and a port. An IP address as text is not looked up. What was found is not
    /// kept: the next connection asks the system again.
    Name(String, u16),
}

impl From<Address> for Target {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address.into())
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Self {
        Self::Address(path.into())
    }
}

impl From<&Path> for Target {
    fn from(path: &Path) -> Self {
        Self::Address(path.into())
    }
}

impl From<(&str, u16)> for Target {
    fn from((name, port): (&str, u16)) -> Self {
        Self::Name(name.to_owned(), port)
    }
}

impl FromStr for Target {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let is_name = |name: &str| !name.is_empty() && !name.contains([':', '[', ']']);
        // Without signs, which `u16` takes.
        let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let parts = text.rsplit_once(':').filter(|(name, port)| is_name(name) && is_number(port));
        let parts = parts.and_then(|(name, port)| Some((name, port.parse().ok()?)));
        parts.map(Self::from).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{text:?} is not HOST:PORT (an IPv6 address needs brackets)"),
            )
        })
    }
}

/// A connection to be made, and how: the arguments of asyncio's
/// [`create_connection`](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_connection).
///
/// A name has two addresses and the first does not answer, as where IPv6 leads nowhere: the second is tried after 250 ms, not
/// after minutes.
///
/// ```
/// # use std::{net::SocketAddr, time::Duration};
/// # use proxy_herd::{driver::sim::*, event_loop::*};
/// #
/// struct Hello;
///
/// impl Protocol<String> for Hello {
///     fn connection_made(&mut self, transport: &mut Transport<'_, String>, made: &mut String) {
///         *made = format!("{:?}", transport.peer_addr());
///     }
///
///     fn data_received(&mut self, _: &mut Transport<'_, String>, _: &mut String, _: &[u8]) {}
/// }
///
/// # let mut sim = Sim::new(7, Weather::default());
/// # let host = sim.add_host("Goloman", String::new());
/// let (six, four) = (SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 7)), SocketAddr::from(([127, 0, 0, 1], 7)));
/// sim.name("goloman.example", [six.ip(), four.ip()]);
/// sim.ignore(six);
/// sim.enter(host, |event_loop, _| {
///     event_loop.listen(four, ServerSecurity::Plain, |_: &mut String| Hello);
///     let connect = Connect::to(("goloman.example", 7)).timeout(Duration::from_secs(30));
///     event_loop.connect_with(connect, Hello);
/// });
/// sim.run_for(Duration::from_millis(240));
/// assert_eq!(*sim.state(host), "");
/// sim.run_for(Duration::from_millis(20));
/// assert_eq!(*sim.state(host), "Some(127.0.0.1:7)");
/// ```
#[derive(Clone, Debug)]
pub struct Connect {
    pub(super) target: Target,
    pub(super) security: Security,
    pub(super) timeout: Duration,
    pub(super) handshake_timeout: Duration,
    pub(super) attempt_delay: Option<Duration>,
    pub(super) local_addr: Option<SocketAddr>,
}

impl Connect {
    /// To there, in plain TCP or through a Unix socket, with the defaults of the methods below.
    pub fn to(target: impl Into<Target>) -> Self {
        Self {
            target: target.into(),
            security: Security::Plain,
            timeout: CONNECT_TIMEOUT,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            attempt_delay: Some(ATTEMPT_DELAY),
            local_addr: None,
        }
    }

    /// How the connection is protected. asyncio: `ssl` and `server_hostname`.
    pub fn security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// How long the name may take to be looked up and an address to answer, all attempts together: 10 s unless set.
    /// (asyncio: none but the kernel's, two minutes and more for each address.)
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How long the TLS handshake may take after that, and that of a `start_tls`: 10 s unless set.
    /// asyncio: `ssl_handshake_timeout`, 60 s.
    pub fn handshake_timeout(self, handshake_timeout: Duration) -> Self {
        Self { handshake_timeout, ..self }
    }

    /// How long an attempt is alone before the next address is tried beside it: 250 ms unless set (RFC 8305, 5: the
    /// Connection Attempt Delay). `None` tries one address after the other. asyncio: `happy_eyeballs_delay`, `None`.
    pub fn attempt_delay(self, attempt_delay: Option<Duration>) -> Self {
        Self { attempt_delay, ..self }
    }

    /// Where to connect from; port 0 lets the system choose. Addresses of the other family are not tried.
    /// asyncio: `local_addr`.
    pub fn local_addr(self, local_addr: SocketAddr) -> Self {
        Self { local_addr: Some(local_addr), ..self }
    }
}

/// A connection on its way.
pub(super) struct Dial {
    untried: VecDeque<Address>,
    /// When the next attempt starts, should the last one still be under way.
    pub(super) next_at: Option<Moment>,
    under_way: usize,
    failures: Vec<(Address, io::Error)>,
    /// Why it will come to nothing.
    doom: Option<io::Error>,
    pub(super) attempt_delay: Option<Duration>,
    pub(super) local_addr: Option<SocketAddr>,
}

impl Dial {
    pub(super) fn new(connect: &Connect) -> Self {
        Self {
            untried: VecDeque::new(),
            next_at: None,
            under_way: 0,
            failures: Vec::new(),
            doom: None,
            attempt_delay: connect.attempt_delay,
            local_addr: connect.local_addr,
        }
    }

    /// Nothing will be tried, for this reason.
    pub(super) fn doom(&mut self, error: io::Error) {
        self.doom = Some(error);
    }

    pub(super) fn is_doomed(&self) -> bool {
        self.doom.is_some()
    }

    /// There is one address.
    pub(super) fn at(&mut self, address: Address) {
        match address {
            Address::Ip(address) => self.resolved(vec![address]),
            address @ Address::Unix(_) => self.untried.push_back(address),
        }
    }

    /// What the resolver found, in its order.
    pub(super) fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        let mut order = interleaved(addresses);
        if let Some(local) = self.local_addr {
            let found = order.len();
            order.retain(|address| address.is_ipv4() == local.is_ipv4());
            if order.is_empty() && found > 0 {
                let what = format!("none of the {found} addresses can be reached from {local}: the other family");
                self.doom = Some(io::Error::new(io::ErrorKind::AddrNotAvailable, what));
            }
        }
        self.untried = order.into_iter().map(Address::Ip).collect();
    }

    /// The next address to try.
    pub(super) fn next(&mut self) -> Option<Address> {
        let address = self.untried.pop_front()?;
        self.under_way += 1;
        Some(address)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.untried.is_empty()
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, address: Address, error: io::Error) {
        self.under_way -= 1;
        self.failures.push((address, error));
    }

    /// The reason, when nothing is left to hope for.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        if self.under_way > 0 || self.has_more() {
            return None;
        }
        if let Some(doom) = self.doom.take() {
            return Some(doom);
        }
        let failures = std::mem::take(&mut self.failures);
        let kind = failures.last().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
        let each: Vec<String> =
            failures.iter().map(|(address, error)| format!("connect to {address}: {error}")).collect();
        let what = if each.is_empty() { "the name has no address".to_owned() } else { each.join("; ") };
        Some(io::Error::new(kind, what))
    }
}

/// A name that is an IP address needs no resolver.
pub(super) fn literal(name: &str, port: u16) -> Option<SocketAddr> {
    name.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

/// One of the first address's family, one of the other, and so on (RFC 8305, 4); each address once.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first().copied() else { return VecDeque::new() };
    let (mut same, mut other) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let family = if address.is_ipv4() == first.is_ipv4() { &mut same } else { &mut other };
        if !family.contains(&address) {
            family.push_back(address);
        }
    }
    let mut order = VecDeque::with_capacity(same.len() + other.len());
    while !same.is_empty() || !other.is_empty() {
        order.extend(same.pop_front());
        order.extend(other.pop_front());
    }
    order
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a TLS handshake may take, unless somebody says otherwise.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let check = |found: &[&str], expected: &[&str]| {
            let parse = |texts: &[&str]| -> Vec<SocketAddr> {
                texts.iter().map(|text| text.parse().expect("an address")).collect()
            };
            assert_eq!(interleaved(parse(found)), parse(expected), "{found:?}");
        };
        check(&[], &[]);
        check(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1"], &["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]);
        check(&["1.1.1.1:1", "1.1.1.1:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1"]);
    }

    #[test]
    fn a_target_is_an_address_or_a_name_and_a_port() {
        let address = |ip: &str, port| Target::from(SocketAddr::new(ip.parse().expect("an address"), port));
        for (text, expected) in [
            ("127.0.0.1:80", address("127.0.0.1", 80)),
            ("[::1]:80", address("::1", 80)),
            ("kiwi.cs.ucla.edu:80", Target::from(("kiwi.cs.ucla.edu", 80))),
            ("localhost:0", Target::from(("localhost", 0))),
            ("k:65535", Target::from(("k", 65535))),
            // For the resolver, which takes it for no address either.
            ("127.0.0.256:80", Target::from(("127.0.0.256", 80))),
        ] {
            assert_eq!(text.parse::<Target>().expect(text), expected);
        }
        for text in [
            "",
            ":",
            "80",
            ":80",
            "localhost",
            "localhost:",
            "localhost:65536",
            "localhost:-1",
            "localhost:+80",
            "localhost: 80",
            "localhost:http",
            "::1",
            "::1:80",
            "[::1]",
            "[::1]:",
            "[localhost]:80",
            "[]:80",
            "http://localhost:80",
            "a:b:80",
        ] {
            let error = text.parse::<Target>().expect_err(text);
            let expected = format!("{text:?} is not HOST:PORT (an IPv6 address needs brackets)");
            assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidInput, expected));
        }
    }

    #[test]
    fn the_reason_names_every_address_once_all_have_failed() {
        let mut dial = Dial::new(&Connect::to(SocketAddr::from(([127, 0, 0, 1], 1))));
        dial.resolved(vec![([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()]);
        let (first, second) = (dial.next().expect("one"), dial.next().expect("two"));
        dial.failed(first, io::ErrorKind::TimedOut.into());
        assert!(dial.failure().is_none(), "the second may still succeed");
        dial.failed(second, io::ErrorKind::ConnectionRefused.into());
        let error = dial.failure().expect("both have failed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "connect to 127.0.0.1:1: timed out; connect to 127.0.0.1:2: connection refused");
    }
}
