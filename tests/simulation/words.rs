//! What clients say: few clients and few timestamps, so that they collide.

use std::fmt;

use fastrand::Rng;
use proxy_herd::herd::timestamp::Timestamp;

/// A command, or what is none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Words {
    Iamat {
        client: u8,
        position: u8,
        stamp: u16,
        fraction: u8,
    },
    Whatsat {
        client: u8,
        radius: u8,
        bound: u8,
    },
    /// An IAMAT of one of many clients, which seldom meet.
    Rare {
        number: u16,
        stamp: u16,
    },
    /// An IAMAT of about 4,000 bytes, of a client that speaks once.
    Long {
        number: u16,
    },
    /// What every server answers with a `?`.
    Nonsense(u8),
    Empty,
}

impl Words {
    pub(crate) fn draw(dice: &mut Rng) -> Self {
        let client = dice.u8(..CLIENTS);
        match dice.u8(..20) {
            0..14 => {
                let fraction = if dice.u8(..3) == 0 { dice.u8(..3) } else { 0 };
                Self::Iamat { client, position: dice.u8(..90), stamp: dice.u16(..STAMPS), fraction }
            }
            14..18 => {
                let radius = match dice.u8(..30) {
                    0 => 41,
                    1 => 49,
                    _ => dice.u8(1..20),
                };
                Self::Whatsat { client, radius, bound: dice.u8(..21) }
            }
            18 => Self::Nonsense(dice.u8(..8)),
            _ => Self::Empty,
        }
    }

    /// From one to `most`.
    pub(crate) fn draw_some(dice: &mut Rng, most: usize) -> Vec<Self> {
        let mut some: Vec<Self> = (0..dice.usize(1..=most)).map(|_| Self::draw(dice)).collect();
        // Places answers few questions in the time of a run.
        let mut questions = 0;
        some.retain(|words| {
            questions += usize::from(matches!(words, Self::Whatsat { .. }));
            !matches!(words, Self::Whatsat { .. }) || questions <= 6
        });
        if some.is_empty() { vec![Self::Empty] } else { some }
    }

    /// So many clients, about, whose numbers are in a row.
    pub(crate) fn draw_many(dice: &mut Rng, most: u16) -> Vec<Self> {
        let first = dice.u16(..RARE);
        (first..first + dice.u16(1..=most)).map(|number| Self::Rare { number, stamp: dice.u16(..STAMPS) }).collect()
    }

    /// The line, without its end.
    pub(crate) fn line(&self) -> Vec<u8> {
        match self {
            Self::Iamat { .. } | Self::Rare { .. } | Self::Long { .. } => {
                format!("IAMAT {}", self.report().expect("it reports")).into()
            }
            Self::Whatsat { client, radius, bound } => format!("WHATSAT c{client} {radius} {bound}").into(),
            Self::Nonsense(which) => match which {
                0 => b"AT Ada +0.000000000 c1 +1+1 9999999999".to_vec(),
                1 => b"HERD 1 drawn Ada 0".to_vec(),
                2 => b"IAMAT c1 +1+1 nan".to_vec(),
                3 => b"WHATSAT c1 51 1".to_vec(),
                4 => b"DIGEST 1 2 3".to_vec(),
                5 => b"\xff\0?".to_vec(),
                _ => b"x".to_vec(),
            },
            Self::Empty => b" \t".to_vec(),
        }
    }

    /// When it says that a client was there.
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        Timestamp::parse(self.report()?.rsplit(' ').next()?.as_bytes())
    }

    /// What it says of a client, as its AT line ends: the client, the position, the time.
    pub(crate) fn report(&self) -> Option<String> {
        match self {
            Self::Iamat { client, position, stamp, fraction } => {
                Some(format!("c{client} +{position}.5-118.4 {}", stamp_text(*stamp, *fraction)))
            }
            Self::Rare { number, stamp } => Some(format!("r{number} -27+153 {}", stamp_text(*stamp, 0))),
            Self::Long { number } => Some(format!("b{number} +1.{}-118 {START}", "0".repeat(LONG))),
            Self::Whatsat { .. } | Self::Nonsense(_) | Self::Empty => None,
        }
    }
}

fn stamp_text(stamp: u16, fraction: u8) -> String {
    let seconds = START + u64::from(stamp);
    match fraction {
        0 => seconds.to_string(),
        // The same moment in other words, and one just after it.
        1 => format!("{seconds}.000000000"),
        _ => format!("{seconds}.000000001"),
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line();
        let more = if line.len() > 80 { "…" } else { "" };
        write!(formatter, "{}{more}", line[..line.len().min(80)].escape_ascii())
    }
}

/// How many clients there are, `Rare` and `Long` ones aside.
pub(crate) const CLIENTS: u8 = 5;

/// How many digits a long position has.
const LONG: usize = 3_900;

/// How many of them there are, about.
const RARE: u16 = 1_000;

/// How many seconds there are to choose from.
const STAMPS: u16 = 12;

/// The first of them: a while before the clocks begin.
const START: u64 = 1_520_023_900;
