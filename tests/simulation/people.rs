//! Those who talk with servers: what they have said, and whether they were answered.

use std::time::Duration;

use proxy_herd::driver::sim::ClientId;
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Timestamp;

use crate::words::Words;

/// One who has connected to a server.
pub(crate) struct Person {
    pub(crate) id: ClientId,
    pub(crate) server: usize,
    /// How often the server had been started then; `None` if it was down.
    pub(crate) boot: Option<u32>,
    /// The server's wall clock then.
    pub(crate) since: Timestamp,
    pub(crate) said: Vec<Words>,
    pub(crate) stage: Stage,
}

/// What a person has done about its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Talking,
    /// It has ended its half.
    Left,
    /// It has reset the connection.
    Vanished,
}

/// What the server named `server` has answered.
pub(crate) struct Answers<'h> {
    /// The reports that it has confirmed.
    pub(crate) confirmed: Vec<Report<'h>>,
    /// How many commands wait for their answer, or the rest of it.
    pub(crate) missing: usize,
}

impl<'h> Answers<'h> {
    /// Takes what was `heard` for the answers to what a person has said, in order; or why it cannot be. Timestamps must be at
    /// `most_ahead` of the server's clock.
    pub(crate) fn read(
        server: &str,
        person: &Person,
        most_ahead: Option<Duration>,
        heard: &'h [u8],
    ) -> Result<Self, String> {
        let mut rest = heard;
        let mut confirmed = Vec::new();
        let commands: Vec<&Words> = person.said.iter().filter(|words| **words != Words::Empty).collect();
        for (place, words) in commands.iter().enumerate() {
            let Some(end) = answer_length(words, rest) else {
                let missing = commands.len() - place;
                let fits = place_fits(words, rest);
                return if fits { Ok(Self { confirmed, missing }) } else { Err(misfit(words, rest)) };
            };
            let (answer, later) = rest.split_at(end);
            let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let report = Report::parse(line);
            let is_right = match words {
                Words::Iamat { .. } | Words::Rare { .. } | Words::Long { .. } => match report {
                    Some(report) => {
                        report.origin() == server.as_bytes()
                            && line.ends_with(format!(" {}", words.report().expect("it reports")).as_bytes())
                            && most_ahead.is_none_or(|most| ahead(line).is_none_or(|ahead| ahead <= stamp(most)))
                    }
                    None => {
                        let is_ahead = |most| words.timestamp() > Some(person.since.saturating_add(most));
                        most_ahead.is_some_and(is_ahead) && answer == refusal(words)
                    }
                },
                Words::Whatsat { client, .. } => match report {
                    Some(report) => {
                        report.client() == format!("c{client}").as_bytes()
                            && answer[line.len()..].windows(8).any(|part| part == b"\"status\"")
                    }
                    None => answer == refusal(words),
                },
                Words::Nonsense(_) | Words::Empty => answer == refusal(words),
            };
            if !is_right {
                return Err(misfit(words, answer));
            }
            confirmed.extend(report.filter(|_| words.report().is_some()));
            rest = later;
        }
        if rest.is_empty() { Ok(Self { confirmed, missing: 0 }) } else { Err(format!("unasked: {}", shown(rest))) }
    }
}

/// How long the answer at the head of `heard` is, if it is whole.
fn answer_length(words: &Words, heard: &[u8]) -> Option<usize> {
    let end: &[u8] = match words {
        Words::Whatsat { .. } if !heard.starts_with(b"?") => b"\n\n",
        _ => b"\n",
    };
    memchr::memmem::find(heard, end).map(|place| place + end.len())
}

/// Whether `part` may be the beginning of an answer.
fn place_fits(words: &Words, part: &[u8]) -> bool {
    let starts_alike = |whole: &[u8]| part.iter().zip(whole).all(|(one, other)| one == other);
    match words {
        Words::Iamat { .. } | Words::Rare { .. } | Words::Long { .. } | Words::Whatsat { .. } => {
            starts_alike(b"AT ") || starts_alike(&refusal(words))
        }
        Words::Nonsense(_) | Words::Empty => starts_alike(&refusal(words)),
    }
}

/// How far the timestamp of an AT line is ahead of its server's clock, if it is.
fn ahead(line: &[u8]) -> Option<Timestamp> {
    let difference = line.split(|byte| *byte == b' ').nth(2)?;
    Timestamp::parse(difference.strip_prefix(b"-")?)
}

/// So long after the beginning of time, to be compared with another one that is.
fn stamp(time: Duration) -> Timestamp {
    Timestamp::parse(b"0").expect("a timestamp").saturating_add(time)
}

fn refusal(words: &Words) -> Vec<u8> {
    [b"? ", words.line().as_slice(), b"\n"].concat()
}

fn misfit(words: &Words, heard: &[u8]) -> String {
    format!("{words} is answered {}", shown(heard))
}

fn shown(heard: &[u8]) -> String {
    heard[..heard.len().min(160)].escape_ascii().to_string()
}
