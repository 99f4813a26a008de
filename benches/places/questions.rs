//! Questions with answers that all differ, and what a server has to answer, found without one.

use std::collections::HashSet;

use proxy_herd::herd::topology::Url;
use proxy_herd::places::answer::Answer;
use proxy_herd::places::api::Api;
use proxy_herd::places::faults::Faults;
use proxy_herd::places::gazetteer::Gazetteer;
use proxy_herd::places::geometry::Point;
use proxy_herd::places::key::Key;
use proxy_herd::places::plan::Step;
use proxy_herd::places::question::Question;
use proxy_herd::places::standin;
use proxy_herd::wire::http::{Limits, Status};
use proxy_herd::wire::http_request::RequestDecoder;
use proxy_herd::wire::http_response::ResponseDecoder;

/// A question, and its answer.
pub(crate) struct Asked {
    /// As in an IAMAT.
    pub(crate) position: String,
    /// Of [`RADIUS_KM`] and [`BOUND`].
    pub(crate) answer: Vec<u8>,
}

/// How far, in kilometres.
pub(crate) const RADIUS_KM: usize = 50;

/// How many places, at the most: a page, which every answer here fills.
pub(crate) const BOUND: usize = Answer::RESULTS_LIMIT;

/// The first `count` of them, by latitude.
pub(crate) fn asked(api: Api, count: usize) -> Vec<Asked> {
    let mut seen = HashSet::new();
    let grid = (LATITUDES.0..LATITUDES.1).flat_map(|row| (LONGITUDES.0..LONGITUDES.1).map(move |column| (row, column)));
    let points = grid.map(|(row, column)| (f64::from(row) / STEPS, f64::from(column) / STEPS));
    let telling = points.filter(|(latitude, longitude)| {
        let centre = Point::new(*latitude, *longitude).expect("it is on the Earth");
        let places = Gazetteer::shipped().nearby(centre, (RADIUS_KM * 1_000) as f64);
        places.len() == BOUND && seen.insert(places.iter().map(|place| place.id).collect::<Vec<_>>())
    });
    let asked = telling.map(|(latitude, longitude)| {
        let [latitude, longitude] = [latitude, longitude].map(|degrees| format!("{degrees:+.1}"));
        let answer = answer(api, &latitude, &longitude);
        Asked { position: latitude + &longitude, answer }
    });
    let asked: Vec<Asked> = asked.take(count).collect();
    assert_eq!(asked.len(), count, "there are so many questions");
    asked
}

/// What the stand-in says, as a client is told.
fn answer(api: Api, latitude: &str, longitude: &str) -> Vec<u8> {
    let metres = (RADIUS_KM * 1_000).to_string();
    let question = Question::new(latitude.as_bytes(), longitude.as_bytes(), metres.as_bytes()).expect("numbers");
    let upstream = Url::parse("http://127.0.0.1:1").expect("a URL");
    let request = api.request(&question, &upstream, &Key::new("any").expect("a key"));
    let request = whole(RequestDecoder::new(Limits::default()).decode(&request).expect("a request"));
    let mut plan = standin::respond(Gazetteer::shipped(), &request, &Faults::default());
    let [Step::Send(bytes)] = plan.steps.make_contiguous() else { panic!("without faults it is one step") };
    let response = whole(ResponseDecoder::new(Limits::default()).decode(bytes).expect("a response"));
    api.read(response.status, response.body).expect("an answer").text(BOUND)
}

fn whole<Message>(status: Status<Message>) -> Message {
    match status {
        Status::Complete { message, .. } => message,
        Status::Partial => panic!("all of it was there"),
    }
}

/// From where to where it is looked, in steps: where many towns are.
const LATITUDES: (i32, i32) = (480, 560);
const LONGITUDES: (i32, i32) = (-50, 200);

/// How many make a degree.
const STEPS: f64 = 10.0;
