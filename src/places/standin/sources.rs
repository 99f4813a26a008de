//! What both APIs of the stand-in say of a place's source: whom to thank, its ids, and how far to look around.

use crate::places::gazetteer::{Place, Source};
use crate::places::geometry::Window;

/// Whom to thank for a place, as the licence asks.
pub(super) struct Credit {
    pub(super) provider: &'static str,
    pub(super) uri: &'static str,
    pub(super) html: &'static str,
}

impl Credit {
    pub(super) fn of(source: Source) -> Self {
        match source {
            Source::GeoNames => Self {
                provider: "GeoNames (CC BY 4.0)",
                uri: "https://www.geonames.org/",
                html: "Towns by <a href=\"https://www.geonames.org/\">GeoNames</a>, \
                       <a href=\"https://creativecommons.org/licenses/by/4.0/\">CC BY 4.0</a>",
            },
            Source::OpenStreetMap => Self {
                provider: "OpenStreetMap contributors (ODbL)",
                uri: "https://www.openstreetmap.org/copyright",
                html: "Places \u{a9} <a href=\"https://www.openstreetmap.org/copyright\">OpenStreetMap contributors</a>, ODbL",
            },
        }
    }
}

/// The sources of these places, each once, always in the same order.
pub(super) fn sources(places: &[Place]) -> impl Iterator<Item = Source> {
    let all = [Source::GeoNames, Source::OpenStreetMap];
    all.into_iter().filter(|source| places.iter().any(|place| place.source == *source))
}

/// The source's own id, and whose it is.
pub(super) fn id(place: &Place) -> String {
    let prefix = match place.source {
        Source::GeoNames => "geonames",
        Source::OpenStreetMap => "osm",
    };
    format!("{prefix}:{}", place.id)
}

/// A window to look at the place through, not a border: as wide as Google's are.
pub(super) fn viewport(place: &Place) -> Window {
    place.point.window(match place.source {
        Source::GeoNames => TOWN_REACH,
        Source::OpenStreetMap => PLACE_REACH,
    })
}

/// How far a viewport reaches around a town, in metres.
const TOWN_REACH: f64 = 5_000.0;

/// How far a viewport reaches around a place in a town, in metres.
const PLACE_REACH: f64 = 150.0;
