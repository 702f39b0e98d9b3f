//! Debian packages as dpkg's own tools read them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use fleetpack::compress::Compressor;
use fleetpack::install::{Arch, Content, Entry, Identity, Lifecycle, Os, Shared, Tree};
use fleetpack::package::deb::Deb;
use fleetpack::package::{BuildContext, Builder, Compression, Output};
use libtest_mimic::Trial;

use crate::harness::{Scratch, golden, trial_needing};

/// 2023-11-14T22:13:20.
const EPOCH: u64 = 1_700_000_000;

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("deb: dpkg-deb reads it", &["dpkg-deb", "ar"], dpkg_reads),
        trial_needing(
            "deb: every compression unpacks to the same files",
            &["dpkg-deb", "md5sum"],
            every_compression,
        ),
        trial_needing(
            "deb: one gzip member, one zstd frame, one xz stream",
            &["ar", "gzip", "zstd", "xz"],
            one_stream,
        ),
        trial_needing(
            "deb: the number of cores changes nothing",
            &["cmp"],
            any_cores,
        ),
    ]
}

/// Bytes that compress about as well as a program does.
fn program(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let step = |at: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        if at.is_multiple_of(3) { 0 } else { state as u8 }
    };
    (0..len).map(step).collect()
}

fn shared(name: &str, bytes: Vec<u8>) -> Content {
    Content::Shared(Shared::verified_bytes(bytes, Path::new(name)))
}

fn tree() -> Tree {
    let long = format!("/opt/orbit/{}/extension.ext", "deep".repeat(30));
    let entries = vec![
        Entry::file(
            "/opt/orbit/bin/orbit/linux/stable/orbit",
            0o755,
            shared("orbit", program(2_500_000)),
        ),
        Entry::file("/opt/orbit/empty", 0o644, shared("empty", Vec::new())),
        Entry::file(long, 0o755, shared("extension", program(1))),
        Entry::link(
            "/opt/orbit/bin/orbit/orbit",
            "/opt/orbit/bin/orbit/linux/stable/orbit",
        ),
        Entry::customer("/etc/default/orbit", 0o600, "ORBIT_ENROLL_SECRET=x\n").secret(),
        Entry::customer("/opt/orbit/certs.pem", 0o644, program(70_000)),
        Entry::directory("/var/log/orbit"),
    ];
    Tree {
        os: Os::Linux,
        identity: Identity {
            name: "fleet-osquery".into(),
            display_name: "Fleet osquery".into(),
            identifier: "com.fleetdm.orbit".into(),
            version: "1.50.0".into(),
            arch: Arch::Arm64,
            vendor: "Fleet Device Management".into(),
            maintainer: "Fleet Device Management <hello@fleetdm.com>".into(),
            homepage: "https://fleetdm.com".into(),
            summary: "Fleet osquery -- runtime and autoupdater".into(),
            description: "Connects this computer to a server.\n\nIt updates itself.".into(),
            license: "MIT".into(),
        },
        entries: Tree::settle(Os::Linux, entries).unwrap(),
        service: None,
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle: Lifecycle::default(),
        leftovers: Vec::new(),
        windows: None,
    }
}

fn build(scratch: &Scratch, name: &str, compression: Option<Compression>, cores: usize) -> PathBuf {
    let compressor = Compressor::new(NonZeroUsize::new(cores).unwrap()).unwrap();
    let context = BuildContext {
        compressor: &compressor,
        compression,
        epoch: EPOCH,
        cancelled: &|| false,
    };
    let path = scratch.join(name);
    let mut out = Output::new(std::fs::File::create(&path).unwrap(), &path);
    Deb.build(&tree(), &context, &mut out).unwrap();
    out.finish().unwrap();
    path
}

fn dpkg_reads() {
    let scratch = Scratch::new();
    build(&scratch, "p.deb", None, 2);
    let info = scratch.tool("dpkg-deb", ["--info", "p.deb", "control", "md5sums"]);
    golden("deb/control.golden", info.ok().text());
    let contents = scratch.tool("dpkg-deb", ["--contents", "p.deb"]);
    golden("deb/contents.golden", contents.env("TZ", "UTC").ok().text());
    scratch.tool("dpkg-deb", ["--info", "p.deb"]).ok();
    let members = scratch.tool("ar", ["tv", "p.deb"]);
    let members = members.env("TZ", "UTC").ok();
    for name in ["debian-binary", "control.tar.gz", "data.tar.gz"] {
        members.prints(name);
    }
}

fn every_compression() {
    let scratch = Scratch::new();
    let words = [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("xz", Compression::Xz),
    ];
    for (word, compression) in words {
        build(&scratch, &format!("{word}.deb"), Some(compression), 2);
        let deb = format!("{word}.deb");
        scratch.tool("dpkg-deb", ["-R", &deb, word]).ok();
        scratch
            .tool("md5sum", ["--check", "--quiet", "DEBIAN/md5sums"])
            .within(word)
            .ok();
        scratch.state("none").unchanged(&scratch.state(word));
    }
}

fn one_stream() {
    let scratch = Scratch::new();
    for (member, compression, test) in [
        ("data.tar.gz", Compression::Gzip, "gzip"),
        ("data.tar.zst", Compression::Zstd, "zstd"),
        ("data.tar.xz", Compression::Xz, "xz"),
    ] {
        build(&scratch, "p.deb", Some(compression), 2);
        scratch.tool("ar", ["x", "p.deb", member]).ok();
        scratch.tool(test, ["-t", member]).ok();
    }
    let zstd = scratch.tool("zstd", ["-lv", "data.tar.zst"]).ok();
    zstd.prints("# Zstandard Frames: 1\n");
    let xz = scratch
        .tool("xz", ["--robot", "--list", "data.tar.xz"])
        .ok();
    // The line `file`: streams first.
    xz.prints("file\t1\t");
}

fn any_cores() {
    let scratch = Scratch::new();
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Xz] {
        build(&scratch, "one.deb", Some(compression), 1);
        build(&scratch, "four.deb", Some(compression), 4);
        scratch.tool("cmp", ["one.deb", "four.deb"]).ok();
    }
}
