//! Upgrades from packages that fleetpack did not make: stand-ins that behave as upstream's.

use std::path::PathBuf;

use libtest_mimic::Trial;

use super::super::agent::{self, Upstream};
use super::super::trial_needing;
use super::{Cell, Manager, SECRET, modes, off, upgraded_by_the_agent, version};

/// The cells of upgrades from packages that fleetpack did not make.
pub fn upstream_trials(manager: Manager, needs: &'static [&'static str]) -> Vec<Trial> {
    let cell = |name: &str, story: fn(&Cell, Upstream), kind| {
        trial_needing(&format!("{}::{name}", manager.word()), needs, move || {
            story(&Cell::new(manager), kind);
        })
    };
    let mut trials = Vec::new();
    for (kind, whose) in [
        (Upstream::Inverted, "upstream's package"),
        (Upstream::AlwaysStops, "upstream's older package"),
        (Upstream::AlwaysRemoves, "upstream's first packages"),
    ] {
        trials.extend([
            cell(&format!("from {whose}"), from_upstream, kind),
            cell(&format!("from {whose}, stopped"), from_stopped, kind),
            cell(&format!("back to {whose}"), back_to_upstream, kind),
        ]);
        // A deb's older script stops the service, and with it dpkg, before any script of the
        // new package runs.
        if manager == Manager::Rpm || kind == Upstream::Inverted {
            let name = format!("from {whose} by the agent itself");
            trials.push(cell(&name, from_upstream_by_the_agent, kind));
        }
    }
    trials
}

impl Cell {
    fn upstream(&self, version: &str, kind: Upstream) -> PathBuf {
        let native = agent::upstream(version, kind, self.manager == Manager::Rpm);
        match self.manager {
            Manager::Rpm => native.rpm(&self.scratch),
            _ => native.deb(&self.scratch),
        }
    }
}

fn from_upstream(cell: &Cell, kind: Upstream) {
    let before = cell.paths();
    cell.install(&cell.upstream("1.1.0", kind));
    cell.runs("1.1.0", "upstream");
    cell.plant_run_time_files();
    cell.replace(&cell.package(&version("1.2.0")));
    cell.holds("1.2.0", SECRET);
    // What the agent made is still there, and nothing that is kept meanwhile.
    let list = agent::RUN_TIME_FILES.join(" ");
    cell.host().ok(&format!("ls -d {list}"));
    cell.host().ok(
        "! find /opt /etc /usr/lib/systemd /usr/local /var/l* -name '*.fleet-osquery' | grep .",
    );
    cell.replace(&cell.package(&version("1.1.0")));
    cell.holds("1.1.0", SECRET);
    cell.leaves_nothing(&before);
}

/// The same version, over a service that was stopped; then one that starts nothing.
fn from_stopped(cell: &Cell, kind: Upstream) {
    let before = cell.paths();
    cell.install(&cell.upstream("1.1.0", kind));
    cell.host().ok("systemctl disable --now orbit.service");
    cell.replace(&cell.package(&off("1.1.0")));
    assert_eq!(cell.service_is("is-active"), "inactive");
    assert_eq!(cell.service_is("is-enabled"), "disabled");
    modes(cell);
    cell.replace(&cell.upstream("1.0.0", kind));
    cell.host().ok("systemctl disable --now orbit.service");
    cell.replace(&cell.package(&version("1.0.0")));
    cell.holds("1.0.0", SECRET);
    cell.leaves_nothing(&before);
}

/// A lower version than the old package's, and the other way round: upstream's over ours.
fn back_to_upstream(cell: &Cell, kind: Upstream) {
    cell.install(&cell.upstream("1.2.0", kind));
    cell.replace(&cell.package(&version("1.1.0")));
    cell.holds("1.1.0", SECRET);
    cell.replace(&cell.upstream("1.0.0", kind));
    cell.runs("1.0.0", "upstream");
}

fn from_upstream_by_the_agent(cell: &Cell, kind: Upstream) {
    cell.install(&cell.upstream("1.1.0", kind));
    cell.runs("1.1.0", "upstream");
    upgraded_by_the_agent(cell, &cell.package(&version("1.2.0")), "1.1.0", "1.2.0");
}
