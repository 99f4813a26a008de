//! Lines of those who wait: whose waker is woken, what it costs, and wakers that do more than they should.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn so_far(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll(turn: &mut Turn<'_>, wake: Arc<impl Wake + Send + Sync + 'static>) -> Poll<()> {
    Pin::new(turn).poll(&mut Context::from_waker(&wake.into()))
}

#[test]
fn the_waker_of_the_last_poll_is_woken_and_others_are_let_go() {
    let waiters = Waiters::default();
    let [first, last] = [(); 2].map(|()| Arc::<Wakes>::default());
    let mut turn = waiters.turn();
    for wakes in [&first, &last] {
        assert_eq!(poll(&mut turn, Arc::clone(wakes)), Poll::Pending);
    }
    assert_eq!(Arc::strong_count(&first), 1);
    waiters.let_in(1);
    assert_eq!((first.so_far(), last.so_far(), Arc::strong_count(&last)), (0, 1, 1));
    assert_eq!(poll(&mut turn, first), Poll::Ready(()));
}

#[test]
fn to_look_again_allocates_nothing_and_to_wait_again_neither() {
    let waiters = Waiters::default();
    let waker = Waker::from(Arc::<Wakes>::default());
    let mut context = Context::from_waker(&waker);
    let mut wait = || {
        let mut turn = pin!(waiters.turn());
        assert_eq!(turn.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(turn.as_mut().poll(&mut context), Poll::Pending);
        waiters.let_in(1);
        assert_eq!(turn.as_mut().poll(&mut context), Poll::Ready(()));
        waiters.let_in(0);
    };
    wait();
    assert_eq!(allocation_counter::measure(wait).count_total, 0);
    assert!(size_of::<Waiter>() <= 24);
}

thread_local! {
    static ACT: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that acts at once, be it woken or dropped.
struct Actor;

impl Wake for Actor {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Actor {
    fn drop(&mut self) {
        ACT.take().expect("it acts once")();
    }
}

/// Who waits with a waker that acts, and two behind it, in this order.
fn three(waiters: &'static Waiters, act: impl FnOnce() + 'static) -> ([Turn<'static>; 3], Arc<Wakes>) {
    let (mut turns, wakes) = ([(); 3].map(|()| waiters.turn()), Arc::<Wakes>::default());
    ACT.set(Some(Box::new(act)));
    assert_eq!(poll(&mut turns[0], Arc::new(Actor)), Poll::Pending);
    for turn in &mut turns[1..] {
        assert_eq!(poll(turn, Arc::clone(&wakes)), Poll::Pending);
    }
    (turns, wakes)
}

#[test]
fn a_waker_may_undo_what_it_is_woken_for_and_who_was_due_goes() {
    let waiters: &'static Waiters = Box::leak(Box::default());
    let ([mut a, mut b, mut c], wakes) = three(waiters, || waiters.let_in(0));
    waiters.let_in(2);
    assert_eq!((waiters.places(), wakes.so_far()), (0, 1));
    let polled = [&mut a, &mut b, &mut c].map(|turn| poll(turn, Arc::clone(&wakes)));
    assert_eq!(polled, [Poll::Ready(()), Poll::Ready(()), Poll::Pending]);
}

#[test]
fn a_waker_may_drop_who_was_called_with_it() {
    let waiters: &'static Waiters = Box::leak(Box::default());
    let slot: &'static RefCell<Option<Turn<'static>>> = Box::leak(Box::default());
    let ([_a, b, mut c], wakes) = three(waiters, || drop(slot.take()));
    slot.replace(Some(b));
    waiters.let_in(2);
    assert_eq!(poll(&mut c, wakes), Poll::Ready(()));
}

#[test]
fn a_waker_that_is_let_go_may_call() {
    let waiters: &'static Waiters = Box::leak(Box::default());
    let ([mut a, b, c], wakes) = three(waiters, || waiters.let_in(1));
    assert_eq!(poll(&mut a, Arc::clone(&wakes)), Poll::Pending);
    assert_eq!(wakes.so_far(), 1);
    assert_eq!(poll(&mut a, Arc::clone(&wakes)), Poll::Ready(()));
    drop((b, c));
    let waiters: &'static Waiters = Box::leak(Box::default());
    let ([a, mut b, _c], wakes) = three(waiters, || waiters.let_in(2));
    drop(a);
    assert_eq!(poll(&mut b, wakes), Poll::Ready(()));
}
