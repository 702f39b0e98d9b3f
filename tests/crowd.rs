//! Many at once on one repository: each waits for the others, all of them come in, and no
//! version is left out. Whoever died holding the lock is waited for by nobody.

use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::{Scratch, trial, trial_needing};
use crate::updates::{elf, fixture, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("crowd/eight_and_eight", eight_and_eight),
        trial_needing("crowd/dead_holder", &["strace"], dead_holder),
    ]
}

const EACH: u64 = 8;

fn eight_and_eight() {
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    let versions = |role: &str| -> u64 {
        let text = scratch.text(&format!("repo/repository/{role}.json"));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["signed"]["version"].as_u64().unwrap()
    };
    let before = ["targets", "snapshot", "timestamp"].map(versions);
    let mut runs = Vec::new();
    for number in 0..EACH {
        let file = format!("program-{number}");
        scratch.write(&file, [elf(62), number.to_le_bytes().to_vec()].concat());
        let version = format!("9.{number}");
        let words = "add --path repo --name orbit --platform linux --target";
        let args = words.split(' ').chain([&*file, "--version", &version]);
        runs.push(updates(&scratch, args.collect::<Vec<_>>()));
        runs.push(updates(&scratch, ["timestamp", "--path", "repo"]));
    }
    let threads: Vec<_> = runs
        .into_iter()
        .map(|run| std::thread::spawn(move || run.ok()))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let after = ["targets", "snapshot", "timestamp"].map(versions);
    let expected = [before[0] + EACH, before[1] + EACH, before[2] + 2 * EACH];
    assert_eq!(after, expected, "a version is missing");
    let targets = scratch.text("repo/repository/targets.json");
    for number in 0..EACH {
        let name = format!("orbit/linux/9.{number}/orbit");
        assert!(targets.contains(&name), "{name} is missing");
        let path = format!("repo/repository/targets/{name}");
        assert_eq!(
            scratch.read(&path),
            scratch.read(&format!("program-{number}"))
        );
    }
    updates(&scratch, ["verify", "--path", "repo"]).ok();
}

fn dead_holder() {
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    let kill = [
        "-f",
        "-qq",
        "-o",
        "calls",
        "-e",
        "inject=rename,renameat,renameat2:signal=KILL:when=2",
    ];
    let words = [
        env!("CARGO_BIN_EXE_fleetpack"),
        "updates",
        "timestamp",
        "--path",
        "repo",
    ];
    let ran = scratch.tool("strace", kill.iter().chain(&words)).run();
    assert_ne!(ran.code, Some(0), "{ran}");
    assert!(scratch.join("repo/.fleetpack/lock").exists());
    let next = updates(&scratch, ["timestamp", "--path", "repo"]);
    next.limit(Duration::from_secs(120)).ok();
    updates(&scratch, ["verify", "--path", "repo"]).ok();
}
