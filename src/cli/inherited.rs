//! Listening sockets that the process was given when it was started: socket activation, by systemd's protocol.
//!
//! systemd opens the sockets of a `.socket` unit and names them in the environment: LISTEN_FDS, how many they are, from
//! descriptor 3 on, and LISTEN_PID, whom they are for
//! ([sd_listen_fds](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html)). So a herd is up before its
//! servers are, and a restart refuses nobody: who connects meanwhile waits.
//!
//! Every socket must be one that a server of this process wants: on another, clients would wait for ever.

use listenfd::ListenFd;
use socket2::SockRef;

use super::Failure;
use crate::driver::Sockets;
use crate::herd::topology::Server;

/// Gives the driver the sockets that were inherited, for `servers` to listen on. To be called before there are other
/// threads, as it takes the variables out of the environment.
pub(super) fn provide(sockets: &mut Sockets, servers: &[&Server]) -> Result<(), Failure> {
    let mut inherited = ListenFd::from_env();
    for index in 0..inherited.len() {
        let wrong = |why: String| Failure::Configuration(format!("inherited socket {}: {why}", index + 1));
        let taken = inherited.take_tcp_listener(index).map_err(|error| wrong(error.to_string()))?;
        let listener = taken.expect("each is taken once");
        let address = listener.local_addr().map_err(|error| wrong(error.to_string()))?;
        if SockRef::from(&listener).peer_addr().is_ok() {
            return Err(wrong(format!("{address} is connected already, and should listen (systemd: Accept=no)")));
        }
        if !servers.iter().any(|server| [server.clients, server.peers].contains(&address)) {
            return Err(wrong(format!("{address} is no address that the topology has this process listen on")));
        }
        sockets.provide(listener);
    }
    Ok(())
}
