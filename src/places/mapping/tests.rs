//! Tests of the mapping: what the new API says, and the legacy text that comes of it.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FIELD_MASK, Few, LIST_LIMIT, Said, Text, legacy};
use crate::places::answer::{Answer, Nonsense};
use crate::places::layout_check::looks_like_googles;
use crate::wire::http::Limits;

/// A place that has every field, and one that has none.
const NEW: &str = include_str!("../../../tests/data/nearby_new.json");

/// The mapped text, which looks like Google's, and is an answer.
fn mapped(body: &str) -> Result<String, Nonsense> {
    let text = String::from_utf8(legacy(body.as_bytes())?).expect("text");
    assert_eq!(looks_like_googles(&text), Ok(()), "{text}");
    let answer = Answer::read(text.clone().into_bytes()).expect("an answer");
    assert_eq!(answer.text(usize::MAX), format!("{text}\n").as_bytes(), "{text}");
    Ok(text)
}

/// What there is of the one result of a place.
fn result(place: &str) -> Value {
    let text = mapped(&format!(r#"{{"places":[{place}]}}"#)).expect(place);
    serde_json::from_str::<Value>(&text).expect("JSON")["results"][0].take()
}

#[test]
fn a_place_has_every_field_or_none() {
    assert_eq!(mapped(NEW).as_deref(), Ok(include_str!("../../../tests/data/nearby_legacy.json")));
}

#[test]
fn the_mask_asks_for_what_is_mapped() {
    fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Array(elements) => elements.iter().for_each(|element| leaves(element, path, found)),
            Value::Object(members) => {
                members.iter().for_each(|(key, value)| leaves(value, &format!("{path}{key}."), found));
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    leaves(&serde_json::from_str(NEW).expect("JSON"), "", &mut found);
    let mask: Vec<String> = FIELD_MASK.split(',').map(|path| format!("{path}.")).collect();
    for path in &mask {
        assert!(found.iter().any(|leaf| leaf.starts_with(path)), "{path} is asked for in vain");
    }
    for leaf in &found {
        assert!(mask.iter().any(|path| leaf.starts_with(path)), "{leaf} is not asked for");
    }
    assert!(mask.is_sorted(), "{mask:?}");
}

#[test]
fn a_list_is_read_up_to_its_limit_and_the_rest_read_over() {
    for (count, kept) in [(LIST_LIMIT, LIST_LIMIT), (LIST_LIMIT + 1, LIST_LIMIT), (700_000, LIST_LIMIT)] {
        let list = |element: &str| format!("[{element}{}]", format!(",{element}").repeat(count - 1));
        let place = result(&format!(r#"{{"photos":{},"types":{}}}"#, list("{}"), list("\"\"")));
        for list in ["photos", "types"] {
            assert_eq!(place[list].as_array().map(Vec::len), Some(kept), "{list} of {count}");
        }
        let places = mapped(&format!(r#"{{"places":{}}}"#, list("{}"))).expect("places");
        let places: Value = serde_json::from_str(&places).expect("JSON");
        assert_eq!(places["results"].as_array().map(Vec::len), Some(Answer::RESULTS_LIMIT));
    }
    assert_eq!(mapped(&format!(r#"{{"places":[{}{{]}}"#, "{},".repeat(LIST_LIMIT))), Err(Nonsense::NotJson));
}

#[test]
fn a_text_is_no_longer_than_a_body_may_be() {
    let mapped = |length: usize| legacy(format!(r#"{{"places":[{{"id":"{}"}}]}}"#, "<".repeat(length)).as_bytes());
    let empty = mapped(0).expect("text").len();
    // The ID stands there twice, and each character takes six.
    let most = (Limits::default().body - empty) / 12;
    let longest = mapped(most).expect("text");
    assert!(longest.len() <= Limits::default().body && longest.len() + 12 > Limits::default().body);
    assert_eq!(mapped(most + 1), Err(Nonsense::TooLong));
}

#[test]
fn no_places_are_zero_results() {
    let expected = "{\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"ZERO_RESULTS\"\n}\n";
    for body in ["{}", " {\r\n}\n", r#"{"places":[]}"#, r#"{"places":[],"routingSummaries":[{}]}"#] {
        assert_eq!(mapped(body).as_deref(), Ok(expected), "{body}");
    }
}

#[test]
fn an_error_has_the_status_that_legacy_clients_know() {
    let check = |error: Value, expected: &str| {
        let text = mapped(&json!({ "error": error }).to_string()).expect("an answer");
        let message = match error["message"].as_str() {
            Some(message) => format!("   \"error_message\" : \"{message}\",\n"),
            None => String::new(),
        };
        let rest = "   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : ";
        assert_eq!(text, format!("{{\n{message}{rest}\"{expected}\"\n}}\n"));
    };
    let error = |status: &str| json!({ "code": 400, "message": "Why.", "status": status });
    check(error("PERMISSION_DENIED"), "REQUEST_DENIED");
    check(error("INVALID_ARGUMENT"), "INVALID_REQUEST");
    check(error("RESOURCE_EXHAUSTED"), "OVER_QUERY_LIMIT");
    for status in
        ["INTERNAL", "UNAVAILABLE", "UNAUTHENTICATED", "NOT_FOUND", "DEADLINE_EXCEEDED", "permission_denied", ""]
    {
        check(error(status), "UNKNOWN_ERROR");
    }
    check(json!({}), "UNKNOWN_ERROR");
    check(json!({ "message": "Why." }), "UNKNOWN_ERROR");
    check(json!({ "status": "PERMISSION_DENIED" }), "REQUEST_DENIED");
    let detailed = |status: &str, reason: &str| {
        let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "d" });
        json!({ "message": "Why.", "status": status, "details": [{ "locale": "en-US" }, info] })
    };
    check(detailed("INVALID_ARGUMENT", "API_KEY_INVALID"), "REQUEST_DENIED");
    check(detailed("INVALID_ARGUMENT", "OTHER"), "INVALID_REQUEST");
    check(detailed("PERMISSION_DENIED", "SERVICE_DISABLED"), "REQUEST_DENIED");
    check(detailed("INTERNAL", "API_KEY_INVALID"), "UNKNOWN_ERROR");
}

#[test]
fn nonsense_has_a_name() {
    let check = |body: &str, expected| assert_eq!(mapped(body).err(), Some(expected), "{body}");
    assert_eq!(legacy(b"{\"x\":\"\xff\"}"), Err(Nonsense::NotText));
    for body in ["", "<html></html>", r#"{"places":["#, "{}{}", r#"{"places":[{},]}"#, r#"{"x":1e}"#, "{\"x\":\"\n\"}"]
    {
        check(body, Nonsense::NotJson);
    }
    for body in [
        "[]",
        "[[]]",
        "null",
        r#""OK""#,
        r#"{"places":{}}"#,
        r#"{"places":""}"#,
        r#"{"places":[[]]}"#,
        r#"{"message":"blocked"}"#,
        r#"{"places":null,"error":null}"#,
        r#"{"places":[null]}"#,
    ] {
        check(body, Nonsense::NotPlaces);
    }
    for error in
        ["[]", r#""why""#, r#"{"status":403}"#, r#"{"message":{}}"#, r#"{"details":{}}"#, r#"{"details":[[]]}"#]
    {
        check(&format!(r#"{{"error":{error}}}"#), Nonsense::NotPlaces);
    }
    for body in [
        r#"{"places":[],"error":{}}"#,
        r#"{"places":[],"places":[]}"#,
        "{\"places\":[],\"pl\\u0061ces\":[]}",
        r#"{"error":{},"error":{}}"#,
    ] {
        check(body, Nonsense::NotPlaces);
    }
    for place in [
        r#"{"id":1}"#,
        r#"{"id":"a","id":"a"}"#,
        r#"{"rating":"4.5"}"#,
        r#"{"rating":true}"#,
        r#"{"rating":[4.5]}"#,
        r#"{"types":"museum"}"#,
        r#"{"userRatingCount":-1}"#,
        r#"{"userRatingCount":1.5}"#,
        r#"{"userRatingCount":4294967296}"#,
        r#"{"location":[1,2]}"#,
        r#"{"location":{"latitude":1,"latitude":1}}"#,
        r#"{"displayName":"a"}"#,
        r#"{"photos":{}}"#,
        r#"{"currentOpeningHours":{"openNow":"yes"}}"#,
    ] {
        check(&format!(r#"{{"places":[{place}]}}"#), Nonsense::NotPlaces);
    }
}

#[test]
fn what_is_unknown_changes_nothing() {
    let check = |place: &str, expected: Value| assert_eq!(result(place), expected, "{place}");
    check(r#"{"id":null,"rating":null,"photos":null,"location":null,"new":[{"id":1}]}"#, json!({}));
    check(r#"{"displayName":{"languageCode":"en"},"viewport":{},"plusCode":{"new":1}}"#, json!({}));
    check(r#"{"types":[],"photos":[{}]}"#, json!({ "types": [], "photos": [{ "html_attributions": [] }] }));
    let window = json!({ "viewport": { "southwest": { "lat": 0, "lng": 1.5 } } });
    check(r#"{"viewport":{"low":{"longitude":1.5}}}"#, json!({ "geometry": window }));
}

#[test]
fn prices_are_counted_from_free() {
    let check = |level: &str, expected: Value| {
        assert_eq!(result(&format!(r#"{{"priceLevel":"PRICE_LEVEL_{level}"}}"#))["price_level"], expected, "{level}");
    };
    check("FREE", json!(0));
    check("INEXPENSIVE", json!(1));
    check("MODERATE", json!(2));
    check("EXPENSIVE", json!(3));
    check("VERY_EXPENSIVE", json!(4));
    check("UNSPECIFIED", json!(null));
    check("ABSURD", json!(null));
}

#[test]
fn a_number_is_the_one_that_google_wrote() {
    let check = |number: &str, expected: &str| {
        let place = format!(r#"{{"location":{{"latitude":{number}}},"rating":{number}}}"#);
        let text = mapped(&format!(r#"{{"places":[{place}]}}"#)).expect(number);
        assert!(text.contains(&format!("\"lat\" : {expected},\n")), "{text}");
        assert!(text.contains(&format!("\"rating\" : {expected}\n")), "{text}");
    };
    check("-118.44512700000001", "-118.44512700000001");
    check("137.69244029946879", "137.69244029946879");
    check("34.068930", "34.06893");
    check("1e-7", "1e-7");
    check("1.0E+05", "1.0E+05");
    check(
        "0.1000000000000000055511151231257827021181583404541015625",
        "0.1000000000000000055511151231257827021181583404541015625",
    );
    check("37", "37");
    check("100.0", "100");
    check("4.5", "4.5");
    check("5", "5");
    check("0", "0");
}

#[test]
fn a_number_that_no_float_holds_is_one() {
    let text = legacy(br#"{"places":[{"rating":1e999}]}"#).expect("an answer");
    assert!(String::from_utf8_lossy(&text).contains("\"rating\" : 1e999\n"));
}

#[test]
fn a_string_is_copied_for_its_escapes_only() {
    let check = |id: &str, expected: Cow<'_, str>| {
        let body = format!(r#"{{"places":[{{"id":"{id}"}}]}}"#);
        let said: Said<'_> = serde_json::from_str(&body).expect("JSON");
        let Some(Few(places)) = said.places else { panic!("there are places") };
        let Some(Text(id)) = &places[0].0.id else { panic!("it has an ID") };
        assert_eq!((&**id, matches!(id, Cow::Owned(_))), (&*expected, matches!(expected, Cow::Owned(_))));
    };
    check("aé<", Cow::Borrowed("aé<"));
    check("\\u003c", Cow::Owned("<".to_owned()));
}

#[test]
fn who_must_be_named_is_named_in_html() {
    let check = |attribution: Value, expected: &str| {
        let author = json!({ "displayName": attribution["provider"], "uri": attribution["providerUri"] });
        let place = json!({ "attributions": [attribution], "photos": [{ "authorAttributions": [author] }] });
        let text = mapped(&json!({ "places": [place] }).to_string()).expect("an answer");
        let page: Value = serde_json::from_str(&text).expect("JSON");
        let expected = if expected.is_empty() { json!([]) } else { json!([expected]) };
        assert_eq!(
            (&page["html_attributions"], &page["results"][0]["photos"][0]["html_attributions"]),
            (&expected, &expected)
        );
    };
    check(
        json!({ "provider": r#""<>&'é"#, "providerUri": r#"https://a/?"<>&'é"# }),
        r#"<a href="https://a/?&quot;&lt;&gt;&amp;&#39;é">&quot;&lt;&gt;&amp;&#39;é</a>"#,
    );
    check(json!({ "provider": "A", "providerUri": "//a.example/b" }), r#"<a href="https://a.example/b">A</a>"#);
    check(json!({ "provider": "<A>" }), "&lt;A&gt;");
    for nowhere in ["javascript:alert(1)", "", "a", "/a", " https://a"] {
        check(json!({ "provider": "A", "providerUri": nowhere }), "A");
    }
    check(json!({ "providerUri": "https://a" }), "");
}

#[test]
fn a_page_has_a_limit() {
    let count = |places: usize| {
        let places: Vec<Value> =
            (0..places).map(|at| json!({ "attributions": [{ "provider": at.to_string() }] })).collect();
        let text = mapped(&json!({ "places": places }).to_string()).expect("an answer");
        let page: Value = serde_json::from_str(&text).expect("JSON");
        ["results", "html_attributions"].map(|array| page[array].as_array().map(Vec::len))
    };
    let limit = Answer::RESULTS_LIMIT;
    assert_eq!(count(limit), [Some(limit); 2]);
    assert_eq!(count(limit + 1), [Some(limit); 2]);
}

#[test]
fn depth_costs_no_stack() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(500_000), close.repeat(500_000));
    for value in [deep("[", "]"), deep(r#"{"places":"#, "}").replace(":}", ":0}")] {
        assert!(mapped(&format!(r#"{{"new":{value},"places":[{{"new":{value}}}]}}"#)).is_ok());
        assert!(mapped(&format!(r#"{{"error":{{"details":[{{"new":{value}}}]}}}}"#)).is_ok());
        assert_eq!(mapped(&format!(r#"{{"places":{value}}}"#)), Err(Nonsense::NotPlaces));
        assert_eq!(mapped(&format!(r#"{{"error":{{"message":{value}}}}}"#)), Err(Nonsense::NotPlaces));
    }
    assert_eq!(mapped(&deep("[", "]")), Err(Nonsense::NotPlaces));
    assert_eq!(mapped(&format!(r#"{{"new":{}"#, deep("[", ""))), Err(Nonsense::NotJson));
}

/// The value without the members, at any depth, for which the next die says so.
fn part(value: &Value, dice: &mut impl Iterator<Item = bool>) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(|element| part(element, dice)).collect(),
        Value::Object(members) => {
            let kept = members.iter().filter_map(|(key, value)| {
                let value = part(value, dice);
                dice.next()?.then(|| (key.clone(), value))
            });
            kept.collect()
        }
        scalar => scalar.clone(),
    }
}

proptest! {
    #[test]
    fn any_part_of_a_place_is_a_place(
        dice in proptest::collection::vec(any::<bool>(), 100), name: String, latitude in -90.0..=90.0f64,
    ) {
        let mut place = serde_json::from_str::<Value>(NEW).expect("JSON")["places"][0].take();
        place["displayName"]["text"] = json!(name);
        place["location"]["latitude"] = json!(latitude);
        let text = part(&place, &mut dice.into_iter()).to_string();
        // As it is read, which may change the last digit of a number.
        let place: Value = serde_json::from_str(&text).expect("JSON");
        let result = result(&text);
        prop_assert_eq!(&result["name"], &place["displayName"]["text"]);
        if let Some(latitude) = place["location"]["latitude"].as_f64() {
            prop_assert_eq!(result["geometry"]["location"]["lat"].as_f64(), Some(latitude));
        }
    }

    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = legacy(&body);
    }
}
