//! Conversations with the stand-in's Places API (New).

use proptest::prelude::*;

use super::*;

/// Asks with this mask and body; what is answered.
fn ask(key: Option<&str>, mask: Option<&str>, body: &str) -> (u16, String) {
    let headers = [("x-goog-api-key", key), ("x-goog-fieldmask", mask)];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.as_bytes().to_vec())));
    let request = Request {
        method: "POST".to_owned(),
        target: "/v1/places:searchNearby".to_owned(),
        headers: headers.collect(),
        body: body.as_bytes().to_vec(),
        keep_alive: true,
    };
    let Reply { status, body, .. } = Newer(&request).answer(Gazetteer::shipped());
    (status, String::from_utf8(body).expect("text"))
}

fn body(latitude: f64, longitude: f64, radius: f64, more: &str) -> String {
    format!(
        r#"{{{more}"locationRestriction":{{"circle":{{"center":{{"latitude":{latitude},"longitude":{longitude}}},"radius":{radius}}}}}}}"#
    )
}

fn santa_monica(more: &str) -> String {
    body(34.06893, -118.445127, 10_000.0, more)
}

#[track_caller]
fn check(mask: &str, expected: &str) {
    let found = ask(Some("k"), Some(mask), &santa_monica(r#""maxResultCount":1,"#));
    assert_eq!(found, (200, format!("{expected}\n")), "{mask}");
}

#[test]
fn a_place_looks_like_googles() {
    let whole = r#"{
  "places": [
    {
      "attributions": [
        {
          "provider": "GeoNames (CC BY 4.0)",
          "providerUri": "https://www.geonames.org/"
        }
      ],
      "displayName": {
        "text": "Santa Monica"
      },
      "id": "geonames:5393212",
      "location": {
        "latitude": 34.01949,
        "longitude": -118.49138
      },
      "shortFormattedAddress": "California, United States",
      "types": [
        "locality",
        "political"
      ],
      "viewport": {
        "high": {
          "latitude": 34.064456,
          "longitude": -118.4371287
        },
        "low": {
          "latitude": 33.974524,
          "longitude": -118.5456313
        }
      }
    }
  ]
}"#;
    check("*", whole);
    check("places", whole);
    check("places.rating,*", whole);
}

#[test]
fn the_mask_says_what_is_told() {
    let place = |fields: &str| format!("{{\n  \"places\": [\n    {fields}\n  ]\n}}");
    let name = "{\n      \"displayName\": {\n        \"text\": \"Santa Monica\"\n      }\n    }";
    check("places.displayName", &place(name));
    check("places.displayName.text", &place(name));
    check("places.displayName.text,places.displayName.languageCode,places.rating", &place(name));
    check("places.displayName.languageCode", &place("{}"));
    check("places.rating,places.photos.authorAttributions.displayName", &place("{}"));
    check("places.id", &place("{\n      \"id\": \"geonames:5393212\"\n    }"));
    let low =
        "{\n      \"viewport\": {\n        \"low\": {\n          \"latitude\": 33.974524\n        }\n      }\n    }";
    check("places.viewport.low.latitude", &place(low));
    let provider = "{\n      \"attributions\": [\n        {\n          \"provider\": \"GeoNames (CC BY 4.0)\"\n        }\n      ]\n    }";
    check("places.attributions.provider", &place(provider));
    check("routingSummaries", "{}");
    check("routingSummaries.legs", "{}");
    check("routingSummaries,places.id", &place("{\n      \"id\": \"geonames:5393212\"\n    }"));
}

#[track_caller]
fn check_refused((code, text): (u16, String), expected: u16, status: &str, message: &str) {
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(code, expected, "{text}");
    assert_eq!((&value["error"]["code"], &value["error"]["status"]), (&json!(expected), &json!(status)));
    let found = value["error"]["message"].as_str().expect("a message");
    assert!(found.contains(message), "{message:?} is not in {found:?}");
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let good = santa_monica("");
    for key in [None, Some("")] {
        check_refused(ask(key, Some("*"), &good), 403, "PERMISSION_DENIED", "no key");
    }
    let mask = |mask, message| check_refused(ask(Some("k"), mask, &good), 400, "INVALID_ARGUMENT", message);
    mask(None, "FieldMask is a required parameter");
    mask(Some(""), "FieldMask is a required parameter");
    for bad in [
        "id",
        "places.",
        "places.id.",
        "places.idx",
        "places.nonsense",
        "places.rating.",
        "places.photos.A",
        " places.id",
        "places.id,",
        "places.*",
        "place",
        "places.displayName.tex",
        "nextPageToken",
        "**",
    ] {
        mask(Some(bad), "Cannot find matching fields for path");
    }
    let sent = |body: &str, message| check_refused(ask(Some("k"), Some("*"), body), 400, "INVALID_ARGUMENT", message);
    sent("", "no JSON");
    sent("[]", "no JSON object");
    sent("{}", "center");
    sent(&santa_monica(r#""maxResults":1,"#), "Unknown name \"maxResults\"");
    sent(&body(91.0, 0.0, 1.0, ""), "center");
    sent(&body(0.0, -180.5, 1.0, ""), "center");
    for radius in [0.0, -1.0, 50_000.1] {
        sent(&body(0.0, 0.0, radius, ""), "radius");
    }
    for count in ["0", "21", "-1", "1.5", "\"1\""] {
        sent(&santa_monica(&format!(r#""maxResultCount":{count},"#)), "maxResultCount");
    }
}

#[test]
fn as_many_are_told_as_are_wanted() {
    let count = |latitude, longitude, radius, more: &str| {
        let (status, text) = ask(Some("k"), Some("places.id"), &body(latitude, longitude, radius, more));
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).expect("JSON")["places"].as_array().map(Vec::len)
    };
    assert_eq!(count(35.6895, 139.69171, 50_000.0, ""), Some(20));
    assert_eq!(count(35.6895, 139.69171, 50_000.0, r#""maxResultCount":20,"#), Some(20));
    assert_eq!(count(35.6895, 139.69171, 50_000.0, r#""maxResultCount":1,"#), Some(1));
    assert_eq!(
        count(35.6895, 139.69171, 50_000.0, r#""includedTypes":["bar"],"rankPreference":"DISTANCE","#),
        Some(20)
    );
    assert_eq!(count(0.0, -30.0, 50_000.0, ""), None);
    assert_eq!(ask(Some("k"), Some("*"), &body(0.0, -30.0, 50_000.0, "")), (200, "{}\n".to_owned()));
}

#[test]
fn errors_are_laid_out_like_googles() {
    let (_, text) = ask(None, None, "");
    let expected = "{\n  \"error\": {\n    \"code\": 403,\n    \"message\": \"The request has no key: X-Goog-Api-Key is missing.\",\n    \
                    \"status\": \"PERMISSION_DENIED\"\n  }\n}\n";
    assert_eq!(text, expected);
}

#[test]
fn both_apis_know_the_same() {
    use crate::places::standin::legacy::Legacy;
    let legacy = Legacy("location=60.1708,24.9375&radius=1000&key=k").answer(Gazetteer::shipped());
    let legacy: Value = serde_json::from_slice(&legacy.body).expect("JSON");
    let (_, new) = ask(Some("k"), Some("*"), &body(60.1708, 24.9375, 1_000.0, ""));
    let new: Value = serde_json::from_str(&new).expect("JSON");
    let told =
        |value: &Value, pointers: [&str; 5]| pointers.map(|pointer| value.pointer(pointer).expect(pointer).clone());
    let legacy = legacy["results"].as_array().expect("results").iter();
    let legacy =
        legacy.map(|place| told(place, ["/place_id", "/name", "/vicinity", "/types", "/geometry/location/lat"]));
    let new = new["places"].as_array().expect("places").iter();
    let new = new.map(|place| {
        told(place, ["/id", "/displayName/text", "/shortFormattedAddress", "/types", "/location/latitude"])
    });
    assert!(legacy.eq(new));
}

proptest! {
    #[test]
    fn every_mask_and_body_has_an_answer(
        mask in "((places|rating|id|displayName|text|\\*)|,|[.]|[a-z]|é){0,20}", body in "[{}\\[\\]\":,0-9a-z]{0,40}",
    ) {
        for body in [body, santa_monica("")] {
            let (status, text) = ask(Some("k"), Some(&mask), &body);
            prop_assert!(matches!(status, 200 | 400));
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
        }
    }
}
