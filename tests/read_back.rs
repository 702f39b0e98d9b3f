//! What fleetpack builds, read back by fleetpack's own readers, and `fleetpack inspect` on it.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use fleetpack::agent::component::{Component, Platform, Target};
use fleetpack::agent::config::{Config, Enrollment, Secret};
use fleetpack::agent::fetched::{Documents, Fetched, Program, Unpacked};
use fleetpack::agent::{self, linux, macos, windows};
use fleetpack::compress::Compressor;
use fleetpack::install::{Arch, Os, Shared, Tree};
use fleetpack::package::msi::pe::{Machine, sample};
use fleetpack::package::{BuildContext, Compression, Format, Output, builder, read};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{Scratch, schema::conforms, trial};

/// Made up.
const SECRET: &str = "s3cr3t\"of $many signs";
const URL: &str = "https://fleet.example.com";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("read_back::every_format", every_format),
        trial("read_back::differences_are_seen", differences_are_seen),
        trial("inspect::text", inspect_text),
        trial("inspect::json", inspect_json),
        trial("inspect::two", inspect_two),
        trial("inspect::refused", inspect_refused),
    ]
}

fn program(len: u32) -> Vec<u8> {
    (0..len).flat_map(|n| (n / 5).to_le_bytes()).collect()
}

/// A PE file with something behind it.
fn windows_program(len: u32) -> Vec<u8> {
    let version = Some([1, 50, 0, 0]);
    [sample::program(Machine::Amd64, version), program(len)].concat()
}

fn sha512(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, bytes))
}

fn shared(name: &str, bytes: &[u8]) -> Shared {
    Shared::verified_bytes(bytes.to_vec(), Path::new(name))
}

/// orbit, osqueryd and Fleet Desktop of a platform, and metadata that list them.
fn fetched(platform: Platform) -> Fetched {
    let mut programs = Vec::new();
    let mut targets = serde_json::Map::new();
    for (component, version, len) in [
        (Component::Orbit, "1.50.0", 200_000),
        (Component::Osqueryd, "5.20.0", 100_000),
        (Component::Desktop, "1.50.0", 10_000),
    ] {
        let target = Target::of(component, platform);
        let bytes = match platform {
            Platform::Windows => windows_program(len),
            _ => program(len),
        };
        let hashes = json!({ "sha512": sha512(&bytes) });
        let custom = json!({ "version": version });
        let listed = json!({ "length": bytes.len(), "hashes": hashes, "custom": custom });
        targets.insert(target.name("stable"), listed);
        let inside = target.unpacked.map(|path| Unpacked {
            path: path.to_owned(),
            mode: 0o755,
            contents: Some(shared("inside", &program(5_000))),
        });
        programs.push(Program {
            target,
            channel: "stable".into(),
            version: Some(version.into()),
            file: shared("target", &bytes),
            sha512: sha512(&bytes),
            unpacked: inside.into_iter().collect(),
        });
    }
    let head = |kind: &str, version: u64, more: serde_json::Value| {
        let mut signed = json!({ "_type": kind, "spec_version": "1.0", "version": version,
            "expires": "2031-02-03T04:05:06Z" });
        let fields = more.as_object().unwrap().clone();
        signed.as_object_mut().unwrap().extend(fields);
        json!({ "signed": signed, "signatures": [] })
            .to_string()
            .into_bytes()
    };
    let meta = |name: &str| json!({ "meta": { name: { "version": 7 } } });
    Fetched {
        documents: Documents {
            root: include_bytes!("../src/agent/fleet-root.json").to_vec(),
            timestamp: head("timestamp", 9, meta("snapshot.json")),
            snapshot: head("snapshot", 8, meta("targets.json")),
            targets: head("targets", 7, json!({ "targets": targets })),
        },
        programs,
    }
}

fn tree(format: Format, secret: &str) -> Tree {
    let config = Config {
        enrollment: Some(Enrollment {
            url: URL.into(),
            secret: Secret::new(secret),
        }),
        desktop: true,
        ..Config::default()
    };
    let (arch, platform) = match format.os() {
        Os::Linux => (Arch::Amd64, Platform::Linux),
        Os::Macos => (Arch::Universal, Platform::Macos),
        Os::Windows => (Arch::Amd64, Platform::Windows),
    };
    let identity = agent::identity("1.50.0", arch, None);
    let fetched = fetched(platform);
    match format.os() {
        Os::Linux => linux::tree(&config, &fetched, identity),
        Os::Macos => macos::tree(&config, &fetched, identity),
        Os::Windows => windows::tree(&config, &fetched, identity),
    }
    .unwrap()
}

fn build(
    scratch: &Scratch,
    format: Format,
    tree: &Tree,
    compression: Option<Compression>,
) -> PathBuf {
    let compressor = Compressor::new(NonZeroUsize::new(2).unwrap()).unwrap();
    let context = BuildContext {
        compressor: &compressor,
        compression,
        epoch: 1_700_000_000,
        cancelled: &|| false,
    };
    let path = scratch.join(format!("fleet-osquery.{format}"));
    let mut out = Output::new(File::create(&path).unwrap(), &path);
    builder(format).build(tree, &context, &mut out).unwrap();
    out.finish().unwrap();
    path
}

fn secret_of(format: Format) -> &'static str {
    match format {
        // A quotation mark cannot be said there.
        Format::Msi => "s3cr3t of [many] signs",
        _ => SECRET,
    }
}

fn every_format() {
    let scratch = Scratch::new();
    for format in Format::ALL {
        let compressions: &[Option<Compression>] = match format {
            Format::Deb | Format::Rpm => &[
                None,
                Some(Compression::Gzip),
                Some(Compression::Zstd),
                Some(Compression::Xz),
                Some(Compression::None),
            ],
            _ => &[None],
        };
        let tree = tree(format, secret_of(format));
        for compression in compressions {
            let path = build(&scratch, format, &tree, *compression);
            let file = File::open(&path).unwrap();
            assert_eq!(read::sniff(&file).unwrap(), Some(format));
            let package = read::read(format, &file)
                .unwrap_or_else(|e| panic!("{format}, {compression:?}: {e}"));
            read::matches(&tree, &package)
                .unwrap_or_else(|e| panic!("{format}, {compression:?}: {e}"));
            if let Some(wanted) = compression {
                assert_eq!(package.payload.compression, *wanted, "{format}");
            }
        }
    }
}

fn differences_are_seen() {
    let scratch = Scratch::new();
    let wanted = tree(Format::Deb, SECRET);
    let path = build(&scratch, Format::Deb, &wanted, Some(Compression::Zstd));
    let package = read::read(Format::Deb, &File::open(path).unwrap()).unwrap();
    type Change = fn(&mut Tree, &mut read::Package);
    let link = "/opt/orbit/bin/orbit/orbit";
    let cases: [(&str, Change); 6] = [
        ("/opt/orbit/certs.pem is missing", |_, package| {
            package.files.retain(|f| !f.path.ends_with("certs.pem"))
        }),
        ("/opt/orbit/certs.pem was not asked for", |tree, _| {
            tree.entries.retain(|e| !e.path.ends_with("certs.pem"))
        }),
        (
            "/opt/orbit/certs.pem has another mode: 644 instead of 600",
            |tree, _| {
                let mut entries = tree.entries.iter_mut();
                entries
                    .find(|e| e.path.ends_with("certs.pem"))
                    .unwrap()
                    .mode = 0o600;
            },
        ),
        ("/etc/default/orbit has another digest", |tree, _| {
            let path = "/etc/default/orbit";
            tree.entries.retain(|e| e.path != path);
            let other = fleetpack::install::Entry::customer(path, 0o600, "x");
            tree.entries.push(other);
        }),
        ("/opt/orbit/bin/orbit/orbit has another link", |tree, _| {
            let link = "/opt/orbit/bin/orbit/orbit";
            tree.entries.retain(|e| e.path != link);
            tree.entries
                .push(fleetpack::install::Entry::link(link, "elsewhere"));
        }),
        ("compressed in 2 parts", |_, package| {
            package.payload.parts = 2
        }),
    ];
    assert!(wanted.entry(link).is_some());
    for (sentence, change) in cases {
        let (mut tree, mut package) = (wanted.clone(), package.clone());
        change(&mut tree, &mut package);
        let error = read::matches(&tree, &package).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

fn inspect_text() {
    let scratch = Scratch::new();
    for format in Format::ALL {
        let secret = secret_of(format);
        let path = build(&scratch, format, &tree(format, secret), None);
        let hidden = scratch.fleetpack(["inspect"]).arg(&path).ok();
        let text = hidden.text();
        for wanted in [
            format!("Fleet URL      {URL}"),
            "update URL     https://updates.fleetdm.com".into(),
            "enroll secret  inside (--show-secret prints it)".into(),
            "trust anchor   root version".into(),
            "timestamp version 9, expires 2031-02-03T04:05:06Z".into(),
            "channel        desktop: stable".into(),
            "(5.20.0), as the packaged metadata have it".into(),
        ] {
            assert!(text.contains(&wanted), "{format}: no {wanted:?} in\n{text}");
        }
        assert!(!text.contains(secret), "{format} shows the secret");
        let shown = scratch
            .fleetpack(["inspect", "--show-secret"])
            .arg(&path)
            .ok();
        let line = format!("enroll secret  {secret}\n");
        assert!(shown.text().contains(&line), "{format}:\n{}", shown.text());
    }
}

fn inspect_json() {
    let scratch = Scratch::new();
    for format in Format::ALL {
        let secret = secret_of(format);
        let path = build(&scratch, format, &tree(format, secret), None);
        let ran = scratch.fleetpack(["inspect", "--json"]).arg(&path).ok();
        let report = conforms("inspect.json", ran.text());
        assert!(!ran.text().contains("s3cr3t"), "{format} shows the secret");
        assert_eq!(report["format"], format.word());
        let release = if format == Format::PkgTarZst {
            "-1"
        } else {
            ""
        };
        assert_eq!(report["version"], format!("1.50.0{release}"));
        assert_eq!(report["agent"]["fleet_url"], URL);
        assert_eq!(report["agent"]["secret"]["inside"], true);
        let components = report["agent"]["components"].as_array().unwrap();
        assert_eq!(components.len(), 3, "{format}: {components:?}");
        assert!(
            components.iter().all(|c| c["is_target"] == true),
            "{components:?}"
        );
        let ran = scratch
            .fleetpack(["inspect", "--json", "--show-secret"])
            .arg(&path)
            .ok();
        let report = conforms("inspect.json", ran.text());
        assert_eq!(report["agent"]["secret"]["value"], secret);
    }
}

fn inspect_two() {
    let scratch = Scratch::new();
    let mut other = tree(Format::Deb, "another");
    other.identity.version = "1.51.0".into();
    let second = build(&scratch, Format::Deb, &other, Some(Compression::Zstd));
    let renamed = scratch.join("other.deb");
    std::fs::rename(second, &renamed).unwrap();
    let one = tree(Format::Deb, SECRET);
    let first = build(&scratch, Format::Deb, &one, Some(Compression::Zstd));
    let ran = scratch
        .fleetpack(["inspect"])
        .arg(&first)
        .arg(&renamed)
        .ok();
    let text = ran.text();
    assert!(
        text.contains("  version\n    - 1.50.0\n    + 1.51.0\n"),
        "{text}"
    );
    assert!(
        text.contains("  enroll secret\n    - inside\n    + inside, another one\n"),
        "{text}"
    );
    assert!(
        !text.contains("s3cr3t") && !text.contains("another\n"),
        "{text}"
    );
    let ran = scratch
        .fleetpack(["inspect", "--json"])
        .arg(&first)
        .arg(&renamed)
        .ok();
    conforms("inspect-difference.json", ran.text());
    let same = scratch.fleetpack(["inspect"]).arg(&first).arg(&first).ok();
    assert_eq!(same.text(), "no difference\n");
}

fn inspect_refused() {
    let scratch = Scratch::new();
    scratch.write("text", "hello\n");
    scratch.write("cut.rpm", b"\xed\xab\xee\xdb\x03\0");
    scratch.write("cut.pkg", b"xar!\0\x1c");
    scratch.write("\u{1b}[31m.deb", b"!<arch>\ndebian-binary   ");
    for (name, sentence) in [
        ("absent", "cannot open absent"),
        ("text", "text is no deb, rpm, pkg.tar.zst, pkg or msi"),
        ("cut.rpm", "the signature header ends too early"),
        ("cut.pkg", "the header ends too early"),
        ("\u{1b}[31m.deb", "the archive ends too early"),
        (".home", "is a directory"),
        ("/dev/null", "it is no regular file"),
    ] {
        let ran = scratch.fleetpack(["inspect", name]).fails(1);
        let words = ran.message();
        assert!(words.contains(sentence), "{name}: {words}");
        assert_eq!(ran.text(), "");
    }
    scratch
        .fleetpack(["inspect", "text", "text", "--show-secret"])
        .fails(2);
}
