//! The places that the stand-in knows: towns of the world (GeoNames) and what is in Helsinki's centre (OpenStreetMap).
//!
//! - Shipped with the crate as text (`data/`, whose README has the sources and licences), read once at first use.
//! - The most prominent place is first. A town's prominence is its population; a place with an article in Wikipedia
//!   stands as a town of 100,000 people, every other one below all towns, the better described first. Of equals the nearer
//!   is first.
//! - Entries are sorted by latitude: a search looks at the band of latitudes that its circle touches, which right across the
//!   antimeridian and at the poles is all it takes to be right.
//!
//! It knows no opening hours, ratings or photos, and therefore says nothing of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::places::geometry::{Point, degrees};

/// The places, by latitude.
#[derive(Debug)]
pub struct Gazetteer {
    entries: Vec<Entry>,
    regions: HashMap<&'static str, &'static str>,
}

/// A place near a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Where it is.
    pub point: Point,
    /// Its name, in its own language where the source has that.
    pub name: &'static str,
    /// Who knows of it.
    pub source: Source,
    /// Its id at the source: `658225`, `node/25502063`.
    pub id: &'static str,
    /// Google's types for it, divided by commas, the most telling first.
    pub types: &'static str,
    /// Where to look for it: an address, or the country.
    pub vicinity: &'static str,
}

/// Where a place comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// GeoNames' cities15000: the world's towns.
    GeoNames,
    /// OpenStreetMap: named places of Helsinki's centre.
    OpenStreetMap,
}

/// What a search compares, and the row with the rest.
#[derive(Debug)]
struct Entry {
    point: Point,
    prominence: u32,
    source: Source,
    id: &'static str,
    /// The columns after those.
    rest: &'static str,
}

impl Gazetteer {
    /// The most places of one answer: a page of Google's.
    pub const PAGE: usize = 20;

    /// The places shipped with the crate.
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Gazetteer> = LazyLock::new(|| {
            let towns = TOWNS.lines().map(|row| Entry::read(row, Source::GeoNames));
            let pois = POIS.lines().map(|row| Entry::read(row, Source::OpenStreetMap));
            let mut entries: Vec<Entry> = towns.chain(pois).collect::<Option<_>>().expect(SOUND);
            // Both files are sorted: this is one merge.
            entries.sort_by(|one, other| one.point.latitude().total_cmp(&other.point.latitude()));
            let regions = REGIONS.lines().map(|row| row.split_once('\t')).collect::<Option<_>>().expect(SOUND);
            Gazetteer { entries, regions }
        });
        &SHIPPED
    }

    /// The places at most `metres` from `centre`, most prominent first, at most [`Gazetteer::PAGE`] of them.
    pub fn nearby(&self, centre: Point, metres: f64) -> Vec<Place> {
        let reach = degrees(metres) + ROUNDING;
        let (south, north) = (centre.latitude() - reach, centre.latitude() + reach);
        let start = self.entries.partition_point(|entry| entry.point.latitude() < south);
        let mut found: Vec<(f64, &Entry)> = self.entries[start..]
            .iter()
            .take_while(|entry| entry.point.latitude() <= north)
            .map(|entry| (centre.distance(entry.point), entry))
            .filter(|(distance, _)| *distance <= metres)
            .collect();
        found.sort_by(|(near, one), (far, other)| {
            other.prominence.cmp(&one.prominence).then(near.total_cmp(far)).then(one.id.cmp(other.id))
        });
        found.into_iter().take(Self::PAGE).map(|(_, entry)| self.place(entry)).collect()
    }

    fn place(&self, entry: &Entry) -> Place {
        let &Entry { point, source, id, rest, .. } = entry;
        let mut columns = rest.split('\t');
        let mut column = || columns.next().expect(SOUND);
        let (types, vicinity) = match source {
            Source::GeoNames => ("locality,political", *self.regions.get(column()).expect(SOUND)),
            Source::OpenStreetMap => (column(), column()),
        };
        Place { point, name: column(), source, id, types, vicinity }
    }
}

impl Entry {
    fn read(row: &'static str, source: Source) -> Option<Self> {
        let mut columns = row.splitn(5, '\t');
        let point = Point::new(columns.next()?.parse().ok()?, columns.next()?.parse().ok()?)?;
        let (id, prominence, rest) = (columns.next()?, columns.next()?.parse().ok()?, columns.next()?);
        Some(Self { point, prominence, source, id, rest })
    }
}

const TOWNS: &str = include_str!("../../data/towns.tsv");
const POIS: &str = include_str!("../../data/pois.tsv");
const REGIONS: &str = include_str!("../../data/regions.tsv");

/// More degrees than the sums of a search can be off.
const ROUNDING: f64 = 1e-9;

const SOUND: &str = "a test reads every row of the shipped data";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Point {
        Point::new(latitude, longitude).expect("a point of the test")
    }

    fn names(latitude: f64, longitude: f64, metres: f64) -> Vec<&'static str> {
        Gazetteer::shipped().nearby(at(latitude, longitude), metres).iter().map(|place| place.name).collect()
    }

    #[test]
    fn every_row_is_sound() {
        let gazetteer = Gazetteer::shipped();
        let count = |source| gazetteer.entries.iter().filter(|entry| entry.source == source).count();
        assert_eq!((count(Source::GeoNames), count(Source::OpenStreetMap)), (34_006, 1_526));
        for entry in &gazetteer.entries {
            let place = gazetteer.place(entry);
            assert!(![place.name, place.id, place.types, place.vicinity].contains(&""), "{place:?}");
            assert!(!place.name.contains('\t'), "{place:?}");
        }
    }

    #[test]
    fn the_most_prominent_places_come_first() {
        let check = |names: Vec<&str>, expected: &[&str]| assert_eq!(names[..expected.len()], *expected);
        check(
            names(34.06893, -118.445127, 10_000.0),
            &["Santa Monica", "Mid-City", "Sherman Oaks", "Venice", "Sawtelle"],
        );
        check(names(60.1708, 24.9375, 1_000.0), &["Helsinki", "Helsingin tuomiokirkko", "Helsingin kaupungintalo"]);
        check(names(78.22, 15.65, 5_000.0), &["Longyearbyen"]);
        assert_eq!(names(0.0, -30.0, 50_000.0), [""; 0]);
        assert_eq!(names(35.6895, 139.69171, 50_000.0).len(), Gazetteer::PAGE);
    }

    #[test]
    fn a_circle_may_cross_the_antimeridian_and_cover_a_pole() {
        // Labasa in Fiji is at 179.4 east.
        assert_eq!(names(-16.43, -179.9, 100_000.0), ["Labasa"]);
        assert_eq!(names(90.0, 0.0, 1_400_000.0), ["Longyearbyen"]);
        assert_eq!(names(89.0, -164.0, 1_500_000.0), ["Longyearbyen"]);
    }

    #[test]
    fn a_place_on_the_rim_is_inside() {
        let (centre, town) = (at(78.0, 15.0), at(78.22334, 15.64689));
        let rim = centre.distance(town);
        assert_eq!(Gazetteer::shipped().nearby(centre, rim).len(), 1);
        assert_eq!(Gazetteer::shipped().nearby(centre, rim - 0.001).len(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn a_search_finds_what_looking_at_every_entry_finds(
            latitude in -90.0..=90.0f64, longitude in -180.0..=180.0f64, metres in 1.0..3_000_000.0f64,
        ) {
            let (gazetteer, centre) = (Gazetteer::shipped(), at(latitude, longitude));
            let inside = gazetteer.entries.iter().filter(|entry| centre.distance(entry.point) <= metres);
            let mut best: Vec<u32> = inside.map(|entry| entry.prominence).collect();
            best.sort_by(|one, other| other.cmp(one));
            best.truncate(Gazetteer::PAGE);
            let prominence = |place: &Place| {
                let own = |entry: &&Entry| entry.source == place.source && entry.id == place.id;
                gazetteer.entries.iter().find(own).map(|entry| entry.prominence)
            };
            let found: Option<Vec<u32>> = gazetteer.nearby(centre, metres).iter().map(prominence).collect();
            prop_assert_eq!(found, Some(best));
        }
    }
}
