//! Conversations with what tasks wait for, for tests: who asks, who waits, who is woken by it.
//!
//! A script is a list of `word: reply`. A word that is new asks: from then on it is the name of who asked, and to say it again
//! is to poll it. `-name` drops it, or what it has got. The reply is `waits` or what was said, then who was woken, in order;
//! or `-`, if there is nothing to tell.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// What comes of a word.
pub(super) enum Word<'a, T> {
    /// It is done at once.
    Said(String),
    /// Somebody asks: a reply, and what to hold until it is dropped.
    Asks(Ask<'a, T>),
}

type Ask<'a, T> = Pin<Box<dyn Future<Output = (String, T)> + 'a>>;

impl<'a, T> Word<'a, T> {
    pub(super) fn asks(ask: impl Future<Output = (String, T)> + 'a) -> Self {
        Self::Asks(Box::pin(ask))
    }

    /// Done at once, with nothing to tell.
    pub(super) fn done(act: impl FnOnce()) -> Self {
        act();
        Self::Said(String::new())
    }
}

/// Has the conversation, and compares.
#[track_caller]
pub(super) fn check<'a, T>(script: &str, mut say: impl FnMut(&str) -> Word<'a, T>) {
    let mut people = BTreeMap::<&str, Person<'a, T>>::new();
    let woken = Arc::<Mutex<Vec<String>>>::default();
    let mut had = Vec::new();
    for word in script.split("; ").map(|step| step.split(": ").next().unwrap_or(step)) {
        let said = if let Some(name) = word.strip_prefix('-') {
            drop(people.remove(name).expect("only who is there is dropped"));
            String::new()
        } else if let Some(person) = people.get_mut(word) {
            person.poll(&bell(word, &woken))
        } else {
            match say(word) {
                Word::Said(said) => said,
                Word::Asks(ask) => people.entry(word).or_insert(Person::Asks(ask)).poll(&bell(word, &woken)),
            }
        };
        let woken = std::mem::take(&mut *woken.lock().expect("nobody panics with it")).join(" ");
        let reply = match (&*said, &*woken) {
            ("", "") => "-".to_string(),
            ("", woken) => format!("wakes {woken}"),
            (said, "") => said.to_string(),
            (said, woken) => format!("{said}, wakes {woken}"),
        };
        had.push(format!("{word}: {reply}"));
    }
    assert_eq!(had.join("; "), script);
}

enum Person<'a, T> {
    Asks(Ask<'a, T>),
    /// It has what it asked for, and keeps it.
    Has(T),
}

impl<T> Person<'_, T> {
    fn poll(&mut self, waker: &Waker) -> String {
        let Self::Asks(ask) = self else { panic!("who has it does not ask again") };
        match ask.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Pending => "waits".to_string(),
            Poll::Ready((said, gain)) => {
                *self = Self::Has(gain);
                said
            }
        }
    }
}

/// A waker that says who was woken.
fn bell(name: &str, woken: &Arc<Mutex<Vec<String>>>) -> Waker {
    Arc::new(Bell { name: name.to_string(), woken: Arc::clone(woken) }).into()
}

struct Bell {
    name: String,
    woken: Arc<Mutex<Vec<String>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().expect("nobody panics with it").push(self.name.clone());
    }
}
