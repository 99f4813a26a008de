//! Promises about reading with streams: what each call gives, at its limits and one past them, and what it leaves.

use proxy_herd::driver::sim::Ending;

use crate::streams_stage::{check, check_calmly, converse};
use crate::world::{FAR_TOO_MUCH, LONG, World, calm, calmly};

#[test]
fn read_zero_n_all() {
    // `read(0)` neither waits nor takes, on an empty buffer, on a full one, and at the end.
    check(&[
        ("read 0", "nothing"),
        ("> hello", ""),
        ("read 0", "nothing"),
        ("read 2", "he"),
        ("read 3", "llo"),
        ("read 9", ""),
        ("FIN", "nothing"),
        ("read 9", "nothing"),
        ("read 0", "nothing"),
        ("read_to_end", "nothing"),
    ]);
    check(&[("> hello", ""), ("read_to_end", ""), ("> , world", ""), ("FIN", "hello, world")]);
}

#[test]
fn read_gives_what_is_there_whatever_the_limit() {
    check_calmly(&[
        ("set_limit 2", ""),
        ("read 100", ""),
        ("> hello", "hello"),
        ("> one", ""),
        ("> two", ""),
        ("read 100", "onetwo"),
        ("> three", ""),
        ("read 4", "thre"),
        ("> four", ""),
        // What was taken over from the connection is given first.
        ("read 100", "e"),
        ("read 100", "four"),
    ]);
}

#[test]
fn read_to_end_is_not_stopped_by_the_limit() {
    let long = format!("> {}", "x".repeat(1000));
    check(&[("set_limit 10", ""), ("read_to_end", ""), (&long, ""), (&long, ""), ("FIN", "2000 bytes")]);
}

#[test]
fn readexactly_ok_eof_negative() {
    // A negative number is no `usize`.
    check(&[
        ("read_exact 0", "nothing"),
        ("read_exact 5", ""),
        ("> hel", ""),
        ("> lo!", "hello"),
        ("read_exact 1", "!"),
        ("> one", ""),
        ("read_exact 4", ""),
        ("FIN", "incomplete: one of 4"),
        ("at_eof", "true"),
        ("read_exact 0", "nothing"),
        ("read_exact 1", "incomplete: nothing of 1"),
    ]);
    check(&[("> hello", ""), ("FIN", ""), ("read_exact 5", "hello"), ("at_eof", "true")]);
}

#[test]
fn readexactly_larger_than_limit_resumes_transport() {
    let long = format!("> {}", "x".repeat(100));
    check(&[
        ("set_limit 10", ""),
        (&long, ""),
        ("read_exact 101", ""),
        ("> !", "101 bytes"),
        (&long, ""),
        (&long, ""),
        ("read_exact 200", "200 bytes"),
    ]);
}

#[test]
fn readuntil_multi_chunk_separator_split() {
    check(&[
        ("> one--two-", ""),
        ("read_until --", "one--"),
        ("read_until --", ""),
        ("> three-", ""),
        ("> -", "two-three--"),
        ("> ---", ""),
        ("read_until --", "--"),
        ("read_until --", ""),
        ("> -", "--"),
        // Another separator looks at everything that is left.
        ("> a=b;c=d;", ""),
        ("try read_until --", "not yet"),
        ("try read_until ;;", "not yet"),
        ("read_until =", "a="),
        ("read_until ;", "b;"),
        ("try read_until ;;", "not yet"),
        ("> ;", ""),
        ("read_until ;;", "c=d;;"),
    ]);
}

#[test]
fn limit_counts_before_separator() {
    // What waits, with a limit of 8: so much before a separator of one byte, and of two.
    check(&[
        ("set_limit 8", ""),
        ("> 12345678;", ""),
        ("read_until ;", "12345678;"),
        ("> 123456789;", ""),
        ("read_until ;", "overrun: 9"),
        ("read 10", "123456789;"),
        ("> 12345678--", ""),
        ("read_until --", "12345678--"),
        ("> 123456789--", ""),
        ("read_until --", "overrun: 9"),
        ("read 11", "123456789--"),
        // It is over the limit before the separator has come: not with 8 and the first half of it.
        ("> 12345678-", ""),
        ("read_until --", ""),
        ("> -", "12345678--"),
        ("read_until --", ""),
        ("> 12345678", ""),
        ("> 9-", "overrun: 9"),
        ("read 10", "123456789-"),
        ("read_until ;", ""),
        ("> 12345678", ""),
        ("> 9", "overrun: 9"),
    ]);
}

#[test]
fn the_limit_is_64_kib_unless_set() {
    let full = "x".repeat(64 * 1024);
    let (line, longer) = (format!("> {full}\n"), format!("> {full}x\n"));
    check_calmly(&[(&line, ""), ("read_line", "65537 bytes"), (&longer, ""), ("read_line", "overrun: 65537")]);
}

#[test]
#[should_panic(expected = "the limit of a reader is 0")]
fn a_limit_of_0_is_refused() {
    refuse("set_limit 0");
}

#[test]
#[should_panic(expected = "the separator is empty")]
fn an_empty_separator_is_refused() {
    refuse("read_until");
}

/// An order that panics: what with?
fn refuse(order: &str) {
    calm(|world| {
        world.enter(|event_loop, _| {
            event_loop.set_exception_handler(|_, journal, panicked| journal.note("handler", panicked.to_string()));
        });
        converse(world, &[(order, "")]);
        panic!("{}", world.journal().of("handler").concat());
    });
}

#[test]
fn overrun_keeps_data() {
    check(&[
        ("set_limit 3", ""),
        ("> 1234;5;", ""),
        ("read_until ;", "overrun: 4"),
        ("read_until ;", "overrun: 4"),
        ("buffered", "1234;5;"),
        ("read 1", "1"),
        ("read_until ;", "234;"),
        ("read_until ;", "5;"),
        ("> 1234", ""),
        ("read_until ;", "overrun: 4"),
        ("set_limit 4", ""),
        ("read_until ;", ""),
        ("> ;", "1234;"),
    ]);
}

#[test]
fn eof_partial_expected_none() {
    check(&[
        ("> one;two", ""),
        ("FIN", ""),
        ("read_until ;", "one;"),
        ("at_eof", "false"),
        ("read_until ;", "incomplete: two"),
        ("at_eof", "true"),
        ("read_until ;", "incomplete: nothing"),
    ]);
    // The first half of a separator is no separator.
    check(&[("read_until --", ""), ("> one-", ""), ("FIN", "incomplete: one-")]);
}

#[test]
fn readline_partial_at_eof() {
    check(&[
        ("> one\n\ntwo\nth", ""),
        ("read_line", "one\\n"),
        ("read_line", "\\n"),
        ("read_line", "two\\n"),
        ("read_line", ""),
        ("> ree", ""),
        ("FIN", "three"),
        ("read_line", "nothing"),
        ("read_line", "nothing"),
    ]);
}

#[test]
fn readline_overrun_drops_line_or_buffer() {
    // Its end is here already.
    check(&[
        ("set_limit 4", ""),
        ("> 1234\n", ""),
        ("read_line", "1234\\n"),
        ("> 12345\nnext\n", ""),
        ("read_line", "overrun: 5"),
        ("read_line", "next\\n"),
    ]);
    // It comes later, in pieces that are too long themselves; it is told once.
    check(&[
        ("set_limit 4", ""),
        ("> 12345", ""),
        ("read_line", "overrun: 5"),
        ("buffered", "nothing"),
        ("read_line", ""),
        ("> 123456789", ""),
        ("> 12", ""),
        ("> 3\nnext\n", "next\\n"),
        ("> 12345", ""),
        ("read_line", "overrun: 5"),
        ("> \nnext\n", ""),
        ("read_line", "next\\n"),
        // The next one is too long as well.
        ("> 12345", ""),
        ("read_line", "overrun: 5"),
        ("> \n123456\n", ""),
        ("read_line", "overrun: 6"),
        ("> next", ""),
        ("FIN", ""),
        ("read_line", "next"),
    ]);
    // It ends with the connection: the rest of it is no line.
    check(&[
        ("set_limit 4", ""),
        ("> 12345", ""),
        ("read_line", "overrun: 5"),
        ("> 67", ""),
        ("FIN", ""),
        ("read_line", "nothing"),
    ]);
}

#[test]
fn what_is_read_of_a_line_that_is_too_long_is_not_thrown_away_again() {
    // Its end was read in another way: the next line is a line.
    for (read, rest) in [("read 3", "67\\n"), ("read_exact 3", "67\\n"), ("read_until \n", "67\\n")] {
        check(&[
            ("set_limit 4", ""),
            ("> 12345", ""),
            ("read_line", "overrun: 5"),
            ("> 67\nnext\n", ""),
            (read, rest),
            ("read_line", "next\\n"),
        ]);
    }
    // A part of it was: the rest is thrown away.
    check(&[
        ("set_limit 4", ""),
        ("> 12345", ""),
        ("read_line", "overrun: 5"),
        ("> 67\nnext\n", ""),
        ("read 1", "6"),
        ("read_line", "next\\n"),
    ]);
}

#[test]
fn buffered_and_fill_buf_take_nothing() {
    check_calmly(&[
        ("buffered", "nothing"),
        ("fill_buf", ""),
        ("> one\n", "one\\n"),
        ("buffered", "one\\n"),
        ("> two\n", ""),
        // It does not wait, so it need not look for more; `buffered` does.
        ("fill_buf", "one\\n"),
        ("buffered", "one\\ntwo\\n"),
        ("fill_buf", "one\\ntwo\\n"),
        ("read 1", "o"),
        ("buffered", "ne\\ntwo\\n"),
        ("read_line", "ne\\n"),
        ("read_line", "two\\n"),
        ("FIN", ""),
        ("fill_buf", "nothing"),
        ("buffered", "nothing"),
    ]);
}

#[test]
fn at_eof_is_true_when_all_is_read_and_the_peer_has_ended() {
    check(&[
        ("at_eof", "false"),
        ("> hello", ""),
        ("FIN", ""),
        ("at_eof", "false"),
        ("read 4", "hell"),
        ("at_eof", "false"),
        ("read 4", "o"),
        ("at_eof", "true"),
    ]);
    // Or when the connection has.
    check(&[("at_eof", "false"), ("RST", ""), ("at_eof", "true"), ("read 1", "failed ConnectionReset")]);
}

#[test]
fn a_read_that_is_dropped_has_taken_nothing() {
    check(&[
        ("try read_line", "not yet"),
        ("> on", ""),
        ("try read_line", "not yet"),
        ("try read_exact 3", "not yet"),
        ("try read_to_end", "not yet"),
        ("try read_until e\nt", "not yet"),
        ("> e\n", ""),
        ("try read_until e\nt", "not yet"),
        ("> two\n", ""),
        ("try read_until e\nt", "one\\nt"),
        ("try read_line", "wo\\n"),
        ("try read 1", "not yet"),
        ("try fill_buf", "not yet"),
    ]);
    calm(|world| {
        converse(
            world,
            &[("> on", ""), ("for 1 read_line", ""), ("> e\n", "one\\n"), ("> two", ""), ("for 1 read_line", "")],
        );
        world.sim().run_for(LONG);
        world.told("s1", &["one\\n", "too long"]);
    });
}

#[test]
fn what_came_before_a_failure_is_read_first_and_the_failure_is_told_every_time() {
    check(&[
        ("> one\ntwo\nthr", ""),
        ("RST", ""),
        ("at_eof", "false"),
        ("read_line", "one\\n"),
        ("read_exact 4", "two\\n"),
        ("read_line", "failed ConnectionReset"),
        ("read_exact 4", "failed ConnectionReset"),
        ("read_until ;", "failed ConnectionReset"),
        ("read_to_end", "failed ConnectionReset"),
        ("fill_buf", "thr"),
        ("read 2", "th"),
        ("read 2", "r"),
        ("at_eof", "true"),
        ("read 2", "failed ConnectionReset"),
        ("read 2", "failed ConnectionReset"),
        ("fill_buf", "failed ConnectionReset"),
    ]);
    // Who waits is told.
    check(&[("> one", ""), ("read_line", ""), ("RST", "failed ConnectionReset"), ("read 9", "one")]);
}

/// A client has sent so much to a task with that limit: is its connection read from?
fn reads_on(world: &mut dyn World) -> bool {
    world.with("s1", |transport| transport.is_reading())
}

#[test]
fn reader_pauses_above_2limit_resumes_at_limit() {
    let check = |limit: usize, steps: &[(&str, &str, bool)]| {
        calm(|world| {
            let (stage, client) = converse(world, &[(&format!("set_limit {limit}"), "")]);
            for (step, said, reads) in steps {
                stage.play(world, client, "s1", &[(step, said)]);
                assert_eq!(reads_on(world), *reads, "after {step}");
            }
        });
    };
    check(
        4,
        &[
            ("> 12345678", "", true),
            ("> 9", "", false),
            ("read 4", "1234", false),
            ("read 1", "5", true),
            // 4 are left. Another 4 are not too many, 5 are.
            ("> 1234", "", true),
            ("> 5", "", false),
            // All that waits counts, also what was not taken over yet.
            ("read 4", "6789", false),
            ("read 1", "1", true),
            ("> 67890", "", false),
            // Who waits gets more, however much there is.
            ("try read_until ;", "overrun: 9", false),
            ("try read_exact 10", "not yet", true),
            ("> ab", "", false),
            ("read_exact 11", "234567890ab", true),
        ],
    );
    // The limit changes: what waits is too much now, then it is not.
    check(
        8,
        &[
            ("> 123456789", "", true),
            ("set_limit 5", "", true),
            ("set_limit 4", "", false),
            ("set_limit 8", "", false),
            ("set_limit 9", "", true),
            ("set_limit 4", "", false),
            ("set_limit 9", "", true),
        ],
    );
}

#[test]
fn a_peer_that_sends_without_end_costs_twice_the_limit_and_one_read() {
    const LIMIT: usize = 100_000;
    calmly(|world| {
        let flood = format!("> {}", "x".repeat(FAR_TOO_MUCH));
        let waiting = |world: &dyn World| -> usize {
            let said = world.journal().of("s1").pop().expect("it was asked");
            said.strip_suffix(" bytes").and_then(|count| count.parse().ok()).expect("many bytes")
        };
        let (stage, client) = converse(world, &[(&format!("set_limit {LIMIT}"), ""), (&flood, "")]);
        stage.tell("s1", "buffered");
        world.quiet();
        let most = 2 * LIMIT + ONE_READ;
        assert!((2 * LIMIT + 1..=most).contains(&waiting(world)), "{} bytes wait", waiting(world));
        // Nor is it more when most of it was read.
        stage.play(world, client, "s1", &[("read 150000", "150000 bytes"), ("read 50000", "50000 bytes")]);
        stage.tell("s1", "buffered");
        world.quiet();
        assert!((2 * LIMIT + 1..=most).contains(&waiting(world)), "{} bytes wait", waiting(world));
    });
}

#[test]
fn without_its_reader_a_connection_is_not_read_from() {
    calmly(|world| {
        let (stage, client) = converse(world, &[("drop reader", ""), ("> hello", "")]);
        assert!(!reads_on(world));
        // The other direction goes on.
        stage.play(world, client, "s1", &[("write hello", ""), ("drain", "ok"), ("<", "hello")]);
    });
    // It was not read from before.
    calm(|world| {
        let steps = [("set_limit 1", ""), ("> 123", ""), ("drop reader", ""), ("write hello", "")];
        let (stage, client) = converse(world, &steps);
        assert!(!reads_on(world));
        stage.play(world, client, "s1", &[("<", "hello"), ("return", "")]);
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

/// What the loop reads at once.
const ONE_READ: usize = 64 * 1024;
