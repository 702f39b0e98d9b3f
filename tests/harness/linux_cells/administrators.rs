//! An administrator's own scripts in the steps of a package manager, and what comes of one
//! that fails.

use std::path::PathBuf;

use super::super::scratch::Run;
use super::{Cell, Manager, SECRET, Story, version};

/// The cells.
pub const CELLS: [(&str, Story); 5] = [
    (
        "administrator's scripts run in their steps",
        administrators_scripts,
    ),
    (
        "a failing script before installation",
        failing_before_install,
    ),
    ("a failing script after installation", failing_after_install),
    ("a failing script before removal", failing_before_remove),
    ("a failing script after removal", failing_after_remove),
];

impl Cell {
    /// A package with an administrator's script for each of these steps.
    fn scripted(&self, version: &'static str, scripts: &[(&str, &str)]) -> PathBuf {
        let mut wanted = super::version(version);
        for (step, text) in scripts {
            let script = self.scratch.write(&format!("{version}/{step}.sh"), text);
            wanted.more.push(format!("--{step}={}", script.display()));
        }
        self.package(&wanted)
    }

    /// Runs what the manager must refuse, or at least complain about; answers all output.
    #[track_caller]
    fn complains(&self, run: &Run, words: &str, refuses: bool) {
        let ran = run.run();
        let output = format!("{}{}", ran.text(), ran.stderr);
        assert!(output.contains(words), "no {words:?}\n{ran}");
        assert_eq!(ran.code != Some(0), refuses, "{ran}");
    }
}

fn administrators_scripts(cell: &Cell) {
    let host = cell.host();
    let steps = |expected: &[&str]| {
        let seen = host.ok("cat /root/steps; rm /root/steps");
        assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    };
    let note = |shell: &str, step: &str| {
        format!(
            "#!{shell}\necho {step} $(systemctl is-active orbit.service) \"$#\" >> /root/steps\n"
        )
    };
    let package = |version| {
        let scripts = [
            ("pre-install", note("/bin/sh", "pre-install")),
            ("post-install", note("/usr/bin/env bash", "post-install")),
            ("pre-remove", note("/bin/bash -e", "pre-remove")),
            (
                "post-remove",
                note(" /usr/bin/env -S bash -e", "post-remove"),
            ),
        ];
        cell.scripted(
            version,
            &scripts
                .each_ref()
                .map(|(step, text)| (*step, text.as_str())),
        )
    };
    cell.install(&package("1.1.0"));
    steps(&["pre-install inactive 0", "post-install active 0"]);
    cell.replace(&package("1.2.0"));
    steps(&["pre-install active 0", "post-install active 0"]);
    cell.runs("1.2.0", SECRET);
    cell.remove();
    steps(&["pre-remove active 0", "post-remove inactive 0"]);
    assert_eq!(host.ok("ls /tmp | grep -v ^systemd-private || :"), "");
}

const FAILING: &str = "#!/bin/sh\nexit 3\n";

fn failing_before_install(cell: &Cell) {
    cell.install(&cell.package(&version("1.1.0")));
    let failing = cell.scripted("1.2.0", &[("pre-install", FAILING)]);
    let words = "the administrator's script pre-install.sh failed with status 3";
    // pacman runs the function and goes on whatever it answers.
    let refuses = cell.manager != Manager::Pacman;
    cell.complains(&cell.replacing(&failing), words, refuses);
    if refuses {
        cell.runs("1.1.0", SECRET);
        cell.replace(&cell.package(&version("1.2.0")));
    }
    cell.runs("1.2.0", SECRET);
}

fn failing_after_install(cell: &Cell) {
    let failing = cell.scripted("1.1.0", &[("post-install", FAILING)]);
    let file = cell.host().put(&failing);
    let run = cell.host().shell(&cell.manager.install(&file));
    let words = "the administrator's script post-install.sh failed with status 3";
    // For rpm and pacman the package is installed by then.
    cell.complains(&run, words, cell.manager == Manager::Dpkg);
    cell.runs("1.1.0", SECRET);
    // The next package mends it.
    cell.replace(&cell.package(&version("1.2.0")));
    cell.runs("1.2.0", SECRET);
}

fn failing_before_remove(cell: &Cell) {
    cell.install(&cell.scripted("1.1.0", &[("pre-remove", FAILING)]));
    let words = "the administrator's script pre-remove.sh failed with status 3";
    let refuses = cell.manager != Manager::Pacman;
    cell.complains(&cell.host().shell(cell.manager.remove()), words, refuses);
    if refuses {
        cell.runs("1.1.0", SECRET);
        cell.replace(&cell.package(&version("1.2.0")));
        cell.runs("1.2.0", SECRET);
        cell.remove();
    }
    cell.host().ok("! test -e /opt/orbit");
}

fn failing_after_remove(cell: &Cell) {
    cell.install(&cell.scripted("1.1.0", &[("post-remove", FAILING)]));
    let words = "the administrator's script post-remove.sh failed with status 3";
    cell.complains(
        &cell.host().shell(cell.manager.remove()),
        words,
        cell.manager == Manager::Dpkg,
    );
    cell.host().ok("! test -e /opt/orbit");
}
