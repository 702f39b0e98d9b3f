//! Any change to an entry of the cache: it is what was put in, or it is not there.

#![no_main]

use std::fs;
use std::io::Write;

use fleetpack::cache::{Cache, CacheKey, Key, Part};
use sha2::{Digest, Sha256};

const PARTS: [&[u8]; 3] = [b"the first part", b"", b"and the last, which is longer"];
const HEAD: &[u8] = b"a head";

// Each pair of bytes of the input is an edit: where, and what to write over it; an odd last
// byte cuts the file short there.
libfuzzer_sys::fuzz_target!(|edits: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let cache = Cache::in_folder(folder.path(), Key::from_bytes(&[7; 32]), 1 << 20);
    let name = CacheKey::new("kind", "name");
    let mut source = tempfile::tempfile_in("/dev/shm").expect("a file in memory");
    let mut at = 0;
    let mut parts = Vec::new();
    for part in PARTS {
        source.write_all(part).expect("memory takes everything");
        parts.push((at, part));
        at += part.len() as u64;
    }
    let parts: Vec<Part<'_>> = parts
        .into_iter()
        .map(|(at, part)| Part {
            file: &source,
            at,
            len: part.len() as u64,
            sha256: Sha256::digest(part).into(),
        })
        .collect();
    cache.put(&name, HEAD, &parts);
    let path = folder.path().join("kind/name");
    let mut bytes = fs::read(&path).expect("it was put there");
    for edit in edits.chunks(2) {
        match *edit {
            [at, byte] => {
                let at = usize::from(at) % bytes.len().max(1);
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            [at] => bytes.truncate(usize::from(at)),
            _ => unreachable!("chunks are of one or two"),
        }
    }
    fs::write(&path, &bytes).expect("memory takes everything");
    let Some(entry) = cache.get(&name) else {
        return;
    };
    assert_eq!(entry.head(), HEAD);
    assert_eq!(entry.parts(), PARTS.len());
    let mut found = Vec::new();
    for (at, part) in PARTS.iter().enumerate() {
        if entry.read(at, &mut found).is_ok() {
            assert_eq!(&found, part);
        }
    }
});
