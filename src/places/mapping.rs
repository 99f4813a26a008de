//! An answer of Places API (New) to Nearby Search, as the legacy API would have given it. Bytes in, bytes out.
//!
//! - Nothing is invented: what Google does not say, the legacy answer does not have. A number is the number that Google wrote.
//! - Google writes messages of protobuf as JSON: a `null` says as much as no member, and so does a coordinate that is left out as
//!   one of zero. Members that are not known here may hold anything, however deeply it is nested.
//! - A `photo_reference` is a photo's resource name, `places/ID/photos/ID`: Place Photos (New) takes it, the legacy one does not.
//! - An answer in the legacy shape may be longer, and needs more memory to be made: lists are read up to [`LIST_LIMIT`], and the text has
//!   a limit. Google's answers are far from both.
//! - What must be shown with the places stands where a legacy client looks for it: `html_attributions`, as links.
//!
//! Google tells its errors in the body, here too: whether the HTTP status agrees is not looked at here.
//!
//! Source: Google's reference of `places.searchNearby` (v1) and of the legacy Nearby Search, and AIP-193 for errors.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::slice;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use crate::places::answer::{Answer, Nonsense};
use crate::places::layout;
use crate::wire::http::Limits;

/// What the mapping needs of an answer: the value of `X-Goog-FieldMask`, and so the price.
///
/// The dearest fields decide: `rating` and `userRatingCount`, which legacy answers have, make it Nearby Search Enterprise.
/// `priceLevel` and `currentOpeningHours` are of the same tier and add nothing to that, the other fields are of cheaper ones.
pub const FIELD_MASK: &str = "places.attributions,places.businessStatus,places.currentOpeningHours.openNow,\
    places.displayName.text,places.iconBackgroundColor,places.iconMaskBaseUri,places.id,places.location,\
    places.photos.authorAttributions.displayName,places.photos.authorAttributions.uri,places.photos.heightPx,\
    places.photos.name,places.photos.widthPx,places.plusCode,places.priceLevel,places.rating,\
    places.shortFormattedAddress,places.types,places.userRatingCount,places.viewport";

/// The most elements that are taken from any list in an answer: Google has at most 20 places, and 10 photos of each. A body of
/// nothing but empty objects would need hundreds of times its length.
pub const LIST_LIMIT: usize = 100;

/// The body of a legacy answer that says what `body` says, in Google's [`layout`], with at most [`Answer::RESULTS_LIMIT`] results.
/// It is no longer than a body may be that is not mapped.
///
/// # Errors
/// What `body` lacks to be an answer of Places API (New).
pub fn legacy(body: &[u8]) -> Result<Vec<u8>, Nonsense> {
    let text = std::str::from_utf8(body).map_err(|_| Nonsense::NotText)?;
    let page = match serde_json::from_str(text)? {
        Object(Said { places: Some(_), error: Some(_) }) => return Err(Nonsense::NotPlaces),
        Object(Said { error: Some(Object(failure)), .. }) => failed(&failure),
        // None are told by saying nothing. Who says something else is not Places.
        Object(Said { places: None, .. }) if !text.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"{}") => {
            return Err(Nonsense::NotPlaces);
        }
        Object(Said { places, .. }) => found(places.as_ref().map_or(&[], |Few(places)| places)),
    };
    let text = layout::write(&stated(page)) + "\n";
    if text.len() > Limits::default().body { Err(Nonsense::TooLong) } else { Ok(text.into_bytes()) }
}

/// What Places API (New) says: places, none of them, or an error.
#[derive(Deserialize)]
struct Said {
    places: Option<Few<Object<Place>>>,
    error: Option<Object<Failure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    attributions: Option<Few<Object<Attribution>>>,
    business_status: Option<String>,
    current_opening_hours: Option<Object<OpeningHours>>,
    display_name: Option<Object<DisplayName>>,
    icon_background_color: Option<String>,
    icon_mask_base_uri: Option<String>,
    id: Option<String>,
    location: Option<Object<Coordinates>>,
    photos: Option<Few<Object<Photo>>>,
    plus_code: Option<Object<PlusCode>>,
    price_level: Option<String>,
    rating: Option<f64>,
    short_formatted_address: Option<String>,
    types: Option<Few<String>>,
    user_rating_count: Option<u32>,
    viewport: Option<Object<Viewport>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attribution {
    provider: Option<String>,
    provider_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpeningHours {
    open_now: Option<bool>,
}

#[derive(Deserialize)]
struct DisplayName {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Coordinates {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

#[derive(Deserialize)]
struct Viewport {
    low: Option<Object<Coordinates>>,
    high: Option<Object<Coordinates>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlusCode {
    global_code: Option<String>,
    compound_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Photo {
    author_attributions: Option<Few<Object<Author>>>,
    height_px: Option<u32>,
    name: Option<String>,
    width_px: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Author {
    display_name: Option<String>,
    uri: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    message: Option<String>,
    status: Option<String>,
    details: Option<Few<Object<Detail>>>,
}

#[derive(Deserialize)]
struct Detail {
    reason: Option<String>,
}

/// The first elements of an array, at most [`LIST_LIMIT`]; the others are read over.
struct Few<T>(Vec<T>);

impl<'list, T> IntoIterator for &'list Few<T> {
    type Item = &'list T;
    type IntoIter = slice::Iter<'list, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'text, T: Deserialize<'text>> Deserialize<'text> for Few<T> {
    fn deserialize<D: Deserializer<'text>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FewVisitor(PhantomData))
    }
}

struct FewVisitor<T>(PhantomData<T>);

impl<'text, T: Deserialize<'text>> Visitor<'text> for FewVisitor<T> {
    type Value = Few<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'text>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut few = Vec::new();
        while few.len() < LIST_LIMIT
            && let Some(element) = elements.next_element()?
        {
            few.push(element);
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Few(few))
    }
}

/// A `T` that was written as an object: what serde derives would take an array for a struct, too, and `[]` for no places.
struct Object<T>(T);

impl<'text, T: Deserialize<'text>> Deserialize<'text> for Object<T> {
    fn deserialize<D: Deserializer<'text>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'text, T: Deserialize<'text>> Visitor<'text> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'text>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

fn failed(failure: &Failure) -> Value {
    let reasons = failure.details.iter().flatten().filter_map(|Object(detail)| detail.reason.as_deref());
    let status = match failure.status.as_deref() {
        Some("PERMISSION_DENIED") => "REQUEST_DENIED",
        // To the new API a key that is none is an argument like any other. Legacy clients know it as a refusal: the question was good.
        Some("INVALID_ARGUMENT") if reasons.into_iter().any(|reason| reason == "API_KEY_INVALID") => "REQUEST_DENIED",
        Some("INVALID_ARGUMENT") => "INVALID_REQUEST",
        Some("RESOURCE_EXHAUSTED") => "OVER_QUERY_LIMIT",
        _ => Answer::UNKNOWN_ERROR,
    };
    json!({ "error_message": failure.message, "html_attributions": [], "results": [], "status": status })
}

fn found(places: &[Object<Place>]) -> Value {
    let places = &places[..places.len().min(Answer::RESULTS_LIMIT)];
    let mut seen = HashSet::new();
    let attributions = places.iter().flat_map(|Object(place)| place.attributions.iter().flatten());
    let links = attributions.filter_map(|Object(from)| link(from.provider.as_deref(), from.provider_uri.as_deref()));
    json!({
        "html_attributions": links.filter(|link| seen.insert(link.clone())).collect::<Vec<_>>(),
        "results": places.iter().map(result).collect::<Vec<_>>(),
        "status": if places.is_empty() { "ZERO_RESULTS" } else { "OK" },
    })
}

fn result(Object(place): &Object<Place>) -> Value {
    let viewport = place.viewport.as_ref().map(|Object(viewport)| viewport);
    let plus_code = place.plus_code.as_ref().map(|Object(plus_code)| plus_code);
    json!({
        "business_status": place.business_status,
        "geometry": {
            "location": place.location.as_ref().map(corner),
            "viewport": {
                "northeast": viewport.and_then(|viewport| viewport.high.as_ref()).map(corner),
                "southwest": viewport.and_then(|viewport| viewport.low.as_ref()).map(corner),
            },
        },
        "icon_background_color": place.icon_background_color,
        "icon_mask_base_uri": place.icon_mask_base_uri,
        "name": place.display_name.as_ref().map(|Object(name)| &name.text),
        "opening_hours": { "open_now": place.current_opening_hours.as_ref().map(|Object(hours)| hours.open_now) },
        "photos": place.photos.as_ref().map(|photos| photos.into_iter().map(photo).collect::<Vec<_>>()),
        "place_id": place.id,
        "plus_code": {
            "compound_code": plus_code.map(|plus_code| &plus_code.compound_code),
            "global_code": plus_code.map(|plus_code| &plus_code.global_code),
        },
        "price_level": place.price_level.as_deref().and_then(price_level),
        "rating": place.rating,
        "reference": place.id,
        "types": place.types.as_ref().map(|Few(types)| types),
        "user_ratings_total": place.user_rating_count,
        "vicinity": place.short_formatted_address,
    })
}

fn corner(Object(coordinates): &Object<Coordinates>) -> Value {
    json!({ "lat": coordinates.latitude.unwrap_or(0.0), "lng": coordinates.longitude.unwrap_or(0.0) })
}

fn photo(Object(photo): &Object<Photo>) -> Value {
    let authors = photo.author_attributions.iter().flatten();
    let links = authors.filter_map(|Object(author)| link(author.display_name.as_deref(), author.uri.as_deref()));
    json!({
        "height": photo.height_px,
        "html_attributions": links.collect::<Vec<_>>(),
        "photo_reference": photo.name,
        "width": photo.width_px,
    })
}

fn price_level(level: &str) -> Option<u8> {
    match level {
        "PRICE_LEVEL_FREE" => Some(0),
        "PRICE_LEVEL_INEXPENSIVE" => Some(1),
        "PRICE_LEVEL_MODERATE" => Some(2),
        "PRICE_LEVEL_EXPENSIVE" => Some(3),
        "PRICE_LEVEL_VERY_EXPENSIVE" => Some(4),
        _ => None,
    }
}

/// Who must be named, as HTML: a link if there is somewhere on the web to go, nothing if there is no name.
fn link(name: Option<&str>, uri: Option<&str>) -> Option<String> {
    let name = escaped(name?);
    let Some(uri) = uri.filter(|uri| ["https://", "http://", "//"].iter().any(|start| uri.starts_with(start))) else {
        return Some(name);
    };
    let scheme = if uri.starts_with("//") { "https:" } else { "" };
    Some(format!("<a href=\"{scheme}{}\">{name}</a>", escaped(uri)))
}

/// The text as it stands in HTML, between tags or quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}

/// The value without the members that state nothing, at any depth: `null`, or an object of such members.
fn stated(value: Value) -> Value {
    match value {
        Value::Array(elements) => elements.into_iter().map(stated).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| (key, stated(value)));
            members.filter(|(_, value)| !value.is_null() && *value != json!({})).collect()
        }
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests;
