//! `updates status`, `verify`, `promote` and `remove`.

use libtest_mimic::Trial;

use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{add, elf, fixture, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("status/text", text),
        trial("status/json", json),
        trial("status/prometheus", prometheus),
        trial("status/needs_an_anchor", needs_an_anchor),
        trial_needing("status/exit_codes", &["faketime"], exit_codes),
        trial("verify/finds_faults", verify_finds_faults),
        trial_needing("verify/url", &["python3"], verify_a_url),
        trial_needing(
            "promote/clients_follow",
            &["python-tuf", "go", "python3"],
            promote,
        ),
        trial("promote/refused", promote_refused),
        trial("promote/consistent_snapshot", promote_consistent),
        trial("remove/targets", remove),
    ]
}

fn filled() -> Scratch {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    let words =
        "add --path repo --target orbit --name orbit --platform linux --version 1.2.3 -t edge";
    updates(&scratch, words.split(' ')).ok();
    scratch
}

fn text() {
    let scratch = filled();
    let ran = updates(&scratch, ["status", "--path", "repo"]).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    assert!(
        lines[0].starts_with("root      version 1      expires 20"),
        "{ran}"
    );
    assert!(lines[0].ends_with("1 of 1 keys"));
    let digests = fleetpack::tuf::hashes::Digests::of(&elf(62));
    let hash = &hex::encode(digests.sha512)[..16];
    assert_eq!(
        lines[4],
        format!("orbit/linux/1.2.3/orbit  1.2.3  64 bytes  {hash}")
    );
    assert_eq!(lines.len(), 6);
}

fn json() {
    let scratch = filled();
    let ran = updates(&scratch, ["status", "--path", "repo", "--json"]).ok();
    let value: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!(value["roles"][3]["role"], "timestamp");
    assert_eq!(value["roles"][3]["version"], 2);
    assert_eq!(value["targets"][1]["target"], "orbit/linux/edge/orbit");
    assert_eq!(value["targets"][1]["version"], "1.2.3");
}

fn prometheus() {
    let scratch = filled();
    let ran = updates(
        &scratch,
        ["status", "--path", "repo", "--format", "prometheus"],
    )
    .ok();
    ran.prints("# TYPE fleetpack_role_expires_seconds gauge\nfleetpack_role_expires_seconds{role=\"root\"} ");
    ran.prints(
        "fleetpack_target_size_bytes{target=\"orbit/linux/edge/orbit\",version=\"1.2.3\"} 64\n",
    );
}

fn needs_an_anchor() {
    let scratch = Scratch::new();
    fixture(&scratch, "fleetctl-style");
    for command in ["status", "verify"] {
        let run = updates(&scratch, [command, "--path", "repo"]);
        assert_eq!(
            run.fails(1).message(),
            "error: nothing here says which root to trust: repo/keys/state.json does not exist\n  \
             hint: --update-roots @root.json\n"
        );
    }
    let ran = updates(&scratch, ["roots", "--path", "repo"]).ok();
    scratch.write("root.json", ran.text());
    updates(
        &scratch,
        ["verify", "--path", "repo", "--update-roots", "@root.json"],
    )
    .ok()
    .prints("20 targets verified");
}

fn exit_codes() {
    let scratch = filled();
    let run = || updates(&scratch, ["status", "--path", "repo"]);
    run().ok();
    run()
        .at("+8d")
        .fails(3)
        .says("error: timestamp.json expires at ");
    run()
        .at("+15d")
        .fails(4)
        .says("error: timestamp.json expired at ");
    run()
        .arg("--warn")
        .arg("20d")
        .fails(3)
        .says("  hint: fleetpack updates timestamp\n");
    run().arg("--warn").arg("1h").ok();
}

fn verify_finds_faults() {
    let scratch = filled();
    updates(&scratch, ["verify", "--path", "repo"])
        .ok()
        .prints("2 targets verified");
    let mut altered = elf(62);
    altered[40] = 1;
    scratch.write("repo/repository/targets/orbit/linux/edge/orbit", &altered);
    let ran = updates(&scratch, ["verify", "--path", "repo"]).fails(1);
    ran.prints(
        "fault: the target orbit/linux/edge/orbit is not the file that was signed: its sha256 is ",
    );
    ran.says("error: 1 of 2 targets are not what was signed\n");
    updates(&scratch, ["verify", "--path", "repo", "--channel", "1.2.3"])
        .ok()
        .prints("1 targets verified");
    std::fs::remove_file(scratch.join("repo/repository/targets/orbit/linux/edge/orbit")).unwrap();
    updates(&scratch, ["verify", "--path", "repo"])
        .fails(1)
        .prints("orbit/linux/edge/orbit does not exist");
}

fn verify_a_url() {
    let scratch = filled();
    let server = Server::python(&scratch.join("repo/repository"));
    let roots = updates(&scratch, ["roots", "--path", "repo"]).ok();
    updates(
        &scratch,
        ["verify", &server.url, "--update-roots", roots.text().trim()],
    )
    .ok()
    .prints("2 targets verified");
    updates(&scratch, ["verify", &server.url])
        .fails(2)
        .says("needs --update-roots");
    updates(
        &scratch,
        ["status", &server.url, "--update-roots", roots.text().trim()],
    )
    .ok()
    .prints("orbit/linux/edge/orbit");
}

fn promote() {
    let scratch = filled();
    let server = Server::python(&scratch.join("repo/repository"));
    let root = scratch.join("repo/repository/1.root.json");
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        peer.follow(&scratch, &server.url, Some(&root), false);
    }
    let words =
        "promote --path repo --component orbit --from edge --to stable --and-version-channels";
    let ran = updates(&scratch, words.split(' ')).ok();
    let mut published: Vec<_> = ran
        .stderr
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    published.sort_unstable();
    let expected = ["1.2.3", "1.2", "1", "stable"].map(|c| format!("orbit/linux/{c}/orbit"));
    assert_eq!(published, expected);
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        assert_eq!(peer.follow(&scratch, &server.url, None, true), elf(62));
    }
    updates(&scratch, ["verify", "--path", "repo"])
        .ok()
        .prints("5 targets verified");
}

fn promote_refused() {
    let scratch = filled();
    let before = scratch.state("repo");
    let words = "promote --path repo --component orbit,desktop --from edge --to stable";
    updates(&scratch, words.split(' '))
        .fails(2)
        .says("error: desktop has no target to promote in the channel edge\n");
    before.unchanged(&scratch.state("repo"));
    scratch.write("repo/repository/targets/orbit/linux/edge/orbit", "short");
    let words = "promote --path repo --component orbit --from edge --to stable";
    updates(&scratch, words.split(' '))
        .fails(1)
        .says("it is not the file that was signed");
}

fn promote_consistent() {
    let scratch = Scratch::new();
    fixture(&scratch, "consistent-snapshot");
    scratch.write("orbit", elf(62));
    add(&scratch, "orbit", "2.0").ok();
    let words = "promote --path repo --component orbit --from stable --to lts";
    updates(&scratch, words.split(' ')).ok();
    updates(&scratch, ["verify", "--path", "repo"])
        .ok()
        .prints("3 targets verified");
}

fn remove() {
    let scratch = filled();
    updates(
        &scratch,
        ["remove", "--path", "repo", "orbit/linux/edge/orbit"],
    )
    .ok();
    assert!(
        !scratch
            .join("repo/repository/targets/orbit/linux/edge/orbit")
            .exists()
    );
    updates(&scratch, ["verify", "--path", "repo"])
        .ok()
        .prints("1 targets verified");
    updates(
        &scratch,
        ["remove", "--path", "repo", "orbit/linux/edge/orbit"],
    )
    .fails(1)
    .says("error: the repository has no target orbit/linux/edge/orbit\n");
}
