//! How fleetpack itself is shipped: its own packages by its own builders, the formula, and what
//! the release workflow calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::{Scratch, trial_needing};

/// All trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("shipping/own_deb", &["dpkg-deb", "lintian", "man"], own_deb),
        trial_needing("shipping/own_rpm", &["rpm"], own_rpm),
        trial_needing("shipping/documents", &["dpkg-deb"], documents),
        trial_needing("shipping/formula", &["sh"], formula),
        trial_needing("shipping/provenance", &["python-tuf"], provenance),
        trial_needing(
            "shipping/static_is_proven_or_refused",
            &["sh", "readelf"],
            proof,
        ),
    ]
}

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// `cargo test` builds it beside the tests; `cargo test --test all` does not.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.ancestors().nth(2).unwrap().join("examples");
    let example = folder.join(name);
    if !example.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", name])
            .status();
        assert!(built.unwrap().success(), "cargo build --example {name}");
    }
    example
}

/// Packages of a stand-in program, twice: the same bytes.
fn packages() -> Scratch {
    let scratch = Scratch::new();
    scratch.write_program("program", "#!/bin/sh\necho fleetpack stand-in\n");
    for folder in ["dist", "again"] {
        std::fs::create_dir(scratch.join(folder)).unwrap();
        let run = scratch.program(&example("own_package"), ["program", folder]);
        let ran = run.env("SOURCE_DATE_EPOCH", "1714564800").ok();
        assert_eq!(ran.text().lines().count(), 3);
    }
    scratch.state("dist").unchanged(&scratch.state("again"));
    scratch
}

fn deb() -> String {
    format!("dist/fleetpack_{}_amd64.deb", env!("CARGO_PKG_VERSION"))
}

fn own_deb() {
    let scratch = packages();
    scratch.tool("dpkg-deb", ["-x", &deb(), "root"]).ok();
    let program = scratch.join("root/usr/bin/fleetpack");
    scratch
        .program(&program, ["--version"])
        .ok()
        .prints("stand-in");
    for name in [
        "bash-completion/completions/fleetpack",
        "zsh/site-functions/_fleetpack",
        "fish/vendor_completions.d/fleetpack.fish",
        "man/man1/fleetpack-package.1.gz",
        "doc/fleetpack/copyright",
        "doc/fleetpack/LICENSE-MIT",
    ] {
        assert!(
            scratch.join(format!("root/usr/share/{name}")).is_file(),
            "{name}"
        );
    }
    let page = "root/usr/share/man/man1/fleetpack-updates-timestamp.1.gz";
    let shown = scratch
        .tool("man", ["--local-file", page])
        .env("MANWIDTH", "80")
        .ok();
    shown.prints("SYNOPSIS");
    let copyright = scratch.text("root/usr/share/doc/fleetpack/copyright");
    assert!(!copyright.contains("/opt/orbit"), "{copyright}");
    // The user of the service that the package brings is made by it.
    let unit = scratch.text("root/usr/lib/systemd/system/fleetpack-timestamp.service");
    let users = scratch.text("root/usr/lib/sysusers.d/fleetpack.conf");
    assert!(unit.contains("User=fleetpack\n") && users.contains("\nu fleetpack "));
    scratch.tool("dpkg-deb", ["-e", &deb(), "control"]).ok();
    let script = scratch.text("control/postinst");
    assert!(
        script.contains("systemd-sysusers fleetpack.conf"),
        "{script}"
    );
    scratch.tool("sh", ["-n", "control/postinst"]).ok();
    let errors = scratch.tool(
        "lintian",
        ["--fail-on", "none", "--allow-root", "-L", "=error", &deb()],
    );
    let errors = errors.ok();
    let errors: Vec<_> = errors
        .text()
        .lines()
        .filter(|l| l.starts_with("E:"))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Links of what is shipped lead to what is shipped, but for records and what is for authors.
fn documents() {
    let scratch = packages();
    scratch.tool("dpkg-deb", ["-x", &deb(), "root"]).ok();
    let root = scratch.join("root/usr/share/doc/fleetpack");
    for name in ["SECURITY.md", "CHANGELOG.md", "docs/schema/package.json"] {
        assert_eq!(
            std::fs::read(root.join(name)).unwrap(),
            std::fs::read(project(name)).unwrap(),
            "{name}"
        );
    }
    assert!(!root.join("docs/adr").exists() && !root.join("docs/long-run").exists());
    let mut pages = vec![root.join("README.md"), root.join("SECURITY.md")];
    for folder in ["docs", "docs/guides", "examples/mdm"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    assert!(pages.len() > 20, "{pages:#?}");
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        let links = text.split("](").skip(1);
        let targets = links.map(|link| link.split([')', '#']).next().unwrap());
        for target in targets.filter(|t| !t.is_empty() && !t.contains("://")) {
            let absent = ["adr/", "long-run/", "CONTRIBUTING.md"];
            let there = page.parent().unwrap().join(target).exists();
            let wanted = !absent.iter().any(|name| target.contains(name));
            assert!(there || !wanted, "{} links to {target}", page.display());
        }
    }
}

fn own_rpm() {
    let scratch = packages();
    let rpm = format!("dist/fleetpack-{}.x86_64.rpm", env!("CARGO_PKG_VERSION"));
    let rpm = scratch.join(&rpm);
    let rpm = rpm.to_str().unwrap();
    let listed = scratch.tool("rpm", ["-qlp", rpm]).ok();
    listed
        .prints("/usr/bin/fleetpack\n")
        .prints("/usr/share/man/man1/fleetpack.1.gz")
        .prints("/usr/lib/systemd/system/fleetpack-timestamp.timer");
    scratch
        .tool("rpm", ["-Kv", rpm])
        .ok()
        .prints("Payload SHA256 digest: OK");
    let scripts = scratch.tool("rpm", ["-qp", "--scripts", rpm]).ok();
    scripts.prints("systemd-sysusers fleetpack.conf");
}

fn formula() {
    let scratch = Scratch::new();
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    scratch.write(
        "SHA256SUMS",
        format!(
            "{one}  fleetpack-x86_64-unknown-linux-musl.tar.gz\n\
             {two}  fleetpack-aarch64-unknown-linux-musl.tar.gz\n"
        ),
    );
    let script = project("packaging/homebrew/formula.sh");
    let script = script.to_str().unwrap();
    let address = "https://downloads.example.com/v1.2.3";
    let made = scratch
        .tool("sh", [script, "1.2.3", address, "SHA256SUMS"])
        .ok();
    made.prints("version \"1.2.3\"")
        .prints(&format!("sha256 \"{one}\""))
        .prints(&format!("sha256 \"{two}\""))
        .prints("url \"https://downloads.example.com/v1.2.3/fleetpack-aarch64-unknown-linux-musl.tar.gz\"");
    // A release that lacks a file has no formula.
    scratch.write("SHA256SUMS", format!("{one}  other\n"));
    scratch
        .tool("sh", [script, "1.2.3", address, "SHA256SUMS"])
        .fails(1);
}

/// Judged by the libraries of CycloneDX and in-toto. A release adds what `packaging/release.sh`
/// made: `tests/static_programs.rs`.
fn provenance() {
    let scratch = Scratch::new();
    scratch.write("dist/program.tar.gz", "a stand-in\n");
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none"])
        .args(["--edges", "normal,build", "--format", "{p}|{l}"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--manifest-path"])
        .arg(project("Cargo.toml"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "cargo tree");
    let example = example("own_provenance");
    let bill = scratch.program(&example, ["bill", "dist/program.tar.gz"]);
    let bill = bill.env("SOURCE_DATE_EPOCH", "1714564800");
    let bill = bill.input(tree.stdout).ok();
    scratch.write("bill.json", bill.text());
    let sum = "5".repeat(64);
    scratch.write("dist/SHA256SUMS", format!("{sum}  program.tar.gz\n"));
    let lock = project("Cargo.lock");
    let commit = "1".repeat(40);
    let words = [
        "statement",
        "dist/SHA256SUMS",
        &commit,
        lock.to_str().unwrap(),
    ];
    let statement = scratch.program(&example, words).ok();
    statement.prints(&commit);
    scratch.write("statement.json", statement.text());

    let read = scratch.python("provenance.py", ["bill.json", "statement.json"]);
    let read = read.ok();
    read.prints("component aws-lc-sys ")
        .prints("component ureq ")
        .prints(&format!("subject program.tar.gz {sum}"))
        .prints("input commit")
        .prints("input Cargo.lock");
    // What tests need, what other systems need, and features that were not asked for.
    for absent in [
        "libtest-mimic",
        "tree-sitter",
        "windows-sys",
        "cryptoki",
        "apple-codesign",
    ] {
        assert!(
            !read.text().contains(&format!("component {absent} ")),
            "{absent}"
        );
    }
    let nonsense = scratch.program(&example, ["bill", "dist/program.tar.gz"]);
    let nonsense = nonsense.input("{}\n").fails(1);
    nonsense.says("is no line of `cargo tree`");
}

/// The tests' own program is linked to glibc: the proof says so.
fn proof() {
    let scratch = Scratch::new();
    let script = project("packaging/own/prove-static.sh");
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let refused = scratch
        .tool("sh", [script.to_str().unwrap(), program])
        .fails(1);
    refused.says("asks for a dynamic loader");
}
