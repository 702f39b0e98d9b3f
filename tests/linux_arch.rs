//! The Arch package on a host with systemd: installed, upgraded, removed by pacman.

use libtest_mimic::Trial;

use crate::harness::linux_cells::{self, Manager};

const NEEDS: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
];

/// All trials.
pub fn trials() -> Vec<Trial> {
    linux_cells::trials(Manager::Pacman, NEEDS)
}
