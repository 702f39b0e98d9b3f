//! `updates status`, `verify`, `promote` and `remove`.

use libtest_mimic::Trial;

use crate::harness::server::Server;
use crate::harness::{Scratch, schema, trial, trial_needing};
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
        trial("verify/json", verify_json),
        trial_needing(
            "verify/delegated",
            &["python-tuf", "python3"],
            verify_delegated,
        ),
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
    assert_eq!(lines[4], "");
    assert_eq!(
        lines[5],
        "component  platform  channel  version  bytes  age  hash"
    );
    let age = lines[6].split("     64  ").nth(1).unwrap();
    let age = age.split(" s  ").next().unwrap();
    assert!(age.parse::<u64>().is_ok(), "{}", lines[6]);
    assert_eq!(
        lines[6],
        format!("orbit      linux     1.2.3    1.2.3       64  {age} s  {hash}")
    );
    assert_eq!(lines.len(), 8);
}

fn json() {
    let scratch = filled();
    let ran = updates(&scratch, ["status", "--path", "repo", "--json"]).ok();
    let value = schema::conforms("updates-status.json", ran.text());
    assert_eq!(value["roles"][3]["role"], "timestamp");
    assert_eq!(value["roles"][3]["version"], 2);
    assert_eq!(value["targets"][1]["target"], "orbit/linux/edge/orbit");
    assert_eq!(value["targets"][1]["version"], "1.2.3");
    assert_eq!(value["targets"][1]["channel"], "edge");
    assert!(value["targets"][1]["age_seconds"].is_i64());
    assert_eq!(value["found"], serde_json::json!([]));
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
    ran.prints("fleetpack_target_age_seconds{target=\"orbit/linux/edge/orbit\"} ");
    ran.prints("\nfleetpack_faults 0\n");
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
        .says("  hint: fleetpack updates timestamp --path repo\n");
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
    ran.says("error: the repository at repo/repository has 1 fault\n");
    ran.prints("1 targets verified\n");
    updates(&scratch, ["verify", "--path", "repo", "--channel", "1.2.3"])
        .ok()
        .prints("1 targets verified");
    let args = ["verify", "--path", "repo", "--component"];
    updates(&scratch, args)
        .arg("orbit")
        .fails(1)
        .prints("1 targets verified");
    let ran = updates(&scratch, args)
        .arg("orbt")
        .arg("--channel")
        .arg("edge")
        .fails(2);
    ran.says("error: repo/repository has no target with --component orbt --channel edge\n  hint: fleetpack updates status --path repo shows what it has\n");
    std::fs::remove_file(scratch.join("repo/repository/targets/orbit/linux/edge/orbit")).unwrap();
    updates(&scratch, ["verify", "--path", "repo"])
        .fails(1)
        .prints("orbit/linux/edge/orbit does not exist");
}

fn verify_json() {
    let scratch = filled();
    let run = || updates(&scratch, ["verify", "--path", "repo", "--json"]);
    let value = schema::conforms("updates-verify.json", run().ok().text());
    let names = ["orbit/linux/1.2.3/orbit", "orbit/linux/edge/orbit"];
    assert_eq!(value["verified"], serde_json::json!(names));
    scratch.write(
        "repo/repository/targets/orbit/linux/edge/orbit",
        vec![0; 64],
    );
    let value = schema::conforms("updates-verify.json", run().fails(1).text());
    assert_eq!(value["verified"], serde_json::json!(names[..1]));
    assert_eq!(value["found"][0]["target"], names[1]);
    assert_eq!(value["found"][0]["kind"], "fault");
}

// python-tuf's objects describe a repository whose targets lie in delegated roles.
fn verify_delegated() {
    let scratch = Scratch::new();
    scratch.python("delegated.py", ["repo"]).ok();
    let server = Server::python(&scratch.join("repo"));
    let verify = || {
        let args = ["verify", &server.url, "--update-roots", "@repo/1.root.json"];
        updates(&scratch, args)
    };
    let names = ["bins/1", "bins/2", "bins/3", "deep/file", "top"];
    let mut said: Vec<_> = verify().ok().stderr.lines().map(str::to_owned).collect();
    said.sort_unstable();
    assert_eq!(said, names.map(|name| format!("ok {name}")));
    let ran = updates(
        &scratch,
        ["status", &server.url, "--update-roots", "@repo/1.root.json"],
    );
    ran.ok()
        .prints("\ndeep/file  -         -        -            4    -  ");
    scratch.write("repo/targets/deep/file", "DEEP");
    verify()
        .fails(1)
        .prints("fault: the target deep/file is not the file that was signed");
    std::fs::remove_file(scratch.join("repo/deep.json")).unwrap();
    verify().fails(1).says("cannot fetch deep.json");
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
    .prints("\norbit      linux     edge     1.2.3       64    -  ");
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
