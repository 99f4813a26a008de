//! What ends the sleep of a poll from another thread, as std's kind of waker.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};

use mio::Registry;

use super::token;

/// One for each poll: a second would take its events away. Wakes that come before the poll does are one event.
pub(super) fn of(registry: &Registry) -> io::Result<Waker> {
    let alarm = mio::Waker::new(registry, token::WAKER)?;
    Ok(Waker::from(Arc::new(Alarm(alarm))))
}

struct Alarm(mio::Waker);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Err(error) = self.0.wake() {
            log::error!("the event loop cannot be woken: {error}");
        }
    }
}
