//! Known secrets are looked for wherever they could have got to: output, verbose logs, command
//! lines of children, temporary folders, caches, memory images, and files that others can read.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::faults::{Answer, FaultServer};
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial, trial_needing};
use crate::updates::{elf, fixture};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("secrets/nowhere", nowhere),
        trial_needing("secrets/no_children", &["strace"], no_children),
        trial("secrets/no_memory_image", no_memory_image),
        trial("secrets/ways_in", ways_in),
        trial("secrets/short_one", short_one),
    ]
}

const SECRET: &str = "Zq7wK4rT9yBn2XcVm5LpD8sHf3GjE6aU";
const PASSPHRASE: &str = "correct-horse-9137-battery";

/// Commands one after the other, in one folder. What fails is looked at as well.
const COMMANDS: &[(&str, i32)] = &[
    ("updates init --path repo", 0),
    (
        "updates add --path repo --target new --name orbit --platform linux --version 1 -t stable",
        0,
    ),
    (
        "updates add --path repo --target new --name osqueryd --platform linux --version 1 -t stable -t edge",
        0,
    ),
    ("updates timestamp --path repo", 0),
    ("updates status --path repo", 0),
    ("updates verify --path repo", 0),
    ("updates rotate targets --path repo", 0),
    ("updates rotate --compromised timestamp --path repo", 0),
    (
        "updates promote --path repo --component osqueryd --from edge --to beta",
        0,
    ),
    ("updates remove osqueryd/linux/edge/osqueryd --path repo", 0),
    ("updates consistent-snapshot on --path repo", 0),
    ("updates prune --path repo --grace 0", 0),
    ("updates keys list --path repo", 0),
    ("updates keys add snapshot --new 1 --path repo", 0),
    ("updates keys threshold snapshot 1 --path repo", 0),
    ("updates keys passphrase targets --path repo", 0),
    ("updates pending show --path repo", 0),
    ("updates publish dest --path repo", 0),
    ("updates pull dest --path repo", 0),
    ("updates roots --path repo", 0),
    (
        "updates mirror --path plain --from repo/repository --update-roots @repo/repository/1.root.json --channel stable",
        0,
    ),
    ("updates timestamp --path plain", 0),
    ("updates rotate root --path plain", 0),
    (
        "updates add --path repo --target nowhere --name orbit --platform linux --version 1",
        1,
    ),
    ("package --type deb ARGS", 0),
    ("package --type rpm ARGS", 0),
    ("package --type pkg.tar.zst ARGS", 0),
    ("package --type deb ARGS --orbit-channel nowhere", 1),
    ("package --type deb ARGS --fleet-url=nonsense", 2),
    ("inspect out/INSTALLER", 0),
    ("doctor --path repo", 0),
    ("updates timestamp --path repo WRONG", 1),
];

fn run(scratch: &Scratch, words: &str) -> Run {
    let wrong = words.contains("WRONG");
    let installer = std::fs::read_dir(scratch.join("out"))
        .ok()
        .and_then(|mut files| files.next()?.ok())
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .unwrap_or_default();
    let args = "--update-url=repo/repository --update-roots=@repo/repository/1.root.json \
        --disable-updates --outdir=out --fleet-url=https://fleet.example.com --enroll-secret-file=secret";
    let words = words
        .replace("ARGS", args)
        .replace("INSTALLER", &installer)
        .replace(" WRONG", "");
    let mut run = scratch.fleetpack(words.split_whitespace()).arg("--verbose");
    let roles = ["ROOT", "TARGETS", "SNAPSHOT", "TIMESTAMP"];
    for role in roles {
        let value = if wrong {
            format!("{PASSPHRASE}-wrong")
        } else {
            format!("{PASSPHRASE}-{role}")
        };
        run = run.env(&format!("FLEET_{role}_PASSPHRASE"), value);
    }
    run.env(
        "FLEET_TARGETS_NEW_PASSPHRASE",
        format!("{PASSPHRASE}-TARGETS"),
    )
}

fn ground() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("new", elf(62));
    scratch.write("secret", SECRET);
    std::fs::set_permissions(scratch.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
    for folder in ["dest", "out"] {
        std::fs::create_dir(scratch.join(folder)).unwrap();
    }
    fixture(&scratch, "plaintext-keys");
    std::fs::rename(scratch.join("repo"), scratch.join("plain")).unwrap();
    let keys = std::fs::read_dir(scratch.join("plain/keys")).unwrap();
    for key in keys {
        let mode = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(key.unwrap().path(), mode).unwrap();
    }
    scratch
}

// The private keys that lie in the clear.
fn private_keys(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let Ok(text) = std::fs::read_to_string(file.unwrap().path()) else {
            continue;
        };
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once("\"private\": \"") {
            let (key, after) = after.split_once('"').unwrap();
            found.push(key.to_owned());
            rest = after;
        }
    }
    found
}

fn nowhere() {
    let scratch = ground();
    let mut needles = vec![SECRET.to_owned(), PASSPHRASE.to_owned()];
    let mut commands = 0;
    for (words, code) in COMMANDS {
        for key in private_keys(&scratch.join("plain/keys")) {
            if !needles.contains(&key) {
                needles.push(key);
            }
        }
        let ran = run(&scratch, words).run();
        assert_eq!(ran.code, Some(*code), "{words}: {ran}");
        for needle in &needles {
            ran.never_says(needle);
        }
        commands += 1;
    }
    assert!(needles.len() > 4, "no private key was known");
    let files = search(scratch.path(), &needles);
    eprintln!(
        "{commands} commands, {} secrets, {files} files",
        needles.len()
    );
}

/// Looks into every file of the scratch folder, where home, caches and `TMPDIR` are too.
fn search(folder: &Path, needles: &[String]) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += search(&path, needles);
            continue;
        }
        files += 1;
        let shown = path.display().to_string();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        let key = shown.contains("/keys/") && !shown.contains("/upstreams/");
        let ours = key || shown.contains("/out/") || shown.ends_with("cache.key");
        assert!(!ours || mode & 0o077 == 0, "{shown} has mode {mode:o}");
        let bytes = std::fs::read(&path).unwrap();
        let holder =
            shown.ends_with("/secret") || shown.contains("/plain/keys/") || shown.contains("/out/");
        for needle in needles.iter().filter(|_| !holder) {
            let at = bytes
                .windows(needle.len())
                .position(|part| part == needle.as_bytes());
            assert!(at.is_none(), "{shown} holds a secret");
        }
    }
    files
}

/// No other program is started that could see a command line or the environment.
fn no_children() {
    let scratch = ground();
    for words in [
        "updates init --path repo",
        "updates add --path repo --target new --name orbit --platform linux --version 1 -t stable",
        "updates add --path repo --target new --name osqueryd --platform linux --version 1 -t stable",
        "package --type deb ARGS",
        "package --type rpm ARGS",
    ] {
        let plain = run(&scratch, words).to_string();
        let strace = [
            "-f",
            "-qq",
            "-o",
            "calls",
            "-s",
            "4096",
            "-e",
            "trace=execve",
        ];
        let args = strace.into_iter().chain(plain.split(' '));
        let traced = scratch.tool("strace", args.collect::<Vec<_>>());
        let roles = ["ROOT", "TARGETS", "SNAPSHOT", "TIMESTAMP"];
        let traced = roles.iter().fold(traced, |run, role| {
            run.env(
                &format!("FLEET_{role}_PASSPHRASE"),
                format!("{PASSPHRASE}-{role}"),
            )
        });
        traced.ok().never_says(PASSPHRASE);
        let calls = scratch.text("calls");
        assert_eq!(calls.matches("execve(").count(), 1, "{words}: {calls}");
        assert!(!calls.contains(SECRET), "{words}: {calls}");
    }
}

/// A crash in the middle of it leaves no core file, whatever the limit was.
fn no_memory_image() {
    let scratch = ground();
    for words in &COMMANDS[..3] {
        run(&scratch, words.0).ok();
    }
    let server = FaultServer::new(&scratch.join("repo/repository"));
    server.order("/timestamp.json", Answer::Silent);
    let words = "package --type deb --update-roots=@repo/repository/1.root.json --disable-updates \
        --fleet-url=https://fleet.example.com --enroll-secret-file=secret";
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let line = format!(
        "ulimit -c unlimited; exec {program} {words} --update-url={}",
        server.url
    );
    let mut child = scratch
        .program(Path::new("/bin/bash"), ["-c", &line])
        .spawn();
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while !server
        .requests()
        .iter()
        .any(|r| r.path == "/timestamp.json")
    {
        assert!(std::time::Instant::now() < deadline, "it never asked");
        std::thread::sleep(Duration::from_millis(20));
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
    let status = child.wait().unwrap();
    assert!(
        !status.core_dumped() && status.code().is_none(),
        "{status:?}"
    );
    let image = scratch
        .state("")
        .names()
        .any(|name| name.to_string_lossy().starts_with("core"));
    assert!(!image, "a core file was written");
}

/// By argument, file, standard input and variable the same installer comes out.
fn ways_in() {
    let scratch = ground();
    for words in &COMMANDS[..3] {
        run(&scratch, words.0).ok();
    }
    let package = |name: &str| {
        let words = "package --type deb --update-url=repo/repository --disable-updates \
            --update-roots=@repo/repository/1.root.json --fleet-url=https://fleet.example.com";
        scratch
            .fleetpack(words.split_whitespace())
            .arg(format!("--outfile={name}.deb"))
            .env("SOURCE_DATE_EPOCH", "1700000000")
    };
    scratch.write("secret-line", format!("{SECRET}\n"));
    package("argument")
        .arg(format!("--enroll-secret={SECRET}"))
        .ok();
    package("file").arg("--enroll-secret-file=secret-line").ok();
    package("input")
        .arg("--enroll-secret-file=-")
        .input(SECRET)
        .ok();
    package("variable")
        .env("FLEETPACK_ENROLL_SECRET", SECRET)
        .ok();
    let first = scratch.read("argument.deb");
    for name in ["file", "input", "variable"] {
        assert!(first == scratch.read(&format!("{name}.deb")), "{name}");
    }
}

/// Others can see a digest of it in some formats.
fn short_one() {
    let scratch = ground();
    for words in &COMMANDS[..3] {
        run(&scratch, words.0).ok();
    }
    for (secret, warned) in [("fifteen-letters", true), ("sixteen-letters!", false)] {
        let words = "package --type rpm --update-url=repo/repository --disable-updates --outdir out \
            --update-roots=@repo/repository/1.root.json --fleet-url=https://fleet.example.com";
        let ran = scratch
            .fleetpack(words.split_whitespace())
            .env("FLEETPACK_ENROLL_SECRET", secret)
            .ok();
        assert_eq!(
            ran.stderr
                .contains("warning: the enroll secret has 15 characters"),
            warned,
            "{ran}"
        );
        ran.never_says(secret);
    }
}
