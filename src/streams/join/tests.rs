//! Joins and races: who is polled, in what order, when it is dropped, and what it costs.

use std::cell::RefCell;
use std::future::{Ready, pending};
use std::pin::pin;
use std::rc::Rc;
use std::task::Waker;

use crate::streams::Event;

use super::*;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Writes down when it is polled and dropped, and ends when its event is set.
struct Witness<'a>(&'static str, &'a RefCell<Vec<String>>);

impl Witness<'_> {
    fn says(&self, what: &str) {
        self.1.borrow_mut().push(format!("{} {what}", self.0));
    }

    async fn until(self, event: Event) -> &'static str {
        let mut waiting = pin!(event.wait());
        std::future::poll_fn(|context| {
            self.says("is polled");
            waiting.as_mut().poll(context)
        })
        .await;
        self.0
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        self.says("is dropped");
    }
}

/// Two witnesses in a `race` or a `join`; after each step, what they have said.
struct Scene {
    said: RefCell<Vec<String>>,
    a: Event,
    b: Event,
}

impl Scene {
    fn new() -> Self {
        Self { said: RefCell::default(), a: Event::new(), b: Event::new() }
    }

    fn witnesses(&self) -> [impl Future<Output = &'static str>; 2] {
        [("a", &self.a), ("b", &self.b)].map(|(name, event)| Witness(name, &self.said).until(event.clone()))
    }

    fn said(&self) -> String {
        self.said.take().join(", ")
    }
}

#[test]
fn a_race_is_polled_in_order_and_drops_the_loser_at_once() {
    let scene = Scene::new();
    let [a, b] = scene.witnesses();
    let mut race = pin!(race(a, b));
    assert_eq!(poll(race.as_mut()), Poll::Pending);
    assert_eq!(scene.said(), "a is polled, b is polled");
    scene.b.set();
    assert_eq!(poll(race.as_mut()), Poll::Ready(Either::Right("b")));
    assert_eq!(scene.said(), "a is polled, b is polled, b is dropped, a is dropped");
}

#[test]
fn of_two_that_can_end_the_first_argument_does() {
    let scene = Scene::new();
    let [a, b] = scene.witnesses();
    let mut race = pin!(race(a, b));
    scene.b.set();
    scene.a.set();
    assert_eq!(poll(race.as_mut()), Poll::Ready(Either::Left("a")));
    assert_eq!(scene.said(), "a is polled, a is dropped, b is dropped");
}

#[test]
fn a_join_drops_who_has_ended_at_once_and_does_not_poll_it_again() {
    let scene = Scene::new();
    let [a, b] = scene.witnesses();
    let mut join = pin!(join(a, b));
    scene.a.set();
    assert_eq!(poll(join.as_mut()), Poll::Pending);
    assert_eq!(scene.said(), "a is polled, a is dropped, b is polled");
    scene.b.set();
    assert_eq!(poll(join.as_mut()), Poll::Ready(("a", "b")));
    assert_eq!(scene.said(), "b is polled, b is dropped");
}

async fn end(witness: impl Future<Output = &'static str>, end: Result<u8, u8>) -> Result<u8, u8> {
    witness.await;
    end
}

/// Two witnesses in a `try_join`, who are to end in this way. Each step says who may end now, and what is said then.
#[track_caller]
fn check_try<const N: usize>(ends: [Result<u8, u8>; 2], steps: [(&str, &str); N], expected: Result<(u8, u8), u8>) {
    let scene = Scene::new();
    let [a, b] = scene.witnesses();
    let mut both = pin!(try_join(end(a, ends[0]), end(b, ends[1])));
    let mut result = Poll::Pending;
    for (who, said) in steps {
        assert_eq!(result, Poll::Pending);
        for (name, event) in [("a", &scene.a), ("b", &scene.b)] {
            if who.contains(name) {
                event.set();
            }
        }
        result = poll(both.as_mut());
        assert_eq!(scene.said(), said);
    }
    assert_eq!(result, Poll::Ready(expected));
}

#[test]
fn two_that_succeed_are_waited_for() {
    let ends = [Ok(1), Ok(2)];
    let a_first = [
        ("", "a is polled, b is polled"),
        ("a", "a is polled, a is dropped, b is polled"),
        ("b", "b is polled, b is dropped"),
    ];
    check_try(ends, a_first, Ok((1, 2)));
    let b_first = [("b", "a is polled, b is polled, b is dropped"), ("a", "a is polled, a is dropped")];
    check_try(ends, b_first, Ok((1, 2)));
    check_try(ends, [("ab", "a is polled, a is dropped, b is polled, b is dropped")], Ok((1, 2)));
}

#[test]
fn the_first_error_ends_both_at_once() {
    let waiting = ("", "a is polled, b is polled");
    // Who is not polled any more is dropped before the error is returned.
    check_try([Err(1), Ok(2)], [waiting, ("a", "a is polled, a is dropped, b is dropped")], Err(1));
    check_try([Ok(1), Err(2)], [waiting, ("b", "a is polled, b is polled, b is dropped, a is dropped")], Err(2));
    check_try([Err(1), Err(2)], [("ab", "a is polled, a is dropped, b is dropped")], Err(1));
    check_try([Err(1), Err(2)], [("b", "a is polled, b is polled, b is dropped, a is dropped")], Err(2));
    // An error after the other's success.
    let a_first = [("a", "a is polled, a is dropped, b is polled"), ("b", "b is polled, b is dropped")];
    check_try([Ok(1), Err(2)], a_first, Err(2));
    let b_first = [("b", "a is polled, b is polled, b is dropped"), ("a", "a is polled, a is dropped")];
    check_try([Err(1), Ok(2)], b_first, Err(1));
}

#[test]
fn what_had_succeeded_is_dropped_before_the_others_error_is_returned() {
    let kept = Rc::new(());
    let (value, late) = (Rc::clone(&kept), Event::new());
    let fails = async {
        late.wait().await;
        Err::<(), _>("no")
    };
    let mut both = pin!(try_join(async { Ok(value) }, fails));
    assert_eq!(poll(both.as_mut()), Poll::Pending);
    assert_eq!(Rc::strong_count(&kept), 2);
    late.set();
    assert_eq!(poll(both.as_mut()), Poll::Ready(Err("no")));
    // `both` lives on.
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn it_may_not_matter_which_of_two_it_was() {
    assert_eq!(Either::<u8, u8>::Left(1).into_inner(), 1);
    assert_eq!(Either::<u8, u8>::Right(2).into_inner(), 2);
}

#[test]
fn a_join_of_any_number_keeps_the_order() {
    let scene = Scene::new();
    let mut join = pin!(join_all(scene.witnesses()));
    scene.b.set();
    assert_eq!(poll(join.as_mut()), Poll::Pending);
    assert_eq!(scene.said(), "a is polled, b is polled, b is dropped");
    scene.a.set();
    assert_eq!(poll(join.as_mut()), Poll::Ready(vec!["a", "b"]));
    assert_eq!(scene.said(), "a is polled, a is dropped");
    assert_eq!(poll(pin!(join_all(None::<Ready<()>>))), Poll::Ready(vec![]));
}

#[test]
fn nothing_is_stored_twice() {
    async fn large(bytes: [u8; 1024]) -> Result<u8, ()> {
        pending::<()>().await;
        Ok(bytes[0])
    }
    const WORD: usize = size_of::<usize>();
    let one = || large([0; 1024]);
    let both = 2 * size_of_val(&one());
    assert!(size_of_val(&race(one(), one())) <= both + WORD);
    assert!(size_of_val(&join(one(), one())) <= both + 2 * WORD);
    assert!(size_of_val(&try_join(one(), one())) <= both + 2 * WORD);
    let inside = async { race(one(), one()).await == Either::Left(Ok(0)) };
    assert!(size_of_val(&inside) <= both + 2 * WORD);
}
