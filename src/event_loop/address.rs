//! Where a socket is: an IP address with a port, or a path.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The address of a socket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix socket. The end that connects has no path: its own is empty.
    Unix(PathBuf),
}

impl Address {
    /// The IP address and the port, unless it is a Unix socket.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Unix(path) if path.as_os_str().is_empty() => formatter.write_str("a Unix socket"),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// `([127, 0, 0, 1], 11645)`, say.
impl<I: Into<IpAddr>> From<(I, u16)> for Address {
    fn from((ip, port): (I, u16)) -> Self {
        Self::Ip(SocketAddr::new(ip.into(), port))
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

/// The two ends of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoints {
    /// Theirs.
    pub peer: Address,
    /// Ours.
    pub local: Address,
}

impl Endpoints {
    /// Theirs and ours.
    pub fn new(peer: impl Into<Address>, local: impl Into<Address>) -> Self {
        Self { peer: peer.into(), local: local.into() }
    }
}
