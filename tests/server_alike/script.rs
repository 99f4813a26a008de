//! What clients, neighbours and the network do, and when; drawn from a seed.

use std::fmt;
use std::time::Duration;

/// A script: what happens, and how long after the one before.
pub(crate) struct Script {
    seed: u64,
    pub(crate) steps: Vec<(Duration, Step)>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Somebody comes in by the door for clients of this server.
    Client(&'static str),
    /// Somebody comes in by the door for peers of this server.
    Guest(&'static str),
    /// The one with this number says something.
    Say(usize, Vec<u8>),
    HalfClose(usize),
    Reset(usize),
    StopReading(usize),
    GoOnReading(usize),
    /// The connections between the two break, and work again.
    Cut(&'static str, &'static str),
    Kill(&'static str),
    Restart(&'static str),
    /// The server is told other neighbours: without this one; and then all.
    Without(&'static str, &'static str),
    Reread(&'static str),
    Drain(&'static str),
}

impl Script {
    pub(crate) fn of(steps: Vec<(Duration, Step)>) -> Self {
        Self { seed: 0, steps }
    }

    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut steps = Vec::new();
        let mut people = Vec::new();
        // Hands' place is for guests, in half of the scripts.
        if dice.bool() {
            steps.push((Duration::ZERO, Step::Kill("Hands")));
        }
        for _ in 0..dice.usize(10..120) {
            let pause = match dice.u8(..40) {
                0 => Duration::from_secs(11),
                1 => Duration::from_secs(dice.u64(25..70)),
                2 => Duration::from_secs(301),
                3..8 => Duration::from_millis(dice.u64(900..3_000)),
                8..14 => Duration::ZERO,
                14..20 => Duration::from_micros(dice.u64(..600)),
                _ => Duration::from_millis(dice.u64(1..50)),
            };
            steps.push((pause, Step::draw(&mut dice, &mut people)));
        }
        if dice.u8(..3) == 0 {
            steps.push((Duration::from_millis(dice.u64(..20)), Step::Drain("Goloman")));
        }
        Self { seed, steps }
    }
}

impl Step {
    fn draw(dice: &mut fastrand::Rng, people: &mut Vec<Person>) -> Self {
        let living: Vec<usize> = (0..people.len()).filter(|number| people[*number].talks).collect();
        if living.is_empty() || dice.u8(..10) == 0 {
            let is_guest = dice.u8(..4) == 0;
            people.push(Person { is_guest, talks: true });
            return if is_guest { Self::Guest("Goloman") } else { Self::Client(SERVERS[dice.usize(..2)]) };
        }
        let number = living[dice.usize(..living.len())];
        match dice.u8(..60) {
            0..2 => {
                people[number].talks = false;
                Self::Reset(number)
            }
            2..5 => {
                people[number].talks = false;
                Self::HalfClose(number)
            }
            5..8 => Self::StopReading(number),
            8..13 => Self::GoOnReading(number),
            13 => Self::Cut("Goloman", "Wilkes"),
            14 => Self::Kill("Hands"),
            15..17 => Self::Restart("Hands"),
            17 => Self::Without("Goloman", "Hands"),
            18 => Self::Without("Goloman", "Holiday"),
            19..21 => Self::Reread("Goloman"),
            _ if people[number].is_guest => Self::Say(number, words_of_a_guest(dice)),
            _ => Self::Say(number, words_of_a_client(dice)),
        }
    }
}

struct Person {
    is_guest: bool,
    /// It has not ended its half.
    talks: bool,
}

fn words_of_a_client(dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut said = Vec::new();
    let lines = match dice.u8(..12) {
        0 => dice.usize(100..1_000),
        1..3 => dice.usize(20..60),
        _ => dice.usize(1..4),
    };
    let kind = dice.u8(..20);
    for _ in 0..lines {
        let client = dice.u8(..5);
        match if dice.bool() { kind } else { dice.u8(..20) } {
            0..7 => {
                let stamp = dice.u32(..1_000);
                said.extend(format!("IAMAT c{client} +34.0-118.4 {stamp}.{}\n", dice.u32(..)).bytes());
            }
            7..13 => said.extend(format!("WHATSAT c{client} {} {}\n", dice.u8(1..40), dice.u8(..21)).bytes()),
            13 => said.extend([b'x'; 5_000].into_iter().take(dice.usize(4_094..4_099)).chain([b'\n'])),
            14 => said.extend([b'y'; 3_000].into_iter().chain([b'\n'])),
            15 => said.push(b'\n'),
            16 => said.extend(b"AT Goloman +1 c1 +1+1 5\r\n"),
            17 => said.extend(b"\0\xff garbage \x7f\n"),
            _ => said.extend(b"x\n"),
        }
    }
    if dice.u8(..5) == 0 {
        said.truncate(dice.usize(..said.len()));
    }
    said
}

fn words_of_a_guest(dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut said = Vec::new();
    for _ in 0..dice.usize(1..4) {
        match dice.u8(..25) {
            0..8 => said.extend(b"HERD 1 goloman Hands 0.1.0\n"),
            8 => said.extend(b"HERD 1 goloman Wilkes 0.1.0\n"),
            9 => said.extend(b"HERD 2 alford Hands 0.1.0\n"),
            10..15 => {
                let (client, stamp) = (dice.u8(..5), dice.u32(..1_000));
                let end = dice.u32(..);
                said.extend(format!("AT Hands +0.000000000 c{client} +1+1 {stamp}.{end}\n").bytes());
            }
            15 => said.extend(b"AT Hands 0 k\n"),
            16 => said.extend(b"PING\n".repeat(dice.usize(1..5_000))),
            17..19 => said.extend(b"PING\nPONG\n"),
            19 => said.extend(b"ERR go away\n"),
            20 => said.extend([b'z'; 9_000].into_iter().take(dice.usize(8_190..8_195)).chain([b'\n'])),
            21 => said.extend(b"WHATSAT c1 1 1\n"),
            22 => said.extend(format!("DIGEST {} {} {}\n", dice.u8(1..3), dice.u8(..3), dice.u8(..10)).bytes()),
            23 => said.extend(b"DIGEST PARTS 1 0 1 2\nDIGEST END 1\nDIGEST AGAIN\n"),
            _ => said.extend(b"DIGEST 7\n"),
        }
    }
    if dice.u8(..6) == 0 {
        said.truncate(dice.usize(..said.len()));
    }
    said
}

impl fmt::Display for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}:", self.seed)?;
        for (pause, step) in &self.steps {
            match step {
                Step::Say(number, words) => {
                    let shown = words[..words.len().min(200)].escape_ascii();
                    writeln!(formatter, "{pause:?} Say({number}, {} bytes, {shown})", words.len())?;
                }
                _ => writeln!(formatter, "{pause:?} {step:?}")?,
            }
        }
        Ok(())
    }
}

const SERVERS: [&str; 2] = ["Goloman", "Wilkes"];
