//! Promises about reading that hold however the bytes are split over segments, and what a poll costs.

use std::io;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proxy_herd::driver::sim::Weather;
use proxy_herd::event_loop::ServerSecurity;
use proxy_herd::streams::{ReadError, StreamReader};

use crate::simulated::Simulated;
use crate::streams_stage::{Stage, converse};
use crate::world::World;

/// What a task asks for.
#[derive(Clone, Debug)]
enum Ask {
    /// So many bytes, or what there is before the end, in however many reads.
    Some(usize),
    Exact(usize),
    Until(&'static [u8]),
    /// A line; if it is too long, the next one as well.
    Line,
}

/// What comes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Answer {
    Data(Vec<u8>),
    Incomplete(Vec<u8>),
    Overrun,
}

impl Ask {
    async fn ask(&self, reader: &mut StreamReader) -> io::Result<Vec<Answer>> {
        let result = match self {
            Self::Some(count) => {
                let mut all = Vec::new();
                while all.len() < *count {
                    match reader.read(count - all.len()).await? {
                        [] => break,
                        data => all.extend_from_slice(data),
                    }
                }
                return Ok(vec![Answer::Data(all)]);
            }
            Self::Exact(count) => reader.read_exact(*count).await,
            Self::Until(separator) => reader.read_until(separator).await,
            Self::Line => reader.read_line().await,
        };
        let answer = match result {
            Ok(data) => Answer::Data(data.to_vec()),
            Err(ReadError::Incomplete { partial, .. }) => Answer::Incomplete(partial),
            Err(ReadError::LimitOverrun { .. }) => Answer::Overrun,
            Err(ReadError::Failed(error)) => return Err(error),
        };
        match (self, &answer) {
            (Self::Line, Answer::Overrun) => Ok([vec![answer], Box::pin(self.ask(reader)).await?].concat()),
            _ => Ok(vec![answer]),
        }
    }

    /// The same, if all is there: what is taken from the front of `data`.
    fn expected(&self, data: &mut &[u8], limit: usize) -> Vec<Answer> {
        let find = |separator: &[u8]| data.windows(separator.len()).position(|window| window == separator);
        let take = |data: &mut &[u8], count: usize| data.split_off(..count).expect("it is there").to_vec();
        match self {
            Self::Some(count) => vec![Answer::Data(take(data, data.len().min(*count)))],
            Self::Exact(count) if data.len() < *count => vec![Answer::Incomplete(take(data, data.len()))],
            Self::Exact(count) => vec![Answer::Data(take(data, *count))],
            Self::Until(separator) => match find(separator) {
                Some(end) if end > limit => vec![Answer::Overrun],
                Some(end) => vec![Answer::Data(take(data, end + separator.len()))],
                None if data.len() + 1 > limit + separator.len() => vec![Answer::Overrun],
                None => vec![Answer::Incomplete(take(data, data.len()))],
            },
            Self::Line => match find(b"\n").map_or((data.len(), data.len()), |end| (end, end + 1)) {
                (end, next) if end > limit => {
                    take(data, next);
                    [vec![Answer::Overrun], self.expected(data, limit)].concat()
                }
                (_, next) => vec![Answer::Data(take(data, next))],
            },
        }
    }
}

/// What a task gets that asks like this, while a client sends `data` in such pieces, and ends.
fn answers(asks: &[Ask], limit: usize, data: &[u8], pieces: &[usize], seed: u64) -> Vec<String> {
    let weather = if seed == 0 { Weather::default() } else { Weather::rough() };
    let world: &mut dyn World = &mut Simulated::new(seed, weather);
    let stage = Stage::new(world);
    let (notes, asks) = (stage.clone(), asks.to_vec());
    stage.serve_with(world, ServerSecurity::Plain, move |mut reader, writer| {
        let (stage, asks) = (notes.clone(), asks.clone());
        async move {
            // A block has only what it names: it would close at once.
            let _kept = writer;
            reader.set_limit(limit);
            for ask in asks {
                let answers = ask.ask(&mut reader).await?;
                stage.note("s1", format!("{answers:?}")).await;
            }
            Ok(())
        }
    });
    let client = world.connect();
    let mut rest = data;
    for piece in pieces {
        let now = rest.split_off(..rest.len().min(*piece)).expect("there is as much");
        world.send(client, now);
        world.step();
    }
    world.send(client, rest);
    world.half_close(client);
    world.quiet();
    world.journal().of("s1")
}

fn ask() -> impl Strategy<Value = Ask> {
    let separators: Vec<&[u8]> = vec![b"\n", b"-", b"--", b"-\n", b"--\n", b"-\n-"];
    prop_oneof![
        (0..8_usize).prop_map(Ask::Some),
        (0..20_usize).prop_map(Ask::Exact),
        prop::sample::select(separators).prop_map(Ask::Until),
        Just(Ask::Line),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same(
        data in "[-\n]{0,8}([a-]{0,6}[-\n]{0,3}){0,8}",
        asks in prop::collection::vec(ask(), 1..12),
        limit in 1..12_usize,
        pieces in prop::collection::vec(1..6_usize, 0..30),
        seed in 0..100_u64,
    ) {
        let mut rest = data.as_bytes();
        let expected: Vec<_> = asks.iter().map(|ask| format!("{:?}", ask.expected(&mut rest, limit))).collect();
        prop_assert_eq!(answers(&asks, limit, data.as_bytes(), &pieces, seed), expected);
    }
}

/// How long a task takes that polls for a line a hundred times, one more byte each time, with so many bytes waiting.
fn polling(waiting: usize) -> Duration {
    let world: &mut dyn World = &mut Simulated::new(0, Weather::default());
    let flood = format!("> {}", "x".repeat(waiting));
    let (stage, client) = converse(world, &[("set_limit 100000000", ""), (&flood, ""), ("try read_line", "not yet")]);
    let begun = Instant::now();
    for _ in 0..100 {
        stage.play(world, client, "s1", &[("> x", ""), ("try read_line", "not yet")]);
    }
    begun.elapsed()
}

#[test]
fn searching_goes_on_where_it_stopped() {
    // asyncio looks at everything again: a hundred times the work, and more, with so many bytes.
    let (few, many) = (polling(1), polling(16 * 1024 * 1024));
    assert!(many < 20 * few, "{few:?} became {many:?}");
}
