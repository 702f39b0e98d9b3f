//! `updates payload`, `sign` and `attach`: the key is on a machine that has nothing but its
//! keys and the root that it trusts.

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{add, elf, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("ceremony/rotation", rotation),
        trial("ceremony/one_byte", one_byte),
        trial("ceremony/refused", refused),
        trial("ceremony/altered", altered),
        trial("ceremony/two_signers", two_signers),
        trial("ceremony/no_pin", no_pin),
        trial("ceremony/signed_before", signed_before),
        trial("ceremony/key_file_put_back", key_file_put_back),
        trial_needing(
            "ceremony/peers_follow",
            &["python-tuf", "go", "python3"],
            peers_follow,
        ),
    ]
}

/// `repo` without its root key, which is in `vault/keys`, and nothing else there.
fn divided() -> Scratch {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").ok();
    std::fs::create_dir_all(scratch.join("vault/keys")).unwrap();
    for file in ["root.json", "pinned-root.json"] {
        let from = scratch.join("repo/keys").join(file);
        std::fs::copy(from, scratch.join("vault/keys").join(file)).unwrap();
    }
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    scratch
}

fn sign(scratch: &Scratch, more: &[&str]) -> Run {
    let args = ["sign", "stick", "--path", "vault"].into_iter();
    updates(scratch, args.chain(more.iter().copied()))
}

fn attach(scratch: &Scratch) -> Run {
    updates(scratch, ["attach", "stick", "--path", "repo"])
}

/// Begins an edit and writes its root payload to `stick`; the ids of the keys it adds.
fn begin(scratch: &Scratch, edit: &[&str]) -> Vec<String> {
    let args = edit.iter().copied().chain(["--path", "repo", "--json"]);
    let held = updates(scratch, args).fails(5);
    let held = conforms("updates-change.json", held.text());
    updates(
        scratch,
        ["payload", "root", "--path", "repo", "--out", "stick"],
    )
    .ok();
    let generated = held["generated"].as_array().unwrap();
    generated
        .iter()
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .collect()
}

fn rotation() {
    let scratch = divided();
    let args = ["rotate", "timestamp", "--path", "repo", "--json"];
    let held = conforms(
        "updates-change.json",
        updates(&scratch, args).fails(5).text(),
    );
    let id = held["generated"][0]["id"].as_str().unwrap();
    let args = [
        "payload", "root", "--path", "repo", "--out", "stick", "--json",
    ];
    let ran = updates(&scratch, args).ok();
    let written = conforms("updates-payload.json", ran.text());
    assert_eq!(written["version"], 2);
    // The timer goes on meanwhile.
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    let shown = sign(&scratch, &["--show", "--json", "--allow-key", &id[..16]]).ok();
    let shown = conforms("updates-sign.json", shown.text());
    assert_eq!(shown["signed_by"].as_array().unwrap().len(), 0);
    sign(&scratch, &[])
        .fails(1)
        .says(&format!("error: it gives the timestamp role a key that nobody named here: {id}\n  hint: when its holder told you this id: --allow-key {id}\n"));
    let ran = sign(&scratch, &["--allow-key", id]).ok();
    ran.prints("root: version 1 to 2, by root version 1\n");
    ran.prints(&format!(
        "  + timestamp key {id} (ed25519)\n  - timestamp key "
    ));
    let ran = updates(&scratch, ["attach", "stick", "--path", "repo", "--json"]).ok();
    let done = conforms("updates-attach.json", ran.text());
    assert_eq!(done["published"], true);
    assert!(!scratch.join("repo/pending").exists());
    assert!(scratch.join("repo/repository/2.root.json").exists());
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    add(&scratch, "orbit", "2").ok();
    updates(&scratch, ["verify", "--path", "repo"]).ok();
    attach(&scratch)
        .fails(1)
        .says("error: no edit waits for signatures\n");
}

/// Whatever byte of the file is another one, the file is refused by its name.
fn one_byte() {
    let scratch = divided();
    begin(&scratch, &["keys", "threshold", "root", "1"]);
    let bytes = scratch.read("stick");
    // Some at the front, some at the end, some between: a run of the program each.
    let places = (0..8)
        .chain(bytes.len() - 8..bytes.len())
        .chain((0..bytes.len()).step_by(bytes.len() / 24));
    for at in places {
        let mut edited = bytes.clone();
        edited[at] ^= 1;
        scratch.write("stick", &edited);
        let ran = sign(&scratch, &[]).fails(1);
        let named = ran
            .stderr
            .starts_with("error: stick was altered since it was written: its sha256 is another\n")
            || ran
                .stderr
                .starts_with("error: stick is not a payload to sign\n");
        assert!(named, "byte {at}: {}", ran.stderr);
        attach(&scratch).fails(1).says("error: stick ");
    }
    scratch.write("stick", &bytes);
    sign(&scratch, &[]).ok();
    attach(&scratch).ok();
}

fn refused() {
    let scratch = divided();
    let vault = scratch.state("vault");
    // A lowered threshold: two root keys first, both in the vault.
    begin(&scratch, &["keys", "add", "root", "--new", "1"]);
    sign(&scratch, &[])
        .fails(1)
        .says("error: it gives the root role a key that nobody named here: ");
    vault.unchanged(&scratch.state("vault"));
    updates(&scratch, ["pending", "drop", "--path", "repo"]).ok();
    std::fs::copy(
        scratch.join("vault/keys/root.json"),
        scratch.join("repo/keys/root.json"),
    )
    .unwrap();
    for edit in [["add", "root", "--new=1"], ["threshold", "root", "2"]] {
        let args = ["keys"].into_iter().chain(edit).chain(["--path", "repo"]);
        updates(&scratch, args).ok();
    }
    std::fs::rename(
        scratch.join("repo/keys/root.json"),
        scratch.join("vault/keys/root.json"),
    )
    .unwrap();
    begin(&scratch, &["keys", "threshold", "root", "1"]);
    sign(&scratch, &[])
        .fails(1)
        .says("error: it lowers the threshold of the root role from 2 to 1\n  hint: --allow-lowered-threshold\n");
    sign(&scratch, &["--allow-lowered-threshold"]).ok();
    attach(&scratch).ok();
    // Its own pinned root is newer now: version 3.
    updates(&scratch, ["sign", "stick", "--path", "repo"])
        .fails(1)
        .says("error: it builds on root version 3, but version 4 was already trusted on this machine\n");
}

type Lie<'a> = &'a dyn Fn(&mut Value);

/// Somebody who can write sums: each lie is found by what the machine knows by itself.
fn altered() {
    let scratch = divided();
    begin(&scratch, &["keys", "threshold", "root", "1"]);
    let original: Value = serde_json::from_slice(&scratch.read("stick")).unwrap();
    let root = original["roots"][0].as_str().unwrap().to_owned();
    let lies: [(&str, Lie<'_>, &str); 5] = [
        (
            "wrong version",
            &|payload| payload["signed"]["version"] = 5.into(),
            "error: its root document has version 5, and the next one is 2\n",
        ),
        (
            "expired",
            &|payload| payload["signed"]["expires"] = "2020-01-01T00:00:00Z".into(),
            "error: its root document expired at 2020-01-01T00:00:00Z\n",
        ),
        (
            "altered base",
            &|payload| {
                payload["roots"][0] = root.replace("\"threshold\":1", "\"threshold\":2").into();
            },
            "error: the root version 1 that it builds on is not the one that this machine trusts\n",
        ),
        (
            "unsigned base",
            &|payload| {
                let next = root.replacen("\"version\":1", "\"version\":2", 1);
                payload["roots"].as_array_mut().unwrap().push(next.into());
            },
            "error: its roots do not lead on from root version 1, which this machine trusts\n",
        ),
        (
            "another key under a known id",
            &|payload| {
                let id = payload["signed"]["roles"]["targets"]["keyids"][0]
                    .as_str()
                    .unwrap()
                    .to_owned();
                payload["signed"]["keys"][&id]["keyval"]["public"] = "00".repeat(32).into();
            },
            "error: it gives the targets role a key that nobody named here: ",
        ),
    ];
    for (name, lie, sentence) in lies {
        let mut payload = original.clone();
        lie(&mut payload);
        resum(&scratch, payload);
        let ran = sign(&scratch, &[]).fails(1);
        assert!(ran.stderr.starts_with(sentence), "{name}: {}", ran.stderr);
    }
    attached_lies(&scratch, original);
}

/// What `attach` finds by itself.
fn attached_lies(scratch: &Scratch, original: Value) {
    // What was signed is another document than the one that waits.
    let mut payload = original.clone();
    payload["signed"]["expires"] = "2031-01-01T00:00:00Z".into();
    resum(scratch, payload);
    sign(scratch, &[]).ok();
    attach(scratch)
        .fails(1)
        .says("error: the root document that was signed is not the one that waits\n");
    // A signature by nobody.
    let mut payload = original;
    let id = payload["keys"]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap()
        .clone();
    payload["signatures"] = serde_json::json!([{"keyid": id, "sig": "00".repeat(64)}]);
    resum(scratch, payload);
    attach(scratch).fails(1).says(&format!(
        "error: the signature by {id} is not one of the root role's keys over this document\n"
    ));
}

/// Writes a payload with the right sum, as an attacker would.
fn resum(scratch: &Scratch, mut payload: Value) {
    use aws_lc_rs::digest::{SHA256, digest};
    payload["sha256"] = "".into();
    let bare = serde_json::to_string_pretty(&payload).unwrap();
    payload["sha256"] = hex::encode(digest(&SHA256, bare.as_bytes())).into();
    scratch.write(
        "stick",
        serde_json::to_string_pretty(&payload).unwrap() + "\n",
    );
}

/// Two of two keys, on two machines.
fn two_signers() {
    let scratch = divided();
    std::fs::copy(
        scratch.join("vault/keys/root.json"),
        scratch.join("repo/keys/root.json"),
    )
    .unwrap();
    for edit in [["add", "root", "--new=1"], ["threshold", "root", "2"]] {
        let args = ["keys"].into_iter().chain(edit).chain(["--path", "repo"]);
        updates(&scratch, args).ok();
    }
    // The vault has the first key alone, the other machine both.
    scratch.copy(&scratch.join("repo/keys"), "other/keys");
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    begin(&scratch, &["rotate", "snapshot"]);
    let id: Value = serde_json::from_slice(&scratch.read("stick")).unwrap();
    let id = id["signed"]["roles"]["snapshot"]["keyids"][0]
        .as_str()
        .unwrap()
        .to_owned();
    sign(&scratch, &["--allow-key", &id]).ok();
    attach(&scratch)
        .fails(5)
        .says("error: nothing is published yet: root version 4 carries 1 of 2 signatures by the keys of root version 3");
    updates(
        &scratch,
        ["sign", "stick", "--path", "other", "--allow-key", &id],
    )
    .ok();
    attach(&scratch).ok().prints("published: rotate snapshot\n");
    updates(&scratch, ["verify", "--path", "repo"]).ok();
}

fn no_pin() {
    let scratch = divided();
    begin(&scratch, &["keys", "threshold", "root", "1"]);
    std::fs::remove_file(scratch.join("vault/keys/pinned-root.json")).unwrap();
    sign(&scratch, &[])
        .fails(1)
        .says("error: this machine has no root pinned: vault/keys/pinned-root.json does not exist\n  hint: --trust-root FILE");
    let root = scratch.join("repo/repository/1.root.json");
    sign(&scratch, &["--trust-root", root.to_str().unwrap()]).ok();
    assert_eq!(
        scratch.read("vault/keys/pinned-root.json"),
        scratch.read("repo/repository/1.root.json")
    );
    sign(&scratch, &["--trust-root", root.to_str().unwrap()]).fails(2);
}

/// A key holder's memory: one document for one version.
fn signed_before() {
    let scratch = divided();
    begin(&scratch, &["keys", "threshold", "root", "1"]);
    sign(&scratch, &[]).ok();
    sign(&scratch, &[]).ok();
    let drop = || updates(&scratch, ["pending", "drop", "--path", "repo"]).ok();
    drop();
    // Nothing is revoked while it waits, and nothing says so.
    let rotation = updates(&scratch, ["rotate", "timestamp", "--path", "repo"]);
    rotation
        .fails(5)
        .prints("To be revoked: timestamp key with ID: ")
        .never_says("Revoked");
    drop();
    let ids = begin(&scratch, &["rotate", "timestamp"]);
    sign(&scratch, &["--allow-key", &ids[0]])
        .fails(1)
        .says("error: another root document of version 2 was signed on this machine before\n  hint: when the earlier one was given up, and is destroyed: --allow-replaced\n");
    sign(&scratch, &["--allow-key", &ids[0], "--allow-replaced"]).ok();
    attach(&scratch).ok();
}

/// Keys that were put here while an edit waits are not lost under the ones that it makes.
fn key_file_put_back() {
    let scratch = divided();
    let ids = begin(&scratch, &["keys", "add", "root", "--new", "1"]);
    sign(&scratch, &["--allow-key", &ids[0]]).ok();
    let (vault, here) = ("vault/keys/root.json", "repo/keys/root.json");
    std::fs::rename(scratch.join(vault), scratch.join(here)).unwrap();
    let before = scratch.state("repo/keys");
    attach(&scratch)
        .fails(1)
        .says("error: repo/keys/root.json was replaced while the edit waited, and the new root keys would take its place\n  hint: mv repo/keys/root.json KEPT, then attach again\n");
    before.unchanged(&scratch.state("repo/keys"));
    std::fs::rename(scratch.join(here), scratch.join(vault)).unwrap();
    attach(&scratch).ok().prints("published: keys add root\n");
    let keys: Vec<Value> = [vault, here]
        .iter()
        .map(|file| serde_json::from_slice(&scratch.read(file)).unwrap())
        .collect();
    assert_ne!(keys[0], keys[1]);
}

/// While an edit waits, and after it was published, other people's clients follow.
fn peers_follow() {
    let scratch = divided();
    let server = Server::python(&scratch.join("repo/repository"));
    let anchor = scratch.join("repo/repository/1.root.json");
    let mut first = Some(anchor.as_path());
    for role in ["targets", "snapshot", "timestamp", "root"] {
        let ids = begin(&scratch, &["rotate", role]);
        for step in 0..2 {
            for peer in [Peer::PythonTuf, Peer::GoTuf] {
                assert_eq!(
                    peer.follow(&scratch, &server.url, first, true),
                    elf(62),
                    "{role}"
                );
            }
            first = None;
            updates(&scratch, ["timestamp", "--path", "repo"]).ok();
            if step == 0 {
                sign(&scratch, &["--allow-key", &ids[0]]).ok();
                if role == "root" {
                    // The new root key was made where the edit waits.
                    updates(
                        &scratch,
                        ["sign", "stick", "--path", "repo", "--allow-key", &ids[0]],
                    )
                    .ok();
                }
                attach(&scratch).ok();
            }
        }
    }
}
