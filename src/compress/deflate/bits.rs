//! A stream's bits, least significant first (RFC 1951, 3.1.1).
//!
//! Whether bits are there is asked once per refill and not once per code: beyond the end of
//! the stream there are zeros, and [`Bits::check`] tells that they were used.

use super::DeflateError;

/// A reader of bits, least significant first. At least 56 bits are at hand after a refill;
/// beyond the end of the stream they are zeros, which [`Bits::check`] notices.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    pub(super) data: &'a [u8],
    next: usize,
    pub(super) buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            next: 0,
            buffer: 0,
            count: 0,
        }
    }

    /// Offset in bits of the next bit.
    pub(super) fn position(&self) -> u64 {
        self.next as u64 * 8 - u64::from(self.count)
    }

    #[inline(always)]
    pub(super) fn refill(&mut self) -> Result<(), DeflateError> {
        match self.data[self.next.min(self.data.len())..].first_chunk::<8>() {
            Some(chunk) => {
                self.buffer |= u64::from_le_bytes(*chunk) << self.count;
                self.next += ((63 - self.count) >> 3) as usize;
                self.count |= 56;
                Ok(())
            }
            None => self.refill_at_end(),
        }
    }

    #[cold]
    pub(super) fn refill_at_end(&mut self) -> Result<(), DeflateError> {
        while self.count < 56 {
            let byte = self.data.get(self.next).copied().unwrap_or(0);
            self.buffer |= u64::from(byte) << self.count;
            self.next += 1;
            self.count += 8;
        }
        self.check()
    }

    /// Whether more bits were used than there are.
    pub(super) fn check(&self) -> Result<(), DeflateError> {
        match self.position() > self.data.len() as u64 * 8 {
            true => Err(DeflateError::Truncated),
            false => Ok(()),
        }
    }

    #[inline(always)]
    pub(super) fn peek(&self, count: u32) -> u32 {
        (self.buffer & ((1 << count) - 1)) as u32
    }

    #[inline(always)]
    pub(super) fn skip(&mut self, count: u32) {
        self.buffer >>= count;
        self.count -= count;
    }

    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.skip(count);
        value
    }

    /// Goes on at byte `next`.
    pub(super) fn seek(&mut self, next: usize) {
        self.next = next;
        self.buffer = 0;
        self.count = 0;
    }
}
