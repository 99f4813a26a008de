//! An answer of Places API (New) to Nearby Search, as the legacy API would have given it. Bytes in, bytes out.
//!
//! - Nothing is invented: what Google does not say, the legacy answer does not have.
//! - A number is the one that Google wrote, to the digit, but for zeros at the end of a fraction: it is never a float here, and one that no float
//!   holds is passed on, as in an answer that is not mapped. How many there are of something is a whole number of 32 bits.
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

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::places::answer::{Answer, Nonsense};
use crate::places::layout::{self, AsJson, Json, object};
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
    let text = str::from_utf8(body).map_err(|_| Nonsense::NotText)?;
    let Object(said) = serde_json::from_str(text)?;
    let page = match &said {
        Said { places: Some(_), error: Some(_) } => return Err(Nonsense::NotPlaces),
        Said { error: Some(Object(failure)), .. } => failed(failure),
        Said { places: Some(Few(places)), .. } => found(places),
        // None are told by saying nothing. Who says something else is not Places.
        Said { .. } if text.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"{}") => found(&[]),
        Said { .. } => return Err(Nonsense::NotPlaces),
    };
    let mut text = layout::write_within(Limits::default().body - NEWLINE.len(), &page).ok_or(Nonsense::TooLong)?;
    text.extend_from_slice(NEWLINE);
    Ok(text)
}

/// What Google ends a body with.
const NEWLINE: &[u8] = b"\n";

/// What Places API (New) says: places, none of them, or an error.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'text"))]
struct Said<'text> {
    places: Option<Few<Object<Place<'text>>>>,
    error: Option<Object<Failure<'text>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'text"))]
struct Place<'text> {
    attributions: Option<Few<Object<Attribution<'text>>>>,
    business_status: Option<Text<'text>>,
    current_opening_hours: Option<Object<OpeningHours>>,
    display_name: Option<Object<DisplayName<'text>>>,
    icon_background_color: Option<Text<'text>>,
    icon_mask_base_uri: Option<Text<'text>>,
    id: Option<Text<'text>>,
    location: Option<Object<Coordinates<'text>>>,
    photos: Option<Few<Object<Photo<'text>>>>,
    plus_code: Option<Object<PlusCode<'text>>>,
    price_level: Option<Text<'text>>,
    rating: Option<Number<'text>>,
    short_formatted_address: Option<Text<'text>>,
    types: Option<Few<Text<'text>>>,
    user_rating_count: Option<u32>,
    viewport: Option<Object<Viewport<'text>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'text"))]
struct Attribution<'text> {
    provider: Option<Text<'text>>,
    provider_uri: Option<Text<'text>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpeningHours {
    open_now: Option<bool>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'text"))]
struct DisplayName<'text> {
    text: Option<Text<'text>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'text"))]
struct Coordinates<'text> {
    latitude: Option<Number<'text>>,
    longitude: Option<Number<'text>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'text"))]
struct Viewport<'text> {
    low: Option<Object<Coordinates<'text>>>,
    high: Option<Object<Coordinates<'text>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'text"))]
struct PlusCode<'text> {
    global_code: Option<Text<'text>>,
    compound_code: Option<Text<'text>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'text"))]
struct Photo<'text> {
    author_attributions: Option<Few<Object<Author<'text>>>>,
    height_px: Option<u32>,
    name: Option<Text<'text>>,
    width_px: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'text"))]
struct Author<'text> {
    display_name: Option<Text<'text>>,
    uri: Option<Text<'text>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'text"))]
struct Failure<'text> {
    message: Option<Text<'text>>,
    status: Option<Text<'text>>,
    details: Option<Few<Object<Detail<'text>>>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'text"))]
struct Detail<'text> {
    reason: Option<Text<'text>>,
}

/// A string, copied only if it is written with escapes. (Serde would always copy the [`Cow`] in an `Option<Cow<str>>`.)
#[derive(Deserialize)]
struct Text<'text>(#[serde(borrow)] Cow<'text, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A number in the words that it is written in.
struct Number<'text>(&'text str);

impl<'de: 'text, 'text> Deserialize<'de> for Number<'text> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&RawValue>::deserialize(deserializer)?.get();
        if value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            Ok(Self(value))
        } else {
            Err(D::Error::custom("not a number"))
        }
    }
}

/// The first elements of an array, at most [`LIST_LIMIT`]; the others are read over.
struct Few<T>(Vec<T>);

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

fn failed<'page>(failure: &'page Failure<'_>) -> Json<'page> {
    let is_of_the_key = |Object(detail): &Object<Detail<'_>>| detail.reason.as_deref() == Some("API_KEY_INVALID");
    let status = match failure.status.as_deref() {
        Some("PERMISSION_DENIED") => "REQUEST_DENIED",
        // To the new API a key that is none is an argument like any other. Legacy clients know it as a refusal: the question was good.
        Some("INVALID_ARGUMENT") if all(&failure.details).any(is_of_the_key) => "REQUEST_DENIED",
        Some("INVALID_ARGUMENT") => "INVALID_REQUEST",
        Some("RESOURCE_EXHAUSTED") => "OVER_QUERY_LIMIT",
        _ => Answer::UNKNOWN_ERROR,
    };
    object! {
        "error_message": &failure.message,
        "html_attributions": Json::Array(Vec::new()),
        "results": Json::Array(Vec::new()),
        "status": status,
    }
}

fn found<'page>(places: &'page [Object<Place<'_>>]) -> Json<'page> {
    let places = &places[..places.len().min(Answer::RESULTS_LIMIT)];
    let mut seen = HashSet::new();
    let attributions = places.iter().flat_map(|Object(place)| all(&place.attributions));
    let links = attributions.filter_map(|Object(from)| link(from.provider.as_deref(), from.provider_uri.as_deref()));
    object! {
        "html_attributions": links.filter(|link| seen.insert(link.clone())).collect::<Json<'_>>(),
        "results": places.iter().collect::<Json<'_>>(),
        "status": if places.is_empty() { "ZERO_RESULTS" } else { "OK" },
    }
}

impl AsJson for Place<'_> {
    fn as_json(&self) -> Json<'_> {
        object! {
            "business_status": &self.business_status,
            "geometry": object! { "location": &self.location, "viewport": &self.viewport },
            "icon_background_color": &self.icon_background_color,
            "icon_mask_base_uri": &self.icon_mask_base_uri,
            "name": &self.display_name,
            "opening_hours": &self.current_opening_hours,
            "photos": &self.photos,
            "place_id": &self.id,
            "plus_code": &self.plus_code,
            "price_level": self.price_level.as_deref().and_then(price_level),
            "rating": &self.rating,
            "reference": &self.id,
            "types": &self.types,
            "user_ratings_total": self.user_rating_count,
            "vicinity": &self.short_formatted_address,
        }
    }
}

impl AsJson for Viewport<'_> {
    fn as_json(&self) -> Json<'_> {
        object! { "northeast": &self.high, "southwest": &self.low }
    }
}

impl AsJson for Coordinates<'_> {
    fn as_json(&self) -> Json<'_> {
        let Self { latitude, longitude } = self;
        let zero = &Number("0");
        object! { "lat": latitude.as_ref().unwrap_or(zero), "lng": longitude.as_ref().unwrap_or(zero) }
    }
}

impl AsJson for DisplayName<'_> {
    fn as_json(&self) -> Json<'_> {
        Json::from(&self.text)
    }
}

impl AsJson for OpeningHours {
    fn as_json(&self) -> Json<'_> {
        object! { "open_now": self.open_now }
    }
}

impl AsJson for PlusCode<'_> {
    fn as_json(&self) -> Json<'_> {
        object! { "compound_code": &self.compound_code, "global_code": &self.global_code }
    }
}

impl AsJson for Photo<'_> {
    fn as_json(&self) -> Json<'_> {
        let authors = all(&self.author_attributions);
        let links = authors.filter_map(|Object(author)| link(author.display_name.as_deref(), author.uri.as_deref()));
        object! {
            "height": self.height_px,
            "html_attributions": links.collect::<Json<'_>>(),
            "photo_reference": &self.name,
            "width": self.width_px,
        }
    }
}

impl AsJson for Text<'_> {
    fn as_json(&self) -> Json<'_> {
        Json::from(&**self)
    }
}

impl AsJson for Number<'_> {
    fn as_json(&self) -> Json<'_> {
        Json::Number(self.0.into())
    }
}

impl<T: AsJson> AsJson for Few<T> {
    fn as_json(&self) -> Json<'_> {
        self.0.iter().collect()
    }
}

impl<T: AsJson> AsJson for Object<T> {
    fn as_json(&self) -> Json<'_> {
        self.0.as_json()
    }
}

/// What there is in a list, if there is one.
fn all<T>(list: &Option<Few<T>>) -> impl Iterator<Item = &T> {
    list.iter().flat_map(|Few(elements)| elements)
}

fn price_level(level: &str) -> Option<u32> {
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
    let name = Html(name?);
    let Some(uri) = uri.filter(|uri| ["https://", "http://", "//"].iter().any(|start| uri.starts_with(start))) else {
        return Some(name.to_string());
    };
    let scheme = if uri.starts_with("//") { "https:" } else { "" };
    Some(format!("<a href=\"{scheme}{}\">{name}</a>", Html(uri)))
}

/// A text as it stands in HTML, between tags or quotes.
struct Html<'text>(&'text str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            formatter.write_str(&rest[..at])?;
            formatter.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        formatter.write_str(rest)
    }
}

#[cfg(test)]
mod tests;
