//! JSON in the layout of Google's web services, which is that of jsoncpp's `StyledWriter`.
//!
//! - Three spaces of indent, `"key" : value`, keys in alphabetical order, no newline at the end.
//! - An array of short scalars stands on one line, `[ "a", "b" ]`, unless that line were 74 bytes or longer.
//! - `<` and `>` are `\u003c` and `\u003e`, so that an answer is harmless inside HTML; other characters stay as they are.
//! - A number without a fraction has no point.
//!
//! It writes our own answers only: values nested as deep as a stranger likes are not for it.

use serde_json::Value;

/// Writes `value` as Google would.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, 0, &mut out);
    out
}

fn write_value(value: &Value, level: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(number.to_string().trim_end_matches(".0")),
        Value::String(text) => write_text(text, out),
        Value::Array(elements) => match on_one_line(elements) {
            Some(line) => out.push_str(&line),
            None => write_lines(['[', ']'], level, out, elements, |element, out| write_value(element, level + 1, out)),
        },
        Value::Object(members) if members.is_empty() => out.push_str("{}"),
        Value::Object(members) => write_lines(['{', '}'], level, out, members, |(key, value), out| {
            write_text(key, out);
            out.push_str(" : ");
            write_value(value, level + 1, out);
        }),
    }
}

/// Items on lines of their own, between brackets.
fn write_lines<Item>(
    [open, close]: [char; 2],
    level: usize,
    out: &mut String,
    items: impl IntoIterator<Item = Item>,
    mut write: impl FnMut(Item, &mut String),
) {
    let mut before = open;
    for item in items {
        out.push(before);
        new_line(level + 1, out);
        write(item, out);
        before = ',';
    }
    new_line(level, out);
    out.push(close);
}

fn new_line(level: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(INDENT, level));
}

/// The array as one line, if it may be one.
fn on_one_line(elements: &[Value]) -> Option<String> {
    if elements.is_empty() {
        return Some("[]".to_owned());
    }
    let nests = |element: &Value| match element {
        Value::Array(inner) => !inner.is_empty(),
        Value::Object(inner) => !inner.is_empty(),
        _ => false,
    };
    if elements.iter().any(nests) {
        return None;
    }
    let mut line = "[ ".to_owned();
    for (at, element) in elements.iter().enumerate() {
        line.push_str(if at == 0 { "" } else { ", " });
        write_value(element, 0, &mut line);
    }
    line.push_str(" ]");
    (line.len() < LINE).then_some(line)
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // What stands for itself is copied as a whole. All others are ASCII, so none is cut in two.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | b'<' | b'>' | 0..=0x1f)) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => out.push_str(&format!("\\u{byte:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// From this length on, in bytes, an array takes a line for each element.
const LINE: usize = 74;

const INDENT: &str = "   ";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stand_as_google_writes_them() {
        let check = |value: Value, expected: &str| assert_eq!(write(&value), expected);
        check(json!(null), "null");
        check(json!([true, false]), "[ true, false ]");
        check(json!([]), "[]");
        check(json!({}), "{}");
        check(json!([[], {}]), "[ [], {} ]");
        check(json!({"b": 1, "a": []}), "{\n   \"a\" : [],\n   \"b\" : 1\n}");
        check(json!([{"a": [1]}]), "[\n   {\n      \"a\" : [ 1 ]\n   }\n]");
        check(json!([34.0, -118.445127, 0.00001, 100, 1e7]), "[ 34, -118.445127, 0.00001, 100, 10000000 ]");
        check(json!("<a href=\"x\">'&é\u{1}\n\t\\</a>"), r#""\u003ca href=\"x\"\u003e'&é\u0001\n\t\\\u003c/a\u003e""#);
    }

    #[test]
    fn an_array_breaks_at_the_line() {
        let check = |length, breaks| {
            let text = write(&json!(["x".repeat(length - "[ \"\" ]".len())]));
            assert_eq!(text.starts_with("[\n   \"x"), breaks, "{length}");
        };
        check(LINE - 1, false);
        check(LINE, true);
        assert!(write(&json!(vec![1; 23])).starts_with("[ 1"));
        assert!(write(&json!(vec![1; 24])).starts_with("[\n"));
    }
}
