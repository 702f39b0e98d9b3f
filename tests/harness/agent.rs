//! The agent for tests: stand-ins for its programs, a repository with them, packages of them,
//! and stand-ins for the packages that are in the field.
//!
//! The stand-in of orbit is a shell script that tells its version in `/run/orbit.version` and
//! carries out the file `/run/order` as a child of the service, as orbit does with the
//! installers that Fleet sends it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Scratch;
use super::native::Native;
use super::scratch::Run;

/// orbit's stand-in of a version.
pub fn orbit(version: &str) -> String {
    format!(
        "#!/bin/sh
# orbit {version}
[ \"${{1:-}}\" != --help ] || exit 0
trap 'exit 0' TERM
echo {version} > /run/orbit.version
while :; do
    if [ -e /run/order ]; then
        mv /run/order /run/order.taken
        INSTALLER_PATH=/root/installer sh /run/order.taken > /run/order.log 2>&1
        echo $? > /run/order.status
    fi
    sleep 0.1 &
    wait $!
done
"
    )
}

/// osqueryd's stand-in of a version.
pub fn osqueryd(version: &str) -> String {
    format!("#!/bin/sh\n# osqueryd {version}\nexit 0\n")
}

/// What to package.
#[derive(Clone, Default)]
pub struct Wanted {
    /// Version of the agent.
    pub version: &'static str,
    /// Enroll secret.
    pub secret: &'static str,
    /// More arguments for `fleetpack package`.
    pub more: Vec<String>,
}

/// What removal must take away although no package brought it.
pub const RUN_TIME_FILES: &[&str] = &[
    "/opt/orbit/bin/desktop/linux/stable/desktop.tar.gz",
    "/opt/orbit/bin/orbit/linux/stable/orbit.old",
    "/opt/orbit/extensions.load",
    "/opt/orbit/fleet_url.txt",
    "/opt/orbit/host_identity.crt",
    "/opt/orbit/identifier",
    "/opt/orbit/osquery.db/CURRENT",
    "/opt/orbit/osquery.pid",
    "/opt/orbit/osquery_log/osqueryd.results.log",
    "/opt/orbit/proxy/fleet.crt",
    "/opt/orbit/secret-orbit-node-key.txt",
    "/opt/orbit/server-overrides.json",
    "/opt/orbit/setup_experience.json",
    "/opt/orbit/shell/osquery.em",
    "/opt/orbit/staging/orbit",
    "/opt/orbit/tuf-metadata.json.old",
    "/var/lib/orbit/osquery.db/CURRENT",
    "/var/log/orbit/orbit.log",
];

/// Which behaviour a package of upstream's has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The first ones: they stop and disable before removal whatever is done, and after it they
    /// remove all that an agent has, on upgrade, too.
    AlwaysRemoves,
    /// Before August 2025: the script before removal stops and disables whatever is done.
    AlwaysStops,
    /// Since: it looks at its argument, and on rpm the wrong way round.
    Inverted,
}

/// A package that installs, upgrades and removes as upstream's do.
pub fn upstream(version: &str, kind: Upstream, rpm: bool) -> Native {
    let programs = "/opt/orbit/bin";
    let orbit_path = format!("{programs}/orbit/linux/stable/orbit");
    let file = |path: &str, mode, text: &str| (path.to_owned(), mode, text.to_owned());
    let link = |path: &str, target: &str| (path.to_owned(), target.to_owned());
    Native {
        name: "fleet-osquery",
        version: version.to_owned(),
        fields: "",
        files: vec![
            file(&orbit_path, 0o755, &orbit(version)),
            file(
                &format!("{programs}/osqueryd/linux/stable/osqueryd"),
                0o755,
                &osqueryd(version),
            ),
            file("/opt/orbit/osquery.flags", 0o600, ""),
            file("/opt/orbit/certs.pem", 0o644, "certificates\n"),
            file(
                "/etc/default/orbit",
                0o600,
                "ORBIT_ENROLL_SECRET=upstream\n",
            ),
            file(
                "/usr/lib/systemd/system/orbit.service",
                0o644,
                UPSTREAM_UNIT,
            ),
        ],
        links: vec![
            link("/opt/orbit/bin/orbit/orbit", &orbit_path),
            link("/usr/local/bin/orbit", "/opt/orbit/bin/orbit/orbit"),
        ],
        folders: ["/var/log/orbit", "/var/log/osquery"]
            .map(str::to_owned)
            .to_vec(),
        scripts: upstream_scripts(kind, rpm),
    }
}

const UPSTREAM_UNIT: &str = "[Unit]
Description=stand-in
[Service]
EnvironmentFile=/etc/default/orbit
ExecStart=/opt/orbit/bin/orbit/orbit
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
";

fn upstream_scripts(kind: Upstream, rpm: bool) -> Vec<(&'static str, String)> {
    let start = "systemctl daemon-reload\nsystemctl restart orbit.service\nsystemctl enable orbit.service\n";
    let stop = "systemctl stop orbit.service || true\nsystemctl disable orbit.service || true\n";
    let before_removal = match kind {
        Upstream::AlwaysRemoves | Upstream::AlwaysStops => stop.to_owned(),
        Upstream::Inverted => format!(
            "if [ \"$1\" = 1 ] || [ \"$1\" = remove ] || [ \"$1\" = deconfigure ]; then\n{stop}fi\n"
        ),
    };
    let clean = "rm -rf /opt/orbit /var/lib/orbit /var/log/orbit /usr/local/bin/orbit \
        /etc/default/orbit /usr/lib/systemd/system/orbit.service\n";
    let after_removal = match kind {
        Upstream::AlwaysRemoves => clean.to_owned(),
        Upstream::AlwaysStops | Upstream::Inverted => {
            format!("if [ \"$1\" = 0 ] || [ \"$1\" = remove ]; then\n{clean}fi\n")
        }
    };
    match rpm {
        false => vec![
            ("postinst", format!("#!/bin/sh\nset -e\n{start}")),
            ("prerm", format!("#!/bin/sh\n{before_removal}")),
            ("postrm", format!("#!/bin/sh\n{after_removal}")),
        ],
        true => vec![
            ("%post", format!("set -e\n{start}")),
            ("%preun", before_removal),
            ("%postun", after_removal),
            (
                "%posttrans",
                format!("set -e\nif ! systemctl is-enabled orbit; then\n{start}fi\n"),
            ),
        ],
    }
}

const PASSPHRASES: [(&str, &str); 4] = [
    ("FLEET_ROOT_PASSPHRASE", "root"),
    ("FLEET_TARGETS_PASSPHRASE", "targets"),
    ("FLEET_SNAPSHOT_PASSPHRASE", "snapshot"),
    ("FLEET_TIMESTAMP_PASSPHRASE", "timestamp"),
];

/// Publishes a version of the agent's programs as `stable` in the update repository
/// `<scratch>/tuf`, which is made on first use.
pub fn publish(scratch: &Scratch, version: &str, programs: &[(&str, &Path)]) {
    publish_for(scratch, "linux", version, programs);
}

/// As [`publish`], for any platform.
pub fn publish_for(scratch: &Scratch, platform: &str, version: &str, programs: &[(&str, &Path)]) {
    let updates = |arguments: &[&str]| {
        let run = scratch.fleetpack(["updates"].iter().chain(arguments));
        let path = scratch.join("tuf");
        run.arg("--path").arg(path).envs(PASSPHRASES).ok()
    };
    if !scratch.join("tuf").exists() {
        std::fs::create_dir(scratch.join("tuf")).unwrap();
        updates(&["init"]);
        scratch.write("root.json", &updates(&["roots"]).stdout);
    }
    for (name, program) in programs {
        let program = program.to_str().unwrap();
        updates(&[
            "add",
            "--name",
            name,
            "--target",
            program,
            "--platform",
            platform,
            "--version",
            version,
            "-t",
            "stable",
        ]);
    }
}

/// Packages what `<scratch>/tuf` offers as `stable`.
pub fn package(scratch: &Scratch, format: &str, wanted: &Wanted) -> PathBuf {
    let repository = scratch.join("tuf/repository");
    let mut wanted = wanted.clone();
    wanted
        .more
        .push(format!("--update-url={}", repository.display()));
    wanted
        .more
        .push("--agent-update-url=https://updates.example.com".to_owned());
    package_from(scratch, format, &wanted)
}

/// Packages from the update URL among the further arguments, which serves `<scratch>/tuf`.
pub fn package_from(scratch: &Scratch, format: &str, wanted: &Wanted) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let file = scratch.join(format!("{}-{number}.{format}", wanted.version));
    let run = scratch
        .fleetpack(["package", "--type", format, "--update-roots", "@root.json"])
        .arg("--fleet-url=https://fleet.example.com")
        .arg(format!("--enroll-secret={}", wanted.secret))
        .arg("--outfile")
        .arg(&file);
    wanted.more.iter().fold(run, Run::arg).ok();
    file
}

/// Publishes stand-ins of a version and packages them.
pub fn stand_in(scratch: &Scratch, format: &str, wanted: &Wanted) -> PathBuf {
    let version = wanted.version;
    let orbit = scratch.write_program(&format!("programs/{version}/orbit"), orbit(version));
    let osqueryd =
        scratch.write_program(&format!("programs/{version}/osqueryd"), osqueryd(version));
    publish(
        scratch,
        version,
        &[("orbit", &orbit), ("osqueryd", &osqueryd)],
    );
    package(scratch, format, wanted)
}
