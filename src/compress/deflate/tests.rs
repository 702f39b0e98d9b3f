//! Broken and adversarial streams, and agreement with other people's inflaters.

use std::io::Read;

use super::walk::ORDER;
use super::*;

/// Writes bits, least significant first.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    fn bits(mut self, value: u32, count: u32) -> Self {
        for at in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((u64::from(value) >> at.min(63) & 1) as u8) << (self.count % 8);
            self.count += 1;
        }
        self
    }

    /// Huffman codes are written from their most significant bit on.
    fn code(self, value: u32, count: u32) -> Self {
        self.bits(value.reverse_bits() >> (32 - count), count)
    }

    /// The head of a dynamic block: HLIT, HDIST, and all 19 lengths of the lengths' code.
    fn dynamic(self, literals: u32, distances: u32, own: [u8; 19]) -> Self {
        let mut writer = self
            .bits(1, 1)
            .bits(2, 2)
            .bits(literals - 257, 5)
            .bits(distances - 1, 5)
            .bits(15, 4);
        for symbol in ORDER {
            writer = writer.bits(u32::from(own[symbol]), 3);
        }
        writer
    }
}

/// The lengths' code with two lengths in it, both of one bit: `a` is 0 and `b` is 1.
fn own(a: usize, b: usize) -> [u8; 19] {
    let mut own = [0; 19];
    own[a] = 1;
    own[b] = 1;
    own
}

fn inflate(stream: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut out = Vec::new();
    flate2::read::DeflateDecoder::new(stream).read_to_end(&mut out)?;
    Ok(out)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn refused() {
    use DeflateError as E;
    let w = Writer::default;
    let cases: Vec<(&str, Vec<u8>, E)> = vec![
        ("nothing", vec![], E::Truncated),
        (
            "reserved type",
            w().bits(1, 1).bits(3, 2).bytes,
            E::BlockType,
        ),
        ("stored without length", vec![1], E::Truncated),
        (
            "stored with half a length",
            vec![1, 0, 0, 0xFF],
            E::Truncated,
        ),
        (
            "stored with wrong complement",
            vec![1, 1, 0, 0xFF, 0xFF, 0],
            E::StoredLength,
        ),
        ("stored cut off", vec![1, 2, 0, 0xFD, 0xFF, 0], E::Truncated),
        (
            "fixed without end",
            w().bits(1, 1).bits(1, 2).code(0x30, 8).bytes,
            E::Truncated,
        ),
        ("no final block", vec![0, 0, 0, 0xFF, 0xFF], E::Truncated),
        (
            "length 286",
            w().bits(1, 1).bits(1, 2).code(0xC6, 8).bits(0, 32).bytes,
            E::Code,
        ),
        (
            "distance 30",
            w().bits(1, 1)
                .bits(1, 2)
                .code(0x30, 8)
                .code(1, 7)
                .code(30, 5)
                .bits(0, 32)
                .bytes,
            E::Code,
        ),
        (
            "distance before the beginning",
            w().bits(1, 1)
                .bits(1, 2)
                .code(1, 7)
                .code(0, 5)
                .bits(0, 32)
                .bytes,
            E::Distance,
        ),
        (
            "distance one too far",
            w().bits(1, 1)
                .bits(1, 2)
                .code(0x30, 8)
                .code(1, 7)
                .code(1, 5)
                .bits(0, 32)
                .bytes,
            E::Distance,
        ),
        (
            "287 literal codes",
            w().bits(1, 1).bits(2, 2).bits(30, 5).bits(0, 64 - 8).bytes,
            E::Lengths,
        ),
        (
            "31 distance codes",
            w().bits(1, 1)
                .bits(2, 2)
                .bits(0, 5)
                .bits(30, 5)
                .bits(0, 64)
                .bytes,
            E::Lengths,
        ),
        (
            "no code lengths at all",
            w().dynamic(257, 1, [0; 19]).bits(0, 64).bytes,
            E::Lengths,
        ),
        (
            "lengths' code incomplete",
            w().dynamic(257, 1, {
                let mut own = [0; 19];
                own[0] = 1;
                own
            })
            .bits(0, 512)
            .bytes,
            E::Lengths,
        ),
        (
            "lengths' code over-subscribed",
            w().dynamic(257, 1, [1; 19]).bits(0, 512).bytes,
            E::Lengths,
        ),
        (
            "repeat of nothing",
            w().dynamic(257, 1, own(0, 16)).bits(1, 1).bits(0, 64).bytes,
            E::Lengths,
        ),
        (
            "repeat beyond the end",
            w().dynamic(257, 1, own(0, 18))
                .bits(u32::MAX, 32)
                .bits(u32::MAX, 32)
                .bytes,
            E::Lengths,
        ),
        (
            "no end of block",
            w().dynamic(257, 1, own(0, 1))
                .bits(3, 2)
                .bits(0, 32 * 8)
                .bits(0, 512)
                .bytes,
            E::Lengths,
        ),
        (
            "literals over-subscribed",
            w().dynamic(257, 1, own(0, 1))
                .bits(u32::MAX, 32)
                .bits(0, 224)
                .bits(1, 1)
                .bits(0, 64)
                .bytes,
            E::Lengths,
        ),
        (
            "literals incomplete",
            {
                let mut own = [0; 19];
                own[0] = 1;
                own[2] = 1;
                let mut v = w().dynamic(257, 1, own);
                v = v.bits(0, 32);
                for _ in 0..7 {
                    v = v.bits(0, 32);
                }
                v.bits(1, 1).bits(0, 64).bytes
            },
            E::Lengths,
        ),
    ];
    for (name, stream, error) in cases {
        assert_eq!(scan(&stream), Err(error), "{name}");
        assert!(inflate(&stream).is_err(), "{name}: inflate takes it");
    }
}

#[test]
fn accepted() {
    let w = Writer::default;
    let end_alone = {
        // Every literal has no code; the end has one of one bit, as the only one.
        let mut v = w().dynamic(257, 1, own(0, 1));
        for _ in 0..8 {
            v = v.bits(0, 32);
        }
        v.bits(1, 1).bits(0, 1).bits(0, 1).bytes
    };
    let cases: Vec<(&str, Vec<u8>, u64)> = vec![
        ("empty, fixed", FINAL_BLOCK.to_vec(), 0),
        ("empty, stored", vec![1, 0, 0, 0xFF, 0xFF], 0),
        ("one byte stored", vec![1, 1, 0, 0xFE, 0xFF, 7], 1),
        (
            "two stored blocks",
            vec![0, 1, 0, 0xFE, 0xFF, 7, 1, 1, 0, 0xFE, 0xFF, 7],
            2,
        ),
        ("one code alone", end_alone, 0),
    ];
    for (name, stream, raw) in cases {
        assert_eq!(scan(&stream).map(|blocks| blocks.raw), Ok(raw), "{name}");
        assert_eq!(inflate(&stream).unwrap().len() as u64, raw, "{name}");
    }
}

/// A small generator of numbers that look random (splitmix64), the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Bytes of varying kind: noise, runs, text, copies from before.
    fn data(&mut self, len: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < len {
            let run = 1 + self.below(400);
            match self.below(4) {
                0 => (0..run).for_each(|_| data.push(self.next() as u8)),
                1 => data.resize(data.len() + run, self.next() as u8),
                2 => (0..run).for_each(|_| data.push(b'a' + self.below(6) as u8)),
                _ => (0..run).for_each(|_| {
                    let back = 1 + self.below(data.len().clamp(1, 40_000));
                    let byte = data.len().checked_sub(back).map_or(0, |at| data[at]);
                    data.push(byte);
                }),
            }
        }
        data.truncate(len);
        data
    }
}

fn libdeflate(data: &[u8], level: i32) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(level).unwrap();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.deflate_compress_bound(data.len())];
    let len = compressor.deflate_compress(data, &mut out).unwrap();
    out.truncate(len);
    out
}

fn flate2(data: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::DeflateEncoder::new(data, flate2::Compression::new(level))
        .read_to_end(&mut out)
        .unwrap();
    out
}

#[test]
fn segments_in_a_row_inflate_to_what_went_in() {
    let mut numbers = Numbers(1);
    for round in 0..60 {
        let mut stream = Vec::new();
        let mut data = Vec::new();
        for _ in 0..1 + numbers.below(4) {
            let len = numbers.below(120_000);
            let part = numbers.data(len);
            let mut segment = match numbers.below(2) {
                0 => libdeflate(&part, numbers.below(13) as i32),
                _ => flate2(&part, numbers.below(10) as u32),
            };
            let blocks = scan(&segment).unwrap();
            unfinish(&mut segment, blocks, part.len() as u64).unwrap();
            stream.extend(segment);
            data.extend(part);
        }
        stream.extend(FINAL_BLOCK);
        assert_eq!(inflate(&stream).unwrap(), data, "round {round}");
        assert_eq!(scan(&stream).unwrap().raw, data.len() as u64);
    }
}

#[test]
fn damaged_streams_get_the_inflaters_verdict() {
    let mut numbers = Numbers(2);
    let whole = libdeflate(&numbers.data(3000), 6);
    for round in 0..3000 {
        let len = 1 + numbers.below(600);
        let data = numbers.data(len);
        let mut stream = match numbers.below(2) {
            0 => libdeflate(&data, 1 + numbers.below(12) as i32),
            _ => flate2(&data, 1 + numbers.below(9) as u32),
        };
        for _ in 0..1 + numbers.below(3) {
            let at = numbers.below(stream.len());
            match numbers.below(3) {
                0 => stream[at] ^= 1 << numbers.below(8),
                1 => stream[at] = numbers.next() as u8,
                _ => stream.truncate(at + 1),
            }
        }
        let verdict = scan(&stream);
        let both = scan_both(&stream, &whole);
        assert_eq!(both.map(|both| both[0]).ok(), verdict.ok(), "round {round}");
        let both = scan_both(&whole, &stream);
        assert_eq!(both.map(|both| both[1]).ok(), verdict.ok(), "round {round}");
        match inflate(&stream) {
            Ok(data) => {
                let blocks =
                    verdict.unwrap_or_else(|e| panic!("round {round}: {e}: {stream:02x?}"));
                assert_eq!(blocks.raw, data.len() as u64, "round {round}");
            }
            Err(e) => assert!(verdict.is_err(), "round {round}: {e}: {stream:02x?}"),
        }
    }
}

#[test]
fn noise_ends_with_a_verdict() {
    let mut numbers = Numbers(3);
    for round in 0..20_000 {
        let len = numbers.below(80);
        let stream: Vec<u8> = (0..len).map(|_| numbers.next() as u8).collect();
        let inflated = inflate(&stream);
        assert_eq!(
            scan(&stream).is_ok(),
            inflated.is_ok(),
            "round {round}: {stream:02x?}"
        );
    }
}

#[test]
fn a_stream_that_does_not_match_its_input_is_refused() {
    let whole = libdeflate(b"abcabcabcabc", 6);
    for (name, mut stream, raw) in [
        ("other length", whole.clone(), 11),
        ("bytes after the end", [whole.clone(), vec![0]].concat(), 12),
    ] {
        let blocks = scan(&stream).unwrap();
        assert_eq!(
            unfinish(&mut stream, blocks, raw),
            Err(DeflateError::Length),
            "{name}"
        );
    }
}
