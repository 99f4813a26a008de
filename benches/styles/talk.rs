//! Messages over loopback: how many times as long they take in streams as in callbacks.
//!
//! A round trip of N clients is: all send, then all wait. So its time is the clients', too; "on the core" is the server's
//! thread alone, what it would take from others.

use proxy_herd::server::Style;

use super::common::clients::{Case, Clients, Serve, Talk};
use super::common::echo::{self, CASES};
use super::common::herd;
use super::common::pairs::compare;
use super::{Table, Wanted};

pub(super) fn table(wanted: &Wanted) -> Table {
    let echo =
        CASES.map(|case| Row { what: "echo", case, talk: echo::TALK, styles: [echo::in_callbacks, echo::in_streams] });
    let herd = CASES.map(|case| Row {
        what: "IAMAT",
        case,
        talk: herd::TALK,
        styles: [|listener| herd::serve(Style::Callbacks, listener), |listener| herd::serve(Style::Streams, listener)],
    });
    Table {
        head: &["a message", "callbacks", "streams", "streams / callbacks, time", "on the core", "at most"],
        rows: echo.iter().chain(&herd).filter_map(|row| row.measure(wanted)).collect(),
    }
}

struct Row {
    what: &'static str,
    case: Case,
    talk: Talk,
    /// Callbacks first.
    styles: [Serve; 2],
}

impl Row {
    fn measure(&self, wanted: &Wanted) -> Option<Vec<String>> {
        let name = format!("{}, {}", self.what, self.case);
        if !wanted.begins(&name) {
            return None;
        }
        let [mut callbacks, mut streams] = self.styles.map(|serve| Clients::connect(self.case, self.talk, serve));
        let compared = compare(&mut callbacks, &mut streams);
        let [of_callbacks, of_streams] = compared.seconds.map(|seconds| {
            let each = seconds * 1e6 / self.case.messages() as f64;
            format!("{each:.2} µs")
        });
        let on_core = compared.on_core.map_or("unknown".to_owned(), |on_core| on_core.to_string());
        let limit = if self.case.depth == 1 { ONE_AT_A_TIME } else { PIPELINED };
        Some(vec![name, of_callbacks, of_streams, compared.to_string(), on_core, format!("{limit:.2}")])
    }
}

/// How many times as long a message may take in streams.
const ONE_AT_A_TIME: f64 = 1.1;
const PIPELINED: f64 = 1.3;
