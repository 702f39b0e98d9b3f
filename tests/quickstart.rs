//! `fleetpack quickstart`: from nothing to verified installers of every type.

use libtest_mimic::Trial;

use crate::harness::{Scratch, trial, trial_needing};

/// All trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("quickstart: every type, read back", every_type),
        trial("quickstart: again over its own folder", again),
        trial("quickstart: another's folder is left alone", others_folder),
        trial_needing("quickstart: the stand-ins run", &["dpkg-deb"], stand_ins),
    ]
}

fn every_type() {
    let scratch = Scratch::new();
    let ran = scratch.fleetpack(["quickstart"]).ok();
    for name in [
        "fleet-osquery_1.0.0_amd64.deb",
        "fleet-osquery_1.0.0_arm64.deb",
        "fleet-osquery-1.0.0.x86_64.rpm",
        "fleet-osquery-1.0.0.aarch64.rpm",
        "fleet-osquery-1.0.0-1-x86_64.pkg.tar.zst",
        "fleet-osquery-1.0.0-1-aarch64.pkg.tar.zst",
        "fleet-osquery.pkg",
        "fleet-osquery.msi",
        "fleet-osquery-arm64.msi",
    ] {
        let path = format!("fleetpack-quickstart/installers/{name}");
        assert!(scratch.join(&path).is_file(), "{path}");
        ran.prints(&path);
    }
    ran.prints("stand-ins").prints("read back and verified");
    ran.prints("fleetpack updates init --path updates");
}

// The commands that it prints work, with the passphrases that it wrote down.
fn again() {
    let scratch = Scratch::new();
    scratch.fleetpack(["quickstart", "--dir", "here"]).ok();
    let first = scratch.text("here/passphrases.env");
    scratch.fleetpack(["quickstart", "--dir", "here"]).ok();
    let second = scratch.text("here/passphrases.env");
    assert_ne!(first, second);
    let variables: Vec<(&str, &str)> = second
        .lines()
        .map(|line| line.trim_start_matches("export ").split_once('=').unwrap())
        .collect();
    assert_eq!(variables.len(), 4);
    scratch
        .fleetpack(["updates", "timestamp", "--path", "here/updates"])
        .envs(variables)
        .ok();
}

fn others_folder() {
    let scratch = Scratch::new();
    scratch.write("mine/file", "precious");
    let before = scratch.state("mine");
    let ran = scratch.fleetpack(["quickstart", "--dir", "mine"]).fails(2);
    ran.says("mine is there already and no earlier quickstart's");
    before.unchanged(&scratch.state("mine"));
}

fn stand_ins() {
    let scratch = Scratch::new();
    scratch.fleetpack(["quickstart"]).ok();
    let deb = "fleetpack-quickstart/installers/fleet-osquery_1.0.0_amd64.deb";
    scratch.tool("dpkg-deb", ["-x", deb, "root"]).ok();
    for program in [
        "orbit/linux/stable/orbit",
        "osqueryd/linux/stable/osqueryd",
        "desktop/linux/stable/fleet-desktop/fleet-desktop",
    ] {
        let path = scratch.join(format!("root/opt/orbit/bin/{program}"));
        scratch.program(&path, ["--help"]).ok().prints("stand-in");
    }
}
