//! The echo servers.

use crate::program::{Peer, Program, is_deserted};

pub(crate) fn check(name: &str) {
    let (server, address) = Program::serve(name, &["127.0.0.1:0"]);
    // It tries for two seconds.
    let other = Program::start(name, &[&address.to_string()]);

    let mut ann = Peer::connect(address);
    server.prints(&format!("{} is here", ann.name()));
    ann.says("hello");
    ann.hears("hello");
    ann.says("bye");
    ann.ends();
    ann.hears("bye");
    ann.hears_the_end();
    server.prints(&format!("{} is gone", ann.name()));

    // Who does not read is not read from, and loses nothing.
    let mut bob = Peer::connect(address);
    server.prints(&format!("{} is here", bob.name()));
    let count = bob.floods();
    bob.ends();
    bob.drinks(count);
    bob.hears_the_end();
    server.prints(&format!("{} is gone", bob.name()));

    let cat = Peer::connect(address);
    let peer = cat.name();
    server.prints(&format!("{peer} is here"));
    cat.resets();
    server.prints_of(&[&format!("{peer} is gone: "), "reset"]);

    other.ends_shut_out(address);

    // Told to stop, it lets those who are there finish.
    let mut dan = Peer::connect(address);
    server.prints(&format!("{} is here", dan.name()));
    server.signal("TERM");
    server.prints("Shutting down");
    is_deserted(address);
    dan.says("wait");
    dan.hears("wait");
    dan.ends();
    dan.hears_the_end();
    assert_eq!(server.end(), (Some(0), vec![format!("{} is gone", dan.name())], String::new()), "{name}");

    // Told twice, it does not wait for them.
    let (server, address) = Program::serve(name, &["127.0.0.1:0"]);
    let eve = Peer::connect(address);
    server.prints(&format!("{} is here", eve.name()));
    server.signal("INT");
    server.prints("Shutting down");
    is_deserted(address);
    server.signal("TERM");
    assert_eq!(server.end(), (None, vec![], String::new()), "{name}: the signal has ended it");
}
