//! The stand-in for Google's legacy Nearby Search: a request to a response, from the [`Gazetteer`], in Google's [`layout`].
//!
//! - It takes the same request and says the same statuses: `OK`, `ZERO_RESULTS`, `INVALID_REQUEST` (a radius of 0 or over
//!   50,000 m, no or bad numbers), `REQUEST_DENIED` (no key; any key will do), each with HTTP status 200 as Google does.
//! - A result says what the sources know and nothing else: no rating, no opening hours, no `scope` of Google's. A
//!   `place_id` is the source's own id. A `viewport` is a window to look through, not a border.
//! - `html_attributions` names the sources of the results, as their licences ask.
//! - One page of at most 20 results; parameters that Google knows and this does not (`keyword`, `type`, ...) change nothing.
//!
//! The sockets and TLS around it are the server's.

use serde_json::{Value, json};

use crate::places::gazetteer::{Gazetteer, Place, Source};
use crate::places::geometry::Point;
use crate::places::layout;
use crate::places::question::LEGACY_PATH;
use crate::wire::http_request::Request;
use crate::wire::http_response::Response;

/// The type of every body here, as Google writes it.
pub const CONTENT_TYPE: &str = "application/json; charset=UTF-8";

/// What Google's Nearby Search would answer if it knew only the gazetteer.
pub fn respond(gazetteer: &Gazetteer, request: &Request) -> Response {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let (status, body) = match (request.method.as_str(), path) {
        ("GET", LEGACY_PATH) => (200, layout::write(&search(gazetteer, query)) + "\n"),
        (_, LEGACY_PATH) => (405, String::new()),
        _ => (404, String::new()),
    };
    Response { status, body: body.into_bytes(), keep_alive: request.keep_alive, retry_after: None }
}

fn search(gazetteer: &Gazetteer, query: &str) -> Value {
    if parameter(query, "key").is_none_or(|key| key.is_empty()) {
        return failed("REQUEST_DENIED", "The request has no key.");
    }
    let Some(centre) = parameter(query, "location").as_deref().and_then(point) else {
        return failed("INVALID_REQUEST", "The location must be a latitude and a longitude, divided by a comma.");
    };
    let radius = parameter(query, "radius").and_then(|text| text.parse().ok());
    let Some(metres) = radius.filter(|metres| *metres > 0.0 && *metres <= RADIUS_LIMIT) else {
        return failed("INVALID_REQUEST", "The radius must be more than 0 and at most 50000 metres.");
    };
    let places = gazetteer.nearby(centre, metres);
    let sources = [Source::GeoNames, Source::OpenStreetMap];
    let named = sources.into_iter().filter(|source| places.iter().any(|place| place.source == *source));
    json!({
        "html_attributions": named.map(attribution).collect::<Vec<_>>(),
        "results": places.iter().map(result).collect::<Vec<_>>(),
        "status": if places.is_empty() { "ZERO_RESULTS" } else { "OK" },
    })
}

fn failed(status: &str, message: &str) -> Value {
    json!({ "error_message": message, "html_attributions": [], "results": [], "status": status })
}

fn result(place: &Place) -> Value {
    let (prefix, reach) = match place.source {
        Source::GeoNames => ("geonames", TOWN_REACH),
        Source::OpenStreetMap => ("osm", PLACE_REACH),
    };
    let id = format!("{prefix}:{}", place.id);
    let window = place.point.window(reach);
    json!({
        "geometry": {
            "location": corner(place.point.latitude(), place.point.longitude()),
            "viewport": {
                "northeast": corner(window.north, window.east),
                "southwest": corner(window.south, window.west),
            },
        },
        "name": place.name,
        "place_id": id,
        "reference": id,
        "types": place.types.split(',').collect::<Vec<_>>(),
        "vicinity": place.vicinity,
    })
}

/// Coordinates to the 1e-7 degrees (a centimetre) that the sources have.
fn corner(latitude: f64, longitude: f64) -> Value {
    let rounded = |degrees: f64| (degrees * 1e7).round() / 1e7;
    json!({ "lat": rounded(latitude), "lng": rounded(longitude) })
}

fn attribution(source: Source) -> &'static str {
    match source {
        Source::GeoNames => {
            "Towns by <a href=\"https://www.geonames.org/\">GeoNames</a>, \
             <a href=\"https://creativecommons.org/licenses/by/4.0/\">CC BY 4.0</a>"
        }
        Source::OpenStreetMap => {
            "Places \u{a9} <a href=\"https://www.openstreetmap.org/copyright\">OpenStreetMap contributors</a>, ODbL"
        }
    }
}

fn point(location: &str) -> Option<Point> {
    let (latitude, longitude) = location.split_once(',')?;
    Point::new(latitude.parse().ok()?, longitude.parse().ok()?)
}

/// The first value of a parameter in a query, decoded; `None` if there is none or it is no text.
fn parameter(query: &str, name: &str) -> Option<String> {
    let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, after @ ..] = rest {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? * 16 + hex(*low)?, after),
            (b'+', _) => (b' ', after),
            _ => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Google's longest radius, in metres.
const RADIUS_LIMIT: f64 = 50_000.0;

/// How far a viewport reaches around a town, in metres.
const TOWN_REACH: f64 = 5_000.0;

/// How far a viewport reaches around a place in a town, in metres: as far as Google's do.
const PLACE_REACH: f64 = 150.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::places::answer::Answer;
    use crate::places::layout_check::looks_like_googles;
    use crate::wire::http_request::Headers;

    fn ask(target: &str) -> Response {
        let (method, target) = ("GET".to_owned(), target.to_owned());
        respond(
            Gazetteer::shipped(),
            &Request { method, target, headers: Headers::default(), body: Vec::new(), keep_alive: true },
        )
    }

    fn search(query: &str) -> (String, Value) {
        let body = ask(&format!("{LEGACY_PATH}?{query}")).body;
        let value = serde_json::from_slice(&body).expect("JSON");
        (Answer::read(body).expect("an answer").status().to_owned(), value)
    }

    #[test]
    fn a_request_has_one_of_googles_statuses() {
        let check = |query: &str, expected: &str| {
            let (status, value) = search(query);
            assert_eq!(status, expected, "{query}");
            assert_eq!(value["results"].as_array().expect("results").is_empty(), status != "OK", "{query}");
            let failed = !matches!(&*status, "OK" | "ZERO_RESULTS");
            assert_eq!(value["error_message"].is_string(), failed, "{query}");
        };
        check("location=34.068930,-118.445127&radius=10000&key=k", "OK");
        check("key=k&radius=10000.5&location=%2B34.068930%2c-118.445127&type=x&x", "OK");
        check("location=0,-30&radius=50000&key=k", "ZERO_RESULTS");
        check("location=34,-118&radius=0&key=k", "INVALID_REQUEST");
        check("location=34,-118&radius=50000.1&key=k", "INVALID_REQUEST");
        check("location=34,-118&radius=-1&key=k", "INVALID_REQUEST");
        check("location=34,-118&radius=nan&key=k", "INVALID_REQUEST");
        check("location=34,-118&key=k", "INVALID_REQUEST");
        check("location=34&radius=1&key=k", "INVALID_REQUEST");
        check("location=91,0&radius=1&key=k", "INVALID_REQUEST");
        check("location=%zz,0&radius=1&key=k", "INVALID_REQUEST");
        check("location=%ff,0&radius=1&key=k", "INVALID_REQUEST");
        check("radius=1&key=k", "INVALID_REQUEST");
        check("location=34,-118&radius=1000&key=", "REQUEST_DENIED");
        check("", "REQUEST_DENIED");
    }

    #[test]
    fn only_nearby_search_is_here() {
        let check = |method: &str, target: &str, expected| {
            let (method, target, headers) = (method.to_owned(), target.to_owned(), Headers::default());
            let request = Request { method, target, headers, body: Vec::new(), keep_alive: false };
            let Response { status, keep_alive, .. } = respond(Gazetteer::shipped(), &request);
            assert_eq!((status, keep_alive), (expected, false), "{request:?}");
        };
        check("GET", LEGACY_PATH, 200);
        check("POST", LEGACY_PATH, 405);
        check("GET", "/", 404);
        check("GET", "/maps/api/place/nearbysearch/xml?key=k", 404);
    }

    #[test]
    fn the_sources_of_the_results_are_named() {
        let count = |query: &str| search(query).1["html_attributions"].as_array().map(Vec::len);
        assert_eq!(count("location=34.06893,-118.445127&radius=10000&key=k"), Some(1));
        assert_eq!(count("location=60.1708,24.9375&radius=1000&key=k"), Some(2));
        assert_eq!(count("location=0,-30&radius=10000&key=k"), Some(0));
    }

    #[test]
    fn a_page_looks_like_googles() {
        let page = ask(&format!("{LEGACY_PATH}?location=60.1708,24.9375&radius=1000&key=k"));
        let text = String::from_utf8_lossy(&page.body);
        assert_eq!(text, include_str!("../../tests/data/helsinki.json"));
        assert_eq!(looks_like_googles(&text), Ok(()));
    }

    proptest! {
        #[test]
        fn every_query_has_an_answer(query in "((location|radius|key)=|&|,|%|[0-9a-f+.-]|é){0,40}") {
            let Response { status, body, .. } = ask(&format!("{LEGACY_PATH}?{query}"));
            prop_assert_eq!((status, Answer::read(body).is_ok()), (200, true));
        }
    }
}
