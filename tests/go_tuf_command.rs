//! go-tuf 0.5.2's own `tuf` command works on after us, and we after it.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, tools, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{PASSPHRASES, add, elf, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![trial_needing(
        "go_tuf_command/takes_turns",
        &["go", "python3", "python-tuf"],
        takes_turns,
    )]
}

fn tuf(scratch: &Scratch, args: &[&str]) -> Run {
    let program = tools::go_package(
        "tuf",
        "go-tuf",
        "github.com/theupdateframework/go-tuf/cmd/tuf",
    );
    let run = scratch.program(&program, ["-d", "repo"]);
    let run = args.iter().fold(run, |run, word| run.arg(word));
    // Its names of the same passphrases.
    PASSPHRASES.iter().fold(run, |run, (name, value)| {
        run.env(&name.replace("FLEET", "TUF"), value)
    })
}

// Stages a target and signs what changes, as go-tuf's README has it.
fn tuf_adds(scratch: &Scratch, name: &str, bytes: &[u8]) {
    scratch.write(&format!("repo/staged/targets/{name}"), bytes);
    for words in [
        &["add", name][..],
        &["snapshot"],
        &["timestamp"],
        &["commit"],
    ] {
        tuf(scratch, words).ok();
    }
}

fn takes_turns() {
    let scratch = Scratch::new();
    let versions: Vec<Vec<u8>> = (0..6u8)
        .map(|n| [elf(62).as_slice(), &[n]].concat())
        .collect();
    init(&scratch);
    scratch.write("first", &versions[0]);
    add(&scratch, "first", "1.0").ok();
    let server = Server::python(&scratch.join("repo/repository"));
    let root = scratch.join("repo/repository/1.root.json");
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        let got = peer.follow(&scratch, &server.url, Some(&root), true);
        assert_eq!(got, versions[0]);
    }
    let follows = |expected: &[u8], after: &str| {
        for peer in [Peer::PythonTuf, Peer::GoTuf] {
            let got = peer.follow(&scratch, &server.url, None, true);
            assert_eq!(got, expected, "{after}");
        }
        let verify = ["verify", "--path", "repo"];
        updates(&scratch, verify).ok().prints("targets verified");
    };
    // After each of our operations its command publishes another version.
    let target = "orbit/linux/stable/orbit";
    let ours: [&[&str]; 4] = [
        &["timestamp"],
        &["rotate", "targets"],
        &["rotate", "snapshot"],
        &["remove", "orbit/linux/1.0/orbit"],
    ];
    for (words, bytes) in ours.into_iter().zip(&versions[1..]) {
        let args = words.iter().copied().chain(["--path", "repo"]);
        updates(&scratch, args).ok();
        tuf(&scratch, &["get-threshold", "targets"]).ok();
        tuf_adds(&scratch, target, bytes);
        follows(bytes, &format!("{words:?}"));
    }
    // And we go on where it stopped.
    scratch.write("last", &versions[5]);
    add(&scratch, "last", "9.0").ok();
    follows(&versions[5], "add");
    assert!(Path::new(&scratch.join("repo/repository/3.root.json")).exists());
}
