//! A conversation as text, and a checker that plays it in any world.
//!
//! ```text
//! @ Goloman        a new client of Goloman, or the one of that name again, speaks from here on
//! > line           it sends the line and `\n`; in all sent text `\xNN` is a byte and `\n` a newline
//! >> text          it sends the text without `\n`
//! < line           it hears the line; `~` stands for a time difference with sign and nine decimals
//! { 5              it hears JSON of Places with status OK and 5 results, ended by exactly two newlines
//! { ZERO_RESULTS   it hears JSON of Places with that status and no result
//! ~ Hands kiwi     until Hands knows kiwi
//! #                it ends its half
//! .                it hears that the server has ended
//! ```

use std::collections::HashMap;

use serde_json::Value;

use crate::world::World;

/// Plays `script` and compares. `split` cuts what is sent: it says how many bytes go next, of how many.
pub(crate) fn check<W: World>(world: &mut W, script: &str, mut split: impl FnMut(usize) -> usize) {
    let mut clients: HashMap<String, usize> = HashMap::new();
    let mut client = None;
    for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (sign, text) = line.split_once(' ').unwrap_or((line, ""));
        let current = || client.expect("a script begins with @");
        match sign {
            "@" => {
                let server = text.split(' ').next().expect("a server");
                client = Some(*clients.entry(text.to_owned()).or_insert_with(|| world.connect(server)));
            }
            ">" | ">>" => {
                let mut data = unescaped(text);
                if sign == ">" {
                    data.push(b'\n');
                }
                let mut rest = data.as_slice();
                while !rest.is_empty() {
                    let (piece, next) = rest.split_at(split(rest.len()).clamp(1, rest.len()));
                    world.send(current(), piece);
                    rest = next;
                    if !rest.is_empty() {
                        world.step();
                    }
                }
            }
            "<" => {
                let heard = hear(world, current(), line, b"\n");
                assert!(
                    matches(&heard, &unescaped(text)),
                    "heard {:?}, not {line:?}",
                    heard.escape_ascii().to_string()
                );
            }
            "{" => {
                let heard = hear(world, current(), line, b"\n\n");
                let json: Value = serde_json::from_slice(&heard).expect("Places are JSON");
                let results = json["results"].as_array().map_or(0, Vec::len);
                match text.parse::<usize>() {
                    Ok(count) => assert_eq!((&json["status"], results), (&"OK".into(), count), "{line}"),
                    Err(_) => assert_eq!((&json["status"], results), (&text.into(), 0), "{line}"),
                }
            }
            "~" => {
                let (server, who) = text.split_once(' ').expect("a server and a client");
                world.until(line, |world| world.knows(server, who).is_some());
            }
            "#" => world.half_close(current()),
            "." => {
                let number = current();
                world.until("the server ends", |world| world.heard(number).1);
                let heard = world.heard(number).0.escape_ascii().to_string();
                assert_eq!(heard, "", "something was heard before the end");
            }
            _ => panic!("{line:?} is not of a script"),
        }
    }
    // Nobody has heard more than the script says.
    for (name, client) in clients {
        let heard = world.heard(client).0.escape_ascii().to_string();
        assert_eq!(heard, "", "the client {name} heard more");
    }
}

/// What comes before `end`, which is taken, too.
fn hear<W: World>(world: &mut W, client: usize, line: &str, end: &[u8]) -> Vec<u8> {
    let mut place = None;
    world.until(&format!("to hear {line:?}"), |world| {
        let (heard, ended) = world.heard(client);
        place = heard.windows(end.len()).position(|window| window == end);
        assert!(
            place.is_some() || !ended,
            "the server ended before {line:?}, after {:?}",
            heard.escape_ascii().to_string()
        );
        place.is_some()
    });
    let place = place.expect("until waits for it");
    let mut heard: Vec<u8> = world.heard(client).0.drain(..place + end.len()).collect();
    heard.truncate(place);
    heard
}

/// Whether `heard` is `expected`, in which a word `~` is any time difference.
fn matches(heard: &[u8], expected: &[u8]) -> bool {
    let (mut heard, mut expected) = (heard.split(|byte| *byte == b' '), expected.split(|byte| *byte == b' '));
    loop {
        match (heard.next(), expected.next()) {
            (None, None) => return true,
            (Some(word), Some(b"~")) => {
                let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
                let split = word.iter().position(|byte| *byte == b'.');
                let fits = matches!(word.first(), Some(b'+' | b'-'))
                    && split
                        .is_some_and(|dot| digits(&word[1..dot]) && digits(&word[dot + 1..]) && word.len() - dot == 10);
                if !fits {
                    return false;
                }
            }
            (one, other) if one == other => {}
            _ => return false,
        }
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return bytes,
            [b'\\', b'x', high, low, after @ ..] => {
                let digits = String::from_utf8_lossy(&[*high, *low]).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
                after
            }
            [b'\\', b'n', after @ ..] => {
                bytes.push(b'\n');
                after
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
        }
    }
}
