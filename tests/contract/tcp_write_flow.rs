//! Promises about `write` and its kin, and about `pause_writing` and `resume_writing`.

use std::time::Duration;

use proxy_herd::driver::sim::{Ending, Weather};
use proxy_herd::event_loop::{Loop, Transport};

use crate::logbook::logged;
use crate::recorder::{Act, Journal, On, listen_only};
use crate::simulated::Simulated;
use crate::world::{Client, FAR_TOO_MUCH, World, bytes, calm, calmly, check, everywhere, on_sockets, simulated};

/// A loop that reacts like this, and a client that is connected to it.
fn connected<R>(world: &mut dyn World, react: R) -> Client
where
    R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + Clone + 'static,
{
    world.serve(react);
    let client = world.connect();
    world.quiet();
    client
}

#[test]
fn partial_write_buffers_rest_and_keeps_order() {
    everywhere(|world| {
        let client = connected(world, listen_only);
        let mut expected = Vec::new();
        for round in 0..2000_usize {
            let data = vec![round as u8; (round * 7919) % 300];
            world.with("s1", |transport| transport.write(&data));
            expected.extend(data);
            if round % 10 == 0 {
                world.step();
            }
        }
        world.with("s1", |transport| transport.close());
        world.until_lost("s1");
        world.quiet();
        assert!(world.received(client) == expected, "{} of {}", world.received(client).len(), expected.len());
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

/// A peer that does not read before the system is full: it gets everything all the same, small writes and a large one.
fn read_late(world: &mut dyn World, large: usize) {
    let client = connected(world, listen_only);
    world.stop_reading(client);
    let mut small: Vec<Vec<u8>> = (0..200).map(|round| bytes(1 + round * 7919 % 1000)).collect();
    small.push(bytes(large));
    world.with("s1", |transport| {
        transport.set_close_timeout(Duration::from_secs(60));
        small.iter().for_each(|data| transport.write(data));
        transport.close();
    });
    world.quiet();
    world.told("s1", &["made"]);
    world.go_on_reading(client);
    world.until_lost("s1");
    world.quiet();
    world.told("s1", &["made", "lost"]);
    assert!(world.received(client) == small.concat());
}

#[test]
fn a_peer_that_begins_to_read_late_gets_all_that_waits() {
    simulated(|world| read_late(world, 500_000));
    on_sockets(|world| read_late(world, FAR_TOO_MUCH));
}

#[test]
fn writes_of_one_turn_leave_together() {
    calm(|world| {
        let client = connected(world, |on, transport, _| {
            if let On::Data(data) = on {
                transport.write(data);
                transport.write(b"");
                transport.writelines([b"-".as_slice(), b"", data]);
            }
        });
        world.send(client, b"hello");
        world.quiet();
        assert_eq!(world.received(client), b"hello-hello");
        let trace = world.sim().trace().as_str();
        assert!(trace.contains("Server#2 -> client 0 11 bytes \"hello-hello\""), "{trace}");
    });
}

#[test]
fn empty_write_is_noop() {
    check(
        |on, transport, _| {
            if on == On::Made {
                transport.set_write_buffer_limits(0, 0);
                transport.write(b"");
                transport.writelines([b"".as_slice()]);
                assert_eq!(transport.write_buffer_size(), 0);
            }
        },
        |_, _| {},
        &["made"],
    );
}

#[test]
fn write_eof_flushes_then_fin() {
    everywhere(|world| {
        let client = connected(world, listen_only);
        world.with("s1", |transport| {
            transport.write(&bytes(100_000));
            transport.write_eof();
            transport.write_eof();
        });
        world.until("the end", |world| world.ending(client).is_some());
        assert!(world.received(client) == bytes(100_000));
        assert_eq!(world.ending(client), Some(Ending::Fin));
        // Reading goes on.
        world.send(client, b"still here");
        world.half_close(client);
        world.until_lost("s1");
        assert_eq!(world.journal().bytes_of("s1"), b"still here");
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn write_after_write_eof_is_dropped() {
    everywhere(|world| {
        let client = connected(world, listen_only);
        world.with("s1", |transport| {
            transport.write(b"all");
            transport.write_eof();
            transport.write(b"dropped");
            transport.writelines([b"dropped".as_slice()]);
            assert_eq!(transport.write_buffer_size(), 3);
        });
        world.quiet();
        world.with("s1", |transport| transport.write(b"dropped"));
        world.quiet();
        assert_eq!((world.received(client), world.ending(client)), (b"all".as_slice(), Some(Ending::Fin)));
        world.told("s1", &["made"]);
    });
}

#[test]
fn write_eof_with_nothing_to_send_sends_the_fin_at_once() {
    everywhere(|world| {
        let client = connected(world, listen_only);
        world.with("s1", |transport| transport.write_eof());
        world.quiet();
        assert_eq!(world.ending(client), Some(Ending::Fin));
        world.told("s1", &["made"]);
    });
}

/// A client that does not read, a window of 1000 bytes, marks at `high` and `low`; then steps of writing so much, or of
/// reading everything: what is the protocol told?
#[track_caller]
fn check_marks(high: usize, low: usize, writes: &[usize], expected: &[&str]) {
    let world: &mut dyn World = &mut Simulated::new(0, Weather { window: 1000, ..Weather::default() });
    let client = connected(world, listen_only);
    world.stop_reading(client);
    world.with("s1", |transport| {
        transport.set_write_buffer_limits(high, low);
        transport.write(&[0; 1000]);
    });
    world.quiet();
    for count in writes {
        world.with("s1", |transport| {
            let before = transport.write_buffer_size();
            transport.write(&vec![1; *count]);
            assert_eq!(transport.write_buffer_size(), before + count, "the size is exact");
            assert_eq!(transport.is_writing_paused(), before + count > high, "known at once");
        });
        world.quiet();
    }
    world.go_on_reading(client);
    world.quiet();
    let told = world.journal().of("s1");
    let flow: Vec<&str> = told.iter().map(String::as_str).filter(|line| *line != "made").collect();
    // Sending the first 1000 bytes may have passed the marks as well.
    assert_eq!(&flow[flow.len() - expected.len()..], expected, "marks {high}/{low}, writes {writes:?}");
    let pauses = flow.iter().filter(|line| **line == "paused").count();
    assert_eq!(pauses * 2, flow.len(), "they alternate: {flow:?}");
}

#[test]
fn pause_strictly_above_high_resume_at_or_below_low() {
    check_marks(2000, 500, &[2000], &[]);
    check_marks(2000, 500, &[2001], &["paused", "resumed"]);
    check_marks(2000, 500, &[1000, 1000], &[]);
    check_marks(2000, 500, &[2000, 1], &["paused", "resumed"]);
    check_marks(1000, 0, &[1001], &["paused", "resumed"]);
}

#[test]
fn pause_once() {
    check_marks(1000, 500, &[1001, 1, 5000], &["paused", "resumed"]);
}

#[test]
fn high_zero() {
    check_marks(0, 0, &[1], &["paused", "resumed", "paused", "resumed"]);
}

#[test]
fn a_buffer_that_drains_before_the_callback_returned_is_paused_and_resumed() {
    check(
        |on, transport, journal| {
            if on == On::Made {
                transport.write(&[0; 16 * 1024]);
                transport.set_write_buffer_limits(1024, 0);
                journal.note("s1", "returned");
            }
        },
        |_, _| {},
        &["made", "returned", "paused", "resumed"],
    );
}

/// A window of 1 KiB, and so much that waits, by default marks: a client reads 1 KiB at a time. How much waited when the
/// protocol was told to go on?
#[track_caller]
fn check_default_low(waiting: usize, resumed_at: usize) {
    let world: &mut dyn World = &mut Simulated::new(0, Weather { window: 1024, ..Weather::default() });
    let client = connected(world, |on, transport, journal| {
        if on == On::Resumed {
            journal.note("resumed at", transport.write_buffer_size().to_string());
        }
    });
    world.stop_reading(client);
    world.with("s1", |transport| transport.write(&[0; 1024]));
    world.quiet();
    world.with("s1", |transport| transport.write(&[0; 64 * 1024]));
    world.told("s1", &["made"]);
    world.with("s1", |transport| transport.write(&vec![0; waiting - 64 * 1024]));
    world.told("s1", &["made", "paused"]);
    for _ in 0..waiting / 1024 {
        // It takes what is there, and room for as much again.
        world.go_on_reading(client);
        world.stop_reading(client);
        world.quiet();
    }
    world.told("resumed at", &[&resumed_at.to_string()]);
}

#[test]
fn default_low_is_quarter() {
    check_default_low(64 * 1024 + 1024, 16 * 1024);
    check_default_low(64 * 1024 + 1, 15 * 1024 + 1);
}

#[test]
fn writelines_obeys_watermarks_and_closed_state() {
    let check = |world: &mut dyn World, parts: usize| {
        let client = connected(world, |on, transport, journal| {
            if on == On::Resumed {
                journal.note("s1", format!("{} wait", transport.write_buffer_size()));
                transport.close();
                transport.writelines([b"dropped".as_slice(); 3]);
            }
        });
        let id = world.journal().id("s1");
        world.stop_reading(client);
        let part = bytes(10_000);
        world.with("s1", |transport| {
            transport.set_write_buffer_limits(30_000, 0);
            transport.writelines([part.as_slice(); 3]);
            assert!(!transport.is_writing_paused());
            transport.writelines([b"".as_slice(), b"x"]);
            assert!(transport.is_writing_paused());
            transport.writelines(vec![part.as_slice(); parts]);
        });
        world.told("s1", &["made", "paused"]);
        world.quiet();
        world.told("s1", &["made", "paused"]);
        world.go_on_reading(client);
        world.until_lost("s1");
        world.quiet();
        world.told("s1", &["made", "paused", "resumed", "0 wait", "lost"]);
        let expected = [part.repeat(3), b"x".to_vec(), part.repeat(parts)].concat();
        assert!(world.received(client) == expected, "{} bytes came", world.received(client).len());
        world.enter(|event_loop, _| assert!(event_loop.transport(id).is_none()));
    };
    simulated(|world| check(world, 30));
    on_sockets(|world| check(world, FAR_TOO_MUCH / 10_000));
    // Nobody is there any more, and still in the same callback.
    for end in ENDS {
        check_in_one_turn(end);
    }
}

/// Writes lines after that: nothing is kept, nothing is sent.
fn check_in_one_turn(end: Act) {
    everywhere(|world| {
        let client = connected(world, listen_only);
        world.with("s1", |transport| {
            end(transport);
            transport.writelines([b"dropped".as_slice(); 10]);
            assert_eq!((transport.write_buffer_size(), transport.is_writing_paused()), (0, false));
        });
        world.quiet();
        assert!(world.received(client).is_empty() && world.ending(client).is_some());
    });
}

#[test]
#[should_panic(expected = "the low-water mark (2) is above the high-water mark (1)")]
fn bad_limits_rejected() {
    check(|_, transport, _| transport.set_write_buffer_limits(1, 2), |_, _| {}, &[]);
}

#[test]
fn pause_comes_after_the_callback_and_before_any_other_event() {
    calmly(|world| {
        let client = connected(world, |on, transport, journal| {
            if let On::Data(_) = on {
                transport.write(&[0; 70_000]);
                journal.note("s1", "written");
            }
        });
        let other = world.connect();
        world.quiet();
        world.send(client, b"x");
        world.send(other, b"x");
        world.quiet();
        let all = world.journal().all();
        let order: Vec<&str> = all.iter().map(String::as_str).filter(|line| !line.ends_with("made")).collect();
        let expected = ["s1 data x", "s1 written", "s1 paused", "s2 data x", "s1 written", "s2 paused"];
        assert_eq!(order[..6], expected);
    });
}

#[test]
fn write_from_resume_writing() {
    everywhere(|world| {
        let client = connected(world, |on, transport, journal| {
            if matches!(on, On::Data(_) | On::Resumed) {
                if journal.of("s1").len() < 20 {
                    transport.write(&bytes(70_000));
                } else {
                    transport.close();
                }
            }
        });
        world.send(client, b"x");
        world.until_lost("s1");
        world.quiet();
        assert!(world.received(client) == bytes(70_000).repeat(9), "{} bytes", world.received(client).len());
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn close_from_resume_writing_gives_one_lost() {
    check(
        |on, transport, _| match on {
            On::Made => transport.write(&[0; 70_000]),
            On::Resumed => transport.close(),
            _ => {}
        },
        |_, _| {},
        &["made", "paused", "resumed", "lost"],
    );
}

/// Writes now and again and again, until there is nobody to write to.
fn write_on(event_loop: &mut Loop<'_, Journal>, journal: &mut Journal) {
    if let Some(mut transport) = event_loop.transport(journal.id("s1")) {
        transport.write(b"to nobody, perhaps");
        assert!(!transport.is_closing(), "whatever has happened, `write` does not tell");
        event_loop.call_later(Duration::from_millis(1), write_on);
    }
}

#[test]
fn write_error_reported_by_connection_lost_not_by_write() {
    everywhere(|world| {
        let client = connected(world, |on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
                transport.event_loop().call_soon(write_on);
            }
        });
        world.send(client, b"x");
        world.until("what is written", |world| world.received(client).len() > 100);
        world.reset(client);
        world.until_lost("s1");
        world.told("s1", &["made", "data x", "lost ConnectionReset"]);
    });
}

#[test]
fn write_after_lost_is_silent() {
    everywhere(|world| {
        let client = connected(world, listen_only);
        let id = world.journal().id("s1");
        world.reset(client);
        world.quiet();
        world.enter(|event_loop, _| assert!(event_loop.transport(id).is_none()));
        world.told("s1", &["made", "lost ConnectionReset"]);
    });
}

#[test]
fn write_buffer_size_is_exact_and_constant_time() {
    // What was written either waits or was taken by the system; and what it took arrives, whatever becomes of the rest.
    let check = |world: &mut dyn World, size: usize| {
        let client = connected(world, listen_only);
        world.stop_reading(client);
        world.with("s1", |transport| {
            transport.write(&bytes(size));
            assert_eq!(transport.write_buffer_size(), size, "nothing leaves before the end of the turn");
        });
        world.quiet();
        let waiting = world.with("s1", |transport| {
            transport.writelines([b"123".as_slice(), b"45"]);
            let waiting = transport.write_buffer_size();
            transport.abort();
            assert_eq!(transport.write_buffer_size(), 0);
            waiting
        });
        world.go_on_reading(client);
        world.quiet();
        assert!(waiting > 5);
        assert_eq!(world.received(client).len() + waiting, size + 5);
    };
    simulated(|world| check(world, 500_000));
    on_sockets(|world| check(world, FAR_TOO_MUCH));
    // Asked for after each of a million writes: who counted each time would count for hours.
    calm(|world| {
        connected(world, listen_only);
        world.with("s1", |transport| {
            for count in 1..=1_000_000 {
                transport.write(b"x");
                assert_eq!(transport.write_buffer_size(), count);
            }
        });
    });
}

/// After these nothing is written.
const ENDS: [Act; 4] = [
    |transport| transport.close(),
    |transport| transport.abort(),
    |transport| transport.reset(),
    |transport| transport.write_eof(),
];

/// What is written too late, `times` times after this end: what does the log say?
#[track_caller]
fn check_late(end: Act, times: usize, expected: usize) {
    everywhere(|world| {
        let client = connected(world, listen_only);
        let mut id = String::new();
        let said = logged(|| {
            world.with("s1", |transport| {
                id = transport.id().to_string();
                end(transport);
                for _ in 0..times {
                    transport.write(b"");
                    transport.write(b"dropped");
                }
                assert_eq!(transport.write_buffer_size(), 0);
            });
            world.quiet();
        });
        let line = format!("WARN {id}: 5 writes came after close or write_eof and were dropped");
        assert_eq!(said, vec![line; expected], "{times} times");
        assert!(world.received(client).is_empty() && world.ending(client).is_some());
    });
}

#[test]
fn write_after_lost_is_silent_and_counted() {
    for end in ENDS {
        check_late(end, 4, 0);
        check_late(end, 5, 1);
        check_late(end, 1000, 1);
    }
}

#[test]
fn late_writes_are_counted_for_each_connection() {
    calm(|world| {
        world.serve(|on, transport, _| {
            if on == On::Made {
                transport.close();
                (0..4).for_each(|_| transport.write(b"dropped"));
            }
        });
        let said = logged(|| {
            for _ in 0..10 {
                world.connect();
                world.quiet();
            }
        });
        assert!(said.is_empty(), "{said:?}");
    });
}
