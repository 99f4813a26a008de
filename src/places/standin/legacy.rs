//! The stand-in's legacy Nearby Search: a query to JSON in Google's [`layout`].
//!
//! - It takes the same query and says the same statuses: `OK`, `ZERO_RESULTS`, `INVALID_REQUEST` (a radius of 0 or over
//!   50,000 m, no or bad numbers), `REQUEST_DENIED` (no key), each with HTTP status 200 as Google does.
//! - One page of at most 20 results, without rating, opening hours or Google's `scope`; parameters that Google knows and this does
//!   not (`keyword`, `type`, ...) change nothing.

use crate::places::gazetteer::{Gazetteer, Place};
use crate::places::geometry::Point;
use crate::places::layout::{self, Json, object};
use crate::places::plan::Reply;
use crate::places::standin::sources::{Credit, id, sources, viewport};
use crate::places::standin::{Api, RADIUS_LIMIT, decoded, json, rounded};

/// A request, of which only the query counts.
pub(super) struct Legacy<'a>(pub(super) &'a str);

impl Api for Legacy<'_> {
    fn answer(&self, gazetteer: &Gazetteer) -> Reply {
        written(200, &self.search(gazetteer))
    }

    fn not_enabled(&self, status: u16) -> Reply {
        written(status, &failed("REQUEST_DENIED", NOT_ENABLED))
    }

    fn over_quota(&self) -> Reply {
        written(200, &failed("OVER_QUERY_LIMIT", "You have exceeded your rate-limit for this API."))
    }

    fn with_the_key(&self) -> Reply {
        let key = self.parameter("key").unwrap_or_default();
        written(200, &failed("REQUEST_DENIED", &format!("The provided API key {key} is invalid.")))
    }
}

impl Legacy<'_> {
    fn search(&self, gazetteer: &Gazetteer) -> Json<'static> {
        if self.parameter("key").is_none_or(|key| key.is_empty()) {
            return failed("REQUEST_DENIED", "The request has no key.");
        }
        let Some(centre) = self.parameter("location").as_deref().and_then(point) else {
            return failed("INVALID_REQUEST", "The location must be a latitude and a longitude, divided by a comma.");
        };
        let radius = self.parameter("radius").and_then(|text| text.parse().ok());
        let Some(metres) = radius.filter(|metres| *metres > 0.0 && *metres <= RADIUS_LIMIT) else {
            return failed("INVALID_REQUEST", "The radius must be more than 0 and at most 50000 metres.");
        };
        let places = gazetteer.nearby(centre, metres);
        object! {
            "html_attributions": sources(&places).map(|source| Credit::of(source).html).collect::<Json<'_>>(),
            "results": places.iter().map(result).collect::<Json<'_>>(),
            "status": if places.is_empty() { "ZERO_RESULTS" } else { "OK" },
        }
    }

    /// The first value of a parameter, decoded; `None` if there is none or it is no text.
    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        decoded(&value.replace('+', " "))
    }
}

fn written(status: u16, value: &Json<'_>) -> Reply {
    json(status, layout::write(value))
}

fn failed(status: &'static str, message: &str) -> Json<'static> {
    object! {
        "error_message": message.to_owned(),
        "html_attributions": Json::Array(Vec::new()),
        "results": Json::Array(Vec::new()),
        "status": status,
    }
}

fn result(place: &Place) -> Json<'static> {
    let (id, window) = (id(place), viewport(place));
    object! {
        "geometry": object! {
            "location": corner(place.point.latitude(), place.point.longitude()),
            "viewport": object! {
                "northeast": corner(window.north, window.east),
                "southwest": corner(window.south, window.west),
            },
        },
        "name": place.name,
        "place_id": id.clone(),
        "reference": id,
        "types": place.types.split(',').collect::<Json<'_>>(),
        "vicinity": place.vicinity,
    }
}

fn corner(latitude: f64, longitude: f64) -> Json<'static> {
    let [lat, lng] = [latitude, longitude].map(|degrees| Json::Number(rounded(degrees).to_string().into()));
    object! { "lat": lat, "lng": lng }
}

fn point(location: &str) -> Option<Point> {
    let (latitude, longitude) = location.split_once(',')?;
    Point::new(latitude.parse().ok()?, longitude.parse().ok()?)
}

/// Google's words.
const NOT_ENABLED: &str = "You're calling a legacy API, which is not enabled for your project. To get newer features and more \
                           functionality, switch to the Places API (New) or Routes API. Learn more: \
                           https://developers.google.com/maps/legacy#LegacyApiNotActivatedMapError";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::places::answer::Answer;
    use crate::places::layout_check::looks_like_googles;

    fn ask(query: &str) -> Reply {
        Legacy(query).answer(Gazetteer::shipped())
    }

    fn search(query: &str) -> (String, Value) {
        let body = ask(query).body;
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
        check("location=+34,-118&radius=1&key=k", "INVALID_REQUEST");
        check("location=%zz,0&radius=1&key=k", "INVALID_REQUEST");
        check("location=%ff,0&radius=1&key=k", "INVALID_REQUEST");
        check("radius=1&key=k", "INVALID_REQUEST");
        check("location=34,-118&radius=1000&key=", "REQUEST_DENIED");
        check("", "REQUEST_DENIED");
    }

    #[test]
    fn a_key_that_is_told_is_the_one_that_was_sent() {
        let body = Legacy("key=a%2Bb").with_the_key().body;
        assert!(String::from_utf8_lossy(&body).contains("The provided API key a+b is invalid."));
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
        let page = ask("location=60.1708,24.9375&radius=1000&key=k");
        let text = String::from_utf8_lossy(&page.body);
        assert_eq!(text, include_str!("../../../tests/data/helsinki.json"));
        assert_eq!(looks_like_googles(&text), Ok(()));
    }

    proptest! {
        #[test]
        fn every_query_has_an_answer(query in "((location|radius|key)=|&|,|%|[0-9a-f+.-]|é){0,40}") {
            let Reply { status, body, .. } = ask(&query);
            prop_assert_eq!((status, Answer::read(body).is_ok()), (200, true));
        }
    }
}
