//! What the tests of tasks share: a world with an executor in it, and a diary of what its tasks do, turn by turn.
//!
//! Tasks write to the diary at once, whereas the journal is the loop's. Between two turns stands a `|`, if anything was noted
//! in the first.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use proxy_herd::streams::Handle;

use crate::recorder::Journal;
use crate::world::{World, calmly};

/// What was noted so far; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Diary(Rc<RefCell<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// All of it, in one line.
    pub(crate) fn text(&self) -> String {
        let notes = self.0.borrow();
        notes.strip_suffix(&["|".to_owned()]).unwrap_or(&notes).join(" ")
    }

    /// How often this was noted.
    pub(crate) fn times(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|note| *note == what).count()
    }

    fn end_turn(&self) {
        let mut notes = self.0.borrow_mut();
        if notes.last().is_some_and(|last| last != "|") {
            notes.push("|".to_owned());
        }
    }

    /// Notes that it is dropped, when it is.
    pub(crate) fn owned(&self, name: &'static str) -> Owned {
        Owned { diary: self.clone(), name }
    }
}

/// See [`Diary::owned`].
pub(crate) struct Owned {
    diary: Diary,
    name: &'static str,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.diary.note(format!("{} dropped", self.name));
    }
}

/// Does something when it is dropped.
pub(crate) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn new(act: F) -> Self {
        Self(Some(act))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

/// Has a loop run tasks, in calm weather and on sockets.
pub(crate) fn with_tasks(test: impl Fn(&mut dyn World, &Handle<Journal>, &Diary)) {
    calmly(|world| {
        let (handle, diary) = settle_in(world);
        test(world, &handle, &diary);
    });
}

/// Has this loop run tasks.
pub(crate) fn settle_in(world: &mut dyn World) -> (Handle<Journal>, Diary) {
    let diary = Diary::default();
    let handle = world.enter(|event_loop, _| {
        let handle = Handle::new(event_loop);
        let diary = diary.clone();
        event_loop.before_sleep(move |_, _| diary.end_turn());
        event_loop.set_exception_handler(|_, journal, panicked| journal.note("handler", panicked.to_string()));
        handle
    });
    (handle, diary)
}

/// Lets the world go on until that is all that the diary says, and then until it is quiet.
#[track_caller]
pub(crate) fn says(world: &mut dyn World, diary: &Diary, expected: &str) {
    world.quiet();
    assert_eq!(diary.text(), expected, "{:?}", world.journal().all());
}

/// A future, and how often it is polled.
pub(crate) struct Counted<F>(Pin<Box<F>>, Rc<Cell<usize>>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.1.set(self.1.get() + 1);
        self.0.as_mut().poll(context)
    }
}

pub(crate) fn counted<F: Future>(future: F) -> (Counted<F>, Rc<Cell<usize>>) {
    let polls = Rc::<Cell<usize>>::default();
    (Counted(Box::pin(future), Rc::clone(&polls)), polls)
}

/// Gives way to the others once.
pub(crate) async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A place where a task leaves its waker and waits until it is called by name.
#[derive(Clone, Default)]
pub(crate) struct Bell(Rc<RefCell<Option<Waker>>>, Rc<Cell<bool>>);

impl Bell {
    /// Waits until it has rung.
    pub(crate) async fn heard(&self) {
        poll_fn(|context| {
            if self.1.replace(false) {
                return Poll::Ready(());
            }
            *self.0.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn ring(&self) {
        self.1.set(true);
        self.waker().wake_by_ref();
    }

    /// The waker of who waits.
    pub(crate) fn waker(&self) -> Waker {
        self.0.borrow().clone().expect("somebody waits")
    }
}
