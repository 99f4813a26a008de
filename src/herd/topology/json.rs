//! The JSON of a topology as a tree that forgets nothing: the order of its keys, and keys given twice.
//!
//! A [`Field`] is a value together with the path that leads to it, so that whoever finds it wrong can say where it stands.
//! Mistakes are collected in [`Errors`], never returned one by one: a reader goes on with what is right.
//! What the fields mean is not known here.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Everything that is wrong with a topology: a line for each mistake, saying where, what and the remedy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(Vec<String>);

impl Errors {
    /// One more mistake: `path` has `what` wrong with it, and `remedy` rights it.
    pub(super) fn add(&mut self, path: impl fmt::Display, what: impl fmt::Display, remedy: impl fmt::Display) {
        self.0.push(format!("{path}: {what}; {remedy}"));
    }

    /// How many mistakes there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The value, if nothing was wrong.
    pub(super) fn or<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Errors {}

/// Any JSON value, objects as they were written.
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Takes `text` for JSON; a mistake in its syntax is told by line and column.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Errors> {
        serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = error.to_string();
            let what = what.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&what);
            let mut errors = Errors::default();
            errors.add(format_args!("line {line}, column {column}"), what, "a topology is one JSON object");
            errors
        })
    }
}

/// As an error says it: short values in full, long ones by their kind.
impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::Number(value) => write!(formatter, "{value}"),
            Self::Text(value) => write!(formatter, "{value:?}"),
            Self::Array(items) => write!(formatter, "an array of {}", items.len()),
            Self::Object(entries) if entries.is_empty() => formatter.write_str("an empty object"),
            Self::Object(_) => formatter.write_str("an object"),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

/// Builds a [`Json`] from what serde meets.
struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Json::Object(object))
    }
}

/// A value of the file, and the path that leads to it.
pub(super) struct Field<'a> {
    pub(super) path: String,
    json: &'a Json,
}

impl<'a> Field<'a> {
    /// The whole file.
    pub(super) fn root(json: &'a Json) -> Self {
        Self { path: "$".to_owned(), json }
    }

    /// The text that stands here, or an error that asks for `wanted`.
    pub(super) fn text(&self, wanted: &str, errors: &mut Errors) -> Option<&'a str> {
        let Json::Text(text) = self.json else { return self.refuse(wanted, errors) };
        Some(text)
    }

    /// The whole number in `range` that stands here, or an error that says so.
    pub(super) fn whole_number(&self, range: RangeInclusive<u32>, errors: &mut Errors) -> Option<u32> {
        let number = match self.json {
            Json::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            None => self.refuse(&format!("a whole number from {} to {}", range.start(), range.end()), errors),
            number => number,
        }
    }

    /// The items of the array that stands here, or an error that asks for `wanted`.
    pub(super) fn items(&self, wanted: &str, errors: &mut Errors) -> Option<Vec<Self>> {
        let Json::Array(items) = self.json else { return self.refuse(wanted, errors) };
        let place = |(index, json)| Self { path: format!("{}[{index}]", self.path), json };
        Some(items.iter().enumerate().map(place).collect())
    }

    /// The keys of the object that stands here with their values, in the file's order, each once.
    pub(super) fn entries(&self, wanted: &str, errors: &mut Errors) -> Option<Vec<(&'a str, Self)>> {
        let Json::Object(object) = self.json else { return self.refuse(wanted, errors) };
        let mut entries: Vec<(&str, Self)> = Vec::with_capacity(object.len());
        for (key, json) in object {
            let field = Self { path: path_of(&self.path, key), json };
            match entries.iter().any(|(earlier, _)| earlier == key) {
                true => errors.add(field.path, "given twice", "keep one"),
                false => entries.push((key, field)),
            }
        }
        Some(entries)
    }

    /// The values of the `known` keys of the object that stands here, in their order; any other key is an error.
    pub(super) fn keys<const N: usize>(
        &self,
        known: [&str; N],
        wanted: &str,
        errors: &mut Errors,
    ) -> Option<[Option<Self>; N]> {
        let mut values = [const { None }; N];
        for (key, field) in self.entries(wanted, errors)? {
            match known.iter().position(|one| *one == key) {
                Some(index) => values[index] = Some(field),
                None => errors.add(field.path, "unknown key", did_you_mean(key, &known)),
            }
        }
        Some(values)
    }

    /// Says that `key` has to stand in this object.
    pub(super) fn missing<T>(&self, key: &str, wanted: &str, errors: &mut Errors) -> Option<T> {
        errors.add(path_of(&self.path, key), "missing", format_args!("write {wanted}"));
        None
    }

    /// Says that this is the wrong kind of value, or out of range.
    pub(super) fn refuse<T>(&self, wanted: &str, errors: &mut Errors) -> Option<T> {
        errors.add(&self.path, format_args!("found {}", self.json), format_args!("write {wanted}"));
        None
    }
}

/// A question after the one of `known` that `word` was meant to be, or else all of them.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let distance = |one: &str| match one.starts_with(word) {
        true if !word.is_empty() => 0,
        _ => strsim::damerau_levenshtein(&one.to_lowercase(), &word.to_lowercase()),
    };
    match known.iter().map(|one| (distance(one), one)).min() {
        Some((distance, nearest)) if distance <= FAR_MISTAKE => format!("did you mean {nearest:?}?"),
        _ => format!("there are only {}", known.join(", ")),
    }
}

/// The path of `key` in the object at `parent`, as JSONPath writes it (RFC 9535).
pub(super) fn path_of(parent: &str, key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    match plain {
        true => format!("{parent}.{key}"),
        false => format!("{parent}[{key:?}]"),
    }
}

/// So many letters wrong, and it is taken for a slip; more, and it is another word.
const FAR_MISTAKE: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let check =
            |word: &str, expected: &str| assert_eq!(did_you_mean(word, &["clients", "peers"]), expected, "{word}");
        check("client", "did you mean \"clients\"?");
        check("Peers", "did you mean \"peers\"?");
        check("pe", "did you mean \"peers\"?");
        check("persa", "did you mean \"peers\"?");
        check("neighbours", "there are only clients, peers");
    }
}
