//! The Huffman codes of a block as one lookup table, of literals and lengths in its first
//! half and of distances in its second (RFC 1951, 3.2.2 to 3.2.7).
//!
//! A row says how many bits a code and its extra bits have, what they stand for, and in which
//! half the next code is to be looked up. So a walk goes from row to row without asking what
//! it met. Whatever needs a question is a row of no bits that leads to itself: the end of the
//! block, codes of more than [`FIRST`] bits, bits that are no code.

use super::DeflateError;
use super::bits::Bits;

/// Bits of the first lookup; longer codes take a second one.
pub(super) const FIRST: u32 = 11;
/// Longest code (RFC 1951, 3.2.7).
const LONGEST: usize = 15;

/// Which code, and the half of its rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Literals,
    Distances,
}

impl Half {
    fn start(self) -> u32 {
        match self {
            Self::Literals => 0,
            Self::Distances => Entry::DISTANCE,
        }
    }
}

/// One row:
///
/// | bits | |
/// | --- | --- |
/// | 0..6 | length of the code and its extra bits (1 to 28) |
/// | 6..10 | extra bits (0 to 13) |
/// | 11 | the next code is a distance |
/// | 12 | end of block |
/// | 13 | not decided by this row |
/// | 16.. | base value: bytes of a literal or match, or a distance |
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u32);

impl Entry {
    /// The distances' half begins at this row, so that the bit is a part of the index.
    const DISTANCE: u32 = 1 << FIRST;
    const END: u32 = 1 << 12;
    const OPEN: u32 = 1 << 13;
    /// No code at all.
    const NONE: Self = Self(Self::OPEN);

    fn new(base: u32, extra: u32) -> Self {
        Self(base << 16 | extra << 6 | extra)
    }

    /// A row after which a code of this half comes.
    pub(super) fn in_half(half: Half) -> Self {
        Self(half.start())
    }

    /// Bits of the code and its extra bits.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 63
    }

    /// Base value and extra bits, which lie behind the code.
    #[inline(always)]
    pub(super) fn value(self, buffer: u64) -> u64 {
        let extra = self.0 >> 6 & 15;
        let code = self.bits() - extra;
        u64::from(self.0 >> 16) + (buffer >> code & ((1 << extra) - 1))
    }

    /// The half that an open row lies in.
    pub(super) fn half(self) -> Half {
        match self.0 & Self::DISTANCE {
            0 => Half::Literals,
            _ => Half::Distances,
        }
    }

    pub(super) fn base(self) -> u32 {
        self.0 >> 16
    }

    /// All ones when the next code is a literal or length, else zeros.
    #[inline(always)]
    pub(super) fn literal_mask(self) -> u64 {
        u64::from(self.0 >> FIRST & 1).wrapping_sub(1)
    }

    #[inline(always)]
    pub(super) fn is_open(self) -> bool {
        self.0 & Self::OPEN != 0
    }

    pub(super) fn is_end(self) -> bool {
        self.0 & Self::END != 0
    }
}

/// Literals, the end, and lengths (3.2.5). 286 and 287 stand for nothing.
fn literal(symbol: usize) -> Entry {
    let length = |base, extra| Entry(Entry::new(base, extra).0 | Entry::DISTANCE);
    match symbol {
        0..=255 => Entry::new(1, 0),
        256 => Entry(Entry::END | Entry::OPEN),
        257..=264 => length(symbol as u32 - 254, 0),
        265..=284 => {
            let extra = (symbol as u32 - 261) / 4;
            let step = (symbol as u32 - 265) % 4;
            length(((4 + step) << extra) + 3, extra)
        }
        285 => length(258, 0),
        _ => Entry::NONE,
    }
}

/// Distances (3.2.5). 30 and 31 stand for nothing.
fn distance(symbol: usize) -> Entry {
    match symbol as u32 {
        symbol @ 0..=3 => Entry::new(symbol + 1, 0),
        symbol @ 4..=29 => {
            let extra = symbol / 2 - 1;
            Entry::new(((2 + symbol % 2) << extra) + 1, extra)
        }
        _ => Entry::NONE,
    }
}

/// Where the second rows of an open row lie.
#[derive(Clone, Copy, Default)]
struct Second {
    start: u32,
    /// Bits of the index; 0 when there are none.
    bits: u32,
}

/// The two codes of a block.
pub(super) struct Codes {
    rows: Box<[Entry; 2 << FIRST]>,
    /// By the bits behind the first ones, for codes that are longer.
    second: Vec<Entry>,
    /// By row; of meaning where the row is open.
    seconds: Box<[Second; 2 << FIRST]>,
    /// Length of the end's code: its row has no bits.
    end: u32,
    is_fixed: bool,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            rows: Box::new([Entry::NONE; 2 << FIRST]),
            second: Vec::new(),
            seconds: Box::new([Second::default(); 2 << FIRST]),
            end: 0,
            is_fixed: false,
        }
    }
}

impl Codes {
    /// Takes the codes of fixed blocks (3.2.6).
    pub(super) fn set_fixed(&mut self) -> Result<(), DeflateError> {
        if self.is_fixed {
            return Ok(());
        }
        let mut literals = [8; 288];
        literals[144..256].fill(9);
        literals[256..280].fill(7);
        self.set(&literals, &[5; 32])?;
        self.is_fixed = true;
        Ok(())
    }

    /// Takes the codes of a dynamic block by the lengths of their symbols' codes (3.2.7).
    pub(super) fn set(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), DeflateError> {
        self.is_fixed = false;
        self.second.clear();
        self.build(Half::Literals, literals, literal)?;
        self.build(Half::Distances, distances, distance)
    }

    /// Takes the code of code lengths, whose symbols stand for themselves (3.2.7).
    pub(super) fn set_lengths(&mut self, lengths: &[u8; 19]) -> Result<(), DeflateError> {
        self.is_fixed = false;
        self.second.clear();
        self.build(Half::Literals, lengths, |symbol| {
            Entry::new(symbol as u32, 0)
        })
    }

    /// The row after `row`.
    #[inline(always)]
    pub(super) fn next(&self, row: Entry, buffer: u64) -> Entry {
        let index = buffer as u32 & (Entry::DISTANCE - 1) | row.0 & Entry::DISTANCE;
        self.rows[index as usize]
    }

    /// The row that an open one of `half` stands for.
    pub(super) fn decide(&self, half: Half, bits: &Bits<'_>) -> Result<Entry, DeflateError> {
        let index = bits.peek(FIRST) | half.start();
        let row = self.rows[index as usize];
        if row.is_end() || !row.is_open() {
            return Ok(row);
        }
        let second = self.seconds[index as usize];
        if second.bits == 0 {
            return Err(DeflateError::Code);
        }
        let index = second.start + (bits.peek(FIRST + second.bits) >> FIRST);
        match self.second[index as usize] {
            Entry::NONE => Err(DeflateError::Code),
            entry => Ok(entry),
        }
    }

    /// Bits of the end's code.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Builds the canonical code of these lengths (3.2.2). Incomplete sets are refused as
    /// zlib does: a single code of one bit passes, and no codes at all.
    fn build(
        &mut self,
        half: Half,
        lengths: &[u8],
        meaning: fn(usize) -> Entry,
    ) -> Result<(), DeflateError> {
        let mut counts = [0_u32; LONGEST + 1];
        for &len in lengths {
            counts[usize::from(len)] += 1;
        }
        counts[0] = 0;
        let longest = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        let space: u32 = (1..=LONGEST)
            .map(|len| counts[len] << (LONGEST - len))
            .sum();
        let full = 1 << LONGEST;
        if space > full || (space < full && longest > 1) {
            return Err(DeflateError::Lengths);
        }
        let mut starts = [0_u32; LONGEST + 2];
        for len in 1..=LONGEST {
            starts[len + 1] = (starts[len] + counts[len]) << 1;
        }
        let own = half.start() as usize..(half.start() + Entry::DISTANCE) as usize;
        // An open row leads to the half that it lies in.
        self.rows[own.clone()].fill(Entry(Entry::OPEN | half.start()));
        self.seconds[own].fill(Second::default());
        if longest > FIRST as usize {
            self.reserve(half, lengths, starts);
        }
        for (symbol, &len) in lengths.iter().enumerate().filter(|(_, len)| **len > 0) {
            let code = next_code(&mut starts, len);
            self.place(half, code, u32::from(len), meaning(symbol));
        }
        Ok(())
    }

    /// Gives every group of long codes that share their first bits second rows.
    fn reserve(&mut self, half: Half, lengths: &[u8], mut starts: [u32; LONGEST + 2]) {
        let own = &mut self.seconds[half.start() as usize..][..Entry::DISTANCE as usize];
        for &len in lengths.iter().filter(|len| **len > 0) {
            let code = next_code(&mut starts, len);
            let more = u32::from(len).saturating_sub(FIRST);
            let second = &mut own[(code & (Entry::DISTANCE - 1)) as usize];
            second.bits = second.bits.max(more);
        }
        for second in own.iter_mut().filter(|second| second.bits > 0) {
            second.start = self.second.len() as u32;
            let end = self.second.len() + (1 << second.bits);
            self.second.resize(end, Entry::NONE);
        }
    }

    /// Writes a symbol's entry wherever its code is a prefix of the index.
    fn place(&mut self, half: Half, code: u32, len: u32, meaning: Entry) {
        let entry = match meaning {
            Entry::NONE => return,
            end if end.is_end() => {
                self.end = len;
                end
            }
            Entry(symbol) => Entry(symbol + len),
        };
        let row = (half.start() | code & (Entry::DISTANCE - 1)) as usize;
        let (rows, code, len) = match len.checked_sub(FIRST) {
            None | Some(0) => {
                let own = &mut self.rows[half.start() as usize..][..Entry::DISTANCE as usize];
                (own, code, len)
            }
            Some(more) => {
                let Second { start, bits } = self.seconds[row];
                let own = &mut self.second[start as usize..][..1 << bits];
                (own, code >> FIRST, more)
            }
        };
        let rows = rows.iter_mut().skip(code as usize).step_by(1 << len);
        rows.for_each(|row| *row = entry);
    }
}

/// The next code of a length, its bits in the order in which a stream has them.
fn next_code(starts: &mut [u32; LONGEST + 2], len: u8) -> u32 {
    let code = starts[usize::from(len)];
    starts[usize::from(len)] += 1;
    code.reverse_bits() >> (32 - u32::from(len))
}
