//! The calls of dpkg beside installing, upgrading and removing (Debian Policy 6.5 to 6.8):
//! another package pushes ours aside, or a step of the old one or of another one fails.

use super::super::agent::{self, Upstream};
use super::super::native::Native;
use super::{Cell, SECRET, Story, same_paths, version};

/// The cells.
pub const CELLS: [(&str, Story); 7] = [
    ("deconfigured by a break", deconfigured),
    ("a break that fails after all", abort_deconfigure),
    ("removed by a conflict", conflict),
    ("a conflict that fails after all", abort_remove),
    ("the old package's prerm fails", failed_upgrade_before),
    ("the old package's postrm fails", failed_upgrade_after),
    ("a first installation that fails", abort_install),
];

/// A package that stands in the way of ours.
fn other(fields: &'static str, preinst: &str) -> Native {
    Native {
        name: "other-agent",
        version: "1".to_owned(),
        fields,
        files: vec![(
            "/usr/share/other-agent".to_owned(),
            0o644,
            "other\n".to_owned(),
        )],
        scripts: vec![("preinst", format!("#!/bin/sh\n{preinst}\n"))],
        ..Native::default()
    }
}

const BREAKS: &str = "Breaks: fleet-osquery\n";
const CONFLICTS: &str =
    "Conflicts: fleet-osquery\nReplaces: fleet-osquery\nProvides: fleet-osquery\n";

/// dpkg's word for how far our package is.
fn status(cell: &Cell) -> String {
    let query = "dpkg-query -W -f '${db:Status-Status}' fleet-osquery";
    cell.host().run(query).text().to_owned()
}

fn installed(cell: &Cell) -> Vec<String> {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.holds("1.1.0", SECRET);
    before
}

fn deconfigured(cell: &Cell) {
    let before = installed(cell);
    let process = cell.host().ok("systemctl show -P MainPID orbit.service");
    let file = cell.host().put(&other(BREAKS, ":").deb(&cell.scratch));
    // A deconfigured package is an error to dpkg, and not to the host.
    let run = cell
        .host()
        .shell(&format!("dpkg -i --auto-deconfigure {file}"));
    run.fails(1).says("leaving unconfigured");
    assert_eq!(status(cell), "half-configured");
    // It runs on meanwhile.
    assert_eq!(
        cell.host().ok("systemctl show -P MainPID orbit.service"),
        process
    );
    cell.holds("1.1.0", SECRET);
    cell.host().ok("dpkg -P other-agent");
    cell.host().ok("dpkg --configure fleet-osquery");
    assert_eq!(status(cell), "installed");
    cell.holds("1.1.0", SECRET);
    cell.leaves_nothing(&before);
}

fn abort_deconfigure(cell: &Cell) {
    let before = installed(cell);
    let file = cell.host().put(&other(BREAKS, "exit 1").deb(&cell.scratch));
    let run = cell
        .host()
        .shell(&format!("dpkg -i --auto-deconfigure {file}"));
    run.fails(1).says("pre-installation script");
    assert_eq!(status(cell), "installed");
    cell.holds("1.1.0", SECRET);
    cell.leaves_nothing(&before);
}

fn conflict(cell: &Cell) {
    let before = installed(cell);
    cell.plant_run_time_files();
    let file = cell.host().put(&other(CONFLICTS, ":").deb(&cell.scratch));
    cell.host().ok(&format!("dpkg -i {file}"));
    assert_eq!(status(cell), "config-files");
    assert_eq!(cell.service_is("is-active"), "inactive");
    cell.host().ok("dpkg -P other-agent fleet-osquery");
    same_paths(&before, &cell.paths());
}

fn abort_remove(cell: &Cell) {
    let before = installed(cell);
    let file = cell
        .host()
        .put(&other(CONFLICTS, "exit 1").deb(&cell.scratch));
    cell.host().shell(&format!("dpkg -i {file}")).fails(1);
    assert_eq!(status(cell), "installed");
    cell.holds("1.1.0", SECRET);
    cell.leaves_nothing(&before);
}

/// Upstream's package, and a script of it fails on upgrade.
fn failing(cell: &Cell, script: &str) {
    let mut native = agent::upstream("1.1.0", Upstream::Inverted, false);
    for (name, text) in &mut native.scripts {
        if *name == script {
            text.push_str("[ \"$1\" != upgrade ] || exit 1\n");
        }
    }
    let before = cell.paths();
    cell.install(&native.deb(&cell.scratch));
    let ran = cell.replacing(&cell.package(&version("1.2.0"))).ok();
    ran.says("trying script from the new package instead");
    cell.holds("1.2.0", SECRET);
    cell.leaves_nothing(&before);
}

fn failed_upgrade_before(cell: &Cell) {
    failing(cell, "prerm");
}

fn failed_upgrade_after(cell: &Cell) {
    failing(cell, "postrm");
}

fn abort_install(cell: &Cell) {
    let before = cell.paths();
    let script = cell.scratch.write("fails.sh", "#!/bin/sh\nexit 1\n");
    let mut wanted = version("1.1.0");
    wanted
        .more
        .push(format!("--pre-install={}", script.display()));
    let run = cell.replacing(&cell.package(&wanted));
    run.fails(1).says("fails.sh failed with status 1");
    assert_eq!(cell.service_is("is-active"), "inactive");
    same_paths(&before, &cell.paths());
}
