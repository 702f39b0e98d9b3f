//! Packages read back by the crates `ar` and `tar`.

use std::io::{Read, Seek};
use std::num::NonZeroUsize;
use std::path::Path;

use super::*;
use crate::compress::{Compressor, SEGMENT};
use crate::install::{Customer, Lifecycle};

const EPOCH: u64 = 1_700_000_000;

fn tree(version: &str) -> Tree {
    let program = vec![7; SEGMENT + 9];
    let shared = Shared::verified_bytes(program, Path::new("orbit"));
    let deep = format!("/opt/orbit/{}", "deep/".repeat(30));
    let entries = vec![
        Entry::file("/opt/orbit/bin/orbit", 0o755, Content::Shared(shared)),
        Entry::link("/usr/local/bin/orbit", "/opt/orbit/bin/orbit"),
        Entry::customer(format!("{deep}file"), 0o644, "deep"),
        Entry::customer("/etc/default/orbit", 0o600, "SECRET=x\n").secret(),
        Entry::directory("/var/log/orbit"),
    ];
    Tree {
        os: Os::Linux,
        identity: Identity {
            name: "sample-agent".into(),
            display_name: "Sample agent".into(),
            identifier: "org.example.agent".into(),
            version: version.into(),
            arch: Arch::Amd64,
            vendor: "Example".into(),
            maintainer: "Example <agent@example.org>".into(),
            homepage: "https://example.org".into(),
            summary: "Sample agent".into(),
            description: "First line.\n\nThird line.".into(),
            license: "MIT".into(),
        },
        entries: Tree::settle(Os::Linux, entries).unwrap(),
        service: None,
        settings: vec![],
        properties: vec![],
        lifecycle: Lifecycle::default(),
        leftovers: vec![],
        windows: None,
    }
}

fn build_on(
    threads: usize,
    tree: &Tree,
    compression: Option<Compression>,
) -> Result<Vec<u8>, BuildError> {
    let compressor = Compressor::new(NonZeroUsize::new(threads).unwrap())?;
    let context = BuildContext {
        compressor: &compressor,
        compression,
        epoch: EPOCH,
        cancelled: &|| false,
    };
    let mut out = Output::new(tempfile::tempfile().unwrap(), Path::new("test.deb"));
    Deb.build(tree, &context, &mut out)?;
    let mut file = out.finish()?;
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

/// Members of the outer archive.
fn members(deb: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ::ar::Archive::new(deb);
    let mut members = Vec::new();
    while let Some(entry) = archive.next_entry() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.header().identifier().to_vec()).unwrap();
        assert_eq!(entry.header().mtime(), EPOCH, "{name}");
        assert_eq!(entry.header().mode(), 0o100_644, "{name}");
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        members.push((name, contents));
    }
    members
}

fn expand(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match name.rsplit('.').next().unwrap() {
        "gz" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "zst" => zstd::Decoder::new(bytes)
            .unwrap()
            .single_frame()
            .read_to_end(&mut out),
        "xz" => lzma_rust2::XzReader::new(bytes, false).read_to_end(&mut out),
        _ => return bytes.to_vec(),
    }
    .unwrap();
    out
}

/// Names and contents of a tar's members.
fn files(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ::tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().uid().unwrap(), 0);
            assert_eq!(entry.header().mtime().unwrap(), EPOCH);
            let name = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            (name, contents)
        })
        .collect()
}

fn file(tar: &[u8], name: &str) -> String {
    let mut files = files(tar).into_iter();
    let (_, contents) = files.find(|(path, _)| path == name).unwrap();
    String::from_utf8(contents).unwrap()
}

#[test]
fn the_outer_archive() {
    let words = [
        (None, "data.tar.gz"),
        (Some(Compression::Gzip), "data.tar.gz"),
        (Some(Compression::Zstd), "data.tar.zst"),
        (Some(Compression::Xz), "data.tar.xz"),
        (Some(Compression::None), "data.tar"),
    ];
    let mut payloads = Vec::new();
    for (compression, data) in words {
        let members = members(&build_on(2, &tree("1.2.3"), compression).unwrap());
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["debian-binary", "control.tar.gz", data]);
        assert_eq!(members[0].1, b"2.0\n");
        payloads.push(expand(data, &members[2].1));
    }
    assert!(payloads.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn control_and_sums() {
    let members = members(&build_on(1, &tree("1.2.3"), None).unwrap());
    let control = expand("control.tar.gz", &members[1].1);
    let expected = "Package: sample-agent\nVersion: 1.2.3\nArchitecture: amd64\n\
        Maintainer: Example <agent@example.org>\nInstalled-Size: 1072\nSection: admin\n\
        Priority: optional\nHomepage: https://example.org\nDescription: Sample agent\n \
        First line.\n .\n Third line.\n";
    assert_eq!(file(&control, "./control"), expected);
    let data = expand("data.tar.gz", &members[2].1);
    let mut expected = String::new();
    for (name, contents) in files(&data) {
        let is_dir_or_link = name.ends_with('/') || name == "./usr/local/bin/orbit";
        if !is_dir_or_link && name != "./etc/default/orbit" {
            let md5 = Digests::of(&contents, Wanted::MD5).md5.unwrap();
            expected.push_str(&format!("{}  {}\n", hex::encode(md5), &name[2..]));
        }
    }
    assert_eq!(file(&control, "./md5sums"), expected);
    assert_eq!(expected.lines().count(), 4);
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        assert!(file(&control, &format!("./{script}")).starts_with("#!/bin/sh\n"));
    }
}

#[test]
fn shared_files_come_before_customers() {
    let members = members(&build_on(1, &tree("1.2.3"), None).unwrap());
    let names = files(&expand("data.tar.gz", &members[2].1));
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let place = |wanted: &str| names.iter().position(|name| *name == wanted).unwrap();
    assert_eq!(place("./"), 0);
    assert!(place("./var/log/orbit/") < place("./opt/orbit/bin/orbit"));
    assert!(place("./opt/orbit/bin/orbit") < place("./etc/default/orbit"));
    assert!(names.contains(&"./usr/share/doc/sample-agent/copyright"));
    assert!(names.contains(&"./usr/share/doc/sample-agent/changelog.gz"));
}

#[test]
fn the_changelog_of_a_version_with_a_revision() {
    let members = members(&build_on(1, &tree("1.2.3-4"), None).unwrap());
    let all = files(&expand("data.tar.gz", &members[2].1));
    let name = "./usr/share/doc/sample-agent/changelog.Debian.gz";
    let (_, gzip) = all.iter().find(|(path, _)| path == name).unwrap();
    assert_eq!(
        gzip[4..9],
        [0, 0, 0, 0, 2],
        "no time, compressed to the most"
    );
    let text = String::from_utf8(expand(name, gzip)).unwrap();
    assert!(text.starts_with("sample-agent (1.2.3-4) stable; urgency=medium\n"));
    assert!(text.ends_with("\n -- Example <agent@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n"));
}

#[test]
fn the_same_bytes_on_any_number_of_cores() {
    for compression in [None, Some(Compression::Zstd), Some(Compression::Xz)] {
        let one = build_on(1, &tree("1.2.3"), compression).unwrap();
        assert!(build_on(3, &tree("1.2.3"), compression).unwrap() == one);
    }
}

#[test]
fn refused() {
    let sentence = |tree: &Tree| build_on(1, tree, None).unwrap_err().to_string();
    assert!(sentence(&tree("v1")).starts_with("deb cannot carry the version \"v1\""));
    let mut other = tree("1");
    other.identity.maintainer = "A\nPriority: required".into();
    assert!(sentence(&other).starts_with("deb cannot carry the maintainer"));
    let mut other = tree("1");
    other.identity.arch = Arch::Universal;
    assert!(sentence(&other).contains("more than one processor"));
    let mut other = tree("1");
    let own = Content::Customer(Customer::new("x"));
    let path = "/usr/share/doc/sample-agent/copyright";
    other.entries.push(Entry::file(path, 0o644, own));
    assert!(sentence(&other).contains(path));
}

#[test]
fn cancelled() {
    let compressor = Compressor::new(NonZeroUsize::MIN).unwrap();
    let context = BuildContext {
        compressor: &compressor,
        compression: None,
        epoch: EPOCH,
        cancelled: &|| true,
    };
    let mut out = Output::new(tempfile::tempfile().unwrap(), Path::new("test.deb"));
    let error = Deb.build(&tree("1"), &context, &mut out).unwrap_err();
    assert!(matches!(error, BuildError::Cancelled));
}

#[test]
fn a_full_disk_names_the_file() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let compressor = Compressor::new(NonZeroUsize::MIN).unwrap();
    let context = BuildContext {
        compressor: &compressor,
        compression: Some(Compression::None),
        epoch: EPOCH,
        cancelled: &|| false,
    };
    let mut out = Output::new(full, Path::new("out/test.deb"));
    let built = Deb.build(&tree("1"), &context, &mut out);
    let error = built.and_then(|()| out.finish().map(|_| ())).unwrap_err();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        words.push_str(&next.to_string());
        cause = next.source();
    }
    assert!(
        words.contains("out/test.deb") && words.contains("No space left"),
        "{words}"
    );
}
