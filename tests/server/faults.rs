//! What a client is told whatever goes wrong upstream: each fault of the stand-in, by both of Google's APIs, on the simulated
//! network, plain and over TLS, and over TLS on sockets.

use std::thread;
use std::time::Duration;

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::{Provider, Topology};

use crate::asking::{ask, failure};
use crate::loopback::Loopback;
use crate::simulated::Simulated;
use crate::standin::{Places, Wire};
use crate::upstream::PLACES;
use crate::world;

/// What becomes of the answer.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// It has all its places.
    Places,
    /// It has none, but a status and a message.
    Instead(&'static str, &'static str),
}

const MALFORMED: Told = Told::Instead("UNKNOWN_ERROR", "Places gave an answer that is cut short or malformed.");
const NONSENSE: Told = Told::Instead("UNKNOWN_ERROR", "Places gave an answer that makes no sense.");
const UNREACHABLE: Told = Told::Instead("UNKNOWN_ERROR", "Places could not be reached.");
const LATE: Told = Told::Instead("UNKNOWN_ERROR", "Places took too long to answer.");
const TOO_MANY: Told = Told::Instead("OVER_QUERY_LIMIT", "Places has had too many questions. Ask again later.");

/// Faults, and what is told at once.
const QUICK: &[(&str, Told)] = &[
    ("delay=0", Told::Places),
    ("delay=50", Told::Places),
    ("chunked", Told::Places),
    ("chunked,delay=20", Told::Places),
    ("until-close", Told::Places),
    ("http-1.0", Told::Places),
    ("continue", Told::Places),
    ("continue,chunked", Told::Places),
    ("status=404", NONSENSE),
    ("status=429", TOO_MANY),
    ("status=500", NONSENSE),
    ("status=503", NONSENSE),
    ("redirect", NONSENSE),
    ("echo-key", NONSENSE),
    ("cut=0", UNREACHABLE),
    ("cut=1", MALFORMED),
    ("cut=500", MALFORMED),
    ("cut=500,chunked", MALFORMED),
    ("long-head", MALFORMED),
    ("long-body", MALFORMED),
    ("long-body,chunked", MALFORMED),
    ("long-body,until-close", MALFORMED),
    ("garbage", MALFORMED),
    ("two-lengths", MALFORMED),
];

/// Faults of which each API has words of its own.
const QUICK_OF_ONE: &[(Provider, &str, Told)] = &[
    (Provider::Legacy, "quota", Told::Instead("OVER_QUERY_LIMIT", "You have exceeded your rate-limit for this API.")),
    (Provider::New, "quota,retry-after=5", Told::Instead("OVER_QUERY_LIMIT", QUOTA)),
    (Provider::Legacy, "no-legacy=403", Told::Instead("REQUEST_DENIED", NO_LEGACY)),
    (Provider::Legacy, "no-new", Told::Places),
    (Provider::New, "no-new", Told::Instead("REQUEST_DENIED", NO_NEW)),
    (Provider::New, "no-legacy", Told::Places),
];

/// All that is told at once: who is asked, with which fault, and what is told.
fn quick() -> impl Iterator<Item = (Provider, &'static str, Told)> {
    let of_both = APIS.into_iter().flat_map(|api| QUICK.iter().map(move |(fault, told)| (api, *fault, *told)));
    of_both.chain(QUICK_OF_ONE.iter().copied())
}

/// Faults that take longer than an answer may.
const SLOW: &[&str] = &["delay=60000", "drip=50", "silent"];

const APIS: [Provider; 2] = [Provider::Legacy, Provider::New];

/// What the client hears of Places, exactly.
fn check(told: &str, api: Provider, fault: &str, expected: Told) {
    let expected = match expected {
        Told::Instead(status, message) => failure(status, message),
        Told::Places if api == Provider::New => places().replace(ATTRIBUTIONS, NEW_ATTRIBUTIONS),
        Told::Places => places(),
    };
    assert!(told == expected, "{api}, {fault}: the client hears\n{told}but should hear\n{expected}");
}

fn places() -> String {
    include_str!("../data/helsinki.json").to_owned() + "\n"
}

/// What is told on the simulated network, and after how long.
fn simulated(wire: Wire, api: Provider, fault: &str) -> (String, Duration) {
    let places = Places::new(wire);
    let mut world = Simulated::new(Topology::built_in(), &places.provider(api, PLACES, fault), 7, Weather::default());
    let host = world.host("Welsh");
    world.sim.enter(host, |event_loop, _| places.listen(event_loop, PLACES));
    world::links_are_up(&mut world);
    let asked = world.sim.now();
    let told = ask(&mut world, HELSINKI, 20);
    (told, world.sim.now() - asked)
}

/// What is told over TLS on sockets.
fn on_sockets(api: Provider, fault: &str) -> String {
    let places = Places::new(Wire::Tls);
    let mut world = Loopback::new(Topology::built_in(), |address| places.provider(api, address, fault));
    let address = world.places;
    world.event_loop.enter(|event_loop, _| places.listen(event_loop, address));
    ask(&mut world, HELSINKI, 20)
}

#[test]
fn each_fault_has_its_answer_on_the_simulated_network() {
    for wire in [Wire::Plain, Wire::Tls] {
        for (api, fault, expected) in quick() {
            let (told, took) = simulated(wire, api, fault);
            check(&told, api, fault, expected);
            assert!(took < Duration::from_secs(2), "{fault}: {took:?}");
        }
        for api in APIS {
            for fault in SLOW {
                let (told, took) = simulated(wire, api, fault);
                check(&told, api, fault, LATE);
                assert!((LIMIT..LIMIT + Duration::from_millis(100)).contains(&took), "{fault}: {took:?}");
            }
        }
    }
}

#[test]
fn each_fault_has_its_answer_over_tls_on_sockets() {
    for (api, fault, expected) in quick() {
        check(&on_sockets(api, fault), api, fault, expected);
    }
}

#[test]
fn each_fault_that_takes_too_long_has_its_answer_over_tls_on_sockets() {
    // Each takes its ten seconds: all at a time.
    thread::scope(|scope| {
        for api in APIS {
            for fault in SLOW {
                scope.spawn(move || check(&on_sockets(api, fault), api, fault, LATE));
            }
        }
    });
}

#[test]
fn a_connection_cut_off_is_the_end_of_a_body_only_where_nobody_could_say_so() {
    for api in APIS {
        check(&simulated(Wire::Plain, api, "no-close-notify").0, api, "plain", Told::Places);
        check(&simulated(Wire::Tls, api, "no-close-notify").0, api, "TLS", UNREACHABLE);
        check(&on_sockets(api, "no-close-notify"), api, "TLS on sockets", UNREACHABLE);
    }
}

/// How the sources are named by the legacy API, and how the new one's are told.
const ATTRIBUTIONS: &str = r#"      "Towns by \u003ca href=\"https://www.geonames.org/\"\u003eGeoNames\u003c/a\u003e, \u003ca href=\"https://creativecommons.org/licenses/by/4.0/\"\u003eCC BY 4.0\u003c/a\u003e",
      "Places © \u003ca href=\"https://www.openstreetmap.org/copyright\"\u003eOpenStreetMap contributors\u003c/a\u003e, ODbL"
"#;
const NEW_ATTRIBUTIONS: &str = r#"      "\u003ca href=\"https://www.geonames.org/\"\u003eGeoNames (CC BY 4.0)\u003c/a\u003e",
      "\u003ca href=\"https://www.openstreetmap.org/copyright\"\u003eOpenStreetMap contributors (ODbL)\u003c/a\u003e"
"#;

const HELSINKI: &str = "+60.1708+24.9375";

/// Google's words.
pub(crate) const NO_LEGACY: &str = "You're calling a legacy API, which is not enabled for your project. To get newer features and more \
                         functionality, switch to the Places API (New) or Routes API. Learn more: \
                         https://developers.google.com/maps/legacy#LegacyApiNotActivatedMapError";
pub(crate) const NO_NEW: &str = "Places API (New) has not been used in project 0 before or it is disabled.";
pub(crate) const QUOTA: &str =
    "Quota exceeded for quota metric 'SearchNearbyRequest' of service 'places.googleapis.com'.";

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);
