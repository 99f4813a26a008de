//! JSON in the layout of Google's web services, which is that of jsoncpp's `StyledWriter`.
//!
//! - Three spaces of indent, `"key" : value`, keys in alphabetical order, no newline at the end.
//! - An array of short scalars stands on one line, `[ "a", "b" ]`, unless that line were 74 bytes or longer.
//! - `<` and `>` are `\u003c` and `\u003e`, so that an answer is harmless inside HTML; other characters stay as they are.
//! - A number keeps its digits, but no zeros at the end of a fraction; without a fraction it has no point.
//! - What is written is a tree that borrows its texts, and has its objects as lists: `serde_json::Value` copies both, and took
//!   longer to be built and dropped than to be written.
//!
//! It writes our own answers only: values nested as deep as a stranger likes are not for it, nor keys that need to be escaped.

use std::borrow::Cow;

/// A value to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json<'text> {
    /// `null`, which [`Json::object`] leaves out.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in JSON's words.
    Number(Cow<'text, str>),
    /// A string as it is meant, without quotes and escapes.
    Text(Cow<'text, str>),
    /// Elements, in their order.
    Array(Vec<Self>),
    /// Members, their keys in ascending order.
    Object(Vec<(&'static str, Self)>),
}

impl<'text> Json<'text> {
    /// An object of those members that state something: not `null`, nor an object of none.
    ///
    /// # Panics
    /// With debug assertions, if the keys do not ascend.
    pub fn object<const COUNT: usize>(members: [(&'static str, Self); COUNT]) -> Self {
        debug_assert!(members.is_sorted_by(|(one, _), (next, _)| one < next), "keys ascend");
        let mut stated = Vec::with_capacity(COUNT);
        stated.extend(members.into_iter().filter(|(_, value)| value.states_something()));
        Self::Object(stated)
    }

    fn states_something(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Object(members) => !members.is_empty(),
            _ => true,
        }
    }

    /// Whether it has lines of its own wherever it stands.
    fn nests(&self) -> bool {
        match self {
            Self::Array(elements) => !elements.is_empty(),
            Self::Object(members) => !members.is_empty(),
            _ => false,
        }
    }
}

/// [`Json::object`], in the words of JSON, of values that are [`Json`] by [`From`]: `object! { "a": 1, "b": text }`.
macro_rules! object {
    ($($key:literal: $value:expr),* $(,)?) => {
        $crate::places::layout::Json::object([$(($key, $crate::places::layout::Json::from($value))),*])
    };
}

pub(crate) use object;

impl From<bool> for Json<'_> {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<u32> for Json<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.to_string().into())
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'text, T: Into<Self>> From<Option<T>> for Json<'text> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

impl<'text, T: Into<Self>> FromIterator<T> for Json<'text> {
    fn from_iter<Elements: IntoIterator<Item = T>>(elements: Elements) -> Self {
        Self::Array(elements.into_iter().map(T::into).collect())
    }
}

/// What has a form in JSON, and lends it its texts.
pub trait AsJson {
    /// The value, without what has no form.
    fn as_json(&self) -> Json<'_>;
}

impl<'text, T: AsJson + ?Sized> From<&'text T> for Json<'text> {
    fn from(value: &'text T) -> Self {
        value.as_json()
    }
}

impl<T: AsJson> AsJson for Option<T> {
    fn as_json(&self) -> Json<'_> {
        self.as_ref().into()
    }
}

impl AsJson for str {
    fn as_json(&self) -> Json<'_> {
        Json::Text(self.into())
    }
}

/// Writes `value` as Google would.
pub fn write(value: &Json<'_>) -> Vec<u8> {
    write_within(usize::MAX, value).expect("no text is as long as that")
}

/// Writes `value` as Google would; `None` if that takes more than `limit` bytes, and then none past them is written.
pub fn write_within(limit: usize, value: &Json<'_>) -> Option<Vec<u8>> {
    let mut page = Page { text: Vec::new(), limit };
    page.write(value, 0)?;
    Some(page.text)
}

/// A text that is being written. Writing gives `None` as soon as something does not fit.
struct Page {
    text: Vec<u8>,
    /// How long the text may become, in bytes.
    limit: usize,
}

impl Page {
    fn write(&mut self, value: &Json<'_>, level: usize) -> Option<()> {
        match value {
            Json::Null => self.push(b"null"),
            Json::Bool(flag) => self.push(if *flag { b"true" } else { b"false" }),
            Json::Number(number) => self.push(shortest(number).as_bytes()),
            Json::Text(text) => self.write_text(text),
            Json::Array(elements) => self.write_on_one_line(elements).or_else(|| {
                self.write_lines(["[", "]"], level, elements, |page, element| page.write(element, level + 1))
            }),
            Json::Object(members) if members.is_empty() => self.push(b"{}"),
            Json::Object(members) => self.write_lines(["{", "}"], level, members, |page, (key, value)| {
                page.push(b"\"")?;
                page.push(key.as_bytes())?;
                page.push(b"\" : ")?;
                page.write(value, level + 1)
            }),
        }
    }

    /// The array, if it may stand on one line; else nothing is written.
    fn write_on_one_line(&mut self, elements: &[Json<'_>]) -> Option<()> {
        if elements.iter().any(Json::nests) {
            return None;
        }
        let (start, limit) = (self.text.len(), self.limit);
        self.limit = limit.min(start + LINE - 1);
        let written = self.write_line(elements);
        self.limit = limit;
        written.or_else(|| {
            self.text.truncate(start);
            None
        })
    }

    fn write_line(&mut self, elements: &[Json<'_>]) -> Option<()> {
        if elements.is_empty() {
            return self.push(b"[]");
        }
        let mut before = "[ ";
        for element in elements {
            self.push(before.as_bytes())?;
            self.write(element, 0)?;
            before = ", ";
        }
        self.push(b" ]")
    }

    /// Items on lines of their own, between brackets.
    fn write_lines<Item>(
        &mut self,
        [open, close]: [&str; 2],
        level: usize,
        items: impl IntoIterator<Item = Item>,
        mut write: impl FnMut(&mut Self, Item) -> Option<()>,
    ) -> Option<()> {
        let mut before = open;
        for item in items {
            self.push(before.as_bytes())?;
            self.new_line(level + 1)?;
            write(self, item)?;
            before = ",";
        }
        self.new_line(level)?;
        self.push(close.as_bytes())
    }

    fn new_line(&mut self, level: usize) -> Option<()> {
        self.push(b"\n")?;
        let indented = self.room_for(INDENT * level)?;
        self.text.resize(indented, b' ');
        Some(())
    }

    fn write_text(&mut self, text: &str) -> Option<()> {
        self.push(b"\"")?;
        let mut rest = text.as_bytes();
        // What stands for itself is copied as a whole. All others are ASCII, so none is cut in two.
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'<' | b'>' | 0..=0x1f)) {
            self.push(&rest[..at])?;
            match rest[at] {
                b'"' => self.push(b"\\\""),
                b'\\' => self.push(b"\\\\"),
                b'\n' => self.push(b"\\n"),
                b'\r' => self.push(b"\\r"),
                b'\t' => self.push(b"\\t"),
                byte => {
                    let [high, low] = [byte >> 4, byte & 0xf].map(|digit| HEX[usize::from(digit)]);
                    self.push(&[b'\\', b'u', b'0', b'0', high, low])
                }
            }?;
            rest = &rest[at + 1..];
        }
        self.push(rest)?;
        self.push(b"\"")
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        self.room_for(bytes.len())?;
        self.text.extend_from_slice(bytes);
        Some(())
    }

    /// How long the text is with as many bytes more, if it may be.
    fn room_for(&self, more: usize) -> Option<usize> {
        let length = self.text.len() + more;
        (length <= self.limit).then_some(length)
    }
}

/// The number without the zeros that a fraction ends with.
fn shortest(number: &str) -> &str {
    if !number.contains('.') || number.contains(['e', 'E']) {
        return number;
    }
    number.trim_end_matches('0').trim_end_matches('.')
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// From this length on, in bytes, an array takes a line for each element.
const LINE: usize = 74;

/// How many spaces stand before a line, for each object or array that it is in.
const INDENT: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Json<'_>) -> String {
        String::from_utf8(write(&value)).expect("text")
    }

    fn numbers(numbers: &[&'static str]) -> Json<'static> {
        numbers.iter().map(|number| Json::Number((*number).into())).collect()
    }

    #[test]
    fn values_stand_as_google_writes_them() {
        let check = |value: Json<'_>, expected: &str| assert_eq!(written(value), expected);
        check(Json::Null, "null");
        check(Json::from_iter([true, false]), "[ true, false ]");
        check(Json::Array(vec![]), "[]");
        check(object! {}, "{}");
        check(Json::from_iter([Json::Array(vec![]), object! {}]), "[ [], {} ]");
        check(object! { "a": Json::Array(vec![]), "b": 1 }, "{\n   \"a\" : [],\n   \"b\" : 1\n}");
        check(Json::from_iter([object! { "a": Json::from_iter([1]) }]), "[\n   {\n      \"a\" : [ 1 ]\n   }\n]");
        check("<a href=\"x\">'&é\u{1}\n\t\\</a>".into(), r#""\u003ca href=\"x\"\u003e'&é\u0001\n\t\\\u003c/a\u003e""#);
    }

    #[test]
    fn a_number_has_no_zeros_at_the_end_of_a_fraction() {
        let check = |number: &'static str, expected: &str| assert_eq!(written(Json::Number(number.into())), expected);
        check("-118.445127", "-118.445127");
        check("34.068930", "34.06893");
        check("34.0", "34");
        check("-0.00", "-0");
        check("0.00001", "0.00001");
        check("100", "100");
        check("1e10", "1e10");
        check("1.0E-10", "1.0E-10");
    }

    #[test]
    fn what_states_nothing_is_not_said() {
        let nothing = object! { "a": None::<u32>, "b": object! { "c": Json::Null } };
        assert_eq!(nothing, object! {});
        let said = object! { "a": false, "b": "", "c": Json::from_iter([nothing]), "d": Some(0) };
        assert_eq!(written(said), "{\n   \"a\" : false,\n   \"b\" : \"\",\n   \"c\" : [ {} ],\n   \"d\" : 0\n}");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "keys ascend")]
    fn keys_ascend() {
        object! { "b": 1, "a": 2 };
    }

    #[test]
    fn an_array_breaks_at_the_line() {
        let check = |length, breaks| {
            let text = written(Json::from_iter(["x".repeat(length - "[ \"\" ]".len())]));
            assert_eq!(text.starts_with("[\n   \"x"), breaks, "{length}");
        };
        check(LINE - 1, false);
        check(LINE, true);
        assert!(written(numbers(&["1"; 23])).starts_with("[ 1"));
        assert!(written(numbers(&["1"; 24])).starts_with("[\n"));
    }

    #[test]
    fn a_text_has_a_limit() {
        let (text, number) = ("<".repeat(LINE), Json::Number("1.0".into()));
        for value in [
            Json::Null,
            text.as_str().into(),
            Json::from_iter([text.as_str(), "é"]),
            object! { "a": Json::from_iter([number.clone(), number]), "b": object! { "c": true } },
        ] {
            let whole = write(&value);
            assert_eq!(write_within(whole.len(), &value).as_ref(), Some(&whole), "{value:?}");
            for limit in 0..whole.len() {
                assert_eq!(write_within(limit, &value), None, "{limit}, {value:?}");
            }
        }
    }
}
