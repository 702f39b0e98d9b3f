//! rpm packages: built by the library, read back by the crate `rpm` and by rpm's own tools.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use fleetpack::install::{Arch, Content, Entry, Node, Shared};
use fleetpack::package::rpm::Rpm;
use fleetpack::package::{BuildError, Compression, distribution};
use libtest_mimic::Trial;

use crate::harness::linux_tree::{Build, assert_laid_down};
use crate::harness::{Scratch, golden, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("rpm: the crate rpm reads it back", crate_reads_back),
        trial("rpm: every tag of the headers", headers),
        trial("rpm: same bytes twice, on one core and on two", same_bytes),
        trial("rpm: refuses what it cannot carry", refused),
        trial("rpm: nothing that rpm 4.11 of RHEL 7 lacks", old_rpm),
        trial_needing("rpm: rpm -K accepts it", &["rpm"], rpm_k),
        trial_needing(
            "rpm: rpm -K notices a changed byte",
            &["rpm"],
            rpm_k_notices,
        ),
        trial_needing(
            "rpm: rpm2cpio and cpio lay it down",
            &["rpm2cpio", "cpio", "sh", "root"],
            rpm2cpio,
        ),
        trial_needing("rpm: rpm -qip and its lists", &["rpm"], queries),
        trial_needing(
            "rpm: rpm installs, verifies and erases it in a folder",
            &["rpm", "root"],
            rpm_root,
        ),
        trial_needing(
            "rpm: rpmlint finds nothing unexplained",
            &["rpmlint"],
            rpmlint,
        ),
    ]
}

const COMPRESSIONS: [Option<Compression>; 5] = [
    None,
    Some(Compression::Gzip),
    Some(Compression::Zstd),
    Some(Compression::Xz),
    Some(Compression::None),
];

fn compressed(compression: Option<Compression>) -> Build {
    Build {
        compression,
        ..Build::sample()
    }
}

fn built(scratch: &Scratch, build: &Build) -> PathBuf {
    build.file(scratch, &Rpm::unsigned()).unwrap()
}

/// What the package lists: all but the system's own directories.
fn listed(build: &Build) -> Vec<Entry> {
    let mut entries = build.tree.entries.clone();
    entries.retain(|entry| !distribution::is_system_directory(&entry.path));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn crate_reads_back() {
    for compression in COMPRESSIONS {
        let scratch = Scratch::new();
        let build = compressed(compression);
        let package = ::rpm::Package::open(built(&scratch, &build)).unwrap();
        package.verify_digests().unwrap();
        let metadata = &package.metadata;
        assert_eq!(metadata.get_name().unwrap(), "fleet-osquery");
        assert_eq!(metadata.get_version().unwrap(), "1.50.2");
        assert_eq!(metadata.get_release().unwrap(), "1");
        assert_eq!(metadata.get_arch().unwrap(), "x86_64");
        assert!(!metadata.is_source_package());
        let size = listed(&build)
            .iter()
            .filter(|e| matches!(e.node, Node::File(_)))
            .map(Entry::len)
            .sum::<u64>();
        assert_eq!(metadata.get_installed_size().unwrap(), size);
        let paths = metadata.get_file_paths().unwrap();
        let expected: Vec<PathBuf> = listed(&build).iter().map(|e| (&e.path).into()).collect();
        assert_eq!(paths, expected);
        // The crate is built without xz.
        if compression != Some(Compression::Xz) {
            let to = scratch.join("extracted");
            package.extract(&to).unwrap();
            assert_laid_down(&to, &listed(&build));
        }
    }
}

fn headers() {
    let scratch = Scratch::new();
    let bytes = std::fs::read(built(&scratch, &Build::sample())).unwrap();
    golden("rpm/headers.golden", &dump(&bytes));
    let mut arm = compressed(Some(Compression::Zstd));
    arm.tree.identity.arch = Arch::Arm64;
    arm.tree
        .entries
        .retain(|e| e.path.ends_with("orbit.service"));
    let bytes = std::fs::read(built(&scratch, &arm)).unwrap();
    golden("rpm/headers-arm64-zstd.golden", &dump(&bytes));
}

/// Both headers, one tag a line; digests and lengths that follow the compressor are masked.
fn dump(bytes: &[u8]) -> String {
    let mut text = format!("lead {}\n", hex::encode(&bytes[..10]));
    let signatures = 96;
    let end = dump_header(&bytes[signatures..], "signatures", &mut text);
    dump_header(&bytes[signatures + end..], "header", &mut text);
    text
}

fn dump_header(bytes: &[u8], name: &str, text: &mut String) -> usize {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let (entries, len) = (number(8) as usize, number(12) as usize);
    writeln!(text, "{name}").unwrap();
    let data = 16 + 16 * entries;
    for entry in (0..entries).map(|n| 16 + 16 * n) {
        let (tag, kind) = (number(entry), number(entry + 4));
        let (offset, count) = (number(entry + 8) as usize, number(entry + 12) as usize);
        let value = &bytes[data + offset..];
        let strings = || {
            value
                .split(|b| *b == 0)
                .take(count)
                .map(|s| String::from_utf8_lossy(s).into_owned())
        };
        let shown = match (kind, tag) {
            (_, 5092) => "…".to_owned(),
            (_, 269 | 273 | 1000 | 1007) if name == "signatures" => "…".to_owned(),
            // Scripts have goldens of their own.
            (_, 1023..=1026 | 1152) => format!("{:?}…", strings().next().unwrap().lines().next()),
            (3, _) => format!("{:x?}", value[..2 * count].chunks(2).collect::<Vec<_>>()),
            (4, _) => {
                let numbers = value[..4 * count].chunks(4);
                let numbers = numbers.map(|n| u32::from_be_bytes(n.try_into().unwrap()));
                format!("{:?}", numbers.collect::<Vec<_>>())
            }
            (7, _) => format!("{count} bytes"),
            _ => format!("{:?}", strings().collect::<Vec<_>>()),
        };
        writeln!(text, "  {tag} type {kind} count {count}: {shown}").unwrap();
    }
    (data + len).next_multiple_of(8)
}

fn same_bytes() {
    for compression in COMPRESSIONS {
        let build = |threads| {
            let scratch = Scratch::new();
            let build = Build {
                threads,
                ..compressed(compression)
            };
            std::fs::read(built(&scratch, &build)).unwrap()
        };
        let first = build(1);
        assert!(first == build(1), "{compression:?}: twice");
        assert!(first == build(2), "{compression:?}: on two cores");
        assert!(first == build(3), "{compression:?}: on three cores");
    }
}

fn refused() {
    let refusal = |change: &dyn Fn(&mut Build)| {
        let mut build = Build::sample();
        change(&mut build);
        match build.file(&Scratch::new(), &Rpm::unsigned()) {
            Err(error @ BuildError::Unfit { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let version = |version: &'static str| {
        refusal(&move |build| build.tree.identity.version = version.to_owned())
    };
    assert_eq!(
        version("1.2.3-4"),
        "rpm cannot carry the version \"1.2.3-4\": '-' is not among letters, digits and ._+~^%"
    );
    assert!(version("1 2").contains("' ' is not among"));
    assert!(version("1/2").contains("'/' is not among"));
    assert_eq!(
        version(""),
        "rpm cannot carry the version \"\": it is empty"
    );
    let late = refusal(&|build| build.epoch = 1 << 33);
    assert!(late.contains("after the year 2106"), "{late}");
    let large = refusal(&|build| {
        let file = std::fs::File::open("/dev/null").unwrap();
        let huge = Shared::verified_file(file, Path::new("huge"), 1 << 32, [0; 32]);
        let entry = Entry::file("/opt/huge", 0o644, Content::Shared(huge));
        build.tree.entries.push(entry);
    });
    assert!(large.contains("the limit is 4 GiB"), "{large}");
}

/// The features of rpm 4.11.3 (`lib/rpmds.c`) that a package may require.
const OLD_FEATURES: [&str; 5] = [
    "rpmlib(CompressedFileNames) 3.0.4-1",
    "rpmlib(FileDigests) 4.6.0-1",
    "rpmlib(PayloadFilesHavePrefix) 4.0-1",
    "rpmlib(PayloadIsXz) 5.2-1",
    "rpmlib(TildeInVersions) 4.10.0-1",
];
/// The newest tag that it knows (`lib/rpmtag.h`): `RPMTAG_FILENLINKS`.
const OLD_NEWEST_TAG: u32 = 5045;
/// Tags that are newer, and that it passes over: encoding, digest of the payload.
const NEWER_TAGS: [u32; 3] = [5062, 5092, 5093];

/// The default package has nothing that rpm 4.11.3 would stumble over: its limits of the
/// signature header (`lib/signature.c`), its tags, features and decompressors.
fn old_rpm() {
    let scratch = Scratch::new();
    let mut build = Build::sample();
    build.tree.identity.version = "1.50.2~rc1".to_owned();
    let path = built(&scratch, &build);
    let bytes = std::fs::read(&path).unwrap();
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert!(number(96 + 8) <= 32 && number(96 + 12) <= 8192);
    assert!(number(96 + 4096 + 8) <= 0xffff && number(96 + 4096 + 12) <= 0x00ff_ffff);
    let tags = |start: usize| -> Vec<u32> {
        let count = number(start + 8) as usize;
        let entries = (0..count).map(|n| start + 16 + 16 * n);
        entries.map(number).collect()
    };
    // SHA-1 of the header is what it checks.
    assert!(tags(96).contains(&269));
    let newer = tags(96 + 4096).into_iter().filter(|t| *t > OLD_NEWEST_TAG);
    assert_eq!(newer.collect::<Vec<_>>(), NEWER_TAGS);
    let package = ::rpm::Package::open(&path).unwrap();
    let metadata = &package.metadata;
    let requires = metadata.get_requires().unwrap();
    for dependency in requires.iter().filter(|d| d.name.starts_with("rpmlib")) {
        let shown = format!("{} {}", dependency.name, dependency.version);
        assert!(OLD_FEATURES.contains(&shown.as_str()), "{shown}");
    }
    let text = dump(&bytes);
    // Payload by gzip, sha256 of files (8 in OpenPGP's numbers, since rpm 4.6).
    assert!(text.contains("  1125 type 6 count 1: [\"gzip\"]"), "{text}");
    assert!(text.contains("  5011 type 4 count 1: [8]"), "{text}");
    assert!(text.contains("rpmlib(TildeInVersions)"), "{text}");
}

fn rpm_k() {
    for compression in COMPRESSIONS {
        let scratch = Scratch::new();
        let path = built(&scratch, &compressed(compression));
        let arguments = ["-Kv".as_ref(), path.as_os_str()];
        scratch
            .tool("rpm", arguments)
            .ok()
            .prints("Header SHA256 digest: OK")
            .prints("Header SHA1 digest: OK")
            .prints("Payload SHA256 digest: OK")
            .never_says("BAD");
    }
}

fn rpm_k_notices() {
    let scratch = Scratch::new();
    let path = built(&scratch, &Build::sample());
    let whole = std::fs::read(&path).unwrap();
    for (name, at) in [
        ("payload", whole.len() - 1000),
        ("header", 96 + 4096 + 3000),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let arguments = ["-K".as_ref(), path.as_os_str()];
        let ran = scratch.tool("rpm", arguments).run();
        assert_ne!(ran.code, Some(0), "{name}");
    }
}

fn rpm2cpio() {
    for compression in COMPRESSIONS {
        let scratch = Scratch::new();
        let build = compressed(compression);
        let path = built(&scratch, &build);
        scratch.write("root/.keep", "");
        let script = "rpm2cpio \"$1\" | cpio --quiet -idm --no-absolute-filenames";
        let arguments = [
            "-euc".as_ref(),
            script.as_ref(),
            "sh".as_ref(),
            path.as_os_str(),
        ];
        scratch.tool("sh", arguments).within("root").ok();
        assert_laid_down(&scratch.join("root"), &listed(&build));
    }
}

fn queries() {
    let scratch = Scratch::new();
    let path = built(&scratch, &Build::sample());
    let mut text = String::new();
    for query in [
        "-qip",
        "-qp --provides",
        "-qp --requires",
        "-qp --dump",
        "-qp --qf [%{ORDERNAME}/%{ORDERFLAGS:depflags}/%{ORDERFLAGS}\\n]",
    ] {
        let arguments = query.split(' ').map(std::ffi::OsStr::new);
        let ran = scratch
            .tool("rpm", arguments)
            .arg(&path)
            .env("TZ", "UTC")
            .ok();
        writeln!(text, "rpm {query}\n{}", ran.text()).unwrap();
    }
    golden("rpm/queries.golden", &text);
    let scripts = scratch
        .tool(
            "rpm",
            ["-qp".as_ref(), "--scripts".as_ref(), path.as_os_str()],
        )
        .ok();
    for (name, words) in [
        ("preinstall scriptlet (using /bin/sh):", "BeforeInstall.sh"),
        ("preuninstall scriptlet (using /bin/sh):", "BeforeRemove.sh"),
        ("postuninstall scriptlet (using /bin/sh):", "AfterRemove.sh"),
        ("posttrans scriptlet (using /bin/sh):", "AfterInstall.sh"),
    ] {
        scripts.prints(name).prints(words);
    }
}

fn rpm_root() {
    let scratch = Scratch::new();
    let build = Build::sample();
    let path = built(&scratch, &build);
    let root = scratch.join("root");
    std::fs::create_dir(&root).unwrap();
    let rpm = |arguments: &str| {
        let arguments = arguments.split(' ').map(std::ffi::OsStr::new);
        scratch.tool("rpm", arguments).arg("--root").arg(&root)
    };
    rpm("-i --nodeps --noscripts --nocaps").arg(&path).ok();
    assert_laid_down(&root, &listed(&build));
    rpm("-V --nodeps --noscripts fleet-osquery").ok();
    std::fs::write(root.join("opt/orbit/certs.pem"), "changed").unwrap();
    let ran = rpm("-V --nodeps --noscripts fleet-osquery").run();
    assert!(
        ran.text().contains("S.5....T.    /opt/orbit/certs.pem"),
        "{}",
        ran.text()
    );
    // A lower version over it, and the same one again with another secret.
    let mut lower = Build::sample();
    lower.tree.identity.version = "1.9".to_owned();
    let lower = built(&scratch, &lower);
    rpm("-U --oldpackage --nodeps --noscripts").arg(&lower).ok();
    rpm("-q fleet-osquery")
        .ok()
        .prints("fleet-osquery-1.9-1.x86_64");
    assert_laid_down(&root, &listed(&build));
    rpm("-U --replacepkgs --nodeps --noscripts")
        .arg(&lower)
        .ok();
    rpm("-e --nodeps --noscripts fleet-osquery").ok();
    assert!(!root.join("opt/orbit").exists());
    assert!(!root.join("etc/default/orbit").exists());
}

fn rpmlint() {
    let scratch = Scratch::new();
    let mut build = Build::sample();
    build
        .tree
        .entries
        .retain(|entry| !entry.path.ends_with("/empty"));
    let path = built(&scratch, &build);
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/rpmlint.toml");
    let ran = scratch
        .tool(
            "rpmlint",
            ["--strict".as_ref(), "--config".as_ref(), rules.as_os_str()],
        )
        .arg(&path)
        .run();
    assert_eq!(ran.code, Some(0), "{}", ran.text());
}
