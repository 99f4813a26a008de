//! Whether a text looks like an answer of Google's legacy Places API, to the byte. For tests only.
//!
//! - It reads lines, and knows nothing of how [`layout`](crate::places::layout) writes them.
//! - Newlines at the end are not looked at: one is Google's, two are the client's.
//! - Of the members only those at the top must be Google's, and what they mean is not asked.

use serde_json::Value;
use serde_json::value::RawValue;

/// Passes a text that Google could have written, whatever it means.
///
/// # Errors
/// The first line that Google would write otherwise, and how.
pub(crate) fn looks_like_googles(text: &str) -> Result<(), String> {
    if text.contains(['<', '>']) {
        return Err("angle brackets are escaped".to_owned());
    }
    let mut page = Page { open: vec![Container::new(Kind::Text)] };
    for (at, line) in text.trim_end_matches('\n').split('\n').enumerate() {
        page.read(line).map_err(|what| format!("line {}: {what}", at + 1))?;
    }
    match page.open[..] {
        [Container { comma: false, items: 1, .. }] => Ok(()),
        _ => Err("the text is one object".to_owned()),
    }
}

/// The objects and arrays that are open at a line, the whole text first.
struct Page<'text> {
    open: Vec<Container<'text>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Object,
    Array,
}

struct Container<'text> {
    kind: Kind,
    keys: Vec<&'text str>,
    items: usize,
    /// Whether there is a comma after the last item.
    comma: bool,
    /// How long the items were on one line; `None` if they may not stand on one.
    line: Option<usize>,
}

impl Container<'_> {
    fn new(kind: Kind) -> Self {
        let line = (kind == Kind::Array).then_some("[  ]".len());
        Self { kind, keys: Vec::new(), items: 0, comma: false, line }
    }
}

impl<'text> Page<'text> {
    fn read(&mut self, line: &'text str) -> Result<(), &'static str> {
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        claim(!content.is_empty() && content.trim() == content, "only spaces before, and nothing after")?;
        let (content, comma) = content.strip_suffix(',').map_or((content, false), |content| (content, true));
        let depth = self.open.len() - 1;
        match content {
            "}" => self.close(Kind::Object, depth)?,
            "]" => self.close(Kind::Array, depth)?,
            _ => {
                claim(indent == 3 * depth, "three spaces for each level")?;
                return self.item(content, comma);
            }
        }
        self.last().comma = comma;
        claim(indent + 3 == 3 * depth, "a bracket closes where its line began")
    }

    fn close(&mut self, kind: Kind, depth: usize) -> Result<(), &'static str> {
        let closed = self.last();
        claim(closed.kind == kind, "brackets come in pairs")?;
        claim(!closed.comma && closed.items > 0, "no comma before a bracket, and no empty lines of them")?;
        claim(closed.line.is_none_or(|length| length >= 74), "a short array stands on one line")?;
        let whole = ["html_attributions", "results", "status"].map(quoted);
        let lacks = |key: &String| !closed.keys.contains(&key.as_str());
        claim(depth > 1 || !whole.iter().any(lacks), "an answer has attributions, results and a status")?;
        self.open.pop();
        Ok(())
    }

    fn item(&mut self, content: &'text str, comma: bool) -> Result<(), &'static str> {
        let is_top = self.open.len() == 2;
        let container = self.last();
        claim(container.items == 0 || container.comma, "a comma between items")?;
        container.items += 1;
        container.comma = comma;
        let value = match container.kind {
            Kind::Text => Some(content).filter(|content| *content == "{").ok_or("the text is one object")?,
            Kind::Array => content,
            Kind::Object => {
                let (key, value) = content.split_once(" : ").ok_or("a key, ` : `, a value")?;
                claim(serde_json::from_str::<String>(key).is_ok(), "a key is a string")?;
                claim(container.keys.last().is_none_or(|last| *last < key), "keys ascend")?;
                claim(!is_top || TOP.map(quoted).contains(&key.to_owned()), "no such member at the top")?;
                container.keys.push(key);
                value
            }
        };
        let opened = match value {
            "{" => Kind::Object,
            "[" => Kind::Array,
            _ => {
                let longer = is_simple(value)?.then_some(value.len());
                let between = if container.items > 1 { ", ".len() } else { 0 };
                container.line = container.line.zip(longer).map(|(line, longer)| line + between + longer);
                return Ok(());
            }
        };
        container.line = None;
        claim(!comma, "no comma after an opening bracket")?;
        self.open.push(Container::new(opened));
        Ok(())
    }

    fn last(&mut self) -> &mut Container<'text> {
        self.open.last_mut().expect("the text itself is closed by nothing")
    }
}

/// Whether the value may stand in an array of one line: it nests nothing.
fn is_simple(value: &str) -> Result<bool, &'static str> {
    if matches!(value, "[]" | "{}") {
        return Ok(true);
    }
    claim(value.trim() == value && !value.starts_with('{'), "an object with members has lines for them")?;
    if value.starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(value).map_err(|_| "no JSON")?;
        let line = elements.iter().map(|element| element.get()).collect::<Vec<_>>().join(", ");
        claim(value == format!("[ {line} ]"), "an array on one line is `[ a, b ]`")?;
        claim(value.len() < 74, "a long array stands on many lines")?;
        for element in elements {
            claim(is_simple(element.get())?, "an array in an array has a line of its own")?;
        }
        return Ok(false);
    }
    let scalar: Value = serde_json::from_str(value).map_err(|_| "no JSON")?;
    claim(!scalar.is_number() || !value.ends_with(".0"), "a whole number has no point")?;
    Ok(true)
}

fn quoted(key: &str) -> String {
    format!("\"{key}\"")
}

fn claim(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

const TOP: [&str; 5] = ["error_message", "html_attributions", "next_page_token", "results", "status"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::answer::Answer;

    const PAGE: &str = r#"{
   "html_attributions" : [],
   "next_page_token" : "t",
   "results" : [
      {
         "empty" : {},
         "long" : [
            "0123456789012345678901234567890123456",
            "012345678901234567890123456789"
         ],
         "point" : -0.5,
         "types" : [ "012345678901234567890123456789", "01234567890123456789012345678", {} ]
      },
      [ 1 ]
   ],
   "status" : "OK"
}
"#;

    /// What is said of the page with one piece changed.
    fn changed(piece: &str, other: &str) -> Result<(), String> {
        assert_eq!(PAGE.matches(piece).count(), 1, "{piece}");
        looks_like_googles(&PAGE.replace(piece, other))
    }

    #[test]
    fn googles_pass() {
        assert_eq!(changed("\"OK\"", "\"OK\""), Ok(()));
        let error = Answer::unknown_error("Places \"timed out\" <here>.\n").text(20);
        assert_eq!(looks_like_googles(&String::from_utf8(error).expect("text")), Ok(()));
        assert_eq!(looks_like_googles(include_str!("../../tests/data/helsinki.json")), Ok(()));
    }

    #[test]
    fn others_do_not() {
        let check = |piece: &str, other: &str, expected: &str| {
            let complaint = changed(piece, other).expect_err(other);
            assert!(complaint.ends_with(expected), "{other}: {complaint}");
        };
        check("   \"status\"", "  \"status\"", "three spaces for each level");
        check("   \"status\"", "\t\"status\"", "only spaces before, and nothing after");
        check("\"OK\"\n", "\"OK\" \n", "only spaces before, and nothing after");
        check("\"OK\"\n", "\"OK\"\r\n", "only spaces before, and nothing after");
        check("\"OK\"\n", "\"OK\"\n\n", "only spaces before, and nothing after");
        check("\"status\" :", "\"status\":", "a key, ` : `, a value");
        check("\"status\" : ", "\"status\" :  ", "an object with members has lines for them");
        check("\"status\"", "status", "a key is a string");
        check("\"status\"", "\"state\"", "no such member at the top");
        check(",\n   \"status\" : \"OK\"", "", "an answer has attributions, results and a status");
        check("\"empty\"", "\"n\"", "keys ascend");
        check("\"empty\"", "\"long\"", "keys ascend");
        check("\"OK\"", "OK", "no JSON");
        check("-0.5", "1.0", "a whole number has no point");
        check("-0.5", "[ 1, 2.0 ]", "a whole number has no point");
        check("-0.5", "[ [ 1 ] ]", "an array in an array has a line of its own");
        check("-0.5", "{ \"a\" : 1 }", "an object with members has lines for them");
        check("-0.5", "\"<\"", "angle brackets are escaped");
        check("-0.5", "\">\"", "angle brackets are escaped");
        check("-0.5", "[\n            1\n         ]", "a short array stands on one line");
        check("-0.5", "{\n         }", "no comma before a bracket, and no empty lines of them");
        check("-0.5", "{,\n            \"a\" : 1\n         }", "no comma after an opening bracket");
        check("[ 1 ]", "[1]", "an array on one line is `[ a, b ]`");
        check("\"0123456789012345678901234567890123456\"", "\"01\"", "a short array stands on one line");
        check("01234567890123456789012345678\", {}", "012345678901234567890123456789\", {}", "on many lines");
        check("-0.5,", "-0.5", "a comma between items");
        check("},\n      [ 1 ]", "}\n      [ 1 ]", "a comma between items");
        check("\"OK\"\n", "\"OK\",\n", "no comma before a bracket, and no empty lines of them");
        check("\n   ],\n   \"s", "\n   },\n   \"s", "brackets come in pairs");
        check("\n   ],\n   \"s", "\n     ],\n   \"s", "a bracket closes where its line began");
        check("\"OK\"\n}", "\"OK\"\n},", "the text is one object");
        check("\"OK\"\n}", "\"OK\"", "the text is one object");
        check("\"OK\"\n}", "\"OK\"\n}\n}", "brackets come in pairs");
        for text in ["", "[]", "{}", "null", "{\n}"] {
            assert!(looks_like_googles(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_array_breaks_at_the_line() {
        let check = |length: usize, broken: bool| {
            let text = "x".repeat(length - "[ \"\" ]".len());
            let (before, after) = if broken { ("\n            ", "\n         ") } else { (" ", " ") };
            changed("-0.5", &format!("[{before}\"{text}\"{after}]"))
        };
        assert_eq!((check(73, false), check(74, true)), (Ok(()), Ok(())));
        assert!(check(74, false).is_err() && check(73, true).is_err());
    }
}
