//! Promises about `connect`: addresses, names, Happy Eyeballs, and `connection_lost` once for every failure.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proxy_herd::event_loop::{ConnId, Connect, Loop, Lost, Protocol, Security, ServerSecurity, Target, Transport};

use crate::recorder::{Act, Journal, On, Recorder, ends, listen_only};
use crate::world::{LONG, World, bytes, calm, everywhere, on_sockets, simulated};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const PORT: u16 = 11645;

fn at(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, PORT)
}

/// Listens on these simulated addresses.
fn serve_on(world: &mut dyn World, ips: &[IpAddr]) {
    for ip in ips {
        world.listen(at(*ip), ServerSecurity::Plain, |journal: &mut Journal| {
            Recorder::new(&journal.next_name(), listen_only)
        });
    }
}

/// Connects `c` to a name, and notes where it gets.
fn dial_name(world: &mut dyn World, name: &str, port: u16) -> ConnId {
    let target = Target::Name(name.to_owned(), port);
    let client = Recorder::new("c", |on, transport, journal| {
        if on == On::Made {
            journal.note("c", format!("to {}", ends(transport)[0]));
        }
    });
    world.enter(|event_loop, _| event_loop.connect(target, Security::Plain, client))
}

/// How many of the accepted connections were made, and how many of them are lost.
fn made_and_lost(world: &dyn World) -> (usize, usize) {
    let all = world.journal().all();
    let count = |what: &str| all.iter().filter(|line| line.starts_with('s') && line.contains(what)).count();
    (count(" made"), count(" lost"))
}

#[test]
fn a_connection_has_two_ends() {
    everywhere(|world| {
        world.serve(|on, transport, journal| {
            if on == On::Made {
                let [peer, local] = ends(transport);
                journal.note("s1", format!("{local} {peer}"));
                transport.write(b"welcome");
                transport.close();
            }
        });
        let client = Recorder::new("c", |on, transport, journal| {
            if on == On::Made {
                let [peer, local] = ends(transport);
                journal.note("c", format!("{peer} {local}"));
            }
        });
        world.dial(Security::Plain, client);
        world.quiet();
        let [seen, own] = ["c", "s1"].map(|who| world.journal().of(who)[1].clone());
        assert_eq!(seen, own, "each other's addresses");
        assert!(seen.starts_with(&format!("{} 127.0.0.1:", world.address())), "{seen}");
        world.told("c", &["made", &seen, "data welcome", "eof", "lost"]);
        world.told("s1", &["made", &own, "lost"]);
    });
}

#[test]
fn what_is_written_before_the_connection_stands_is_sent_then() {
    for (early, end) in [("early", false), ("early", true), ("", true)] {
        everywhere(|world| {
            world.serve(listen_only);
            let id = world.dial(Security::Plain, Recorder::new("c", listen_only));
            world.enter(|event_loop, _| {
                let mut transport = event_loop.transport(id).expect("it is on its way");
                transport.write(early.as_bytes());
                assert_eq!(transport.write_buffer_size(), early.len());
                if end {
                    transport.write_eof();
                }
            });
            world.quiet();
            assert_eq!(world.journal().bytes_of("s1"), early.as_bytes());
            assert_eq!(world.journal().times("s1", "eof"), usize::from(end), "{early:?}: {}", world.trace());
            assert_eq!(world.journal().is_lost("s1"), end);
        });
    }
}

/// A client asks for a name, which has these addresses, and servers listen on these: where does it get, and how soon?
#[track_caller]
fn check_name(addresses: &[IpAddr], listening: &[IpAddr], silent: &[IpAddr], within: Duration, expected: &[&str]) {
    calm(|world| {
        serve_on(world, listening);
        world.sim().name("herd.example", addresses.iter().copied());
        for ip in silent {
            world.sim().ignore(at(*ip));
        }
        dial_name(world, "herd.example", PORT);
        world.sim().run_for(within - Duration::from_millis(2));
        world.told("c", &[]);
        world.sim().run_for(Duration::from_millis(4));
        world.told("c", expected);
        world.sim().run_for(LONG);
        let (made, lost) = made_and_lost(world);
        assert_eq!(made - lost, usize::from(expected[0] == "made"), "one winner: {}", world.trace());
    });
}

const SOON: Duration = Duration::from_millis(2);

#[test]
fn happy_eyeballs_takes_the_first_address_if_it_answers() {
    check_name(&[V6, V4], &[V6, V4], &[], SOON, &["made", "to [::1]:11645"]);
}

#[test]
fn first_address_fails_second_succeeds() {
    check_name(&[V6, V4], &[V4], &[], SOON, &["made", "to 127.0.0.1:11645"]);
}

#[test]
fn happy_eyeballs_second_family_wins_after_250ms_losers_closed() {
    check_name(&[V6, V4], &[V6, V4], &[V6], Duration::from_millis(250), &["made", "to 127.0.0.1:11645"]);
    // A loser that wakes up is closed: both attempts are on their way, then both get through.
    calm(|world| {
        serve_on(world, &[V4, V6]);
        world.sim().name("herd.example", [V6, V4]);
        world.sim().ignore(at(V6));
        dial_name(world, "herd.example", PORT);
        world.sim().run_for(Duration::from_millis(250));
        world.sim().readmit(at(V6));
        world.sim().run_for(LONG);
        assert_eq!(world.journal().of("c").len(), 2, "{:?}", world.journal().of("c"));
        let (made, lost) = made_and_lost(world);
        assert_eq!(made - lost, 1, "{:?} {}", world.journal().all(), world.trace());
    });
}

#[test]
fn connecting_takes_ten_seconds_at_most() {
    check_name(&[V6, V4], &[V6, V4], &[V6, V4], Duration::from_secs(10), &["lost TimedOut"]);
}

#[test]
fn a_name_without_addresses_is_not_found() {
    check_name(&[], &[V4], &[], SOON, &["lost NotFound"]);
}

/// Connects `c` like this, and notes between whom.
fn dial_with(world: &mut dyn World, connect: Connect) {
    let client = Recorder::new("c", |on, transport, journal| {
        if on == On::Made {
            let [peer, local] = ends(transport);
            journal.note("c", format!("{} to {peer}", local.ip()));
        }
    });
    world.enter(|event_loop, _| event_loop.connect_with(connect, client));
}

#[test]
fn local_addr_bind_family_filter() {
    let v6 = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]);
    let v4 = IpAddr::from([10, 0, 0, 1]);
    // Where from, and what comes of it; all addresses are listened on, and the first would answer.
    for (from, expected) in [(v4, ["made", "10.0.0.1 to 127.0.0.1:11645"]), (v6, ["made", "fd00::1 to [::1]:11645"])] {
        for found in [[V6, V4], [V4, V6]] {
            calm(|world| {
                serve_on(world, &[V4, V6]);
                world.sim().name("herd.example", found);
                dial_with(world, Connect::to(("herd.example", PORT)).local_addr((from, 0).into()));
                world.sim().run_for(LONG);
                world.told("c", &expected);
                assert_eq!(made_and_lost(world), (1, 0), "no other address was tried");
            });
        }
    }
    // None of that family, by name and by number.
    for target in [Target::from(("herd.example", PORT)), Target::from(at(V6))] {
        calm(|world| {
            serve_on(world, &[V6]);
            world.sim().name("herd.example", [V6]);
            dial_with(world, Connect::to(target.clone()).local_addr((v4, 0).into()));
            world.sim().run_for(LONG);
            world.told("c", &["lost AddrNotAvailable"]);
            assert!(world.journal().of("c")[0].contains("10.0.0.1"), "the reason says from where");
            assert_eq!(made_and_lost(world), (0, 0));
        });
    }
    on_sockets(|world| {
        world.serve(|on, transport, journal| {
            if on == On::Made {
                journal.note("seen", ends(transport)[0].ip().to_string());
            }
        });
        let address = world.address();
        // A loopback address of its own, which Linux has without being asked.
        dial_with(world, Connect::to(address).local_addr("127.0.0.78:0".parse().expect("an address")));
        world.quiet();
        world.told("c", &["made", &format!("127.0.0.78 to {address}")]);
        world.told("seen", &["127.0.0.78"]);
    });
    on_sockets(|world| {
        world.serve(listen_only);
        // TEST-NET-3 (RFC 5737): nobody's address, so not ours.
        let nobodys = Connect::to(world.address()).local_addr("203.0.113.1:0".parse().expect("an address"));
        dial_with(world, nobodys);
        world.quiet();
        world.told("c", &["lost AddrNotAvailable"]);
        world.told("s1", &[]);
    });
}

#[test]
fn connecting_takes_as_long_as_set() {
    let second = Duration::from_secs(1);
    for (timeout, name) in [(3, "herd.example"), (30, "herd.example"), (3, "127.0.0.1")] {
        calm(|world| {
            serve_on(world, &[V4, V6]);
            world.sim().name("herd.example", [V4, V6]);
            world.sim().ignore(at(V4));
            world.sim().ignore(at(V6));
            dial_with(world, Connect::to((name, PORT)).timeout(timeout * second));
            world.sim().run_for(timeout * second - SOON);
            world.told("c", &[]);
            world.sim().run_for(2 * SOON);
            world.told("c", &["lost TimedOut"]);
            // What comes too late comes to nothing.
            world.sim().readmit(at(V4));
            world.sim().readmit(at(V6));
            world.sim().run_for(LONG);
            let (made, lost) = made_and_lost(world);
            assert_eq!(made, lost, "{}", world.trace());
        });
    }
}

/// Of two addresses the first is silent: when is the second one's turn?
#[track_caller]
fn check_delay(delay: Option<Duration>, made_after: Option<Duration>) {
    calm(|world| {
        serve_on(world, &[V6, V4]);
        world.sim().name("herd.example", [V6, V4]);
        world.sim().ignore(at(V6));
        dial_with(world, Connect::to(("herd.example", PORT)).attempt_delay(delay).timeout(60 * LONG));
        let Some(made_after) = made_after else {
            world.sim().run_for(59 * LONG);
            world.told("c", &[]);
            assert!(!world.trace().contains("connects to 127.0.0.1"), "{}", world.trace());
            world.sim().run_for(2 * LONG);
            return world.told("c", &["lost TimedOut"]);
        };
        world.sim().run_for(made_after);
        world.told("c", &[]);
        world.sim().run_for(2 * SOON);
        world.told("c", &["made", "127.0.0.1 to 127.0.0.1:11645"]);
    });
}

#[test]
fn happy_eyeballs_can_be_slower_faster_and_off() {
    check_delay(Some(Duration::from_millis(50)), Some(Duration::from_millis(50)));
    check_delay(Some(LONG), Some(LONG));
    check_delay(None, None);
    // Off, one address is tried after the other all the same.
    calm(|world| {
        serve_on(world, &[V4]);
        world.sim().name("herd.example", [V6, V4]);
        dial_with(world, Connect::to(("herd.example", PORT)).attempt_delay(None));
        world.sim().run_for(SOON);
        world.told("c", &["made", "127.0.0.1 to 127.0.0.1:11645"]);
    });
}

#[test]
fn each_attempt_is_alone_for_250_ms() {
    calm(|world| {
        let third = IpAddr::from([127, 0, 0, 3]);
        serve_on(world, &[third]);
        world.sim().name("herd.example", [V4, V6, third]);
        world.sim().ignore(at(V4));
        world.sim().ignore(at(V6));
        dial_name(world, "herd.example", PORT);
        // The first address refuses just before its time alone is over; the second is silent.
        world.sim().run_for(Duration::from_millis(240));
        world.sim().readmit(at(V4));
        world.sim().run_for(Duration::from_millis(245));
        world.told("c", &[]);
        world.sim().run_for(Duration::from_millis(10));
        world.told("c", &["made", "to 127.0.0.3:11645"]);
    });
}

#[test]
fn connect_refused_single_and_multiple_errors() {
    everywhere(|world| {
        world.dial(Security::Plain, Recorder::new("c", listen_only));
        world.quiet();
        world.told("c", &["lost ConnectionRefused"]);
    });
    check_name(&[V6, V4], &[], &[], SOON, &["lost ConnectionRefused"]);
    // The reason names every address.
    calm(|world| {
        world.sim().name("herd.example", [V6, V4]);
        dial_name(world, "herd.example", PORT);
        world.sim().run_for(Duration::from_secs(20));
        let reason = world.journal().of("c").concat();
        assert!(reason.contains("[::1]:11645") && reason.contains("127.0.0.1:11645"), "{reason}");
        world.told("c", &["lost ConnectionRefused"]);
    });
}

#[test]
fn an_unknown_name_gives_lost_once() {
    simulated(|world| {
        dial_name(world, "nowhere.example", PORT);
        world.sim().run_for(LONG);
        world.told("c", &["lost NotFound"]);
        assert!(world.journal().of("c").concat().contains("nowhere.example"), "the reason says which");
    });
}

#[test]
fn a_literal_address_is_a_name_too() {
    everywhere(|world| {
        world.serve(listen_only);
        let address = world.address();
        dial_name(world, "127.0.0.1", address.port());
        world.until("a connection", |world| world.journal().of("c").len() == 2);
        world.told("c", &["made", &format!("to {address}")]);
    });
}

#[test]
fn refused_while_somebody_listens_and_admitted_again() {
    calm(|world| {
        world.serve(listen_only);
        let address = world.address();
        world.sim().refuse(address);
        world.dial(Security::Plain, Recorder::new("c", listen_only));
        world.quiet();
        world.sim().readmit(address);
        world.dial(Security::Plain, Recorder::new("d", listen_only));
        world.quiet();
        world.told("c", &["lost ConnectionRefused"]);
        world.told("d", &["made"]);
    });
}

#[test]
fn cancel_connect_closes_socket() {
    // At every moment of connecting, from the question to the resolver to the handshake's end.
    for micros in (0..400).step_by(20) {
        for abort in [false, true] {
            calm(|world| {
                serve_on(world, &[V4]);
                world.sim().name("herd.example", [V4]);
                let id = dial_name(world, "herd.example", PORT);
                world.sim().run_for(Duration::from_micros(micros));
                world.enter(|event_loop, _| {
                    let mut transport = event_loop.transport(id).expect("nothing has ended it");
                    if abort { transport.abort() } else { transport.close() }
                });
                world.quiet();
                assert_eq!(world.journal().times("c", "lost"), 1, "{micros} µs, {:?}", world.journal().all());
                let (made, lost) = made_and_lost(world);
                assert_eq!(made, lost, "{micros} µs");
            });
        }
    }
}

#[test]
fn out_of_descriptors_gives_lost_with_the_systems_reason() {
    calm(|world| {
        world.serve(listen_only);
        let host = world.host();
        world.sim().out_of_descriptors(host);
        world.dial(Security::Plain, Recorder::new("c", listen_only));
        world.quiet();
        let told = world.journal().of("c").concat();
        assert!(told.contains("Too many open files"), "{told}");
    });
}

/// Connects again as soon as it is lost, and does this each time.
struct Stubborn {
    address: SocketAddr,
    then: Act,
}

impl Stubborn {
    fn connect(self, event_loop: &mut Loop<'_, Journal>) {
        let then = self.then;
        let id = event_loop.connect(self.address, Security::Plain, self);
        then(&mut event_loop.transport(id).expect("it has just begun"));
    }
}

impl Protocol<Journal> for Stubborn {
    fn data_received(&mut self, _: &mut Transport<'_, Journal>, _: &mut Journal, _: &[u8]) {}

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: Lost) {
        journal.note("stubborn", "lost");
        if journal.of("stubborn").len() < 1000 {
            Self { ..*self }.connect(event_loop);
        }
    }
}

#[test]
fn who_connects_again_as_soon_as_it_is_lost_does_not_stop_the_time() {
    calm(|world| {
        let host = world.host();
        world.sim().out_of_descriptors(host);
        let stubborn = Stubborn { address: at(V4), then: |_| {} };
        world.enter(|event_loop, _| stubborn.connect(event_loop));
        world.sim().run_for(Duration::from_millis(1));
        let tries = world.journal().of("stubborn").len();
        assert!((2..=200).contains(&tries), "once a turn");
    });
}

#[test]
fn who_ends_what_it_has_begun_and_begins_again_does_so_once_a_turn() {
    let ends: [Act; 4] = [
        |transport| transport.close(),
        |transport| transport.abort(),
        |transport| transport.fail(io::Error::other("changed its mind")),
        |transport| {
            transport.set_write_buffer_cap(100_000);
            transport.write(&bytes(200_000));
        },
    ];
    for then in ends {
        calm(|world| {
            let stubborn = Stubborn { address: at(V4), then };
            world.enter(|event_loop, _| stubborn.connect(event_loop));
            world.sim().run_for(Duration::from_millis(1));
            let tries = world.journal().of("stubborn").len();
            assert!((2..=200).contains(&tries), "{tries} tries");
        });
    }
}

#[test]
fn who_connects_again_at_once_does_not_hold_up_the_others() {
    on_sockets(|world| {
        // A link-local address without its link: the system refuses at once, whether it has IPv6 or not.
        let nowhere = "[fe80::1]:1".parse().expect("an address");
        let stubborn = Stubborn { address: nowhere, then: |_| {} };
        world.enter(|event_loop, _| stubborn.connect(event_loop));
        for turn in 1..10 {
            world.loopback().turn(Duration::ZERO);
            let tries = world.journal().of("stubborn").len();
            assert!(tries <= turn, "{tries} tries in {turn} turns");
        }
        world.loopback().turn(LONG);
        assert!(world.journal().of("stubborn").len() > 5, "it goes on, turn by turn");
    });
}
