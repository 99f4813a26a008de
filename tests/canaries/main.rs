//! Canaries: a key, a position and an ID that stand nowhere else, and the search for where they come out.
//!
//! - The key is shown nowhere, at no level: not in logs, not on standard error, not on the wire but to Places.
//! - Positions and IDs are in replies, in the reports that servers tell each other, and in the log's lines of what was said, which `-q`
//!   turns off. They are in no ERR line, and in no line of the log from INFO up.
//!
//! All are looked for on the simulated network, where every way to go wrong can be had; then in what the command prints.

#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../command/mod.rs"]
mod command;
mod processes;
#[path = "../server/records.rs"]
mod records;
mod servers;
#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../server/simulated.rs"]
mod simulated;
#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../server/upstream.rs"]
mod upstream;
#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../server/world.rs"]
mod world;

use proxy_herd::server::Style;

/// In which styles the servers serve: Goloman by callbacks, its neighbour Hands by streams.
const STYLES: &[Style] = &[Style::Callbacks, Style::Streams];

/// Looks like one of Google's.
const KEY: &str = "AIzaCanary-7f3a_Qx";

/// Where the canary is: in each half, digits that are nowhere else.
const POSITION: &str = "+34.0689307-118.4451278";

const CLIENT: &str = "canary.5d1c";

/// What tells that a text shows where somebody is, or who it is: each coordinate also alone, as Places are asked.
const POSITIONS: [&str; 3] = ["34.0689307", "118.4451278", CLIENT];

/// Fails if `text` has the key in it.
#[track_caller]
fn assert_no_key(text: &str) {
    assert!(!text.contains(KEY) && !text.contains("Canary-7f3a"), "the key is shown:\n{text}");
}

/// Fails if `text` says where or who the canary is.
#[track_caller]
fn assert_no_position(text: &str) {
    for canary in POSITIONS {
        assert!(!text.contains(canary), "{canary} is shown:\n{text}");
    }
}
