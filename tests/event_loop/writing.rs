//! Promises about `write` and its kin, and about `pause_writing` and `resume_writing`.

use std::time::Duration;

use proxy_herd::driver::sim::{ClientId, Ending, HostId, Sim, Weather};
use proxy_herd::event_loop::{Loop, Transport};

use crate::recorder::{Journal, On, listen_only};
use crate::stage::{LONG, address, bytes, calm, check, in_every_weather, serve, told, with};

/// A server and a client that is connected to it.
fn connected<R>(sim: &mut Sim<Journal>, react: R) -> (HostId, ClientId)
where
    R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + Clone + 'static,
{
    let host = serve(sim, react);
    let client = sim.connect(address());
    sim.run_for(LONG);
    (host, client)
}

#[test]
fn partial_write_buffers_rest_and_keeps_order() {
    in_every_weather(|mut sim| {
        let (host, client) = connected(&mut sim, listen_only);
        let mut expected = Vec::new();
        for round in 0..200_usize {
            let data = vec![round as u8; (round * 7919) % 3000];
            with(&mut sim, host, "s1", |transport| transport.write(&data));
            expected.extend(data);
            sim.run_for(Duration::from_millis(1));
        }
        with(&mut sim, host, "s1", |transport| transport.close());
        sim.run_for(LONG);
        assert!(sim.received(client) == expected, "{} of {}", sim.received(client).len(), expected.len());
        assert_eq!(sim.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn writes_of_one_turn_leave_together() {
    let mut sim = calm();
    let (_, client) = connected(&mut sim, |on, transport, _| {
        if let On::Data(data) = on {
            transport.write(data);
            transport.write(b"");
            transport.writelines([b"-".as_slice(), b"", data]);
        }
    });
    sim.send(client, b"hello");
    sim.run_for(LONG);
    assert_eq!(sim.received(client), b"hello-hello");
    assert!(sim.trace().as_str().contains("Server#2 -> client 0 11 bytes \"hello-hello\""), "{:?}", sim.trace());
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
fn write_eof_flushes_then_fin_and_reading_goes_on() {
    in_every_weather(|mut sim| {
        let (host, client) = connected(&mut sim, listen_only);
        with(&mut sim, host, "s1", |transport| {
            transport.write(&bytes(100_000));
            transport.write_eof();
            transport.write(b"dropped");
            transport.write_eof();
        });
        sim.run_for(LONG);
        sim.run_for(LONG);
        assert!(sim.received(client) == bytes(100_000));
        assert_eq!(sim.ending(client), Some(Ending::Fin));
        sim.send(client, b"still here");
        sim.half_close(client);
        sim.run_for(LONG);
        assert_eq!(sim.state(host).of("s1").last().map(String::as_str), Some("lost"));
        assert_eq!(sim.state(host).bytes_of("s1"), b"still here");
        assert_eq!(sim.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn write_eof_with_nothing_to_send_sends_the_fin_at_once() {
    let mut sim = calm();
    let (host, client) = connected(&mut sim, listen_only);
    with(&mut sim, host, "s1", |transport| transport.write_eof());
    sim.run_for(LONG);
    assert_eq!(sim.ending(client), Some(Ending::Fin));
    told(&sim, host, "s1", &["made"]);
}

/// A client that does not read, a window of 1000 bytes, marks at `high` and `low`; then steps of writing so much, or of
/// reading everything: what is the protocol told?
fn check_marks(high: usize, low: usize, writes: &[usize], expected: &[&str]) {
    let mut sim = Sim::new(0, Weather { window: 1000, ..Weather::default() });
    let (host, client) = connected(&mut sim, listen_only);
    sim.stop_reading(client);
    with(&mut sim, host, "s1", |transport| {
        transport.set_write_buffer_limits(high, low);
        transport.write(&[0; 1000]);
    });
    sim.run_for(LONG);
    for count in writes {
        with(&mut sim, host, "s1", |transport| {
            let before = transport.write_buffer_size();
            transport.write(&vec![1; *count]);
            assert_eq!(transport.write_buffer_size(), before + count, "the size is exact");
            assert_eq!(transport.is_writing_paused(), before + count > high, "known at once");
        });
        sim.run_for(LONG);
    }
    sim.go_on_reading(client);
    sim.run_for(LONG);
    let told = sim.state(host).of("s1");
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
fn high_zero_pauses_for_every_byte_that_waits() {
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

#[test]
#[should_panic(expected = "the low-water mark (2) is above the high-water mark (1)")]
fn bad_limits_rejected() {
    check(|_, transport, _| transport.set_write_buffer_limits(1, 2), |_, _| {}, &[]);
}

#[test]
fn pause_comes_after_the_callback_and_before_any_other_event() {
    let mut sim = calm();
    let (host, client) = connected(&mut sim, |on, transport, journal| {
        if let On::Data(_) = on {
            transport.write(&[0; 70_000]);
            journal.note("s1", "written");
        }
    });
    let other = sim.connect(address());
    sim.run_for(LONG);
    sim.send(client, b"x");
    sim.send(other, b"x");
    sim.run_for(LONG);
    let all = sim.state(host).all();
    let order: Vec<&str> = all.iter().map(String::as_str).filter(|line| !line.ends_with("made")).collect();
    let expected = ["s1 data x", "s1 written", "s1 paused", "s2 data x", "s1 written", "s2 paused"];
    assert_eq!(order[..6], expected);
}

#[test]
fn write_from_resume_writing_goes_on_and_on() {
    in_every_weather(|mut sim| {
        let (host, client) = connected(&mut sim, |on, transport, journal| {
            if matches!(on, On::Data(_) | On::Resumed) {
                if journal.of("s1").len() < 20 {
                    transport.write(&bytes(70_000));
                } else {
                    transport.close();
                }
            }
        });
        sim.send(client, b"x");
        sim.run_for(Duration::from_secs(30));
        assert!(sim.received(client) == bytes(70_000).repeat(9), "{} bytes", sim.received(client).len());
        assert_eq!(sim.state(host).of("s1").last().map(String::as_str), Some("lost"));
        assert_eq!(sim.ending(client), Some(Ending::Fin));
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
    check(
        |on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
                transport.event_loop().call_soon(write_on);
            }
        },
        |sim, client| {
            sim.send(client, b"x");
            sim.run_for(Duration::from_millis(100));
            sim.reset(client);
        },
        &["made", "data x", "lost ConnectionReset"],
    );
}

#[test]
fn write_after_lost_is_silent() {
    let mut sim = calm();
    let (host, client) = connected(&mut sim, listen_only);
    let id = sim.state(host).id("s1");
    sim.reset(client);
    sim.run_for(LONG);
    sim.enter(host, |event_loop, _| assert!(event_loop.transport(id).is_none()));
    told(&sim, host, "s1", &["made", "lost ConnectionReset"]);
}
