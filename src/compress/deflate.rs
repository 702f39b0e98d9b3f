//! A walk over the blocks of a deflate stream (RFC 1951) without writing what it stands for.
//!
//! libdeflate has no flush: each stream it makes ends with a block that is marked final. To
//! put streams one after the other that mark must go, and it lies at a bit that only decoding
//! finds: Huffman-coded blocks carry no length. [`scan`] decodes every symbol and remembers
//! where the last block began. It refuses whatever zlib's inflate refuses, so a stream that
//! passes is one that readers accept; it can neither panic nor loop on any input.

/// Bits of the first lookup; longer codes take a second one.
const FIRST: u32 = 11;
/// Longest code (RFC 1951, 3.2.7).
const LONGEST: usize = 15;

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Offset in bits of the final block's header, whose first bit is BFINAL.
    pub last: u64,
    /// Offset in bits of the end of the final block.
    pub end: u64,
    /// Bytes that the stream stands for.
    pub raw: u64,
}

/// A stream that is not deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeflateError {
    /// The stream ends inside a block.
    #[error("the deflate stream ends in the middle of a block")]
    Truncated,
    /// Block type 3 is reserved (3.2.3).
    #[error("reserved deflate block type")]
    BlockType,
    /// LEN and NLEN of a stored block disagree (3.2.4).
    #[error("length of a stored deflate block is damaged")]
    StoredLength,
    /// A set of code lengths is over-subscribed, incomplete, or lacks the end of block (3.2.7).
    #[error("set of deflate code lengths is not valid")]
    Lengths,
    /// A code that stands for nothing.
    #[error("invalid deflate code")]
    Code,
    /// A match that begins before the stream.
    #[error("deflate match before the beginning of the data")]
    Distance,
    /// The stream stands for another number of bytes than went in.
    #[error("deflate stream of another length than its input")]
    Length,
}

/// Walks over a whole stream up to its final block.
pub fn scan(stream: &[u8]) -> Result<Blocks, DeflateError> {
    let mut bits = Bits::new(stream);
    let mut tables = Tables::default();
    let mut raw = 0;
    loop {
        let last = bits.position();
        bits.refill()?;
        let is_last = bits.take(1) == 1;
        match bits.take(2) {
            0 => raw += stored(&mut bits)?,
            1 => {
                tables.fixed()?;
                symbols(&mut bits, &tables, &mut raw)?;
            }
            2 => {
                dynamic(&mut bits, &mut tables)?;
                symbols(&mut bits, &tables, &mut raw)?;
            }
            _ => return Err(DeflateError::BlockType),
        }
        bits.check()?;
        if is_last {
            let end = bits.position();
            return Ok(Blocks { last, end, raw });
        }
    }
}

/// Makes a stream that stands for `raw` bytes one that another can follow: no block final,
/// ending at a byte. An empty stored block brings it there (RFC 1951, 3.2.4).
pub(super) fn unfinish(stream: &mut Vec<u8>, raw: u64) -> Result<(), DeflateError> {
    let blocks = scan(stream)?;
    let whole = usize::try_from(blocks.end / 8).map_err(|_| DeflateError::Truncated)?;
    let rest = blocks.end % 8;
    if blocks.raw != raw || stream.len() != whole + usize::from(rest > 0) {
        return Err(DeflateError::Length);
    }
    let header = usize::try_from(blocks.last / 8).map_err(|_| DeflateError::Truncated)?;
    stream[header] &= !(1 << (blocks.last % 8));
    if rest > 0 {
        stream[whole] &= (1 << rest) - 1;
        // The stored block's three header bits, zeros, may fit into the last byte.
        if rest > 5 {
            stream.push(0);
        }
        stream.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]);
    }
    Ok(())
}

/// The end of a stream of unfinished segments: a final block of fixed codes with nothing in
/// it but its end (bits 1, 01, 0000000).
pub(super) const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

/// A reader of bits, least significant first. At least 56 bits are at hand after a refill;
/// beyond the end of the stream they are zeros, which [`Bits::check`] notices.
#[derive(Clone, Copy)]
struct Bits<'a> {
    data: &'a [u8],
    next: usize,
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            next: 0,
            buffer: 0,
            count: 0,
        }
    }

    /// Offset in bits of the next bit.
    fn position(&self) -> u64 {
        self.next as u64 * 8 - u64::from(self.count)
    }

    #[inline(always)]
    fn refill(&mut self) -> Result<(), DeflateError> {
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
    fn refill_at_end(&mut self) -> Result<(), DeflateError> {
        while self.count < 56 {
            let byte = self.data.get(self.next).copied().unwrap_or(0);
            self.buffer |= u64::from(byte) << self.count;
            self.next += 1;
            self.count += 8;
        }
        self.check()
    }

    /// Whether more bits were used than there are.
    fn check(&self) -> Result<(), DeflateError> {
        match self.position() > self.data.len() as u64 * 8 {
            true => Err(DeflateError::Truncated),
            false => Ok(()),
        }
    }

    #[inline(always)]
    fn peek(&self, count: u32) -> u32 {
        (self.buffer & ((1 << count) - 1)) as u32
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.buffer >>= count;
        self.count -= count;
    }

    #[inline(always)]
    fn take(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.skip(count);
        value
    }

    /// Goes on at byte `next`.
    fn seek(&mut self, next: usize) {
        self.next = next;
        self.buffer = 0;
        self.count = 0;
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

/// The two codes of a block.
#[derive(Default)]
struct Tables {
    literals: Code,
    distances: Code,
    is_fixed: bool,
}

impl Tables {
    /// The codes of fixed blocks (3.2.6).
    fn fixed(&mut self) -> Result<(), DeflateError> {
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

    fn set(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), DeflateError> {
        self.is_fixed = false;
        self.literals.build(literals, literal)?;
        self.distances.build(distances, distance)
    }
}

/// Order of the code lengths' own lengths (3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Reads the codes of a dynamic block (3.2.7).
fn dynamic(bits: &mut Bits<'_>, tables: &mut Tables) -> Result<(), DeflateError> {
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
    let mut lengths = [0; 286 + 30];
    let lengths = &mut lengths[..literals + distances];
    read_lengths(bits, &own, lengths)?;
    // zlib refuses a block without an end.
    if lengths[256] == 0 {
        return Err(DeflateError::Lengths);
    }
    let (literals, distances) = lengths.split_at(literals);
    tables.set(literals, distances)
}

fn read_lengths(
    bits: &mut Bits<'_>,
    own: &[u8; 19],
    lengths: &mut [u8],
) -> Result<(), DeflateError> {
    let mut code = Code::default();
    code.build(own, |symbol| {
        Entry(Entry::new(symbol as u32, 0).0 | Entry::LITERAL)
    })?;
    if own.iter().filter(|&&len| len > 0).count() < 2 {
        return Err(DeflateError::Lengths);
    }
    let mut at = 0;
    while at < lengths.len() {
        bits.refill()?;
        let entry = code.first(bits);
        if entry.is_special() {
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

/// Walks over the symbols of one block.
fn symbols(bits: &mut Bits<'_>, tables: &Tables, raw: &mut u64) -> Result<(), DeflateError> {
    // Copies, so that they stay in registers.
    let mut b = *bits;
    let mut out = *raw;
    loop {
        b.refill()?;
        let mut entry = tables.literals.first(&b);
        // Of one refill there is enough for three literals.
        if entry.is_literal() {
            out += 1;
            b.skip(entry.bits());
            entry = tables.literals.first(&b);
            if entry.is_literal() {
                out += 1;
                b.skip(entry.bits());
                entry = tables.literals.first(&b);
                if entry.is_literal() {
                    out += 1;
                    b.skip(entry.bits());
                    continue;
                }
            }
            b.refill()?;
        }
        if entry.is_special() {
            entry = tables.literals.second(entry, &b)?;
            if entry.is_literal() {
                out += 1;
                b.skip(entry.bits());
                continue;
            }
            if entry.is_end() {
                b.skip(entry.bits());
                *raw = out;
                *bits = b;
                return Ok(());
            }
        }
        // Length and distance with their extra bits are 48 bits at most.
        let length = entry.value(&b);
        b.skip(entry.bits());
        let mut entry = tables.distances.first(&b);
        if entry.is_special() {
            entry = tables.distances.second(entry, &b)?;
        }
        let distance = entry.value(&b);
        b.skip(entry.bits());
        if u64::from(distance) > out {
            return Err(DeflateError::Distance);
        }
        out += u64::from(length);
    }
}

/// One row of a lookup table:
///
/// | bits | for a symbol | for a second table |
/// | --- | --- | --- |
/// | 0..5 | length of the code and its extra bits (1 to 28) | bits of its index |
/// | 5..9 | extra bits (0 to 13) | |
/// | 9 | literal | |
/// | 10 | end of block | |
/// | 11 | | set |
/// | 12 | end of block | set |
/// | 16.. | base value | offset |
///
/// A row that stands for no code at all has bit 12 alone.
#[derive(Clone, Copy)]
struct Entry(u32);

impl Entry {
    const LITERAL: u32 = 1 << 9;
    const END: u32 = 1 << 10;
    const SECOND: u32 = 1 << 11;
    /// Whatever is neither a literal nor a length or distance.
    const SPECIAL: u32 = 1 << 12;
    const NONE: Self = Self(Self::SPECIAL);

    fn new(base: u32, extra: u32) -> Self {
        Self(base << 16 | extra << 5 | extra)
    }

    /// Bits of the code and its extra bits.
    #[inline(always)]
    fn bits(self) -> u32 {
        self.0 & 31
    }

    /// Base value and extra bits, which lie behind the code.
    #[inline(always)]
    fn value(self, bits: &Bits<'_>) -> u32 {
        let extra = self.0 >> 5 & 15;
        let code = self.bits() - extra;
        (self.0 >> 16) + ((bits.buffer >> code) as u32 & ((1 << extra) - 1))
    }

    fn base(self) -> u32 {
        self.0 >> 16
    }

    #[inline(always)]
    fn is_literal(self) -> bool {
        self.0 & Self::LITERAL != 0
    }

    #[inline(always)]
    fn is_special(self) -> bool {
        self.0 & Self::SPECIAL != 0
    }

    fn is_end(self) -> bool {
        self.0 & Self::END != 0
    }

    fn is_second(self) -> bool {
        self.0 & Self::SECOND != 0
    }
}

/// Literals, the end, and lengths (3.2.5). 286 and 287 stand for nothing.
fn literal(symbol: usize) -> Entry {
    match symbol {
        0..=255 => Entry(Entry::new(1, 0).0 | Entry::LITERAL),
        256 => Entry(Entry::END | Entry::SPECIAL),
        257..=264 => Entry::new(symbol as u32 - 254, 0),
        265..=284 => {
            let extra = (symbol as u32 - 261) / 4;
            let step = (symbol as u32 - 265) % 4;
            Entry::new(((4 + step) << extra) + 3, extra)
        }
        285 => Entry::new(258, 0),
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

/// A Huffman code as lookup tables.
struct Code {
    /// By the first bits of a code.
    first: Box<[Entry; 1 << FIRST]>,
    /// By the bits behind them, for codes that are longer.
    second: Vec<Entry>,
}

impl Default for Code {
    fn default() -> Self {
        Self {
            first: Box::new([Entry::NONE; 1 << FIRST]),
            second: Vec::new(),
        }
    }
}

impl Code {
    /// The entry of the next code by its first bits.
    #[inline(always)]
    fn first(&self, bits: &Bits<'_>) -> Entry {
        self.first[bits.peek(FIRST) as usize]
    }

    /// The entry of a code that `first` has not decided.
    #[inline(never)]
    fn second(&self, first: Entry, bits: &Bits<'_>) -> Result<Entry, DeflateError> {
        if first.is_end() {
            return Ok(first);
        }
        if !first.is_second() {
            return Err(DeflateError::Code);
        }
        let index = bits.peek(FIRST + first.bits()) >> FIRST;
        let entry = self.second[(first.base() + index) as usize];
        match entry.0 == Entry::NONE.0 {
            true => Err(DeflateError::Code),
            false => Ok(entry),
        }
    }

    /// Builds the canonical code of these lengths (3.2.2). Incomplete sets are refused as
    /// zlib does: a single code of one bit passes, and no codes at all.
    fn build(&mut self, lengths: &[u8], meaning: fn(usize) -> Entry) -> Result<(), DeflateError> {
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
        self.first.fill(Entry::NONE);
        self.second.clear();
        self.reserve_second(lengths, starts);
        for (symbol, &len) in lengths.iter().enumerate().filter(|(_, len)| **len > 0) {
            let code = next_code(&mut starts, len);
            self.place(code, u32::from(len), meaning(symbol));
        }
        Ok(())
    }

    /// Gives every group of long codes that share their first bits a second table.
    fn reserve_second(&mut self, lengths: &[u8], mut starts: [u32; LONGEST + 2]) {
        for &len in lengths.iter().filter(|len| **len > 0) {
            let code = next_code(&mut starts, len);
            if let Some(more) = u32::from(len).checked_sub(FIRST).filter(|more| *more > 0) {
                let first = &mut self.first[(code & ((1 << FIRST) - 1)) as usize];
                if !first.is_second() || first.bits() < more {
                    *first = Entry(Entry::SPECIAL | Entry::SECOND | more);
                }
            }
        }
        for first in self.first.iter_mut().filter(|entry| entry.is_second()) {
            first.0 |= (self.second.len() as u32) << 16;
            let end = self.second.len() + (1 << first.bits());
            self.second.resize(end, Entry::NONE);
        }
    }

    /// Writes a symbol's entry wherever its code is a prefix of the index.
    fn place(&mut self, code: u32, len: u32, meaning: Entry) {
        if meaning.0 == Entry::NONE.0 {
            return;
        }
        let entry = Entry(meaning.0 + len);
        let (rows, code, len) = match len.checked_sub(FIRST) {
            None | Some(0) => (&mut self.first[..], code, len),
            Some(more) => {
                let first = self.first[(code & ((1 << FIRST) - 1)) as usize];
                let start = first.base() as usize;
                let rows = &mut self.second[start..start + (1 << first.bits())];
                (rows, code >> FIRST, more)
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

#[cfg(test)]
mod tests;
