//! The cache between runs: the same bytes with it and without, poisoned, shared, unwritable.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::harness::agent::publish;
use crate::harness::mount::Mount;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    let mounts = &["root", "mount", "umount"];
    vec![
        trial("cache: the same bytes with it and without", same_bytes),
        trial("cache: poisoned, it is not used and healed", poisoned),
        trial("cache: two runs at once", at_once),
        trial("cache: places and keys that are refused", refused),
        trial("cache: it holds no secret and stays in its size", contents),
        trial_needing("cache: a folder that cannot be written", mounts, read_only),
        trial_needing("cache: a disk that is full", mounts, full),
    ]
}

/// Bytes that compress a little.
fn program(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = b"#!/bin/sh\n".to_vec();
    while bytes.len() < 3_000_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(format!("{:x} ", state >> 40).as_bytes());
    }
    bytes
}

fn repository() -> Scratch {
    let scratch = Scratch::new();
    let orbit = scratch.write_program("programs/orbit", program(1));
    let osqueryd = scratch.write_program("programs/osqueryd", program(2));
    publish(
        &scratch,
        "1.50.0",
        &[("orbit", &orbit), ("osqueryd", &osqueryd)],
    );
    scratch
}

fn package(scratch: &Scratch, out: &str, arguments: &[&str]) -> Run {
    std::fs::create_dir_all(scratch.join(out)).unwrap();
    let common = "package --update-roots @root.json --update-url tuf/repository --outdir";
    let mut words: Vec<&str> = common.split(' ').collect();
    words.extend([out, "--fleet-url", "https://fleet.example.com"]);
    words.extend(["--agent-update-url", "https://updates.example.com"]);
    words.extend(["--enroll-secret", "made-up-secret-word"]);
    words.extend(arguments);
    if !arguments.contains(&"--type") {
        words.extend(["--type", "deb"]);
    }
    scratch
        .fleetpack(words)
        .env("SOURCE_DATE_EPOCH", "1714564800")
}

/// What two folders hold, byte for byte.
#[track_caller]
fn same(scratch: &Scratch, one: &str, other: &str) {
    scratch.state(one).unchanged(&scratch.state(other));
}

/// All files of the cache.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
    };
    let mut files: Vec<PathBuf> = list(cache).flat_map(|kind| list(&kind)).collect();
    files.sort();
    files
}

fn same_bytes() {
    let scratch = repository();
    let types = ["--type", "deb,rpm,pkg.tar.zst"];
    package(&scratch, "first", &types).ok();
    let cache = scratch.join(".home/cache/fleetpack");
    let kept = entries(&cache);
    assert!(
        kept.iter()
            .any(|path| path.parent().unwrap().ends_with("segments"))
    );
    let second = package(&scratch, "second", &types).ok();
    second.never_says("cache");
    same(&scratch, "first", "second");
    assert_eq!(entries(&cache), kept);
    package(&scratch, "none", &[types[0], types[1], "--cache", "none"]).ok();
    same(&scratch, "first", "none");
    let variable = package(&scratch, "variable", &types).env("FLEETPACK_CACHE", "elsewhere");
    variable.ok();
    same(&scratch, "first", "variable");
    assert_eq!(entries(&scratch.join("elsewhere")).len(), kept.len());
}

/// Puts something else in an entry's place: its path, and which one it is.
type Poison<'a> = &'a dyn Fn(&Path, usize);

fn poisoned() {
    let scratch = repository();
    let cached = ["--cache", "cache"];
    package(&scratch, "first", &cached).ok();
    let cache = scratch.join("cache");
    let files = entries(&cache);
    let genuine: Vec<Vec<u8>> = files
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let poison: [(&str, Poison<'_>); 4] = [
        ("flipped", &|path, at| {
            let mut bytes = genuine[at].clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }),
        ("truncated", &|path, at| {
            std::fs::write(path, &genuine[at][..genuine[at].len() - 1]).unwrap();
        }),
        ("exchanged", &|path, at| {
            std::fs::write(path, &genuine[at ^ 1]).unwrap();
        }),
        ("directory", &|path, _| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
    ];
    for (case, poison) in poison {
        for (at, path) in files.iter().enumerate() {
            poison(path, at);
        }
        let ran = package(&scratch, case, &cached).ok();
        ran.says("in the cache was not used");
        same(&scratch, "first", case);
        for (path, genuine) in files.iter().zip(&genuine) {
            assert!(
                std::fs::read(path).unwrap() == *genuine,
                "{case}: {}",
                path.display()
            );
        }
    }
}

fn at_once() {
    let scratch = repository();
    package(&scratch, "alone", &["--cache", "none"]).ok();
    let runs = ["one", "two", "three"];
    let runs = runs.map(|out| package(&scratch, out, &["--cache", "cache", "--no-state"]));
    std::thread::scope(|scope| {
        for run in &runs {
            scope.spawn(|| run.ok());
        }
    });
    for out in ["one", "two", "three"] {
        same(&scratch, "alone", out);
    }
}

fn refused() {
    let scratch = repository();
    scratch.write("short", "0123456789");
    let cases: [(&[&str], &str); 5] = [
        (&["--cache", "s3://bucket/cache"], "--cache-key-file"),
        (
            &["--cache", "s3://bucket/cache", "--cache-key-file", "short"],
            "caches are kept in folders",
        ),
        (
            &["--cache-key-file", "short"],
            "has 10 bytes; at least 32 are needed",
        ),
        (
            &["--cache-key-file", "nowhere"],
            "cannot read the cache's key nowhere",
        ),
        (
            &["--cache", "cache", "--cache-key-file", "/dev"],
            "cannot read the cache's key /dev",
        ),
    ];
    for (words, sentence) in cases {
        let ran = package(&scratch, "out", words).fails(1);
        ran.says(sentence);
        assert_eq!(scratch.state("out").names().count(), 0);
    }
    // A key of their own for those who share a cache.
    scratch.write("key", "0123456789abcdef0123456789abcdef");
    let shared = ["--cache", "cache", "--cache-key-file", "key"];
    package(&scratch, "first", &shared).ok();
    package(&scratch, "second", &shared)
        .ok()
        .never_says("cache");
    package(&scratch, "third", &["--cache", "cache"])
        .ok()
        .says("it was not made with this key for this name");
    same(&scratch, "first", "third");
}

fn contents() {
    let scratch = repository();
    package(&scratch, "out", &["--cache", "cache", "--type", "deb,rpm"]).ok();
    for path in entries(&scratch.join("cache")) {
        let bytes = std::fs::read(&path).unwrap();
        for word in ["made-up-secret-word", "fleet.example.com"] {
            let holds = bytes
                .windows(word.len())
                .any(|part| part == word.as_bytes());
            assert!(!holds, "{word} is in {}", path.display());
        }
    }
    let small = ["--cache", "small", "--cache-size", "1", "--type", "deb,rpm"];
    package(&scratch, "small-out", &small).ok();
    same(&scratch, "out", "small-out");
    let size = |path: &PathBuf| path.metadata().unwrap().len();
    assert!(
        entries(&scratch.join("small"))
            .iter()
            .map(size)
            .sum::<u64>()
            <= 1 << 20
    );
}

fn read_only() {
    let scratch = repository();
    package(&scratch, "first", &["--cache", "cache"]).ok();
    std::fs::create_dir(scratch.join("empty")).unwrap();
    let mounts = ["cache", "empty"].map(|name| Mount::read_only(scratch.join(name)));
    package(&scratch, "second", &["--cache", "cache"])
        .ok()
        .never_says("cache");
    let ran = package(&scratch, "third", &["--cache", "empty"]).ok();
    ran.says("nothing more is kept in the cache empty: ");
    same(&scratch, "first", "second");
    same(&scratch, "first", "third");
    drop(mounts);
}

fn full() {
    let scratch = repository();
    package(&scratch, "first", &["--cache", "none"]).ok();
    let mount = Mount::tmpfs(scratch.join("cache"), "1m");
    let ran = package(&scratch, "second", &["--cache", "cache"]).ok();
    ran.says("nothing more is kept in the cache cache: ");
    same(&scratch, "first", "second");
    drop(mount);
}
