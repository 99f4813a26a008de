//! What the loop asks of its driver, which owns the sockets, the clock and the process's signals.

use std::net::SocketAddr;

use super::address::Address;
use super::id::{CallId, ConnId, ListenerId};

/// One thing to do. A driver does them in the order they are handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Bind and listen, then call `listening` or `listen_failed`.
    Listen {
        /// Who wants it.
        listener: ListenerId,
        /// Where; port 0 lets the system choose.
        address: Address,
        /// How many connections may wait to be accepted.
        backlog: u32,
    },
    /// Go on accepting: `accept_failed` is some time ago, or there is room for another connection again.
    Accept {
        /// The listener.
        listener: ListenerId,
    },
    /// Close the listening socket.
    CloseListener {
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
        address: Address,
        /// Where from, if that matters; see [`Connect::local_addr`](super::Connect::local_addr).
        local_addr: Option<SocketAddr>,
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
    /// See to it that the peer gets a reset when the socket is dropped, which is next.
    Reset {
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
    /// Other threads may want something called: call `set_waker` with what ends the sleep.
    WatchThreads,
    /// Take the job (`take_job`), have another thread do it, then call `executed`.
    Execute {
        /// Whose job.
        call: CallId,
    },
}

/// A signal that can be handled, with what servers usually take it for. There are no others: SIGKILL and SIGSTOP cannot be
/// handled (asyncio raises), and servers have no use for the rest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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
