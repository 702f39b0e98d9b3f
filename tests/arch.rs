//! Arch Linux packages: built by the library, read by libarchive and pacman.

use std::fmt::Write;
use std::path::PathBuf;

use fleetpack::package::arch::PkgTarZst;
use fleetpack::package::{BuildError, Compression};
use libtest_mimic::Trial;

use crate::harness::linux_tree::{Build, assert_laid_down};
use crate::harness::{Scratch, golden, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("arch: the leading members", leading_members),
        trial("arch: same bytes twice, on one core and on two", same_bytes),
        trial("arch: refuses what it cannot carry", refused),
        trial_needing("arch: bsdtar lays it down", &["bsdtar", "root"], bsdtar),
        trial_needing(
            "arch: its mtree fits what is laid down",
            &["bsdtar", "mtree", "root"],
            mtree,
        ),
        trial_needing("arch: pacman -Qip", &["pacman"], pacman_query),
        trial_needing(
            "arch: pacman installs, verifies and removes it in a folder",
            &["pacman", "root"],
            pacman_root,
        ),
    ]
}

fn built(scratch: &Scratch, build: &Build) -> PathBuf {
    build.file(scratch, &PkgTarZst).unwrap()
}

/// Names and bytes of all members.
fn members(package: &[u8]) -> Vec<(String, Vec<u8>)> {
    let raw = zstd::decode_all(package).unwrap();
    let mut archive = tar::Archive::new(raw.as_slice());
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

fn leading_members() {
    let scratch = Scratch::new();
    let path = built(&scratch, &Build::sample());
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(name, "fleet-osquery-1.50.2-1-x86_64.pkg.tar.zst");
    let members = members(&std::fs::read(&path).unwrap());
    let names: Vec<&str> = members
        .iter()
        .take(4)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, [".BUILDINFO", ".INSTALL", ".MTREE", ".PKGINFO"]);
    let mut text = String::new();
    for (name, bytes) in [&members[0], &members[3]] {
        writeln!(text, "{name}\n{}", String::from_utf8_lossy(bytes)).unwrap();
    }
    let version = env!("CARGO_PKG_VERSION");
    let text = text.replace(&format!("buildtoolver = {version}"), "buildtoolver = …");
    let mut mtree = String::new();
    let mut gzip = flate2::read::GzDecoder::new(members[2].1.as_slice());
    std::io::Read::read_to_string(&mut gzip, &mut mtree).unwrap();
    // What the leading members hash to follows their texts.
    let mtree: Vec<&str> = mtree
        .lines()
        .filter(|line| !line.starts_with("./."))
        .collect();
    golden(
        "arch/info.golden",
        &format!("{text}.MTREE\n{}\n", mtree.join("\n")),
    );
    assert!(
        !mtree
            .iter()
            .any(|line| line.contains("etc/default/orbit") && line.contains("sha256"))
    );
}

fn same_bytes() {
    let build = |threads| {
        let build = Build {
            threads,
            ..Build::sample()
        };
        std::fs::read(built(&Scratch::new(), &build)).unwrap()
    };
    let first = build(1);
    assert!(first == build(1), "twice");
    assert!(first == build(2), "on two cores");
}

fn refused() {
    let refusal = |change: &dyn Fn(&mut Build)| {
        let mut build = Build::sample();
        change(&mut build);
        match build.file(&Scratch::new(), &PkgTarZst) {
            Err(error @ BuildError::Unfit { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    for version in ["1.2-3", "1:2", "1/2", "1 2", ""] {
        let said = refusal(&|build| build.tree.identity.version = version.to_owned());
        assert!(said.contains(&format!("the version {version:?}")), "{said}");
    }
    let said = refusal(&|build| build.compression = Some(Compression::Xz));
    assert!(said.contains("any compression but zstd"), "{said}");
}

fn bsdtar() {
    let scratch = Scratch::new();
    let build = Build::sample();
    let path = built(&scratch, &build);
    scratch.write("root/.keep", "");
    let arguments = ["-xpf".as_ref(), path.as_os_str()];
    scratch.tool("bsdtar", arguments).within("root").ok();
    assert_laid_down(&scratch.join("root"), &build.tree.entries);
}

fn mtree() {
    let scratch = Scratch::new();
    let path = built(&scratch, &Build::sample());
    scratch.write("root/.keep", "");
    let arguments = ["-xpf".as_ref(), path.as_os_str()];
    scratch.tool("bsdtar", arguments).within("root").ok();
    let specification = scratch.tool("gzip", ["-dc", ".MTREE"]).within("root").ok();
    // NetBSD's mtree wants a line for the folder itself, libarchive's writer makes none.
    let with_root = specification
        .text()
        .replacen("\n./", "\n. type=dir mode=755\n./", 1);
    let specification = scratch.write("specification", with_root);
    let check = |root: &str| {
        let arguments = [
            "-p".as_ref(),
            root.as_ref(),
            "-f".as_ref(),
            specification.as_os_str(),
        ];
        scratch.tool("mtree", arguments).run()
    };
    let ran = check("root");
    let others = ran
        .text()
        .lines()
        .filter(|line| !line.starts_with("extra: "));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&str>::new());
    ran.never_says("failed at line");
    scratch.write("root/opt/orbit/certs.pem", "changed");
    check("root").prints("opt/orbit/certs.pem");
}

fn pacman_query() {
    let scratch = Scratch::new();
    let path = built(&scratch, &Build::sample());
    let arguments = ["-Qip".as_ref(), path.as_os_str()];
    let ran = scratch
        .tool("pacman", arguments)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .ok();
    let lines = ran
        .text()
        .lines()
        .filter(|line| !line.starts_with("Compressed Size"));
    let text: Vec<&str> = lines.collect();
    golden("arch/query.golden", &text.join("\n"));
    assert_eq!(ran.stderr, "");
}

fn pacman_root() {
    let scratch = Scratch::new();
    let build = Build::sample();
    let path = built(&scratch, &build);
    let root = scratch.join("root");
    std::fs::create_dir_all(root.join("var/lib/pacman")).unwrap();
    let configuration = scratch.write("pacman.conf", "[options]\nArchitecture = x86_64\n");
    let pacman = |arguments: &str| {
        let arguments = arguments.split(' ').map(std::ffi::OsStr::new);
        scratch
            .tool("pacman", arguments)
            .arg("--noconfirm")
            .arg("--config")
            .arg(&configuration)
            .arg("--root")
            .arg(&root)
            .env("LC_ALL", "C")
    };
    pacman("-U --noscriptlet").arg(&path).ok();
    assert_laid_down(&root, &build.tree.entries);
    // The file that holds the secret has no digest to compare with.
    let ran = pacman("-Qkk fleet-osquery").run();
    ran.prints("1 altered file");
    assert_eq!(ran.stderr.matches("checksum mismatch").count(), 2);
    assert_eq!(ran.stderr.matches("etc/default/orbit").count(), 2);
    std::fs::write(root.join("opt/orbit/certs.pem"), "changed").unwrap();
    pacman("-Qkk fleet-osquery").run().prints("2 altered files");
    pacman("-R --noscriptlet fleet-osquery").ok();
    assert!(!root.join("opt/orbit").exists());
}
