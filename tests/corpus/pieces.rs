//! Bytes in pieces: the ways in which they are split.

/// `bytes` in pieces, four times: whole, byte by byte, by sevens, and as the bytes themselves say, so that a fuzzer that
/// changes a byte also finds other splits.
pub(crate) fn splits(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let lengths: [fn(u8) -> usize; 4] = [|_| usize::MAX, |_| 1, |_| 7, |byte| 1 + usize::from(byte % 61)];
    lengths.into_iter().map(|length| split(bytes, length))
}

/// `bytes` in pieces, the length of each said by its first byte.
fn split(mut bytes: &[u8], length: fn(u8) -> usize) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let [first, ..] = bytes {
        let (piece, after) = bytes.split_at(length(*first).min(bytes.len()));
        pieces.push(piece);
        bytes = after;
    }
    pieces
}
