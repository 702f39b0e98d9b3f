//! Deflate, strictly: one block of MSZIP with the bytes before it as history.
//!
//! Refused although lenient readers take it: Huffman codes that are not complete. Windows'
//! own decoder refuses them (a distance code of a single symbol is how encoders fall in).
//! Documents: RFC 1951, MS-MCI.

/// Farthest that a match may reach back, and the most that one block holds.
pub(super) const WINDOW: usize = 32 * 1024;
const MAX_BITS: usize = 15;
/// Codes up to this length are looked up in one step.
const FAST_BITS: usize = 10;
/// Order in which lengths of the code of lengths are stored (3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

type Result<T> = std::result::Result<T, &'static str>;

/// Appends what `input` unpacks to, at most `limit` bytes, to `out`, whose present contents are
/// the history. Bytes after the last block are an error.
pub(super) fn inflate(input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<()> {
    let end = out.len() + limit;
    let mut bits = Bits {
        input,
        held: 0,
        count: 0,
    };
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, out, end)?,
            1 => block(&mut bits, &fixed()?, out, end)?,
            2 => {
                let codes = dynamic(&mut bits)?;
                block(&mut bits, &codes, out, end)?;
            }
            _ => return Err("a block is of the reserved type"),
        }
        if last {
            break;
        }
    }
    match bits.rest() {
        0 => Ok(()),
        _ => Err("bytes follow the last block"),
    }
}

struct Bits<'i> {
    input: &'i [u8],
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// Holds at least 16 bits, or all that are left.
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some((&byte, rest)) = self.input.split_first() else {
                return;
            };
            self.held |= u64::from(byte) << self.count;
            self.count += 8;
            self.input = rest;
        }
    }

    fn take(&mut self, count: u32) -> Result<usize> {
        if self.count < count {
            self.fill();
        }
        if self.count < count {
            return Err("it ends in the middle of a block");
        }
        let value = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        Ok(value as usize)
    }

    fn align(&mut self) {
        let odd = self.count % 8;
        self.held >>= odd;
        self.count -= odd;
    }

    /// Whole bytes not yet taken.
    fn rest(&self) -> usize {
        self.input.len() + self.count as usize / 8
    }
}

struct Codes {
    literals: Huffman,
    distances: Huffman,
}

/// A canonical code (3.2.2).
struct Huffman {
    /// By the next `FAST_BITS` bits: symbol << 4 | length, 0 for longer codes.
    fast: Vec<u16>,
    counts: [u16; MAX_BITS + 1],
    symbols: Vec<u16>,
}

impl Huffman {
    fn new(lengths: &[u8]) -> Result<Self> {
        let mut counts = [0u16; MAX_BITS + 1];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let mut left = 1i32;
        for &count in &counts[1..] {
            left = (left << 1) - i32::from(count);
            if left < 0 {
                return Err("a Huffman code has too many symbols");
            }
        }
        if left > 0 {
            return Err("a Huffman code is incomplete");
        }
        let mut firsts = [0u16; MAX_BITS + 2];
        let mut codes = [0u16; MAX_BITS + 2];
        for bits in 1..=MAX_BITS {
            firsts[bits + 1] = firsts[bits] + counts[bits];
            codes[bits + 1] = (codes[bits] + counts[bits]) << 1;
        }
        let mut symbols = vec![0; lengths.len()];
        let mut fast = vec![0; 1 << FAST_BITS];
        for (symbol, &length) in lengths.iter().enumerate() {
            let bits = usize::from(length);
            if bits == 0 {
                continue;
            }
            symbols[usize::from(firsts[bits])] = symbol as u16;
            firsts[bits] += 1;
            let code = codes[bits];
            codes[bits] += 1;
            if bits <= FAST_BITS {
                // Codes are stored from their most significant bit on.
                let reversed = usize::from(code.reverse_bits() >> (16 - bits));
                for entry in fast.iter_mut().skip(reversed).step_by(1 << bits) {
                    *entry = (symbol as u16) << 4 | u16::from(length);
                }
            }
        }
        Ok(Self {
            fast,
            counts,
            symbols,
        })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<usize> {
        if bits.count < MAX_BITS as u32 {
            bits.fill();
        }
        let entry = self.fast[bits.held as usize & ((1 << FAST_BITS) - 1)];
        let length = u32::from(entry & 15);
        if length > 0 && length <= bits.count {
            bits.held >>= length;
            bits.count -= length;
            return Ok(usize::from(entry >> 4));
        }
        let (mut code, mut first, mut index) = (0i32, 0i32, 0i32);
        for &count in &self.counts[1..] {
            code |= bits.take(1)? as i32;
            let count = i32::from(count);
            if code - count < first {
                let symbol = self.symbols.get((index + code - first) as usize);
                return symbol.map(|&s| usize::from(s)).ok_or("a code is unknown");
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err("a code is unknown")
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>, end: usize) -> Result<()> {
    bits.align();
    let len = bits.take(16)?;
    if bits.take(16)? != len ^ 0xffff {
        return Err("a stored block's lengths contradict each other");
    }
    if out.len() + len > end {
        return Err("it unpacks to more than announced");
    }
    for _ in 0..len {
        out.push(bits.take(8)? as u8);
    }
    Ok(())
}

/// The codes of 3.2.6. Their distance code has 30 symbols of 5 bits; two more complete it.
fn fixed() -> Result<Codes> {
    let mut lengths = [8u8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    Ok(Codes {
        literals: Huffman::new(&lengths)?,
        distances: Huffman::new(&[5; 32])?,
    })
}

fn dynamic(bits: &mut Bits<'_>) -> Result<Codes> {
    let literals = bits.take(5)? + 257;
    let distances = bits.take(5)? + 1;
    let count = bits.take(4)? + 4;
    if literals > 286 || distances > 30 {
        return Err("a block has too many symbols");
    }
    let mut lengths = [0u8; 19];
    for &symbol in &ORDER[..count] {
        lengths[symbol] = bits.take(3)? as u8;
    }
    let code = Huffman::new(&lengths)?;
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        let (value, times) = match code.decode(bits)? {
            16 => {
                let before = *lengths.last().ok_or("a length repeats nothing")?;
                (before, bits.take(2)? + 3)
            }
            17 => (0, bits.take(3)? + 3),
            18 => (0, bits.take(7)? + 11),
            length => (length as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    if lengths.len() > literals + distances {
        return Err("lengths run over their end");
    }
    if lengths[256] == 0 {
        return Err("a block has no end");
    }
    Ok(Codes {
        literals: Huffman::new(&lengths[..literals])?,
        distances: Huffman::new(&lengths[literals..])?,
    })
}

fn block(bits: &mut Bits<'_>, codes: &Codes, out: &mut Vec<u8>, end: usize) -> Result<()> {
    loop {
        let symbol = codes.literals.decode(bits)?;
        match symbol {
            0..256 => {
                if out.len() == end {
                    return Err("it unpacks to more than announced");
                }
                out.push(symbol as u8);
            }
            256 => return Ok(()),
            _ => {
                let length = length(symbol, bits)?;
                let distance = distance(codes.distances.decode(bits)?, bits)?;
                if distance > out.len() || distance > WINDOW {
                    return Err("a match reaches back too far");
                }
                if out.len() + length > end {
                    return Err("it unpacks to more than announced");
                }
                copy(out, distance, length);
            }
        }
    }
}

fn copy(out: &mut Vec<u8>, distance: usize, length: usize) {
    let from = out.len() - distance;
    if distance >= length {
        out.extend_from_within(from..from + length);
        return;
    }
    for at in from..from + length {
        out.push(out[at]);
    }
}

/// 3.2.5: symbols 257 to 285 are lengths 3 to 258.
fn length(symbol: usize, bits: &mut Bits<'_>) -> Result<usize> {
    let index = symbol - 257;
    match index {
        0..8 => Ok(index + 3),
        8..28 => {
            let extra = index / 4 - 1;
            Ok(((4 + index % 4) << extra) + 3 + bits.take(extra as u32)?)
        }
        28 => Ok(258),
        _ => Err("a length is unknown"),
    }
}

/// 3.2.5: symbols 0 to 29 are distances 1 to 32768.
fn distance(symbol: usize, bits: &mut Bits<'_>) -> Result<usize> {
    match symbol {
        0..4 => Ok(symbol + 1),
        4..30 => {
            let extra = symbol / 2 - 1;
            Ok(((2 + symbol % 2) << extra) + 1 + bits.take(extra as u32)?)
        }
        _ => Err("a distance is unknown"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn deflate(level: u32, bytes: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::new(level);
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Bytes of all statistics that encoders treat apart.
    fn texts() -> Vec<(&'static str, Vec<u8>)> {
        let mut noise = 1u32;
        let mut random = move || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        vec![
            ("empty", Vec::new()),
            ("one", b"x".to_vec()),
            (
                "words",
                b"the quick brown fox jumps over the lazy dog. ".repeat(300),
            ),
            ("numbers", (0..6000u32).flat_map(u32::to_le_bytes).collect()),
            ("noise", (0..20_000).map(|_| random()).collect()),
            (
                "skewed",
                (0..30_000)
                    .map(|_| random() & random() & random())
                    .collect(),
            ),
        ]
    }

    #[test]
    fn what_another_encoder_wrote() {
        for (name, text) in texts() {
            for level in [0, 1, 6, 9] {
                let mut out = Vec::new();
                let packed = deflate(level, &text);
                let done = inflate(&packed, &mut out, text.len());
                // miniz_oxide writes single distance codes for some of these.
                if done == Err("a Huffman code is incomplete") && level > 0 {
                    continue;
                }
                assert_eq!(done, Ok(()), "{name} at level {level}");
                assert_eq!(out, text, "{name} at level {level}");
            }
        }
    }

    #[test]
    fn refused() {
        let cases: &[(&str, &[u8], &str)] = &[
            ("nothing", &[], "it ends in the middle of a block"),
            ("reserved type", &[0b111], "a block is of the reserved type"),
            (
                "stored, contradicting lengths",
                &[1, 1, 0, 0, 0, b'x'],
                "a stored block's lengths contradict each other",
            ),
            (
                "stored, cut off",
                &[1, 2, 0, 0xfd, 0xff, b'x'],
                "it ends in the middle of a block",
            ),
            (
                "stored, longer than announced",
                &[1, 4, 0, 0xfb, 0xff, 1, 2, 3, 4],
                "it unpacks to more than announced",
            ),
            (
                "bytes behind",
                &[1, 1, 0, 0xfe, 0xff, b'x', 0],
                "bytes follow the last block",
            ),
            // Fixed codes: length 3 (0000001), distance 1 (00000) with nothing before it.
            (
                "match before the start",
                &[0b0000_0011, 0b0000_0010, 0, 0],
                "a match reaches back too far",
            ),
        ];
        for (name, input, error) in cases {
            assert_eq!(inflate(input, &mut Vec::new(), 3), Err(*error), "{name}");
        }
    }

    #[test]
    fn codes_must_be_complete() {
        for (lengths, error) in [
            (&[1u8, 1][..], None),
            (&[1, 2, 2], None),
            (&[1], Some("a Huffman code is incomplete")),
            (&[0, 0], Some("a Huffman code is incomplete")),
            (&[1, 1, 1], Some("a Huffman code has too many symbols")),
        ] {
            assert_eq!(Huffman::new(lengths).err(), error, "{lengths:?}");
        }
    }
}
