//! The stand-in for Google's Nearby Search, legacy and new: a request to what is answered, from the [`Gazetteer`].
//!
//! - Which API is asked, the path says; any key will do, but there must be one.
//! - A request may ask for [`Faults`]: `/faults/<list>` before the path, so that a base URL is all that a client has to change. They are
//!   done to answers of the two APIs; another path is a 404, a list that is none a 400, whatever else is wrong.
//! - An answer says what the sources know and nothing else, and names them, as their licences ask (`sources`).
//!
//! What the APIs take and say is in `legacy` and `newer`. The sockets and TLS around it are the server's.

mod legacy;
mod newer;
mod sources;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::places::faults::{Faults, Saying};
use crate::places::gazetteer::Gazetteer;
use crate::places::plan::{Plan, Reply};
use crate::places::question::{LEGACY_PATH, NEW_PATH};
use crate::wire::http_request::Request;
use crate::wire::http_response::reason;

use self::legacy::Legacy;
use self::newer::Newer;

/// What Google would answer if it knew only the gazetteer, and had these faults where the request names no others.
pub fn respond(gazetteer: &Gazetteer, request: &Request, usual: &Faults) -> Plan {
    let truth = |reply| Plan::new(reply, request.keep_alive, &Faults::default());
    let (faults, target) = match with_faults(&request.target) {
        None => (Cow::Borrowed(usual), request.target.as_str()),
        Some((list, target)) => match list.as_deref().map(Faults::parse) {
            Some(Ok(faults)) => (Cow::Owned(faults), target),
            Some(Err(error)) => return truth(text(400, &format!("{error}\n"))),
            None => return truth(text(400, "the list of faults is no text: write UTF-8\n")),
        },
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (saying, api): (_, &dyn Api) = match (request.method.as_str(), path) {
        ("GET", LEGACY_PATH) => (faults.legacy, &Legacy(query)),
        ("POST", NEW_PATH) => (faults.new, &Newer(request)),
        (_, LEGACY_PATH | NEW_PATH) => return truth(text(405, &what_is_here())),
        _ => return truth(text(404, &what_is_here())),
    };
    let reply = match saying {
        Saying::Truth => api.answer(gazetteer),
        Saying::NotEnabled(status) => api.not_enabled(status),
        Saying::OverQuota => api.over_quota(),
        Saying::Key => api.with_the_key(),
        Saying::Page(status) => page(status),
        Saying::Elsewhere => Reply { location: Some(target.to_owned()), ..page(302) },
        Saying::Garbage => return Plan::garbage(&faults),
        Saying::Nothing => return Plan::silence(),
    };
    Plan::new(reply, request.keep_alive, &faults)
}

/// What is answered to bytes that are no request; the connection ends then.
pub fn refuse(status: u16) -> Plan {
    Plan::new(text(status, ""), false, &Faults::default())
}

/// What differs between Google's two APIs.
trait Api {
    /// What is near.
    fn answer(&self, gazetteer: &Gazetteer) -> Reply;

    /// The project of the key may not use this API.
    fn not_enabled(&self, status: u16) -> Reply;

    /// There were too many questions.
    fn over_quota(&self) -> Reply;

    /// An error that tells the key, which no upstream should.
    fn with_the_key(&self) -> Reply;
}

/// A target that begins with faults: their list, decoded, `None` if that is no text; and the rest of it.
fn with_faults(target: &str) -> Option<(Option<String>, &str)> {
    let rest = target.strip_prefix("/faults/")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (list, target) = rest.split_at(end);
    Some((decoded(list), target))
}

/// A part of a target without its percent signs; `None` if that is no text. What is no escape stands for itself (WHATWG URL, 1.3).
fn decoded(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(Cow::into_owned)
}

/// JSON, as both APIs send it: a newline follows.
fn json(status: u16, mut body: Vec<u8>) -> Reply {
    body.push(b'\n');
    Reply { status, content_type: "application/json; charset=UTF-8", location: None, body }
}

fn text(status: u16, text: &str) -> Reply {
    let body = text.as_bytes().to_vec();
    Reply { status, content_type: "text/plain; charset=UTF-8", location: None, body }
}

/// For those who look elsewhere.
fn what_is_here() -> String {
    format!("here are GET {LEGACY_PATH} and POST {NEW_PATH}, also behind /faults/LIST\n")
}

/// What a front end says before any API was asked: a page for people.
fn page(status: u16) -> Reply {
    let reason = reason(status);
    let body = format!(
        "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error {status} ({reason})!!1</title>\n  \
         <p><b>{status}.</b> <ins>That\u{2019}s an error.</ins>\n  \
         <p>The server could not answer your request. <ins>That\u{2019}s all we know.</ins>\n"
    );
    Reply { status, content_type: "text/html; charset=UTF-8", location: None, body: body.into_bytes() }
}

/// A coordinate to the 1e-7 degrees (a centimetre) that the sources have.
fn rounded(degrees: f64) -> f64 {
    (degrees * 1e7).round() / 1e7
}

/// The longest radius of both APIs, in metres.
const RADIUS_LIMIT: f64 = 50_000.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::places::plan::{End, Step};
    use crate::wire::http_request::Headers;

    /// A request that the API of its path answers.
    fn request(method: &str, target: &str) -> Request {
        let headers = [("X-Goog-Api-Key", "canary"), ("X-Goog-FieldMask", "*")];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let circle = br#"{"locationRestriction":{"circle":{"center":{"latitude":0,"longitude":-30},"radius":1}}}"#;
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers.collect::<Headers>(),
            body: if method == "POST" { circle.to_vec() } else { Vec::new() },
            keep_alive: true,
        }
    }

    fn ask(target: &str, usual: &str) -> Plan {
        let method = if target.contains(NEW_PATH) { "POST" } else { "GET" };
        respond(Gazetteer::shipped(), &request(method, target), &Faults::parse(usual).expect("faults"))
    }

    /// The status, and what is sent at once.
    fn said(plan: &Plan) -> (Option<u16>, String) {
        let bytes = plan.steps.iter().filter_map(|step| if let Step::Send(bytes) = step { Some(bytes) } else { None });
        (plan.status, String::from_utf8_lossy(&bytes.flatten().copied().collect::<Vec<_>>()).into_owned())
    }

    const QUERY: &str = "?location=0,-30&radius=1&key=canary";

    #[test]
    fn only_nearby_search_is_here() {
        let check = |method: &str, target: &str, expected| {
            let plan = respond(Gazetteer::shipped(), &request(method, target), &Faults::default());
            assert_eq!((plan.status, plan.end), (Some(expected), End::KeepOpen), "{method} {target}");
        };
        check("GET", LEGACY_PATH, 200);
        check("POST", NEW_PATH, 200);
        check("POST", LEGACY_PATH, 405);
        check("GET", NEW_PATH, 405);
        check("GET", "/", 404);
        check("GET", "/faults/status=503/", 404);
        check("GET", "/maps/api/place/nearbysearch/xml?key=k", 404);
        let (_, told) = said(&ask("/", ""));
        assert!(
            told.ends_with(&format!("GET {LEGACY_PATH} and POST {NEW_PATH}, also behind /faults/LIST\n")),
            "{told}"
        );
        assert_eq!((refuse(431).status, refuse(431).end), (Some(431), End::Close));
    }

    #[test]
    fn faults_are_asked_for_by_the_path_or_are_the_usual_ones() {
        let check = |usual: &str, prefix: &str, expected| {
            for path in [LEGACY_PATH, NEW_PATH] {
                let plan = ask(&format!("{prefix}{path}{QUERY}"), usual);
                assert_eq!(plan.status, Some(expected), "{usual} {prefix}{path}");
            }
        };
        check("", "", 200);
        check("status=500", "", 500);
        check("status=500", "/faults/status=503", 503);
        check("status=500", "/faults/", 200);
        check("", "/faults/delay=1%2Cstatus%3D429", 429);
        check("", "/faults/status=42", 400);
        check("", "/faults/%ff", 400);
        let (_, told) = said(&ask(&format!("/faults/cutt=1{LEGACY_PATH}"), ""));
        assert!(
            told.contains("text/plain") && told.ends_with("\"cutt=1\" is no fault; did you mean \"cut=N\"?\n"),
            "{told}"
        );
    }

    #[test]
    fn each_api_says_it_in_its_own_words() {
        let check = |faults: &str, status: [u16; 2], words: [&str; 2]| {
            for (path, (status, words)) in [LEGACY_PATH, NEW_PATH].into_iter().zip(status.into_iter().zip(words)) {
                let (found, text) = said(&ask(&format!("/faults/{faults}{path}{QUERY}"), ""));
                assert_eq!(found, Some(status), "{faults} {path}");
                assert!(text.contains(words), "{words:?} is not in:\n{text}");
            }
        };
        check("quota", [200, 429], ["\"status\" : \"OVER_QUERY_LIMIT\"", "\"status\": \"RESOURCE_EXHAUSTED\""]);
        check("no-legacy", [200, 200], ["\"status\" : \"REQUEST_DENIED\"", "{}"]);
        check("no-legacy=403", [403, 200], ["You're calling a legacy API, which is not enabled", "{}"]);
        check("no-new", [200, 403], ["ZERO_RESULTS", "\"status\": \"PERMISSION_DENIED\""]);
        check("echo-key", [200, 403], ["canary", "canary"]);
        check("status=503", [503, 503], ["<title>Error 503 (Service Unavailable)!!1</title>"; 2]);
        let (legacy, new) = (format!("Location: {LEGACY_PATH}{QUERY}\r\n"), format!("Location: {NEW_PATH}{QUERY}\r\n"));
        check("redirect", [302, 302], [&legacy, &new]);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for path in [LEGACY_PATH, NEW_PATH] {
            let silence = ask(&format!("/faults/silent{path}{QUERY}"), "");
            assert_eq!((silence.steps.len(), silence.end, silence.status), (0, End::Hang, None));
            let garbage = ask(&format!("/faults/delay=9,garbage{path}{QUERY}"), "");
            assert_eq!(garbage.steps[0], Step::Wait(Duration::from_millis(9)));
            assert_eq!((garbage.steps.len(), garbage.end, garbage.status), (2, End::Close, None));
        }
    }
}
