//! What the loop asks of its driver, which owns the sockets, the clock and the process's signals.

use std::net::SocketAddr;

use super::id::{ConnId, ListenerId};

/// One thing to do. A driver does them in the order they are handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Bind and listen, then call `listening` or `listen_failed`.
    Listen {
        /// Who wants it.
        listener: ListenerId,
        /// Where; port 0 lets the system choose.
        address: SocketAddr,
    },
    /// Go on accepting: `accept_failed` was some time ago.
    Accept {
        /// The listener.
        listener: ListenerId,
    },
    /// Close the listening socket. The slot is free from now on.
    Unlisten {
        /// The listener.
        listener: ListenerId,
    },
    /// Look the name up without blocking, then call `resolved`.
    Resolve {
        /// For whom.
        id: ConnId,
        /// The name.
        host: String,
        /// The port that the addresses shall have.
        port: u16,
    },
    /// Start to connect, beside other attempts for the same id, then call `connected` or `connect_failed`.
    Connect {
        /// For whom.
        id: ConnId,
        /// Where.
        address: SocketAddr,
    },
    /// The connection is read from again; no new readiness need come for what has arrived already.
    ResumeReading {
        /// Which.
        id: ConnId,
    },
    /// Send a FIN; everything pending was sent before.
    ShutdownWrite {
        /// Which.
        id: ConnId,
    },
    /// Drop the socket and all attempts. The slot is free from now on.
    Close {
        /// Which.
        id: ConnId,
    },
    /// Call `signalled` when the process gets this signal.
    WatchSignal {
        /// Which.
        signal: Signal,
    },
}

/// A signal that a server answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: stop.
    Terminate,
    /// SIGUSR1: open the logs again.
    User1,
}
