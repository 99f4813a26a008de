//! Queues: who gets what, who waits, what is lost (nothing), in conversations and in any order of events.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake};

use proptest::prelude::*;
use proptest::sample::Index;

use crate::streams::conversation::{self, Word};

use super::*;

/// `get ...` and `put ITEM` are names of who asks; `try get` and `try put ITEM` do not wait.
#[track_caller]
fn check(most: usize, script: &str) {
    let queue = Queue::new(most);
    conversation::check(script, |word| match word.split_once(' ') {
        Some(("put", item)) => {
            let item = item.to_string();
            Word::asks(async {
                (queue.put(item).await.map_or_else(|back| format!("keeps {}", back.0), |()| "puts".into()), ())
            })
        }
        Some(("get", _)) => {
            Word::asks(async { (queue.get().await.map_or("ends".into(), |item| format!("gets {item}")), ()) })
        }
        Some(("try", "get")) => Word::Said(queue.try_get().unwrap_or("nothing".into())),
        Some(("try", put)) => Word::Said(match queue.try_put(put.replace("put ", "")) {
            Ok(()) => "puts".into(),
            Err(TryPutError::Full(item)) => format!("full, keeps {item}"),
            Err(TryPutError::ShutDown(item)) => format!("shut down, keeps {item}"),
        }),
        Some(("shut", "down")) => Word::done(|| queue.shut_down()),
        _ => Word::Said(format!("{} empty={} full={}", queue.len(), queue.is_empty(), queue.is_full())),
    });
}

#[test]
fn items_leave_in_the_order_they_came_and_so_many_fit() {
    check(
        2,
        "len: 0 empty=true full=false; put a: puts; len: 1 empty=false full=false; try put b: puts; \
         len: 2 empty=false full=true; try put c: full, keeps c; try get: a; get 1: gets b; try get: nothing",
    );
}

#[test]
fn who_gets_waits_for_an_item_in_the_order_of_coming() {
    check(
        9,
        "get 1: waits; get 2: waits; get 3: waits; try put a: puts, wakes get 1; put b: puts, wakes get 2; try get: nothing; \
         get 4: waits; get 3: waits; get 1: gets a; get 2: gets b; try put c: puts, wakes get 3; len: 1 empty=false full=false; \
         get 3: gets c",
    );
}

#[test]
fn who_puts_waits_for_room_in_the_order_of_coming_and_nobody_overtakes() {
    check(
        1,
        "put a: puts; put b: waits; put c: waits; try get: a, wakes put b; try put d: full, keeps d; put e: waits; put c: waits; \
         put b: puts; get 1: gets b, wakes put c; put c: puts; try get: c, wakes put e; put e: puts; try get: e",
    );
}

#[test]
fn a_get_that_is_dropped_takes_nothing_and_passes_its_turn_on() {
    check(1, "get 1: waits; get 2: waits; -get 1: -; put a: puts, wakes get 2; get 2: gets a");
    check(1, "get 1: waits; get 2: waits; put a: puts, wakes get 1; -get 1: wakes get 2; get 2: gets a");
    check(1, "get 1: waits; put a: puts, wakes get 1; try get: nothing; -get 1: -; try get: a");
}

#[test]
fn a_put_that_is_dropped_puts_nothing_and_passes_its_turn_on() {
    check(1, "put a: puts; put b: waits; put c: waits; -put b: -; try get: a, wakes put c; put c: puts; try get: c");
    check(
        1,
        "put a: puts; put b: waits; put c: waits; try get: a, wakes put b; -put b: wakes put c; put c: puts; try get: c",
    );
    check(
        1,
        "put a: puts; put b: waits; try get: a, wakes put b; -put b: -; try get: nothing; try put d: puts; try get: d",
    );
}

#[test]
fn after_the_end_nothing_is_put_and_what_is_left_is_taken() {
    check(
        9,
        "put a: puts; shut down: -; put b: keeps b; try put c: shut down, keeps c; get 1: gets a; get 2: ends; try get: nothing",
    );
    check(9, "get 1: waits; get 2: waits; shut down: wakes get 1 get 2; get 1: ends; get 2: ends; shut down: -");
    check(
        1,
        "put a: puts; put b: waits; put c: waits; shut down: wakes put b put c; put c: keeps c; put b: keeps b; try get: a",
    );
    check(1, "put a: puts; put b: waits; try get: a, wakes put b; shut down: -; put b: keeps b; get 1: ends");
}

#[test]
fn the_end_comes_after_the_last_item_was_really_taken() {
    check(
        9,
        "get 1: waits; put a: puts, wakes get 1; shut down: -; get 2: waits; get 1: gets a, wakes get 2; get 2: ends",
    );
    check(
        9,
        "get 1: waits; put a: puts, wakes get 1; shut down: -; get 2: waits; -get 1: wakes get 2; get 2: gets a; get 3: ends",
    );
}

#[test]
fn an_unbounded_queue_never_waits() {
    let queue = Queue::unbounded();
    for number in 0..100_000 {
        queue.try_put(number).expect("there is room");
    }
    assert!(!queue.is_full());
    assert_eq!(queue.clone().len(), 100_000);
}

#[test]
#[should_panic(expected = "a queue has room for an item")]
fn a_queue_without_room_is_a_mistake() {
    Queue::<u8>::new(0);
}

#[test]
fn a_put_costs_its_item_once() {
    let queue = Queue::new(1);
    assert!(size_of_val(&queue.put([0_u8; 1024])) <= 1024 + 64);
}

#[test]
fn errors_give_the_item_back_and_need_not_show_it() {
    struct Mute;
    let queue = Queue::new(1);
    queue.try_put(Mute).expect("there is room");
    let full = queue.try_put(Mute).expect_err("it is full");
    assert_eq!(format!("{full:?}: {full}"), "Full(..): the queue is full");
    queue.shut_down();
    let shut_down = queue.try_put(Mute).expect_err("it is shut down");
    assert_eq!(format!("{shut_down:?}: {shut_down}"), "ShutDown(..): the queue is shut down");
    let back = QueueShutDown(Mute);
    assert_eq!(format!("{back:?}: {back}"), "QueueShutDown(..): the queue is shut down");
}

/// Tasks that are polled when they were woken, in any order, and dropped at any time.
#[derive(Default)]
struct Crowd<'a>(Vec<Task<'a>>);

struct Task<'a> {
    is_getter: bool,
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Crowd<'a> {
    fn add(&mut self, is_getter: bool, future: impl Future<Output = ()> + 'a) {
        self.0.push(Task { is_getter, future: Box::pin(future), woken: Arc::new(Woken(AtomicBool::new(true))) });
    }

    fn drop_one(&mut self, which: Index) {
        if !self.0.is_empty() {
            self.0.swap_remove(which.index(self.0.len()));
        }
    }

    /// Polls one of those who were woken, if there is one.
    fn run_one(&mut self, which: Index) -> bool {
        let ready = |task: &Task<'_>| task.woken.0.load(Ordering::Relaxed);
        let woken: Vec<usize> = (0..self.0.len()).filter(|&index| ready(&self.0[index])).collect();
        if woken.is_empty() {
            return false;
        }
        let index = *which.get(&woken);
        let task = &mut self.0[index];
        task.woken.0.store(false, Ordering::Relaxed);
        if task.future.as_mut().poll(&mut Context::from_waker(&Arc::clone(&task.woken).into())).is_ready() {
            self.0.swap_remove(index);
        }
        true
    }

    fn waits(&self, is_getter: bool) -> bool {
        self.0.iter().any(|task| task.is_getter == is_getter)
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_lost_and_nobody_is_forgotten(
        most in 1..4_usize,
        acts in proptest::collection::vec((0..6_u8, any::<Index>()), 0..80),
        last in any::<Index>(),
    ) {
        let queue = Queue::new(most);
        let (put, got) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let (queue, put, got) = (&queue, &put, &got);
        let mut crowd = Crowd::default();
        for (number, (act, which)) in acts.into_iter().enumerate() {
            match act {
                0 => crowd.add(true, async move {
                    let item = queue.get().await;
                    got.borrow_mut().extend(item);
                }),
                1 => crowd.add(false, async move {
                    let kept = queue.put(number).await;
                    put.borrow_mut().extend(kept.is_ok().then_some(number));
                }),
                2 => put.borrow_mut().extend(queue.try_put(number).is_ok().then_some(number)),
                3 => crowd.drop_one(which),
                4 => _ = crowd.run_one(which),
                _ => {
                    while crowd.run_one(which) {}
                    prop_assert!(queue.is_empty() || !crowd.waits(true), "a getter is forgotten");
                    prop_assert!(queue.is_full() || !crowd.waits(false), "a putter is forgotten");
                }
            }
            prop_assert!(queue.len() <= most);
        }
        queue.shut_down();
        while crowd.run_one(last) {}
        prop_assert!(crowd.0.is_empty(), "the end is not told to all");
        got.borrow_mut().extend(std::iter::from_fn(|| queue.try_get()));
        prop_assert_eq!(&*put.borrow(), &*got.borrow());
    }
}
