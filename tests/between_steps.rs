//! Clients that look at a repository between two renames of a publication: a failure is
//! allowed there, a wrong acceptance is not, and the next look succeeds. With consistent
//! snapshots none fails.
//!
//! The order of the file changes is what strace saw of the real command. It is replayed into
//! one folder for each step, and python-tuf, go-tuf and fleetpack's own client look at all of
//! them with the state that they had before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleetpack::tuf::client::{Client, Options};
use fleetpack::tuf::hashes::Digests;
use fleetpack::tuf::state::State;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::server::Server;
use crate::harness::{Scratch, tools, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{PASSPHRASES, add, elf, fixture, init, updates};

const TARGET: &str = "orbit/linux/stable/orbit";

/// When a look between two steps may fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failures {
    Never,
    /// With consistent snapshots none does.
    WithoutVersions,
    /// Nothing may be signed by keys that others hold, so that the new root leads the way.
    AfterCompromise,
}

/// A command whose steps are looked at.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    words: &'static str,
    /// What is done before, and further words.
    prepare: fn(&Scratch) -> Vec<String>,
    failures: Failures,
}

const fn case(name: &'static str, words: &'static str) -> Case {
    Case {
        name,
        words,
        prepare: |_| Vec::new(),
        failures: Failures::WithoutVersions,
    }
}

const CASES: [Case; 17] = [
    case(
        "add",
        "add --target new --name orbit --platform linux --version 2.0 -t stable",
    ),
    case(
        "promote",
        "promote --component orbit --from edge --to stable",
    ),
    case("remove", "remove orbit/linux/edge/orbit"),
    case("timestamp", "timestamp"),
    case("rotate_targets", "rotate targets"),
    case("rotate_snapshot", "rotate snapshot"),
    case("rotate_timestamp", "rotate timestamp"),
    case("rotate_root", "rotate root"),
    case("keys_add", "keys add targets --new 1"),
    Case {
        prepare: |scratch| vec![second_key(scratch, "targets")],
        ..case("keys_revoke", "keys revoke targets")
    },
    Case {
        prepare: |scratch| {
            second_key(scratch, "snapshot");
            Vec::new()
        },
        ..case("keys_threshold", "keys threshold snapshot 2")
    },
    Case {
        prepare: elsewhere,
        ..case("attach", "attach stick")
    },
    Case {
        prepare: upstream,
        ..case(
            "mirror",
            "mirror --channel stable --component orbit --platform linux",
        )
    },
    Case {
        prepare: leftovers,
        failures: Failures::Never,
        ..case("prune", "prune --grace 0")
    },
    Case {
        failures: Failures::Never,
        ..case("consistent_snapshot", "consistent-snapshot on")
    },
    Case {
        failures: Failures::AfterCompromise,
        ..case("compromised_targets", "rotate --compromised targets")
    },
    Case {
        failures: Failures::AfterCompromise,
        ..case("compromised_root", "rotate --compromised root,timestamp")
    },
];

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for case in CASES {
        for consistent in [false, true] {
            if consistent && case.name == "consistent_snapshot" {
                continue;
            }
            let suffix = if consistent { "_consistent" } else { "" };
            trials.push(trial_needing(
                &format!("between_steps/{}{suffix}", case.name),
                &["python-tuf", "go", "python3", "strace"],
                move || each_step(case, consistent),
            ));
        }
    }
    trials
}

/// Gives a role one key more, and says the first one.
fn second_key(scratch: &Scratch, role: &str) -> String {
    let root: Value = serde_json::from_slice(&scratch.read("repo/repository/root.json")).unwrap();
    updates(
        scratch,
        ["keys", "add", role, "--new", "1", "--path", "repo"],
    )
    .ok();
    let first = &root["signed"]["roles"][role]["keyids"][0];
    first.as_str().unwrap().to_owned()
}

/// A rotation waits for the root key, which is on another machine and has signed.
pub fn elsewhere(scratch: &Scratch) -> Vec<String> {
    for file in ["root.json", "pinned-root.json"] {
        let key = scratch.read(&format!("repo/keys/{file}"));
        scratch.write(&format!("vault/keys/{file}"), key);
    }
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    let words = ["rotate", "targets", "--path", "repo", "--json"];
    let held: Value = serde_json::from_slice(&updates(scratch, words).fails(5).stdout).unwrap();
    let id = held["generated"][0]["id"].as_str().unwrap();
    let words = "payload root --path repo --out stick";
    updates(scratch, words.split(' ')).ok();
    let words = format!("sign stick --path vault --allow-key {id}");
    updates(scratch, words.split(' ')).ok();
    Vec::new()
}

/// Another repository, in a folder, whose stable channel has the new program.
fn upstream(scratch: &Scratch) -> Vec<String> {
    updates(scratch, ["init", "--path", "there"]).ok();
    let words = "add --path there --target new --name orbit --platform linux --version 2 -t stable";
    updates(scratch, words.split(' ')).ok();
    let words = "--from there/repository --update-roots @there/repository/1.root.json";
    words.split(' ').map(str::to_owned).collect()
}

/// Files that nothing names.
fn leftovers(scratch: &Scratch) -> Vec<String> {
    scratch.write("repo/repository/targets/old/folder/file", "nobody's");
    scratch.write(
        "repo/repository/targets/orbit/linux/stable/other",
        "nobody's",
    );
    Vec::new()
}

fn each_step(case: Case, consistent: bool) {
    let scratch = Scratch::new();
    match consistent {
        true => fixture(&scratch, "consistent-snapshot"),
        false => drop(init(&scratch)),
    }
    let (old, new) = (elf(62), [elf(62).as_slice(), b"new"].concat());
    scratch.write("old", &old);
    scratch.write("new", &new);
    add(&scratch, "old", "1.0").ok();
    publish_edge(&scratch);
    let more = (case.prepare)(&scratch);
    scratch.copy(&scratch.join("repo/repository"), "before");
    let anchor = scratch.join("before/1.root.json");
    {
        let server = Server::python(&scratch.join("before"));
        for peer in [Peer::PythonTuf, Peer::GoTuf] {
            peer.follow(&scratch, &server.url, Some(&anchor), true);
        }
    }
    let words = case.words.split(' ').chain(more.iter().map(String::as_str));
    let steps = recorded(&scratch, words);
    assert!(!steps.is_empty(), "{steps:?}");
    replay(&scratch, &steps);
    let allowed = [sha256(&old), sha256(&new)];
    let may_fail = match case.failures {
        Failures::Never => false,
        Failures::WithoutVersions => !consistent,
        Failures::AfterCompromise => true,
    };
    for (who, lines) in [
        ("python-tuf", peer_lines(&scratch, Peer::PythonTuf)),
        ("go-tuf", peer_lines(&scratch, Peer::GoTuf)),
        ("fleetpack", own_lines(&scratch)),
    ] {
        judge(who, &lines, &allowed, may_fail);
    }
}

fn publish_edge(scratch: &Scratch) {
    let words = "add --path repo --target new --name orbit --platform linux --version 1.9 -t edge";
    updates(scratch, words.split(' ')).ok();
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Digests::of(bytes).sha256)
}

/// One change of a file in `repository/`.
#[derive(Debug)]
enum Change {
    /// It got these contents.
    Put(String, Vec<u8>),
    Removed(String),
}

// Runs the command under strace and takes the changes in their order.
fn recorded<'a>(scratch: &Scratch, words: impl Iterator<Item = &'a str>) -> Vec<Change> {
    let calls = "trace=rename,renameat,renameat2,unlink,unlinkat,link,linkat";
    // Slow enough for every state of timestamp.json to be seen, for it may change twice.
    let slowly = "inject=rename,renameat,renameat2:delay_exit=150000";
    let mut args = vec![
        "-f", "-qq", "-o", "calls", "-s", "4096", "-e", calls, "-e", slowly,
    ];
    args.extend([env!("CARGO_BIN_EXE_fleetpack"), "updates"]);
    args.extend(words);
    args.extend(["--path", "repo"]);
    let watch = Watch::begin(scratch.join("repo/repository/timestamp.json"));
    scratch.tool("strace", args).envs(PASSPHRASES).ok();
    let mut stamps = watch.end().into_iter();
    let text = scratch.text("calls");
    let done = text
        .lines()
        .filter(|line| line.trim_end_matches(" (DELAYED)").ends_with(" = 0"));
    done.filter_map(|line| {
        let (call, rest) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        let names: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        // The last name is the one that changes.
        let (_, name) = names.last()?.rsplit_once("repo/repository/")?;
        if name.starts_with("../") {
            return None;
        }
        Some(match call.starts_with("unlink") {
            true => Change::Removed(name.to_owned()),
            false if name == "timestamp.json" => Change::Put(
                name.to_owned(),
                stamps.next().expect("each timestamp was seen"),
            ),
            // What the same command removes afterwards has no contents left.
            false => Change::Put(
                name.to_owned(),
                std::fs::read(scratch.join("repo/repository").join(name)).unwrap_or_default(),
            ),
        })
    })
    .collect()
}

/// Takes down what a file becomes.
struct Watch {
    ended: Arc<AtomicBool>,
    seen: std::thread::JoinHandle<Vec<Vec<u8>>>,
}

impl Watch {
    fn begin(path: PathBuf) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let before = std::fs::read(&path).unwrap();
        let seen = std::thread::spawn(move || {
            let mut seen = vec![before];
            loop {
                let last = flag.load(Ordering::SeqCst);
                let now = std::fs::read(&path).unwrap();
                if seen.last() != Some(&now) {
                    seen.push(now);
                }
                if last {
                    seen.remove(0);
                    return seen;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { ended, seen }
    }

    fn end(self) -> Vec<Vec<u8>> {
        self.ended.store(true, Ordering::SeqCst);
        self.seen.join().unwrap()
    }
}

// One folder for each state, 000 being before.
fn replay(scratch: &Scratch, steps: &[Change]) {
    let mut last = scratch.copy(&scratch.join("before"), "steps/000");
    for (i, step) in steps.iter().enumerate() {
        let next = scratch.copy(&last, &format!("steps/{:03}", i + 1));
        match step {
            Change::Put(name, bytes) => {
                let to = next.join(name);
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::write(to, bytes).unwrap();
            }
            Change::Removed(name) => {
                std::fs::remove_file(next.join(name)).unwrap();
                // Folders that are empty now go with it.
                let parents = Path::new(name).ancestors().skip(1);
                let mut folders = parents.filter(|folder| folder.components().count() > 1);
                while folders
                    .next()
                    .is_some_and(|f| std::fs::remove_dir(next.join(f)).is_ok())
                {}
            }
        }
        last = next;
    }
    let now = scratch.state("repo/repository");
    now.unchanged(&crate::harness::TreeState::of(&last));
}

fn peer_lines(scratch: &Scratch, peer: Peer) -> Vec<String> {
    let ran = match peer {
        Peer::PythonTuf => scratch
            .python("between.py", ["steps", "python-state", TARGET])
            .ok(),
        Peer::GoTuf => {
            let program = tools::go_program("go-tuf");
            let args = ["between", "steps", "go-state", TARGET];
            scratch.program(&program, args).ok()
        }
    };
    ran.text().lines().map(str::to_owned).collect()
}

// The same lines from our own client.
fn own_lines(scratch: &Scratch) -> Vec<String> {
    let anchor = scratch.read("before/1.root.json");
    let look = |step: &Path, state: &Path| -> String {
        let store = fleetpack::store::Disk::new(step.to_owned()).unwrap();
        let state = Some(State::at(state));
        let mut client = Client::new(Box::new(store), anchor.clone(), state, Options::default());
        let mut file = tempfile::tempfile().unwrap();
        let version = client
            .refresh(jiff::Timestamp::now())
            .map(|trusted| trusted.targets().version());
        match version.and_then(|v| Ok((v, client.download(TARGET, &mut file)?))) {
            Ok((version, digests)) => format!("{version} {}", hex::encode(digests.sha256)),
            Err(_) => "-".to_owned(),
        }
    };
    let mut steps: Vec<PathBuf> = std::fs::read_dir(scratch.join("steps"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    steps.sort();
    let (first, last) = (&steps[0], steps.last().unwrap());
    look(first, &scratch.join("own-state"));
    let mut lines = Vec::new();
    for step in &steps {
        let name = step.file_name().unwrap().to_string_lossy();
        let state = scratch.copy(&scratch.join("own-state"), &format!("own-{name}"));
        let seen = look(step, &state);
        lines.push(format!("{name} {seen} {}", look(last, &state)));
    }
    let state = scratch.copy(&scratch.join("own-state"), "own-chain");
    let chain: Vec<_> = steps.iter().map(|step| look(step, &state)).collect();
    lines.push(format!("chain {}", chain.last().unwrap()));
    lines
}

fn judge(who: &str, lines: &[String], allowed: &[String], may_fail: bool) {
    let all = lines.join("\n");
    let (chain, steps) = lines.split_last().unwrap();
    // What the last step gives, by its first look.
    let last: Vec<&str> = steps.last().unwrap().split(' ').collect();
    let end = last[1..].split_at(2).0;
    assert!(allowed.iter().any(|hash| hash == end[1]), "{who}:\n{all}");
    assert_eq!(*chain, format!("chain {}", end.join(" ")), "{who}:\n{all}");
    for line in steps {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words.ends_with(end), "{who}, the next look, {line}:\n{all}");
        match words[1] {
            "-" => assert!(may_fail, "{who} failed at {line}:\n{all}"),
            _ => assert!(
                allowed.iter().any(|hash| hash == words[2]),
                "{who} accepted other bytes at {line}:\n{all}"
            ),
        }
    }
}
