//! A second run takes compressed contents from the first one's cache, and only genuine ones.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::cache::Key;
use crate::compress::{Wanted, sha256};
use crate::install::{Content, Customer};

const CODEC: Codec = Codec::Gzip(1);

fn room(cache: &Arc<Cache>) -> Compressor {
    let threads = NonZeroUsize::new(2).unwrap();
    let room = Compressor::new(threads).unwrap();
    room.with_cache(Some(Arc::clone(cache)))
}

/// A room for one package alone.
fn single(cache: &Arc<Cache>) -> Compressor {
    room(cache).for_one()
}

fn cache(folder: &Path) -> Arc<Cache> {
    let key = Key::from_bytes(&[7; 32]);
    Arc::new(Cache::in_folder(folder, key, 1 << 30))
}

fn data(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|n| (n >> (n % 7)) as u8 ^ seed).collect()
}

/// A verified file with this content, open, and the path by which it can be changed.
fn content(folder: &Path, seed: u8, len: usize) -> (Shared, PathBuf) {
    let bytes = data(seed, len);
    let path = folder.join(format!("{seed}-{len}"));
    fs::write(&path, &bytes).unwrap();
    let open = fs::File::open(&path).unwrap();
    let content = Shared::verified_file(open, &path, len as u64, sha256(&bytes));
    (content, path)
}

fn pack(room: &Compressor, content: &Shared) -> Result<(Vec<u8>, Digests), CompressError> {
    let contents = std::slice::from_ref(content);
    let digests = room.prepare(contents, CODEC, Wanted::MD5)?[0];
    let mut sink = Vec::new();
    let mut stream = room.stream(CODEC, &mut sink);
    stream.content(&Content::Shared(content.clone()))?;
    stream.content(&Content::Customer(Customer::new(
        "made-up-secret".repeat(9000),
    )))?;
    stream.finish()?;
    Ok((sink, digests))
}

/// The one file of a kind in the cache.
fn file(cache: &Path, kind: &str) -> PathBuf {
    let mut files = fs::read_dir(cache.join(kind)).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_second_run_reads_no_content() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("cache");
    let (content, path) = content(scratch.path(), 1, 2 * UNIT + 5);
    let first = pack(&room(&cache(&folder)), &content).unwrap();
    fs::write(&path, b"").unwrap();
    let second = pack(&room(&cache(&folder)), &content).unwrap();
    assert!(first == second);
    let third = pack(&single(&cache(&folder)), &content).unwrap();
    assert!(first == third);
    // Another digest of the same content has to be read for.
    let wanted = room(&cache(&folder)).digests(std::slice::from_ref(&content), Wanted::CKSUM);
    assert!(matches!(wanted, Err(CompressError::Content(_))));
    let kept = [file(&folder, "segments"), file(&folder, "digests")];
    for path in kept {
        let bytes = fs::read(path).unwrap();
        let holds = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
        assert!(!holds(b"made-up-secret"));
        assert!(holds(hex::encode(content.sha256()).as_bytes()));
    }
}

#[test]
fn digests_are_added_to() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("cache");
    let (content, path) = content(scratch.path(), 1, 100_000);
    let contents = [content];
    let all = Digests::of(
        &data(1, 100_000),
        Wanted {
            sha1: true,
            cksum: true,
            ..Wanted::MD5
        },
    );
    pack(&room(&cache(&folder)), &contents[0]).unwrap();
    room(&cache(&folder))
        .digests(&contents, Wanted::CKSUM)
        .unwrap();
    let sha1 = Wanted {
        sha1: true,
        ..Wanted::NONE
    };
    room(&cache(&folder)).digests(&contents, sha1).unwrap();
    fs::write(&path, b"").unwrap();
    let wanted = Wanted {
        sha1: true,
        cksum: true,
        ..Wanted::MD5
    };
    let found = room(&cache(&folder)).digests(&contents, wanted).unwrap();
    assert_eq!(found, [all]);
}

#[test]
fn contents_that_are_not_what_was_verified_are_not_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("cache");
    let (content, path) = content(scratch.path(), 1, 2 * UNIT);
    let changed = fs::OpenOptions::new().write(true).open(path).unwrap();
    changed.write_all_at(b"x", 2 * UNIT as u64 - 1).unwrap();
    pack(&room(&cache(&folder)), &content).unwrap_err();
    assert!(!folder.exists());
}

#[test]
fn small_contents_are_not_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("cache");
    let (content, _) = content(scratch.path(), 1, LEAST as usize - 1);
    pack(&room(&cache(&folder)), &content).unwrap();
    assert!(!folder.exists());
}

#[test]
fn a_poisoned_cache_is_never_used_and_always_healed() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("cache");
    let (good, _) = content(scratch.path(), 1, 2 * UNIT + 5);
    let (evil, _) = content(scratch.path(), 2, 2 * UNIT + 5);
    let expected = pack(&room(&cache(&folder)), &good).unwrap();
    let path = file(&folder, "segments");
    let genuine = fs::read(&path).unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    pack(&room(&cache(&elsewhere)), &evil).unwrap();
    let poison: [(&str, &dyn Fn()); 6] = [
        ("a flipped byte, its head mended", &|| {
            let mut bytes = genuine.clone();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            // The table's digest of the last part too, as whoever changes a file would.
            let head = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
            let part = bytes.len()
                - u64::from_le_bytes(bytes[48 + 80..48 + 88].try_into().unwrap()) as usize;
            let digest = sha256(&bytes[part..]);
            bytes[48 + 88..48 + 120].copy_from_slice(&digest);
            assert!(head > 0);
            fs::write(&path, bytes).unwrap();
        }),
        ("a flipped byte", &|| {
            let mut bytes = genuine.clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }),
        ("another content's entry", &|| {
            fs::copy(file(&elsewhere, "segments"), &path)
                .map(drop)
                .unwrap();
        }),
        ("truncated", &|| {
            fs::write(&path, &genuine[..genuine.len() / 2]).unwrap()
        }),
        ("a directory", &|| {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }),
        ("made with another key", &|| {
            let other = Cache::in_folder(&folder, Key::from_bytes(&[9; 32]), 1 << 30);
            pack(&room(&Arc::new(other)), &good).unwrap();
        }),
    ];
    for (case, poison) in poison {
        for room in [room, single] {
            poison();
            let cache = cache(&folder);
            assert!(pack(&room(&cache), &good).unwrap() == expected, "{case}");
            assert!(!cache.notes().is_empty(), "{case}");
            assert!(fs::read(&path).unwrap() == genuine, "{case} was not healed");
        }
    }
}

#[test]
fn two_runs_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("cache");
    let contents: Vec<Shared> = (0..4)
        .map(|seed| content(scratch.path(), seed, UNIT + 9).0)
        .collect();
    let alone: Vec<_> = contents
        .iter()
        .map(|content| pack(&room(&cache(&scratch.path().join("alone"))), content).unwrap())
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let room = room(&cache(&folder));
                    for (content, alone) in contents.iter().zip(&alone) {
                        assert!(pack(&room, content).unwrap() == *alone);
                    }
                }
            });
        }
    });
    let unfinished = fs::read_dir(folder.join("segments")).unwrap();
    assert_eq!(unfinished.count(), contents.len());
}

/// An encoder of another version makes other bytes: its entries have other names.
#[test]
fn encoders_are_those_of_the_manifest() {
    let manifest = include_str!("../../../Cargo.toml");
    for encoder in [GZIP, ZSTD, MSZIP] {
        let (name, version) = encoder.rsplit_once('-').unwrap();
        let line = manifest
            .lines()
            .find(|line| line.starts_with(&format!("{name} =")));
        assert!(
            line.unwrap().contains(&format!("\"={version}\"")),
            "{encoder}"
        );
    }
}
