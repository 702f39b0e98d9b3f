//! `fleetpack quickstart`: from nothing to verified installers of every type.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::{Scratch, tools, trial, trial_needing};

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
        ran.prints(&format!("    {name} ("));
    }
    ran.prints("stand-ins").prints("read back and verified");
    ran.prints("fleetpack updates init --path updates");
    // No line of it is broken in a terminal of 80 columns.
    for line in ran.text().lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

// The commands that it prints work, with the passphrases that it wrote down.
fn again() {
    let scratch = Scratch::new();
    let folder = "over here/it's";
    scratch.fleetpack(["quickstart", "--dir", folder]).ok();
    let first = scratch.text(&format!("{folder}/passphrases.env"));
    let ran = scratch.fleetpack(["quickstart", "--dir", folder]).ok();
    let second = scratch.text(&format!("{folder}/passphrases.env"));
    assert_ne!(first, second);
    assert_eq!(second.lines().count(), 4);
    let further = ran.text().split_once("To look further:\n").unwrap().1;
    let further = further.split_once("\n\n").unwrap().0;
    assert_eq!(further.lines().count(), 3, "{further}");
    let program = Path::new(env!("CARGO_BIN_EXE_fleetpack")).parent().unwrap();
    let script = format!("set -eu\n{further}");
    scratch
        .tool("sh", ["-c", &script])
        .env("PATH", format!("{}:{}", program.display(), tools::PATH))
        .ok()
        .prints("\"signatures\"");
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
