//! Two copies of one repository: a host that releases, and one that signs timestamps.

use libtest_mimic::Trial;

use super::{begin, publish, release, with, written};
use crate::harness::objects::Objects;
use crate::harness::{Scratch, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::updates;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("publish/copies/cron", &["versitygw", "curl", "go"], cron),
        trial_needing("publish/copies/both", &["versitygw"], both_release),
        trial_needing("publish/copies/rotated", &["versitygw"], rotated_elsewhere),
    ]
}

// `repo` releases, `cron` has the timestamp key alone.
fn cron() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    scratch.copy(&scratch.join("repo"), "cron");
    for role in ["root", "targets", "snapshot"] {
        std::fs::remove_file(scratch.join(format!("cron/keys/{role}.json"))).unwrap();
    }
    std::fs::remove_dir_all(scratch.join("cron/repository/targets")).unwrap();
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
    // The host of timestamps is ahead: the release takes its version + 1.
    updates(&scratch, ["timestamp", "--path", "cron"]).ok();
    assert_eq!(
        written(&publish(&scratch, &service, "cron", []).ok()),
        ["timestamp.json"]
    );
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    let ran = publish(&scratch, &service, "repo", []).ok();
    ran.says("the destination was ahead: signed timestamp anew");
    // And the other way round: the timestamp is signed over what was released, nothing is lost.
    updates(&scratch, ["timestamp", "--path", "cron"]).ok();
    let ran = publish(&scratch, &service, "cron", []).ok();
    assert_eq!(written(&ran), ["timestamp.json"]);
    ran.says("signed timestamp anew");
    let url = format!("{}/r", service.public(&scratch));
    let root = scratch.join("repo/repository/1.root.json");
    let got = Peer::GoTuf.follow(&scratch, &url, Some(&root), true);
    assert_eq!(got, super::program("two!"));
    // With nothing of its own, a copy follows without a key.
    let pull = ["pull", &service.url("r"), "--path", "repo"];
    with(&scratch, &service, pull)
        .ok()
        .says("took over targets version 3");
}

fn both_release() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    scratch.copy(&scratch.join("repo"), "second");
    release(&scratch, "repo", "orbit", "1.1.0", "from the first");
    release(&scratch, "second", "osqueryd", "5.9.1", "from the second");
    publish(&scratch, &service, "repo", []).ok();
    let ran = publish(&scratch, &service, "second", []).ok();
    ran.says("signed targets, snapshot, timestamp anew")
        .says("targets of another host were taken over");
    let pull = |path: &str| {
        with(
            &scratch,
            &service,
            ["pull", &service.url("r"), "--path", path],
        )
        .ok();
        updates(&scratch, ["verify", "--path", path]).ok();
    };
    pull("repo");
    pull("second");
    let targets = "repository/targets.json";
    assert_eq!(
        scratch.read(&format!("repo/{targets}")),
        scratch.read(&format!("second/{targets}"))
    );
    for target in ["orbit/linux/1.1.0/orbit", "osqueryd/linux/5.9.1/osqueryd"] {
        assert!(scratch.text(&format!("repo/{targets}")).contains(target));
    }
    // Both move the same channel: a person decides.
    release(&scratch, "repo", "orbit", "1.2.0", "here");
    release(&scratch, "second", "orbit", "1.3.0", "there");
    publish(&scratch, &service, "repo", []).ok();
    let before = scratch.state("second/repository");
    publish(&scratch, &service, "second", [])
        .fails(1)
        .says("error: this copy and the destination both changed orbit/linux/stable/orbit\n  hint: --prefer local, or --prefer remote\n");
    before.unchanged(&scratch.state("second/repository"));
    publish(&scratch, &service, "second", ["--prefer", "local"]).ok();
    pull("repo");
    assert_eq!(
        scratch.read("repo/repository/targets/orbit/linux/stable/orbit"),
        super::program("there")
    );
}

fn rotated_elsewhere() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    scratch.copy(&scratch.join("repo"), "second");
    updates(&scratch, ["rotate", "targets", "--path", "repo"]).ok();
    publish(&scratch, &service, "repo", []).ok();
    let pull = ["pull", &service.url("r"), "--path", "second"];
    with(&scratch, &service, pull).ok();
    assert_eq!(
        scratch.read("second/repository/root.json"),
        scratch.read("repo/repository/2.root.json")
    );
    updates(&scratch, ["timestamp", "--path", "second"]).ok();
    publish(&scratch, &service, "second", []).ok();
}
