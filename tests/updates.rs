//! `fleetpack updates`: what a person types, what lies on the disk afterwards, and what bad
//! input gets.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::scratch::{Ran, Run};
use crate::harness::{self, Scratch, trial, trial_needing};

/// Passphrases of the go-tuf fixtures and of every repository made here.
pub const PASSPHRASES: [(&str, &str); 4] = [
    ("FLEET_ROOT_PASSPHRASE", "root-pass-1"),
    ("FLEET_TARGETS_PASSPHRASE", "targets-pass-2"),
    ("FLEET_SNAPSHOT_PASSPHRASE", "snapshot-pass-3"),
    ("FLEET_TIMESTAMP_PASSPHRASE", "timestamp-pass-4"),
];

/// The repositories that go-tuf 0.5.2 made.
pub const FIXTURES: [&str; 5] = [
    "fleetctl-style",
    "rotated",
    "threshold-2",
    "plaintext-keys",
    "consistent-snapshot",
];

/// `fleetpack updates …` with all passphrases.
pub fn updates<'a>(scratch: &Scratch, args: impl IntoIterator<Item = &'a str>) -> Run {
    let args = ["updates"].into_iter().chain(args);
    scratch.fleetpack(args).envs(PASSPHRASES)
}

/// A new repository in `repo`.
pub fn init(scratch: &Scratch) -> Ran {
    updates(scratch, ["init", "--path", "repo"]).ok()
}

/// Adds `file` as orbit for Linux.
pub fn add(scratch: &Scratch, file: &str, version: &str) -> Run {
    updates(
        scratch,
        [
            "add",
            "--path",
            "repo",
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
        ],
    )
}

/// A copy of a go-tuf fixture in `repo`.
pub fn fixture(scratch: &Scratch, name: &str) {
    scratch.copy(&harness::fixtures().join("go-tuf").join(name), "repo");
}

/// The first bytes of a program for Linux on x86-64.
pub fn elf(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("updates/init", init_makes_a_repository),
        trial("updates/add", add_publishes_channels),
        trial("updates/add_keeps_what_is_there", add_keeps_what_is_there),
        trial("updates/timestamp_alone", timestamp_needs_its_key_alone),
        trial("updates/roots", roots_prints_one_line),
        trial("updates/expirations", expirations),
        trial("updates/published_text", published_text),
        trial("updates/refused_files", refused_files),
        trial("updates/refused_names", refused_names),
        trial("updates/refused_archives", refused_archives),
        trial("updates/wrong_passphrase", wrong_passphrase),
        trial("updates/missing_key", missing_key),
        trial("updates/foreign_key", foreign_key),
        trial("updates/no_repository", no_repository),
        trial("updates/rolled_back", rolled_back),
        trial_needing("updates/expired", &["faketime"], expired),
        trial("updates/staged_work", staged_work),
        trial("updates/init_twice", init_twice),
        trial("updates/case_collision", case_collision),
        trial("updates/read_only_keys", state_elsewhere),
        trial("updates/pipe_in_the_repository", pipe_in_the_repository),
        trial("updates/linked_folders", linked_folders),
    ];
    for name in FIXTURES {
        let trial = trial(&format!("updates/go_tuf_{name}"), move || {
            go_tuf_repository_is_edited(name);
        });
        trials.push(trial);
    }
    trials
}

// To open it for reading would wait for a writer, and the lock is held.
fn pipe_in_the_repository() {
    let scratch = Scratch::new();
    init(&scratch);
    let path = scratch.join("repo/repository/targets.json");
    std::fs::remove_file(&path).unwrap();
    let mode = rustix::fs::Mode::from(0o644);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    for command in ["status", "timestamp"] {
        let limit = std::time::Duration::from_secs(60);
        let run = updates(&scratch, [command, "--path", "repo"]).limit(limit);
        let ran = run.run();
        assert!(ran.code.is_some_and(|code| code != 0), "{ran}");
        let said = format!("{}{}", ran.stderr, String::from_utf8_lossy(&ran.stdout));
        assert!(said.contains("targets.json"), "{ran}");
        assert!(said.contains("is not a regular file"), "{ran}");
    }
}

// The folder of targets may lie on another disk; below it a link leads to somebody else's files.
fn linked_folders() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    std::fs::rename(
        scratch.join("repo/repository/targets"),
        scratch.join("disk"),
    )
    .unwrap();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(scratch.join(to), scratch.join(name)).unwrap();
    };
    link("disk", "repo/repository/targets");
    add(&scratch, "orbit", "1").ok();
    std::fs::rename(scratch.join("repo/repository"), scratch.join("published")).unwrap();
    link("published", "repo/repository");
    add(&scratch, "orbit", "2").ok();
    std::fs::rename(scratch.join("disk/orbit/linux"), scratch.join("others")).unwrap();
    link("others", "disk/orbit/linux");
    let before = (scratch.state("others"), scratch.state("published"));
    let remove = ["remove", "orbit/linux/stable/orbit", "--path", "repo"];
    for run in [add(&scratch, "orbit", "3"), updates(&scratch, remove)] {
        let ran = run.fails(1);
        assert!(
            ran.stderr.contains("targets/orbit/linux is a link"),
            "{ran}"
        );
        assert!(before == (scratch.state("others"), scratch.state("published")));
    }
    // The way out that is named.
    let link = "disk/orbit/linux";
    let hint = format!("cp -RL {link} {link}.new && rm {link} && mv {link}.new {link}");
    scratch.tool("sh", ["-c", &hint]).ok();
    add(&scratch, "orbit", "3").ok();
    updates(&scratch, remove).ok();
    assert!(before.0 == scratch.state("others"));
}

fn init_makes_a_repository() {
    let scratch = Scratch::new();
    let ran = init(&scratch);
    let lines: Vec<_> = ran.text().lines().collect();
    for (line, role) in lines
        .iter()
        .zip(["root", "targets", "snapshot", "timestamp"])
    {
        let id = line.strip_prefix(&format!("Generated {role} key with ID: "));
        assert_eq!(id.unwrap().len(), 64, "{line}");
    }
    assert_eq!(lines.len(), 4);
    let state = scratch.state("repo");
    let names: Vec<_> = state.names().map(|name| name.to_str().unwrap()).collect();
    let expected = [
        ".fleetpack",
        ".fleetpack/lock",
        "keys",
        "keys/pinned-root.json",
        "keys/root.json",
        "keys/snapshot.json",
        "keys/state.json",
        "keys/targets.json",
        "keys/timestamp.json",
        "repository",
        "repository/1.root.json",
        "repository/root.json",
        "repository/snapshot.json",
        "repository/targets",
        "repository/targets.json",
        "repository/timestamp.json",
        "staged",
        "staged/targets",
    ];
    assert_eq!(names, expected);
    use std::os::unix::fs::PermissionsExt as _;
    for key in ["root", "targets", "snapshot", "timestamp"] {
        let path = scratch.join(format!("repo/keys/{key}.json"));
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    for (_, passphrase) in PASSPHRASES {
        ran.never_says(passphrase);
    }
}

fn targets_of(scratch: &Scratch) -> serde_json::Value {
    let targets = scratch.text("repo/repository/targets.json");
    serde_json::from_str(&targets).unwrap()
}

fn add_publishes_channels() {
    let scratch = Scratch::new();
    init(&scratch);
    // The root key is kept elsewhere from now on.
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    let program = [elf(62).as_slice(), b"made up"].concat();
    scratch.write("build/osqueryd-5", &program);
    let ran = updates(
        &scratch,
        [
            "add",
            "--path",
            "repo",
            "--target",
            "build/osqueryd-5",
            "--platform",
            "linux",
            "--name",
            "osqueryd",
            "--version",
            "4.6.0",
            "-t",
            "4.6",
            "-t",
            "4",
            "--tag",
            "stable",
        ],
    )
    .ok();
    assert_eq!(
        ran.stderr,
        "published osqueryd/linux/4.6.0/osqueryd\npublished osqueryd/linux/4.6/osqueryd\n\
         published osqueryd/linux/4/osqueryd\npublished osqueryd/linux/stable/osqueryd\n"
    );
    let targets = targets_of(&scratch);
    for channel in ["4.6.0", "4.6", "4", "stable"] {
        let name = format!("osqueryd/linux/{channel}/osqueryd");
        let target = &targets["signed"]["targets"][&name];
        assert_eq!(target["custom"]["version"], "4.6.0");
        assert_eq!(target["length"], program.len());
        assert!(target["hashes"]["sha256"].is_string() && target["hashes"]["sha512"].is_string());
        let path = format!("repo/repository/targets/{name}");
        assert_eq!(scratch.read(&path), program);
    }
    assert_eq!(
        scratch.state("repo/.fleetpack").names().count(),
        1,
        "the lock alone stays"
    );
}

fn add_keeps_what_is_there() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("one", elf(62));
    scratch.write("two", [elf(62), vec![1]].concat());
    add(&scratch, "one", "1.0.0").ok();
    add(&scratch, "two", "2.0.0").ok();
    let targets = targets_of(&scratch);
    let names: Vec<_> = targets["signed"]["targets"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        names,
        [
            "orbit/linux/1.0.0/orbit",
            "orbit/linux/2.0.0/orbit",
            "orbit/linux/stable/orbit"
        ]
    );
    assert_eq!(targets["signed"]["version"], 3);
    let stable = "repo/repository/targets/orbit/linux/stable/orbit";
    assert_eq!(scratch.read(stable), scratch.read("two"));
}

fn timestamp_needs_its_key_alone() {
    let scratch = Scratch::new();
    init(&scratch);
    for role in ["root", "targets", "snapshot"] {
        std::fs::remove_file(scratch.join(format!("repo/keys/{role}.json"))).unwrap();
    }
    let before = scratch.text("repo/repository/snapshot.json");
    updates(&scratch, ["timestamp", "--path", "repo"])
        .ok()
        .says("timestamp version 2 expires at ");
    assert_eq!(scratch.text("repo/repository/snapshot.json"), before);
    updates(&scratch, ["timestamp"])
        .within("repo")
        .ok()
        .says("timestamp version 3");
}

fn roots_prints_one_line() {
    let scratch = Scratch::new();
    fixture(&scratch, "rotated");
    // Neither keys nor anything else is needed or touched.
    std::fs::remove_dir_all(scratch.join("repo/keys")).unwrap();
    let before = scratch.state("repo");
    let ran = updates(&scratch, ["roots", "--path", "repo"]).ok();
    assert_eq!(
        ran.text(),
        scratch.text("repo/repository/3.root.json") + "\n"
    );
    before.unchanged(&scratch.state("repo"));
}

fn expirations() {
    let scratch = Scratch::new();
    updates(
        &scratch,
        [
            "init",
            "--path",
            "repo",
            "--root-expires",
            "1y",
            "--targets-expires",
            "10d",
            "--snapshot-expires",
            "48h",
            "--timestamp-expires",
            "2h",
        ],
    )
    .ok();
    let expires = |file: &str| -> jiff::Timestamp {
        let text = scratch.text(&format!("repo/repository/{file}"));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["signed"]["expires"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let hours = |file: &str| {
        let span = expires(file).as_second() - jiff::Timestamp::now().as_second();
        (span as f64 / 3600.0).round() as i64
    };
    assert_eq!(hours("timestamp.json"), 2);
    assert_eq!(hours("snapshot.json"), 48);
    assert_eq!(hours("targets.json"), 240);
    assert!([365 * 24, 366 * 24].contains(&hours("root.json")));
    updates(
        &scratch,
        ["timestamp", "--path", "repo", "--timestamp-expires", "soon"],
    )
    .fails(2)
    .says("\"soon\" is no time of validity");
}

fn published_text() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("one", elf(62));
    updates(
        &scratch,
        [
            "add",
            "--path",
            "repo",
            "--target",
            "one",
            "--name",
            "orbit",
            "--platform",
            "linux",
            "--version",
            "1.0&beta",
        ],
    )
    .ok();
    let text = scratch.text("repo/repository/targets.json");
    assert!(text.contains(r"orbit/linux/1.0\u0026beta/orbit") && !text.contains('&'));
    assert!(!text.ends_with('\n') && !text.contains(": "));
    assert!(text.starts_with(
        r#"{"signed":{"_type":"targets","spec_version":"1.0","version":2,"expires":""#
    ));
}

/// Runs a command that must fail and change nothing in `repo`.
#[track_caller]
fn refused(scratch: &Scratch, run: &Run, message: &str) {
    let before = scratch.state("repo");
    let ran = run.fails(1);
    assert_eq!(ran.message(), message, "\n{ran}");
    let after = scratch.state("repo");
    before.unchanged(&after);
}

fn refused_files() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("empty", "");
    scratch.write("arm", elf(183));
    let mut pe = vec![0; 0x86];
    pe[..2].copy_from_slice(b"MZ");
    pe[60] = 0x80;
    pe[0x80..].copy_from_slice(b"PE\0\0\x64\x86");
    scratch.write("program.exe", pe);
    std::fs::create_dir(scratch.join("folder")).unwrap();
    let fifo = scratch.join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let cases = [
        ("nowhere", "error: cannot add nowhere: it does not exist\n"),
        ("folder", "error: cannot add folder: it is a directory\n"),
        ("empty", "error: cannot add empty: it is empty\n"),
        ("fifo", "error: cannot add fifo: it is not a regular file\n"),
        (
            "arm",
            "error: arm is a Linux program for AArch64, and not a program for the platform linux\n  hint: --platform linux-arm64\n",
        ),
        (
            "program.exe",
            "error: program.exe is a Windows program for x86-64, and not a program for the platform linux\n  hint: --platform windows\n",
        ),
    ];
    for (file, message) in cases {
        refused(&scratch, &add(&scratch, file, "1.0.0"), message);
    }
    scratch.write("script", "#!/bin/sh\n");
    add(&scratch, "script", "1.0.0")
        .ok()
        .says("warning: script is a file of no known kind");
}

fn refused_names() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    let reasons = [
        ("..", "it contains \"..\""),
        ("/etc", "it is an absolute path"),
        ("a\\b", "it contains a backslash"),
        ("a\nb", "it contains a control character such as a newline"),
    ];
    let flags = ["--name", "--platform", "--version", "--tag"];
    for (value, reason) in reasons {
        for (flag, what) in flags
            .into_iter()
            .zip(["name", "platform", "version", "channel"])
        {
            let base = ["add", "--path", "repo", "--target", "orbit"];
            let rest = flags.into_iter().flat_map(|other| match other == flag {
                true => [other, value],
                false => [other, "x"],
            });
            let run = updates(&scratch, base.into_iter().chain(rest));
            let message = format!("error: the {what} {value:?} cannot be used: {reason}\n");
            refused(&scratch, &run, &message);
        }
    }
}

fn archive(entries: &[(tar::EntryType, &str)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (kind, path) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        // Written as it is: the crate would refuse what this archive is to show.
        header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, std::io::empty()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn refused_archives() {
    use tar::EntryType::{Char, Directory, Regular, Symlink};
    let scratch = Scratch::new();
    init(&scratch);
    let folder = (Directory, "fleet-desktop/");
    let link = (Symlink, "fleet-desktop/fleet-desktop");
    let good = [folder, (Regular, "fleet-desktop/fleet-desktop")];
    let cases = [
        ("link", archive(&[folder, link])),
        (
            "parent",
            archive(&[folder, (Regular, "fleet-desktop/../../x")]),
        ),
        ("absolute", archive(&[(Regular, "/etc/x")])),
        ("device", archive(&[folder, (Char, "fleet-desktop/null")])),
        ("none", b"no archive".to_vec()),
    ];
    let desktop = |file: &str| {
        let words = "add --path repo --name desktop --platform linux --version 1 --target";
        updates(&scratch, words.split(' ').chain([file]))
    };
    for (name, bytes) in cases {
        scratch.write(name, bytes);
        let before = scratch.state("repo");
        let ran = desktop(name).fails(1);
        ran.says(&format!(
            "error: agents would refuse the archive {name}\n  caused by: "
        ));
        before.unchanged(&scratch.state("repo"));
    }
    scratch.write("good", archive(&good));
    desktop("good")
        .ok()
        .says("published desktop/linux/1/desktop.tar.gz");
}

fn wrong_passphrase() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    let run = add(&scratch, "orbit", "1").env("FLEET_SNAPSHOT_PASSPHRASE", "made up and wrong");
    refused(
        &scratch,
        &run,
        "error: the passphrase in FLEET_SNAPSHOT_PASSPHRASE does not open repo/keys/snapshot.json\n  \
         hint: set FLEET_SNAPSHOT_PASSPHRASE to the right one, or unset it to be asked\n",
    );
    run.fails(1).never_says("made up");
}

fn missing_key() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    std::fs::remove_file(scratch.join("repo/keys/snapshot.json")).unwrap();
    refused(
        &scratch,
        &add(&scratch, "orbit", "1"),
        "error: the snapshot key is needed, and repo/keys/snapshot.json does not exist\n  \
         hint: cp KEPT/snapshot.json repo/keys/snapshot.json, or --path DIR, the folder that holds keys/\n",
    );
}

fn foreign_key() {
    let scratch = Scratch::new();
    init(&scratch);
    let other = harness::fixtures().join("go-tuf/fleetctl-style/keys/timestamp.json");
    std::fs::copy(other, scratch.join("repo/keys/timestamp.json")).unwrap();
    let ran = updates(&scratch, ["timestamp", "--path", "repo"]).fails(1);
    ran.says("error: no key in repo/keys/timestamp.json is a timestamp key of this repository\n");
}

fn no_repository() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.join("repo")).unwrap();
    for command in ["timestamp", "roots"] {
        refused(
            &scratch,
            &updates(&scratch, [command, "--path", "repo"]),
            "error: repo is not an update repository: repo/repository/root.json does not exist\n  \
             hint: fleetpack updates init --path repo, or --path DIR, the folder that holds repository/ and keys/\n",
        );
    }
    fixture(&scratch, "rotated");
    std::fs::remove_file(scratch.join("repo/repository/2.root.json")).unwrap();
    let ran = updates(&scratch, ["timestamp", "--path", "repo"]).fails(1);
    ran.says("error: the root metadata cannot be verified: repo/repository/2.root.json does not exist\n  hint: curl -o repo/repository/2.root.json URL/2.root.json");
}

fn rolled_back() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.copy(&scratch.join("repo/repository"), "old");
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    scratch.copy(&scratch.join("old"), "repo/repository");
    let run = updates(&scratch, ["timestamp", "--path", "repo"]);
    refused(
        &scratch,
        &run,
        "error: the repository was rolled back: timestamp.json has version 1, but version 2 was signed or seen here before\n  \
         hint: --state FILE, the memory that belongs to this repository, or else the newest copy of repository/ in its place\n",
    );
}

fn expired() {
    let scratch = Scratch::new();
    updates(
        &scratch,
        ["init", "--path", "repo", "--targets-expires", "1h"],
    )
    .ok();
    // The clock of the command is two hours ahead.
    let run = updates(&scratch, ["timestamp", "--path", "repo"]);
    let ran = run.at("+2h").fails(1);
    ran.says("error: the change was not made: agents would refuse it\n  caused by: targets.json expired at ");
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").ok();
}

fn staged_work() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("repo/staged/targets.json", "{}");
    refused(
        &scratch,
        &updates(&scratch, ["timestamp", "--path", "repo"]),
        "error: repo/staged/targets.json holds work of another tool that was not committed\n  \
         hint: `tuf commit` finishes it, `tuf clean` drops it\n",
    );
}

fn init_twice() {
    let scratch = Scratch::new();
    init(&scratch);
    let run = updates(&scratch, ["init", "--path", "repo"]);
    refused(
        &scratch,
        &run,
        "error: repo/keys exists already\n  hint: --path DIR, an empty folder\n",
    );
}

fn case_collision() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").ok();
    let run = updates(
        &scratch,
        [
            "add",
            "--path",
            "repo",
            "--target",
            "orbit",
            "--name",
            "orbit",
            "--platform",
            "linux",
            "--version",
            "Stable",
        ],
    );
    refused(
        &scratch,
        &run,
        "error: the target name orbit/linux/Stable/orbit collides with orbit/linux/stable/orbit\n",
    );
}

fn state_elsewhere() {
    let scratch = Scratch::new();
    init(&scratch);
    std::fs::remove_file(scratch.join("repo/keys/state.json")).unwrap();
    updates(
        &scratch,
        [
            "timestamp",
            "--path",
            "repo",
            "--state",
            "memory/state.json",
        ],
    )
    .ok()
    .says("no state file yet: trusting this repository's root, version 1, sha256 ");
    assert!(!scratch.join("repo/keys/state.json").exists());
    let state: serde_json::Value =
        serde_json::from_slice(&scratch.read("memory/state.json")).unwrap();
    assert_eq!(state["timestamp"]["version"], 2);
}

fn go_tuf_repository_is_edited(name: &str) {
    let scratch = Scratch::new();
    fixture(&scratch, name);
    let root = scratch.join("repo/keys/root.json");
    std::fs::remove_file(root).unwrap();
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "9.9.9").ok();
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    let added = match name {
        "consistent-snapshot" => {
            let digests = fleetpack::tuf::hashes::Digests::of(&elf(62));
            format!("{}.orbit", hex::encode(digests.sha512))
        }
        _ => "orbit".to_owned(),
    };
    let path = Path::new("repo/repository/targets/orbit/linux/9.9.9").join(added);
    assert_eq!(scratch.read(path.to_str().unwrap()), elf(62));
}
