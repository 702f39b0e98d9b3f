//! Kills from outside: strace ends the real process at a call that a seed chooses. Keys and clients
//! look at what is left, then the next command. The seed is printed; `FLEETPACK_SEED` gives it again.

use std::time::{SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;

use crate::crashes::scene::client;
use crate::harness::{Scratch, trial_needing};
use crate::updates::{add, elf, fixture, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (prefix, kills, long) in [("witness", 6, false), ("long_witness", 120, true)] {
        for (name, words) in COMMANDS {
            let name = format!("{prefix}/{name}");
            let body = move || killed(words, kills);
            let trial = trial_needing(&name, &["strace"], body);
            trials.push(match long {
                false => trial,
                true => trial.with_ignored_flag(true),
            });
        }
    }
    trials
}

const COMMANDS: [(&str, &str); 4] = [
    (
        "add",
        "add --path repo --target new --name orbit --platform linux --version 2 -t stable",
    ),
    ("timestamp", "timestamp --path repo"),
    ("rotate", "rotate targets --path repo"),
    ("consistent", "consistent-snapshot on --path repo"),
];

/// Calls that change the disk.
const CALLS: [&str; 9] = [
    "openat",
    "write",
    "fsync",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "mkdir",
    "copy_file_range",
];

/// Numbers from a seed (SplitMix64, Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn killed(words: &str, kills: usize) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let given = std::env::var("FLEETPACK_SEED").ok();
    let seed = given.map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap());
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    let (old, new) = (elf(62), [elf(62).as_slice(), b"new"].concat());
    scratch.write("old", &old);
    scratch.write("new", &new);
    add(&scratch, "old", "1").ok();
    let base = scratch.copy(&scratch.join("repo"), "base");
    let keys = scratch.state("repo/keys");
    // How often each call comes.
    strace(
        &scratch,
        words,
        &["-o", "calls", "-e", &format!("trace={}", CALLS.join(","))],
    );
    let calls = scratch.text("calls");
    let mut random = Random(seed);
    let mut struck = 0;
    for _ in 0..kills {
        std::fs::remove_dir_all(scratch.join("repo")).unwrap();
        scratch.copy(&base, "repo");
        let call = CALLS[random.below(CALLS.len())];
        let count = calls.matches(&format!(" {call}(")).count().max(1);
        let when = random.below(count) + 1;
        let inject = format!("inject={call}:signal=KILL:when={when}");
        let code = strace(&scratch, words, &["-o", "killed", "-e", &inject]);
        struck += usize::from(code != Some(0));
        let at = format!("seed {seed}: {words}: {call} {when}");
        let left = scratch.state("repo/keys");
        let gone = keys
            .names()
            .find(|key| !left.names().any(|name| name == *key));
        assert_eq!(gone, None, "{at}: a key file");
        match client(
            &scratch.join("repo/repository"),
            &scratch.join("base/repository/1.root.json"),
            None,
            "orbit/linux/stable/orbit",
        ) {
            Ok((_, bytes)) => assert!(bytes == old || bytes == new, "{at}: other bytes"),
            // Between two renames; the next command ends that.
            Err(error) => {
                let between = scratch.join("repo/.fleetpack/commit.json").exists();
                assert!(between, "{at}: a client failed: {error}");
            }
        }
        look(&scratch, &at);
    }
    assert!(struck > 0, "seed {seed}: {words}: nothing was killed");
    eprintln!("{words}: seed {seed}, {struck} of {kills} killed");
}

fn strace(scratch: &Scratch, words: &str, args: &[&str]) -> Option<i32> {
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let all = ["-f", "-qq"].iter().chain(args).copied();
    let all = all.chain([program, "updates"]).chain(words.split(' '));
    let run = scratch.tool("strace", all);
    run.envs(crate::updates::PASSPHRASES).run().code
}

fn look(scratch: &Scratch, at: &str) {
    // The next command completes or drops what it finds, and nothing of it stays.
    let next = updates(scratch, ["timestamp", "--path", "repo"]).run();
    assert_eq!(next.code, Some(0), "{at}: {next}");
    let verified = updates(scratch, ["verify", "--path", "repo"]).run();
    assert_eq!(verified.code, Some(0), "{at}: {verified}");
    // Every key signs.
    let words = "add --path repo --target new --name orbit --platform linux --version 3";
    let added = updates(scratch, words.split(' ')).run();
    assert_eq!(added.code, Some(0), "{at}: {added}");
    let rotated = updates(scratch, ["rotate", "timestamp", "--path", "repo"]).run();
    assert_eq!(rotated.code, Some(0), "{at}: {rotated}");
    for name in scratch.state("repo").names() {
        let shown = name.display().to_string();
        let left = shown.contains("/.fleetpack-") || shown.ends_with("commit.json");
        let temporary = shown.contains(".fleetpack-") && !shown.starts_with(".fleetpack/");
        assert!(!left && !temporary, "{at}: {shown} stayed");
    }
}
