//! What mio's tokens mean: the generation above, then two bits of kind, then the slot.

use mio::Token;

use crate::event_loop::{ConnId, ListenerId};

/// Whom an event concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// The connection with this slot and this very token.
    Connection(usize),
    /// An attempt to connect, by its slot.
    Attempt(usize),
    /// A listener, by its slot.
    Listener(usize),
    Waker,
    Signals,
}

impl Subject {
    pub(super) fn of(token: Token) -> Self {
        let slot = token.0 & ((1 << SLOT_BITS) - 1);
        match (token.0 >> SLOT_BITS) & 3 {
            CONNECTION => Self::Connection(slot),
            ATTEMPT => Self::Attempt(slot),
            LISTENER => Self::Listener(slot),
            _ if token == WAKER => Self::Waker,
            _ => Self::Signals,
        }
    }
}

pub(super) fn connection(id: ConnId) -> Token {
    token(CONNECTION, id.index(), id.generation())
}

pub(super) fn attempt(slot: usize) -> Token {
    token(ATTEMPT, slot, 0)
}

pub(super) fn listener(id: ListenerId) -> Token {
    token(LISTENER, id.index(), 0)
}

pub(super) const WAKER: Token = token(OTHER, 0, 0);
pub(super) const SIGNALS: Token = token(OTHER, 1, 0);

const fn token(kind: usize, slot: usize, generation: u32) -> Token {
    assert!(slot < 1 << SLOT_BITS, "a process has fewer than 2^30 descriptors");
    Token((generation as usize) << 32 | kind << SLOT_BITS | slot)
}

const SLOT_BITS: usize = 30;
const CONNECTION: usize = 0;
const ATTEMPT: usize = 1;
const LISTENER: usize = 2;
const OTHER: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_what_it_was_made_of() {
        for slot in [0, 1, (1 << SLOT_BITS) - 1] {
            for generation in [0, 1, u32::MAX] {
                assert_eq!(Subject::of(token(CONNECTION, slot, generation)), Subject::Connection(slot));
            }
            assert_eq!(Subject::of(attempt(slot)), Subject::Attempt(slot));
            assert_eq!(Subject::of(token(LISTENER, slot, 0)), Subject::Listener(slot));
        }
        assert_eq!(Subject::of(WAKER), Subject::Waker);
        assert_eq!(Subject::of(SIGNALS), Subject::Signals);
    }
}
