//! Stand-ins for the agent's programs, and for the packages of it that are in the field.
//!
//! The stand-in of orbit is a shell script that tells its version in `/run/orbit.version` and
//! carries out the file `/run/order` as a child of the service, as orbit does with the
//! installers that Fleet sends it.

use std::path::PathBuf;

use super::Scratch;
use super::linux_cells::{Manager, Wanted};
use super::native::Native;

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
    /// Before August 2025: the script before removal stops and disables whatever is done.
    AlwaysStops,
    /// Since: it looks at its argument, and on rpm the wrong way round.
    Inverted,
}

/// A package that installs, upgrades and removes as upstream's do.
pub fn upstream(version: &str, kind: Upstream, rpm: bool) -> Native {
    let text = |text: &str| text.to_owned();
    let start = "systemctl daemon-reload\nsystemctl restart orbit.service\nsystemctl enable orbit.service\n";
    let stop = "systemctl stop orbit.service || true\nsystemctl disable orbit.service || true\n";
    let before_removal = match kind {
        Upstream::AlwaysStops => text(stop),
        Upstream::Inverted => format!(
            "if [ \"$1\" = 1 ] || [ \"$1\" = remove ] || [ \"$1\" = deconfigure ]; then\n{stop}fi\n"
        ),
    };
    let after_removal = "if [ \"$1\" = 0 ] || [ \"$1\" = remove ]; then\n\
        rm -rf /opt/orbit /var/lib/orbit /var/log/orbit /usr/local/bin/orbit \
        /etc/default/orbit /usr/lib/systemd/system/orbit.service\nfi\n";
    let scripts = match rpm {
        false => vec![
            ("postinst", format!("#!/bin/sh\nset -e\n{start}")),
            ("prerm", format!("#!/bin/sh\n{before_removal}")),
            ("postrm", format!("#!/bin/sh\n{after_removal}")),
        ],
        true => vec![
            ("%post", format!("set -e\n{start}")),
            ("%preun", before_removal),
            ("%postun", text(after_removal)),
            (
                "%posttrans",
                format!("set -e\nif ! systemctl is-enabled orbit; then\n{start}fi\n"),
            ),
        ],
    };
    Native {
        name: "fleet-osquery",
        version: version.to_owned(),
        files: vec![
            (
                text("/opt/orbit/bin/orbit/linux/stable/orbit"),
                0o755,
                orbit(version),
            ),
            (
                text("/opt/orbit/bin/osqueryd/linux/stable/osqueryd"),
                0o755,
                osqueryd(version),
            ),
            (text("/opt/orbit/osquery.flags"), 0o600, text("")),
            (text("/opt/orbit/certs.pem"), 0o644, text("certificates\n")),
            (
                text("/etc/default/orbit"),
                0o600,
                text("ORBIT_ENROLL_SECRET=upstream\n"),
            ),
            (
                text("/usr/lib/systemd/system/orbit.service"),
                0o644,
                text(
                    "[Unit]\nDescription=stand-in\n[Service]\nEnvironmentFile=/etc/default/orbit\n\
                     ExecStart=/opt/orbit/bin/orbit/orbit\nRestart=always\nRestartSec=1\n\
                     [Install]\nWantedBy=multi-user.target\n",
                ),
            ),
        ],
        links: vec![
            (
                text("/opt/orbit/bin/orbit/orbit"),
                text("/opt/orbit/bin/orbit/linux/stable/orbit"),
            ),
            (
                text("/usr/local/bin/orbit"),
                text("/opt/orbit/bin/orbit/orbit"),
            ),
        ],
        folders: vec![text("/var/log/orbit"), text("/var/log/osquery")],
        scripts,
    }
}

/// A package of ours (interim: by the distributions' own tools).
pub fn package(scratch: &Scratch, manager: Manager, wanted: &Wanted) -> PathBuf {
    let tree = tree(wanted);
    let mut native = Native {
        name: "fleet-osquery",
        version: wanted.version.to_owned(),
        files: vec![],
        links: vec![],
        folders: vec![],
        scripts: vec![],
    };
    for entry in &tree.entries {
        match &entry.node {
            fleetpack::install::Node::File(fleetpack::install::Content::Customer(c)) => {
                native.files.push((
                    entry.path.clone(),
                    entry.mode,
                    String::from_utf8(c.bytes().to_vec()).unwrap(),
                ))
            }
            fleetpack::install::Node::File(fleetpack::install::Content::Shared(c)) => {
                let mut b = vec![0; c.len() as usize];
                c.read_exact_at(&mut b, 0).unwrap();
                native.files.push((
                    entry.path.clone(),
                    entry.mode,
                    String::from_utf8(b).unwrap(),
                ));
            }
            fleetpack::install::Node::Link(t) => native.links.push((entry.path.clone(), t.clone())),
            fleetpack::install::Node::Directory => {
                if entry.path.starts_with("/opt/orbit") || entry.path.starts_with("/var/log/o") {
                    native.folders.push(entry.path.clone());
                }
            }
        }
    }
    match manager {
        Manager::Dpkg => {
            native.scripts = fleetpack::package::scripts::deb(&tree).unwrap();
            native.deb(scratch)
        }
        Manager::Rpm => {
            native.scripts = fleetpack::package::scripts::rpm(&tree)
                .unwrap()
                .into_iter()
                .map(|(n, t)| {
                    (
                        match n {
                            "pre" => "%pre",
                            "preun" => "%preun",
                            "postun" => "%postun",
                            "posttrans" => "%posttrans",
                            _ => panic!(),
                        },
                        t,
                    )
                })
                .collect();
            native.rpm(scratch)
        }
        Manager::Pacman => todo!(),
    }
}

fn tree(wanted: &Wanted) -> fleetpack::install::Tree {
    use fleetpack::agent::component::{Component, Platform, Target};
    use fleetpack::agent::{config, fetched};
    use fleetpack::install::Shared;
    let program = |component, text: String| fetched::Program {
        target: Target::of(component, Platform::Linux),
        channel: "stable".to_owned(),
        version: Some(wanted.version.to_owned()),
        file: Shared::verified_bytes(text.into_bytes(), std::path::Path::new("x")),
        sha512: String::new(),
        unpacked: vec![],
    };
    let fetched = fetched::Fetched {
        documents: fetched::Documents {
            root: b"{}".to_vec(),
            timestamp: b"{}".to_vec(),
            snapshot: b"{}".to_vec(),
            targets: b"{}".to_vec(),
        },
        programs: vec![
            program(Component::Orbit, orbit(wanted.version)),
            program(Component::Osqueryd, osqueryd(wanted.version)),
        ],
    };
    let config = config::Config {
        enrollment: Some(config::Enrollment {
            url: "https://fleet.example.com".to_owned(),
            secret: config::Secret::new(wanted.secret),
        }),
        service: !wanted.more.contains(&"--service=false".to_owned()),
        ..config::Config::default()
    };
    let identity =
        fleetpack::agent::identity(wanted.version, fleetpack::install::Arch::Amd64, None);
    let mut tree = fleetpack::agent::linux::tree(&config, &fetched, identity).unwrap();
    for flag in &wanted.more {
        let Some((flag, path)) = flag.split_once('=') else {
            continue;
        };
        use fleetpack::install::Event;
        let event = match flag {
            "--pre-install" => Event::BeforeInstall,
            "--post-install" => Event::AfterInstall,
            "--pre-remove" => Event::BeforeRemove,
            "--post-remove" => Event::AfterRemove,
            _ => continue,
        };
        let name = std::path::Path::new(path)
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        tree.lifecycle.admin.insert(
            event,
            fleetpack::install::AdminScript {
                name,
                body: fleetpack::install::Customer::new(std::fs::read(path).unwrap()),
            },
        );
    }
    tree
}
