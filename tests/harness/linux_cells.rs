//! What must hold on a Linux host around installing, upgrading and removing, for each format.
//!
//! A cell is a story with a name, told once and played with `dpkg`, `rpm` and `pacman`: it
//! boots a container, lets the package manager work, and looks at the host: the service, its
//! environment, modes of files, what is left lying.

mod administrators;
mod dpkg_calls;
mod upstream;

pub use upstream::upstream_trials;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libtest_mimic::Trial;

use super::agent::Wanted;
use super::container::{Chroot, Container};
use super::scratch::Run;
use super::{Scratch, agent, trial_needing};

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// `dpkg`.
    Dpkg,
    /// `rpm`.
    Rpm,
    /// `pacman`.
    Pacman,
}

impl Manager {
    /// The word of `--type` for its packages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dpkg => "deb",
            Self::Rpm => "rpm",
            Self::Pacman => "pkg.tar.zst",
        }
    }

    /// The command that installs a file where there is nothing.
    fn install(self, file: &str) -> String {
        match self {
            Self::Dpkg => format!("dpkg -i {file}"),
            // Debian's database of rpms is empty: nobody provides /bin/sh.
            Self::Rpm => format!("rpm -i --nodeps {file}"),
            Self::Pacman => format!("pacman -Udd --noconfirm {file}"),
        }
    }

    /// The command that installs a file over another version, or over the same.
    fn replace(self, file: &str) -> String {
        match self {
            Self::Rpm => format!("rpm -U --nodeps --oldpackage --replacepkgs {file}"),
            other => other.install(file),
        }
    }

    /// The command that removes the package.
    fn remove(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg -r fleet-osquery",
            Self::Rpm => "rpm -e fleet-osquery",
            Self::Pacman => "pacman -Rdd --noconfirm fleet-osquery",
        }
    }

    /// What the manager itself writes, for `grep -E`.
    fn own_files(self) -> &'static str {
        match self {
            Self::Dpkg => "^/var/(lib/dpkg|log/dpkg.log|log/alternatives.log)",
            Self::Rpm => "^/var/(lib/rpm|tmp)|^/root/.rpmdb",
            // On Arch the package `filesystem` keeps the last two.
            Self::Pacman => {
                "^/var/(lib/pacman|log/pacman.log|cache/ldconfig)|^/etc/ld.so.cache|^/opt$|^/usr/local/bin$"
            }
        }
    }
}

/// A secret that every grammar on its way could spoil.
const SECRET: &str = r#"a$HOME `b` "c" 'd' \e #f %g"#;

fn version(version: &'static str) -> Wanted {
    Wanted {
        version,
        secret: SECRET,
        more: Vec::new(),
    }
}

/// What happens in a cell.
type Story = fn(&Cell);

/// The cells of a package manager.
pub fn trials(manager: Manager, needs: &'static [&'static str]) -> Vec<Trial> {
    let cell = |name: &str, story: Story| {
        trial_needing(&format!("{}::{name}", manager.word()), needs, move || {
            story(&Cell::new(manager));
        })
    };
    let mut trials = vec![
        // First, as it waits for a minute and leaves the processors to the others.
        cell("by the agent itself", by_the_agent),
        cell("fresh install", fresh_install),
        cell("upgrade", upgrade),
        cell("downgrade", downgrade),
        cell("same version, another secret", another_secret),
        cell("install while the service is stopped", while_stopped),
        cell("a masked service stays masked", masked),
        cell("chroot without a running systemd", chroot),
        cell("chroot without systemctl", chroot_without_systemctl),
        cell("without service", without_service),
        cell("remove", remove),
        cell("remove while the service is stopped", remove_while_stopped),
        cell("labels where restorecon exists", labels),
    ];
    trials.extend(administrators::CELLS.map(|(name, story)| cell(name, story)));
    if manager == Manager::Dpkg {
        trials.extend(dpkg_calls::CELLS.map(|(name, story)| cell(name, story)));
    }
    trials
}

/// One cell's packages and container.
pub struct Cell {
    pub manager: Manager,
    pub scratch: Scratch,
    container: LazyLock<Container>,
}

impl Cell {
    /// A cell whose container boots on first use.
    pub fn new(manager: Manager) -> Self {
        Self {
            manager,
            scratch: Scratch::new(),
            container: LazyLock::new(Container::boot),
        }
    }

    /// The host.
    pub fn host(&self) -> &Container {
        &self.container
    }

    /// A package, made now.
    pub fn package(&self, wanted: &Wanted) -> PathBuf {
        agent::stand_in(&self.scratch, self.manager.word(), wanted)
    }

    /// Installs a package where there is none.
    #[track_caller]
    pub fn install(&self, package: &Path) {
        let file = self.host().put(package);
        self.host().ok(&self.manager.install(&file));
    }

    /// A run that installs a package over what there is.
    pub fn replacing(&self, package: &Path) -> Run {
        let file = self.host().put(package);
        self.host().shell(&self.manager.replace(&file))
    }

    /// Installs a package over what there is.
    #[track_caller]
    pub fn replace(&self, package: &Path) {
        self.replacing(package).ok();
    }

    /// Removes the package.
    #[track_caller]
    pub fn remove(&self) {
        self.host().ok(self.manager.remove());
    }

    /// Wants the service active and enabled, and its process to be of this version with this
    /// secret.
    #[track_caller]
    pub fn runs(&self, version: &str, secret: &str) {
        let host = self.host();
        let word = |verb: &str| {
            host.run(&format!("systemctl {verb} orbit.service"))
                .text()
                .trim()
                .to_owned()
        };
        assert_eq!(word("is-active"), "active");
        assert_eq!(word("is-enabled"), "enabled");
        host.wait_for(&format!("grep -qx {version} /run/orbit.version"));
        let environment =
            host.ok("tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID orbit.service)/environ");
        let value = |name: &str| {
            let line = environment
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("no {name} in\n{environment}"))
                .to_owned()
        };
        assert_eq!(value("ORBIT_ENROLL_SECRET"), secret);
    }

    /// Like [`Cell::runs`], and all that the package laid down has the mode and owner that it
    /// should have.
    #[track_caller]
    pub fn holds(&self, version: &str, secret: &str) {
        self.runs(version, secret);
        modes(self);
    }

    /// Ends a cell: what a running agent makes is planted, the package removed (and purged,
    /// where there is a difference), and the host is as it was `before`.
    #[track_caller]
    pub fn leaves_nothing(&self, before: &[String]) {
        self.plant_run_time_files();
        self.remove();
        same_paths(before, &self.paths());
        assert_eq!(self.service_is("is-active"), "inactive");
        self.host().ok("! pgrep -f '[/]opt/orbit'");
        if self.manager == Manager::Dpkg {
            self.host().ok("dpkg -P fleet-osquery");
            same_paths(before, &self.paths());
        }
    }

    /// What systemctl says of the service.
    pub fn service_is(&self, verb: &str) -> String {
        let ran = self.host().run(&format!("systemctl {verb} orbit.service"));
        ran.text().trim().to_owned()
    }

    /// Every path of the host but what changes by itself or belongs to the manager.
    pub fn paths(&self) -> Vec<String> {
        let changing = "^/(root|tmp|run|proc|sys|dev)(/|$)|^/var/log/(journal|wtmp|lastlog)|^/var/lib/systemd|^/var/tmp/systemd|^/etc/(hostname|resolv.conf|machine-id)|^/var/cache/(apt|debconf|man)";
        let own = self.manager.own_files();
        let list = format!("find / -xdev | grep -Ev '{changing}' | grep -Ev '{own}' | sort");
        self.host().ok(&list).lines().map(str::to_owned).collect()
    }

    /// Makes the files that a running agent makes.
    pub fn plant_run_time_files(&self) {
        for path in agent::RUN_TIME_FILES {
            self.host()
                .ok(&format!("mkdir -p $(dirname {path}) && echo x > {path}"));
        }
    }
}

/// Wants two lists of paths to be the same.
#[track_caller]
pub fn same_paths(before: &[String], after: &[String]) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|path| !b.contains(path)).cloned().collect()
    };
    let (lost, left) = (only(before, after), only(after, before));
    assert!(
        lost.is_empty() && left.is_empty(),
        "lost {lost:?}\nleft {left:?}"
    );
}

fn fresh_install(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.holds("1.1.0", SECRET);
    let unit = cell
        .host()
        .ok("systemctl show -P CPUQuotaPerSecUSec,Restart,RestartUSec,KillMode orbit.service");
    assert_eq!(
        unit.split_whitespace().collect::<Vec<_>>(),
        ["always", "1s", "200ms", "control-group"]
    );
    cell.leaves_nothing(&before);
}

/// Modes and owners of everything that an installer lays down.
fn modes(cell: &Cell) {
    let table = "\
755 root:root directory /opt/orbit
755 root:root directory /opt/orbit/bin
777 root:root symbolic link /opt/orbit/bin/orbit/orbit
755 root:root regular file /opt/orbit/bin/orbit/linux/stable/orbit
755 root:root regular file /opt/orbit/bin/osqueryd/linux/stable/osqueryd
600 root:root regular file /opt/orbit/tuf-metadata.json
600 root:root regular file /opt/orbit/updates-metadata.json
644 root:root regular file /opt/orbit/certs.pem
600 root:root regular file /etc/default/orbit
644 root:root regular file /usr/lib/systemd/system/orbit.service
777 root:root symbolic link /usr/local/bin/orbit
755 root:root directory /var/log/orbit
755 root:root directory /var/log/osquery
755 root:root directory /usr/local/bin
755 root:root directory /opt
755 root:root directory /etc
755 root:root directory /usr/lib/systemd/system";
    let paths: Vec<&str> = table
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    let stat = format!("stat -c '%a %U:%G %F %n' {}", paths.join(" "));
    assert_eq!(cell.host().ok(&stat), table);
    let links = "readlink /opt/orbit/bin/orbit/orbit /usr/local/bin/orbit";
    assert_eq!(
        cell.host().ok(links),
        "/opt/orbit/bin/orbit/linux/stable/orbit\n/opt/orbit/bin/orbit/orbit"
    );
}

fn upgrade(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    cell.plant_run_time_files();
    cell.replace(&cell.package(&version("1.2.0")));
    cell.holds("1.2.0", SECRET);
    // What the agent made is still there.
    for path in agent::RUN_TIME_FILES {
        cell.host().ok(&format!("test -e {path}"));
    }
    cell.leaves_nothing(&before);
}

fn downgrade(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.2.0")));
    cell.runs("1.2.0", SECRET);
    cell.replace(&cell.package(&version("1.1.0")));
    cell.holds("1.1.0", SECRET);
    cell.leaves_nothing(&before);
}

fn another_secret(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    cell.replace(&cell.package(&Wanted {
        secret: "another",
        ..version("1.1.0")
    }));
    cell.holds("1.1.0", "another");
    cell.leaves_nothing(&before);
}

fn while_stopped(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.host().ok("systemctl disable --now orbit.service");
    cell.replace(&cell.package(&version("1.2.0")));
    cell.holds("1.2.0", SECRET);
    cell.leaves_nothing(&before);
}

fn masked(cell: &Cell) {
    cell.host().ok("systemctl mask orbit.service");
    let file = cell.host().put(&cell.package(&version("1.1.0")));
    let ran = cell.host().shell(&cell.manager.install(&file)).ok();
    ran.prints("orbit.service is masked on this host and stays so");
    assert_eq!(cell.service_is("is-active"), "inactive");
    assert_eq!(cell.service_is("is-enabled"), "masked");
}

fn chroot(cell: &Cell) {
    let chroot = Chroot::new();
    let package = chroot.put(&cell.package(&version("1.1.0")));
    chroot.ok(&cell.manager.install(&package));
    let wants = "/etc/systemd/system/multi-user.target.wants/orbit.service";
    chroot.ok(&format!("test -L {wants}"));
    chroot.ok(&cell.manager.replace(&package));
    chroot.ok(cell.manager.remove());
    chroot.ok(&format!("! test -L {wants} && ! test -e /opt/orbit"));
}

fn chroot_without_systemctl(cell: &Cell) {
    let chroot = Chroot::new();
    let package = chroot.put(&cell.package(&version("1.1.0")));
    chroot.ok("rm /usr/bin/systemctl");
    let ran = chroot.shell(&cell.manager.install(&package)).ok();
    ran.prints("orbit.service was not set up: there is no systemd here");
    chroot.ok("test -x /opt/orbit/bin/orbit/orbit");
    chroot.ok(cell.manager.remove());
    chroot.ok("! test -e /opt/orbit");
}

fn by_the_agent(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    upgraded_by_the_agent(cell, &cell.package(&version("1.2.0")), "1.1.0", "1.2.0");
    cell.leaves_nothing(&before);
}

/// Lets the running agent install a package: the service must not go down while it does, and
/// restarts a minute later.
pub fn upgraded_by_the_agent(cell: &Cell, package: &Path, from: &str, to: &str) {
    let host = cell.host();
    let file = host.put(package);
    let running = host.ok("systemctl show -P MainPID orbit.service");
    host.write("/run/order.new", cell.manager.replace(&file));
    host.ok("mv /run/order.new /run/order");
    host.wait_for("test -s /run/order.status");
    assert_eq!(
        host.ok("cat /run/order.status"),
        "0",
        "{}",
        host.ok("cat /run/order.log")
    );
    assert_eq!(host.ok("systemctl show -P MainPID orbit.service"), running);
    assert_eq!(host.ok("cat /run/orbit.version"), from);
    host.ok(&format!(
        "grep -q '# orbit {to}' /opt/orbit/bin/orbit/orbit"
    ));
    // systemd's own record of the delay: less than a minute is left, more than half of one.
    let timer =
        host.ok("systemctl list-timers --all | grep -E ' (5[0-9]|4[0-9]|3[0-9])s left .*run-'");
    if cell.manager != Manager::Dpkg {
        // Once waited for is enough.
        let unit = timer.split_whitespace().last().unwrap();
        host.ok(&format!("systemctl start {unit}"));
    }
    host.wait_for(&format!("grep -qx {to} /run/orbit.version"));
    cell.holds(to, SECRET);
    // The ban on stopping the service, of an rpm transaction, is lifted.
    host.ok("systemctl stop orbit.service");
}

/// A package that neither enables nor starts.
fn off(version: &'static str) -> Wanted {
    Wanted {
        more: vec!["--service=false".to_owned()],
        ..self::version(version)
    }
}

fn without_service(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&off("1.1.0")));
    assert_eq!(cell.service_is("is-active"), "inactive");
    assert_eq!(cell.service_is("is-enabled"), "disabled");
    // One that runs already gets the new files, and stays enabled as it is.
    cell.host().ok("systemctl start orbit.service");
    cell.replace(&cell.package(&off("1.2.0")));
    assert_eq!(cell.service_is("is-active"), "active");
    assert_eq!(cell.service_is("is-enabled"), "disabled");
    cell.host().wait_for("grep -qx 1.2.0 /run/orbit.version");
    modes(cell);
    cell.leaves_nothing(&before);
}

fn remove(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    cell.plant_run_time_files();
    // As a person's session has it: outside the service.
    let host = cell.host();
    host.ok("cp /bin/sleep /root/fleet-desktop && systemd-run --quiet --unit=session /root/fleet-desktop 600");
    assert_eq!(host.ok("systemctl is-active session.service"), "active");
    cell.remove();
    host.wait_for("! systemctl is-active --quiet session.service");
    assert_eq!(cell.service_is("is-active"), "inactive");
    assert_eq!(
        host.ok("systemctl list-units --all --plain --no-legend 'orbit*'"),
        ""
    );
    host.ok("! pgrep -f '[/]opt/orbit'");
    same_paths(&before, &cell.paths());
    if cell.manager == Manager::Dpkg {
        host.ok("dpkg -P fleet-osquery");
        host.ok("! dpkg -s fleet-osquery 2> /dev/null");
        same_paths(&before, &cell.paths());
    }
}

fn remove_while_stopped(cell: &Cell) {
    let before = cell.paths();
    cell.install(&cell.package(&version("1.1.0")));
    cell.host().ok("systemctl disable --now orbit.service");
    cell.remove();
    same_paths(&before, &cell.paths());
}

fn labels(cell: &Cell) {
    let host = cell.host();
    host.write(
        "/usr/sbin/restorecon",
        "#!/bin/sh\necho \"$@\" >> /run/restorecon\n",
    );
    host.ok("chmod 755 /usr/sbin/restorecon");
    cell.install(&cell.package(&version("1.1.0")));
    let asked = host.ok("cat /run/restorecon");
    assert!(
        asked.starts_with("-R /opt/orbit /usr/lib/systemd/system/orbit.service /etc/default/orbit"),
        "{asked}"
    );
}
