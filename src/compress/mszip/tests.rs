//! Blocks are read back by a decoder of our own that is as strict as the strictest readers:
//! every Huffman tree must be complete (Windows' own decoder and cabextract refuse others).

use super::*;

/// Reads CFDATA blocks; panics at anything that a strict reader refuses.
pub fn decode(mut blocks: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    while !blocks.is_empty() {
        let word = |at: usize| u16::from_le_bytes([blocks[at], blocks[at + 1]]);
        let (len, raw_len) = (usize::from(word(4)), usize::from(word(6)));
        let data = &blocks[8..8 + len];
        let sum = u32::from_le_bytes(blocks[..4].try_into().unwrap());
        let lengths = u32::from_le_bytes(blocks[4..8].try_into().unwrap());
        assert_eq!(sum, checksum(data) ^ lengths, "checksum");
        assert!(raw_len <= BLOCK && len <= BLOCK + 12, "lengths");
        assert_eq!(&data[..2], b"CK");
        let begin = raw.len();
        Inflate::new(&data[2..]).run(&mut raw, begin.saturating_sub(BLOCK));
        assert_eq!(raw.len() - begin, raw_len, "raw length");
        blocks = &blocks[8 + len..];
    }
    raw
}

struct Inflate<'a> {
    data: &'a [u8],
    bit: usize,
}

impl<'a> Inflate<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, bit: 0 }
    }

    fn bits(&mut self, count: usize) -> usize {
        let mut value = 0;
        for index in 0..count {
            let byte = self.data[self.bit / 8];
            value |= usize::from(byte >> (self.bit % 8) & 1) << index;
            self.bit += 1;
        }
        value
    }

    /// Decodes to the end; no distance may reach before `floor`.
    fn run(mut self, out: &mut Vec<u8>, floor: usize) {
        loop {
            let last = self.bits(1);
            match self.bits(2) {
                0 => self.stored(out),
                1 => {
                    let mut lengths = vec![8; 144];
                    lengths.extend([9; 112]);
                    lengths.extend([7; 24]);
                    lengths.extend([8; 8]);
                    self.codes(&Tree::new(&lengths), &Tree::new(&[5; 32]), out, floor);
                }
                2 => {
                    let (literals, distances) = self.trees();
                    self.codes(&literals, &distances, out, floor);
                }
                _ => panic!("reserved block type"),
            }
            if last == 1 {
                break;
            }
        }
        assert_eq!(self.bit.div_ceil(8), self.data.len(), "bytes after the end");
    }

    fn stored(&mut self, out: &mut Vec<u8>) {
        self.bit = self.bit.next_multiple_of(8);
        let (len, check) = (self.bits(16), self.bits(16));
        assert_eq!(len, !check & 0xffff);
        let at = self.bit / 8;
        out.extend_from_slice(&self.data[at..at + len]);
        self.bit += len * 8;
    }

    fn trees(&mut self) -> (Tree, Tree) {
        let literals = self.bits(5) + 257;
        let distances = self.bits(5) + 1;
        let count = self.bits(4) + 4;
        let order = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let mut lengths = [0; 19];
        for &place in &order[..count] {
            lengths[place] = self.bits(3);
        }
        let code = Tree::new(&lengths);
        let mut all = Vec::new();
        while all.len() < literals + distances {
            match self.symbol(&code) {
                16 => all.extend(vec![*all.last().unwrap(); 3 + self.bits(2)]),
                17 => all.extend(vec![0; 3 + self.bits(3)]),
                18 => all.extend(vec![0; 11 + self.bits(7)]),
                length => all.push(length),
            }
        }
        assert_eq!(all.len(), literals + distances);
        (Tree::new(&all[..literals]), Tree::new(&all[literals..]))
    }

    fn symbol(&mut self, tree: &Tree) -> usize {
        let (mut code, mut length) = (0, 0);
        loop {
            code = code << 1 | self.bits(1);
            length += 1;
            if let Some(symbol) = tree.0.get(&(length, code)) {
                return *symbol;
            }
            assert!(length < 16, "no such code");
        }
    }

    fn codes(&mut self, literals: &Tree, distances: &Tree, out: &mut Vec<u8>, floor: usize) {
        loop {
            let symbol = self.symbol(literals);
            if symbol == 256 {
                return;
            }
            if symbol < 256 {
                out.push(symbol as u8);
                continue;
            }
            let length = match symbol - 257 {
                short @ 0..8 => 3 + short,
                28 => 258,
                long => {
                    let extra = long / 4 - 1;
                    3 + ((4 + long % 4) << extra) + self.bits(extra)
                }
            };
            let distance = match self.symbol(distances) {
                near @ 0..4 => 1 + near,
                far => {
                    let extra = far / 2 - 1;
                    1 + ((2 + far % 2) << extra) + self.bits(extra)
                }
            };
            assert!(out.len() - distance >= floor, "reaches too far back");
            for _ in 0..length {
                out.push(out[out.len() - distance]);
            }
        }
    }
}

/// A canonical Huffman code: (length, code) → symbol. RFC 1951 3.2.2.
struct Tree(std::collections::HashMap<(usize, usize), usize>);

impl Tree {
    fn new(lengths: &[usize]) -> Self {
        let space: usize = lengths
            .iter()
            .filter(|&&l| l > 0)
            .map(|l| 1 << (15 - l))
            .sum();
        assert_eq!(space, 1 << 15, "an incomplete or over-full Huffman tree");
        let mut codes = std::collections::HashMap::new();
        let mut code = 0;
        for length in 1..=15 {
            for symbol in (0..lengths.len()).filter(|&s| lengths[s] == length) {
                codes.insert((length, code), symbol);
                code += 1;
            }
            code <<= 1;
        }
        Self(codes)
    }
}

/// Bytes without pattern, the same every time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| step()).collect()
}

#[test]
fn strict_readers_accept_every_kind_of_content() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("empty", vec![]),
        ("one byte", vec![7]),
        ("zeros", vec![0; 100_000]),
        ("one block exactly", noise(BLOCK)),
        ("noise", noise(100_001)),
        ("a short pattern", b"abcabcabd".repeat(9_000)),
        ("text", include_bytes!("../mszip.rs").repeat(20)),
        (
            "noise after zeros",
            [vec![0; 40_000], noise(40_000)].concat(),
        ),
        ("the same block twice", noise(BLOCK).repeat(2)),
    ];
    for (name, raw) in cases {
        for level in 0..=9 {
            let mut blocks = Vec::new();
            segment(level, raw, &mut blocks).unwrap();
            assert_eq!(&decode(&blocks), raw, "{name}, level {level}");
        }
    }
}

#[test]
fn blocks_refer_to_the_block_before() {
    let mut blocks = Vec::new();
    segment(6, &noise(BLOCK / 2).repeat(4), &mut blocks).unwrap();
    assert!(blocks.len() < BLOCK, "{}", blocks.len());
}

#[test]
fn checksum_of_odd_lengths() {
    let cases: &[(&str, &[u8], u32)] = &[
        ("none", &[], 0),
        ("one byte", &[1], 1),
        ("three bytes", &[1, 2, 3], 0x01_0203),
        ("four bytes", &[1, 2, 3, 4], 0x0403_0201),
        ("five bytes", &[1, 2, 3, 4, 1], 0x0403_0200),
    ];
    for (name, data, sum) in cases {
        assert_eq!(checksum(data), *sum, "{name}");
    }
}

// The encoder's version is pinned: another one would change every cabinet's bytes.
#[test]
fn the_same_bytes_for_good() {
    let mut blocks = Vec::new();
    segment(
        6,
        &b"The quick brown fox jumps over the lazy dog. ".repeat(3_000),
        &mut blocks,
    )
    .unwrap();
    assert_eq!(
        hex::encode(crate::compress::sha256(&blocks)),
        "ce230471bb61e9628025cd6011f0eb30e5a29d46a68c670e9875bfae55da00dd"
    );
}
