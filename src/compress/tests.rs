//! The room as a whole: sizes, determinism, golden digests, contents that change, full disks.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::install::{Content, Customer, Promise, Shared};

const ALL: Wanted = Wanted {
    md5: true,
    sha1: true,
    cksum: true,
    crc32: true,
};

const CODECS: [Codec; 6] = [
    Codec::Gzip(6),
    Codec::ZstdFrames(3),
    Codec::Zstd(3),
    Codec::Xz(1),
    Codec::Mszip(6),
    Codec::Store,
];

fn room(threads: usize) -> Compressor {
    Compressor::new(NonZeroUsize::new(threads).unwrap()).unwrap()
}

/// Compressible bytes, different in every place.
fn data(len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 16);
    let mut n = 1_u64;
    while out.len() < len {
        n = n
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Sixteen bits of noise among four bytes that repeat themselves.
        out.extend_from_slice(&(n >> 48 & 0xFF00_FFFF).to_le_bytes());
        out.extend_from_slice(b"segment ");
    }
    out.truncate(len);
    out
}

fn shared(bytes: Vec<u8>) -> Shared {
    Shared::verified_bytes(bytes, Path::new("content"))
}

fn expand(codec: Codec, stream: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let read = match codec {
        Codec::Gzip(_) => flate2::read::GzDecoder::new(stream).read_to_end(&mut out),
        Codec::ZstdFrames(_) | Codec::Zstd(_) => {
            zstd::Decoder::new(stream).unwrap().read_to_end(&mut out)
        }
        Codec::Xz(_) => lzma_rust2::XzReader::new(stream, false).read_to_end(&mut out),
        Codec::Mszip(_) => return mszip::tests::decode(stream),
        Codec::Store => return stream.to_vec(),
    };
    read.unwrap();
    out
}

fn pack(room: &Compressor, codec: Codec, contents: &[Shared]) -> (Vec<u8>, Totals) {
    let mut sink = Vec::new();
    let mut stream = room.stream(codec, &mut sink);
    for content in contents {
        stream.bytes(b"header").unwrap();
        stream.content(&Content::Shared(content.clone())).unwrap();
    }
    stream
        .content(&Content::Customer(Customer::new("secret")))
        .unwrap();
    let totals = stream.finish().unwrap();
    (sink, totals)
}

#[test]
fn every_size_comes_back() {
    let sizes = [
        0,
        1,
        SEGMENT - 1,
        SEGMENT,
        SEGMENT + 1,
        UNIT - 1,
        UNIT,
        UNIT + 1,
        3 * SEGMENT + 17,
    ];
    let contents: Vec<Shared> = sizes.iter().map(|&size| shared(data(size))).collect();
    let expected: Vec<u8> = sizes
        .iter()
        .flat_map(|&size| [b"header".to_vec(), data(size)].concat())
        .chain(*b"secret")
        .collect();
    for codec in CODECS {
        let (stream, totals) = pack(&room(2), codec, &contents);
        assert!(expand(codec, &stream) == expected, "{codec:?}");
        assert_eq!(totals.raw, expected.len() as u64, "{codec:?}");
        assert_eq!(totals.stored, stream.len() as u64, "{codec:?}");
        assert_eq!(totals.crc32, crc32fast::hash(&expected), "{codec:?}");
    }
}

#[test]
fn a_stream_of_nothing_is_whole() {
    for codec in CODECS {
        let mut sink = Vec::new();
        let totals = room(1).stream(codec, &mut sink).finish().unwrap();
        assert_eq!(expand(codec, &sink), b"", "{codec:?}");
        assert_eq!(totals.stored, sink.len() as u64, "{codec:?}");
    }
}

#[test]
fn long_bytes_are_cut_into_segments() {
    let long = data(2 * SEGMENT + 5);
    for codec in CODECS {
        let mut sink = Vec::new();
        let room = room(2);
        let mut stream = room.stream(codec, &mut sink);
        stream.bytes(&long).unwrap();
        stream.bytes(&long).unwrap();
        stream.finish().unwrap();
        assert!(
            expand(codec, &sink) == [&long[..], &long].concat(),
            "{codec:?}"
        );
    }
}

#[test]
fn the_number_of_cores_changes_nothing() {
    let contents = [
        shared(data(3 * SEGMENT + 3)),
        shared(data(SEGMENT / 2)),
        shared(data(9)),
    ];
    for codec in CODECS {
        let (one, _) = pack(&room(1), codec, &contents);
        for threads in [2, 5] {
            let room = room(threads);
            room.prepare(&contents, codec, ALL).unwrap();
            let (many, _) = pack(&room, codec, &contents);
            assert!(one == many, "{codec:?} with {threads} threads");
        }
    }
}

#[test]
fn digests_are_those_of_the_bytes() {
    let sizes = [0, 1, SEGMENT, 4 * SEGMENT + 1];
    let contents: Vec<Shared> = sizes.iter().map(|&size| shared(data(size))).collect();
    let room = room(3);
    let found = room.prepare(&contents, Codec::Gzip(1), ALL).unwrap();
    for (size, found) in sizes.iter().zip(found) {
        assert_eq!(found, Digests::of(&data(*size), ALL), "{size}");
    }
    // The same content twice, digests asked for one after the other.
    let twice = [contents[3].clone(), contents[3].clone()];
    let first = room.digests(&twice, Wanted::MD5).unwrap();
    let second = room.digests(&twice, Wanted::CKSUM).unwrap();
    assert_eq!(first, second);
    assert_eq!(second[1].cksum, Digests::of(&data(sizes[3]), ALL).cksum);
}

#[test]
fn kept_segments_need_no_reading() {
    let bytes = data(2 * SEGMENT);
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all_at(&bytes, 0).unwrap();
    let open = File::open(file.path()).unwrap();
    let content = Shared::verified_file(open, file.path(), bytes.len() as u64, sha256(&bytes));
    let room = room(2);
    let (first, _) = pack(&room, Codec::Gzip(6), std::slice::from_ref(&content));
    file.as_file().set_len(0).unwrap();
    let (second, _) = pack(&room, Codec::Gzip(6), std::slice::from_ref(&content));
    assert!(first == second);
}

#[test]
fn contents_that_changed_or_ended_are_refused() {
    let bytes = data(2 * SEGMENT + 5);
    let promise = sha256(&bytes);
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        ("first byte", changed(0)),
        ("last byte", changed(bytes.len() - 1)),
        ("one byte short", bytes[..bytes.len() - 1].to_vec()),
        ("ends at a segment", bytes[..SEGMENT].to_vec()),
        ("empty", vec![]),
    ];
    for (name, now) in cases {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&now, 0).unwrap();
        let open = File::open(file.path()).unwrap();
        let content = Shared::verified_file(open, file.path(), bytes.len() as u64, promise);
        for (codec, threads) in [(Codec::Gzip(1), 1), (Codec::Gzip(1), 4), (Codec::Store, 2)] {
            let room = room(threads);
            let mut sink = Vec::new();
            let mut stream = room.stream(codec, &mut sink);
            let error = stream
                .content(&Content::Shared(content.clone()))
                .and_then(|()| stream.finish())
                .unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("changed while it was being packed"),
                "{name}, {codec:?}: {error}"
            );
            let digests = room.digests(std::slice::from_ref(&content), ALL);
            let error = digests.unwrap_err();
            assert!(matches!(error, CompressError::Content(_)), "{name}");
        }
    }
}

/// Tells when it was kept.
struct Told([u8; 64], Arc<AtomicUsize>);

impl Promise for Told {
    fn sha512(&self) -> [u8; 64] {
        self.0
    }

    fn kept(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn promises_are_kept_or_broken_by_the_pass_that_packs() {
    let bytes = data(2 * SEGMENT + 5);
    let mut sha512 = [0; 64];
    let found = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &bytes);
    sha512.copy_from_slice(found.as_ref());
    let flipped = |mut digest: [u8; 64]| {
        digest[63] ^= 1;
        digest
    };
    let mut other = sha256(&bytes);
    other[0] ^= 1;
    let cases = [
        ("kept", sha256(&bytes), sha512, None),
        ("another sha256", other, sha512, Some("sha256")),
        (
            "another sha512",
            sha256(&bytes),
            flipped(sha512),
            Some("sha512"),
        ),
    ];
    for codec in CODECS {
        for (name, sha256, sha512, broken) in cases {
            let kept = Arc::new(AtomicUsize::new(0));
            let content = |kept: &Arc<AtomicUsize>| {
                let file = tempfile::tempfile().unwrap();
                file.write_all_at(&bytes, 0).unwrap();
                let promise = Box::new(Told(sha512, kept.clone()));
                let path = Path::new("orbit");
                Shared::promised_file(file, path, bytes.len() as u64, sha256, promise)
            };
            // Two files that are to have the same digests: each is looked at, once.
            let contents = [content(&kept), content(&kept)];
            let contents = [
                contents[0].clone(),
                contents[0].clone(),
                contents[1].clone(),
            ];
            let mut sink = Vec::new();
            let packed = pack_beside(&room(2), codec, &contents, &mut sink);
            let Some(algorithm) = broken else {
                packed.unwrap();
                assert_eq!(kept.load(Ordering::Relaxed), 2, "{codec:?}");
                assert!(contents.iter().all(|content| content.promise().is_none()));
                continue;
            };
            let error = packed.unwrap_err();
            let sentence = "the target orbit is not the file that was signed";
            assert_eq!(error.to_string(), sentence, "{name}, {codec:?}");
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                cause.starts_with(&format!("its {algorithm} is ")),
                "{cause}"
            );
            assert_eq!(kept.load(Ordering::Relaxed), 0, "{name}, {codec:?}");
        }
    }
}

#[test]
fn a_promise_is_not_kept_by_what_is_known() {
    let bytes = data(SEGMENT + 5);
    let room = room(2);
    let verified = [shared(bytes.clone())];
    pack_beside(&room, Codec::Gzip(6), &verified, &mut Vec::new()).unwrap();
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&data(SEGMENT + 4), 0).unwrap();
    let promise = Box::new(Told([0; 64], Arc::default()));
    let (path, len) = (Path::new("orbit"), bytes.len() as u64);
    let content = Shared::promised_file(file, path, len, sha256(&bytes), promise);
    let contents = [content];
    pack_beside(&room, Codec::Gzip(6), &contents, &mut Vec::new()).unwrap_err();
    room.digests(&contents, Wanted::NONE).unwrap_err();
}

#[test]
fn levels_that_do_not_exist() {
    for codec in [
        Codec::Gzip(13),
        Codec::ZstdFrames(0),
        Codec::ZstdFrames(23),
        Codec::Zstd(-1),
        Codec::Xz(10),
    ] {
        let mut sink = Vec::new();
        let error = room(1).stream(codec, &mut sink).finish().unwrap_err();
        assert!(matches!(error, CompressError::Level { .. }), "{codec:?}");
        let error = room(1).prepare(&[], codec, ALL).unwrap_err();
        assert!(matches!(error, CompressError::Level { .. }), "{codec:?}");
    }
}

/// What [`pack`] writes, while its contents are compressed.
fn pack_beside(
    room: &Compressor,
    codec: Codec,
    contents: &[Shared],
    sink: &mut dyn Sink,
) -> Result<(Vec<Digests>, Totals), CompressError> {
    room.beside(contents, codec, ALL, |ahead| {
        let mut stream = ahead.stream(sink);
        for content in contents {
            stream.bytes(b"header")?;
            stream.content(&Content::Shared(content.clone()))?;
        }
        stream.content(&Content::Customer(Customer::new("secret")))?;
        stream.finish()
    })
}

#[test]
fn written_beside_is_written_the_same() {
    let contents = [
        shared(data(5 * SEGMENT + 3)),
        shared(data(0)),
        shared(data(SEGMENT / 2)),
        shared(data(5 * SEGMENT + 3)),
        shared(data(9)),
    ];
    for codec in CODECS {
        let (expected, _) = pack(&room(2), codec, &contents);
        for threads in [1, 3] {
            let room = room(threads);
            let digests = room.digests(&contents, ALL).unwrap();
            // Twice: the second time everything is there already.
            for turn in 1..=2 {
                let mut sink = Vec::new();
                let (found, totals) = pack_beside(&room, codec, &contents, &mut sink).unwrap();
                assert!(
                    sink == expected,
                    "{codec:?}, {threads} threads, turn {turn}"
                );
                assert_eq!(found, digests, "{codec:?}");
                assert_eq!(totals.stored, expected.len() as u64, "{codec:?}");
            }
        }
    }
}

#[test]
fn what_was_written_beside_a_change_is_refused() {
    let bytes = data(4 * SEGMENT + 5);
    for (name, now) in [
        ("changed", [&bytes[1..], b"x"].concat()),
        ("short", data(SEGMENT)),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&now, 0).unwrap();
        let open = File::open(file.path()).unwrap();
        let len = bytes.len() as u64;
        let content = Shared::verified_file(open, file.path(), len, sha256(&bytes));
        for codec in CODECS {
            let mut sink = Vec::new();
            let packed = pack_beside(&room(2), codec, std::slice::from_ref(&content), &mut sink);
            let error = packed.unwrap_err().to_string();
            let sentence = "changed while it was being packed";
            assert!(error.ends_with(sentence), "{name}, {codec:?}: {error}");
        }
    }
}

#[test]
fn a_disk_that_fills_beside_is_an_error() {
    let contents = [shared(data(5 * SEGMENT)), shared(data(7 * SEGMENT))];
    for codec in CODECS {
        let (_, totals) = pack(&room(2), codec, &contents);
        for space in [0, totals.stored / 4, totals.stored - 1] {
            let packed = pack_beside(&room(2), codec, &contents, &mut Full(space));
            let error = packed.unwrap_err();
            let is_write = matches!(error, CompressError::Write { .. });
            assert!(is_write, "{codec:?} {space}: {error}");
        }
    }
}

#[test]
fn stored_bytes_take_as_much_room_as_they_have() {
    let pack = |codec: Codec, middle: &[u8]| {
        let room = room(1);
        let mut sink = Vec::new();
        let mut stream = room.stream(codec, &mut sink);
        stream.bytes(&data(1000)).unwrap();
        stream.stored(middle).unwrap();
        stream.bytes(b"end").unwrap();
        stream.finish().unwrap();
        sink
    };
    for len in [0, 1, 65_535, 65_536, 200_000] {
        let middle = data(len);
        for codec in CODECS {
            let expected = [&data(1000)[..], &middle, b"end"].concat();
            let found = expand(codec, &pack(codec, &middle));
            assert!(found == expected, "{codec:?} {len}");
        }
        let gzip = |bytes: &[u8]| pack(Codec::Gzip(9), bytes).len();
        assert_eq!(gzip(&middle), gzip(&vec![0; len]), "{len}");
    }
}

/// A sink on a disk with room for so many bytes.
struct Full(u64);

impl Sink for Full {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0 = self
            .0
            .checked_sub(bytes.len() as u64)
            .ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn append_range(&mut self, _: &File, _: u64, len: u64) -> std::io::Result<()> {
        self.0 = self
            .0
            .checked_sub(len)
            .ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(())
    }
}

#[test]
fn a_full_disk_in_the_middle_is_an_error() {
    let contents = [shared(data(3 * SEGMENT))];
    for codec in CODECS {
        let (_, totals) = pack(&room(2), codec, &contents);
        for space in [0, 1, totals.stored / 2, totals.stored - 1] {
            let room = room(2);
            let mut sink = Full(space);
            let mut stream = room.stream(codec, &mut sink);
            let done = stream
                .bytes(b"header")
                .and_then(|()| stream.content(&Content::Shared(contents[0].clone())))
                .and_then(|()| stream.bytes(b"secret"))
                .and_then(|()| stream.finish());
            let error = done.unwrap_err();
            assert!(
                matches!(error, CompressError::Write { .. }),
                "{codec:?} {space}: {error}"
            );
        }
    }
}

#[test]
fn a_folder_without_a_spool() {
    let threads = NonZeroUsize::MIN;
    let error = Compressor::spooling_in(threads, Path::new("/proc/self"))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "cannot keep compressed data in a temporary file in /proc/self"
    );
    assert!(crate::hint::Hint::hint(&error).unwrap().contains("TMPDIR"));
}

/// The bytes that a codec makes of a segment are part of what this version promises: caches
/// and reproducible packages rely on them. A new version of an encoder changes this table.
#[test]
fn the_same_bytes_for_good() {
    let segment = data(300_000);
    let digest = |codec: Codec| {
        let mut encoder = codec::Encoder::new(codec).unwrap();
        hex::encode(&sha256(encoder.encode(&segment).unwrap())[..8])
    };
    let mut found = String::new();
    for level in 0..=12 {
        let codec = Codec::Gzip(level);
        found.push_str(&format!("{codec:?} {}\n", digest(codec)));
    }
    for level in [1, 3, 6, 9, 15, 19, 22] {
        let codec = Codec::ZstdFrames(level);
        found.push_str(&format!("{codec:?} {}\n", digest(codec)));
    }
    for codec in [Codec::Zstd(3), Codec::Zstd(9), Codec::Xz(1), Codec::Xz(6)] {
        let (stream, _) = pack(&room(2), codec, &[shared(segment.clone())]);
        found.push_str(&format!(
            "{codec:?} {}\n",
            hex::encode(&sha256(&stream)[..8])
        ));
    }
    assert_eq!(found, include_str!("golden.txt"));
}

/// A frame or a segment does not depend on what its encoder made before.
#[test]
fn an_encoder_has_no_memory() {
    for codec in [
        Codec::Gzip(1),
        Codec::Gzip(6),
        Codec::Gzip(12),
        Codec::ZstdFrames(9),
    ] {
        let mut used = codec::Encoder::new(codec).unwrap();
        for len in [100_000, 3, 70_000, 300_000, 1] {
            let raw = data(len);
            let fresh = codec::Encoder::new(codec)
                .unwrap()
                .encode(&raw)
                .unwrap()
                .to_vec();
            assert!(used.encode(&raw).unwrap() == fresh, "{codec:?} {len}");
        }
    }
}

/// A file of more than 4 GiB, nearly all of it a hole.
fn sparse(len: u64, sha256: [u8; 32]) -> Shared {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    file.write_all_at(b"end", len - 3).unwrap();
    Shared::verified_file(file, Path::new("sparse"), len, sha256)
}

#[test]
fn beyond_four_gigabytes() {
    let len = (4_u64 << 30) + 3;
    let units = pool::units_of(&[sparse(len, [0; 32])]);
    assert_eq!(units.len(), 2049);
    let last = &units[2048].0[0];
    assert_eq!((last.offset, last.len), (4 << 30, 3));
}

/// Counts.
struct Count(u64);

impl Sink for Count {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0 += bytes.len() as u64;
        Ok(())
    }

    fn append_range(&mut self, _: &File, _: u64, len: u64) -> std::io::Result<()> {
        self.0 += len;
        Ok(())
    }
}

/// `{ head -c 4G /dev/zero; printf end; } | sha256sum`, and its CRC-32.
#[test]
fn beyond_four_gigabytes_in_a_stream() {
    let len = (4_u64 << 30) + 3;
    let sha256 = "318e01702cd7413290bc5004d33f5a0bc296ca51e70ed23a0c41922589640900";
    let mut promise = [0; 32];
    hex::decode_to_slice(sha256, &mut promise).unwrap();
    let content = Content::Shared(sparse(len, promise));
    for codec in [Codec::Store, Codec::Gzip(1), Codec::Zstd(1)] {
        let mut kept = Vec::new();
        let mut counted = Count(0);
        let sink: &mut dyn Sink = match codec {
            Codec::Store => &mut counted,
            _ => &mut kept,
        };
        let room = room(2);
        let mut stream = room.stream(codec, sink);
        stream.content(&content).unwrap();
        let totals = stream.finish().unwrap();
        assert_eq!(totals.raw, len, "{codec:?}");
        assert_eq!(totals.stored, counted.0 + kept.len() as u64, "{codec:?}");
        assert_eq!(totals.crc32, 0xDEF9_35BF, "{codec:?}");
        let read: &mut dyn Read = match codec {
            Codec::Store => continue,
            Codec::Gzip(_) => &mut flate2::read::GzDecoder::new(&kept[..]),
            _ => &mut zstd::Decoder::new(&kept[..]).unwrap(),
        };
        assert_eq!(std::io::copy(read, &mut std::io::sink()).unwrap(), len);
    }
}
