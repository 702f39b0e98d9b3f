//! Broken repositories by name, each made of a good one: `updates verify` and `updates status`
//! name what is wrong with it, and nothing else.
//!
//! `tests/fixtures/broken/repositories.golden` is the table: for each name what both say.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use fleetpack::tuf::json;
use fleetpack::tuf::keystore::{
    FileKey, Keystore, Origin, Passphrase, PassphraseError, Passphrases, Signer,
};
use fleetpack::tuf::metadata::Role;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scratch::Ran;
use crate::harness::{Scratch, golden, trial_needing};
use crate::updates::{PASSPHRASES, add, elf, fixture, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![trial_needing(
        "broken_repositories/named",
        &["faketime"],
        each_is_named,
    )]
}

type Break = fn(&Broken);

const CASES: &[(&str, Break)] = &[
    ("nothing is wrong", |_| {}),
    ("old snapshot put back", |b| b.put_back(&["snapshot.json"])),
    ("old timestamp and snapshot put back", |b| {
        b.put_back(&["snapshot.json", "timestamp.json"]);
    }),
    ("old state of everything put back", |b| {
        b.remember();
        b.put_back(&["targets.json", "snapshot.json", "timestamp.json"]);
        b.write("repository/targets/orbit/linux/stable/orbit", &elf(62));
    }),
    ("versions of two roots swapped", |b| {
        b.rename("1.root.json", "x");
        b.rename("2.root.json", "1.root.json");
        b.rename("x", "2.root.json");
    }),
    ("bytes of a target changed", |b| {
        b.write(TARGET, &[7; 70]);
    }),
    ("a target is longer", |b| b.write(TARGET, &[7; 71])),
    ("a target is missing", |b| b.remove(TARGET)),
    ("a folder in a target's place", |b| {
        b.remove(TARGET);
        std::fs::create_dir(b.path(TARGET)).unwrap();
    }),
    ("key file of another repository", |b| {
        b.scratch.copy(
            &crate::harness::fixtures().join("go-tuf/plaintext-keys"),
            "other",
        );
        let foreign = b.scratch.read("other/keys/targets.json");
        b.write("keys/targets.json", &foreign);
    }),
    ("sealed key file of another repository", |b| {
        updates(&b.scratch, ["init", "--path", "other"]).ok();
        let foreign = b.scratch.read("other/keys/targets.json");
        b.write("keys/targets.json", &foreign);
    }),
    ("stale state.json", |b| {
        let old = b.scratch.read("old/keys/state.json");
        b.write("keys/state.json", &old);
    }),
    ("another document under a version that was seen", |b| {
        b.remember();
        b.sign_same("timestamp", |signed| signed["x"] = json!(1));
    }),
    ("state.json is no JSON", |b| {
        b.write("keys/state.json", b"{")
    }),
    ("a signature too few", |b| {
        b.change("targets", &|_| {}, &Vec::clear);
    }),
    ("a signature of somebody else", |b| {
        b.change("snapshot", &|_| {}, &|signatures| {
            signatures[0]["sig"] = json!("00".repeat(64));
        });
    }),
    ("a threshold above the keys", |b| {
        b.sign("root", |signed| {
            signed["roles"]["snapshot"]["threshold"] = json!(3)
        });
    }),
    ("root.json newer than the highest N.root.json", |b| {
        b.sign("root", |_| {});
        b.remove("repository/3.root.json");
    }),
    ("root.json older than the highest N.root.json", |b| {
        let first = b.scratch.read("repo/repository/1.root.json");
        b.write("repository/root.json", &first);
    }),
    ("first root missing", |b| b.remove("repository/1.root.json")),
    ("root missing in the chain", |b| {
        b.sign("root", |_| {});
        b.remove("repository/2.root.json");
    }),
    ("unknown top-level role", |b| {
        b.sign("root", |signed| {
            signed["roles"]["mirrors"] = json!({"keyids": [], "threshold": 1});
        });
    }),
    ("key of an unknown type", |b| {
        b.sign("root", |signed| {
            signed["keys"]["00ff"] =
                json!({"keytype": "quantum", "scheme": "new", "keyval": {"public": "00"}});
        });
    }),
    ("key under a foreign id", |b| {
        b.sign("root", |signed| {
            let id = signed["roles"]["snapshot"]["keyids"][0].as_str().unwrap();
            signed["keys"]["00ff"] = signed["keys"][id].clone();
        });
    }),
    ("snapshot lists root.json as old go-tuf did", |b| {
        b.sign("snapshot", |signed| {
            signed["meta"]["root.json"] = json!({"version": 1});
        });
    }),
    ("snapshot lists no targets.json", |b| {
        b.sign("snapshot", |signed| signed["meta"] = json!({}));
    }),
    ("expires with an offset", |b| {
        b.sign("snapshot", |signed| {
            signed["expires"] = json!("2035-01-01T02:00:00+02:00");
        });
    }),
    ("expires is no time", |b| {
        b.sign("timestamp", |signed| signed["expires"] = json!("tomorrow"));
    }),
    ("an expired role", |b| {
        b.sign("snapshot", |signed| {
            signed["expires"] = json!("2020-01-01T00:00:00Z");
        });
    }),
    ("names that collide", |b| {
        let orbit = b.scratch.read(&format!("repo/{TARGET}"));
        b.write("repository/targets/orbit/linux/Stable/orbit", &orbit);
        b.sign("targets", |signed| {
            signed["targets"]["orbit/linux/Stable/orbit"] =
                signed["targets"]["orbit/linux/stable/orbit"].clone();
        });
    }),
    ("truncated metadata", |b| {
        let timestamp = b.scratch.read("repo/repository/timestamp.json");
        b.write("repository/timestamp.json", &timestamp[..200]);
    }),
    ("truncated targets.json", |b| {
        let targets = b.scratch.read("repo/repository/targets.json");
        b.write("repository/targets.json", &targets[..200]);
    }),
    ("empty metadata", |b| {
        b.write("repository/timestamp.json", b"")
    }),
    ("missing metadata", |b| b.remove("repository/snapshot.json")),
    ("oversized metadata", |b| {
        let mut timestamp = b.scratch.read("repo/repository/timestamp.json");
        timestamp.resize(20_000, b' ');
        b.write("repository/timestamp.json", &timestamp);
    }),
    ("duplicate JSON member", |b| {
        let text = b.scratch.text("repo/repository/timestamp.json");
        let text = text.replacen("\"version\":", "\"version\":1,\"version\":", 1);
        b.write("repository/timestamp.json", text.as_bytes());
    }),
    ("metadata of another role", |b| {
        let snapshot = b.scratch.read("repo/repository/snapshot.json");
        b.write("repository/timestamp.json", &snapshot);
    }),
    ("spec_version of another world", |b| {
        b.sign("timestamp", |signed| signed["spec_version"] = json!("2.0"));
    }),
    ("private key published", |b| {
        let key = b.scratch.read("repo/keys/targets.json");
        b.write("repository/keys/targets.json", &key);
    }),
    ("a change was interrupted", |b| {
        b.write(".fleetpack/commit.json", br#"{"renames":[],"removals":[]}"#);
    }),
    ("a web page in place of metadata", |b| {
        b.write("repository/timestamp.json", b"<!DOCTYPE html><html></html>");
    }),
];

const TARGET: &str = "repository/targets/orbit/linux/stable/orbit";

fn each_is_named() {
    let sections = Mutex::new(vec![String::new(); CASES.len()]);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        loop {
            let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some((name, breaks)) = CASES.get(i) else {
                return;
            };
            let broken = Broken::new();
            breaks(&broken);
            sections.lock().unwrap()[i] = broken.section(name, "");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let mut text = sections.into_inner().unwrap().concat();
    text += &future_clock();
    text += &consistent_copy_missing();
    golden("broken/repositories.golden", &text);
}

// The machine's own clock is wrong.
fn future_clock() -> String {
    Broken::new().section("a clock in the future", "+400d")
}

fn consistent_copy_missing() -> String {
    let scratch = Scratch::new();
    fixture(&scratch, "consistent-snapshot");
    scratch.write("new", elf(62));
    add(&scratch, "new", "2.0").ok();
    let digest = hex::encode(fleetpack::tuf::hashes::Digests::of(&elf(62)).sha256);
    let file = format!("repo/repository/targets/orbit/linux/2.0/{digest}.orbit");
    std::fs::remove_file(scratch.join(file)).unwrap();
    scratch.copy(&scratch.join("repo/repository/1.root.json"), "anchor.json");
    let broken = Broken { scratch };
    broken.section("a copy under a hash is missing", "")
}

/// A repository that is being broken.
struct Broken {
    scratch: Scratch,
}

// Two roots, two versions of orbit; `old` is what it was before the second. Made once.
fn good() -> &'static Scratch {
    static GOOD: OnceLock<Scratch> = OnceLock::new();
    GOOD.get_or_init(|| {
        let scratch = Scratch::new();
        init(&scratch);
        scratch.write("orbit", elf(62));
        scratch.write("orbit2", [elf(62).as_slice(), b"second"].concat());
        let rotate = ["rotate", "timestamp", "--path", "repo"];
        updates(&scratch, rotate).ok();
        add(&scratch, "orbit", "1.0").ok();
        scratch.copy(&scratch.join("repo"), "old");
        add(&scratch, "orbit2", "2.0").ok();
        scratch
    })
}

/// A repository in `repo` whose snapshot names these files beside its own: signed by somebody
/// who holds the keys of snapshot and timestamp.
pub fn whose_snapshot_names(names: &[String]) -> Scratch {
    let broken = Broken::new();
    broken.sign("snapshot", |signed| {
        for name in names {
            signed["meta"][name] = json!({"version": 1});
        }
    });
    broken.scratch
}

impl Broken {
    fn new() -> Self {
        let scratch = Scratch::new();
        for name in ["repo", "old"] {
            scratch.copy(&good().join(name), name);
        }
        // An anchor from elsewhere, and no memory: most faults are seen without one.
        scratch.copy(&good().join("repo/repository/1.root.json"), "anchor.json");
        std::fs::remove_file(scratch.join("repo/keys/state.json")).unwrap();
        Self { scratch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join("repo").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        self.scratch.write(&format!("repo/{name}"), bytes);
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        let folder = self.path("repository");
        std::fs::rename(folder.join(from), folder.join(to)).unwrap();
    }

    fn put_back(&self, names: &[&str]) {
        for name in names {
            let old = self.scratch.read(&format!("old/repository/{name}"));
            self.write(&format!("repository/{name}"), &old);
        }
    }

    // With the memory of the good repository.
    fn remember(&self) {
        let state = std::fs::read(good().join("repo/keys/state.json")).unwrap();
        self.write("keys/state.json", &state);
    }

    /// Signs a changed document under the next version, and what lists it.
    fn sign(&self, role: &str, change: impl Fn(&mut Value)) {
        self.change(role, &change, &|_| {});
    }

    fn sign_same(&self, role: &str, change: impl Fn(&mut Value)) {
        self.put(role, false, &change, &|_| {});
    }

    fn change(&self, role: &str, change: &dyn Fn(&mut Value), bend: &dyn Fn(&mut Vec<Value>)) {
        let bytes = self.put(role, true, change, bend);
        let superior = match role {
            "targets" => "snapshot",
            "snapshot" => "timestamp",
            _ => return,
        };
        let digests = fleetpack::tuf::hashes::Digests::of(&bytes);
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        self.sign(superior, |signed| {
            signed["meta"][format!("{role}.json")] = json!({
                "length": digests.length,
                "hashes": {"sha512": hex::encode(digests.sha512)},
                "version": document["signed"]["version"],
            });
        });
    }

    fn put(
        &self,
        role: &str,
        next: bool,
        change: &dyn Fn(&mut Value),
        bend: &dyn Fn(&mut Vec<Value>),
    ) -> Vec<u8> {
        let name = format!("repository/{role}.json");
        let document = self.scratch.read(&format!("repo/{name}"));
        let mut document: Value = serde_json::from_slice(&document).unwrap();
        let signed = &mut document["signed"];
        if next {
            signed["version"] = json!(signed["version"].as_u64().unwrap() + 1);
        }
        change(signed);
        let message = json::canonical(signed).unwrap();
        let mut signatures: Vec<Value> = keys(role)
            .iter()
            .map(|key| {
                let sig = hex::encode(key.sign(&message).unwrap());
                json!({"keyid": key.public().id(), "sig": sig})
            })
            .collect();
        bend(&mut signatures);
        document["signatures"] = Value::Array(signatures);
        let bytes = serde_json::to_vec(&document).unwrap();
        self.write(&name, &bytes);
        if role == "root" {
            let version = &document["signed"]["version"];
            self.write(&format!("repository/{version}.root.json"), &bytes);
        }
        bytes
    }

    // What both commands say, without what differs from run to run.
    fn section(&self, name: &str, time: &str) -> String {
        let mut text = format!("# {name}\n");
        for command in ["verify", "status"] {
            let anchor = ["--update-roots", "@anchor.json"];
            let mut run = updates(&self.scratch, [command, "--path", "repo"]);
            for word in anchor {
                run = run.arg(word);
            }
            let ran = match time {
                "" => run.run(),
                time => run.at(time).run(),
            };
            text += &format!("{command}: exit code {}\n", ran.code.unwrap());
            text += &said(&ran);
        }
        text + "\n"
    }
}

fn said(ran: &Ran) -> String {
    let findings = ["fault: ", "warning: ", "  hint: "];
    let stdout = ran.text().lines();
    let stdout = stdout.filter(|line| findings.iter().any(|f| line.starts_with(f)));
    let message = ran.message();
    let stderr = message.lines().filter(|line| !line.starts_with("ok "));
    stdout
        .chain(stderr)
        .map(|line| format!("  {}\n", masked(line)))
        .collect()
}

// Hashes and times of this run.
fn masked(line: &str) -> String {
    let is_time = |word: &str| {
        word.len() >= 20
            && word.as_bytes()[10] == b'T'
            && !word.starts_with("2035")
            && !word.starts_with("2020")
    };
    let words = line.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| ":,()".contains(c));
        match bare {
            _ if bare.len() >= 32 && bare.bytes().all(|b| b.is_ascii_hexdigit()) => {
                word.replace(bare, "[HASH]")
            }
            _ if is_time(bare) => word.replace(bare, "[TIME]"),
            _ => match word.rsplit_once('/') {
                Some((folder, file))
                    if file.len() > 64 && file[..64].bytes().all(|b| b.is_ascii_hexdigit()) =>
                {
                    let rest = file.trim_start_matches(|c: char| c.is_ascii_hexdigit());
                    format!("{folder}/[HASH]{rest}")
                }
                _ => word.to_owned(),
            },
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

// The good repository's keys of a role, unlocked once.
fn keys(role: &str) -> &'static [FileKey] {
    static KEYS: [OnceLock<Vec<FileKey>>; 4] = [const { OnceLock::new() }; 4];
    let index = Role::ALL.iter().position(|r| r.name() == role).unwrap();
    KEYS[index].get_or_init(|| {
        let keystore = Keystore::new(&good().join("repo/keys"));
        keystore.load(Role::ALL[index], &mut Known).unwrap()
    })
}

struct Known;

impl Passphrases for Known {
    fn existing(&mut self, role: Role, _: bool) -> Result<(Passphrase, Origin), PassphraseError> {
        let variable = format!("FLEET_{}_PASSPHRASE", role.name().to_uppercase());
        let found = PASSPHRASES.iter().find(|(name, _)| *name == variable);
        let passphrase = Passphrase::new(found.unwrap().1.to_owned());
        Ok((passphrase, Origin::Variable(variable)))
    }

    fn new_one(&mut self, role: Role) -> Result<Passphrase, PassphraseError> {
        self.existing(role, false).map(|(passphrase, _)| passphrase)
    }
}
