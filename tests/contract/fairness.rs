//! Fairness: whoever floods takes turns with the others, and nobody's line waits for the end of a flood.
//!
//! What is counted are turns, not time.

use std::collections::BTreeSet;
use std::time::Duration;

use proxy_herd::driver::sim::Weather;
use proxy_herd::event_loop::Transport;

use crate::recorder::{Journal, On};
use crate::simulated::Simulated;
use crate::world::{World, bytes, on_sockets};

/// Who is read from, and when: a turn is what happens at one time of the loop's clock.
fn note_reads(on: On<'_>, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
    if let On::Data(data) = on {
        assert!(data.len() <= READ, "{} bytes at once", data.len());
        let who = if transport.id() == journal.id("s3") { "third" } else { "flooders" };
        journal.note(who, format!("{} at {:?}", transport.id(), transport.event_loop().now()));
    }
}

/// Two clients have much to say, the third says a line now and then: who is read from, in which order?
fn reads(world: &mut dyn World, turn: fn(&mut dyn World)) -> Vec<String> {
    world.serve(note_reads);
    let [one, other, third] = [(); 3].map(|()| {
        let client = world.connect();
        world.quiet();
        client
    });
    // What the network can hold of the flood is there before the first byte is read.
    for name in ["s1", "s2"] {
        world.with(name, |transport| transport.pause_reading());
    }
    for client in [one, other] {
        world.send(client, &bytes(FLOOD));
    }
    world.quiet();
    world.enter(|event_loop, journal| {
        for name in ["s1", "s2"] {
            event_loop.transport(journal.id(name)).expect("it lives").resume_reading();
        }
    });
    for lines in 0..5 {
        (0..3).for_each(|_| turn(world));
        world.send(third, b"a line\n");
        let waited = (0..).find(|_| {
            turn(world);
            world.journal().of("third").len() > lines
        });
        assert!(waited <= Some(1), "{waited:?} turns before the third is heard");
    }
    assert!(["s1", "s2"].iter().all(|name| world.journal().count_of(name) < FLOOD), "there was more to come");
    let reads = world.journal().of("flooders");
    assert_eq!(BTreeSet::from_iter(&reads).len(), reads.len(), "one read of each in a turn: {reads:#?}");
    assert!(reads.len() >= 30, "both are read from in every turn: {reads:#?}");
    reads
}

/// How often it was somebody else's turn.
fn changes(reads: &[String]) -> usize {
    let who = |line: &String| line.split(' ').next().map(str::to_owned);
    reads.windows(2).filter(|pair| who(&pair[0]) != who(&pair[1])).count()
}

#[test]
fn two_flooding_connections_alternate_and_a_thirds_single_line_waits_at_most_one_turn() {
    // What is sent is there at once, so that only turns count.
    let weather = Weather { latency: Duration::ZERO..=Duration::ZERO, window: 4 * READ, ..Weather::default() };
    let simulated = reads(&mut Simulated::new(0, weather), |world| {
        // The loop is always busy here: a time that is new is a new turn's.
        let now = world.sim().now();
        while world.sim().now() == now {
            world.step();
        }
    });
    assert_eq!(changes(&simulated), simulated.len() - 1, "they take turns: {simulated:#?}");
    on_sockets(|world| {
        let reads = reads(world, |world| {
            world.loopback().turn(Duration::ZERO);
            world.loopback().move_clients();
        });
        // A flood has its gaps, where the system's buffers are empty for a moment.
        assert!(changes(&reads) * 4 >= reads.len() * 3, "they take turns: {reads:#?}");
    });
}

#[test]
fn a_connection_that_is_to_be_read_in_small_pieces_is() {
    let pieces = |world: &mut dyn World| {
        world.serve(|on, transport: &mut Transport<'_, Journal>, journal: &mut Journal| {
            if let On::Data(data) = on {
                // From the second piece on.
                transport.set_read_size(SMALL);
                let now = transport.event_loop().now();
                journal.note("pieces", format!("{} at {now:?}", data.len()));
            }
        });
        let client = world.connect();
        world.quiet();
        world.with("s1", |transport| transport.set_read_size(SMALL));
        world.send(client, &bytes(10 * SMALL + 1));
        world.quiet();
        assert_eq!(world.journal().count_of("s1"), 10 * SMALL + 1, "nothing is lost");
        let pieces = world.journal().of("pieces");
        assert!(pieces.len() >= 11, "{pieces:#?}");
        assert_eq!(BTreeSet::from_iter(&pieces).len(), pieces.len(), "one in a turn: {pieces:#?}");
        let length = |piece: &String| piece.split(' ').next().and_then(|length| length.parse::<usize>().ok());
        assert!(pieces.iter().all(|piece| length(piece) <= Some(SMALL)), "{pieces:#?}");
    };
    pieces(&mut Simulated::new(0, Weather::default()));
    on_sockets(|world| pieces(world));
}

const SMALL: usize = 1000;

/// The most bytes of one connection in a turn.
const READ: usize = 64 * 1024;

/// More than is read while the test runs.
const FLOOD: usize = 4 * 1024 * 1024;
