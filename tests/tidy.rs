//! The house rules that the compiler does not know: floors, first lines, lengths, and names that have one place.
//!
//! It reads the sources as text and tells comments, strings and names apart, no more: a name that a macro glues together, or a
//! path that begins with a renamed import, it does not see.

use std::fs;
use std::path::Path;

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "fuzz/targets"] {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.iter().any(|file| file.ends_with("src/lib.rs")), "the sources are not where they are looked for");
    let mut complaints = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.strip_prefix(root).expect("collected below the root").to_string_lossy().replace('\\', "/");
        complaints.extend(Source::new(&name, &text).complaints());
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Rooms, and the rooms below that each may use. Whoever adds a room decides here what it stands on.
const FLOORS: &[(&str, &[&str])] = &[
    ("mutation", &[]),
    ("herd", &["mutation"]),
    ("wire", &[]),
    ("places", &["herd", "wire"]),
    ("event_loop", &["mutation"]),
    ("driver", &["event_loop"]),
    ("streams", &["event_loop"]),
    ("server", &["mutation", "herd", "wire", "places", "event_loop", "streams"]),
    ("cli", &["herd", "wire", "places", "event_loop", "driver", "streams", "server"]),
];

/// A name that may stand only in some places, and why.
struct Ban {
    /// A path, or its end or middle: `process::exit` is also found in `std::process::exit(0)`.
    name: &'static str,
    part: Part,
    /// What may use it: beginnings of file names.
    only: &'static [&'static str],
    why: &'static str,
}

/// Where a rule holds.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Every file.
    All,
    /// What is under `src`.
    Crate,
    /// What is under `src` and no test.
    Shipped,
    /// Tests, under `src` and beside it.
    Tests,
}

const BANS: &[Ban] = &[
    Ban { name: "unsafe", part: Part::All, only: &[], why: "the compiler proves this crate" },
    Ban { name: "todo!", part: Part::All, only: &[], why: "unfinished work is an issue, not code" },
    Ban { name: "unimplemented!", part: Part::All, only: &[], why: "unfinished work is an issue, not code" },
    Ban { name: "dbg!", part: Part::All, only: &[], why: "left over from a search for a bug" },
    Ban { name: "mio", part: Part::Crate, only: &["src/driver"], why: "only a driver knows readiness" },
    Ban { name: "signal_hook_mio", part: Part::Crate, only: &["src/driver"], why: "only a driver knows readiness" },
    Ban { name: "rustls::Connection", part: Part::Crate, only: CHANNEL, why: ONE_CHANNEL },
    Ban { name: "ClientConnection", part: Part::Crate, only: CHANNEL, why: ONE_CHANNEL },
    Ban { name: "ServerConnection", part: Part::Crate, only: CHANNEL, why: ONE_CHANNEL },
    Ban { name: "UnbufferedClientConnection", part: Part::Crate, only: CHANNEL, why: ONE_CHANNEL },
    Ban { name: "UnbufferedServerConnection", part: Part::Crate, only: CHANNEL, why: ONE_CHANNEL },
    Ban { name: "RefCell", part: Part::Crate, only: &["src/streams"], why: "the loop lends, it does not share" },
    Ban { name: "Instant::now", part: Part::Shipped, only: CLOCKS, why: "time is an argument" },
    Ban { name: "SystemTime::now", part: Part::Shipped, only: CLOCKS, why: "time is an argument" },
    Ban { name: "print!", part: Part::Shipped, only: COMMAND, why: ONE_VOICE },
    Ban { name: "println!", part: Part::Shipped, only: COMMAND, why: ONE_VOICE },
    Ban { name: "eprint!", part: Part::Shipped, only: COMMAND, why: ONE_VOICE },
    Ban { name: "eprintln!", part: Part::Shipped, only: COMMAND, why: ONE_VOICE },
    Ban { name: "process::exit", part: Part::Shipped, only: COMMAND, why: ONE_VOICE },
    Ban { name: "std::env", part: Part::Shipped, only: COMMAND, why: ONE_VOICE },
    Ban { name: "thread::sleep", part: Part::Tests, only: &[], why: "a test waits for what happens, not for a time" },
];

const CHANNEL: &[&str] = &["src/event_loop/channel.rs"];
const ONE_CHANNEL: &str = "TLS is known in one file";
const CLOCKS: &[&str] = &["src/driver", "src/cli"];
const COMMAND: &[&str] = &["src/cli", "src/main.rs"];
const ONE_VOICE: &str = "only the command prints, exits, or reads the environment";
const LONGEST_FILE: usize = 500;

/// A file, its code without comments and strings, and which of its lines are a test.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
    code: String,
    tests: std::ops::Range<usize>,
}

impl<'a> Source<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        let code = code_only(text);
        let lines: Vec<&str> = code.lines().collect();
        let is_test_file = !name.starts_with("src/") || name.ends_with("/tests.rs") || name.contains("/tests/");
        let begins = |index: usize| {
            let module = lines.get(index + 1).filter(|line| line.starts_with("mod ") && line.ends_with('{'));
            lines[index] == "#[cfg(test)]" && module.is_some()
        };
        let tests = match (0..lines.len()).find(|index| begins(*index)) {
            _ if is_test_file => 0..lines.len(),
            Some(first) => {
                let length = lines[first..].iter().position(|line| *line == "}");
                first..length.map_or(lines.len(), |length| first + length)
            }
            None => 0..0,
        };
        Self { name, text, code, tests }
    }

    /// Each breach of a rule, as `file:line: what`.
    fn complaints(&self) -> Vec<String> {
        let mut found: Vec<(usize, String)> = Vec::new();
        if !self.text.starts_with("//! ") {
            found.push((0, "the first line says the file's job: `//! ...`".to_owned()));
        }
        let length = self.text.lines().count();
        if self.name.starts_with("src/") && length > LONGEST_FILE {
            found.push((LONGEST_FILE, format!("{length} lines are more than {LONGEST_FILE}: find the second job")));
        }
        for (line, text) in self.text.lines().enumerate() {
            let word = ["TO\u{44}O", "FIX\u{4d}E"].into_iter().find(|word| text.contains(word));
            found.extend(word.map(|word| (line, format!("`{word}`: unfinished work is an issue, not a comment"))));
        }
        for (line, text) in self.code.lines().enumerate() {
            if self.is_in(Part::Shipped, line) && text.contains(".unwrap()") {
                found.push((line, "`.unwrap()`: `expect` says the invariant".to_owned()));
            }
        }
        for path in paths(&self.code) {
            let bans = BANS.iter().filter(|ban| self.breaks(ban, &path));
            found.extend(bans.map(|ban| (path.line, format!("`{}`: {}", ban.name, ban.why))));
            found.extend(self.breaks_floors(&path).map(|what| (path.line, what)));
        }
        found.sort();
        found.iter().map(|(line, what)| format!("{}:{}: {what}", self.name, line + 1)).collect()
    }

    fn is_in(&self, part: Part, line: usize) -> bool {
        let in_src = self.name.starts_with("src/");
        match part {
            Part::All => true,
            Part::Crate => in_src,
            Part::Shipped => in_src && !self.tests.contains(&line),
            Part::Tests => self.tests.contains(&line) && (in_src || self.name.starts_with("tests/")),
        }
    }

    fn breaks(&self, ban: &Ban, path: &NamePath<'_>) -> bool {
        let name: Vec<&str> = ban.name.split("::").collect();
        let named = path.segments.windows(name.len()).any(|segments| segments == name);
        named && self.is_in(ban.part, path.line) && !ban.only.iter().any(|place| self.name.starts_with(place))
    }

    fn breaks_floors(&self, path: &NamePath<'_>) -> Option<String> {
        let module = self.name.strip_prefix("src/")?.strip_suffix(".rs")?;
        let mut module: Vec<&str> = module.split('/').filter(|name| *name != "mod").collect();
        let room = module[0];
        if room == "lib" || room == "main" {
            return None;
        }
        if self.tests.contains(&path.line) {
            module.push("tests");
        }
        let supers = path.segments.iter().take_while(|segment| **segment == "super").count();
        let used = match *path.segments.first()? {
            "crate" => *path.segments.get(1)?,
            "super" if supers >= module.len() => *path.segments.get(supers)?,
            _ => return None,
        };
        let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == room) else {
            return Some(format!("the room {room} has no floor: add it to FLOORS"));
        };
        (used != room && !below.contains(&used)).then(|| format!("{room} may not use {used}: it is not below"))
    }
}

/// A path as it is written, `use a::{b, c}` being `a::b` and `a::c`; a macro's name keeps its `!`.
struct NamePath<'a> {
    line: usize,
    segments: Vec<&'a str>,
}

type Token<'a> = (usize, &'a str);

fn paths(code: &str) -> Vec<NamePath<'_>> {
    let tokens: Vec<Token<'_>> = code.lines().enumerate().flat_map(tokens).collect();
    let mut found = Vec::new();
    read_group(&tokens, &[], &mut found);
    found
}

/// Words and what stands between them: `::` is one token, a macro's `!` belongs to its name.
fn tokens((line, text): (usize, &str)) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|one| !is_of_word(one)).unwrap_or(rest.len());
        let is_macro = rest[word..].starts_with('!') && !rest[word..].starts_with("!=");
        let length = match first {
            ':' if rest.starts_with("::") => 2,
            _ if word == 0 => first.len_utf8(),
            _ => word + usize::from(is_macro),
        };
        found.push((line, &rest[..length]));
        rest = rest[length..].trim_start();
    }
    found
}

/// Reads paths, each beginning with `prefix`, up to the `}` that closes their group; what follows it is left.
fn read_group<'a, 't>(
    mut tokens: &'t [Token<'a>],
    prefix: &[&'a str],
    found: &mut Vec<NamePath<'a>>,
) -> &'t [Token<'a>] {
    while let [(_, token), rest @ ..] = tokens {
        if *token == "}" && !prefix.is_empty() {
            return rest;
        }
        tokens = if token.starts_with(is_of_word) { read_path(tokens, prefix, found) } else { rest };
    }
    tokens
}

/// Reads the path, or the group of paths, at the head of `tokens`; what follows is left.
fn read_path<'a, 't>(
    mut tokens: &'t [Token<'a>],
    prefix: &[&'a str],
    found: &mut Vec<NamePath<'a>>,
) -> &'t [Token<'a>] {
    let mut segments = prefix.to_vec();
    let mut last = 0;
    while let [(line, word), rest @ ..] = tokens
        && word.starts_with(is_of_word)
    {
        segments.push(word);
        (last, tokens) = (*line, rest);
        match tokens {
            [(_, "::"), (_, "{"), rest @ ..] => return read_group(rest, &segments, found),
            [(_, "::"), rest @ ..] => tokens = rest,
            _ => break,
        }
    }
    found.push(NamePath { line: last, segments });
    tokens
}

fn is_of_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// The text with spaces for comments, strings and characters; its lines stay where they are.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = hidden_length(rest, code.ends_with(is_of_word));
        let (head, after) = rest.split_at(hidden.max(first.len_utf8()));
        match hidden {
            0 => code.push(first),
            _ => code.extend(head.chars().map(|one| if one == '\n' { one } else { ' ' })),
        }
        rest = after;
    }
    code
}

/// How many bytes at the head of `text` are a comment or a literal.
fn hidden_length(text: &str, is_inside_word: bool) -> usize {
    let up_to = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return up_to("\n", 0) - usize::from(text.contains('\n'));
    }
    if text.starts_with("/*") {
        return up_to("*/", 2);
    }
    if !is_inside_word && let Some(hashes) = text.strip_prefix("br").or_else(|| text.strip_prefix('r')) {
        let quote = hashes.trim_start_matches('#');
        let hashes = &hashes[..hashes.len() - quote.len()];
        if quote.starts_with('"') {
            return up_to(&format!("\"{hashes}"), text.len() - quote.len() + 1);
        }
    }
    let mut chars = text.char_indices();
    match (chars.next(), chars.next(), chars.next()) {
        (Some((_, '"')), ..) | (Some((_, '\'')), Some((_, '\\')), _) => quoted_length(text),
        (Some((_, '\'')), _, Some((end, '\''))) => end + 1,
        _ => 0,
    }
}

/// The length of the literal at the head of `text`, which ends with the quote that it begins with.
fn quoted_length(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            _ if byte == quote => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn a_file_says_its_job_first() {
    check("src/herd/x.rs", "//! A job.\n", "");
    check("tests/x.rs", "use std::fs;\n", "1: the first line says the file's job: `//! ...`");
    check("benches/x.rs", "", "1: the first line says the file's job: `//! ...`");
    check("examples/x.rs", "// A job.\n", "1: the first line says the file's job: `//! ...`");
    check("src/herd/x.rs", "\n//! A job.\n", "1: the first line says the file's job: `//! ...`");
}

#[test]
fn a_file_has_one_job() {
    let file = |lines: usize| format!("//! A job.\n{}", "\n".repeat(lines - 1));
    check("src/herd/x.rs", &file(500), "");
    check("src/herd/x.rs", &file(501), "501: 501 lines are more than 500: find the second job");
}

#[test]
fn a_room_uses_what_is_below() {
    let below = "may not use";
    check_line("src/herd/x.rs", "use crate::herd::y::Y;", "");
    check_line("src/places/x.rs", "use crate::{herd::y, wire};", "");
    check_line("src/server/mod.rs", "use crate::event_loop::Loop;", "");
    check_line("src/cli/x.rs", "use crate::driver::Driver;", "");
    check_line("src/lib.rs", "use crate::server::Server;", "");
    check_line("src/herd/x.rs", "// use crate::driver::Driver;", "");
    check_line("src/event_loop/x.rs", "use super::connection::Phase;", "");
    for (room, above) in [
        ("herd", "wire"),
        ("herd", "event_loop"),
        ("wire", "herd"),
        ("places", "event_loop"),
        ("event_loop", "herd"),
        ("event_loop", "driver"),
        ("driver", "server"),
        ("streams", "driver"),
        ("server", "driver"),
        ("server", "cli"),
    ] {
        let expected = format!("{room} {below} {above}: it is not below");
        check_line(&format!("src/{room}/x.rs"), &format!("use crate::{above}::X;"), &expected);
        check_line(&format!("src/{room}.rs"), &format!("fn f() {{ crate::{above}::f() }}"), &expected);
        check_line(&format!("src/{room}/x/mod.rs"), &format!("use crate::{{{room}::Y, {above}::X}};"), &expected);
        check_line(&format!("src/{room}/x.rs"), &format!("use super::super::{above}::X;"), &expected);
    }
    check_line("src/attic/x.rs", "use crate::herd::X;", "the room attic has no floor: add it to FLOORS");
}

#[test]
fn floors_hold_in_tests_too() {
    let test =
        "//! A job.\n#[cfg(test)]\nmod tests {\n    use super::super::y;\n    use super::super::super::cli;\n}\n";
    check("src/herd/x.rs", test, "5: herd may not use cli: it is not below");
}

#[test]
fn names_have_their_place() {
    check_line("src/driver/sockets.rs", "use mio::Poll;", "");
    check_line("src/server/x.rs", "use mio::Poll;", "`mio`: only a driver knows readiness");
    check_line("src/server/x.rs", "let poll = ::mio::Poll::new();", "`mio`: only a driver knows readiness");
    check_line("src/event_loop/channel.rs", "use rustls::{ClientConfig, ClientConnection};", "");
    check_line("src/event_loop/x.rs", "use rustls::{ClientConfig, ServerConfig};", "");
    check_line("src/event_loop/x.rs", "use crate::event_loop::connection::Connection;", "");
    for (line, name) in [
        ("use rustls::{ClientConfig, ClientConnection};", "ClientConnection"),
        ("use rustls::server::{self, ServerConnection};", "ServerConnection"),
        ("use rustls::{ClientConfig, Connection};", "rustls::Connection"),
        ("fn f(tls: &mut rustls::Connection) {}", "rustls::Connection"),
    ] {
        check_line("src/event_loop/x.rs", line, &format!("`{name}`: TLS is known in one file"));
    }
    check_line("src/streams/task.rs", "use std::cell::RefCell;", "");
    check_line(
        "src/herd/x.rs",
        "use std::{cell::{Cell, RefCell}, fmt};",
        "`RefCell`: the loop lends, it does not share",
    );
    check_line("src/cli/x.rs", "let now = SystemTime::now();", "");
    check_line("src/herd/x.rs", "let now = std::time::SystemTime::now();", "`SystemTime::now`: time is an argument");
    check_line("src/event_loop/x.rs", "let now = Instant::now();", "`Instant::now`: time is an argument");
    check_line("src/event_loop/x.rs", "let now = event_loop.now();", "");
}

#[test]
fn only_the_command_speaks() {
    check_line("src/main.rs", "std::process::exit(2);", "");
    check_line("src/cli/x.rs", "println!(\"hello\");", "");
    for (line, name) in [
        ("println!(\"hello\");", "println!"),
        ("eprintln!(\"hello\");", "eprintln!"),
        ("print!(\"hello\");", "print!"),
        ("eprint!(\"hello\");", "eprint!"),
        ("process::exit(2);", "process::exit"),
        ("use std::{env, fs};", "std::env"),
    ] {
        let expected = format!("`{name}`: only the command prints, exits, or reads the environment");
        check_line("src/server/x.rs", line, &expected);
    }
    check_line("src/server/x.rs", "const ROOT: &str = env!(\"CARGO_MANIFEST_DIR\");", "");
}

#[test]
fn nothing_is_unfinished_or_unproven() {
    check_line("benches/x.rs", "unsafe { f() }", "`unsafe`: the compiler proves this crate");
    check_line("src/herd/x.rs", "todo!(\"later\")", "`todo!`: unfinished work is an issue, not code");
    check_line("tests/x.rs", "unimplemented!()", "`unimplemented!`: unfinished work is an issue, not code");
    check_line("examples/x.rs", "dbg!(x);", "`dbg!`: left over from a search for a bug");
    check_line("src/herd/x.rs", "// TO\u{44}O: later", "`TO\u{44}O`: unfinished work is an issue, not a comment");
    check_line("tests/x.rs", "// FIX\u{4d}E", "`FIX\u{4d}E`: unfinished work is an issue, not a comment");
    check_line("src/herd/x.rs", "x.unwrap();", "`.unwrap()`: `expect` says the invariant");
    check_line("src/herd/x.rs", "x.unwrap_or(1);", "");
    check_line("tests/x.rs", "thread::sleep(long);", "`thread::sleep`: a test waits for what happens, not for a time");
    check_line("src/driver/x.rs", "thread::sleep(short);", "");
}

#[test]
fn unit_tests_may_do_more_until_they_end() {
    let body = "x.unwrap();\n    println!(\"{:?}\", Instant::now());\n";
    let test = format!("//! A job.\n#[cfg(test)]\nmod tests {{\n    {body}}}\n");
    check("src/herd/x.rs", &test, "");
    check("src/herd/x.rs", &format!("{test}fn f() {{ x.unwrap(); }}\n"), "7: `.unwrap()`: `expect` says the invariant");
    check("src/herd/x/tests.rs", "//! A job.\nx.unwrap();\n", "");
    let sleeping = test.replace("x.unwrap()", "std::thread::sleep(long)");
    check("src/herd/x.rs", &sleeping, "4: `thread::sleep`: a test waits for what happens, not for a time");
    let shipped = "//! A job.\n#[cfg(test)]\nmod tests;\nfn f() {\n    x.unwrap();\n}\n";
    check("src/herd/x.rs", shipped, "5: `.unwrap()`: `expect` says the invariant");
}

#[test]
fn comments_and_strings_are_no_code() {
    let check = |text: &str, expected: &str| assert_eq!(code_only(text), expected, "{text}");
    check("a // b\nc", "a     \nc");
    check("a /* b\n */ c", "a     \n    c");
    check("f(\"// \\\" b\", c)", "f(         , c)");
    check("f(r#\"a \" b\"#, c)", "f(          , c)");
    check("f(br\"\\\", c)", "f(     , c)");
    check("['\"', '\\'', '\\u{41}', c]", "[   ,     ,         , c]");
    check("fn f<'a>(a: &'a str, b: &'static str)", "fn f<'a>(a: &'a str, b: &'static str)");
    check("r#type.bar(\"x\")", "r#type.bar(   )");
}

/// `line` as the second of the file called `name`: the one complaint about it, or none.
#[track_caller]
fn check_line(name: &str, line: &str, expected: &str) {
    let expected = if expected.is_empty() { String::new() } else { format!("2: {expected}") };
    check(name, &format!("//! A job.\n{line}\n"), &expected);
}

/// What there is to say about the file called `name` with this text, a line each, without the name.
#[track_caller]
fn check(name: &str, text: &str, expected: &str) {
    let complaints = Source::new(name, text).complaints().join("\n");
    assert_eq!(complaints.replace(&format!("{name}:"), ""), expected, "{name}: {text}");
}
