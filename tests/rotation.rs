//! `updates rotate`: keys are replaced, and python-tuf and go-tuf follow with their state.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{add, elf, fixture, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("rotation/keys", keys_are_replaced),
        trial("rotation/threshold", two_root_keys),
        trial("rotation/refused", refused),
    ];
    type Test = fn(Agent);
    const TESTS: [(&str, Test); 4] = [
        ("every_role", every_role),
        ("compromised", compromised),
        ("root_below_the_threshold", root_below_the_threshold),
        ("root_at_the_threshold", root_at_the_threshold),
    ];
    const AGENTS: [(Agent, &str, &[&str]); 3] = [
        (
            Agent::Peer(Peer::PythonTuf),
            "python_tuf",
            &["python-tuf", "python3"],
        ),
        (Agent::Peer(Peer::GoTuf), "go_tuf", &["go", "python3"]),
        (Agent::Tough, "tough", &["tough-client"]),
    ];
    for (name, test) in TESTS {
        for (agent, who, needs) in AGENTS {
            let name = format!("rotation/{name}_{who}");
            trials.push(trial_needing(&name, needs, move || test(agent)));
        }
    }
    trials
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
        .says("error: the targets role would have 0 keys, fewer than the 1 that must sign\n  hint: fleetpack updates rotate --path repo targets --keys N gives it more keys");
    updates(&scratch, ["rotate", "mirrors", "--path", "repo"]).fails(2);
    updates(&scratch, ["rotate", "--path", "repo"]).fails(2);
    before.unchanged(&scratch.state("repo"));
}

/// Somebody else's client.
#[derive(Clone, Copy)]
enum Agent {
    Peer(Peer),
    /// The Rust library, for what fleetpack made from the start.
    Tough,
}

/// Where it looks: a web server, or the folder for tough.
struct Served {
    scratch: Scratch,
    agent: Agent,
    server: Option<Server>,
}

impl Served {
    /// `repo`, of which the agent has seen the first root.
    fn begin(scratch: &Scratch, agent: Agent) -> Self {
        let served = scratch.copy(&scratch.join("repo/repository"), "served");
        let server = match agent {
            Agent::Tough => None,
            Agent::Peer(_) => Some(Server::python(&served)),
        };
        let served = Self {
            scratch: scratch.clone(),
            agent,
            server,
        };
        let root = scratch.join("repo/repository/1.root.json");
        assert_eq!(served.first(&root), elf(62));
        served
    }

    fn look(&self, root: Option<&Path>) -> Run {
        let _ = std::fs::remove_file(self.scratch.join("got"));
        if let Agent::Peer(peer) = self.agent {
            let url = self.server.as_ref().map_or("", |server| &server.url);
            return peer.look(&self.scratch, url, root, true);
        }
        if let Some(root) = root {
            std::fs::copy(root, self.scratch.join("tough-root")).unwrap();
        }
        let args = ["served", "tough-state", "tough-root"];
        let run = self.scratch.tool("tough-client", args);
        run.arg("orbit/linux/stable/orbit").arg("got")
    }

    /// The agent begins with a root.
    fn first(&self, root: &Path) -> Vec<u8> {
        self.look(Some(root)).ok();
        self.scratch.read("got")
    }

    /// The agent goes on with its state.
    fn follow(&self) -> Vec<u8> {
        self.look(None).ok();
        self.scratch.read("got")
    }

    /// It does so and refuses what it finds.
    fn refuses(&self) {
        self.look(None).fails(1);
        assert!(!self.scratch.join("got").exists());
    }

    /// This repository is published in place of the other.
    fn publish(&self, repository: &str) {
        let folder = self.scratch.join("served");
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => std::fs::remove_dir_all(path).unwrap(),
                false => std::fs::remove_file(path).unwrap(),
            }
        }
        let repository = self.scratch.join(repository).join("repository");
        self.scratch.copy(&repository, "served");
    }
}

fn begin(scratch: &Scratch, agent: Agent) -> Served {
    init(scratch);
    scratch.write("orbit", elf(62));
    add(scratch, "orbit", "1").ok();
    Served::begin(scratch, agent)
}

fn every_role(agent: Agent) {
    let scratch = Scratch::new();
    let served = begin(&scratch, agent);
    for role in ["targets", "snapshot", "timestamp", "root", "root"] {
        rotate(&scratch, role);
        served.publish("repo");
        assert_eq!(served.follow(), elf(62), "{role}");
        updates(&scratch, ["timestamp", "--path", "repo"]).ok();
        served.publish("repo");
        assert_eq!(served.follow(), elf(62), "{role}");
    }
}

/// What an attacker would like agents to run.
fn evil() -> Vec<u8> {
    [elf(62).as_slice(), b"evil"].concat()
}

/// Somebody with the online keys publishes other bytes under higher versions.
fn steal(scratch: &Scratch) {
    scratch.copy(&scratch.join("repo"), "stolen");
    scratch.write("evil", evil());
}

fn publish_evil(scratch: &Scratch) {
    for version in ["2", "3"] {
        let words = "add --path stolen --target evil --name orbit --platform linux -t stable";
        let words = words.split(' ').chain(["--version", version]);
        updates(scratch, words).ok();
    }
}

fn replace(scratch: &Scratch, path: &str, roles: &str) {
    let words = ["rotate", "--compromised", roles, "--path", path];
    updates(scratch, words).ok();
}

fn follows_from_now_on(served: &Served, what: &str) {
    let scratch = &served.scratch;
    served.publish("repo");
    assert_eq!(served.follow(), elf(62), "{what}");
    add(scratch, "orbit", "1.1").ok();
    served.publish("repo");
    assert_eq!(served.follow(), elf(62), "{what}");
}

fn compromised(agent: Agent) {
    for roles in ["timestamp,targets", "snapshot,targets", "targets"] {
        let scratch = Scratch::new();
        let served = begin(&scratch, agent);
        steal(&scratch);
        publish_evil(&scratch);
        served.publish("stolen");
        assert_eq!(served.follow(), evil());
        replace(&scratch, "repo", roles);
        let targets = document(&scratch, "targets.json");
        assert_eq!(targets["signatures"].as_array().unwrap().len(), 1);
        follows_from_now_on(&served, roles);
    }
}

/// One of two root keys, and all others: no root can be made of that.
fn root_below_the_threshold(agent: Agent) {
    let scratch = Scratch::new();
    init(&scratch);
    for edit in [["add", "root", "--new=1"], ["threshold", "root", "2"]] {
        let words = ["keys"].into_iter().chain(edit).chain(["--path", "repo"]);
        updates(&scratch, words).ok();
    }
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "1").ok();
    let served = Served::begin(&scratch, agent);
    steal(&scratch);
    publish_evil(&scratch);
    served.publish("stolen");
    assert_eq!(served.follow(), evil());
    // The attacker's own root, which one of the two keys has signed.
    let own = document(&scratch, "root.json")["signed"]["roles"]["root"]["keyids"][1].clone();
    replace(&scratch, "stolen", "root,targets");
    let path = "stolen/repository/4.root.json";
    let mut root: serde_json::Value = serde_json::from_slice(&scratch.read(path)).unwrap();
    let signatures = root["signatures"].as_array_mut().unwrap();
    signatures.retain(|signature| signature["keyid"] != own);
    assert_eq!(signatures.len(), 3);
    let root = serde_json::to_vec(&root).unwrap();
    scratch.write(path, &root);
    scratch.write("stolen/repository/root.json", root);
    served.publish("stolen");
    served.refuses();
    replace(&scratch, "repo", "root,targets");
    follows_from_now_on(&served, "root,targets");
}

/// Enough root keys are in other hands: whoever has followed the attacker's root follows no
/// other one, and takes nothing of ours for the attacker's; everybody else follows the chain.
fn root_at_the_threshold(agent: Agent) {
    let scratch = Scratch::new();
    let served = begin(&scratch, agent);
    steal(&scratch);
    replace(&scratch, "stolen", "root,targets");
    publish_evil(&scratch);
    served.publish("stolen");
    assert_eq!(served.follow(), evil());
    replace(&scratch, "repo", "root,targets");
    served.publish("repo");
    match agent {
        // It begins with the root that it was installed with each time.
        Agent::Tough => assert_eq!(served.follow(), elf(62)),
        Agent::Peer(_) => served.refuses(),
    }
    for root in ["1.root.json", "2.root.json"] {
        for state in ["python-state", "go-state", "tough-state"] {
            let _ = std::fs::remove_dir_all(scratch.join(state));
        }
        let root = scratch.join("repo/repository").join(root);
        assert_eq!(served.first(&root), elf(62));
    }
    follows_from_now_on(&served, "installed anew");
}
