//! The rpm on a host with systemd: installed, upgraded, removed by rpm.

use libtest_mimic::Trial;

use crate::harness::linux_cells::{self, Manager};

const NEEDS: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "rpmbuild",
];

/// All trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = linux_cells::trials(Manager::Rpm, NEEDS);
    trials.extend(linux_cells::upstream_trials(Manager::Rpm, NEEDS));
    trials
}
