//! What only TCP has: urgent bytes, resets, an address to connect from.
//!
//! On Linux, where the poll tells of urgent bytes, and loopback has more than one address.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{Connect, Transport};
use socket2::SockRef;

use crate::recorder::{Journal, On, Recorder, ends, listen_only};
use crate::world::{World, calmly, everywhere, on_sockets};

/// What a client does.
#[derive(Clone, Copy)]
enum Step {
    Send(&'static str),
    Urgent,
    Finish,
}

use Step::{Finish, Send, Urgent};

/// All steps are over before the loop looks: it gets one edge, and then nothing happens any more. The urgent byte itself
/// the system takes out of the stream; nobody is given it.
fn check_urgent(steps: &[Step], react: fn(On<'_>, &mut Transport<'_, Journal>, &mut Journal), expected: &[&str]) {
    on_sockets(|world| {
        world.serve(react);
        let mut client = TcpStream::connect(world.address()).expect("it listens");
        world.quiet();
        for step in steps {
            match step {
                Send(text) => client.write_all(text.as_bytes()).expect("it is connected"),
                Urgent => assert_eq!(SockRef::from(&client).send_out_of_band(b"!").ok(), Some(1)),
                Finish => client.shutdown(Shutdown::Write).expect("it is connected"),
            }
        }
        world.quiet();
        world.enter(|event_loop, journal| {
            if let Some(mut transport) = event_loop.transport(journal.id("s1")) {
                transport.resume_reading();
            }
        });
        world.quiet();
        world.told("s1", expected);
    });
}

#[test]
fn what_follows_an_urgent_byte_arrives() {
    let check = |steps: &[Step], expected: &[&str]| check_urgent(steps, listen_only, expected);
    check(&[Urgent], &["made"]);
    check(&[Urgent, Send("after")], &["made", "data after"]);
    check(&[Send("before"), Urgent, Send("after")], &["made", "data beforeafter"]);
    check(&[Send("before"), Urgent, Send("after"), Finish], &["made", "data beforeafter", "eof", "lost"]);
}

#[test]
fn an_urgent_byte_is_not_forgotten_while_reading_is_paused() {
    let paused = |on: On<'_>, transport: &mut Transport<'_, Journal>, _: &mut Journal| {
        if on == On::Made {
            transport.pause_reading();
        }
    };
    check_urgent(&[Send("before"), Urgent, Send("after")], paused, &["made", "data beforeafter"]);
}

#[test]
fn who_is_reset_reads_no_end_and_who_is_aborted_does() {
    everywhere(|world| {
        world.serve(|on, transport, _| match on {
            On::Data(b"r") => {
                transport.write(b"never sent");
                transport.reset();
            }
            On::Data(_) => transport.abort(),
            _ => {}
        });
        for (who, ask, ending) in [("s1", "r", Ending::Reset), ("s2", "a", Ending::Fin)] {
            let client = world.connect();
            world.send(client, ask.as_bytes());
            world.quiet();
            world.told(who, &["made", &format!("data {ask}"), "lost"]);
            assert_eq!((world.received(client), world.ending(client)), (b"".as_slice(), Some(ending)));
        }
    });
}

/// Connects `c` to there, from an address of loopback or one that is nobody's.
fn dial_from(world: &mut dyn World, to: SocketAddr, from: [u8; 4]) {
    let connect = Connect::to(to).local_addr((from, 0).into());
    world.enter(|event_loop, _| event_loop.connect_with(connect, Recorder::new("c", listen_only)));
}

#[test]
fn who_connects_from_an_address_has_it() {
    calmly(|world| {
        world.serve(|on, transport, journal| {
            if on == On::Made {
                journal.note("peers", ends(transport)[0].ip().to_string());
            }
        });
        let address = world.address();
        dial_from(world, address, [127, 0, 0, 3]);
        world.quiet();
        world.told("peers", &["127.0.0.3"]);
        let nobody = world.another_address();
        dial_from(world, nobody, [127, 0, 0, 3]);
        world.quiet();
        world.told("c", &["made", "lost ConnectionRefused"]);
    });
}

#[test]
fn nobody_connects_from_an_address_that_is_not_here() {
    on_sockets(|world| {
        world.serve(listen_only);
        let address = world.address();
        // TEST-NET-3 (RFC 5737).
        dial_from(world, address, [203, 0, 113, 1]);
        world.quiet();
        world.told("c", &["lost AddrNotAvailable"]);
    });
}
