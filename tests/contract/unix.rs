//! Unix sockets: the same promises, and what becomes of their files.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use proxy_herd::event_loop::{ListenerId, Security, ServerSecurity, Transport};

use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::world::{Door, World, bytes, calmly, on_sockets};

/// A folder, and a path in it that is free.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("herd.sock");
    (folder, path)
}

/// Has the loop listen, and note what becomes of it; connections echo.
fn open(world: &mut dyn World, path: &Path) -> ListenerId {
    let listener = world.enter(|event_loop, _| event_loop.listen(path, ServerSecurity::Plain, Door));
    world.quiet();
    listener
}

/// Has the loop connect to a path as `c`.
fn dial<R>(world: &mut dyn World, path: &Path, react: R)
where
    R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + 'static,
{
    world.enter(|event_loop, _| event_loop.connect(path, Security::Plain, Recorder::new("c", react)));
}

#[test]
fn a_conversation_over_a_unix_socket() {
    let (_folder, path) = place();
    calmly(|world| {
        let factory = |journal: &mut Journal| {
            Recorder::new(&journal.next_name(), |on, transport, journal| {
                echo(on, transport, journal);
                if on == On::Made {
                    let endpoints = transport.endpoints().expect("it is connected");
                    journal.note("ends", format!("{} to {}", endpoints.peer, endpoints.local));
                    assert_eq!((transport.peer_addr(), transport.local_addr()), (None, None), "no IP");
                }
            })
        };
        world.enter(|event_loop, _| event_loop.listen(path.as_path(), ServerSecurity::Plain, factory));
        dial(world, &path, |on, transport, journal| match on {
            On::Made => {
                let endpoints = transport.endpoints().expect("it is connected");
                journal.note("ends", format!("{} to {}", endpoints.local, endpoints.peer));
                transport.write(b"hello");
            }
            On::Data(_) => transport.close(),
            _ => {}
        });
        world.until_lost("s1");
        world.told("c", &["made", "data hello", "lost"]);
        world.told("s1", &["made", "data hello", "eof", "lost"]);
        let ends = format!("a Unix socket to {}", path.display());
        world.told("ends", &[&ends, &ends]);
    });
}

#[test]
fn all_that_waits_is_read_and_sent_without_new_edges() {
    let (_folder, path) = place();
    on_sockets(|world| {
        open(world, &path);
        let mut half = UnixStream::connect(&path).expect("it listens");
        let mut other = half.try_clone().expect("a descriptor");
        let sent = bytes(4 * 1024 * 1024);
        let expected = sent.clone();
        let writer = thread::spawn(move || half.write_all(&sent).and_then(|()| half.shutdown(Shutdown::Write)));
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            other.read_to_end(&mut all).map(|_| all)
        });
        world.until_lost("s1");
        world.quiet();
        writer.join().expect("it has written").expect("it is read");
        assert!(reader.join().expect("it reads").expect("an orderly end") == expected);
    });
}

#[test]
fn who_is_not_there_refuses() {
    let (_folder, path) = place();
    let check = |world: &mut dyn World, expected: &str| {
        let before = world.journal().of("c").len();
        dial(world, &path, listen_only);
        world.quiet();
        let lost = format!("lost {expected}: connect to {}:", path.display());
        let told = world.journal().of("c").split_off(before);
        assert!(told.len() == 1 && told[0].starts_with(&lost), "{told:?}, not {lost}");
    };
    on_sockets(|world| {
        check(world, "NotFound");
        drop(UnixListener::bind(&path).expect("a free path"));
        check(world, "ConnectionRefused");
    });
}

#[test]
fn the_file_goes_with_the_listener() {
    let (_folder, path) = place();
    on_sockets(|world| {
        let listener = open(world, &path);
        let _client = UnixStream::connect(&path).expect("it listens");
        world.quiet();
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.quiet();
        assert!(!path.exists());
        world.told("s1", &["made"]);
        // And with the process.
        open(world, &path);
        assert!(path.exists());
        world.enter(|event_loop, _| event_loop.stop());
        world.until("the end", |world| !world.is_running());
        assert!(!path.exists());
    });
}

#[test]
fn a_path_in_use_is_left_alone_and_a_file_for_good() {
    let (folder, path) = place();
    let letter = folder.path().join("letter");
    std::fs::write(&letter, "dear reader").expect("a writable folder");
    on_sockets(|world| {
        let first = format!("listening {}", path.display());
        let second = format!("failed AddrInUse: {}: somebody listens there", path.display());
        let third = format!("failed AlreadyExists: {}: there is something that is no socket", letter.display());
        open(world, &path);
        open(world, &path);
        world.until(&second, |world| world.journal().of("door").len() == 2);
        world.told("door", &[&first, &second]);
        assert!(UnixStream::connect(&path).is_ok());
        open(world, &letter);
        world.until("failure", |world| world.journal().of("door").len() == 3);
        world.told("door", &[&first, &second, &third]);
        assert_eq!(std::fs::read_to_string(&letter).ok().as_deref(), Some("dear reader"));
    });
}

#[test]
fn a_provided_unix_listener_is_used_and_its_file_left() {
    let (_folder, path) = place();
    on_sockets(|world| {
        let listener = UnixListener::bind(&path).expect("a free path");
        let mut early = UnixStream::connect(&path).expect("somebody will listen");
        early.write_all(b"early").expect("it is connected");
        world.loopback().sockets().provide(listener);
        open(world, &path);
        world.told("s1", &["made", "data early"]);
        world.enter(|event_loop, _| event_loop.stop());
        world.until("the end", |world| !world.is_running());
        assert!(path.exists());
    });
}
