//! A real release: the static programs and the packages of them, as `packaging/release.sh` made
//! them in the folder `FLEETPACK_RELEASE`. `ci/long` makes one and runs these trials.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::harness::container::Container;
use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{Scratch, tools, trial_needing};

const X86_64: &str = "x86_64";
const AARCH64: &str = "aarch64";
const EMULATOR: &str = "qemu-aarch64-static";

/// What runs programs of a processor that is not this machine's.
const EMULATED: &[&str] = &["release", EMULATOR, "readelf", "unshare"];
const NATIVE: &[&str] = &["release", "readelf", "unshare"];

/// All trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial_needing(
            "long_static/names",
            &["release", "python3", "root", "unshare"],
            names,
        ),
        trial_needing("long_static/tokens", &["release"], tokens),
        trial_needing(
            "long_static/own_packages",
            &[
                "release",
                "root",
                "debootstrap",
                "systemd-nspawn",
                "unshare",
                "nsenter",
                "rpm",
            ],
            packages,
        ),
    ];
    for (processor, needs) in [(X86_64, NATIVE), (AARCH64, EMULATED)] {
        let mut add = |name: &str, needs, body: fn(&str)| {
            let name = format!("long_static/{processor}_{name}");
            trials.push(trial_needing(&name, needs, move || body(processor)));
        };
        add("asks_for_nothing", needs, nothing);
        add("empty_root", needs, empty);
        add("same_bytes", needs, same_bytes);
        add(
            "provenance",
            &["release", "python-tuf", "sha256sum"],
            provenance,
        );
    }
    let long = trials
        .into_iter()
        .map(|trial| trial.with_ignored_flag(true));
    long.collect()
}

fn release() -> PathBuf {
    tools::find("release").unwrap()
}

/// The program out of the archive of this processor.
fn program(scratch: &Scratch, processor: &str) -> PathBuf {
    let archive = format!("fleetpack-{processor}-unknown-linux-musl.tar.gz");
    let folder = scratch.join(processor);
    std::fs::create_dir_all(&folder).unwrap();
    let archive = release().join(archive);
    let args = ["-xzf", archive.to_str().unwrap(), "-C", processor];
    scratch.tool("tar", args).ok();
    folder.join("fleetpack")
}

/// The program with arguments, by the emulator where it is not this machine's.
fn run<'a>(scratch: &Scratch, processor: &str, args: impl IntoIterator<Item = &'a str>) -> Run {
    let program = program(scratch, processor);
    match processor == std::env::consts::ARCH {
        true => scratch.program(&program, args),
        false => scratch
            .tool(EMULATOR, [program.to_str().unwrap()])
            .args(args),
    }
}

fn nothing(processor: &str) {
    let scratch = Scratch::new();
    let program = program(&scratch, processor);
    let args = ["--wide", "--file-header", "--program-headers", "--dynamic"];
    let read = scratch.tool("readelf", args).arg(&program).ok();
    read.prints(match processor {
        X86_64 => "Advanced Micro Devices X86-64",
        _ => "AArch64",
    });
    // At any address, with a stack that holds no code.
    read.prints("DYN (Position-Independent").prints("GNU_RELRO");
    for absent in ["INTERP", "(NEEDED)", "RWE"] {
        assert!(!read.text().contains(absent), "{read}");
    }
}

fn empty(processor: &str) {
    let scratch = Scratch::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/own/prove-static.sh");
    let program = program(&scratch, processor);
    let proof = scratch.tool("sh", [script, program]);
    let proof = match processor == std::env::consts::ARCH {
        true => proof,
        false => proof.arg(tools::find(EMULATOR).unwrap()),
    };
    let made = proof.ok();
    made.prints("fleet-osquery_1.0.0_amd64.deb")
        .prints("fleet-osquery-1.0.0.aarch64.rpm")
        .prints("fleet-osquery-1.0.0-1-x86_64.pkg.tar.zst")
        .prints("fleet-osquery.pkg")
        .prints("fleet-osquery-arm64.msi");
}

/// The static program and the tests' own, linked to glibc, make the same installers of the same
/// repository at the same time of `SOURCE_DATE_EPOCH`, by every compression.
fn same_bytes(processor: &str) {
    let scratch = Scratch::new();
    scratch
        .fleetpack(["quickstart", "--dir", "q", "--quiet"])
        .ok();
    let flags = "package --update-url q/updates/repository --no-state --quiet --fleet-desktop \
        --agent-update-url https://updates.example.com --fleet-url https://fleet.example.com \
        --update-roots @q/updates/repository/root.json --enroll-secret made-up-for-this-test";
    for (set, more, count) in [
        ("all", "--type all", 5),
        ("arm64", "--type deb,rpm,msi --arch arm64", 3),
        ("zstd", "--type deb,rpm --compression zstd", 2),
        ("xz", "--type deb,rpm --compression xz", 2),
    ] {
        for maker in ["glibc", "static"] {
            let folder = format!("{set}-{maker}");
            std::fs::create_dir(scratch.join(&folder)).unwrap();
            let line = format!("{flags} --outdir {folder} {more}");
            let words = line.split_whitespace();
            let made = match maker {
                "glibc" => scratch.fleetpack(words),
                _ => run(&scratch, processor, words),
            };
            let made = made.env("SOURCE_DATE_EPOCH", "1714564800").ok();
            assert_eq!(made.text().lines().count(), count, "{made}");
        }
        scratch
            .state(&format!("{set}-glibc"))
            .unchanged(&scratch.state(&format!("{set}-static")));
    }
}

/// musl finds names in /etc/hosts, `localhost` and others; one that is nowhere is an error in words.
fn names() {
    let scratch = Scratch::new();
    scratch
        .fleetpack(["quickstart", "--dir", "q", "--quiet"])
        .ok();
    let server = Server::python(&scratch.join("q/updates/repository"));
    let port = server.url.rsplit_once(':').unwrap().1.to_owned();
    scratch.write("hosts", "127.0.0.1 localhost updates.example.org\n");
    scratch.write(
        "resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    );
    let program = program(&scratch, X86_64);
    let script = "mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && \
        exec \"$0\" updates verify \"$1\" --update-roots @q/updates/repository/root.json";
    let verify = |name: &str| {
        let private = ["--mount", "--propagation=private", "sh", "-c", script];
        let url = format!("http://{name}:{port}");
        scratch.tool("unshare", private).arg(&program).arg(url)
    };
    verify("localhost").ok();
    verify("updates.example.org").ok();
    verify("nowhere.example.org")
        .fails(1)
        .says("nowhere.example.org");
}

/// A static program loads no library: it says which build can, and changes nothing.
fn tokens() {
    let scratch = Scratch::new();
    scratch
        .fleetpack(["quickstart", "--dir", "q", "--quiet"])
        .ok();
    let before = scratch.state("q");
    let key = "targets=pkcs11:token=signing;object=targets";
    let args = ["updates", "timestamp", "--path", "q/updates", "--key", key];
    let refused = run(&scratch, X86_64, args);
    let refused = refused.env("FLEET_TARGETS_PIN", "made-up").fails(1);
    refused.says("--features pkcs11 (linked dynamically)");
    before.unchanged(&scratch.state("q"));
}

fn packages() {
    let host = Container::boot();
    let version = env!("CARGO_PKG_VERSION");
    let ask = || {
        assert_eq!(
            host.ok("fleetpack --version"),
            format!("fleetpack {version}")
        );
        host.ok("cd /root && rm -rf q && fleetpack quickstart --dir q --quiet");
        assert_eq!(host.ok("ls /root/q/installers | wc -l"), "9");
        assert_eq!(
            host.ok("systemd-analyze verify --man=no fleetpack-timestamp.timer 2>&1"),
            ""
        );
        host.ok("id fleetpack");
    };
    let deb = host.put(&release().join(format!("fleetpack_{version}_amd64.deb")));
    host.ok(&format!("dpkg -i {deb}"));
    ask();
    host.ok("dpkg --verify fleetpack && dpkg -r fleetpack && ! test -e /usr/bin/fleetpack");
    let rpm = host.put(&release().join(format!("fleetpack-{version}.x86_64.rpm")));
    // Debian's database of rpms is empty: nobody provides /bin/sh.
    host.ok(&format!("rpm -i --nodeps {rpm}"));
    ask();
    host.ok("rpm -V --nodeps fleetpack && rpm -e fleetpack && ! test -e /usr/bin/fleetpack");
}

/// Sums are right; a bill and the statement are what their projects' own libraries take.
fn provenance(processor: &str) {
    let scratch = Scratch::new();
    let folder = release();
    let check = "cd \"$0\" && sha256sum --check --strict --quiet SHA256SUMS";
    scratch.tool("sh", ["-c", check]).arg(&folder).ok();
    let archive = format!("fleetpack-{processor}-unknown-linux-musl.tar.gz");
    let bill = folder.join(format!("{archive}.cdx.json"));
    let statement = folder.join("fleetpack.intoto.jsonl");
    let read = scratch.python("provenance.py", [bill, statement]).ok();
    read.prints("component aws-lc-rs ")
        .prints("input Cargo.lock")
        .prints(&format!("subject {archive} "));
    // What only tests need, and what this program was built without.
    for absent in ["libtest-mimic", "cryptoki", "apple-codesign"] {
        let component = format!("component {absent} ");
        assert!(!read.text().contains(&component), "{absent}");
    }
}
