//! Whole releases: many programs in one change, promoted, completed, taken out, pruned, and
//! published under consistent snapshots, with other people's clients following.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::mount::Mount;
use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{add, elf, fixture, init, updates};

const STABLE: &str = "orbit/linux/stable/orbit";

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("releases/groups", groups_are_one_change),
        trial("releases/manifest", a_manifest_is_one_change),
        trial("releases/refused", refused),
        trial("releases/hard_links", hard_links),
        trial_needing(
            "releases/shared_blocks",
            &["root", "mount", "umount", "mkfs.btrfs", "filefrag"],
            shared_blocks,
        ),
        trial("releases/rehash", rehash),
        trial("releases/promote_json", promote),
        trial("releases/remove_json", remove),
        trial("releases/timestamp_json", timestamp),
        trial("releases/prune", prune),
        trial("releases/consistent_snapshot", consistent),
        trial("releases/consistent_snapshot_refused", consistent_refused),
        trial_needing("releases/python_tuf", &["python-tuf", "python3"], || {
            follows(Peer::PythonTuf);
        }),
        trial_needing("releases/go_tuf", &["go", "python3"], || {
            follows(Peer::GoTuf);
        }),
    ]
}

/// `fleetpack updates …` on `repo`, its words parted by spaces.
fn on(scratch: &Scratch, words: &str) -> Run {
    let words = words.split(' ');
    updates(scratch, words.chain(["--path", "repo"]))
}

/// What it prints, held against its schema.
#[track_caller]
fn json(scratch: &Scratch, words: &str, schema: &str) -> Value {
    let ran = on(scratch, words).arg("--json").ok();
    conforms(schema, ran.text())
}

fn targets(scratch: &Scratch) -> Value {
    let text = scratch.text("repo/repository/targets.json");
    serde_json::from_str::<Value>(&text).unwrap()["signed"].take()
}

fn programs(scratch: &Scratch) {
    scratch.write("build/orbit", elf(62));
    scratch.write("build/orbit-arm", elf(183));
    scratch.write("build/osqueryd", [elf(62), vec![5]].concat());
}

fn names(report: &Value) -> Vec<&str> {
    let rows = report.as_array().unwrap().iter();
    rows.map(|row| row["target"].as_str().unwrap()).collect()
}

fn groups_are_one_change() {
    let scratch = Scratch::new();
    init(&scratch);
    programs(&scratch);
    let report = json(
        &scratch,
        "add --version 1.43.0 -t stable \
         --target build/orbit --name orbit --platform linux \
         --target build/orbit-arm --name orbit --platform linux-arm64 -t edge \
         --target build/osqueryd --name osqueryd --platform linux --version 5.19.0",
        "updates-add.json",
    );
    assert_eq!(
        names(&report["published"]),
        [
            "orbit/linux/1.43.0/orbit",
            STABLE,
            "orbit/linux-arm64/1.43.0/orbit",
            "orbit/linux-arm64/stable/orbit",
            "orbit/linux-arm64/edge/orbit",
            "osqueryd/linux/5.19.0/osqueryd",
            "osqueryd/linux/stable/osqueryd",
        ]
    );
    assert_eq!(report["metadata"]["targets"]["version"], 2, "signed once");
    assert_eq!(report["published"][5]["version"], "5.19.0");
    on(&scratch, "verify").ok();
}

const MANIFEST: &str = r#"
version = "1.43.0"
tags = ["1.43", "stable"]

[[target]]
file = "orbit"
name = "orbit"
platform = "linux"

[[target]]
file = "orbit-arm"
name = "orbit"
platform = "linux-arm64"

[[target]]
file = "osqueryd"
name = "osqueryd"
platform = "linux"
version = "5.19.0"
tags = ["edge"]

[[target]]
file = "orbit"
name = "extensions/hello"
platform = "linux"
tags = []
"#;

fn a_manifest_is_one_change() {
    let scratch = Scratch::new();
    init(&scratch);
    programs(&scratch);
    scratch.write("build/release.toml", MANIFEST);
    let report = json(
        &scratch,
        "add --manifest build/release.toml",
        "updates-add.json",
    );
    assert_eq!(
        names(&report["published"]),
        [
            "orbit/linux/1.43.0/orbit",
            "orbit/linux/1.43/orbit",
            STABLE,
            "orbit/linux-arm64/1.43.0/orbit",
            "orbit/linux-arm64/1.43/orbit",
            "orbit/linux-arm64/stable/orbit",
            "osqueryd/linux/5.19.0/osqueryd",
            "osqueryd/linux/edge/osqueryd",
            "extensions/hello/linux/1.43.0/hello",
        ]
    );
    assert_eq!(report["metadata"]["targets"]["version"], 2, "signed once");
    assert_eq!(report["metadata"]["timestamp"]["version"], 2);
    let file = |name: &str| scratch.join(format!("repo/repository/targets/{name}"));
    let links = |name| std::fs::metadata(file(name)).unwrap().nlink();
    assert_eq!(links(STABLE), 1, "no links unless asked for");
    on(&scratch, "verify").ok();
}

fn refused() {
    let scratch = Scratch::new();
    init(&scratch);
    programs(&scratch);
    scratch.write("build/empty", "");
    let group = "--name orbit --platform linux --version 1";
    let cases = [
        (
            format!("add --target build/orbit {group} --target build/osqueryd {group}"),
            2,
            "error: orbit/linux/1/orbit is given twice: build/orbit and build/osqueryd\n",
        ),
        (
            format!("add --target build/orbit {group} --target build/osqueryd --name osqueryd"),
            2,
            "error: --platform is missing for build/osqueryd\n",
        ),
        (format!("add {group}"), 2, "error: no --target is given\n"),
        (
            "add --manifest nowhere".to_owned(),
            2,
            "error: nowhere does not exist\n",
        ),
        (
            // The last of several is no file to add.
            format!(
                "add --target build/orbit {group} --target build/empty --name x --platform linux --version 1"
            ),
            1,
            "error: cannot add build/empty: it is empty\n",
        ),
    ];
    let before = scratch.state("repo");
    for (words, code, message) in cases {
        on(&scratch, &words).fails(code).says(message);
    }
    let manifests = [
        (
            "target = 1",
            "error: m.toml is no manifest of a release: TOML parse error at line 1",
        ),
        ("[[target]]\nfile = \"x\"", "missing field `name`"),
        (
            "[[target]]\nfile = \"x\"\nname = \"orbit\"\nplatform = \"linux\"\nsum = 1",
            "unknown field `sum`",
        ),
        (
            "[[target]]\nfile = \"x\"\nname = \"orbit\"\nplatform = \"linux\"",
            "error: m.toml says no version for x\n",
        ),
        (
            "[[target]]\nfile = \"x\"\nname = \"orbit\"\nplatform = \"linux\"\nversion = \"1\"",
            "error: cannot add x: it does not exist\n",
        ),
    ];
    for (text, message) in manifests {
        scratch.write("m.toml", text);
        on(&scratch, "add --manifest m.toml").run().says(message);
    }
    before.unchanged(&scratch.state("repo"));
}

fn hard_links() {
    let scratch = Scratch::new();
    init(&scratch);
    programs(&scratch);
    let words = "add --target build/orbit --name orbit --platform linux --version 1 -t stable";
    on(&scratch, words).arg("--hard-links").ok();
    let links = |channel: &str| {
        let path = format!("repo/repository/targets/orbit/linux/{channel}/orbit");
        std::fs::metadata(scratch.join(path)).unwrap().nlink()
    };
    assert_eq!((links("1"), links("stable")), (2, 2));
    let source = std::fs::metadata(scratch.join("build/orbit")).unwrap();
    assert_eq!(source.nlink(), 1, "the file given stays the giver's");
    on(
        &scratch,
        "promote --component orbit --from stable --to lts --hard-links",
    )
    .ok();
    assert_eq!(links("lts"), 3);
    // A new stable is a new file: the others keep theirs.
    add(&scratch, "build/osqueryd", "2").ok();
    assert_eq!((links("stable"), links("1")), (1, 2));
    on(&scratch, "verify").ok();
}

/// Where the disk can, names of one content share its blocks, with the file that was given too.
fn shared_blocks() {
    let scratch = Scratch::new();
    let image = scratch.join("image");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(128 << 20).unwrap();
    let args = ["-q".as_ref(), "--mixed".as_ref(), image.as_os_str()];
    scratch.tool("mkfs.btrfs", args).ok();
    let _mount = Mount::image(scratch.join("disk"), &image);
    updates(&scratch, ["init", "--path", "disk/repo"]).ok();
    let mut program = elf(62);
    program.resize(1 << 20, 7);
    scratch.write("disk/orbit", program);
    let words =
        "add --path disk/repo --target disk/orbit --name orbit --platform linux --version 1.2";
    let words = words.split(' ').chain(["-t", "stable", "-t", "edge"]);
    updates(&scratch, words).ok();
    let words = "promote --path disk/repo --component orbit --from stable --to lts";
    updates(&scratch, words.split(' ')).ok();
    let mut files = vec!["disk/orbit".to_owned()];
    let channels = ["1.2", "stable", "edge", "lts"];
    files.extend(channels.map(|c| format!("disk/repo/repository/targets/orbit/linux/{c}/orbit")));
    for file in files {
        let ran = scratch.tool("filefrag", ["-v", &file]).ok();
        let extents = ran.text().lines().filter(|line| line.contains(".."));
        let extents: Vec<_> = extents.collect();
        assert!(!extents.is_empty(), "{ran}");
        assert!(extents.iter().all(|e| e.contains("shared")), "{ran}");
    }
    updates(&scratch, ["verify", "--path", "disk/repo"]).ok();
}

fn rehash() {
    for name in ["fleetctl-style", "consistent-snapshot"] {
        let scratch = Scratch::new();
        fixture(&scratch, name);
        let before = targets(&scratch);
        let report = json(&scratch, "add --rehash", "updates-add.json");
        let after = targets(&scratch);
        let count = before["targets"].as_object().unwrap().len();
        assert_eq!(report["rehashed"].as_array().unwrap().len(), count);
        assert_eq!(report["published"], Value::Array(vec![]));
        for (target, old) in before["targets"].as_object().unwrap() {
            let new = &after["targets"][target];
            assert_eq!(new["hashes"]["sha512"], old["hashes"]["sha512"]);
            assert_eq!(new["custom"], old["custom"]);
            assert!(new["hashes"]["sha256"].is_string(), "{target}");
        }
        on(&scratch, "verify").ok();
        let before = scratch.state("repo");
        on(&scratch, "add --rehash")
            .ok()
            .says("every target has its sha256 and sha512");
        before.unchanged(&scratch.state("repo"));
    }
    // A file that is no longer what was signed gets no new hash.
    let scratch = Scratch::new();
    fixture(&scratch, "fleetctl-style");
    scratch.write(
        &format!("repo/repository/targets/{STABLE}"),
        "something else",
    );
    on(&scratch, "timestamp").ok();
    let before = scratch.state("repo");
    on(&scratch, "add --rehash").fails(1).says(
        "error: the file of the target orbit/linux/stable/orbit is not the one that was signed\n",
    );
    before.unchanged(&scratch.state("repo"));
}

fn promote() {
    let scratch = Scratch::new();
    init(&scratch);
    programs(&scratch);
    add(&scratch, "build/orbit", "1.2.3").ok();
    let before = targets(&scratch);
    let words = "promote --component orbit --from stable --to lts --and-version-channels";
    let report = json(&scratch, words, "updates-promote.json");
    let expected = ["lts", "1.2.3", "1.2", "1"].map(|c| format!("orbit/linux/{c}/orbit"));
    assert_eq!(names(&report["promoted"]), expected);
    assert_eq!(report["promoted"][0]["from"], STABLE);
    let after = targets(&scratch);
    for name in expected {
        assert_eq!(after["targets"][name], before["targets"][STABLE]);
    }
    // Nothing is read: a file of the right length passes, and `verify` sees it.
    let stable = format!("repo/repository/targets/{STABLE}");
    let mut bytes = scratch.read(&stable);
    bytes[40] ^= 1;
    scratch.write(&stable, bytes);
    on(&scratch, "promote --component orbit --from stable --to x").ok();
    on(&scratch, "verify").fails(1);
}

fn remove() {
    let scratch = Scratch::new();
    init(&scratch);
    programs(&scratch);
    add(&scratch, "build/orbit", "1.2.3").ok();
    let report = json(
        &scratch,
        "remove orbit/linux/1.2.3/orbit",
        "updates-remove.json",
    );
    assert_eq!(report["removed"][0], "orbit/linux/1.2.3/orbit");
    assert_eq!(report["metadata"]["targets"]["version"], 3);
    let folder = scratch.join("repo/repository/targets/orbit/linux/1.2.3");
    assert!(!folder.exists(), "the empty folder went too");
}

fn timestamp() {
    let scratch = Scratch::new();
    init(&scratch);
    let report = json(&scratch, "timestamp", "updates-timestamp.json");
    assert_eq!(report["metadata"]["timestamp"]["version"], 2);
    assert_eq!(report["metadata"]["snapshot"]["version"], 1);
}

fn files(report: &Value) -> Vec<&str> {
    let rows = report.as_array().unwrap().iter();
    rows.map(|row| row["file"].as_str().unwrap()).collect()
}

fn prune() {
    let scratch = Scratch::new();
    fixture(&scratch, "consistent-snapshot");
    scratch.write("orbit", elf(62));
    scratch.write("repo/repository/targets/old/left", "behind");
    scratch.write("repo/repository/notes.txt", "not ours");
    add(&scratch, "orbit", "2.0").ok();
    let before = scratch.state("repo/repository");
    let report = json(&scratch, "prune", "updates-prune.json");
    assert!(
        files(&report["removed"]).is_empty(),
        "all of it was named a moment ago"
    );
    before.unchanged(&scratch.state("repo/repository"));
    let report = json(&scratch, "prune --grace 0 --dry-run", "updates-prune.json");
    assert_eq!(report["dry_run"], true);
    before.unchanged(&scratch.state("repo/repository"));
    let again = json(&scratch, "prune --grace 0", "updates-prune.json");
    assert_eq!(again["removed"], report["removed"]);
    let gone = files(&again["removed"]);
    assert_eq!(gone[..2], ["1.snapshot.json", "1.targets.json"]);
    assert!(
        gone.contains(&"targets/old/left") && gone.len() == 4,
        "{gone:?}"
    );
    for file in &gone {
        assert!(!scratch.join(format!("repo/repository/{file}")).exists());
    }
    assert!(!scratch.join("repo/repository/targets/old").exists());
    for kept in [
        "1.root.json",
        "2.targets.json",
        "2.snapshot.json",
        "notes.txt",
    ] {
        assert!(
            scratch.join(format!("repo/repository/{kept}")).exists(),
            "{kept}"
        );
    }
    on(&scratch, "verify").ok();
    // Without any key.
    std::fs::remove_file(scratch.join("repo/keys/timestamp.json")).unwrap();
    on(&scratch, "prune").ok();
}

fn consistent() {
    let scratch = Scratch::new();
    init(&scratch);
    programs(&scratch);
    add(&scratch, "build/orbit", "1.0").ok();
    let words = "consistent-snapshot on";
    let schema = "updates-consistent-snapshot.json";
    let report = json(&scratch, words, schema);
    assert_eq!(report["changed"], true);
    assert_eq!(report["metadata"]["root"]["version"], 2);
    assert_eq!(
        report["metadata"]["timestamp"]["version"], 2,
        "not signed again"
    );
    let entry = targets(&scratch)["targets"][STABLE].take();
    let at = |name: &str| scratch.read(&format!("repo/repository/targets/orbit/linux/{name}"));
    for hash in ["sha256", "sha512"] {
        let hash = entry["hashes"][hash].as_str().unwrap();
        assert_eq!(at(&format!("stable/{hash}.orbit")), elf(62));
    }
    assert_eq!(at("stable/orbit"), elf(62), "plain names stay");
    for (numbered, plain) in [
        ("2.targets.json", "targets.json"),
        ("2.snapshot.json", "snapshot.json"),
    ] {
        let read = |file| scratch.read(&format!("repo/repository/{file}"));
        assert_eq!(read(numbered), read(plain));
    }
    assert_eq!(json(&scratch, words, schema)["changed"], false);
    on(&scratch, "verify").ok();
    // Later changes go on so, plain names among them.
    add(&scratch, "build/osqueryd", "1.1").ok();
    assert_eq!(at("stable/orbit"), scratch.read("build/osqueryd"));
    assert!(scratch.join("repo/repository/3.targets.json").exists());
    on(&scratch, "remove orbit/linux/1.0/orbit").ok();
    assert_eq!(at("1.0/orbit"), elf(62), "kept for clients on their way");
    on(&scratch, "prune --grace 0").ok();
    assert!(
        !scratch
            .join("repo/repository/targets/orbit/linux/1.0")
            .exists()
    );
    on(&scratch, "verify").ok();
}

fn consistent_refused() {
    let scratch = Scratch::new();
    fixture(&scratch, "fleetctl-style");
    let ran = on(&scratch, "consistent-snapshot off").fails(2);
    ran.says("invalid value 'off'");
    scratch.write(
        &format!("repo/repository/targets/{STABLE}"),
        "something else, no longer",
    );
    on(&scratch, "timestamp").ok();
    let before = scratch.state("repo");
    on(&scratch, "consistent-snapshot on").fails(1).says(
        "error: the file of the target orbit/linux/stable/orbit is not the one that was signed\n",
    );
    before.unchanged(&scratch.state("repo"));
    let scratch = Scratch::new();
    fixture(&scratch, "fleetctl-style");
    on(&scratch, "consistent-snapshot on")
        .ok()
        .says("20 targets are listed with one hash alone: fleetpack updates add --rehash");
}

fn follows(peer: Peer) {
    let scratch = Scratch::new();
    fixture(&scratch, "rotated");
    programs(&scratch);
    let root = scratch.join("repo/repository/1.root.json");
    let server = Server::python(&scratch.join("repo/repository"));
    let old = peer.follow(&scratch, &server.url, Some(Path::new(&root)), true);
    let follow = || peer.follow(&scratch, &server.url, None, true);
    on(&scratch, "add --rehash").ok();
    assert_eq!(follow(), old);
    scratch.write("build/release.toml", MANIFEST);
    on(&scratch, "add --manifest build/release.toml").ok();
    assert_eq!(follow(), elf(62));
    on(
        &scratch,
        "promote --component osqueryd --from stable --to lts",
    )
    .ok();
    assert_eq!(follow(), elf(62));
    on(&scratch, "consistent-snapshot on").ok();
    assert_eq!(follow(), elf(62));
    add(&scratch, "build/osqueryd", "1.44.0").ok();
    assert_eq!(follow(), scratch.read("build/osqueryd"));
    on(&scratch, "remove osqueryd/linux/lts/osqueryd").ok();
    on(&scratch, "prune --grace 0").ok();
    assert_eq!(follow(), scratch.read("build/osqueryd"));
    on(&scratch, "timestamp").ok();
    assert_eq!(follow(), scratch.read("build/osqueryd"));
}
