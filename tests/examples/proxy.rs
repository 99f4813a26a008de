//! The TCP proxies.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::program::{Peer, Program};

pub(crate) fn check(name: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("free");
    let upstream = format!("localhost:{}", listener.local_addr().expect("bound").port());
    let (proxy, address) = Program::serve(name, &["127.0.0.1:0", &upstream]);
    // It tries for two seconds.
    let other = Program::start(name, &[&address.to_string(), &upstream]);
    let connect = || {
        let client = Peer::connect(address);
        (client, Peer::accept(&listener))
    };

    // Both ways, and an end of either is one half's.
    for client_ends_first in [true, false] {
        let (mut one, mut other) = connect();
        if !client_ends_first {
            (one, other) = (other, one);
        }
        one.says("hello");
        other.hears("hello");
        other.says("hello yourself");
        one.hears("hello yourself");
        one.says("bye");
        one.ends();
        other.hears("bye");
        other.hears_the_end();
        other.says("one thing more");
        one.hears("one thing more");
        other.ends();
        one.hears_the_end();
    }

    // What is not read is not taken, and is not lost; not even if both have ended meanwhile.
    for client_floods in [true, false] {
        let (mut one, mut other) = connect();
        if !client_floods {
            (one, other) = (other, one);
        }
        let count = one.floods();
        one.ends();
        other.says("I will read it");
        other.ends();
        one.hears("I will read it");
        one.hears_the_end();
        other.drinks(count);
        other.hears_the_end();
    }

    // A reset is passed on, also while nothing is read.
    for client_resets in [true, false] {
        for is_full in [false, true] {
            let (mut one, mut other) = connect();
            if !client_resets {
                (one, other) = (other, one);
            }
            one.says("hello");
            other.hears("hello");
            if is_full {
                one.floods();
            }
            one.resets();
            proxy.prints_of(&["reset"]);
            other.hears_a_reset();
        }
    }

    drop(listener);
    Peer::connect(address).is_left();
    proxy.prints_of(&["refused"]);
    proxy.has_closed_all();

    other.ends_shut_out(address);
    check_who_has_to_wait(name);

    let (code, lines, error) = Program::start(name, &["127.0.0.1:0", "localhost"]).end();
    let wanted = "Error: \"\\\"localhost\\\" is not HOST:PORT (an IPv6 address needs brackets)\"\n";
    assert_eq!((code, lines, error.as_str()), (Some(1), vec![], wanted), "{name}");
}

/// What a client says is not taken before there is somebody to take it.
fn check_who_has_to_wait(name: &str) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("free");
    listener.listen(0).expect("bound");
    let listener = TcpListener::from(listener);
    let upstream = listener.local_addr().expect("bound");
    // Who comes when nobody is accepted and enough wait is not answered yet.
    let connect = || TcpStream::connect_timeout(&upstream, Duration::from_millis(100)).ok();
    let crowd: Vec<TcpStream> = std::iter::from_fn(connect).take(100).collect();

    let (_proxy, address) = Program::serve(name, &["127.0.0.1:0", &upstream.to_string()]);
    let mut client = Peer::connect(address);
    let count = client.floods();
    for _ in crowd {
        drop(Peer::accept(&listener));
    }
    Peer::accept(&listener).drinks(count);
}
