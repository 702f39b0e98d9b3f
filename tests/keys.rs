//! `updates keys` and `updates pending`: several keys per role, thresholds, passphrases, and
//! edits that wait for signatures.

use std::path::Path;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{add, elf, fixture, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("keys/list", list),
        trial("keys/added_and_revoked", added_and_revoked),
        trial_needing("keys/types", &["openssl"], types),
        trial("keys/thresholds", thresholds),
        trial("keys/passphrase", passphrase),
        trial_needing("keys/typed", &["python-tuf"], typed),
        trial("keys/pending_root", pending_root),
        trial("keys/pending_targets", pending_targets),
        trial("keys/pending_stale", pending_stale),
        trial_needing(
            "keys/peers_follow",
            &["python-tuf", "go", "openssl", "python3"],
            peers_follow,
        ),
    ]
}

/// On a terminal: what is typed at each prompt.
fn at_a_terminal(scratch: &Scratch, words: &str, typed: &[(String, &str)]) -> Run {
    let steps: Vec<Value> = typed
        .iter()
        .map(|(prompt, text)| json!({"prompt": prompt, "type": text}))
        .collect();
    let steps = Value::Array(steps).to_string();
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let words = ["updates"].into_iter().chain(words.split(' '));
    scratch.python(
        "terminal.py",
        [steps.as_str(), program].into_iter().chain(words),
    )
}

/// New passphrases are typed twice; one that is wrong may be typed again.
fn typed() {
    let scratch = Scratch::new();
    let new = |role: &str| format!("New passphrase for the {role} key: ");
    let repeat = |role: &str| format!("Repeat the passphrase for the {role} key: ");
    let existing = |role: &str| format!("Passphrase of the {role} key: ");
    let init = "init --path repo";
    let differ = [(new("root"), "one"), (repeat("root"), "two")];
    let ran = at_a_terminal(&scratch, init, &differ).fails(1);
    ran.prints("error: the two passphrases of the root key differ");
    assert!(!scratch.join("repo").exists());
    at_a_terminal(&scratch, init, &[(new("root"), "")])
        .fails(1)
        .prints("error: the passphrase of the root key is empty");
    assert!(!scratch.join("repo").exists());
    let roles = ["root", "targets", "snapshot", "timestamp"];
    let all: Vec<_> = roles
        .iter()
        .flat_map(|role| [(new(role), *role), (repeat(role), *role)])
        .collect();
    at_a_terminal(&scratch, init, &all).ok();
    // Nothing that was typed is shown, and no key lies in the clear.
    for role in roles {
        let file = scratch.text(&format!("repo/keys/{role}.json"));
        assert!(file.contains("\"encrypted\": true"));
    }
    let again = [
        (existing("timestamp"), "wrong-1"),
        (existing("timestamp"), "wrong-2"),
        (existing("timestamp"), "timestamp"),
    ];
    let ran = at_a_terminal(&scratch, "timestamp --path repo", &again).ok();
    ran.prints("that is not the passphrase of the timestamp key");
    assert!(!ran.text().contains("wrong-"));
    // Several are asked for before any of them is tried; the wrong one comes again.
    scratch.write("orbit", elf(62));
    let words =
        "add --path repo --target orbit --name orbit --platform linux --version 1 -t stable";
    let several = [
        (existing("targets"), "targets"),
        (existing("snapshot"), "wrong-3"),
        (existing("timestamp"), "timestamp"),
        (existing("snapshot"), "snapshot"),
    ];
    let ran = at_a_terminal(&scratch, words, &several).ok();
    ran.prints("that is not the passphrase of the snapshot key");
    updates(&scratch, ["verify", "--path", "repo"]).ok();
}

/// `updates keys …` on `repo`.
fn keys(scratch: &Scratch, args: &[&str]) -> Run {
    let args = ["keys"].into_iter().chain(args.iter().copied());
    updates(scratch, args.chain(["--path", "repo"]))
}

fn root(scratch: &Scratch) -> Value {
    serde_json::from_slice(&scratch.read("repo/repository/root.json")).unwrap()
}

fn ids(scratch: &Scratch, role: &str) -> Vec<String> {
    let root = root(scratch);
    let ids = root["signed"]["roles"][role]["keyids"].as_array().unwrap();
    ids.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

fn list() {
    let scratch = Scratch::new();
    init(&scratch);
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    let text = keys(&scratch, &["list"]).ok();
    text.prints("root: 1 of 1 must sign; no key file here\n  ");
    text.prints("targets: 1 of 1 must sign; key file, sealed\n  ");
    let json = keys(&scratch, &["list", "--json"]).ok();
    let value = conforms("updates-keys.json", json.text());
    assert_eq!(value["roles"][0]["keys"][0]["id"], ids(&scratch, "root")[0]);
    assert_eq!(value["roles"][0]["file"], Value::Null);
    std::fs::remove_dir_all(scratch.join("repo")).unwrap();
    fixture(&scratch, "plaintext-keys");
    keys(&scratch, &["list"])
        .ok()
        .prints("key file, NOT sealed");
}

fn added_and_revoked() {
    let scratch = Scratch::new();
    init(&scratch);
    let first = ids(&scratch, "targets")[0].clone();
    let ran = keys(&scratch, &["add", "targets", "--new", "1", "--json"]).ok();
    let done = conforms("updates-change.json", ran.text());
    let second = done["generated"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ids(&scratch, "targets"), [first.as_str(), second.as_str()]);
    assert_eq!(root(&scratch)["signed"]["version"], 2);
    // Two keys sign now, one of them is enough.
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").ok();
    keys(&scratch, &["revoke", "targets", &first])
        .ok()
        .prints(&format!("Revoked targets key with ID: {first}\n"));
    assert_eq!(ids(&scratch, "targets"), [second.as_str()]);
    assert!(root(&scratch)["signed"]["keys"].get(&first).is_none());
    add(&scratch, "orbit", "2").ok();
    let before = scratch.state("repo");
    keys(&scratch, &["revoke", "targets", &second])
        .fails(1)
        .says("error: the targets role would have 0 keys, fewer than the 1 that must sign\n");
    keys(&scratch, &["revoke", "targets", "00"])
        .fails(1)
        .says("error: the targets role has no key 00\n");
    before.unchanged(&scratch.state("repo"));
}

/// A new public key in PEM, as OpenSSL makes it.
fn openssl(scratch: &Scratch, name: &str, options: &[&str]) {
    let private = format!("{name}.key");
    let args = ["genpkey", "-out", &private];
    scratch.tool("openssl", args.iter().chain(options)).ok();
    scratch
        .tool(
            "openssl",
            ["pkey", "-in", &private, "-pubout", "-out", name],
        )
        .ok();
}

fn types() {
    let scratch = Scratch::new();
    init(&scratch);
    let curve = |name| ["-algorithm", "EC", "-pkeyopt", name];
    openssl(&scratch, "ed25519.pem", &["-algorithm", "ed25519"]);
    openssl(&scratch, "p256.pem", &curve("ec_paramgen_curve:P-256"));
    openssl(
        &scratch,
        "rsa.pem",
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    );
    for (file, keytype) in [
        ("ed25519.pem", "ed25519"),
        ("p256.pem", "ecdsa-sha2-nistp256"),
        ("rsa.pem", "rsa"),
    ] {
        keys(&scratch, &["add", "root", file]).ok();
        let id = ids(&scratch, "root").pop().unwrap();
        assert_eq!(root(&scratch)["signed"]["keys"][&id]["keytype"], keytype);
        keys(&scratch, &["add", "root", file])
            .fails(1)
            .says(&format!("error: the root role has the key {id} already\n"));
    }
    refused_types(&scratch, &scratch.text("p256.pem"));
}

fn refused_types(scratch: &Scratch, pem: &str) {
    let curve = |name| ["-algorithm", "EC", "-pkeyopt", name];
    let before = scratch.state("repo");
    openssl(scratch, "p384.pem", &curve("ec_paramgen_curve:P-384"));
    openssl(scratch, "ed448.pem", &["-algorithm", "ed448"]);
    let object = |keytype: &str, scheme: &str, public: &str| {
        serde_json::json!({"keytype": keytype, "scheme": scheme, "keyval": {"public": public}})
            .to_string()
    };
    scratch.write(
        "plain-ecdsa.json",
        object("ecdsa", "ecdsa-sha2-nistp256", pem),
    );
    scratch.write(
        "bare-point.json",
        object(
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp256",
            &"04".repeat(65),
        ),
    );
    scratch.write("sigstore.json", object("sigstore-oidc", "Fulcio", "x"));
    scratch.write("short.json", object("ed25519", "ed25519", "00"));
    scratch.write(
        "private.pem",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    );
    for (file, why) in [
        (
            "p384.pem",
            "it is neither an ed25519, nor an ECDSA P-256, nor an RSA key",
        ),
        (
            "ed448.pem",
            "it is neither an ed25519, nor an ECDSA P-256, nor an RSA key",
        ),
        (
            "plain-ecdsa.json",
            "agents refuse a root with a key of type ecdsa and scheme ecdsa-sha2-nistp256",
        ),
        (
            "bare-point.json",
            "its ecdsa-sha2-nistp256 key cannot be read",
        ),
        (
            "sigstore.json",
            "agents refuse a root with a key of type sigstore-oidc and scheme Fulcio",
        ),
        ("short.json", "its ed25519 key cannot be read"),
        (
            "private.pem",
            "it is neither a TUF key nor a public key in PEM",
        ),
    ] {
        keys(scratch, &["add", "root", file])
            .fails(1)
            .says(&format!("error: the key cannot be added: {file}: {why}\n"));
    }
    before.unchanged(&scratch.state("repo"));
}

fn thresholds() {
    let scratch = Scratch::new();
    init(&scratch);
    let before = scratch.state("repo");
    keys(&scratch, &["threshold", "snapshot", "2"])
        .fails(1)
        .says("error: the snapshot role would have 1 key, fewer than the 2 that must sign\n");
    keys(&scratch, &["threshold", "snapshot", "0"])
        .fails(1)
        .says("error: a threshold of 0 would trust anybody\n");
    before.unchanged(&scratch.state("repo"));
    keys(&scratch, &["add", "snapshot", "--new", "1"]).ok();
    // The committed snapshot has one signature: it is signed anew.
    keys(&scratch, &["threshold", "snapshot", "2"])
        .ok()
        .prints("2 of the snapshot keys must sign from this root on\n");
    let snapshot: Value =
        serde_json::from_slice(&scratch.read("repo/repository/snapshot.json")).unwrap();
    assert_eq!(snapshot["signatures"].as_array().unwrap().len(), 2);
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    updates(&scratch, ["verify", "--path", "repo"]).ok();
}

fn passphrase() {
    let scratch = Scratch::new();
    init(&scratch);
    let before = scratch.state("repo");
    let change = |old: &str, new: &str| {
        keys(&scratch, &["passphrase", "targets", "--json"])
            .env("FLEET_TARGETS_PASSPHRASE", old)
            .env("FLEET_TARGETS_NEW_PASSPHRASE", new)
    };
    change("wrong", "new-pass-9").fails(1).says(
        "error: the passphrase in FLEET_TARGETS_PASSPHRASE does not open repo/keys/targets.json\n",
    );
    change("targets-pass-2", "").fails(1);
    before.unchanged(&scratch.state("repo"));
    let ran = change("targets-pass-2", "new-pass-9").ok();
    conforms("updates-passphrase.json", ran.text());
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").fails(1);
    add(&scratch, "orbit", "1")
        .env("FLEET_TARGETS_PASSPHRASE", "new-pass-9")
        .ok();
    assert!(
        scratch
            .text("repo/keys/targets.json")
            .contains("\"encrypted\": true")
    );
    let left: Vec<_> = scratch
        .state("repo/keys")
        .names()
        .map(|name| name.display().to_string())
        .collect();
    assert_eq!(left.len(), 6, "{left:?}");
}

/// The root key is elsewhere: everything waits, the timestamp goes on, no second edit begins.
fn pending_root() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    let published = scratch.state("repo/repository");
    let held = updates(&scratch, ["rotate", "targets", "--path", "repo", "--json"]).fails(5);
    let value = conforms("updates-change.json", held.text());
    assert_eq!(value["published"], false);
    assert_eq!(value["missing"][0]["role"], "root");
    held.says("error: nothing is published yet: root version 2 carries 0 of 1 signatures by the keys of root version 1\n");
    published.unchanged(&scratch.state("repo/repository"));
    let shown = updates(&scratch, ["pending", "--path", "repo", "--json"]).ok();
    let shown = conforms("updates-pending.json", shown.text());
    assert_eq!(shown["what"], "rotate targets");
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    let before = scratch.state("repo");
    for second in [
        add(&scratch, "orbit", "1"),
        updates(&scratch, ["rotate", "snapshot", "--path", "repo"]),
        keys(&scratch, &["threshold", "root", "1"]),
        keys(&scratch, &["passphrase", "targets"]),
    ] {
        second
            .fails(1)
            .says("error: another edit waits for signatures: ");
    }
    before.unchanged(&scratch.state("repo"));
    updates(&scratch, ["pending", "drop", "--path", "repo"])
        .ok()
        .prints("gave up: rotate targets\n");
    assert!(!scratch.join("repo/pending").exists());
    add(&scratch, "orbit", "1").ok();
    updates(&scratch, ["pending", "drop", "--path", "repo"])
        .fails(1)
        .says("error: no edit waits for signatures\n");
}

/// One of two targets keys is elsewhere: a new target waits with its file.
fn pending_targets() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    scratch.copy(&scratch.join("repo/keys"), "first/keys");
    keys(&scratch, &["add", "targets", "--new", "1"]).ok();
    keys(&scratch, &["threshold", "targets", "2"]).ok();
    // The file with the first key alone.
    let both = scratch.read("repo/keys/targets.json");
    std::fs::copy(
        scratch.join("first/keys/targets.json"),
        scratch.join("repo/keys/targets.json"),
    )
    .unwrap();
    let published = scratch.state("repo/repository");
    add(&scratch, "orbit", "1").fails(5).says(
        "error: nothing is published yet: targets version 3 carries 1 of 2 signatures by the keys of root version 3\n",
    );
    published.unchanged(&scratch.state("repo/repository"));
    assert!(
        scratch
            .join("repo/pending/files/targets/orbit/linux/1/orbit")
            .exists()
    );
    // The second key signs on its own machine.
    scratch.copy(&scratch.join("repo/keys"), "second/keys");
    scratch.write("second/keys/targets.json", both);
    updates(
        &scratch,
        ["payload", "targets", "--path", "repo", "--out", "stick"],
    )
    .ok();
    updates(&scratch, ["sign", "stick", "--path", "second"]).ok();
    updates(&scratch, ["attach", "stick", "--path", "repo"]).ok();
    assert!(!scratch.join("repo/pending").exists());
    assert_eq!(
        scratch.read("repo/repository/targets/orbit/linux/stable/orbit"),
        elf(62)
    );
    updates(&scratch, ["verify", "--path", "repo"]).ok();
}

/// The repository moved on under an edit that waits.
fn pending_stale() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    let other = scratch.copy(&scratch.join("repo"), "other");
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    updates(&scratch, ["rotate", "targets", "--path", "repo"]).fails(5);
    std::fs::rename(scratch.join("repo/pending"), other.join("pending")).unwrap();
    std::fs::rename(scratch.join("repo"), scratch.join("first")).unwrap();
    std::fs::rename(other.join("pending"), scratch.join("pending")).unwrap();
    std::fs::rename(other, scratch.join("repo")).unwrap();
    add(&scratch, "orbit", "1").ok();
    std::fs::rename(scratch.join("pending"), scratch.join("repo/pending")).unwrap();
    updates(&scratch, ["pending", "--path", "repo"])
        .fails(1)
        .says("error: the edit that waits, rotate targets, builds on metadata that are no longer the newest\n  hint: fleetpack updates pending --path repo shows it, fleetpack updates pending drop --path repo gives it up\n");
    updates(&scratch, ["pending", "drop", "--path", "repo"]).ok();
}

/// Other people's clients follow with their state, through every change of keys.
fn peers_follow() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").ok();
    openssl(
        &scratch,
        "p256.pem",
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    );
    openssl(
        &scratch,
        "rsa.pem",
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    );
    let server = Server::python(&scratch.join("repo/repository"));
    let anchor = scratch.join("repo/repository/1.root.json");
    let follow = |anchor: Option<&Path>| {
        for peer in [Peer::PythonTuf, Peer::GoTuf] {
            assert_eq!(peer.follow(&scratch, &server.url, anchor, true), elf(62));
        }
    };
    follow(Some(&anchor));
    let steps: [&[&str]; 7] = [
        &["add", "root", "p256.pem", "rsa.pem"],
        &["add", "root", "--new", "1"],
        &["threshold", "root", "2"],
        &["add", "timestamp", "--new", "2"],
        &["threshold", "timestamp", "2"],
        &["add", "targets", "--new", "1"],
        &["threshold", "targets", "2"],
    ];
    for step in steps {
        keys(&scratch, step).ok();
        follow(None);
    }
    let first = ids(&scratch, "timestamp")[0].clone();
    keys(&scratch, &["revoke", "timestamp", &first]).ok();
    follow(None);
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    follow(None);
}
