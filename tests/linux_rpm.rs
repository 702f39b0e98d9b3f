//! The rpm on a host with systemd: installed, upgraded, removed by rpm, and by dnf from a
//! repository.

use libtest_mimic::Trial;

use crate::harness::agent::{self, Wanted};
use crate::harness::linux_cells::{self, Cell, Manager};
use crate::harness::native::Native;
use crate::harness::trial_needing;

const NEEDS: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "rpmbuild",
];

const DNF: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "rpmbuild",
    "createrepo_c",
];

/// All trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = linux_cells::trials(Manager::Rpm, NEEDS);
    trials.extend(linux_cells::upstream_trials(Manager::Rpm, NEEDS));
    trials.push(trial_needing("rpm::dnf and a repository", DNF, dnf));
    trials
}

/// Debian's programs are no rpms: a package says that there is a shell.
fn shell() -> Native {
    Native {
        name: "shell",
        version: "1".to_owned(),
        fields: "Provides: /bin/sh\n",
        files: vec![("/usr/share/shell".to_owned(), 0o644, String::new())],
        ..Native::default()
    }
}

/// Installed, upgraded, downgraded, reinstalled and removed by name, with all scripts.
fn dnf() {
    let cell = Cell::new(Manager::Rpm);
    let (scratch, host) = (&cell.scratch, cell.host());
    let put = |name: &str, rpm: std::path::PathBuf| {
        scratch.write(&format!("repo/{name}.rpm"), std::fs::read(rpm).unwrap());
    };
    for version in ["1.1.0", "1.2.0"] {
        let wanted = Wanted {
            version,
            secret: "secret",
            more: Vec::new(),
        };
        put(version, agent::stand_in(scratch, "rpm", &wanted));
    }
    put("shell", shell().rpm(scratch));
    scratch.tool("createrepo_c", ["-q", "repo"]).ok();
    let target = host.path("/root/repo");
    scratch.tool("cp", ["-r", "repo"]).arg(target).ok();
    let dnf = |what: &str| {
        host.ok(&format!(
            "dnf -q -y --setopt=reposdir=/nonexistent --repofrompath=fleet,file:///root/repo \
             --nogpgcheck --releasever=9 {what}"
        ))
    };
    dnf("install fleet-osquery-1.1.0");
    cell.holds("1.1.0", "secret");
    dnf("upgrade");
    cell.holds("1.2.0", "secret");
    dnf("downgrade fleet-osquery");
    cell.holds("1.1.0", "secret");
    dnf("reinstall fleet-osquery");
    cell.holds("1.1.0", "secret");
    cell.plant_run_time_files();
    dnf("remove fleet-osquery");
    assert_eq!(cell.service_is("is-active"), "inactive");
    host.ok("! test -e /opt/orbit && ! test -e /etc/default/orbit");
    // A file, without a repository.
    dnf("install /root/repo/1.2.0.rpm");
    cell.holds("1.2.0", "secret");
}
