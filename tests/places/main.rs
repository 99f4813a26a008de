//! The stand-in for Places on its own: what a client sees of each fault, and the command that runs it.

#[expect(dead_code, reason = "made for other suites, too")]
#[path = "../command/mod.rs"]
mod command;
mod played;
mod processes;
mod trusting;

/// The legacy API's path and a question that has no answer, for short.
const NOTHING_NEAR: &str = "/maps/api/place/nearbysearch/json?location=0,-30&radius=1&key=canary";

/// What is answered to it, without faults.
const NOTHING: &str = "{\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"ZERO_RESULTS\"\n}\n";

/// A request for the target.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: places\r\n\r\n")
}

/// The same with faults.
fn faulty(faults: &str) -> String {
    get(&format!("/faults/{faults}{NOTHING_NEAR}"))
}

/// An answer with its length, on a connection that stays.
fn answer(body: &str) -> String {
    let length = body.len();
    let kind = "application/json; charset=UTF-8";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: keep-alive\r\n\r\n{body}"
    )
}
