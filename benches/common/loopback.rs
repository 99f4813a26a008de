//! A listener on a free port of loopback, and its address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

pub(crate) fn bind() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

pub(crate) fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}
