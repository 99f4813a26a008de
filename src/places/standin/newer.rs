//! The stand-in's Nearby Search of Places API (New): headers and JSON to JSON in that API's shape.
//!
//! - It says only what the field mask wants. Fields of Google's that the sources have nothing for (`rating`, `photos`, ...) give
//!   nothing; a path that Google does not know either is refused.
//! - Errors are `{"error": {"code", "message", "status"}}` with that HTTP status. Nothing near is `{}`.
//! - Parameters that Google knows and this does not (`includedTypes`, `rankPreference`, ...) change nothing; one that nobody knows is
//!   refused.
//!
//! Paths of the mask are taken in lowerCamelCase only. A name has no `languageCode`, as the sources tell none.

use serde_json::{Map, Number, Value, json};

use crate::places::gazetteer::{Gazetteer, Place};
use crate::places::geometry::Point;
use crate::places::plan::Reply;
use crate::places::standin::sources::{Credit, id, viewport};
use crate::places::standin::{Api, RADIUS_LIMIT, json, rounded};
use crate::wire::http_request::Request;

/// A request, of which only headers and body count.
pub(super) struct Newer<'a>(pub(super) &'a Request);

impl Api for Newer<'_> {
    fn answer(&self, gazetteer: &Gazetteer) -> Reply {
        match self.search(gazetteer) {
            Ok(found) => written(200, &found),
            Err(problem) => problem.written(),
        }
    }

    fn not_enabled(&self, status: u16) -> Reply {
        let message = "Places API (New) has not been used in project 0 before or it is disabled.";
        Problem { code: status, ..Problem::denied(message) }.written()
    }

    fn over_quota(&self) -> Reply {
        let message = "Quota exceeded for quota metric 'SearchNearbyRequest' of service 'places.googleapis.com'.";
        Problem { code: 429, status: "RESOURCE_EXHAUSTED", message: message.to_owned() }.written()
    }

    fn with_the_key(&self) -> Reply {
        let key = self.header("X-Goog-Api-Key").unwrap_or_default();
        Problem::denied(&format!("API key {key} not valid. Please pass a valid API key.")).written()
    }
}

impl Newer<'_> {
    fn search(&self, gazetteer: &Gazetteer) -> Result<Value, Problem> {
        if self.header("X-Goog-Api-Key").is_none_or(|key| key.is_empty()) {
            return Err(Problem::denied("The request has no key: X-Goog-Api-Key is missing."));
        }
        let mask = Mask::parse(&self.header("X-Goog-FieldMask").unwrap_or_default())?;
        let Circle { centre, metres, most } = Circle::read(&self.0.body)?;
        let places = gazetteer.nearby(centre, metres);
        if places.is_empty() {
            return Ok(json!({}));
        }
        let places: Vec<Value> = places.iter().take(most).map(place_value).collect();
        Ok(mask.seen(&json!({ "places": places })))
    }

    fn header(&self, name: &str) -> Option<String> {
        self.0.headers.find(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// What is wrong with a request, in the API's words.
struct Problem {
    code: u16,
    status: &'static str,
    message: String,
}

impl Problem {
    fn denied(message: &str) -> Self {
        Self { code: 403, status: "PERMISSION_DENIED", message: message.to_owned() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self { code: 400, status: "INVALID_ARGUMENT", message: message.into() }
    }

    fn written(&self) -> Reply {
        let Self { code, status, message } = self;
        written(*code, &json!({ "error": { "code": code, "message": message, "status": status } }))
    }
}

/// Where is looked, and for how many.
struct Circle {
    centre: Point,
    metres: f64,
    most: usize,
}

impl Circle {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let body: Value = serde_json::from_slice(body).map_err(|_| Problem::invalid("The body is no JSON."))?;
        let fields = body.as_object().ok_or_else(|| Problem::invalid("The body is no JSON object."))?;
        if let Some(name) = fields.keys().find(|name| !PARAMETERS.contains(&name.as_str())) {
            return Err(Problem::invalid(format!("Unknown name \"{name}\": Cannot find field.")));
        }
        let circle = &body["locationRestriction"]["circle"];
        let coordinate = |name| circle["center"][name].as_f64();
        let centre = coordinate("latitude").zip(coordinate("longitude"));
        let centre = centre.and_then(|(latitude, longitude)| Point::new(latitude, longitude)).ok_or_else(|| {
            Problem::invalid("locationRestriction.circle.center must have a latitude and a longitude in degrees.")
        })?;
        let radius = circle["radius"].as_f64().filter(|metres| *metres > 0.0 && *metres <= RADIUS_LIMIT);
        let metres = radius.ok_or_else(|| {
            Problem::invalid("locationRestriction.circle.radius must be more than 0 and at most 50000 metres.")
        })?;
        let most = match &body["maxResultCount"] {
            Value::Null => Some(Gazetteer::PAGE),
            count => count.as_u64().and_then(|count| usize::try_from(count).ok()),
        };
        let most = most.filter(|most| (1..=Gazetteer::PAGE).contains(most));
        let most = most.ok_or_else(|| Problem::invalid("maxResultCount must be from 1 to 20."))?;
        Ok(Self { centre, metres, most })
    }
}

/// Which fields are wanted: a path is its names, and stands for all below it.
#[derive(Debug)]
struct Mask(Vec<Vec<String>>);

impl Mask {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::invalid(
                "FieldMask is a required parameter: write X-Goog-FieldMask, such as places.displayName,places.location, or *.",
            ));
        }
        let paths = text.split(',').map(|path| match path {
            "*" => Ok(Vec::new()),
            _ if is_known(path) => Ok(path.split('.').map(str::to_owned).collect()),
            _ => {
                let what = "Error expanding 'fields' parameter. Cannot find matching fields for path";
                Err(Problem::invalid(format!("{what} '{path}'.")))
            }
        });
        paths.collect::<Result<_, _>>().map(Self)
    }

    /// What of an answer is wanted.
    fn seen(&self, answer: &Value) -> Value {
        let paths: Vec<&[String]> = self.0.iter().map(Vec::as_slice).collect();
        seen(answer, &paths).unwrap_or_else(|| json!({}))
    }
}

/// What of `value` is on one of the paths; `None` if nothing is. Of an array every element stays, if with nothing in it.
fn seen(value: &Value, paths: &[&[String]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    match value {
        _ if paths.is_empty() => None,
        Value::Object(fields) => {
            let wanted = fields.iter().filter_map(|(name, field)| {
                let below = paths.iter().filter(|path| path[0] == *name).map(|path| &path[1..]);
                Some((name.clone(), seen(field, &below.collect::<Vec<_>>())?))
            });
            let wanted: Map<String, Value> = wanted.collect();
            (!wanted.is_empty()).then_some(Value::Object(wanted))
        }
        Value::Array(elements) => {
            Some(elements.iter().map(|element| seen(element, paths).unwrap_or_else(|| json!({}))).collect())
        }
        _ => None,
    }
}

/// Whether a path may be asked for. Below a field that the sources have nothing for, any names may be.
fn is_known(path: &str) -> bool {
    let mut names = path.split('.');
    let is_name = |name: &str| name.starts_with(|one: char| one.is_ascii_lowercase()) && name.bytes().all(is_of_name);
    match (names.next(), names.next()) {
        (Some("places"), Some(field)) if NOTHING_KNOWN.contains(&field) => names.all(is_name),
        (Some("routingSummaries"), None) => true,
        (Some("routingSummaries"), Some(field)) => is_name(field) && names.all(is_name),
        _ => KNOWN.iter().any(|known| {
            let below = known.strip_prefix(path);
            below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
        }),
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn place_value(place: &Place) -> Value {
    let window = viewport(place);
    let Credit { provider, uri, .. } = Credit::of(place.source);
    json!({
        "attributions": [{ "provider": provider, "providerUri": uri }],
        "displayName": { "text": place.name },
        "id": id(place),
        "location": corner(place.point.latitude(), place.point.longitude()),
        "shortFormattedAddress": place.vicinity,
        "types": place.types.split(',').collect::<Vec<_>>(),
        "viewport": {
            "high": corner(window.north, window.east),
            "low": corner(window.south, window.west),
        },
    })
}

fn corner(latitude: f64, longitude: f64) -> Value {
    json!({ "latitude": number(latitude), "longitude": number(longitude) })
}

/// A number without a fraction has no point.
fn number(degrees: f64) -> Number {
    let degrees = rounded(degrees);
    let whole = if degrees.fract() == 0.0 { Some(Number::from(degrees as i64)) } else { None };
    whole.or_else(|| Number::from_f64(degrees)).expect("coordinates are finite")
}

/// With two spaces of indent, as this API writes.
fn written(status: u16, value: &Value) -> Reply {
    json(status, format!("{value:#}").into_bytes())
}

/// The parameters of the body.
const PARAMETERS: &[&str] = &[
    "excludedPrimaryTypes",
    "excludedTypes",
    "includedPrimaryTypes",
    "includedTypes",
    "languageCode",
    "locationRestriction",
    "maxResultCount",
    "rankPreference",
    "regionCode",
    "routingParameters",
];

/// The paths that there may be something for.
const KNOWN: &[&str] = &[
    "places.attributions.provider",
    "places.attributions.providerUri",
    "places.displayName.languageCode",
    "places.displayName.text",
    "places.id",
    "places.location.latitude",
    "places.location.longitude",
    "places.shortFormattedAddress",
    "places.types",
    "places.viewport.high.latitude",
    "places.viewport.high.longitude",
    "places.viewport.low.latitude",
    "places.viewport.low.longitude",
];

/// The other fields of a place (Places API reference, `Place`, 2026).
const NOTHING_KNOWN: &[&str] = &[
    "accessibilityOptions",
    "addressComponents",
    "addressDescriptor",
    "adrFormatAddress",
    "allowsDogs",
    "businessStatus",
    "consumerAlert",
    "containingPlaces",
    "curbsidePickup",
    "currentOpeningHours",
    "currentSecondaryOpeningHours",
    "delivery",
    "dineIn",
    "editorialSummary",
    "evChargeAmenitySummary",
    "evChargeOptions",
    "formattedAddress",
    "fuelOptions",
    "generativeSummary",
    "goodForChildren",
    "goodForGroups",
    "goodForWatchingSports",
    "googleMapsLinks",
    "googleMapsTypeLabel",
    "googleMapsUri",
    "iconBackgroundColor",
    "iconMaskBaseUri",
    "internationalPhoneNumber",
    "liveMusic",
    "menuForChildren",
    "movedPlace",
    "movedPlaceId",
    "name",
    "nationalPhoneNumber",
    "neighborhoodSummary",
    "outdoorSeating",
    "parkingOptions",
    "paymentOptions",
    "photos",
    "plusCode",
    "postalAddress",
    "priceLevel",
    "priceRange",
    "primaryType",
    "primaryTypeDisplayName",
    "pureServiceAreaBusiness",
    "rating",
    "regularOpeningHours",
    "regularSecondaryOpeningHours",
    "reservable",
    "restroom",
    "reviewSummary",
    "reviews",
    "servesBeer",
    "servesBreakfast",
    "servesBrunch",
    "servesCocktails",
    "servesCoffee",
    "servesDessert",
    "servesDinner",
    "servesLunch",
    "servesVegetarianFood",
    "servesWine",
    "subDestinations",
    "takeout",
    "timeZone",
    "transitStation",
    "userRatingCount",
    "utcOffsetMinutes",
    "websiteUri",
];

#[cfg(test)]
mod tests;
