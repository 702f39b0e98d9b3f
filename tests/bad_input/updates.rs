//! What can be wrong with keys, folders, names and files handed to `updates`.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;

use super::ground::{Ground, PASSPHRASES, elf};
use crate::harness::{trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("bad_input/wrong_passphrase", wrong_passphrase),
        trial("bad_input/missing_key_file", missing_key_file),
        trial("bad_input/key_that_root_does_not_know", foreign_key),
        trial("bad_input/no_repository", no_repository),
        trial("bad_input/no_numbered_root", no_numbered_root),
        trial("bad_input/target_that_is_no_file", target_that_is_no_file),
        trial_needing("bad_input/target_is_a_fifo", &["mkfifo"], fifo),
        trial("bad_input/target_changes", target_changes),
        trial("bad_input/names_that_lead_elsewhere", names),
        trial("bad_input/programs_of_other_systems", other_systems),
    ]
}

fn wrong_passphrase() {
    let ground = Ground::new();
    let mut record = ground.record();
    let timestamp = ground.updates(&["timestamp"]);
    let wrong = timestamp.clone().env("FLEET_TIMESTAMP_PASSPHRASE", "wrong");
    record.refused("timestamp", &wrong);
    for role in ["TARGETS", "SNAPSHOT", "TIMESTAMP"] {
        let variable = format!("FLEET_{role}_PASSPHRASE");
        record.refused(
            &format!("add, {role}"),
            &ground.add(&[]).env(&variable, "wrong"),
        );
    }
    let none = timestamp.env("FLEET_TIMESTAMP_PASSPHRASE", "");
    record.refused("empty, and no terminal to ask", &none);
    let init = ground
        .fleetpack(["updates", "init", "--path", "another"])
        .envs(PASSPHRASES)
        .env("FLEET_TARGETS_PASSPHRASE", "");
    record.refused("init with an empty one", &init);
    record.compare("wrong_passphrase");
}

fn missing_key_file() {
    let ground = Ground::new();
    let mut record = ground.record();
    for role in ["targets", "snapshot", "timestamp"] {
        let key = ground.join(format!("updates/keys/{role}.json"));
        let bytes = std::fs::read(&key).unwrap();
        std::fs::remove_file(&key).unwrap();
        record.refused(&format!("add without {role}"), &ground.add(&[]));
        if role == "timestamp" {
            record.refused(
                "timestamp without timestamp",
                &ground.updates(&["timestamp"]),
            );
        }
        std::fs::write(&key, bytes).unwrap();
    }
    record.compare("missing_key_file");
    std::fs::remove_file(ground.join("updates/keys/root.json")).unwrap();
    ground.add(&[]).ok();
}

fn foreign_key() {
    let ground = Ground::new();
    ground
        .fleetpack(["updates", "init", "--path", "another"])
        .envs(PASSPHRASES)
        .ok();
    let mut record = ground.record();
    for role in ["targets", "snapshot", "timestamp"] {
        let name = format!("updates/keys/{role}.json");
        let own = ground.read(&name);
        ground.write(&name, ground.read(&format!("another/keys/{role}.json")));
        record.refused(role, &ground.add(&[]));
        ground.write(&name, own);
    }
    ground.write("updates/keys/targets.json", "{\"encrypted\":");
    record.refused("no key file at all", &ground.add(&[]));
    record.compare("foreign_key");
}

fn no_repository() {
    let ground = Ground::new();
    std::fs::create_dir(ground.join("empty")).unwrap();
    ground.write("file", "");
    let mut record = ground.record();
    for folder in ["empty", "nowhere", "file"] {
        for command in ["timestamp", "roots"] {
            let run = ground
                .fleetpack(["updates", command, "--path", folder])
                .envs(PASSPHRASES);
            record.refused(&format!("{command} in {folder}"), &run);
        }
        let run = ground.package_from(&["--update-url", folder, "--disable-updates"]);
        record.refused(&format!("package from {folder}"), &run);
    }
    record.refused("init where one is", &ground.updates(&["init"]));
    record.compare("no_repository");
}

fn no_numbered_root() {
    let ground = Ground::new();
    std::fs::remove_file(ground.join("updates/repository/1.root.json")).unwrap();
    std::fs::remove_file(ground.join("updates/keys/state.json")).unwrap();
    let mut record = ground.record();
    record.refused("timestamp", &ground.updates(&["timestamp"]));
    record.refused("add", &ground.add(&[]));
    record.compare("no_numbered_root");
}

fn target_that_is_no_file() {
    let ground = Ground::new();
    std::fs::create_dir(ground.join("folder")).unwrap();
    ground.write("empty", "");
    let mut record = ground.record();
    for target in ["nowhere", "folder", "empty", "/dev/null"] {
        let args = ["add", "--target", target, "--name", "orbit"];
        let more = ["--platform", "linux", "--version", "2"];
        let run = ground.updates(&[&args[..], &more[..]].concat());
        record.refused(target, &run.limit(Duration::from_secs(20)));
    }
    record.compare("target_that_is_no_file");
}

fn fifo() {
    let ground = Ground::new();
    ground.tool("mkfifo", ["pipe"]).ok();
    let args = ["add", "--target", "pipe", "--name", "orbit"];
    let more = ["--platform", "linux", "--version", "2"];
    let run = ground.updates(&[&args[..], &more[..]].concat());
    let mut record = ground.record();
    // Opened as a file is, a pipe without a writer never answers.
    record.refused("a FIFO", &run.limit(Duration::from_secs(20)));
    record.compare("fifo");
}

/// The file is written to for as long as the command runs: whatever was hashed is not what
/// lies there now.
fn target_changes() {
    let ground = Ground::new();
    let path = ground.write("growing", "");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(96 << 20)
        .unwrap();
    let before = ground.state().without("growing");
    let args = ["add", "--target", "growing", "--name", "orbit"];
    let more = ["--platform", "linux", "--version", "2"];
    let run = ground.updates(&[&args[..], &more[..]].concat());
    let ended = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = std::fs::File::options().append(true).open(&path).unwrap();
            while !ended.load(Ordering::SeqCst) {
                file.write_all(b"more").unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let ran = run.run();
        ended.store(true, Ordering::SeqCst);
        ran
    });
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.says("growing").says("changed");
    before.unchanged(&ground.state().without("growing"));
}

fn names() {
    let ground = Ground::new();
    let mut record = ground.record();
    let values = ["..", "a/../b", "/etc", "a\\b", "a\nb", "", ".", "a//b"];
    for flag in ["--name", "--platform", "--version", "--tag"] {
        for value in values {
            let mut args = vec!["add", "--target", "orbit"];
            for (other, usual) in [
                ("--name", "orbit"),
                ("--platform", "linux"),
                ("--version", "2"),
                ("--tag", "stable"),
            ] {
                args.extend([other, if other == flag { value } else { usual }]);
            }
            record.refused(&format!("{flag} {value:?}"), &ground.updates(&args));
        }
    }
    record.compare("names");
}

fn other_systems() {
    let ground = Ground::new();
    ground.write("pe-amd64", pe(0x8664));
    ground.write("pe-arm64", pe(0xaa64));
    ground.write("elf-amd64", elf(62, ""));
    ground.write("elf-arm64", elf(183, ""));
    ground.write("mach-o", [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1].repeat(8));
    let add = |file: &str, platform: &str| {
        let args = ["add", "--target", file, "--name", "orbit"];
        let more = ["--platform", platform, "--version", "2"];
        ground.updates(&[&args[..], &more[..]].concat())
    };
    let mut record = ground.record();
    for (file, platform) in [
        ("pe-amd64", "linux"),
        ("elf-arm64", "linux"),
        ("elf-amd64", "linux-arm64"),
        ("mach-o", "linux"),
        ("elf-amd64", "macos"),
        ("elf-amd64", "windows"),
        ("pe-arm64", "windows"),
        ("pe-amd64", "windows-arm64"),
    ] {
        record.refused(&format!("{file} as {platform}"), &add(file, platform));
    }
    ground.write("script", "#!/bin/sh\n");
    record.warned("a script", &add("script", "linux"));
    record.compare("other_systems");
    add("elf-amd64", "linux").ok().never_says("warning");
    add("elf-arm64", "linux-arm64").ok().never_says("warning");
}

/// The head of a PE file for a machine, padded.
fn pe(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80; // e_lfanew
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
    bytes
}
