//! Bytes on their way out: appended at the back, taken from the front, never moved in between.
//!
//! An empty buffer owns no memory: what it had goes back to the loop's [`Spares`], so that idle connections cost nothing
//! and busy ones do not allocate.

use std::io;

/// Bytes that wait for the socket.
#[derive(Default)]
pub(super) struct WriteBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl WriteBuffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Gets memory from `spares` if it has none: to be called before a write.
    pub(super) fn prepare(&mut self, spares: &mut Spares) {
        if self.bytes.capacity() == 0
            && let Some(bytes) = spares.0.pop()
        {
            self.bytes = bytes;
        }
    }

    pub(super) fn extend(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    /// Takes `count` bytes from the front; gives the memory to `spares` when nothing is left.
    pub(super) fn take(&mut self, count: usize, spares: &mut Spares) {
        self.taken += count;
        assert!(self.taken <= self.bytes.len(), "a driver reports at most what was pending as sent");
        if self.taken == self.bytes.len() {
            self.clear(spares);
        } else if self.taken > self.bytes.len() / 2 && self.taken >= COMPACT_FROM {
            // More gone than left: each byte is moved at most once for each byte that was sent.
            self.bytes.copy_within(self.taken.., 0);
            self.bytes.truncate(self.bytes.len() - self.taken);
            self.taken = 0;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, spares: &mut Spares) {
        self.taken = 0;
        self.bytes.clear();
        spares.keep(std::mem::take(&mut self.bytes));
    }
}

/// So that rustls writes its records straight into the buffer.
impl io::Write for WriteBuffer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.extend(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Memory that idle write buffers gave back.
#[derive(Default)]
pub(super) struct Spares(Vec<Vec<u8>>);

impl Spares {
    /// How many buffers are kept for reuse.
    const MOST: usize = 256;
    /// A buffer that grew larger than this, in bytes, is freed and not kept.
    const LARGEST: usize = 16 * 1024;

    fn keep(&mut self, bytes: Vec<u8>) {
        if (1..=Self::LARGEST).contains(&bytes.capacity()) && self.0.len() < Self::MOST {
            self.0.push(bytes);
        }
    }
}

/// Below this many bytes already sent, moving the rest to the front does not pay.
const COMPACT_FROM: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let (mut buffer, mut spares) = (WriteBuffer::default(), Spares::default());
        let (mut expected, mut seen) = (Vec::new(), Vec::new());
        for round in 0..200_u32 {
            let data = vec![round as u8; 1_500];
            buffer.prepare(&mut spares);
            buffer.extend(&data);
            expected.extend_from_slice(&data);
            let count = (buffer.len() * 3 / 4).min(2_000);
            seen.extend_from_slice(&buffer.as_slice()[..count]);
            buffer.take(count, &mut spares);
        }
        seen.extend_from_slice(buffer.as_slice());
        assert!(seen == expected);
    }

    #[test]
    fn an_empty_buffer_owns_no_memory_and_the_next_write_reuses_it() {
        let (mut buffer, mut spares) = (WriteBuffer::default(), Spares::default());
        buffer.extend(b"hello");
        let memory = buffer.as_slice().as_ptr();
        buffer.take(5, &mut spares);
        assert_eq!(buffer.bytes.capacity(), 0);
        buffer.prepare(&mut spares);
        buffer.extend(b"again");
        assert_eq!(buffer.as_slice().as_ptr(), memory);
    }

    #[test]
    fn large_memory_is_not_kept() {
        let mut spares = Spares::default();
        spares.keep(Vec::with_capacity(Spares::LARGEST));
        spares.keep(Vec::with_capacity(Spares::LARGEST + 1));
        assert_eq!(spares.0.len(), 1);
    }
}
