//! The line clients.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::program::{Peer, Program};

pub(crate) fn check(name: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("free");
    let server = format!("localhost:{}", listener.local_addr().expect("bound").port());
    let start = |questions: &[&str]| {
        let program = Program::start(name, &[&[server.as_str()], questions].concat());
        (program, Peer::accept(&listener))
    };
    let check_end = |program: Program, answers: &[&str], error: &str| {
        let code = if error.is_empty() { 0 } else { 1 };
        let error = if error.is_empty() { String::new() } else { format!("Error: \"{server}: {error}\"\n") };
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        assert_eq!(program.end(), (Some(code), answers, error), "{name}");
    };

    // Half an answer, which is waited for while the others have theirs.
    let begun = Instant::now();
    let (slow, mut slow_peer) = start(&["one", "two"]);
    slow_peer.says("ONE\nTW");

    // One line, one answer; the next line waits for it.
    let (program, mut peer) = start(&["one", "two words"]);
    peer.hears("one\n");
    peer.says("ONE");
    peer.says("\n");
    peer.hears("two words\n");
    peer.says("TWO\nand more\n");
    peer.hears_the_end();
    check_end(program, &["ONE", "TWO"], "");

    // Answers that come too early are answers.
    let (program, mut peer) = start(&["one", "two"]);
    peer.says("ONE\nTWO\n");
    peer.hears("one\ntwo\n");
    peer.hears_the_end();
    check_end(program, &["ONE", "TWO"], "");

    let (program, mut peer) = start(&[]);
    peer.hears_the_end();
    check_end(program, &[], "");

    // An early end; half a line is no answer.
    for (said, heard) in [("", &[][..]), ("ON", &[]), ("ONE\n", &["ONE"]), ("ONE\nTW", &["ONE"])] {
        let (program, mut peer) = start(&["one", "two"]);
        peer.says(said);
        peer.hears("one\n");
        if !heard.is_empty() {
            peer.hears("two\n");
        }
        peer.ends();
        check_end(program, heard, "it has gone without an answer");
    }

    let (program, mut peer) = start(&["one"]);
    peer.says(&"x".repeat(64 * 1024 + 1));
    check_end(program, &[], "its answer is too long");

    let (program, mut peer) = start(&["one"]);
    let longest = "x".repeat(64 * 1024);
    peer.says(&format!("{longest}\n"));
    check_end(program, &[&longest], "");

    check_end(slow, &["ONE"], "it does not answer");
    assert!(begun.elapsed() >= Duration::from_secs(3));

    drop(listener);
    let (code, answers, error) = Program::start(name, &[&server, "one"]).end();
    assert_eq!((code, answers), (Some(1), vec![]), "{name}");
    assert!(error.starts_with(&format!("Error: \"{server}: ")) && error.contains("refused"), "{name}: {error}");

    let (code, answers, error) = Program::start(name, &["localhost"]).end();
    let wanted = "Error: \"\\\"localhost\\\" is not HOST:PORT (an IPv6 address needs brackets)\"\n";
    assert_eq!((code, answers, error.as_str()), (Some(1), vec![], wanted), "{name}");
}
