//! The chat rooms.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::program::{Peer, Program};

pub(crate) fn check(name: &str) {
    let (_room, address) = Program::serve(name, &["127.0.0.1:0"]);
    // It tries for two seconds.
    let other = Program::start(name, &[&address.to_string()]);

    let mut ann = come(address, "Ann");
    // Who has not said a name is nobody, and hears nothing.
    let nobody = Peer::connect(address);
    let mut bob = come(address, "Bob");
    ann.hears("* Bob has come\n");
    ann.says("hello ");
    ann.says("Bob\nhow are you?\n");
    bob.hears("Ann: hello Bob\nAnn: how are you?\n");
    bob.says("well\n");
    ann.hears("Bob: well\n");
    drop(nobody);

    // Name and line at once; half a line is not told.
    let mut cat = Peer::connect(address);
    cat.says("Cat\nhi\nby");
    cat.ends();
    cat.hears("* Cat has come\n");
    cat.hears_the_end();
    let cats = "* Cat has come\nCat: hi\n* Cat has gone\n";
    ann.hears(cats);
    bob.hears(cats);

    // The longest line, and one that is too long.
    let longest = "x".repeat(1024);
    bob.says(&format!("{longest}\n{longest}x"));
    ann.hears(&format!("Bob: {longest}\n* Bob has gone\n"));
    bob.is_left();

    let dan = come(address, "Dan");
    ann.hears("* Dan has come\n");
    dan.resets();
    ann.hears("* Dan has gone\n");

    check_who_does_not_read(address, ann);
    other.ends_shut_out(address);
}

/// Who does not read misses lines, whole ones, and hears on afterwards. The others miss nothing.
fn check_who_does_not_read(address: SocketAddr, mut ann: Peer) {
    let mut bob = come(address, "Bob");
    let deaf = come(address, "Deaf");
    ann.hears("* Bob has come\n* Deaf has come\n");
    bob.hears("* Deaf has come\n");
    let line = "x".repeat(1023);
    // Less at once than anybody is paused for.
    let batch = format!("{line}\n").repeat(32);
    let told = format!("Ann: {line}\n").repeat(32);
    for _ in 0..BATCHES {
        ann.says(&batch);
        bob.hears(&told);
    }

    let heard_again = AtomicBool::new(false);
    let count = thread::scope(|scope| {
        let deaf = scope.spawn(|| {
            let lines = BufReader::new(&deaf.0).lines().map(|line| line.expect("text"));
            let expected = format!("Ann: {line}");
            let count =
                lines.take_while(|line| line != "Ann: again").inspect(|line| assert_eq!(*line, expected)).count();
            heard_again.store(true, Ordering::Relaxed);
            count
        });
        while !heard_again.load(Ordering::Relaxed) && !deaf.is_finished() {
            ann.says("again\n");
            bob.hears("Ann: again\n");
        }
        deaf.join().expect("whole lines")
    });
    assert!(count < BATCHES * 32, "all was kept for who does not read");
}

/// Says a name, and waits to be announced.
fn come(address: SocketAddr, name: &str) -> Peer {
    let mut guest = Peer::connect(address);
    guest.says(&format!("{name}\n"));
    guest.hears(&format!("* {name} has come\n"));
    guest
}

/// Of 32 KiB each: together more than the system takes for two sockets.
const BATCHES: usize = 512;
