//! Promises about `connection_made`, `data_received`, `eof_received`, and reading that is paused.

use std::rc::Rc;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::ServerSecurity;

use crate::recorder::{Act, On, Recorder, echo, listen_only};
use crate::world::{World, bytes, calmly, check, everywhere, on_sockets, simulated};

#[test]
fn connection_made_before_any_data_even_if_data_already_queued() {
    check(
        listen_only,
        |world, client| {
            world.send(client, b"hello");
            world.half_close(client);
        },
        &["made", "data hello", "eof", "lost"],
    );
}

#[test]
fn data_and_fin_in_one_event_deliver_data_then_eof() {
    everywhere(|world| {
        world.serve(echo);
        let client = world.connect();
        world.send(client, b"hello");
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "data hello", "eof", "lost"]);
        assert_eq!((world.received(client), world.ending(client)), (b"hello".as_slice(), Some(Ending::Fin)));
    });
}

#[test]
fn everything_comes_in_order_and_once() {
    everywhere(|world| {
        world.serve(listen_only);
        let client = world.connect();
        world.send(client, &bytes(300_000));
        world.half_close(client);
        world.until_lost("s1");
        assert!(world.journal().bytes_of("s1") == bytes(300_000));
        world.quiet();
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn partial_read_continues_without_new_edge() {
    everywhere(|world| {
        world.serve(|on, transport, _| {
            if on == On::Made {
                transport.pause_reading();
            }
        });
        let client = world.connect();
        world.quiet();
        world.send(client, &bytes(1024 * 1024));
        // What is under way arrives while nobody reads, so that no edge comes with the first read.
        world.quiet();
        world.told("s1", &["made"]);
        world.with("s1", |transport| transport.resume_reading());
        world.until("all of it", |world| world.journal().count_of("s1") == 1024 * 1024);
        assert!(world.journal().bytes_of("s1") == bytes(1024 * 1024));
    });
}

#[test]
fn one_read_per_connection_per_iteration() {
    calmly(|world| {
        world.serve(|on, transport, journal| {
            if let On::Data(data) = on {
                assert!(data.len() <= 64 * 1024, "{} bytes at once", data.len());
                journal.note("reads", format!("{} at {:?}", transport.id(), transport.event_loop().now()));
            }
        });
        for client in [world.connect(), world.connect()] {
            world.send(client, &bytes(1024 * 1024));
        }
        world.until("all of it", |world| {
            ["s1", "s2"].map(|flooder| world.journal().count_of(flooder)) == [1024 * 1024; 2]
        });
        let reads = world.journal().of("reads");
        assert!(reads.windows(2).all(|pair| pair[0] != pair[1]), "one read per connection and turn: {reads:#?}");
        let who = |line: &String| line.split(' ').next().map(str::to_owned);
        let alternate = reads.windows(2).filter(|pair| who(&pair[0]) != who(&pair[1])).count();
        assert!(alternate >= 30, "they take turns: {reads:#?}");
    });
}

#[test]
fn pause_in_connection_made_holds() {
    check(
        |on, transport, _| {
            if on == On::Made {
                transport.pause_reading();
            }
        },
        |world, client| {
            world.send(client, b"hello");
            world.half_close(client);
        },
        &["made"],
    );
}

#[test]
fn pause_inside_data_received_stops_immediately() {
    check(
        |on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
            }
        },
        |world, client| {
            world.send(client, b"x");
            world.quiet();
            world.send(client, b"yz");
            world.half_close(client);
        },
        &["made", "data x"],
    );
}

#[test]
fn resume_delivers_backlog_then_eof_then_lost_in_order() {
    everywhere(|world| {
        world.serve(|on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
            }
        });
        let client = world.connect();
        world.send(client, b"x");
        world.quiet();
        world.send(client, b"yz");
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "data x"]);
        for _ in 0..10 {
            if !world.journal().is_lost("s1") {
                world.with("s1", |transport| transport.resume_reading());
                world.quiet();
            }
        }
        world.told("s1", &["made", "data xyz", "eof", "lost"]);
    });
}

#[test]
fn pause_other_transport_in_same_batch_holds() {
    everywhere(|world| {
        // Whoever is first to get data silences the other.
        world.serve(|on, transport, journal| {
            if let On::Data(_) = on {
                for other in ["s1", "s2"].map(|name| journal.id(name)) {
                    if other != transport.id() {
                        transport.event_loop().transport(other).expect("both live").pause_reading();
                    }
                }
            }
        });
        let clients = [world.connect(), world.connect()];
        world.quiet();
        for client in clients {
            world.send(client, b"hello");
        }
        world.quiet();
        let mut told = ["s1", "s2"].map(|name| (world.journal().of(name), name));
        told.sort();
        let [(silent, other), (heard, _)] = told;
        assert_eq!((silent, heard), (vec!["made".to_owned()], ["made", "data hello"].map(str::to_owned).to_vec()));
        world.with(other, |transport| transport.resume_reading());
        world.quiet();
        world.told(other, &["made", "data hello"]);
    });
}

#[test]
fn pause_resume_idempotent_and_noop_when_closing() {
    check(
        |on, transport, _| match on {
            On::Made => {
                assert!(transport.is_reading());
                transport.pause_reading();
                transport.pause_reading();
                assert!(!transport.is_reading());
                transport.resume_reading();
                transport.resume_reading();
                assert!(transport.is_reading());
            }
            On::Data(_) => {
                transport.close();
                transport.pause_reading();
                transport.resume_reading();
                assert!(!transport.is_reading());
            }
            _ => {}
        },
        |world, client| {
            world.send(client, b"x");
            world.quiet();
            world.send(client, b"lost in the post");
        },
        &["made", "data x", "lost"],
    );
}

#[test]
fn rst_gives_lost_with_reset_error_and_no_eof() {
    check(
        listen_only,
        |world, client| {
            world.send(client, b"x");
            world.quiet();
            world.reset(client);
        },
        &["made", "data x", "lost ConnectionReset"],
    );
}

#[test]
fn a_reset_is_told_though_reading_is_paused() {
    check(
        |on, transport, _| {
            if on == On::Made {
                transport.pause_reading();
            }
        },
        |world, client| {
            world.quiet();
            world.reset(client);
        },
        &["made", "lost ConnectionReset"],
    );
}

#[test]
fn a_reset_is_told_though_reading_is_paused_just_before_it_would_show() {
    // In the simulation a reset overtakes what was not read.
    on_sockets(|world| {
        world.serve(|on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
            }
        });
        let client = world.connect();
        world.quiet();
        world.send(client, b"x");
        world.reset(client);
        world.quiet();
        world.told("s1", &["made", "data x", "lost ConnectionReset"]);
    });
}

#[test]
fn eof_false_closes_after_flush() {
    everywhere(|world| {
        world.serve(|on, transport, _| {
            if on == On::Eof {
                transport.write(&bytes(200_000));
            }
        });
        let client = world.connect();
        world.half_close(client);
        world.until_lost("s1");
        world.quiet();
        assert!(world.received(client) == bytes(200_000), "{} bytes came", world.received(client).len());
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn eof_true_keeps_writing_open() {
    everywhere(|world| {
        world.serve_with(ServerSecurity::Plain, |name| Recorder::new(name, echo).that_stays());
        let client = world.connect();
        world.send(client, b"question");
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "data question", "eof"]);
        world.with("s1", |transport| transport.write(b", answered later"));
        world.quiet();
        assert_eq!((world.received(client), world.ending(client)), (b"question, answered later".as_slice(), None));
        world.with("s1", |transport| transport.close());
        world.quiet();
        assert_eq!(world.ending(client), Some(Ending::Fin));
        world.told("s1", &["made", "data question", "eof", "lost"]);
    });
}

#[test]
fn reset_after_half_close_is_reported() {
    everywhere(|world| {
        world.serve_with(ServerSecurity::Plain, |name| Recorder::new(name, listen_only).that_stays());
        let client = world.connect();
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "eof"]);
        world.reset(client);
        world.quiet();
        // What a reset after the end is called differs between systems.
        let told = world.journal().of("s1");
        assert!(told.len() == 3 && told[2].starts_with("lost "), "{told:?}");
    });
}

/// A client that sends so much and reads nothing, and a server that stops reading from it while it waits.
fn hold_back(world: &mut dyn World, size: usize) {
    world.serve(|on, transport, journal| match on {
        On::Data(_) => {
            echo(on, transport, journal);
            let waiting = transport.write_buffer_size();
            assert!(waiting <= 64 * 1024 + 64 * 1024, "{waiting} bytes wait for a client that does not read");
        }
        On::Paused => transport.pause_reading(),
        On::Resumed => transport.resume_reading(),
        _ => {}
    });
    let client = world.connect();
    world.stop_reading(client);
    world.send(client, &bytes(size));
    world.half_close(client);
    world.quiet();
    assert!(world.journal().count_of("s1") < size / 2, "the windows and the buffers are full");
    world.go_on_reading(client);
    world.until("all of it", |world| world.received(client).len() == size);
    assert!(world.received(client) == bytes(size));
    world.quiet();
    assert_eq!(world.ending(client), Some(Ending::Fin));
}

#[test]
fn a_client_that_reads_nothing_is_held_by_pause_reading() {
    simulated(|world| hold_back(world, 1_000_000));
    on_sockets(|world| hold_back(world, 32 * 1024 * 1024));
}

#[test]
fn set_protocol_routes_next_read() {
    everywhere(|world| {
        world.serve(|on, transport, journal| match on {
            On::Data(b"x") => {
                transport.set_protocol(Recorder::new("skipped", listen_only));
                transport.set_protocol(Recorder::new("new", echo));
                transport.set_write_buffer_limits(0, 0);
                transport.write(b"from the old");
                journal.note("s1", "returned");
            }
            On::Made => {}
            _ => unreachable!("the old one is told nothing more: {on:?}"),
        });
        let client = world.connect();
        world.send(client, b"x");
        world.quiet();
        world.take_received(client);
        world.told("new", &["paused", "resumed"]);
        world.send(client, b"y");
        world.quiet();
        assert_eq!(world.take_received(client), b"y");
        // From outside, and once more.
        world.with("s1", |transport| transport.set_protocol(Recorder::new("newest", listen_only)));
        world.send(client, b"z");
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "data x", "returned"]);
        world.told("skipped", &[]);
        world.told("new", &["paused", "resumed", "data y", "paused", "resumed"]);
        world.told("newest", &["data z", "eof", "lost"]);
    });
}

#[test]
fn set_protocol_drops_the_old_one_when_its_callback_has_returned() {
    everywhere(|world| {
        let token = Rc::new(());
        let (held, seen) = (Rc::clone(&token), Rc::downgrade(&token));
        drop(token);
        world.serve_with(ServerSecurity::Plain, move |name| {
            let (held, seen) = (Rc::clone(&held), seen.clone());
            Recorder::new(name, move |on, transport, journal| {
                let _of_this_protocol = &held;
                if on == On::Made {
                    let before = seen.strong_count();
                    transport.set_protocol(Recorder::new("new", listen_only));
                    journal.note("holders", (seen.strong_count() - before).to_string());
                    let seen = seen.clone();
                    transport.event_loop().call_soon(move |_, journal| {
                        journal.note("holders", format!("{}", seen.strong_count() as isize - before as isize));
                    });
                }
            })
        });
        world.connect();
        world.quiet();
        assert_eq!(world.journal().of("holders"), ["0", "-1"]);
    });
}

const ENDS: [Act; 3] = [|transport| transport.close(), |transport| transport.abort(), |transport| transport.reset()];

#[test]
fn set_protocol_in_a_last_callback_hands_over_the_end() {
    for end in ENDS {
        everywhere(|world| {
            world.serve(move |on, transport, _| {
                if on == On::Eof {
                    end(transport);
                    // Too late: it has ended, or nothing but that is left.
                    transport.set_protocol(Recorder::new("new", listen_only));
                }
            });
            let client = world.connect();
            world.half_close(client);
            world.quiet();
            let told = [world.journal().of("s1"), world.journal().of("new")].concat();
            assert_eq!(told, ["made", "eof", "lost"]);
        });
        everywhere(|world| {
            world.serve(move |on, transport, _| {
                if on == On::Eof {
                    transport.set_protocol(Recorder::new("new", listen_only));
                    end(transport);
                }
            });
            let client = world.connect();
            world.half_close(client);
            world.quiet();
            world.told("s1", &["made", "eof"]);
            world.told("new", &["lost"]);
        });
    }
}

#[test]
fn set_protocol_in_pause_writing_hands_over_the_end() {
    for end in ENDS {
        everywhere(|world| {
            world.serve(move |on, transport, _| match on {
                On::Made => transport.write(&bytes(100_000)),
                On::Paused => {
                    transport.set_protocol(Recorder::new("new", listen_only));
                    end(transport);
                }
                _ => unreachable!("the old one is told nothing more: {on:?}"),
            });
            world.connect();
            world.quiet();
            world.told("s1", &["made", "paused"]);
            world.told("new", &["lost"]);
        });
    }
}
