//! TCP's urgent bytes over real sockets: what stands around them arrives, though a read stops at each.
//!
//! On Linux, where the poll tells of them. The urgent byte itself the system takes out of the stream; nobody is given it.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "event_loop/recorder.rs"]
mod recorder;
#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "sockets/stage.rs"]
mod stage;

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use proxy_herd::event_loop::ServerSecurity;
use socket2::SockRef;

use crate::recorder::{On, listen_only};
use crate::stage::{React, Stage};

/// What a client does.
#[derive(Clone, Copy)]
enum Step {
    Send(&'static str),
    Urgent,
    Finish,
}

use Step::{Finish, Send, Urgent};

/// All steps are over before the server looks: it gets one edge, and then nothing happens any more.
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
