//! Promises about connecting from a task: whom one gets to, why not, and that who gives up leaves nothing behind.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::event_loop::{ConnId, Connect, Endpoints, EventLoop, Security, ServerSecurity, Target};
use proxy_herd::streams::{Handle, ReadError, race};

use crate::recorder::{Journal, Recorder, listen_only};
use crate::streams_stage::{Stage, descriptors, polled, shown};
use crate::world::{LONG, calm, calmly, everywhere};

/// A task that connects, and notes as `c` what comes of it.
fn connect(stage: &Stage, connect: Connect) {
    let task = stage.clone();
    stage.spawn(async move {
        let said = match task.handle.open_connection_with(connect).await {
            Ok((_, writer)) => format!("to {}", writer.peer()),
            Err(error) => format!("{:?}: {error}", error.kind()),
        };
        task.note("c", said).await;
    });
}

#[test]
fn a_task_connects_and_talks() {
    everywhere(|world| {
        let stage = Stage::new(world);
        stage.serve(world, ServerSecurity::Plain, None);
        stage.dial(world, "c", Security::Plain, None);
        stage.direct(
            world,
            &[
                ("c: write one\ntwo", ""),
                ("s1: read_line", "s1 one\\n"),
                ("c: read_line", ""),
                ("s1: write three\n", "c three\\n"),
                ("c: return", ""),
                ("s1: read_line", "s1 two"),
                ("s1: at_eof", "s1 true"),
            ],
        );
    });
}

#[test]
fn a_refused_connection_says_by_whom() {
    everywhere(|world| {
        let (stage, address) = (Stage::new(world), world.address());
        connect(&stage, Connect::to(address));
        world.quiet();
        let said = world.journal().of("c").concat();
        assert!(said.starts_with(&format!("ConnectionRefused: connect to {address}: ")), "{said}");
    });
}

#[test]
fn connecting_by_name_and_to_nobody() {
    let check = |target: Target, within: Duration, expected: &str| {
        calm(|world| {
            let stage = Stage::new(world);
            stage.serve(world, ServerSecurity::Plain, None);
            world.sim().name("herd.example", [[127, 0, 0, 1].into()]);
            world.sim().ignore(SILENT);
            connect(&stage, Connect::to(target.clone()));
            world.sim().run_for(within);
            let said = world.journal().of("c").concat();
            assert!(said.starts_with(expected), "{said:?} should be {expected}");
        });
    };
    check(("herd.example", 11645).into(), LONG, "to 127.0.0.1:11645");
    check(("nowhere.example", 11645).into(), LONG, "NotFound: ");
    check(SILENT.into(), Duration::from_millis(9_999), "");
    check(SILENT.into(), Duration::from_millis(10_001), "TimedOut: ");
}

/// Does not say a word.
const SILENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7);

/// A task that gives up connecting, in this way: the attempt is given up, and no descriptor is left.
fn check_given_up<F: Future>(give_up: impl Fn(Handle<Journal>, SocketAddr) -> F + Copy + 'static) {
    everywhere(|world| {
        let (stage, address) = (Stage::new(world), world.address());
        world.serve(listen_only);
        world.quiet();
        let before = descriptors();
        let handle = stage.handle.clone();
        stage.spawn(async move { drop(give_up(handle, address).await) });
        world.quiet();
        let journal = world.journal();
        assert_eq!(journal.times("s1", "made") == 1, journal.is_lost("s1"), "{}", world.trace());
        world.told("s2", &[]);
        if world.trace() == "on sockets" {
            assert_eq!(descriptors(), before);
        }
    });
}

async fn open(handle: Handle<Journal>, address: SocketAddr) -> io::Result<()> {
    handle.open_connection(address, Security::Plain).await.map(drop)
}

#[test]
fn who_gives_up_connecting_leaves_nothing() {
    for polls in 0..40 {
        check_given_up(move |handle, address| polled(polls, open(handle, address)));
    }
    check_given_up(|handle, address| async move {
        drop(race(handle.call(|_, _| ()), open(handle.clone(), address)).await);
    });
    // Nobody answers, and it has waited long enough.
    calm(|world| {
        let stage = Stage::new(world);
        world.listen(SILENT, ServerSecurity::Plain, |_: &mut Journal| Recorder::new("silent", listen_only));
        world.sim().ignore(SILENT);
        let handle = stage.handle.clone();
        stage.spawn(async move {
            assert!(handle.timeout(Duration::from_secs(1), open(handle.clone(), SILENT)).await.is_err());
        });
        world.sim().run_for(Duration::from_millis(1_100));
        world.sim().readmit(SILENT);
        world.sim().run_for(LONG);
        world.told("silent", &[]);
    });
}

#[test]
fn who_has_the_loop_at_hand_connects_without_waiting() {
    calmly(|world| {
        let stage = Stage::new(world);
        stage.serve(world, ServerSecurity::Plain, None);
        let (handle, address) = (stage.handle.clone(), world.address());
        let [kept, dropped] = [(); 2].map(|()| {
            let handle = handle.clone();
            world.enter(move |event_loop, _| handle.connect(event_loop, Connect::to(address)))
        });
        let id = kept.id();
        assert_ne!(id, dropped.id());
        drop(dropped);
        world.quiet();
        let task = stage.clone();
        stage.spawn(async move {
            let (mut reader, writer) = kept.await.expect("somebody listens");
            assert_eq!(writer.id(), id);
            writer.write(b"hello\n");
            let answer = reader.read_line().await.map(<[u8]>::to_vec);
            task.note("c", format!("{}", answer.expect("an answer").escape_ascii())).await;
        });
        world.quiet();
        let client = world.connect();
        stage.play(world, client, "s1", &[("read_line", "hello\\n"), ("write hi\n", "")]);
        world.told("c", &["hi\\n"]);
    });
}

/// What happens to a connection before anybody has looked at its opening.
type Happens = fn(&mut EventLoop<()>, ConnId);

#[test]
fn who_looks_when_the_connection_is_lost_again_reads_what_came() {
    let made: Happens = |event_loop, id| {
        assert!(event_loop.connected(id, Endpoints::new(SILENT, SILENT)));
    };
    let data: Happens = |event_loop, id| event_loop.received(id, b"hello");
    let ended: Happens = |event_loop, id| event_loop.received_eof(id);
    let failed: Happens = |event_loop, id| event_loop.lost(id, io::ErrorKind::ConnectionReset.into());
    let aborted: Happens = |event_loop, id| {
        event_loop.enter(|event_loop, ()| event_loop.transport(id).expect("it lives").abort());
    };
    let refused: Happens = |event_loop, id| {
        event_loop.connect_failed(id, SILENT, io::ErrorKind::ConnectionRefused.into());
    };
    let conversations: [(&[Happens], &str); 9] = [
        (&[made, data, failed], "made, hello, failed ConnectionReset"),
        (&[made, data, aborted], "made, hello, nothing"),
        (&[made, data, ended, failed], "made, hello, nothing"),
        (&[made, data, ended, aborted], "made, hello, nothing"),
        (&[made, failed], "made, failed ConnectionReset, failed ConnectionReset"),
        (&[made, aborted], "made, nothing, nothing"),
        (&[failed], "ConnectionReset"),
        (&[refused], "ConnectionRefused"),
        (&[aborted], "ConnectionAborted"),
    ];
    for (happens, expected) in conversations {
        for in_one_turn in [true, false] {
            let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
            let end_turn = |event_loop: &mut EventLoop<()>| {
                event_loop.end_turn();
                event_loop.advance(Instant::now(), SystemTime::now());
            };
            let (handle, opening) = event_loop.enter(|event_loop, ()| {
                let handle = Handle::new(event_loop);
                let opening = handle.connect(event_loop, Connect::to(SILENT));
                (handle, opening)
            });
            for happens in happens {
                happens(&mut event_loop, opening.id());
                if !in_one_turn {
                    end_turn(&mut event_loop);
                }
            }
            let looks = handle.spawn(async move {
                let (mut reader, writer) = match opening.await {
                    Ok(ends) => ends,
                    Err(error) => return format!("{:?}", error.kind()),
                };
                assert_eq!((writer.peer(), writer.is_closing()), (SILENT.into(), true));
                let first = shown(reader.read(5).await.map_err(ReadError::Failed));
                format!("made, {first}, {}", shown(reader.read(5).await.map_err(ReadError::Failed)))
            });
            for _ in 0..3 {
                end_turn(&mut event_loop);
            }
            assert_eq!(looks.result().as_deref(), Ok(expected), "in one turn: {in_one_turn}");
        }
    }
}
