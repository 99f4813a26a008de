//! A buffer that never holds more than its limit: neither bytes nor room for bytes.
//!
//! - It grows when bytes come, not when they are announced, to at most twice what has come: who promises much and sends
//!   little costs little.
//! - Once it is more than half full, it grows to its limit at once: then at most half a buffer is copied, and where old and
//!   new one exist together, they are no more than one and a half times the limit.
//!
//! It does not say what is wrong with more bytes than there is room for: whoever fills it asks first.

/// Bytes, at most as many as its limit.
#[derive(Debug)]
pub(super) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Bounded {
    /// An empty one, which owns nothing yet.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// How many bytes there is still room for.
    pub(super) fn room(&self) -> usize {
        self.limit - self.bytes.len()
    }

    /// Appends `data`.
    ///
    /// # Panics
    /// If there is no room for it.
    pub(super) fn push(&mut self, data: &[u8]) {
        assert!(data.len() <= self.room(), "whoever fills a buffer asks for room first");
        let (needed, half) = (self.bytes.len() + data.len(), self.limit / 2);
        if needed > self.bytes.capacity() {
            let capacity = if needed > half { self.limit } else { needed.max(2 * self.bytes.capacity()).min(half) };
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Keeps the first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Forgets the bytes, but not that they were there: the limit is less by them.
    pub(super) fn spend(&mut self) {
        self.limit -= self.bytes.len();
        self.bytes.clear();
    }

    pub(super) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills one up to its limit, in pieces of this size; its capacities on the way.
    fn capacities(limit: usize, size: usize) -> Vec<usize> {
        let mut buffer = Bounded::new(limit);
        let mut capacities = vec![buffer.bytes.capacity()];
        while buffer.room() > 0 {
            buffer.push(&vec![b'x'; size.min(buffer.room())]);
            let (length, capacity) = (buffer.bytes.len(), buffer.bytes.capacity());
            assert!(capacity <= limit.min(2 * length), "{capacity} for {length} of {limit} by {size}");
            if capacities.last() != Some(&capacity) {
                capacities.push(capacity);
            }
        }
        capacities
    }

    #[test]
    fn it_grows_with_what_comes_and_not_past_its_limit() {
        let check =
            |limit, size, expected: &[usize]| assert_eq!(capacities(limit, size), expected, "{limit} by {size}");
        check(0, 1, &[0]);
        check(1, 1, &[0, 1]);
        check(3, 1, &[0, 1, 3]);
        check(100, 1, &[0, 1, 2, 4, 8, 16, 32, 50, 100]);
        check(100, 7, &[0, 7, 14, 28, 50, 100]);
        check(100, 50, &[0, 50, 100]);
        check(100, 51, &[0, 100]);
        check(100, 1_000, &[0, 100]);
    }

    #[test]
    #[should_panic(expected = "asks for room first")]
    fn one_byte_past_the_limit_is_a_mistake() {
        let mut buffer = Bounded::new(3);
        buffer.push(b"abc");
        assert_eq!((buffer.as_slice(), buffer.room()), (&b"abc"[..], 0));
        buffer.push(b"d");
    }

    #[test]
    fn what_is_spent_stays_counted() {
        let mut buffer = Bounded::new(5);
        buffer.push(b"abc");
        buffer.truncate(2);
        buffer.spend();
        assert_eq!((buffer.as_slice(), buffer.room()), (&b""[..], 3));
        buffer.push(b"def");
        assert_eq!((buffer.room(), buffer.bytes.capacity()), (0, 5));
        assert_eq!(buffer.into_vec(), b"def");
    }
}
