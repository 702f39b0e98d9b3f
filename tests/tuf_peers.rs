//! Other people's clients follow the repositories that fleetpack keeps: python-tuf and go-tuf
//! 0.5.2, which agents in the field carry, with the same client state from step to step.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, tools, trial_needing};
use crate::updates::{FIXTURES, add, elf, fixture, init, updates};

/// Somebody else's client.
#[derive(Clone, Copy)]
pub enum Peer {
    /// The reference implementation.
    PythonTuf,
    /// What agents carry.
    GoTuf,
}

impl Peer {
    /// Goes on with its state, or begins with `root`; downloads orbit's stable target.
    pub fn follow(
        self,
        scratch: &Scratch,
        url: &str,
        root: Option<&Path>,
        download: bool,
    ) -> Vec<u8> {
        self.look(scratch, url, root, download).ok();
        match download {
            true => scratch.read("got"),
            false => Vec::new(),
        }
    }

    /// As [`Peer::follow`], about to run.
    pub fn look(self, scratch: &Scratch, url: &str, root: Option<&Path>, download: bool) -> Run {
        let state = match self {
            Self::PythonTuf => "python-state",
            Self::GoTuf => "go-state",
        };
        let mut args = vec![url.to_owned(), state.to_owned()];
        if let Some(root) = root {
            let flag = match self {
                Self::PythonTuf => "--root",
                Self::GoTuf => "-root",
            };
            args.extend([flag.to_owned(), root.display().to_string()]);
        }
        if download {
            args.extend(["orbit/linux/stable/orbit".to_owned(), "got".to_owned()]);
        }
        match self {
            Self::PythonTuf => scratch.python("ngclient.py", args),
            Self::GoTuf => scratch.program(&tools::go_program("go-tuf"), args),
        }
    }
}

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial_needing("peers/tough", &["tough-client"], tough_follows),
        trial_needing("peers/python_tuf_nginx", &["python-tuf", "nginx"], || {
            let scratch = Scratch::new();
            let serve = |root: &Path| Server::nginx(&scratch, root);
            follows_all_steps(&scratch, Peer::PythonTuf, serve);
        }),
        trial_needing(
            "peers/python_tuf_http_server",
            &["python-tuf", "python3"],
            || {
                follows_all_steps(&Scratch::new(), Peer::PythonTuf, Server::python);
            },
        ),
        trial_needing("peers/go_tuf", &["go", "python3"], || {
            follows_all_steps(&Scratch::new(), Peer::GoTuf, Server::python);
        }),
    ];
    for name in FIXTURES {
        trials.push(trial_needing(
            &format!("peers/python_tuf_fixture_{name}"),
            &["python-tuf", "python3"],
            move || follows_a_fixture(Peer::PythonTuf, name),
        ));
        trials.push(trial_needing(
            &format!("peers/go_tuf_fixture_{name}"),
            &["go", "python3"],
            move || follows_a_fixture(Peer::GoTuf, name),
        ));
    }
    trials
}

fn follows_all_steps(scratch: &Scratch, peer: Peer, serve: impl FnOnce(&Path) -> Server) {
    init(scratch);
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    let roots = updates(scratch, ["roots", "--path", "repo"]).ok();
    let root = scratch.write("root.json", roots.text());
    let server = serve(&scratch.join("repo/repository"));
    peer.follow(scratch, &server.url, Some(&root), false);
    let (first, second) = (elf(62), [elf(62).as_slice(), b"second"].concat());
    scratch.write("first", &first);
    scratch.write("second", &second);
    add(scratch, "first", "1.0.0").ok();
    assert_eq!(peer.follow(scratch, &server.url, None, true), first);
    updates(scratch, ["timestamp", "--path", "repo"]).ok();
    assert_eq!(peer.follow(scratch, &server.url, None, true), first);
    add(scratch, "second", "1.1.0").ok();
    assert_eq!(peer.follow(scratch, &server.url, None, true), second);
}

// Through every operation, with its state carried along.
fn tough_follows() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.copy(&scratch.join("repo/repository/1.root.json"), "root.json");
    let (first, second) = (elf(62), [elf(62).as_slice(), b"second"].concat());
    scratch.write("first", &first);
    scratch.write("second", &second);
    let follow = |expected: &[u8], after: &str| {
        let mut args = vec!["repo/repository", "tough-state", "root.json"];
        args.extend(["orbit/linux/stable/orbit", "got"]);
        let _ = std::fs::remove_file(scratch.join("got"));
        scratch.tool("tough-client", args).ok();
        assert_eq!(scratch.read("got"), expected, "{after}");
    };
    add(&scratch, "first", "1.0.0").ok();
    follow(&first, "add");
    for words in [
        &["timestamp"][..],
        &["rotate", "targets"],
        &["rotate", "snapshot"],
        &["rotate", "timestamp"],
        &["rotate", "root"],
        &["rotate", "--compromised", "targets"],
        &["keys", "add", "targets", "--new", "1"],
        &["keys", "threshold", "targets", "2"],
        &["rotate", "targets"],
        &["keys", "threshold", "targets", "1"],
        &["prune", "--grace", "0"],
    ] {
        let args = words.iter().copied().chain(["--path", "repo"]);
        updates(&scratch, args).ok();
        follow(&first, &format!("{words:?}"));
    }
    crate::between_steps::elsewhere(&scratch);
    follow(&first, "a change that waits");
    updates(&scratch, ["attach", "stick", "--path", "repo"]).ok();
    follow(&first, "attach");
    mirror_second(&scratch);
    follow(&second, "mirror");
    add(&scratch, "first", "1.0.1").ok();
    follow(&first, "add");
    add(&scratch, "second", "1.1.0").ok();
    follow(&second, "add");
    let words = "promote --path repo --component orbit --from 1.0.0 --to stable";
    updates(&scratch, words.split(' ')).ok();
    follow(&first, "promote");
    let words = "remove --path repo orbit/linux/1.1.0/orbit";
    updates(&scratch, words.split(' ')).ok();
    follow(&first, "remove");
    // Bytes that were not signed are refused.
    scratch.write("repo/repository/targets/orbit/linux/stable/orbit", &second);
    let args = ["repo/repository", "tough-state", "root.json"];
    let run = scratch.tool("tough-client", args);
    run.arg("orbit/linux/stable/orbit").arg("got").fails(1);
    scratch.write("repo/repository/targets/orbit/linux/stable/orbit", &first);
    tough_and_versions(&scratch);
}

// Another repository, in a folder, has the file `second`, which is taken over from there.
fn mirror_second(scratch: &Scratch) {
    updates(scratch, ["init", "--path", "there"]).ok();
    let add = "add --path there --target second --name orbit --platform linux";
    let add = add.split(' ').chain(["--version", "3", "-t", "stable"]);
    updates(scratch, add).ok();
    let mirror = "mirror --path repo --from there/repository --channel stable --update-roots";
    let mirror = mirror.split(' ').chain(["@there/repository/1.root.json"]);
    updates(scratch, mirror).ok();
}

// With consistent snapshots it looks for `HASH.orbit/linux/…`, where TUF 5.7.3 and all others
// have `orbit/linux/…/HASH.orbit`: it follows the metadata alone.
fn tough_and_versions(scratch: &Scratch) {
    std::fs::rename(
        scratch.join("vault/keys/root.json"),
        scratch.join("repo/keys/root.json"),
    )
    .unwrap();
    for words in [
        "consistent-snapshot on",
        "rotate snapshot",
        "prune --grace 0",
    ] {
        let args = words.split(' ').chain(["--path", "repo"]);
        updates(scratch, args).ok();
        let args = ["repo/repository", "tough-state", "root.json"];
        scratch.tool("tough-client", args).ok();
    }
}

fn follows_a_fixture(peer: Peer, name: &str) {
    let scratch = Scratch::new();
    fixture(&scratch, name);
    let root = scratch.join("repo/repository/1.root.json");
    let server = Server::python(&scratch.join("repo/repository"));
    peer.follow(&scratch, &server.url, Some(&root), true);
    scratch.write("new", elf(62));
    add(&scratch, "new", "9.9.9").ok();
    assert_eq!(peer.follow(&scratch, &server.url, None, true), elf(62));
}
