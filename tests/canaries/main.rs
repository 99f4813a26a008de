//! Canaries: a key, a position and an ID that stand nowhere else, and the search for where they come out.
//!
//! - The key is shown nowhere, at no level: not in logs, not on standard error, not on the wire but to Places.
//! - Positions and IDs are in replies, in the reports that servers tell each other, and in the log's lines of what was said, which `-q`
//!   turns off. They are in no ERR line, and in no line of the log from INFO up.
//!
//! All are looked for on the simulated network, where every way to go wrong can be had; then in what the command prints and writes. And
//! what is looked for must have been there: Places got the key, exactly.

#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../command/mod.rs"]
mod command;
mod commands;
mod faults;
mod processes;
#[path = "../server/records.rs"]
mod records;
mod servers;
#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../server/simulated.rs"]
mod simulated;
mod stage;
#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../server/standin.rs"]
mod standin;
mod troubles;
#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../server/upstream.rs"]
mod upstream;
#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../server/world.rs"]
mod world;

use proxy_herd::server::Style;

/// In which styles the servers serve: Goloman by callbacks, its neighbour Hands by streams.
const STYLES: &[Style] = &[Style::Callbacks, Style::Streams];

/// Begins like one of Google's, and has what a URL, or JSON, writes in another way.
const KEY: &str = "AIza+Canary/7f3a=Qx~";

/// The key as a query has it.
const KEY_IN_URL: &str = "AIza%2BCanary%2F7f3a%3DQx~";

/// Where the command looks for the key.
const VARIABLE: &str = "GOOGLE_PLACES_API_KEY";

/// Where the canary is: in each half, digits that are nowhere else.
const POSITION: &str = "+34.0689307-118.4451278";

const CLIENT: &str = "canary.5d1c";

/// What tells that a text shows where somebody is, or who it is: each coordinate also alone, as Places are asked.
const POSITIONS: [&str; 3] = ["34.0689307", "118.4451278", CLIENT];

/// The key as one may write it who knows it: as it is, as URLs have it, as JSON may have it, and both.
fn spellings() -> [String; 7] {
    let each = |write: &dyn Fn(u8) -> String| KEY.bytes().map(write).collect::<String>();
    [
        KEY.to_owned(),
        KEY_IN_URL.to_owned(),
        KEY_IN_URL.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
        each(&|byte| format!("%{byte:02X}")),
        KEY.replace('/', "\\/").replace('=', "\\u003d"),
        each(&|byte| format!("\\u{byte:04X}")),
        KEY_IN_URL.replace('%', "\\u0025"),
    ]
}

/// Fails if `text` has the key in it, in one of its spellings or in part.
#[track_caller]
fn assert_no_key(text: &str) {
    let is_shown = text.contains("Canary") || spellings().iter().any(|key| text.contains(key));
    assert!(!is_shown, "the key is shown:\n{text}");
}

/// Fails if `text` says where or who the canary is.
#[track_caller]
fn assert_no_position(text: &str) {
    for canary in POSITIONS {
        assert!(!text.contains(canary), "{canary} is shown:\n{text}");
    }
}
