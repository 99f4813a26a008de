//! What servers know, asked from outside.

use std::net::SocketAddr;

use crate::command::{converse, until};

/// The AT line that a server holds of each of these clients; `None` of those that it does not know.
#[track_caller]
pub(crate) fn known(server: SocketAddr, clients: &[String]) -> Vec<Option<String>> {
    let questions: String = clients.iter().map(|client| format!("WHATSAT {client} 0 0\n")).collect();
    let answers = converse(server, questions.as_bytes());
    // The lines of the places begin otherwise.
    let first_lines = answers.lines().filter(|line| line.starts_with("AT ") || line.starts_with("? "));
    let found: Vec<_> = first_lines.map(|line| line.starts_with("AT ").then(|| line.to_owned())).collect();
    assert_eq!(found.len(), clients.len(), "each question is answered:\n{answers}");
    found
}

/// Waits until a server holds the report that a client was answered with.
#[track_caller]
pub(crate) fn until_known(server: SocketAddr, report: &str) {
    let client = report.split(' ').nth(3).expect("an AT line").to_owned();
    let report = Some(report.trim_end().to_owned());
    until(|| (known(server, std::slice::from_ref(&client)) == std::slice::from_ref(&report)).then_some(()));
}

/// Has a client tell a server that it is somewhere; the AT line that it is answered with.
#[track_caller]
pub(crate) fn tell(server: SocketAddr, client: &str) -> String {
    let report = converse(server, format!("IAMAT {client} +60.17+24.94 1520023934\n").as_bytes());
    assert!(report.starts_with("AT "), "{report}");
    report
}
