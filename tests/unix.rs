//! Unix sockets: the same promises, and what becomes of their files.
#![cfg(unix)]

#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "contract/recorder.rs"]
mod recorder;
#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "sockets/stage.rs"]
mod stage;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use proxy_herd::event_loop::{Security, ServerSecurity};

use crate::recorder::{On, echo, listen_only};
use crate::stage::{React, Stage};

/// A stage with a folder, and a path in it where it listens.
fn serve(react: React) -> (tempfile::TempDir, std::path::PathBuf, Stage) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("herd.sock");
    let mut stage = Stage::new();
    serve_on(&mut stage, &path, react);
    (folder, path, stage)
}

fn serve_on(stage: &mut Stage, path: &Path, react: React) {
    stage.serve_on(path, ServerSecurity::Plain, react);
    stage.until_said("door", path.to_str().expect("it is text"));
}

#[test]
fn a_conversation_over_a_unix_socket() {
    let (_folder, path, mut stage) = serve(|on, transport, journal| {
        echo(on, transport, journal);
        if on == On::Made {
            let endpoints = transport.endpoints().expect("it is connected");
            journal.note("ends", format!("{} to {}", endpoints.peer, endpoints.local));
        }
    });
    stage.dial(path.as_path(), Security::Plain, |on, transport, journal| match on {
        On::Made => {
            let endpoints = transport.endpoints().expect("it is connected");
            journal.note("ends", format!("{} to {}", endpoints.local, endpoints.peer));
            transport.write(b"hello");
        }
        On::Data(_) => transport.close(),
        _ => {}
    });
    stage.until_lost("c");
    stage.until_lost("s1");
    assert_eq!(stage.said("c"), ["made", "data hello", "lost"]);
    assert_eq!(stage.said("s1"), ["made", "data hello", "eof", "lost"]);
    assert_eq!(stage.said("ends"), [(); 2].map(|()| format!("a Unix socket to {}", path.display())));
}

#[test]
fn all_that_waits_is_read_and_sent_without_new_edges() {
    let (_folder, path, mut stage) = serve(echo);
    let mut half = UnixStream::connect(&path).expect("somebody listens");
    let mut other = half.try_clone().expect("a descriptor");
    let sent: Vec<u8> = (0..4 * 1024 * 1024).map(|index| (index % 251) as u8).collect();
    let expected = sent.clone();
    let writer = thread::spawn(move || half.write_all(&sent).and_then(|()| half.shutdown(Shutdown::Write)));
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        other.read_to_end(&mut all).map(|_| all)
    });
    stage.until_lost("s1");
    writer.join().expect("it has written").expect("it is read");
    assert!(reader.join().expect("it reads").expect("an orderly end") == expected);
}

#[test]
fn who_is_not_there_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("herd.sock");
    let mut stage = Stage::new();
    let mut check = |expected: &str| {
        stage.dial(path.as_path(), Security::Plain, listen_only);
        let lost = format!("lost {expected}: connect to {}:", path.display());
        stage.until(&lost, |stage| stage.said("c").last().is_some_and(|line| line.starts_with(&lost)));
    };
    check("NotFound");
    drop(UnixListener::bind(&path).expect("a free path"));
    check("ConnectionRefused");
}

#[test]
fn the_file_goes_with_the_listener() {
    let (_folder, path, mut stage) = serve(listen_only);
    let _client = UnixStream::connect(&path).expect("somebody listens");
    stage.until_said("s1", "made");
    let listener = stage.enter(|event_loop, journal| {
        event_loop.transport(journal.id("s1")).and_then(|transport| transport.listener()).expect("it was accepted")
    });
    stage.enter(|event_loop, _| event_loop.close_listener(listener));
    stage.turn();
    assert!(!path.exists());
    assert_eq!(stage.said("s1"), ["made"]);
    // And with the driver.
    stage.serve_on(path.as_path(), ServerSecurity::Plain, listen_only);
    stage.until("file", |_| path.exists());
    drop(stage);
    assert!(!path.exists());
}

#[test]
fn a_path_in_use_is_left_alone_and_a_file_for_good() {
    let (folder, path, mut stage) = serve(listen_only);
    stage.serve_on(path.as_path(), ServerSecurity::Plain, listen_only);
    stage.until_said("door", "AddrInUse");
    assert!(UnixStream::connect(&path).is_ok());
    let file = folder.path().join("letter");
    std::fs::write(&file, "dear reader").expect("a writable folder");
    stage.serve_on(file.as_path(), ServerSecurity::Plain, listen_only);
    stage.until_said("door", "AlreadyExists");
    assert_eq!(std::fs::read_to_string(&file).ok().as_deref(), Some("dear reader"));
}

#[test]
fn a_provided_unix_listener_is_used_and_its_file_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("herd.sock");
    let listener = UnixListener::bind(&path).expect("a free path");
    let mut early = UnixStream::connect(&path).expect("somebody will");
    early.write_all(b"early").expect("it is connected");
    let mut stage = Stage::new();
    stage.sockets.provide(listener);
    serve_on(&mut stage, &path, listen_only);
    stage.until_said("s1", "data early");
    drop(stage);
    assert!(path.exists());
}
