//! Points on the Earth: how far apart they are, and a window around one.
//!
//! - The Earth is a sphere of its mean radius: a distance is within 0.6 % of the ellipsoid's.
//! - Distances need no special care at the antimeridian and the poles; windows have it.

/// A point on the Earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    latitude: f64,
    longitude: f64,
}

/// A rectangle of latitudes and longitudes. Where it crosses the antimeridian its east is less than its west.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// The northern edge, in degrees.
    pub north: f64,
    /// The eastern edge, in degrees.
    pub east: f64,
    /// The southern edge, in degrees.
    pub south: f64,
    /// The western edge, in degrees.
    pub west: f64,
}

impl Point {
    /// The point at these degrees, or `None` if a latitude goes past the poles, or a longitude past 180.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let valid = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        valid.then_some(Self { latitude, longitude })
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// The great-circle distance in metres, by the haversine formula, which is exact for near points too.
    pub fn distance(self, other: Self) -> f64 {
        let (south, north) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
        let across = half(self.longitude.to_radians(), other.longitude.to_radians());
        let chord = half(south, north) + south.cos() * north.cos() * across;
        // Rounding can take antipodes a hair past 1, where the arc sine ends.
        2.0 * EARTH_RADIUS * chord.min(1.0).sqrt().asin()
    }

    /// The window that reaches `metres` from the point in the four directions.
    pub fn window(self, metres: f64) -> Window {
        let up = degrees(metres);
        let (north, south) = (self.latitude + up, self.latitude - up);
        let aside = up / self.latitude.to_radians().cos();
        let (west, east) = if north >= 90.0 || south <= -90.0 || aside >= 180.0 {
            (-180.0, 180.0)
        } else {
            (wrapped(self.longitude - aside), wrapped(self.longitude + aside))
        };
        Window { north: north.min(90.0), east, south: south.max(-90.0), west }
    }
}

/// How many degrees of latitude `metres` are.
pub fn degrees(metres: f64) -> f64 {
    (metres / EARTH_RADIUS).to_degrees()
}

/// A longitude brought back from beyond the antimeridian.
fn wrapped(longitude: f64) -> f64 {
    match longitude {
        _ if longitude > 180.0 => longitude - 360.0,
        _ if longitude < -180.0 => longitude + 360.0,
        _ => longitude,
    }
}

/// The Earth's mean radius in metres (IUGG, R1 of WGS 84).
const EARTH_RADIUS: f64 = 6_371_008.8;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Point {
        Point::new(latitude, longitude).expect("a point of the test")
    }

    #[test]
    fn points_end_at_the_poles_and_the_antimeridian() {
        let check = |latitude, longitude, valid: bool| {
            assert_eq!(Point::new(latitude, longitude).is_some(), valid, "{latitude} {longitude}");
        };
        check(90.0, 180.0, true);
        check(-90.0, -180.0, true);
        check(90.000001, 0.0, false);
        check(0.0, -180.000001, false);
        check(f64::NAN, 0.0, false);
        check(0.0, f64::INFINITY, false);
    }

    #[test]
    fn distances_are_great_circles() {
        let quarter = EARTH_RADIUS * std::f64::consts::FRAC_PI_2;
        let check = |from: Point, to: Point, metres: f64| {
            for distance in [from.distance(to), to.distance(from)] {
                assert!((distance - metres).abs() < 1.0, "{from:?} {to:?}: {distance}, not {metres}");
            }
        };
        check(at(1.0, 2.0), at(1.0, 2.0), 0.0);
        check(at(90.0, 0.0), at(90.0, 123.0), 0.0);
        check(at(90.0, 0.0), at(0.0, 77.0), quarter);
        check(at(0.0, 0.0), at(0.0, 90.0), quarter);
        check(at(0.0, 0.0), at(0.0, 180.0), 2.0 * quarter);
        check(at(34.06893, -118.445127), at(-34.06893, 61.554873), 2.0 * quarter);
        check(at(0.0, 179.5), at(0.0, -179.5), quarter / 90.0);
        check(at(89.5, 0.0), at(89.5, 180.0), quarter / 90.0);
        // London to Paris, computed by the angle between the vectors from the Earth's centre.
        check(at(51.50853, -0.12574), at(48.85341, 2.3488), 343771.4);
    }

    #[test]
    fn windows_stay_on_the_map() {
        let check = |point: Point, metres: f64, expected: [f64; 4]| {
            let Window { north, east, south, west } = point.window(metres);
            for (edge, expected) in [north, east, south, west].into_iter().zip(expected) {
                assert!((edge - expected).abs() < 1e-6, "{point:?}: {north} {east} {south} {west}");
            }
        };
        let degree = EARTH_RADIUS.to_radians();
        check(at(0.0, 0.0), degree, [1.0, 1.0, -1.0, -1.0]);
        check(at(60.0, 10.0), degree, [61.0, 12.0, 59.0, 8.0]);
        check(at(0.0, 179.5), degree, [1.0, -179.5, -1.0, 178.5]);
        check(at(0.0, -179.5), degree, [1.0, -178.5, -1.0, 179.5]);
        check(at(89.5, 10.0), degree, [90.0, 180.0, 88.5, -180.0]);
        check(at(-90.0, 10.0), degree, [-89.0, 180.0, -90.0, -180.0]);
    }
}
