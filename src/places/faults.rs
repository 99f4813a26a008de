//! What the stand-in can be told to do wrong: a list of words, such as `delay=200,chunked`.
//!
//! - The words, and what each of them decides and does, are in `table`. The parser and the help are made of it, so they cannot differ.
//! - Faults that decide the same exclude each other, all others can be combined. That is the only rule.
//!
//! What becomes of an answer under these faults is [`plan`](crate::places::plan)'s business.

mod table;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use self::table::{Row, TABLE};

/// What goes wrong with an answer; by default, nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    pub(super) legacy: Saying,
    pub(super) new: Saying,
    pub(super) framing: Framing,
    pub(super) version: Version,
    pub(super) interim: bool,
    pub(super) head: Length,
    pub(super) body: Length,
    /// In seconds.
    pub(super) retry_after: Option<u64>,
    pub(super) delay: Duration,
    /// The time from byte to byte.
    pub(super) drip: Option<Duration>,
    /// After how many bytes.
    pub(super) cut: Option<usize>,
}

/// What is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Saying {
    /// What the gazetteer knows.
    #[default]
    Truth,
    /// That the project may not use this API, with this HTTP status.
    NotEnabled(u16),
    /// That there were too many questions.
    OverQuota,
    /// The key, which nobody must show.
    Key,
    /// A page for people, with this HTTP status.
    Page(u16),
    /// That the answer is elsewhere.
    Elsewhere,
    /// Nothing that is HTTP.
    Garbage,
    /// Nothing at all.
    Nothing,
}

/// How a reader knows where the body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Framing {
    #[default]
    Length,
    Chunked,
    /// The connection ends in good order.
    UntilClose,
    /// The connection ends, and over TLS nobody says that this was all.
    CutOff,
    /// A length, and chunks.
    TwoLengths,
}

/// The version of the status line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Version {
    Http10,
    #[default]
    Http11,
}

/// How long a part of an answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Length {
    #[default]
    Usual,
    /// More than a careful reader takes.
    Long,
}

/// Why a text is no list of faults: what was wrong, where, and the remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultError(String);

impl Faults {
    /// Takes a list of faults, divided by commas; the empty one has none.
    ///
    /// # Errors
    /// If a word is no fault, its value is none, or two of them exclude each other.
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let mut faults = Self::default();
        let mut taken: Vec<(&Row, &str)> = Vec::new();
        for word in text.split(',').filter(|_| !text.is_empty()) {
            let (row, number) = read(word)?;
            for (other, before) in &taken {
                if let Some(aspect) = row.decides.iter().find(|aspect| other.decides.contains(aspect)) {
                    return Err(FaultError(format!(
                        "{before:?} and {word:?} exclude each other, as both decide {}: leave one out",
                        aspect.words()
                    )));
                }
            }
            (row.set)(&mut faults, number);
            taken.push((row, word));
        }
        Ok(faults)
    }

    /// All faults, a line for each: how it is written, and what it does.
    pub fn table() -> String {
        let width = TABLE.iter().map(|row| row.form().len()).max().unwrap_or_default();
        TABLE.iter().map(|row| format!("  {:<width$}  {}\n", row.form(), row.help)).collect()
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for FaultError {}

/// One fault of a list.
fn read(text: &str) -> Result<(&'static Row, u64), FaultError> {
    let (word, value) = text.split_once('=').map_or((text, None), |(word, value)| (word, Some(value)));
    let Some(row) = TABLE.iter().find(|row| row.word == word) else {
        // A word of another length is not near, and may be as long as a request's head: nothing is computed for that.
        let alike = TABLE.iter().filter(|row| row.word.len().abs_diff(word.len()) <= NEAR);
        let near = alike.map(|row| (strsim::damerau_levenshtein(row.word, word), row));
        let near = near.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= NEAR);
        let remedy = match near {
            Some((_, row)) => format!("did you mean {:?}?", row.form()),
            None => format!("there are {}", TABLE.iter().map(Row::form).collect::<Vec<_>>().join(", ")),
        };
        return Err(FaultError(format!("{text:?} is no fault; {remedy}")));
    };
    let number = row.number(value).ok_or_else(|| FaultError(format!("{text:?} cannot be: {}", row.remedy())))?;
    Ok((row, number))
}

/// How many letters of a word may be wrong for it to be guessed.
const NEAR: usize = 2;

#[cfg(test)]
mod tests {
    use super::table::Value;
    use super::*;

    #[test]
    fn a_list_of_words_says_what_goes_wrong() {
        let check = |text: &str, expected: Faults| assert_eq!(Faults::parse(text), Ok(expected), "{text}");
        check("", Faults::default());
        let slow =
            Faults { delay: Duration::from_millis(20), drip: Some(Duration::from_millis(3)), ..Faults::default() };
        check("delay=20,drip=3", slow.clone());
        check("drip=3,delay=20", slow);
        check("cut=0", Faults { cut: Some(0), ..Faults::default() });
        let page = Saying::Page(503);
        check("status=503", Faults { legacy: page, new: page, ..Faults::default() });
        check("no-legacy", Faults { legacy: Saying::NotEnabled(200), ..Faults::default() });
        check(
            "no-legacy=403,no-new",
            Faults { legacy: Saying::NotEnabled(403), new: Saying::NotEnabled(403), ..Faults::default() },
        );
        let many = Faults {
            legacy: Saying::OverQuota,
            new: Saying::OverQuota,
            framing: Framing::TwoLengths,
            version: Version::Http10,
            interim: true,
            head: Length::Long,
            body: Length::Long,
            retry_after: Some(7),
            ..Faults::default()
        };
        check("quota,two-lengths,http-1.0,continue,long-head,long-body,retry-after=7", many);
    }

    #[test]
    fn what_is_no_list_is_told_with_the_remedy() {
        let check = |text: &str, expected: &str| {
            let error = Faults::parse(text).map_err(|error| error.to_string());
            assert_eq!(error, Err(expected.to_owned()), "{text}");
        };
        check("cutt=5", "\"cutt=5\" is no fault; did you mean \"cut=N\"?");
        check("chunked,Silent", "\"Silent\" is no fault; did you mean \"silent\"?");
        check("delay", "\"delay\" cannot be: write delay=MS, where MS is a number from 0 to 600000");
        check("delay=600001", "\"delay=600001\" cannot be: write delay=MS, where MS is a number from 0 to 600000");
        check("drip=+1", "\"drip=+1\" cannot be: write drip=MS, where MS is a number from 1 to 600000");
        check("drip=0", "\"drip=0\" cannot be: write drip=MS, where MS is a number from 1 to 600000");
        check("status=600", "\"status=600\" cannot be: write status=N, where N is a number from 200 to 599");
        check("cut=", "\"cut=\" cannot be: write cut=N, where N is a number from 0 to 1073741824");
        check("chunked=1", "\"chunked=1\" cannot be: write chunked, which takes no value");
        check("no-legacy=404", "\"no-legacy=404\" cannot be: write no-legacy or no-legacy=403");
        let error = Faults::parse("chunked,").expect_err("an empty word").to_string();
        assert!(error.starts_with("\"\" is no fault; there are delay=MS, drip=MS, "), "{error}");
    }

    #[test]
    fn faults_that_decide_the_same_exclude_each_other() {
        let check = |text: &str, aspect: &str| {
            let (one, other) = text.split_once(',').expect("two faults");
            for text in [format!("{one},{other}"), format!("{other},{one}")] {
                let error = Faults::parse(&text).expect_err(&text).to_string();
                assert!(error.contains(" exclude each other, as both decide "), "{error}");
                assert!(error.ends_with(&format!("{aspect}: leave one out")), "{error}");
            }
        };
        check("chunked,until-close", "how the end of the body is told");
        check("no-close-notify,two-lengths", "how the end of the body is told");
        check("delay=1,delay=2", "when the answer begins");
        check("quota,no-legacy", "what the legacy API says");
        check("no-new,redirect", "what the new API says");
        check("garbage,http-1.0", "the HTTP version");
        check("silent,cut=1", "after how many bytes it ends");
        check("silent,drip=1", "how fast it comes");
    }

    #[test]
    fn every_fault_is_explained_and_leads_to_something() {
        let table = Faults::table();
        for row in TABLE {
            assert!(table.contains(&format!("  {} ", row.form())) && table.contains(row.help), "{}", row.word);
            let value = match &row.value {
                Value::None | Value::Perhaps(..) => row.word.to_owned(),
                Value::Number(_, range) => format!("{}={}", row.word, range.end()),
            };
            assert_ne!(Faults::parse(&value), Ok(Faults::default()), "{value}");
        }
        assert!(table.lines().all(|line| line.len() <= 110), "{table}");
    }
}
