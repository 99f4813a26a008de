//! What a callback costs that panics: its connection, never the loop.
//!
//! asyncio's rule for exceptions, kept for panics: whoever was called is ended with the panic as the reason, the exception
//! handler is told, and the loop goes on. The application's state is as the callback left it, perhaps half-way.
//!
//! Nothing is caught in a program built with `panic = "abort"`. Errors that a protocol foresees need no panic:
//! [`Transport::fail`](super::Transport::fail) ends a connection for a reason.

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::{ConnId, EventLoop, Loop};

/// A callback has panicked: what asyncio's exception handler gets as its
/// [context](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.call_exception_handler).
/// [`Loop::set_exception_handler`] has an example.
///
/// Nothing is caught in a program built with `panic = "abort"`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Panicked {
    /// Its name, as `data_received`; or `a call of the loop` (`call_soon` and its kin), `a signal's handler`, `a task`, or
    /// `drop`, when a protocol or a factory is dropped.
    pub callback: &'static str,
    /// The connection whose callback it was. It is over, unless another protocol has it now (`drop` after `set_protocol`).
    pub id: Option<ConnId>,
    /// What it panicked with, if that was text.
    pub message: String,
}

impl Panicked {
    /// What `catch_unwind` has caught, for [`Loop::call_exception_handler`]. It is dropped here; should its destructor panic,
    /// what that panics with is never dropped.
    pub fn new(callback: &'static str, id: Option<ConnId>, payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        guarded(|| drop(payload)).unwrap_or_else(mem::forget);
        Self { callback, id, message: message.unwrap_or_else(|| "(not a text)".to_owned()) }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.callback)?;
        if let Some(id) = self.id {
            write!(formatter, " of {id}")?;
        }
        write!(formatter, " panicked: {}", self.message)
    }
}

/// As an error, it is the reason of a `connection_lost`.
impl std::error::Error for Panicked {}

impl<S> EventLoop<S> {
    /// Tells the exception handler; without one, the log. A handler that panics is replaced by the log for that time.
    pub(super) fn report(&mut self, panicked: &Panicked) {
        let Some(mut handler) = self.hub.exception_handler.take() else { return log::error!("{panicked}") };
        let outcome = guarded(|| handler(&mut Loop::new(&mut self.hub), &mut self.state, panicked));
        if let Err(payload) = outcome {
            log::error!("{panicked}; then {}", Panicked::new("the exception handler", None, payload));
        }
        // Unless it has put another in its place.
        self.hub.exception_handler.get_or_insert(handler);
    }
}

/// Calls `callback`; what it panics with, if it does.
pub(super) fn guarded<R>(callback: impl FnOnce() -> R) -> thread::Result<R> {
    // What a panic leaves half-done is the callback's own and the application's: the loop's tables are only touched by
    // calls that have returned.
    catch_unwind(AssertUnwindSafe(callback))
}
