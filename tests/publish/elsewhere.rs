//! `--path s3://…`: a repository of which nothing but metadata is fetched.

use libtest_mimic::Trial;

use super::{begin, program, publish, with};
use crate::harness::objects::Objects;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::updates;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "publish/elsewhere/commands",
            &["versitygw", "curl", "go"],
            commands,
        ),
        trial_needing(
            "publish/elsewhere/attacker",
            &["versitygw", "curl"],
            attacker,
        ),
    ]
}

fn elsewhere(scratch: &Scratch, service: &Objects, command: &[&str]) -> Run {
    let url = service.url("r");
    let place = ["--path", &url, "--keys", "keys"];
    let args = command.iter().copied().chain(place);
    with(scratch, service, args)
}

fn add<'a>(file: &'a str, version: &'a str) -> [&'a str; 11] {
    [
        "add",
        "--target",
        file,
        "--name",
        "orbit",
        "--platform",
        "linux",
        "--version",
        version,
        "-t",
        "stable",
    ]
}

// The keys alone are here.
fn prepare(scratch: &Scratch) -> Objects {
    let service = Objects::s3(scratch);
    begin(scratch);
    publish(scratch, &service, "repo", []).ok();
    scratch.copy(&scratch.join("repo/keys"), "keys");
    std::fs::remove_file(scratch.join("keys/state.json")).unwrap();
    service
}

fn commands() {
    let scratch = Scratch::new();
    let service = prepare(&scratch);
    elsewhere(&scratch, &service, &["timestamp"])
        .fails(2)
        .says("nothing here says which root of s3://bucket/r to trust")
        .says("--trust-current");
    elsewhere(&scratch, &service, &["timestamp", "--trust-current"])
        .ok()
        .says("trusting this repository's root, version 1, sha256 ")
        .says("published 1 files, 0 bytes sent");
    scratch.write("new", program("two!"));
    elsewhere(&scratch, &service, &add("new", "1.1.0"))
        .ok()
        .says("68 bytes sent");
    // No file of a target is fetched, or stays.
    let promote = [
        "promote",
        "--from",
        "stable",
        "--to",
        "edge",
        "--component",
        "orbit",
    ];
    elsewhere(&scratch, &service, &promote)
        .ok()
        .says(" 0 bytes sent");
    let left = scratch.state("keys");
    assert!(
        !left.names().any(|name| name.ends_with("orbit")),
        "{left:?}"
    );
    let url = format!("{}/r", service.public(&scratch));
    let root = scratch.join("repo/repository/1.root.json");
    let got = Peer::GoTuf.follow(&scratch, &url, Some(&root), true);
    assert_eq!(got, program("two!"));
    elsewhere(&scratch, &service, &["remove", "orbit/linux/1.0.0/orbit"]).ok();
    assert_eq!(
        Peer::GoTuf.follow(&scratch, &url, None, true),
        program("two!")
    );
    updates(&scratch, ["timestamp", "--path", "s3://bucket/r"])
        .fails(2)
        .says("error: --path s3://bucket/r needs --keys\n");
}

// Whoever can write to the bucket cannot get anything signed that is not the newest.
#[expect(
    clippy::too_many_lines,
    reason = "one story from its beginning to its end"
)]
fn attacker() {
    let scratch = Scratch::new();
    let service = prepare(&scratch);
    elsewhere(&scratch, &service, &["timestamp", "--trust-current"]).ok();
    let url = |file: &str| format!("{}/bucket/r/{file}", service.endpoint());
    let get = |file: &str| {
        service
            .curl(&scratch, "GET", &url(file), "")
            .ok()
            .text()
            .to_owned()
    };
    let put = |file: &str, text: &str| {
        service.curl(&scratch, "PUT", &url(file), text).ok();
    };
    let files = [
        "timestamp.json",
        "snapshot.json",
        "targets.json",
        "1.root.json",
    ];
    let old = files.map(get);
    scratch.write("new", program("two!"));
    elsewhere(&scratch, &service, &add("new", "1.1.0")).ok();
    let new = files.map(get);
    updates(&scratch, ["init", "--path", "foreign"]).ok();
    let foreign = scratch.text("foreign/repository/root.json");
    for (case, changed, words) in [
        ("an old snapshot alone", &[(1, &old[1])][..], ""),
        ("old targets alone", &[(2, &old[2])], ""),
        (
            "all of it",
            &[(0, &old[0]), (1, &old[1]), (2, &old[2])],
            "was rolled back",
        ),
        (
            "a foreign root",
            &[(3, &foreign)],
            "holds another repository",
        ),
    ] {
        for (at, text) in changed {
            put(files[*at], text);
        }
        let before = scratch.state("keys");
        let now = files.map(get);
        scratch.write("evil", program(case));
        for command in [&["timestamp"][..], &add("evil", "9.9")] {
            let ran = elsewhere(&scratch, &service, command).run();
            // A part alone is put right from what is known here, never signed over.
            match words {
                "" if ran.code == Some(0) => {
                    assert!(get("snapshot.json") != old[1] && get("targets.json") != old[2]);
                }
                words => {
                    assert_eq!(ran.code, Some(1), "{case}: {ran}");
                    assert!(ran.stderr.contains(words), "{case}: {ran}");
                    assert_eq!(files.map(get), now, "{case}");
                    before.unchanged(&scratch.state("keys"));
                }
            }
        }
        if !words.is_empty() {
            for (file, text) in files.iter().zip(&new) {
                put(file, text);
            }
        } else {
            return_to_newest(&scratch, &service);
        }
    }
}

fn return_to_newest(scratch: &Scratch, service: &Objects) {
    elsewhere(scratch, service, &["timestamp"]).ok();
}
