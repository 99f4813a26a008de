//! The messages of HTTP that a decoder makes of bytes in pieces, whichever decoder it is.

use std::ops::Range;

use proxy_herd::wire::http::{HttpError, Status};

/// Messages, and where in all the bytes they stand; and what is wrong with the bytes that follow.
pub(crate) type Messages<Message> = (Vec<(Message, Range<usize>)>, Result<(), HttpError>);

/// What `decode` makes of the pieces.
///
/// # Panics
/// If it takes more than there is, or makes a message of nothing.
pub(crate) fn messages<'a, Message>(
    pieces: impl Iterator<Item = &'a [u8]>,
    mut decode: impl FnMut(&[u8]) -> Result<Status<Message>, HttpError>,
) -> Messages<Message> {
    let mut messages: Vec<(Message, Range<usize>)> = Vec::new();
    let mut fed = 0;
    for mut piece in pieces {
        while !piece.is_empty() {
            let (message, consumed) = match decode(piece) {
                Ok(Status::Partial) => (None, piece.len()),
                Ok(Status::Complete { message, consumed }) => (Some(message), consumed),
                Err(error) => return (messages, Err(error)),
            };
            assert!((1..=piece.len()).contains(&consumed), "a message has a byte at least");
            fed += consumed;
            piece = &piece[consumed..];
            let start = messages.last().map_or(0, |(_, place)| place.end);
            messages.extend(message.map(|message| (message, start..fed)));
        }
    }
    (messages, Ok(()))
}
