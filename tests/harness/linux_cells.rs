//! What must hold on a Linux host around installing, upgrading and removing, for each format.
//!
//! A cell is a story with a name, told once and played with `dpkg`, `rpm` and `pacman`: it
//! boots a container, lets the package manager work, and looks at the host: the service, its
//! environment, modes of files, what is left lying.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libtest_mimic::Trial;

use super::agent::{Upstream, Wanted};
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

/// The cells of a package manager.
pub fn trials(manager: Manager, needs: &'static [&'static str]) -> Vec<Trial> {
    let cell = |name: &str, story: fn(&Cell)| {
        trial_needing(&format!("{}::{name}", manager.word()), needs, move || {
            story(&Cell::new(manager));
        })
    };
    vec![
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
        cell(
            "administrator's scripts run in their steps",
            administrators_scripts,
        ),
        cell(
            "a failing script before installation",
            failing_before_install,
        ),
        cell("a failing script after installation", failing_after_install),
        cell("a failing script before removal", failing_before_remove),
        cell("a failing script after removal", failing_after_remove),
    ]
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
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    let unit = cell
        .host()
        .ok("systemctl show -P CPUQuotaPerSecUSec,Restart,RestartUSec,KillMode orbit.service");
    assert_eq!(
        unit.split_whitespace().collect::<Vec<_>>(),
        ["always", "1s", "200ms", "control-group"]
    );
    modes(cell);
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
    for line in table.lines() {
        let path = line.rsplit(' ').next().unwrap();
        assert_eq!(
            cell.host().ok(&format!("stat -c '%a %U:%G %F %n' {path}")),
            line
        );
    }
    let link = |path: &str| cell.host().ok(&format!("readlink {path}"));
    assert_eq!(
        link("/opt/orbit/bin/orbit/orbit"),
        "/opt/orbit/bin/orbit/linux/stable/orbit"
    );
    assert_eq!(link("/usr/local/bin/orbit"), "/opt/orbit/bin/orbit/orbit");
}

fn upgrade(cell: &Cell) {
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    cell.plant_run_time_files();
    cell.replace(&cell.package(&version("1.2.0")));
    cell.runs("1.2.0", SECRET);
    // What the agent made is still there.
    for path in agent::RUN_TIME_FILES {
        cell.host().ok(&format!("test -e {path}"));
    }
}

fn downgrade(cell: &Cell) {
    cell.install(&cell.package(&version("1.2.0")));
    cell.runs("1.2.0", SECRET);
    cell.replace(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    modes(cell);
}

fn another_secret(cell: &Cell) {
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    cell.replace(&cell.package(&Wanted {
        secret: "another",
        ..version("1.1.0")
    }));
    cell.runs("1.1.0", "another");
}

fn while_stopped(cell: &Cell) {
    cell.install(&cell.package(&version("1.1.0")));
    cell.host().ok("systemctl disable --now orbit.service");
    cell.replace(&cell.package(&version("1.2.0")));
    cell.runs("1.2.0", SECRET);
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
    cell.install(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    upgraded_by_the_agent(cell, &cell.package(&version("1.2.0")), "1.1.0", "1.2.0");
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
    cell.runs(to, SECRET);
    // The ban on stopping the service, of an rpm transaction, is lifted.
    host.ok("systemctl stop orbit.service");
}

fn without_service(cell: &Cell) {
    let off = |version| Wanted {
        more: vec!["--service=false".to_owned()],
        ..self::version(version)
    };
    cell.install(&cell.package(&off("1.1.0")));
    assert_eq!(cell.service_is("is-active"), "inactive");
    assert_eq!(cell.service_is("is-enabled"), "disabled");
    // One that runs already gets the new files, and stays enabled as it is.
    cell.host().ok("systemctl start orbit.service");
    cell.replace(&cell.package(&off("1.2.0")));
    assert_eq!(cell.service_is("is-active"), "active");
    assert_eq!(cell.service_is("is-enabled"), "disabled");
    cell.host().wait_for("grep -qx 1.2.0 /run/orbit.version");
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

/// The cells of upgrades from packages that fleetpack did not make.
pub fn upstream_trials(manager: Manager, needs: &'static [&'static str]) -> Vec<Trial> {
    let cell = |name: &str, story: fn(&Cell, Upstream), kind| {
        trial_needing(&format!("{}::{name}", manager.word()), needs, move || {
            story(&Cell::new(manager), kind);
        })
    };
    let mut trials = vec![
        cell("from upstream's package", from_upstream, Upstream::Inverted),
        cell(
            "from upstream's older package",
            from_upstream,
            Upstream::AlwaysStops,
        ),
        cell(
            "back to upstream's package",
            back_to_upstream,
            Upstream::Inverted,
        ),
        cell(
            "from upstream's package by the agent itself",
            from_upstream_by_the_agent,
            Upstream::Inverted,
        ),
    ];
    if manager == Manager::Rpm {
        // A deb's older script stops the service, and with it dpkg, before any script of the
        // new package runs.
        trials.push(cell(
            "from upstream's older package by the agent itself",
            from_upstream_by_the_agent,
            Upstream::AlwaysStops,
        ));
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
    cell.runs("1.2.0", SECRET);
    modes(cell);
    cell.host().ok("test -e /opt/orbit/identifier");
    cell.replace(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    cell.remove();
    same_paths(&before, &cell.paths());
}

/// A lower version than the old package's, and the other way round: upstream's over ours.
fn back_to_upstream(cell: &Cell, kind: Upstream) {
    cell.install(&cell.upstream("1.2.0", kind));
    cell.replace(&cell.package(&version("1.1.0")));
    cell.runs("1.1.0", SECRET);
    cell.replace(&cell.upstream("1.0.0", kind));
    cell.runs("1.0.0", "upstream");
}

fn from_upstream_by_the_agent(cell: &Cell, kind: Upstream) {
    cell.install(&cell.upstream("1.1.0", kind));
    cell.runs("1.1.0", "upstream");
    upgraded_by_the_agent(cell, &cell.package(&version("1.2.0")), "1.1.0", "1.2.0");
}

impl Cell {
    /// A package with an administrator's script for each of these steps.
    fn scripted(&self, version: &'static str, scripts: &[(&str, &str)]) -> PathBuf {
        let mut wanted = self::version(version);
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
