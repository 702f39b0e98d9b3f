//! `--path s3://…`: a repository of which nothing but metadata is fetched.

use libtest_mimic::Trial;

use super::{begin, program, publish, with};
use crate::harness::objects::Objects;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial, trial_needing};
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
            "publish/elsewhere/every",
            &["versitygw", "curl", "go"],
            every_command,
        ),
        trial_needing(
            "publish/elsewhere/compromised",
            &["versitygw", "curl", "go"],
            compromised,
        ),
        trial_needing(
            "publish/elsewhere/ceremony",
            &["versitygw", "curl", "go"],
            ceremony,
        ),
        trial("publish/elsewhere/folders", folders_alone),
    ]
}

/// A command for the published repository, with nothing here but `keys`.
pub fn elsewhere(scratch: &Scratch, service: &Objects, command: &[&str]) -> Run {
    let url = service.url("r");
    let place = ["--path", &url, "--keys", "keys"];
    let args = command.iter().copied().chain(place);
    with(scratch, service, args)
}

/// Arguments that add orbit for Linux.
pub fn add<'a>(file: &'a str, version: &'a str) -> [&'a str; 11] {
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

/// A published repository of which the keys alone are here.
pub fn prepare(scratch: &Scratch) -> Objects {
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

// From an empty bucket on, with nothing here but keys and what is beside them.
#[expect(
    clippy::too_many_lines,
    reason = "one story from its beginning to its end"
)]
fn every_command() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    let run = |command: &[&str]| elsewhere(&scratch, &service, command);
    run(&["init"]).ok().says("published ");
    run(&["init"])
        .fails(2)
        .says("s3://bucket/r holds an update repository already: it has timestamp.json");
    assert!(scratch.join("keys/root.json").is_file());
    let url = format!("{}/r", service.public(&scratch));
    let roots = run(&["roots"]).ok();
    let root = scratch.write("root.json", roots.text());
    scratch.write("one", program("one"));
    run(&add("one", "1.0.0")).ok();
    let follow = |root: Option<&std::path::Path>, tail: &str| {
        assert_eq!(
            Peer::GoTuf.follow(&scratch, &url, root, true),
            program(tail)
        );
    };
    follow(Some(&root), "one");
    run(&["status"]).ok().prints("orbit      linux");
    run(&["verify"]).ok().prints("2 targets verified");
    run(&["keys", "list"])
        .ok()
        .prints("timestamp: 1 of 1 must sign");
    // Keys come and go; a client that was there before follows.
    run(&["rotate", "timestamp"]).ok().says("published 3 files");
    follow(None, "one");
    run(&["keys", "add", "targets", "--new", "1"]).ok();
    follow(None, "one");
    run(&["keys", "threshold", "targets", "2"]).ok();
    follow(None, "one");
    run(&["rotate", "snapshot", "--keys", "2"]).ok();
    follow(None, "one");
    let listed = run(&["keys", "list", "--json"]).ok();
    let listed: serde_json::Value = serde_json::from_str(listed.text()).unwrap();
    let snapshot = listed["roles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["role"] == "snapshot")
        .unwrap();
    let id = snapshot["keys"][0]["id"].as_str().unwrap().to_owned();
    run(&["keys", "revoke", "snapshot", &id]).ok();
    follow(None, "one");
    // Its passphrase is a matter of the keys alone.
    run(&["keys", "passphrase", "timestamp"])
        .env("FLEET_TIMESTAMP_NEW_PASSPHRASE", "another")
        .ok();
    run(&["timestamp"])
        .env("FLEET_TIMESTAMP_PASSPHRASE", "another")
        .ok();
    run(&["keys", "passphrase", "timestamp"])
        .env("FLEET_TIMESTAMP_PASSPHRASE", "another")
        .env("FLEET_TIMESTAMP_NEW_PASSPHRASE", "timestamp-pass-4")
        .ok();
    let promote = ["promote", "--from", "stable", "--to", "edge"];
    run(&[&promote[..], &["--component", "orbit"]].concat()).ok();
    pruned(&scratch, &service);
    mirrored(&scratch, &service);
    // One command reads the targets, for it writes them under the names of their hashes.
    run(&["consistent-snapshot", "on"]).ok();
    follow(None, "one");
    run(&["verify"]).ok().prints("4 targets verified");
    // Names that hold a hash may be kept for ever, those of metadata may not.
    scratch.write("two", program("two!"));
    run(&add("two", "1.1.0")).ok();
    follow(None, "two!");
    for tail in ["one", "two!"] {
        let hash = hex::encode(fleetpack::compress::sha256(&program(tail)));
        let channel = if tail == "one" { "edge" } else { "stable" };
        let name = format!("targets/orbit/linux/{channel}/{hash}.orbit");
        told(
            &scratch,
            &format!("{url}/{name}"),
            "public, max-age=31536000, immutable",
        );
    }
    let targets = scratch
        .tool("curl", ["-fsS", &format!("{url}/targets.json")])
        .ok();
    let targets: serde_json::Value = serde_json::from_str(targets.text()).unwrap();
    let version = &targets["signed"]["version"];
    told(
        &scratch,
        &format!("{url}/{version}.targets.json"),
        "no-cache",
    );
    let left = scratch.state("keys");
    assert!(
        !left.names().any(|name| name.ends_with("orbit")),
        "{left:?}"
    );
}

fn told(scratch: &Scratch, url: &str, cache_control: &str) {
    let head = scratch.tool("curl", ["-fsSI", url]).ok();
    let head = head.text().to_lowercase();
    let expected = format!("cache-control: {cache_control}\r\n");
    assert!(head.contains(&expected), "{url}: {head}");
}

// What is dropped waits, however old its file is.
fn pruned(scratch: &Scratch, service: &Objects) {
    let run = |command: &[&str]| elsewhere(scratch, service, command);
    run(&["remove", "orbit/linux/1.0.0/orbit"]).ok();
    run(&["prune"])
        .ok()
        .says("1 more are not named any more, but not for 7d yet");
    run(&["prune", "--grace", "0", "--dry-run"])
        .ok()
        .says("would delete targets/orbit/linux/1.0.0/orbit");
    run(&["prune", "--grace", "0"])
        .ok()
        .says("deleted targets/orbit/linux/1.0.0/orbit");
}

fn mirrored(scratch: &Scratch, service: &Objects) {
    crate::updates::init(scratch);
    super::release(scratch, "repo", "osqueryd", "5.9.1", "osquery");
    let from = scratch.join("repo/repository");
    let roots = format!("@{}", from.join("root.json").display());
    let mirror = [
        "mirror",
        "--from",
        from.to_str().unwrap(),
        "--update-roots",
        &roots,
        "--channel",
        "stable,5.9.1",
    ];
    for words in [
        "published osqueryd/linux/stable/osqueryd",
        "nothing is new there",
    ] {
        elsewhere(scratch, service, &mirror).ok().says(words);
    }
}

// What lies there may be the thief's; no file is here, so it is read and compared.
fn compromised() {
    let scratch = Scratch::new();
    let service = prepare(&scratch);
    let run = |command: &[&str]| elsewhere(&scratch, &service, command);
    run(&["timestamp", "--trust-current"]).ok();
    let url = format!("{}/r", service.public(&scratch));
    let root = scratch.join("repo/repository/1.root.json");
    Peer::GoTuf.follow(&scratch, &url, Some(&root), true);
    run(&["rotate", "--compromised", "targets"])
        .ok()
        .says("for a moment agents find a new root beside old metadata")
        .says(", 0 bytes sent");
    assert_eq!(
        Peer::GoTuf.follow(&scratch, &url, None, true),
        program("one")
    );
    // One of two names of the same content was written over: it is copied from the other.
    let target = |channel: &str| {
        format!(
            "{}/bucket/r/targets/orbit/linux/{channel}/orbit",
            service.endpoint()
        )
    };
    let evil = "x".repeat(program("one").len());
    service.curl(&scratch, "PUT", &target("stable"), &evil).ok();
    run(&["rotate", "--compromised", "timestamp"]).ok();
    assert_eq!(
        Peer::GoTuf.follow(&scratch, &url, None, true),
        program("one")
    );
    // Both: nothing is signed that agents could not download.
    for channel in ["stable", "1.0.0"] {
        service.curl(&scratch, "PUT", &target(channel), &evil).ok();
    }
    run(&["rotate", "--compromised", "timestamp"])
        .fails(1)
        .says("is neither here nor at the destination");
}

// The targets key is on another machine.
fn ceremony() {
    let scratch = Scratch::new();
    let service = prepare(&scratch);
    scratch.copy(&scratch.join("keys"), "offline");
    std::fs::remove_file(scratch.join("keys/targets.json")).unwrap();
    let run = |command: &[&str]| elsewhere(&scratch, &service, command);
    run(&["payload", "targets"])
        .fails(2)
        .says("no edit of s3://bucket/r waits beside keys");
    run(&["timestamp", "--trust-current"]).ok();
    run(&["pending"]).ok();
    run(&["rotate", "targets"])
        .fails(5)
        .says("nothing is published yet");
    run(&["pending"]).ok().prints("rotate targets");
    // Agents' clocks go on meanwhile.
    run(&["timestamp"]).ok().says("published 1 files");
    run(&["payload", "targets", "--out", "payload"]).ok();
    let sign = [
        "sign",
        "payload",
        "--path",
        "elsewhere",
        "--keys",
        "offline",
    ];
    let root = scratch.join("repo/repository/1.root.json");
    updates(&scratch, sign).ok();
    run(&["attach", "payload"]).ok().says("published ");
    let url = format!("{}/r", service.public(&scratch));
    assert_eq!(
        Peer::GoTuf.follow(&scratch, &url, Some(&root), true),
        program("one")
    );
    std::fs::remove_file(scratch.join("keys/targets.json")).unwrap();
    run(&["rotate", "targets"]).fails(5);
    run(&["pending", "drop"]).ok();
    run(&["timestamp"]).ok();
}

// Commands that need a folder say so before they ask anybody.
fn folders_alone() {
    let scratch = Scratch::new();
    for (command, hint) in [
        (
            &["publish", "elsewhere"][..],
            "fleetpack updates pull s3://bucket/r --path DIR",
        ),
        (
            &["serve"],
            "fleetpack updates pull s3://bucket/r --path DIR",
        ),
        (&["pull", "s3://bucket/r"], "--path DIR"),
    ] {
        let place = ["--path", "s3://bucket/r", "--keys", "keys"];
        updates(&scratch, command.iter().copied().chain(place))
            .fails(2)
            .says("error: --path s3://bucket/r is no folder, which this command needs\n")
            .says(hint);
    }
}
