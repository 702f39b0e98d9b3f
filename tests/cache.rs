//! The cache between runs: the same bytes with it and without, poisoned, shared, unwritable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fleetpack::package::msi::pe;
use libtest_mimic::Trial;

use crate::harness::agent::{publish, publish_for};
use crate::harness::mount::Mount;
use crate::harness::objects::Objects;
use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing, unpacked};

pub fn trials() -> Vec<Trial> {
    let mounts = &["root", "mount", "umount"];
    vec![
        trial("cache: the same bytes with it and without", same_bytes),
        trial("cache: poisoned, it is not used and healed", poisoned),
        trial("cache: two runs at once", at_once),
        trial("cache: places and keys that are refused", refused),
        trial("cache: it holds no secret and stays in its size", contents),
        trial("cache: a warm run reads no program", unread),
        trial_needing(
            "cache: batches at once, and one that cannot write",
            mounts,
            batches,
        ),
        trial_needing(
            "cache: only what changed is downloaded",
            &["nginx"],
            changed,
        ),
        trial_needing("cache: in object storage", &["versitygw"], in_storage),
        trial_needing(
            "cache: in Azure's object storage",
            &["azurite", "node", "python-tuf"],
            || in_other_storage(Objects::azure),
        ),
        trial_needing(
            "cache: in Google's object storage",
            &["fake-gcs-server", "openssl"],
            || in_other_storage(Objects::google),
        ),
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

/// Programs for all systems that are large enough to be kept, some in archives with small files
/// beside them.
fn everything() -> Scratch {
    let scratch = Scratch::new();
    let file = |name: &str, bytes: &[u8]| scratch.write_program(&format!("programs/{name}"), bytes);
    file("orbit", &program(1));
    file("osqueryd", &program(2));
    for (seed, name) in (3..).zip(["orbit.exe", "osqueryd.exe", "fleet-desktop.exe"]) {
        let mut bytes = pe::sample::program(pe::Machine::Amd64, Some([1, 50, 0, 0]));
        bytes.extend(program(seed));
        file(name, &bytes);
    }
    let archives = [
        ("desktop.tar.gz", "fleet-desktop", "fleet-desktop"),
        (
            "osqueryd.app.tar.gz",
            "osquery.app",
            "Contents/MacOS/osqueryd",
        ),
        (
            "desktop.app.tar.gz",
            "Fleet Desktop.app",
            "Contents/MacOS/fleet-desktop",
        ),
    ];
    for (seed, (archive, folder, name)) in (6..).zip(archives) {
        file(&format!("{folder}/{name}"), &program(seed));
        scratch.write(&format!("programs/{folder}/Info"), "made up");
        let words = ["--format=ustar", "-C", "programs", "-czf"];
        let archive = format!("programs/{archive}");
        scratch.tool("tar", words).arg(archive).arg(folder).ok();
    }
    for (name, platform, file) in [
        ("orbit", "linux", "orbit"),
        ("osqueryd", "linux", "osqueryd"),
        ("desktop", "linux", "desktop.tar.gz"),
        ("orbit", "macos", "orbit"),
        ("osqueryd", "macos-app", "osqueryd.app.tar.gz"),
        ("desktop", "macos", "desktop.app.tar.gz"),
        ("orbit", "windows", "orbit.exe"),
        ("osqueryd", "windows", "osqueryd.exe"),
        ("desktop", "windows", "fleet-desktop.exe"),
    ] {
        publish_for(
            &scratch,
            platform,
            "1.50.0",
            &[(name, &scratch.join("programs").join(file))],
        );
    }
    scratch
}

fn package(scratch: &Scratch, out: &str, arguments: &[&str]) -> Run {
    package_of(scratch, "tuf/repository", out, arguments)
}

fn package_of(scratch: &Scratch, repository: &str, out: &str, arguments: &[&str]) -> Run {
    std::fs::create_dir_all(scratch.join(out)).unwrap();
    let common = "package --update-roots @root.json --update-url";
    let mut words: Vec<&str> = common.split(' ').collect();
    words.extend([repository, "--outdir", out]);
    words.extend(["--fleet-url", "https://fleet.example.com"]);
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

/// Looks for words in the entries of a cache, as they are and unpacked. Answers by what the
/// entries are compressed.
fn hold_nothing_of(cache: &Path, words: &[&str]) -> BTreeSet<String> {
    let mut codecs = BTreeSet::new();
    for path in entries(cache) {
        let packed = std::fs::read(&path).unwrap();
        let entry = unpacked::entry(&packed).unwrap();
        for word in words {
            let is_word = |part: &[u8]| part == word.as_bytes();
            let holds = |bytes: &[u8]| bytes.windows(word.len()).any(is_word);
            assert!(!holds(&packed), "{word} is in {}", path.display());
            assert!(!holds(&entry.bytes), "{word} is in {}", path.display());
        }
        codecs.extend(entry.codec);
    }
    codecs
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

/// An entry whose last byte is another one; where that is in a part, the table's digest of that
/// part is right again (magic 8 bytes, length of the head, number of parts, MAC 32 bytes; rows
/// of a length and a sha256).
fn mended(genuine: &[u8]) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let parts = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    if parts > 0 {
        let row = 48 + (parts - 1) * 40;
        let len = u64::from_le_bytes(bytes[row..row + 8].try_into().unwrap()) as usize;
        let digest = fleetpack::compress::sha256(&bytes[bytes.len() - len..]);
        bytes[row + 8..row + 40].copy_from_slice(&digest);
    }
    bytes
}

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
    let poison: [(&str, Poison<'_>); 5] = [
        ("flipped, its digest mended", &|path, at| {
            std::fs::write(path, mended(&genuine[at])).unwrap();
        }),
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

fn unread() {
    let scratch = everything();
    let words = ["--type", "all", "--fleet-desktop", "--cache", "cache"];
    package(&scratch, "first", &words).ok();
    assert_eq!(scratch.state("first").names().count(), 5);
    let targets = scratch.join("tuf/repository/targets");
    let away = scratch.join("away");
    std::fs::rename(&targets, &away).unwrap();
    package(&scratch, "second", &words).ok().never_says("cache");
    same(&scratch, "first", "second");
    // What a compression without segments needs has to be read.
    let zstd = [&words[2..], &["--type", "deb", "--compression", "zstd"]].concat();
    let ran = package(&scratch, "zstd", &zstd).fails(1);
    ran.says("cannot fetch ").says(" does not exist");
    std::fs::rename(&away, &targets).unwrap();
    package(&scratch, "zstd", &zstd).ok();
    let without = [&zstd[..1], &zstd[3..], &["--cache", "none"]].concat();
    package(&scratch, "zstd-cold", &without).ok();
    same(&scratch, "zstd", "zstd-cold");
    let kept = entries(&scratch.join("cache"));
    for kind in ["segments", "digests", "targets", "unpacked", "programs"] {
        let of_kind = |path: &&PathBuf| path.parent().unwrap().ends_with(kind);
        let poisoned: Vec<&PathBuf> = kept.iter().filter(of_kind).collect();
        assert!(poisoned.len() >= 3, "{kind}");
        let genuine: Vec<Vec<u8>> = poisoned
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        for (path, genuine) in poisoned.iter().zip(&genuine) {
            std::fs::write(path, mended(genuine)).unwrap();
        }
        let out = format!("poisoned-{kind}");
        let ran = package(&scratch, &out, &words).ok();
        ran.says(&format!("cache/{kind}/")).says("was not used");
        same(&scratch, "first", &out);
        for (path, genuine) in poisoned.iter().zip(&genuine) {
            let healed = std::fs::read(path).unwrap() == *genuine;
            assert!(healed, "{} was not healed", path.display());
        }
    }
    // Some of it went to keep the cache in its size.
    for kind in ["segments", "unpacked", "programs"] {
        std::fs::remove_dir_all(scratch.join("cache").join(kind)).unwrap();
        let out = format!("without-{kind}");
        package(&scratch, &out, &words).ok().never_says("cache");
        same(&scratch, "first", &out);
    }
}

fn batches() {
    let scratch = everything();
    let mut manifest = "[defaults]\ntype = 'all'\nupdate-url = 'tuf/repository'\n\
        update-roots = '@root.json'\nagent-update-url = 'https://updates.example.com'\n\
        fleet-url = 'https://{team}.example.com'\nfleet-desktop = true\n\
        enroll-secret-command = ['echo', 'made-up-secret-word-of-{team}']\n"
        .to_owned();
    for team in ["a", "b"] {
        manifest.push_str(&format!("[[installer]]\nteam = '{team}'\n"));
    }
    scratch.write("teams.toml", manifest);
    let batch = |out: &str, cache: &str| {
        std::fs::create_dir(scratch.join(out)).unwrap();
        let words = [
            "package",
            "--manifest",
            "teams.toml",
            "--outdir",
            out,
            "--cache",
            cache,
        ];
        let run = scratch.fleetpack(words).arg("--no-state");
        run.env("SOURCE_DATE_EPOCH", "1714564800")
    };
    let runs = [batch("one", "cache"), batch("two", "cache")];
    std::thread::scope(|scope| {
        for run in &runs {
            scope.spawn(|| run.ok());
        }
    });
    batch("without", "none").ok();
    batch("warm", "cache").ok().never_says("cache");
    let codecs = hold_nothing_of(&scratch.join("cache"), &["made-up-secret-word"]);
    assert_eq!(Vec::from_iter(codecs), ["gzip", "mszip", "zstd"]);
    let mount = Mount::read_only(scratch.join("cache"));
    batch("read-only", "cache").ok().never_says("cache");
    drop(mount);
    for out in ["two", "without", "warm", "read-only"] {
        same(&scratch, "one", out);
    }
}

fn changed() {
    let scratch = repository();
    let server = Server::nginx(&scratch, &scratch.join("tuf/repository"));
    let log = |server: &Server| {
        let port = server.url.rsplit(':').next().unwrap();
        let folder = format!(".nginx-{port}");
        let lines = scratch.text(&format!("{folder}/access.log"));
        scratch.write(&format!("{folder}/access.log"), "");
        let asked = lines.lines().filter(|line| line.contains("GET /targets/"));
        asked
            .map(|line| line.split(' ').nth(6).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let package = |out: &str, more: &[&str]| {
        let words = [&["--cache", "cache"], more].concat();
        package_of(&scratch, &server.url, out, &words)
    };
    package("first", &[]).ok();
    assert_eq!(log(&server).len(), 2);
    package("second", &[]).ok().never_says("cache");
    assert_eq!(log(&server), [""; 0]);
    same(&scratch, "first", "second");
    // Bytes of programs that are wanted again are there, and hashed again.
    let zstd = ["--compression", "zstd"];
    package("zstd", &zstd).ok();
    assert_eq!(log(&server), [""; 0]);
    for path in entries(&scratch.join("cache/downloads/..")) {
        if path.parent().unwrap().ends_with("downloads") {
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    package("zstd-again", &zstd)
        .ok()
        .says("in the cache was not used");
    assert_eq!(log(&server).len(), 2);
    same(&scratch, "zstd", "zstd-again");
    package("zstd-healed", &zstd).ok().never_says("cache");
    assert_eq!(log(&server), [""; 0]);
    let orbit = scratch.write_program("programs/orbit", program(9));
    publish(&scratch, "1.51.0", &[("orbit", &orbit)]);
    package("third", &[]).ok();
    assert_eq!(log(&server), ["/targets/orbit/linux/stable/orbit"]);
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
    scratch.write("key", "0123456789abcdef0123456789abcdef");
    let cases: [(&[&str], &str); 6] = [
        (&["--cache", "s3://bucket/cache"], "--cache-key-file"),
        (
            &["--cache", "s3://bucket/cache", "--cache-key-file", "short"],
            "has 10 bytes; at least 32 are needed",
        ),
        (
            &[
                "--cache",
                "https://example.com/cache",
                "--cache-key-file",
                "key",
            ],
            "https://example.com/cache is neither a folder nor object storage",
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

fn in_storage() {
    let scratch = repository();
    let storage = Objects::s3(&scratch);
    let bucket = scratch.join(".s3/root/bucket/kept");
    scratch.write("key", "0123456789abcdef0123456789abcdef");
    scratch.write("other", "0123456789abcdef0123456789abcdeg");
    let package = |out: &str, key: &str| {
        let url = storage.url("kept/");
        let words = [
            "--cache",
            &url,
            "--cache-key-file",
            key,
            "--type",
            "deb,rpm",
        ];
        let run = package(&scratch, out, &words).envs(storage.variables());
        run.env("AWS_ENDPOINT_URL", storage.endpoint())
    };
    package("first", "key").ok().never_says("cache");
    let kept = entries(&bucket);
    assert!(kept.len() >= 6, "{kept:?}");
    let targets = scratch.join("tuf/repository/targets");
    std::fs::rename(&targets, scratch.join("away")).unwrap();
    package("second", "key").ok().never_says("cache");
    same(&scratch, "first", "second");
    std::fs::rename(scratch.join("away"), &targets).unwrap();
    // Poisoned, and made by somebody else.
    for path in &kept {
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    package("third", "key").ok().says("was not used: ");
    same(&scratch, "first", "third");
    package("fourth", "key").ok().never_says("cache");
    let ran = package("fifth", "other").ok();
    ran.says("it was not made with this key for this name");
    same(&scratch, "first", "fifth");
    drop(storage);
    let lost = ["--cache", "s3://bucket/kept", "--cache-key-file", "key"];
    let lost = crate::cache::package(
        &scratch,
        "sixth",
        &[&lost[..], &["--type", "deb,rpm"]].concat(),
    );
    let lost = lost
        .envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")])
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    lost.ok().says("the cache s3://bucket/kept is not used: ");
    same(&scratch, "first", "sixth");
}

/// A second run reads no program, and packs the same bytes.
fn in_other_storage(start: fn(&Scratch) -> Objects) {
    let scratch = repository();
    let storage = start(&scratch);
    scratch.write("key", "0123456789abcdef0123456789abcdef");
    let url = storage.url("kept");
    let words = ["--cache", &url, "--cache-key-file", "key"];
    let words = [&words[..], &["--type", "deb,rpm"]].concat();
    let package = |out: &str| {
        let run = package(&scratch, out, &words).envs(storage.variables());
        run.env("AZURE_STORAGE_ENDPOINT", storage.endpoint())
    };
    package("first").ok().never_says("cache");
    let targets = scratch.join("tuf/repository/targets");
    std::fs::rename(targets, scratch.join("away")).unwrap();
    package("second").ok().never_says("cache");
    same(&scratch, "first", "second");
}

fn contents() {
    let scratch = repository();
    package(&scratch, "out", &["--cache", "cache", "--type", "deb,rpm"]).ok();
    let words = ["made-up-secret-word", "fleet.example.com"];
    hold_nothing_of(&scratch.join("cache"), &words);
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
