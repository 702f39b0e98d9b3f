//! Whoever can write where a repository lies gets nothing signed that is not the newest, be it
//! a bucket or a folder; and a person who asks for it gets this copy's state back.

use std::time::Duration;

use libtest_mimic::Trial;

use super::elsewhere::{add, elsewhere, prepare};
use super::{begin, program, publish, release};
use crate::broken_repositories::whose_snapshot_names;
use crate::harness::objects::Objects;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::updates;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("publish/attacker/bucket", &["versitygw", "curl"], bucket),
        trial("publish/attacker/folder", folder),
        trial("publish/attacker/snapshot_key", snapshot_key),
        trial("publish/attacker/lock", lock),
        trial_needing("publish/attacker/service", &["versitygw", "curl"], service),
        trial("publish/attacker/journal", journal),
        trial_needing(
            "publish/attacker/repair",
            &["versitygw", "curl", "go"],
            repair,
        ),
    ]
}

const FILES: [&str; 5] = [
    "timestamp.json",
    "snapshot.json",
    "targets.json",
    "1.root.json",
    "root.json",
];

/// What is put back, and what every command says then.
struct Attack {
    case: &'static str,
    /// Which of [`FILES`] get their old or foreign state; the others stay.
    changed: &'static [usize],
    bucket: &'static str,
    folder: &'static str,
}

const ATTACKS: [Attack; 6] = [
    Attack {
        case: "an old snapshot",
        changed: &[1],
        bucket: "its snapshot.json is version 2, and its metadata name version 3",
        folder: "are not valid",
    },
    Attack {
        case: "an old targets.json",
        changed: &[2],
        bucket: "its targets.json is version 2, and its metadata name version 3",
        folder: "are not valid",
    },
    Attack {
        case: "both",
        changed: &[1, 2],
        bucket: "its snapshot.json is version 2, and its metadata name version 3",
        folder: "are not valid",
    },
    Attack {
        case: "an old timestamp",
        changed: &[0],
        bucket: "are not valid",
        folder: "are not valid",
    },
    Attack {
        case: "all that is signed online",
        changed: &[0, 1, 2],
        bucket: "was rolled back: its timestamp.json has version 2",
        folder: "was rolled back",
    },
    Attack {
        case: "a foreign root",
        changed: &[3, 4],
        bucket: "holds another repository",
        folder: "root.json version 1 is not the document",
    },
];

// What an attacker has: documents of release 1.0.0, and a root of another repository.
fn loot(scratch: &Scratch, get: impl Fn(&str) -> String) -> [String; 5] {
    updates(scratch, ["init", "--path", "foreign"]).ok();
    let foreign = || scratch.text("foreign/repository/root.json");
    [
        get(FILES[0]),
        get(FILES[1]),
        get(FILES[2]),
        foreign(),
        foreign(),
    ]
}

fn bucket() {
    let scratch = Scratch::new();
    let service = prepare(&scratch);
    elsewhere(&scratch, &service, &["timestamp", "--trust-current"]).ok();
    scratch.write("first", program("one!"));
    elsewhere(&scratch, &service, &add("first", "1.0.1")).ok();
    let url = |file: &str| format!("{}/bucket/r/{file}", service.endpoint());
    let get = |file: &str| {
        let ran = service.curl(&scratch, "GET", &url(file), "").ok();
        ran.text().to_owned()
    };
    let put = |file: &str, text: &str| {
        service.curl(&scratch, "PUT", &url(file), text).ok();
    };
    let old = loot(&scratch, get);
    scratch.write("new", program("two!"));
    elsewhere(&scratch, &service, &add("new", "1.1.0")).ok();
    let new = FILES.map(get);
    for attack in &ATTACKS {
        for at in attack.changed {
            put(FILES[*at], &old[*at]);
        }
        let before = scratch.state("keys");
        let now = FILES.map(get);
        scratch.write("evil", program(attack.case));
        let add = add("evil", "9.9");
        let revoke = ["keys", "add", "targets", "--new", "1"];
        for command in [&["timestamp"][..], &add, &["rotate", "targets"], &revoke] {
            let ran = elsewhere(&scratch, &service, command).run();
            assert_eq!(ran.code, Some(1), "{}: {ran}", attack.case);
            let words = words_of_bucket(attack);
            assert!(ran.stderr.contains(&words), "{}: {ran}", attack.case);
            assert!(ran.stderr.contains("hint: "), "{}: {ran}", attack.case);
        }
        assert_eq!(FILES.map(get), now, "{}", attack.case);
        before.unchanged(&scratch.state("keys"));
        for (file, text) in FILES.iter().zip(&new) {
            put(file, text);
        }
    }
    // Gone is not empty.
    service
        .curl(&scratch, "DELETE", &url("timestamp.json"), "")
        .ok();
    elsewhere(&scratch, &service, &["timestamp"])
        .fails(1)
        .says("held this repository before, and has no timestamp.json now");
    put("timestamp.json", &new[0]);
    elsewhere(&scratch, &service, &["timestamp"]).ok();
}

// The versions that a bucket's documents have here: one timestamp was signed between releases.
fn words_of_bucket(attack: &Attack) -> String {
    attack
        .bucket
        .replace(
            "timestamp.json has version 2",
            "timestamp.json has version 4",
        )
        .replace("is version 2", "is version 3")
        .replace("name version 3", "name version 4")
}

fn folder() {
    let scratch = Scratch::new();
    begin(&scratch);
    let path = |file: &str| format!("repo/repository/{file}");
    let old = loot(&scratch, |file| scratch.text(&path(file)));
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    let new = FILES.map(|file| scratch.text(&path(file)));
    for attack in &ATTACKS {
        for at in attack.changed {
            scratch.write(&path(FILES[*at]), &old[*at]);
        }
        let before = scratch.state("repo/repository");
        scratch.write("evil", program(attack.case));
        let add = add("evil", "9.9");
        for command in [&["timestamp"][..], &add, &["rotate", "targets"]] {
            let command = command.iter().copied().chain(["--path", "repo"]);
            let ran = updates(&scratch, command).run();
            assert_eq!(ran.code, Some(1), "{}: {ran}", attack.case);
            assert!(ran.stderr.contains(attack.folder), "{}: {ran}", attack.case);
        }
        before.unchanged(&scratch.state("repo/repository"));
        for (file, text) in FILES.iter().zip(&new) {
            scratch.write(&path(file), text);
        }
    }
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
}

// Whoever holds the keys of snapshot and timestamp names files that are none of the
// repository's. None of them is published.
fn snapshot_key() {
    let elsewhere = Scratch::new();
    let secret = elsewhere.write("private.json", "{\"made-up\": \"secret\"}");
    let names = [
        "../keys/targets.json".to_owned(),
        "../keys/root.json".to_owned(),
        secret.to_str().unwrap().to_owned(),
        "2.root.json".to_owned(),
    ];
    let scratch = whose_snapshot_names(&names);
    std::fs::create_dir(scratch.join("out")).unwrap();
    updates(&scratch, ["publish", "out", "--path", "repo"]).ok();
    let mut folders = vec![scratch.join("out")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for secret in ["ciphertext", "made-up"] {
                assert!(!text.contains(secret), "{}", path.display());
            }
        }
    }
    assert!(files > 5);
    updates(&scratch, ["verify", "--path", "repo"]).ok();
    updates(
        &scratch,
        ["verify", "out", "--update-roots", "@anchor.json"],
    )
    .ok();
}

// A lock that nobody holds any more and that ends when all clocks do.
fn lock() {
    let scratch = Scratch::new();
    begin(&scratch);
    std::fs::create_dir(scratch.join("out")).unwrap();
    updates(&scratch, ["publish", "out", "--path", "repo"]).ok();
    let lock = format!(
        r#"{{"holder":"nobody","until":{},"time":700,"writing":1}}"#,
        u64::MAX
    );
    scratch.write("out/.fleetpack/lock.json", lock);
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    updates(&scratch, ["publish", "out", "--path", "repo"])
        .ok()
        .says("waiting for another publisher, at most 1 s");
    let name = "repository/timestamp.json";
    assert_eq!(
        scratch.text("out/timestamp.json"),
        scratch.text(&format!("repo/{name}"))
    );
}

// A service that has no lock when it is asked, and has one when it is to keep another: its notes of
// the object are there, and the object is gone.
fn service() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    let lock = r#"{"holder":"nobody","until":0}"#;
    let name = format!("{}/bucket/r/.fleetpack/lock.json", service.endpoint());
    service.curl(&scratch, "PUT", &name, lock).ok();
    std::fs::remove_file(scratch.join(".s3/root/bucket/r/.fleetpack/lock.json")).unwrap();
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    publish(&scratch, &service, "repo", [])
        .limit(Duration::from_secs(60))
        .fails(1)
        .says("error: .fleetpack/lock.json at s3://bucket/r was changed by somebody else\n");
}

// Whoever can write the list of what is left to do gets nothing done but what is signed.
fn journal() {
    let scratch = Scratch::new();
    begin(&scratch);
    std::fs::create_dir(scratch.join("out")).unwrap();
    updates(&scratch, ["publish", "out", "--path", "repo"]).ok();
    scratch.copy(&scratch.join("repo"), "cron");
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    let text = |file: &str| scratch.text(&format!("repo/repository/{file}"));
    let (targets, root) = (text("targets.json"), text("root.json"));
    let finished = "finishing what another publisher began";
    let publish = || updates(&scratch, ["publish", "out", "--path", "cron"]);
    for (name, document, is_root) in [
        ("status.html", "evil", false),
        ("targets/evil", &targets, false),
        ("9.targets.json", &targets, false),
        ("evil.json", &targets, false),
        ("evil.json", &root, true),
        ("2.root.json", &root, true),
    ] {
        write_journal(&scratch, Some((name, document, is_root)));
        publish().ok().never_says(finished);
        assert!(!scratch.join("out").join(name).exists(), "{name}");
        assert!(scratch.join("out/.fleetpack/blobs/0a").exists(), "{name}");
    }
    write_journal(&scratch, None);
    publish().ok().says(finished);
    assert_eq!(scratch.text("out/timestamp.json"), text("timestamp.json"));
    assert!(!scratch.join("out/.fleetpack/blobs/0a").exists());
}

// A list that leads `out` to the state of `repo`, with one more document or root.
fn write_journal(scratch: &Scratch, more: Option<(&str, &str, bool)>) {
    let named = |file: &str| {
        let text = scratch.text(&format!("repo/repository/{file}"));
        [file.to_owned(), text]
    };
    let mut documents = ["targets.json", "snapshot.json", "timestamp.json"]
        .map(named)
        .to_vec();
    let mut roots = vec![named("root.json")];
    if let Some((name, text, is_root)) = more {
        let list = if is_root { &mut roots } else { &mut documents };
        list.push([name.to_owned(), text.to_owned()]);
    }
    let journal = serde_json::json!({
        "copies": [], "documents": documents, "roots": roots, "roots_first": false,
        "leftovers": [".fleetpack/blobs/0a"],
    });
    scratch.write("out/.fleetpack/commit.json", journal.to_string());
    scratch.write("out/.fleetpack/blobs/0a", "another publisher's");
}

// `--repair` puts back what this copy has, and never takes the attacker's state for news.
fn repair() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    let old = loot(&scratch, |file| {
        scratch.text(&format!("repo/repository/{file}"))
    });
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    publish(&scratch, &service, "repo", []).ok();
    let url = format!("{}/r", service.public(&scratch));
    let root = scratch.join("repo/repository/1.root.json");
    let first = Peer::GoTuf.follow(&scratch, &url, Some(&root), true);
    assert_eq!(first, program("two!"));
    for attack in &ATTACKS {
        for at in attack.changed {
            let url = format!("{}/bucket/r/{}", service.endpoint(), FILES[*at]);
            service.curl(&scratch, "PUT", &url, &old[*at]).ok();
        }
        let before = scratch.state("repo/repository");
        publish(&scratch, &service, "repo", [])
            .fails(1)
            .says("--repair");
        before.unchanged(&scratch.state("repo/repository"));
        publish(&scratch, &service, "repo", ["--repair"]).ok();
        before.unchanged(&scratch.state("repo/repository"));
        // The client's memory is that of the newest state.
        assert_eq!(
            Peer::GoTuf.follow(&scratch, &url, None, true),
            program("two!"),
            "{}",
            attack.case
        );
    }
    // A next root that nobody of us signed stops agents, until it is gone.
    let next = format!("{}/bucket/r/2.root.json", service.endpoint());
    service.curl(&scratch, "PUT", &next, &old[3]).ok();
    publish(&scratch, &service, "repo", [])
        .fails(1)
        .says("its 2.root.json is not ours");
    publish(&scratch, &service, "repo", ["--repair"])
        .ok()
        .says("deleting 2.root.json");
    Peer::GoTuf.follow(&scratch, &url, None, true);
}
