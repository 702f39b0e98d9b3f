//! The deb on a Debian host: installed, upgraded, removed by dpkg and apt; lintian's view of
//! it; and the whole way of an agent of real size.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::agent::{self, Wanted};
use crate::harness::linux_cells::{self, Cell, Manager};
use crate::harness::server::Server;
use crate::harness::{Scratch, trial_needing};

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
    trials.push(trial_needing("deb::lintian", &["lintian"], lintian));
    trials.push(trial_needing("deb::apt and a repository", APT, apt));
    trials.push(trial_needing("deb::an agent of real size", REAL, real_size));
    trials
}

const APT: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "apt-ftparchive",
];

const REAL: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "nginx",
    "rustc",
    "sha256sum",
];

fn wanted(version: &'static str) -> Wanted {
    Wanted {
        version,
        secret: "secret",
        more: Vec::new(),
    }
}

/// Every tag is listed with a reason, and every listed tag still occurs.
fn lintian() {
    let scratch = Scratch::new();
    // Programs as real ones are: for a processor, bound to the C library.
    let program = Path::new("/bin/true");
    let folder = scratch.join("archive");
    std::fs::create_dir_all(folder.join("fleet-desktop")).unwrap();
    std::fs::copy(program, folder.join("fleet-desktop/fleet-desktop")).unwrap();
    scratch
        .tool(
            "tar",
            ["-czf", "desktop.tar.gz", "-C", "archive", "fleet-desktop"],
        )
        .ok();
    let desktop = scratch.join("desktop.tar.gz");
    let programs = [
        ("orbit", program),
        ("osqueryd", program),
        ("desktop", &desktop),
    ];
    agent::publish(&scratch, "1.50.0", &programs);
    let more = vec!["--fleet-desktop".to_owned()];
    let deb = agent::package(
        &scratch,
        "deb",
        &Wanted {
            more,
            ..wanted("1.50.0")
        },
    );
    let ran = scratch
        .tool("lintian", ["--tag-display-limit", "0", "--allow-root"])
        .arg(deb)
        .run();
    let tag = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    let found: BTreeSet<String> = ran.text().lines().filter_map(tag).collect();
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/lintian.tags");
    let list = std::fs::read_to_string(list).unwrap();
    let explained: BTreeSet<String> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            line.split_once("  ")
                .expect("a tag and its reason")
                .0
                .to_owned()
        })
        .collect();
    assert_eq!(found, explained, "{ran}");
}

fn apt() {
    let cell = Cell::new(Manager::Dpkg);
    let (scratch, host) = (&cell.scratch, cell.host());
    for version in ["1.1.0", "1.2.0"] {
        let deb = agent::stand_in(scratch, "deb", &wanted(version));
        scratch.write(&format!("repo/{version}.deb"), std::fs::read(deb).unwrap());
    }
    let index = scratch
        .tool("sh", ["-c", "cd repo && apt-ftparchive packages ."])
        .ok();
    scratch.write("repo/Packages", &index.stdout);
    host.ok("mkdir /root/repo");
    for file in ["1.1.0.deb", "1.2.0.deb", "Packages"] {
        host.write(
            &format!("/root/repo/{file}"),
            scratch.read(&format!("repo/{file}")),
        );
    }
    host.write(
        "/etc/apt/sources.list",
        "deb [trusted=yes] file:/root/repo ./\n",
    );
    let get = |what: &str| {
        host.ok(&format!(
            "DEBIAN_FRONTEND=noninteractive apt-get -qy -o APT::Sandbox::User=root {what}"
        ))
    };
    get("update");
    get("install fleet-osquery=1.1.0");
    cell.runs("1.1.0", "secret");
    get("upgrade");
    cell.runs("1.2.0", "secret");
    get("install --allow-downgrades fleet-osquery=1.1.0");
    cell.runs("1.1.0", "secret");
    get("install --reinstall fleet-osquery=1.1.0");
    cell.runs("1.1.0", "secret");
    get("purge fleet-osquery");
    host.ok("! test -e /opt/orbit && ! test -e /etc/default/orbit");
    // A file, without a repository.
    get("install /root/repo/1.2.0.deb");
    cell.runs("1.2.0", "secret");
}

/// 134 MB of real programs: published, served, packaged, installed; what lies on the host is
/// what the shipped metadata say.
fn real_size() {
    let cell = Cell::new(Manager::Dpkg);
    let scratch = &cell.scratch;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/agent-payload");
    // rustup looks for the toolchain below the tester's home.
    let inherited = |name: &str| std::env::var(name).unwrap_or_default();
    scratch
        .tool("sh", [script, "payload"])
        .env("PATH", inherited("PATH"))
        .env("HOME", inherited("HOME"))
        .ok();
    let (orbit, osqueryd) = (
        scratch.join("payload/orbit"),
        scratch.join("payload/osqueryd"),
    );
    agent::publish(
        scratch,
        "1.50.0",
        &[("orbit", &orbit), ("osqueryd", &osqueryd)],
    );
    let server = Server::nginx(scratch, &scratch.join("tuf/repository"));
    let more = vec![
        format!("--update-url={}", server.url),
        "--service=false".to_owned(),
    ];
    let deb = agent::package_from(
        scratch,
        "deb",
        &Wanted {
            more,
            ..wanted("1.50.0")
        },
    );
    cell.install(&deb);
    let metadata = std::fs::read(cell.host().path("/opt/orbit/updates-metadata.json")).unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).unwrap();
    let targets = &metadata["targets.json"]["signed"]["targets"];
    let mut expected = BTreeMap::new();
    for name in ["orbit/linux/stable/orbit", "osqueryd/linux/stable/osqueryd"] {
        let sha256 = targets[name]["hashes"]["sha256"].as_str().unwrap();
        expected.insert(format!("/opt/orbit/bin/{name}"), sha256.to_owned());
    }
    for (path, sha256) in expected {
        let sums = cell.host().ok(&format!("sha256sum {path}"));
        assert_eq!(sums, format!("{sha256}  {path}"));
    }
    cell.host()
        .ok("cd / && md5sum --quiet --check /var/lib/dpkg/info/fleet-osquery.md5sums");
}
