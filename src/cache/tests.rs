//! Entries come back, and nothing but entries: whatever was changed is not used.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::*;
use crate::compress::sha256;

fn cache(folder: &Path) -> Cache {
    Cache::in_folder(folder, Key::from_bytes(&[7; 32]), 1 << 20)
}

fn name(id: &str) -> CacheKey {
    CacheKey::new("things", id)
}

/// Puts an entry in whose parts are `parts`.
fn put(cache: &Cache, id: &str, head: &[u8], parts: &[&[u8]]) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&parts.concat()).unwrap();
    let mut at = 0;
    let mut rows = Vec::new();
    for part in parts {
        let len = part.len() as u64;
        let sha256 = sha256(part);
        rows.push(Part {
            file: &file,
            at,
            len,
            sha256,
        });
        at += len;
    }
    cache.put(&name(id), head, &rows);
}

/// Head and parts, if all of them are what was put in.
fn get(cache: &Cache, id: &str) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let entry = cache.get(&name(id))?;
    let mut parts = Vec::new();
    for part in 0..entry.parts() {
        let mut bytes = Vec::new();
        entry.read(part, &mut bytes).ok()?;
        parts.push(bytes);
    }
    Some((entry.head().to_vec(), parts))
}

#[test]
fn what_is_put_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("not/yet"));
    assert!(get(&cache, "a").is_none());
    for parts in [&[][..], &[b"" as &[u8]], &[b"one", b"", b"two"]] {
        put(&cache, "a", b"head", parts);
        let expected = parts.iter().map(|part| part.to_vec()).collect();
        assert_eq!(get(&cache, "a"), Some((b"head".to_vec(), expected)));
    }
    assert_eq!(cache.notes(), Vec::<String>::new());
}

#[test]
fn every_changed_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path());
    put(&cache, "a", b"head", &[b"one", b"two"]);
    let path = folder.path().join("things/a");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        fs::write(&path, &changed).unwrap();
        assert_eq!(get(&cache, "a"), None, "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(get(&cache, "a"), None, "cut at {at}");
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert_eq!(get(&cache, "a"), None, "one byte more");
    fs::write(&path, &whole).unwrap();
    assert!(get(&cache, "a").is_some());
}

#[test]
fn impostors_are_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("things/a");
    let poison: [(&str, &dyn Fn()); 5] = [
        ("another entry", &|| {
            fs::copy(folder.path().join("things/b"), &path).unwrap();
        }),
        ("another key", &|| {
            let other = Cache::in_folder(folder.path(), Key::from_bytes(&[8; 32]), 1 << 20);
            put(&other, "a", b"head", &[b"evil"]);
        }),
        ("a directory", &|| {
            fs::remove_file(&path).unwrap();
            fs::create_dir_all(path.join("deep")).unwrap();
        }),
        ("empty", &|| drop(File::create(&path).unwrap())),
        ("huge numbers", &|| {
            let mut bytes = fs::read(&path).unwrap();
            bytes[8..16].fill(0xFF);
            fs::write(&path, bytes).unwrap();
        }),
    ];
    for (case, poison) in poison {
        let cache = cache(folder.path());
        put(&cache, "a", b"head", &[b"good"]);
        put(&cache, "b", b"head", &[b"other"]);
        poison();
        assert_eq!(get(&cache, "a"), None, "{case}");
        assert!(!path.exists(), "{case} is still there");
        assert_eq!(cache.notes().len(), 1, "{case}");
        put(&cache, "a", b"head", &[b"good"]);
        assert!(get(&cache, "a").is_some(), "{case}");
    }
}

#[test]
fn a_directory_in_the_way_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path());
    fs::create_dir_all(folder.path().join("things/a/deep")).unwrap();
    put(&cache, "a", b"head", &[]);
    assert!(get(&cache, "a").is_some());
}

#[test]
fn the_longest_unused_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::in_folder(folder.path(), Key::from_bytes(&[7; 32]), 3000);
    let part = [1; 900];
    for id in ["a", "b", "c"] {
        put(&cache, id, b"", &[&part]);
        std::thread::sleep(std::time::Duration::from_millis(15));
    }
    assert!(get(&cache, "a").is_some());
    put(&cache, "d", b"", &[&part]);
    let left = ["a", "b", "c", "d"].map(|id| get(&cache, id).is_some());
    assert_eq!(left, [true, false, true, true]);
    // What a run left that broke off long ago.
    let stale = File::create(folder.path().join("things/.new-1")).unwrap();
    stale
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    put(&cache, "e", b"", &[]);
    assert!(!folder.path().join("things/.new-1").exists());
}

#[test]
fn a_cache_that_cannot_be_written_is_told_of_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let cache = cache(&file.path().join("below"));
    put(&cache, "a", b"", &[]);
    put(&cache, "b", b"", &[]);
    assert_eq!(get(&cache, "a"), None);
    let notes = cache.notes();
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("nothing more is kept"))
    );
    assert_eq!(
        notes
            .iter()
            .filter(|note| note.starts_with("nothing"))
            .count(),
        1
    );
}

#[test]
fn keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/cache.key");
    assert!(matches!(Key::read(&path), Err(CacheError::Key { .. })));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Key::read_or_make(&path).unwrap());
        }
    });
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), Key::LEAST);
    let made = Key::read_or_make(&path).unwrap();
    assert_eq!(made.mac(&[b"x"]), Key::from_bytes(&bytes).mac(&[b"x"]));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    fs::write(&path, &bytes[1..]).unwrap();
    for read in [Key::read, Key::read_or_make] {
        let error = read(&path).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has 31 bytes; at least 32 are needed")
        );
    }
    // Where one string ends and the next begins is a part of what is authenticated.
    assert_ne!(made.mac(&[b"ab", b"c"]), made.mac(&[b"a", b"bc"]));
}
