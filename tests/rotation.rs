//! `updates rotate`: keys are replaced, and python-tuf and go-tuf follow with their state.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{add, elf, fixture, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("rotation/keys", keys_are_replaced),
        trial("rotation/threshold", two_root_keys),
        trial("rotation/refused", refused),
        trial_needing("rotation/python_tuf", &["python-tuf", "python3"], || {
            every_role(Peer::PythonTuf);
        }),
        trial_needing("rotation/go_tuf", &["go", "python3"], || {
            every_role(Peer::GoTuf)
        }),
        trial_needing(
            "rotation/compromised_python_tuf",
            &["python-tuf", "python3"],
            || {
                compromised(Peer::PythonTuf);
            },
        ),
        trial_needing("rotation/compromised_go_tuf", &["go", "python3"], || {
            compromised(Peer::GoTuf);
        }),
    ]
}

fn rotate(scratch: &Scratch, role: &str) {
    let ran = updates(scratch, ["rotate", role, "--path", "repo"]).ok();
    ran.prints(&format!("Revoked {role} key with ID: "));
    ran.prints(&format!("Generated {role} key with ID: "));
}

fn document(scratch: &Scratch, file: &str) -> serde_json::Value {
    serde_json::from_slice(&scratch.read(&format!("repo/repository/{file}"))).unwrap()
}

fn keys_are_replaced() {
    let scratch = Scratch::new();
    init(&scratch);
    let old = document(&scratch, "root.json")["signed"]["roles"]["targets"]["keyids"][0].clone();
    rotate(&scratch, "targets");
    let root = document(&scratch, "2.root.json");
    assert_eq!(root, document(&scratch, "root.json"));
    assert_eq!(root["signed"]["version"], 2);
    let ids = root["signed"]["roles"]["targets"]["keyids"]
        .as_array()
        .unwrap();
    assert!(ids.len() == 1 && !ids.contains(&old));
    assert!(root["signed"]["keys"].get(old.as_str().unwrap()).is_none());
    // Signed by both until the next change.
    let targets = document(&scratch, "targets.json");
    assert_eq!(targets["signatures"].as_array().unwrap().len(), 2);
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").ok();
    let targets = document(&scratch, "targets.json");
    assert_eq!(targets["signatures"].as_array().unwrap().len(), 1);
    // One of two.
    updates(
        &scratch,
        ["rotate", "snapshot", "--path", "repo", "--keys", "2"],
    )
    .ok();
    let ids = document(&scratch, "root.json")["signed"]["roles"]["snapshot"]["keyids"].clone();
    let first = ids[0].as_str().unwrap();
    updates(
        &scratch,
        ["rotate", "snapshot", "--path", "repo", "--key", first],
    )
    .ok();
    let now = document(&scratch, "root.json")["signed"]["roles"]["snapshot"]["keyids"].clone();
    assert_eq!(now[0], ids[1]);
    assert_eq!(now.as_array().unwrap().len(), 2);
}

fn two_root_keys() {
    let scratch = Scratch::new();
    fixture(&scratch, "threshold-2");
    rotate(&scratch, "root");
    let root = document(&scratch, "2.root.json");
    assert_eq!(root["signatures"].as_array().unwrap().len(), 4);
    assert_eq!(
        root["signed"]["roles"]["root"]["keyids"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
}

fn refused() {
    let scratch = Scratch::new();
    init(&scratch);
    let before = scratch.state("repo");
    updates(
        &scratch,
        ["rotate", "targets", "--path", "repo", "--key", "00"],
    )
    .fails(1)
    .says("error: the targets role has no key 00\n");
    updates(&scratch, ["rotate", "targets", "--path", "repo", "--keys", "0"])
        .fails(1)
        .says("error: the targets role would have 0 keys, fewer than the 1 that must sign\n  hint: give it more keys (rotate --keys N");
    updates(&scratch, ["rotate", "mirrors", "--path", "repo"]).fails(2);
    updates(&scratch, ["rotate", "--path", "repo"]).fails(2);
    before.unchanged(&scratch.state("repo"));
}

fn begin(scratch: &Scratch, peer: Peer) -> Server {
    init(scratch);
    scratch.write("orbit", elf(62));
    add(scratch, "orbit", "1").ok();
    let served = scratch.copy(&scratch.join("repo/repository"), "served");
    let server = Server::python(&served);
    let root = scratch.join("repo/repository/1.root.json");
    assert_eq!(
        peer.follow(scratch, &server.url, Some(&root), true),
        elf(62)
    );
    server
}

fn serve(scratch: &Scratch, repository: &str) {
    let _ = std::fs::remove_file(scratch.join("served/2.root.json"));
    scratch.copy(Path::new(&scratch.join(repository)), "served");
}

fn every_role(peer: Peer) {
    let scratch = Scratch::new();
    let server = begin(&scratch, peer);
    for role in ["targets", "snapshot", "timestamp", "root", "root"] {
        rotate(&scratch, role);
        serve(&scratch, "repo/repository");
        assert_eq!(
            peer.follow(&scratch, &server.url, None, true),
            elf(62),
            "{role}"
        );
        updates(&scratch, ["timestamp", "--path", "repo"]).ok();
        serve(&scratch, "repo/repository");
        peer.follow(&scratch, &server.url, None, false);
    }
}

fn compromised(peer: Peer) {
    for role in ["timestamp", "snapshot", "targets"] {
        let scratch = Scratch::new();
        let server = begin(&scratch, peer);
        // Somebody with the online keys publishes other bytes under higher versions.
        scratch.copy(&scratch.join("repo"), "stolen");
        scratch.write("evil", [elf(62).as_slice(), b"evil"].concat());
        for version in ["2", "3", "4"] {
            updates(
                &scratch,
                [
                    "add",
                    "--path",
                    "stolen",
                    "--target",
                    "evil",
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
            .ok();
        }
        serve(&scratch, "stolen/repository");
        assert_ne!(peer.follow(&scratch, &server.url, None, true), elf(62));
        let roles = match role {
            "timestamp" => "timestamp,targets",
            "snapshot" => "snapshot,targets",
            other => other,
        };
        updates(
            &scratch,
            ["rotate", "--compromised", roles, "--path", "repo"],
        )
        .ok();
        let targets = document(&scratch, "targets.json");
        assert_eq!(targets["signatures"].as_array().unwrap().len(), 1);
        serve(&scratch, "repo/repository");
        assert_eq!(
            peer.follow(&scratch, &server.url, None, true),
            elf(62),
            "{role}"
        );
        add(&scratch, "orbit", "1.1").ok();
        serve(&scratch, "repo/repository");
        assert_eq!(
            peer.follow(&scratch, &server.url, None, true),
            elf(62),
            "{role}"
        );
    }
}
