//! The walk itself: from row to row of the codes' table, block after block.
//!
//! The inner loops ask nothing of what they meet but whether a row is open. A match that
//! begins before the stream leaves a mark that is looked at when the block ends.

use super::bits::Bits;
use super::codes::{Codes, Entry, Half};
use super::{Blocks, DeflateError};

/// A walk over one stream.
pub(super) struct Walk<'a> {
    bits: Bits<'a>,
    codes: Codes,
    at: Place,
    /// Offset in bits of the current block.
    block: u64,
    is_last: bool,
    is_done: bool,
}

/// What changes with every code.
#[derive(Clone, Copy)]
struct Place {
    row: Entry,
    /// Bytes that the stream stands for up to here.
    raw: u64,
    /// The same before the last literal or length: what a distance reaches back into.
    before: u64,
    /// The first bit is set once a match began before the stream.
    early: u64,
}

impl Place {
    #[inline(always)]
    fn step(&mut self, bits: &mut Bits<'_>, codes: &Codes) {
        let row = codes.next(self.row, bits.buffer);
        let value = row.value(bits.buffer);
        let literal = self.row.literal_mask();
        self.early |= self.before.wrapping_sub(value) & !literal;
        self.before ^= (self.before ^ self.raw) & literal;
        self.raw += value & literal;
        bits.skip(row.bits());
        self.row = row;
    }
}

/// Goes on with both until one of them is done.
pub(super) fn together(one: &mut Walk<'_>, other: &mut Walk<'_>) -> Result<(), DeflateError> {
    while !one.is_done && !other.is_done {
        // Copies, so that they stay in registers.
        let (mut bits, mut more) = (one.bits, other.bits);
        let (mut here, mut there) = (one.at, other.at);
        while !here.row.is_open() && !there.row.is_open() {
            bits.refill()?;
            more.refill()?;
            // A refill has enough for a length and a distance with their extra bits.
            here.step(&mut bits, &one.codes);
            there.step(&mut more, &other.codes);
            here.step(&mut bits, &one.codes);
            there.step(&mut more, &other.codes);
        }
        (one.bits, other.bits) = (bits, more);
        (one.at, other.at) = (here, there);
        one.settle()?;
        other.settle()?;
    }
    Ok(())
}

impl<'a> Walk<'a> {
    /// At the first code of the stream.
    pub(super) fn begin(stream: &'a [u8]) -> Result<Self, DeflateError> {
        let mut walk = Self {
            bits: Bits::new(stream),
            codes: Codes::default(),
            at: Place {
                row: Entry::in_half(Half::Literals),
                raw: 0,
                before: 0,
                early: 0,
            },
            block: 0,
            is_last: false,
            is_done: false,
        };
        walk.next_block()?;
        Ok(walk)
    }

    /// Goes on to the end.
    pub(super) fn finish(&mut self) -> Result<Blocks, DeflateError> {
        while !self.is_done {
            let (mut bits, mut at) = (self.bits, self.at);
            while !at.row.is_open() {
                bits.refill()?;
                at.step(&mut bits, &self.codes);
                at.step(&mut bits, &self.codes);
            }
            (self.bits, self.at) = (bits, at);
            self.settle()?;
        }
        Ok(Blocks {
            last: self.block,
            end: self.bits.position(),
            raw: self.at.raw,
        })
    }

    /// Decides an open row: the end of a block, or a code that takes a second look.
    fn settle(&mut self) -> Result<(), DeflateError> {
        if !self.at.row.is_open() || self.is_done {
            return Ok(());
        }
        self.bits.refill()?;
        let half = self.at.row.half();
        let entry = self.codes.decide(half, &self.bits)?;
        if entry.is_end() {
            self.bits.skip(self.codes.end());
            return self.next_block();
        }
        let value = entry.value(self.bits.buffer);
        match half {
            Half::Literals => {
                self.at.before = self.at.raw;
                self.at.raw += value;
            }
            Half::Distances if value > self.at.before => return Err(DeflateError::Distance),
            Half::Distances => {}
        }
        self.bits.skip(entry.bits());
        self.at.row = entry;
        Ok(())
    }

    /// Goes to the next block that has codes, or to the end.
    fn next_block(&mut self) -> Result<(), DeflateError> {
        self.bits.check()?;
        if self.at.early >> 63 != 0 {
            return Err(DeflateError::Distance);
        }
        self.at.row = Entry::in_half(Half::Literals);
        while !self.is_last {
            self.block = self.bits.position();
            self.bits.refill()?;
            self.is_last = self.bits.take(1) == 1;
            match self.bits.take(2) {
                0 => self.at.raw += stored(&mut self.bits)?,
                1 => return self.codes.set_fixed(),
                2 => return dynamic(&mut self.bits, &mut self.codes),
                _ => return Err(DeflateError::BlockType),
            }
            self.bits.check()?;
        }
        self.is_done = true;
        Ok(())
    }
}

fn stored(bits: &mut Bits<'_>) -> Result<u64, DeflateError> {
    let start = bits.position().div_ceil(8) as usize;
    let header = bits.data.get(start..).and_then(<[u8]>::first_chunk::<4>);
    let &[a, b, c, d] = header.ok_or(DeflateError::Truncated)?;
    let len = u16::from_le_bytes([a, b]);
    if len != !u16::from_le_bytes([c, d]) {
        return Err(DeflateError::StoredLength);
    }
    let end = start + 4 + usize::from(len);
    if end > bits.data.len() {
        return Err(DeflateError::Truncated);
    }
    bits.seek(end);
    Ok(u64::from(len))
}

/// Order of the code lengths' own lengths (3.2.7).
pub(super) const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Reads the codes of a dynamic block (3.2.7).
fn dynamic(bits: &mut Bits<'_>, codes: &mut Codes) -> Result<(), DeflateError> {
    let literals = bits.take(5) as usize + 257;
    let distances = bits.take(5) as usize + 1;
    let used = bits.take(4) as usize + 4;
    if literals > 286 || distances > 30 {
        return Err(DeflateError::Lengths);
    }
    let mut own = [0; 19];
    for &symbol in &ORDER[..used] {
        bits.refill()?;
        own[symbol] = bits.take(3) as u8;
    }
    if own.iter().filter(|&&len| len > 0).count() < 2 {
        return Err(DeflateError::Lengths);
    }
    codes.set_lengths(&own)?;
    let mut lengths = [0; 286 + 30];
    let lengths = &mut lengths[..literals + distances];
    read_lengths(bits, codes, lengths)?;
    // zlib refuses a block without an end.
    if lengths[256] == 0 {
        return Err(DeflateError::Lengths);
    }
    let (literals, distances) = lengths.split_at(literals);
    codes.set(literals, distances)
}

fn read_lengths(
    bits: &mut Bits<'_>,
    codes: &Codes,
    lengths: &mut [u8],
) -> Result<(), DeflateError> {
    let mut at = 0;
    while at < lengths.len() {
        bits.refill()?;
        let entry = codes.next(Entry::in_half(Half::Literals), bits.buffer);
        if entry.is_open() {
            return Err(DeflateError::Code);
        }
        bits.skip(entry.bits());
        let previous = at.checked_sub(1).map(|before| lengths[before]);
        let (value, times) = match entry.base() {
            16 => (
                previous.ok_or(DeflateError::Lengths)?,
                3 + bits.take(2) as usize,
            ),
            17 => (0, 3 + bits.take(3) as usize),
            18 => (0, 11 + bits.take(7) as usize),
            length => (length as u8, 1),
        };
        let run = lengths.get_mut(at..at + times);
        run.ok_or(DeflateError::Lengths)?.fill(value);
        at += times;
    }
    Ok(())
}
