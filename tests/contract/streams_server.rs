//! Promises about servers whose connections are tasks: how one begins, what its handlers' ends mean, how it is closed.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::ServerSecurity;
use proxy_herd::streams::{Handle, Task, race};

use crate::logbook::all_logged;
use crate::recorder::Journal;
use crate::streams_stage::{Stage, WHY, check, descriptors, polled};
use crate::world::{Client, FAR_TOO_MUCH, LONG, World, calm, calmly, everywhere, on_sockets, simulated};

/// Two clients of a server of actors.
fn two(world: &mut dyn World) -> (Stage, [Client; 2]) {
    let stage = Stage::new(world);
    stage.serve(world, ServerSecurity::Plain, None);
    let clients = [(); 2].map(|()| {
        let client = world.connect();
        world.quiet();
        client
    });
    (stage, clients)
}

/// Has panics noted as `handler`.
fn watch(world: &mut dyn World) {
    world.enter(|event_loop, _| {
        event_loop.set_exception_handler(|_, journal, panicked| journal.note("handler", panicked.to_string()));
    });
}

#[test]
fn a_server_finds_a_port_and_says_which() {
    calmly(|world| {
        let stage = Stage::new(world);
        let task = stage.clone();
        stage.spawn(async move {
            let anywhere = ([127, 0, 0, 1], 0);
            let start = task.handle.start_server(anywhere, ServerSecurity::Plain, |mut reader, writer| async move {
                writer.write(reader.read(100).await?);
                writer.drain().await
            });
            let server = start.await.expect("there is a free port");
            task.note("door", server.address().to_string()).await;
            server.serve_forever().await
        });
        world.quiet();
        let address = world.journal().of("door")[0].parse::<SocketAddr>().expect("an address");
        assert_ne!(address.port(), 0);
        let client = world.connect_to(address);
        world.send(client, b"hello");
        world.quiet();
        assert_eq!((world.received(client), world.ending(client)), (b"hello".as_slice(), Some(Ending::Fin)));
    });
}

#[test]
fn a_server_that_cannot_have_its_address_says_which() {
    calm(|world| {
        let stage = Stage::new(world);
        stage.serve(world, ServerSecurity::Plain, None);
        let (task, address) = (stage.clone(), world.address());
        stage.spawn(async move {
            let start = task.handle.start_server(address, ServerSecurity::Plain, |_, _| async { Ok(()) });
            let error = start.await.err().expect("it is in use");
            task.note("second", format!("{:?}: {error}", error.kind())).await;
        });
        world.sim().run_for(Duration::from_millis(1_990));
        world.told("second", &[]);
        world.sim().run_for(Duration::from_millis(60));
        let expected = format!("AddrInUse: {address}: address in use");
        world.told("second", &[&expected]);
        // The one who has it is not disturbed.
        let client = world.connect();
        stage.play(world, client, "s1", &[("write hello", ""), ("<", "hello")]);
    });
}

/// A task that gives up starting a server, in this way: nobody listens, and no descriptor is left.
fn check_given_up<F: Future>(give_up: impl Fn(Handle<Journal>, SocketAddr) -> F + Copy + 'static) {
    calm(|world| {
        let (stage, address) = (Stage::new(world), world.address());
        let handle = stage.handle.clone();
        stage.spawn(async move { drop(give_up(handle, address).await) });
        world.quiet();
        let client = world.connect();
        world.quiet();
        assert_eq!(world.ending(client), Some(Ending::Refused), "{}", world.trace());
    });
    on_sockets(|world| {
        let stage = Stage::new(world);
        let handle = stage.handle.clone();
        world.quiet();
        let before = descriptors();
        stage.spawn(async move { drop(give_up(handle, ([127, 0, 0, 1], 0).into()).await) });
        world.quiet();
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn who_gives_up_starting_a_server_leaves_no_listener() {
    let start = |handle: Handle<Journal>, address: SocketAddr| async move {
        handle.start_server(address, ServerSecurity::Plain, |_, _| async { Ok(()) }).await
    };
    // At any time, up to when it listens, and beyond.
    for polls in 0..30 {
        check_given_up(move |handle, address| polled(polls, start(handle, address)));
    }
    // When the loop has just listened for it, and it does not know.
    check_given_up(move |handle, address| async move {
        drop(race(handle.call(|_, _| ()), start(handle.clone(), address)).await);
    });
    // While it waits for an address that somebody else has.
    calm(|world| {
        let stage = Stage::new(world);
        stage.serve(world, ServerSecurity::Plain, None);
        let (handle, address) = (stage.handle.clone(), world.address());
        stage.spawn(async move {
            let start = handle.start_server(address, ServerSecurity::Plain, |_, _| async { Ok(()) });
            assert!(handle.timeout(Duration::from_secs(1), start).await.is_err());
        });
        world.sim().run_for(Duration::from_millis(1_100));
        stage.tell("door", "close");
        world.sim().run_for(LONG);
        let client = world.connect();
        world.quiet();
        assert_eq!(world.ending(client), Some(Ending::Refused));
    });
}

#[test]
fn a_dropped_server_listens_no_more_and_leaves_its_connections() {
    for end in ["drop", "close"] {
        everywhere(|world| {
            let (stage, [old, _]) = two(world);
            stage.play(world, old, "door", &[(end, "")]);
            let new = world.connect();
            world.quiet();
            assert_eq!(world.ending(new), Some(Ending::Refused));
            stage.play(world, old, "s1", &[("> hello", ""), ("read 5", "hello"), ("write hello", ""), ("<", "hello")]);
        });
    }
}

#[test]
fn a_server_is_closed_when_its_last_connection_is_lost() {
    everywhere(|world| {
        let (stage, [one, other]) = two(world);
        stage.play(
            world,
            one,
            "door",
            &[("also wait_closed", ""), ("also wait_closed", ""), ("close", ""), ("close", "")],
        );
        stage.play(world, one, "s1", &[("return", "")]);
        stage.play(world, other, "s2", &[("write hello", ""), ("<", "hello"), ("close", "")]);
        world.told("door", &["also closed", "also closed"]);
        stage.play(world, one, "door", &[("wait_closed", "closed"), ("wait_closed", "closed")]);
    });
    // Nobody was there.
    everywhere(|world| {
        let stage = Stage::new(world);
        stage.serve(world, ServerSecurity::Plain, None);
        stage.tell("door", "close");
        stage.tell("door", "wait_closed");
        world.quiet();
        world.told("door", &["closed"]);
    });
}

#[test]
fn clients_of_a_server_are_closed_or_aborted_and_their_tasks_read_the_end() {
    let check = |world: &mut dyn World, end: &str, size: usize| {
        let (stage, [one, slow]) = two(world);
        stage.play(world, one, "s1", &[("> one\ntw", ""), ("read_line", "one\\n"), ("read_line", "")]);
        stage.play(world, slow, "s2", &[("deaf", ""), (&format!("bytes {size}"), ""), ("drain", "")]);
        stage.play(world, one, "door", &[("also wait_closed", ""), (end, "")]);
        world.told("s1", &["one\\n", "tw"]);
        stage.play(world, one, "s1", &[("read_line", "nothing"), ("wait_closed", "ok"), ("<", "nothing, Fin")]);
        // What waits is still sent, or is not.
        let told: &[&str] = if end == "close_clients" { &[] } else { &["failed ConnectionReset"] };
        world.told("s2", told);
        world.go_on_reading(slow);
        world.until("the end", |world| world.ending(slow).is_some());
        assert_eq!(world.received(slow).len() == size, end == "close_clients");
        world.until("the end of drain", |world| !world.journal().of("s2").is_empty());
        world.told("s2", &["failed ConnectionReset"]);
        // It listens on.
        let new = world.connect();
        stage.play(world, new, "s3", &[("write hello", ""), ("<", "hello")]);
        world.told("door", &[]);
    };
    for end in ["close_clients", "abort_clients"] {
        simulated(|world| check(world, end, 500_000));
        on_sockets(|world| check(world, end, FAR_TOO_MUCH));
    }
}

#[test]
fn shut_down_gives_tasks_their_time() {
    calm(|world| {
        let (stage, [one, other]) = two(world);
        stage.play(world, one, "door", &[("also wait_closed", ""), ("shut_down 3", "")]);
        stage.play(world, one, "s1", &[("write goodbye", ""), ("return", ""), ("<", "goodbye, Fin")]);
        stage.play(world, other, "s2", &[("read_line", "")]);
        world.told("door", &[]);
        world.sim().run_for(LONG);
        world.told("s2", &["nothing"]);
        world.told("door", &["also closed"]);
        assert_eq!(world.ending(other), Some(Ending::Fin));
    });
}

#[test]
fn handler_error_closes_connection() {
    everywhere(|world| {
        watch(world);
        let (stage, [one, other]) = two(world);
        let said = all_logged(|| {
            stage.play(world, one, "s1", &[("write hello", ""), ("fail", ""), ("<", "hello, Fin")]);
        });
        let id = world.journal().id("s1");
        assert_eq!(said, [format!("INFO {id} is closed: {WHY}")]);
        world.told("handler", &[]);
        stage.play(world, other, "s2", &[("write hello", ""), ("<", "hello")]);
    });
}

#[test]
fn a_handler_that_returns_closes_its_connection() {
    check(&[("write hello", ""), ("return", ""), ("<", "hello, Fin")]);
    // Though the peer is still sending, or has ended.
    check(&[("write hello", ""), ("FIN", ""), ("return", ""), ("<", "hello, Fin")]);
}

#[test]
fn handler_panic_aborts_connection() {
    everywhere(|world| {
        watch(world);
        let (stage, [one, other]) = two(world);
        // What was written with the last breath is not sent: nobody may take it for all.
        stage.tell("s1", "write hello");
        stage.tell("s1", "panic");
        world.quiet();
        assert!(world.ending(one).is_some());
        let expected = format!("a task of {} panicked: {WHY}", world.journal().id("s1"));
        world.told("handler", &[&expected]);
        stage.play(world, other, "s2", &[("write hello", ""), ("<", "hello")]);
    });
    // Before it has made a task.
    everywhere(|world| {
        watch(world);
        let stage = Stage::new(world);
        let count = Cell::new(0);
        let actors = stage.clone();
        stage.serve_with(world, ServerSecurity::Plain, move |reader, writer| {
            assert!(count.replace(count.get() + 1) > 0, "{WHY}");
            actors.clone().act(None, reader, writer, None)
        });
        let bad = world.connect();
        world.quiet();
        let good = world.connect();
        stage.play(world, good, "s1", &[("write hello", ""), ("<", "hello")]);
        assert!(world.ending(bad).is_some());
        let panicked = world.journal().of("handler");
        assert!(panicked.len() == 1 && panicked[0].starts_with("connection_made of "), "{panicked:?}");
    });
}

#[test]
fn handler_cancel_closes() {
    // Where it waits, and with what it has written.
    for order in ["read_line", "read_exact 100", "wait_closed", "woken", "at_eof"] {
        everywhere(|world| {
            let stage = Stage::new(world);
            let task: Rc<Cell<Option<Task<_>>>> = Rc::default();
            let (actors, kept) = (stage.clone(), Rc::clone(&task));
            stage.serve_with(world, ServerSecurity::Plain, move |reader, writer| {
                kept.set(Some(actors.handle.spawn(actors.clone().act(None, reader, writer, None))));
                async { Ok(()) }
            });
            let client = world.connect();
            let said = if order == "at_eof" { "false" } else { "" };
            stage.play(world, client, "s1", &[("write hello", ""), ("> one", ""), (order, said), ("<", "hello")]);
            drop(task.take());
            world.quiet();
            stage.play(world, client, "s1", &[("<", "nothing, Fin")]);
        });
    }
}

#[test]
fn a_handler_that_waits_for_ever_is_what_a_timeout_is_for() {
    // The peer has ended: that alone ends nobody.
    let serve = |world: &mut dyn World, patience: Option<Duration>| {
        let stage = Stage::new(world);
        let handle: Handle<Journal> = stage.handle.clone();
        stage.serve_with(world, ServerSecurity::Plain, move |_reader, writer| {
            let handle = handle.clone();
            async move {
                let end = writer.wait_closed();
                match patience {
                    Some(patience) => handle.timeout(patience, end).await?,
                    None => end.await,
                }
            }
        });
        let client = world.connect();
        world.half_close(client);
        world.sim().run_for(LONG);
        world.ending(client)
    };
    calm(|world| assert_eq!(serve(world, None), None));
    calm(|world| assert_eq!(serve(world, Some(Duration::from_secs(2))), Some(Ending::Fin)));
}

#[test]
fn a_listener_whose_factory_is_written_by_hand_makes_tasks() {
    everywhere(|world| {
        let stage = Stage::new(world);
        let (actors, address) = (stage.clone(), world.address());
        world.listen(address, ServerSecurity::Plain, move |_: &mut Journal| {
            let stage = actors.clone();
            actors.handle.protocol(move |reader, writer| stage.act(None, reader, writer, None))
        });
        let client = world.connect();
        world.quiet();
        stage.play(world, client, "s1", &[("> hello", ""), ("read 5", "hello"), ("return", ""), ("<", "nothing, Fin")]);
    });
}

#[test]
fn while_a_task_reads_others_write_and_wait() {
    check(&[
        ("also wait_closed", ""),
        ("also woken", ""),
        ("read_line", ""),
        ("> hello", ""),
        ("> \n", "hello\\n"),
        ("close", "also ok; also woken"),
    ]);
}
