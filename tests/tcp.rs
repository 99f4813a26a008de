//! What only TCP has, over real sockets: urgent bytes, resets, and an address to connect from.
//!
//! On Linux, where the poll tells of urgent bytes, and loopback has more than one address.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "contract/recorder.rs"]
mod recorder;
#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "sockets/stage.rs"]
mod stage;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use proxy_herd::event_loop::{Connect, ServerSecurity};
use socket2::SockRef;

use crate::recorder::{On, Recorder, listen_only};
use crate::stage::{PATIENCE, React, Stage};

// Urgent bytes.

/// What a client does.
#[derive(Clone, Copy)]
enum Step {
    Send(&'static str),
    Urgent,
    Finish,
}

use Step::{Finish, Send, Urgent};

/// All steps are over before the server looks: it gets one edge, and then nothing happens any more. The urgent byte itself
/// the system takes out of the stream; nobody is given it.
fn check(steps: &[Step], react: React, expected: &[&str]) {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, react);
    let mut client = TcpStream::connect(address).expect("somebody listens");
    stage.until_said("s1", "made");
    for step in steps {
        match step {
            Send(text) => client.write_all(text.as_bytes()).expect("it is connected"),
            Urgent => assert_eq!(SockRef::from(&client).send_out_of_band(b"!").ok(), Some(1)),
            Finish => client.shutdown(Shutdown::Write).expect("it is connected"),
        }
    }
    // A second connection that has come proves that the first one's edge is over.
    let _second = TcpStream::connect(address).expect("somebody listens");
    stage.until_said("s2", "made");
    stage.enter(|event_loop, journal| {
        if let Some(mut transport) = event_loop.transport(journal.id("s1")) {
            transport.resume_reading();
        }
    });
    stage.until("all of it", |stage| stage.said("s1") == expected);
}

#[test]
fn what_follows_an_urgent_byte_arrives() {
    check(&[Send("before"), Urgent, Send("after")], listen_only, &["made", "data beforeafter"]);
    check(&[Urgent, Send("after")], listen_only, &["made", "data after"]);
    check(&[Send("before"), Urgent, Send("after"), Finish], listen_only, &["made", "data beforeafter", "eof", "lost"]);
}

#[test]
fn an_urgent_byte_is_not_forgotten_while_reading_is_paused() {
    let paused: React = |on, transport, _| {
        if on == On::Made {
            transport.pause_reading();
        }
    };
    check(&[Send("before"), Urgent, Send("after")], paused, &["made", "data beforeafter"]);
}

// Resets.

#[test]
fn who_is_reset_reads_no_end_and_who_is_aborted_does() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, |on, transport, _| match on {
        On::Data(b"reset") => {
            transport.write(b"never sent");
            transport.reset();
        }
        On::Data(_) => transport.abort(),
        _ => {}
    });
    for (number, (ask, expected)) in
        [("reset", Err(ErrorKind::ConnectionReset)), ("abort", Ok(0))].into_iter().enumerate()
    {
        let mut client = TcpStream::connect(address).expect("somebody listens");
        client.set_read_timeout(Some(PATIENCE)).expect("not zero");
        client.write_all(ask.as_bytes()).expect("it is connected");
        let name = format!("s{}", number + 1);
        stage.until_lost(&name);
        assert_eq!(stage.said(&name), ["made", &format!("data {ask}"), "lost"]);
        assert_eq!(client.read(&mut [0]).map_err(|error| error.kind()), expected, "{ask}");
    }
}

// Connecting from an address.

#[test]
fn who_connects_from_an_address_has_it() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, |on, transport, journal| {
        if on == On::Made {
            journal.note("peers", transport.peer_addr().map(|peer| peer.ip().to_string()).expect("it is TCP"));
        }
    });
    let connect = |stage: &mut Stage, to: SocketAddr, from: [u8; 4]| {
        let connect = Connect::to(to).local_addr((from, 0).into());
        stage.enter(|event_loop, _| event_loop.connect_with(connect, Recorder::new("c", listen_only)));
    };
    connect(&mut stage, address, [127, 0, 0, 3]);
    stage.until_said("peers", "127.0.0.3");
    // Bound, so that it is nobody else's, and not listening.
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let deaf = deaf.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    for (to, from, expected) in
        [(deaf, [127, 0, 0, 3], "lost ConnectionRefused"), (address, [203, 0, 113, 1], "lost AddrNotAvailable")]
    {
        connect(&mut stage, to, from);
        stage.until(expected, |stage| stage.said("c").last().is_some_and(|line| line.starts_with(expected)));
    }
}
