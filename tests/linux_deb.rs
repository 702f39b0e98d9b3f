//! The deb on a Debian host: installed, upgraded, removed by dpkg and apt.

use libtest_mimic::Trial;

use crate::harness::linux_cells::{self, Manager};

const NEEDS: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "dpkg-deb",
];

/// All trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = linux_cells::trials(Manager::Dpkg, NEEDS);
    trials.extend(linux_cells::upstream_trials(Manager::Dpkg, NEEDS));
    trials
}
