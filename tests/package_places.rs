//! Where installers are made does not show in them, and where they cannot be made nothing is.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::harness::mount::Mount;
use crate::harness::scratch::{Ran, Run};
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "places: the same bytes from anywhere, on one core and on two",
            &["taskset"],
            same_bytes,
        ),
        trial_needing(
            "places: a folder for reading only",
            &["root", "mount", "umount"],
            read_only,
        ),
        trial_needing(
            "places: a full disk",
            &["root", "mount", "umount"],
            full_disk,
        ),
        trial("places: a short secret is warned of", short_secret),
    ]
}

/// A repository with the sample agent for every system.
fn repository() -> Scratch {
    let scratch = Scratch::new();
    scratch.fleetpack(["quickstart", "--dir", "q"]).ok();
    std::fs::rename(scratch.join("q/updates/repository"), scratch.join("tuf")).unwrap();
    scratch
}

/// Packages from that repository.
fn package(run: Run, repository: &Scratch, words: &str) -> Run {
    let root = repository.join("tuf/root.json");
    let common = "package --fleet-desktop --agent-update-url https://updates.example.com \
        --fleet-url https://fleet.example.com";
    let run = common
        .split_whitespace()
        .chain(words.split_whitespace())
        .fold(run, Run::arg);
    run.arg(format!("--update-url={}", repository.join("tuf").display()))
        .arg(format!("--update-roots=@{}", root.display()))
        .env("SOURCE_DATE_EPOCH", "1714564800")
        .env("FLEETPACK_ENROLL_SECRET", "made-up-secret-of-some-length")
}

const EVERYTHING: &str = "--type all --arch amd64,arm64 --outdir out";

fn same_bytes() {
    let repository = repository();
    let here = |name: &str| -> Scratch {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.join(name).join("out")).unwrap();
        scratch
    };
    let none: [&str; 0] = [];
    let first = here("a");
    package(first.fleetpack(none).within("a"), &repository, EVERYTHING).ok();
    let made = first.state("a/out");
    assert_eq!(made.names().count(), 9);
    // Again, over what is there.
    package(first.fleetpack(none).within("a"), &repository, EVERYTHING).ok();
    made.unchanged(&first.state("a/out"));
    // On one core, in another folder, from another copy of the repository.
    let copy = Scratch::new();
    copy.copy(&repository.join("tuf"), "tuf");
    let second = here("another/place");
    let one_core = ["--cpu-list", "0", env!("CARGO_BIN_EXE_fleetpack")];
    let run = second.tool("taskset", one_core).within("another/place");
    package(run, &copy, EVERYTHING).ok();
    made.unchanged(&second.state("another/place/out"));
}

const TYPES: [&str; 5] = ["deb", "rpm", "pkg.tar.zst", "pkg", "msi"];

/// Runs that are to fail in `out`: one for each type, and one for all.
fn failing(repository: &Scratch) -> Vec<(String, Run)> {
    let none: [&str; 0] = [];
    let one = TYPES.map(|word| format!("--type {word} --outfile out/agent.{word}"));
    one.into_iter()
        .chain(["--type all --outdir out".to_owned()])
        .map(|words| {
            let run = package(repository.fleetpack(none), repository, &words);
            (words, run)
        })
        .collect()
}

/// One error, with the path and a way out.
#[track_caller]
fn clear(ran: &Ran, path: &str, words: &str) {
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{ran}");
    ran.says(path).says(words).says("  hint: ");
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn read_only() {
    let repository = repository();
    let out = repository.join("out");
    std::fs::create_dir(&out).unwrap();
    let mount = Mount::read_only(out.clone());
    for (words, run) in failing(&repository) {
        let ran = run.fails(1);
        clear(&ran, "out", "read-only filesystem");
        ran.never_says("Fetching");
        assert_eq!(names(&out), Vec::<PathBuf>::new(), "{words}");
    }
    drop(mount);
}

fn full_disk() {
    let repository = repository();
    let out = repository.join("out");
    let mount = Mount::tmpfs(out.clone(), "16k");
    for (words, run) in failing(&repository) {
        let ran = run.fails(1);
        clear(&ran, "out", "No space left on device");
        assert_eq!(names(&out), Vec::<PathBuf>::new(), "{words}");
    }
    drop(mount);
}

fn short_secret() {
    let repository = repository();
    for (secret, warns) in [("fifteen-letters", true), ("sixteen-letters!", false)] {
        let run = package(repository.fleetpack(["--quiet"]), &repository, "--type rpm");
        let ran = run.env("FLEETPACK_ENROLL_SECRET", secret).ok();
        ran.never_says(secret);
        let words = "warning: the enroll secret has 15 characters";
        assert_eq!(ran.stderr.contains(words), warns, "{ran}");
    }
}
