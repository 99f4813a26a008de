//! What is read in words of eight bytes is what a plain reading of the rules, byte by byte, says.
//!
//! The models here split, then look at one field after the other; what is near to being valid is tried most.

use proptest::prelude::*;
use proxy_herd::herd::command::{Command, Iamat};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::position::Position;
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::{Difference, Timestamp};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_timestamp_is_what_its_digits_say(text in spoilt(stamp())) {
        let parsed = Timestamp::parse(&text).map(|stamp| {
            let mut since = Vec::new();
            (stamp - Timestamp::parse(b"0").expect("the epoch")).write(&mut since);
            String::from_utf8(since).expect("digits")
        });
        prop_assert_eq!(parsed, model_timestamp(&text), "{}", text.escape_ascii());
    }

    #[test]
    fn a_position_is_two_numbers_within_their_limits(text in spoilt(position())) {
        let parsed = Position::parse(&text).map(|position| (position.latitude().to_vec(), position.longitude().to_vec()));
        prop_assert_eq!(parsed, model_position(&text), "{}", text.escape_ascii());
    }

    #[test]
    fn a_command_is_what_its_fields_say(text in spoilt(command())) {
        let now = Timestamp::parse(b"1520023935.5").expect("a timestamp");
        let (parsed, model) = (Command::parse(&text), model_command(&text));
        match (parsed, model) {
            (Command::Iamat(iamat), Model::Iamat([client, position, stamp])) => {
                prop_assert_eq!(iamat.client, client);
                prop_assert_eq!(iamat.position.as_bytes(), position);
                prop_assert_eq!(iamat.timestamp_text, stamp);
                prop_assert_eq!(Some(iamat.timestamp), Timestamp::parse(stamp));
                check_report(&iamat, now);
            }
            (Command::Whatsat(whatsat), Model::Whatsat(client)) => prop_assert_eq!(whatsat.client, client),
            (Command::Empty, Model::Empty) => {}
            (Command::Unknown(copy), Model::Unknown(trimmed)) => prop_assert_eq!(copy, trimmed),
            (parsed, model) => prop_assert!(false, "{parsed:?}, not {model:?}, is {}", text.escape_ascii()),
        }
    }

    #[test]
    fn a_report_is_what_its_fields_say(text in spoilt(report())) {
        let parsed = Report::parse(&text);
        let shown = parsed.as_ref().map(|report| (report.origin(), report.client(), report.position().as_bytes()));
        prop_assert_eq!(shown, model_report(&text), "{}", text.escape_ascii());
        if let Some(report) = parsed {
            prop_assert_eq!(report.line(), text.as_slice());
            let stamp = text.rsplit(|byte| *byte == b' ').next().expect("a last field");
            prop_assert_eq!(Some(report.timestamp()), Timestamp::parse(stamp));
        }
    }
}

/// The AT line that it makes has its fields with a space between, and is read as it was written.
fn check_report(iamat: &Iamat<'_>, now: Timestamp) {
    let mut difference = Vec::new();
    (now - iamat.timestamp).write(&mut difference);
    let fields =
        [b"AT", b"Goloman".as_slice(), &difference, iamat.client, iamat.position.as_bytes(), iamat.timestamp_text];
    let line = fields.join(&b' ');
    let mut text = b"before\n".to_vec();
    let written = Report::write(&mut text, &ServerName::parse(b"Goloman").expect("a name"), iamat, now);
    assert_eq!(written.line(), line);
    let read = Report::parse(&line).expect("what is written is read");
    assert_eq!(
        (read.client(), read.origin(), read.timestamp()),
        (written.client(), written.origin(), written.timestamp())
    );
    assert_eq!(read.position(), written.position());
}

#[derive(Debug)]
enum Model<'a> {
    Empty,
    Iamat([&'a [u8]; 3]),
    Whatsat(&'a [u8]),
    Unknown(&'a [u8]),
}

fn model_command(line: &[u8]) -> Model<'_> {
    let Some(start) = line.iter().position(|byte| !is_white(*byte)) else { return Model::Empty };
    let end = line.iter().rposition(|byte| !is_white(*byte)).expect("there is one");
    let line = &line[start..=end];
    let words: Vec<&[u8]> = line.split(|byte| is_white(*byte)).filter(|word| !word.is_empty()).collect();
    let [word, client, third, fourth] = words[..] else { return Model::Unknown(line) };
    let fits = line.len() <= 4096 && client.len() <= 255;
    match word {
        b"IAMAT" if fits && model_position(third).is_some() && model_timestamp(fourth).is_some() => {
            Model::Iamat([client, third, fourth])
        }
        b"WHATSAT" if fits && is_number_up_to(third, 50) && is_number_up_to(fourth, 20) && !fourth.contains(&b'.') => {
            Model::Whatsat(client)
        }
        _ => Model::Unknown(line),
    }
}

type Shown<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn model_report(line: &[u8]) -> Option<Shown<'_>> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [b"AT", origin, difference, client, position, stamp] = fields[..] else { return None };
    let is_client = (1..=255).contains(&client.len()) && !client.iter().any(|byte| is_white(*byte));
    let well_formed = is_client
        && line.len() <= 8192
        && ServerName::is_valid(origin)
        && Difference::is_written(difference)
        && model_position(position).is_some()
        && model_timestamp(stamp).is_some();
    well_formed.then_some((origin, client, position))
}

/// Latitude and longitude.
fn model_position(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = text.strip_suffix(b"/").unwrap_or(text);
    let second = text.iter().rposition(|byte| matches!(byte, b'+' | b'-'))?;
    let (latitude, longitude) = text.split_at(second);
    let number = |text: &[u8], limit| match text {
        [b'+' | b'-', number @ ..] => is_number_up_to(number, limit),
        _ => false,
    };
    (number(latitude, 90) && number(longitude, 180)).then(|| (latitude.to_vec(), longitude.to_vec()))
}

/// As a difference to the epoch is written.
fn model_timestamp(text: &[u8]) -> Option<String> {
    let (sign, unsigned) = match text {
        [b'-', rest @ ..] => ('-', rest),
        _ => ('+', text),
    };
    let (whole, decimals) = model_number(unsigned)?;
    let whole = whole.trim_start_matches('0');
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let is_zero = seconds == 0 && decimals.bytes().all(|digit| digit == b'0');
    let sign = if is_zero { '+' } else { sign };
    let fits = seconds <= i64::MAX as u64 && decimals.len() <= 9;
    fits.then(|| format!("{sign}{seconds}.{decimals:0<9}"))
}

fn is_number_up_to(text: &[u8], limit: u64) -> bool {
    model_number(text).is_some_and(|(whole, decimals)| {
        let whole = whole.trim_start_matches('0');
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u64::MAX) };
        whole < limit || whole == limit && decimals.bytes().all(|digit| digit == b'0')
    })
}

/// The digits before a point and after it.
fn model_number(text: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() && are_digits(whole) && are_digits(decimals)).then_some((whole, decimals))
}

fn is_white(byte: u8) -> bool {
    b" \t\r\n\x0c\x0b".contains(&byte)
}

/// What `text` gives, with up to two of its bytes replaced, or one more put in.
fn spoilt(text: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte =
        || prop_oneof![prop::sample::select(b"\0\t\r\x0b\x0c\x1f !+-./09:;?\x7f\x80\xb0\xff".to_vec()), any::<u8>()];
    let at = any::<prop::sample::Index>;
    (text, prop::collection::vec((at(), byte(), any::<bool>()), 0..=2)).prop_map(|(mut text, faults)| {
        for (at, byte, is_more) in faults {
            let place = at.index(text.len() + 1);
            match text.get_mut(place) {
                Some(old) if !is_more => *old = byte,
                _ => text.insert(place, byte),
            }
        }
        text
    })
}

fn stamp() -> impl Strategy<Value = Vec<u8>> {
    let text =
        "[0-9]{10}[.][0-9]{9}|-?[0-9]{1,12}([.][0-9]{0,10})?|-?0{0,12}92233720368547758(0[78]|1)[.]?|[0-9]{7,24}|";
    text.prop_map(String::into_bytes)
}

fn position() -> impl Strategy<Value = Vec<u8>> {
    let text = "[+-](0{0,9}|90|0{0,20}8)[0-9]?([.][0-9]{0,18})?[+-](0{0,9}|0{0,20}180|1)[0-9]{0,2}([.]0{0,18})?/?|\
                [+-][1-8][0-9][.][0-9]{6}[+-]1[0-7][0-9][.][0-9]{6}";
    text.prop_map(String::into_bytes)
}

fn client() -> impl Strategy<Value = Vec<u8>> {
    let strange = prop::sample::select(b"a0.\0\x1f\x7f\x80\xa0\xff\x08\x0e!".to_vec());
    prop_oneof![
        4 => prop::collection::vec(strange, 1..20),
        4 => "[a-z.]{1,24}".prop_map(String::into_bytes),
        1 => (250_usize..260).prop_map(|length| vec![b'k'; length]),
        1 => Just(Vec::new()),
    ]
}

fn command() -> impl Strategy<Value = Vec<u8>> {
    let space =
        || prop_oneof![12 => Just(" "), 1 => prop::sample::select(vec!["  ", "\t", "\r", "\x0b ", " \x0c", "\n", ""])];
    let end = || prop_oneof![8 => Just(""), 1 => prop::sample::select(vec![" ", "\r", "\t ", "\0"])];
    let iamat = (Just("IAMAT"), position(), stamp());
    let whatsat = (Just("WHATSAT"), radius(), bound());
    let command = prop_oneof![6 => iamat.boxed(), 2 => whatsat.boxed()];
    let long = prop_oneof![20 => Just(0_usize), 1 => 3_980_usize..4_100];
    (command, client(), (space(), space(), space()), (end(), end()), long).prop_map(
        |((word, third, fourth), client, spaces, ends, zeros)| {
            let pieces: [&[u8]; 10] = [
                ends.0.as_bytes(),
                word.as_bytes(),
                spaces.0.as_bytes(),
                &client,
                spaces.1.as_bytes(),
                &third,
                spaces.2.as_bytes(),
                &vec![b'0'; zeros],
                &fourth,
                ends.1.as_bytes(),
            ];
            pieces.concat()
        },
    )
}

fn radius() -> impl Strategy<Value = Vec<u8>> {
    "0{0,9}(50|4?[0-9])([.](0{0,20}|[0-9]{0,3}))?".prop_map(String::into_bytes)
}

fn bound() -> impl Strategy<Value = Vec<u8>> {
    "0{0,9}(2[01]|1?[0-9])[.]?".prop_map(String::into_bytes)
}

fn report() -> impl Strategy<Value = Vec<u8>> {
    let difference = "[+-](0|[1-9][0-9]{0,20})[.][0-9]{9}|[+-][0-9]{1,2}[.][0-9]{8,10}".prop_map(String::into_bytes);
    let origin = "[A-Za-z][A-Za-z0-9_-]{0,9}|[A-Za-z]{60,66}".prop_map(String::into_bytes);
    let long = prop_oneof![20 => Just(0_usize), 1 => 8_050_usize..8_200];
    (origin, difference, client(), position(), stamp(), long).prop_map(
        |(origin, difference, client, position, stamp, zeros)| {
            let stamp = [vec![b'0'; zeros], stamp].concat();
            [b"AT".to_vec(), origin, difference, client, position, stamp].join(&b' ')
        },
    )
}
