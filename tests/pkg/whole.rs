//! The program itself: a repository with a Mac's agent, a package of it, the files for MDM,
//! and what is refused.

use std::path::Path;
use std::sync::OnceLock;

use libtest_mimic::Trial;
use tar::EntryType;

use super::archive::members;
use super::sample::noise;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("pkg::from_repository_to_package", whole),
        trial("pkg::same_inputs_same_bytes", same_bytes),
        trial("pkg::targets_that_are_not_those_that_were_signed", changed),
        trial("pkg::hostile_archives_are_refused_by_add", hostile),
        trial_needing("pkg::manifest_for_mdm", &["python3", "xmllint"], manifest),
        trial_needing("pkg::profile_for_mdm", &["python3", "xmllint"], profile),
        trial("pkg::flags_that_do_not_go_together", usage),
        trial("pkg::flags_for_macos_alone", other_types),
        trial("pkg::nothing_is_left_when_finishing_fails", nothing_left),
        #[cfg(not(feature = "macos-signing"))]
        trial("pkg::a_plain_build_names_the_feature", plain_build),
    ]
}

type Row<'a> = (EntryType, &'a str, &'a [u8]);

fn archive(rows: &[Row<'_>]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    for (kind, name, contents) in rows {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_size(contents.len() as u64);
        // Names that `set_path` refuses are what is to be tested.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *contents).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

const PASSPHRASES: [(&str, &str); 4] = [
    ("FLEET_ROOT_PASSPHRASE", "root"),
    ("FLEET_TARGETS_PASSPHRASE", "targets"),
    ("FLEET_SNAPSHOT_PASSPHRASE", "snapshot"),
    ("FLEET_TIMESTAMP_PASSPHRASE", "timestamp"),
];

fn updates(scratch: &Scratch, words: &[&str]) -> Run {
    scratch
        .fleetpack(["updates"].iter().chain(words))
        .arg("--path")
        .arg(scratch.join("tuf"))
        .envs(PASSPHRASES)
}

fn add(scratch: &Scratch, name: &str, platform: &str, target: &str) -> Run {
    let target = scratch.join(target).display().to_string();
    let words = ["add", "--name", name, "--platform", platform, "--target"];
    let words = [
        &words[..],
        &[&target, "--version", "1.50.0", "-t", "stable"],
    ]
    .concat();
    updates(scratch, &words)
}

fn bundle(app: &str, program: &str) -> Vec<u8> {
    let program = format!("{app}/Contents/MacOS/{program}");
    let contents = format!("{app}/Contents");
    let folder = format!("{app}/Contents/MacOS");
    archive(&[
        (EntryType::Directory, app, b""),
        (EntryType::Directory, &contents, b""),
        (EntryType::Directory, &folder, b""),
        (EntryType::Regular, &program, &noise(9, 100_000)),
    ])
}

/// A repository with a Mac's agent, made once.
fn repository() -> &'static Scratch {
    static MADE: OnceLock<Scratch> = OnceLock::new();
    MADE.get_or_init(|| {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.join("tuf")).unwrap();
        updates(&scratch, &["init"]).ok();
        scratch.write("root.json", updates(&scratch, &["roots"]).ok().stdout);
        scratch.write_program("orbit", "#!/bin/sh\nexit 0\n");
        scratch.write("osqueryd.app.tar.gz", bundle("osquery.app", "osqueryd"));
        let desktop = bundle("Fleet Desktop.app", "fleet-desktop");
        scratch.write("desktop.app.tar.gz", desktop);
        add(&scratch, "orbit", "macos", "orbit").ok();
        add(&scratch, "osqueryd", "macos-app", "osqueryd.app.tar.gz").ok();
        add(&scratch, "desktop", "macos", "desktop.app.tar.gz").ok();
        scratch
    })
}

/// `fleetpack package --type pkg …` of that repository, in a scratch folder of its own.
pub fn package(scratch: &Scratch) -> Run {
    package_from(scratch, &repository().join("tuf/repository"), SECRET)
}

const SECRET: &str = "made-up & <secret>";

fn package_from(scratch: &Scratch, place: &Path, secret: &str) -> Run {
    let repository = repository();
    scratch
        .fleetpack(["package", "--type", "pkg", "--fleet-desktop"])
        .arg(format!(
            "--update-roots=@{}",
            repository.join("root.json").display()
        ))
        .arg("--update-url")
        .arg(place)
        .arg("--agent-update-url=https://updates.example.com")
        .arg("--fleet-url=https://fleet.example.com")
        .arg(format!("--enroll-secret={secret}"))
        .env("SOURCE_DATE_EPOCH", "1700000000")
}

fn paths(package: &Path) -> Vec<String> {
    let members = members(package);
    let bom = apple_bom::ParsedBom::parse(&members["base.pkg/Bom"]).unwrap();
    let paths = bom.paths().unwrap();
    paths.iter().map(|path| path.path().to_owned()).collect()
}

fn whole() {
    let scratch = Scratch::new();
    package(&scratch).ok().prints("fleet-osquery.pkg");
    let file = scratch.join("fleet-osquery.pkg");
    let paths = paths(&file);
    for path in [
        "./Library/LaunchDaemons/com.fleetdm.orbit.plist",
        "./opt/orbit/bin/orbit/macos/stable/orbit",
        "./opt/orbit/bin/orbit/orbit",
        "./opt/orbit/bin/osqueryd/macos-app/stable/osquery.app/Contents/MacOS/osqueryd",
        "./opt/orbit/bin/osqueryd/macos-app/stable/osqueryd.app.tar.gz.sha512",
        "./opt/orbit/bin/desktop/macos/stable/Fleet Desktop.app/Contents/MacOS/fleet-desktop",
        "./opt/orbit/secret.txt",
        "./opt/orbit/tuf-metadata.json",
        "./opt/orbit/updates-metadata.json",
        "./private/var/log/orbit",
        "./usr/local/bin/orbit",
    ] {
        assert!(
            paths.iter().any(|p| p == path),
            "{path} is not in {paths:#?}"
        );
    }
    // orbit 1.50 does without the archive.
    assert!(!paths.iter().any(|path| path.ends_with(".tar.gz")));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

fn same_bytes() {
    let scratch = Scratch::new();
    for name in ["a.pkg", "b.pkg"] {
        package(&scratch).arg("--outfile").arg(name).ok();
    }
    assert!(scratch.read("a.pkg") == scratch.read("b.pkg"));
}

/// Programs are verified by the pass that packs them, archives while they are unpacked: either
/// way nothing gets a name, and the error is that of a target, not of an archive.
fn changed() {
    let scratch = Scratch::new();
    let original = repository().join("tuf/repository").display().to_string();
    scratch.tool("cp", ["-r", &original, "copy"]).ok();
    let place = scratch.join("copy");
    for target in [
        "orbit/macos/stable/orbit",
        "osqueryd/macos-app/stable/osqueryd.app.tar.gz",
        "desktop/macos/stable/desktop.app.tar.gz",
    ] {
        let path = place.join("targets").join(target);
        let whole = std::fs::read(&path).unwrap();
        // The last byte of an archive is its gzip trailer's; the first one its magic's.
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            // What an earlier run verified would come from the cache, and not be read.
            let run = package_from(&scratch, &place, SECRET);
            let ran = run.arg("--cache=none").fails(1);
            ran.says(&format!(
                "error: the target {target} is not the file that was signed\n  \
                 caused by: its sha256 is "
            ));
            assert!(!scratch.join("fleet-osquery.pkg").exists());
        }
        std::fs::write(&path, whole).unwrap();
    }
    package_from(&scratch, &place, SECRET).ok();
}

fn hostile() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.join("tuf")).unwrap();
    updates(&scratch, &["init"]).ok();
    let before = scratch.state("tuf");
    let plain: &[u8] = b"x";
    let cases: [(&str, Row<'_>); 8] = [
        ("symbolic link", (EntryType::Symlink, "osquery.app/a", b"")),
        ("hard link", (EntryType::Link, "osquery.app/a", b"")),
        ("character device", (EntryType::Char, "osquery.app/a", b"")),
        ("block device", (EntryType::Block, "osquery.app/a", b"")),
        ("named pipe", (EntryType::Fifo, "osquery.app/a", b"")),
        ("dots", (EntryType::Regular, "osquery.app/../../a", plain)),
        ("absolute", (EntryType::Regular, "/osquery.app/a", plain)),
        (
            "no folder before it",
            (EntryType::Regular, "other/a", plain),
        ),
    ];
    for (name, row) in cases {
        let rows = [(EntryType::Directory, "osquery.app", &b""[..]), row];
        scratch.write("osqueryd.app.tar.gz", archive(&rows));
        let ran = add(&scratch, "osqueryd", "macos-app", "osqueryd.app.tar.gz").run();
        assert_ne!(ran.code, Some(0), "{name}\n{ran}");
        ran.says("error: ");
        before.unchanged(&scratch.state("tuf"));
    }
}

const READ: &str = "\
import json, plistlib, sys
print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))
";

fn property_list(scratch: &Scratch, name: &str) -> serde_json::Value {
    scratch.tool("xmllint", ["--noout", name]).ok();
    let read = scratch.tool("python3", ["-c", READ, name]).ok();
    serde_json::from_slice(&read.stdout).unwrap()
}

fn manifest() {
    let scratch = Scratch::new();
    let ran = package(&scratch)
        .arg("--mdm-manifest=https://www.example.com/a&b'c]]>/")
        .ok();
    ran.prints("fleet-osquery.manifest.plist")
        .says("warning: Macs install a package by MDM only when it is signed");
    let list = property_list(&scratch, "fleet-osquery.manifest.plist");
    let item = &list["items"][0];
    let asset = &item["assets"][0];
    assert_eq!(asset["kind"], "software-package");
    assert_eq!(
        asset["url"],
        "https://www.example.com/a&b'c]]>/fleet-osquery.pkg"
    );
    assert_eq!(item["metadata"]["bundle-version"], "1.50.0");
    assert_eq!(item["metadata"]["bundle-identifier"], "com.fleetdm.orbit");
    let chunk = asset["sha256-size"].as_u64().unwrap() as usize;
    let bytes = scratch.read("fleet-osquery.pkg");
    let digests: Vec<_> = bytes
        .chunks(chunk)
        .map(|chunk| hex::encode(fleetpack::compress::sha256(chunk)))
        .collect();
    assert_eq!(asset["sha256s"], serde_json::json!(digests));
}

fn profile() {
    let scratch = Scratch::new();
    let secret = "made-up &<>\"']]>&amp;<!-- <![CDATA[ größe";
    package_from(&scratch, &repository().join("tuf/repository"), secret)
        .arg("--use-system-configuration")
        .arg("--enable-scripts")
        .arg("--mobileconfig=fleet.mobileconfig")
        .ok();
    let list = property_list(&scratch, "fleet.mobileconfig");
    assert_eq!(list["PayloadType"], "Configuration");
    assert_eq!(list["PayloadScope"], "System");
    let payload = &list["PayloadContent"][0];
    assert_eq!(payload["PayloadType"], "com.fleetdm.fleetd.config");
    assert_eq!(payload["PayloadIdentifier"], "com.fleetdm.fleetd.config");
    assert_eq!(payload["EnrollSecret"], secret);
    assert_eq!(payload["FleetURL"], "https://fleet.example.com");
    assert_eq!(payload["EnableScripts"], true);
    assert_ne!(payload["PayloadUUID"], list["PayloadUUID"]);
    let paths = paths(&scratch.join("fleet-osquery.pkg"));
    assert!(!paths.iter().any(|path| path == "./opt/orbit/secret.txt"));
    // A secret that a profile takes out is looked at like any other.
    package_from(&scratch, &repository().join("tuf/repository"), "short")
        .args([
            "--use-system-configuration",
            "--mobileconfig=a.mobileconfig",
        ])
        .ok()
        .says("warning: the enroll secret has 5 characters");
}

fn usage() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &str); 9] = [
        (
            &["--arch=amd64"],
            "--arch does not go with pkg, which holds both processors' programs",
        ),
        (
            &["--notarize"],
            "--notarize needs an App Store Connect API key",
        ),
        (
            &[
                "--notarize",
                "--app-store-connect-api-key-id=ABCDE12345",
                "--app-store-connect-api-key-issuer=11111111-2222-3333-4444-555555555555",
                "--app-store-connect-api-key-content=none",
            ],
            "the App Store Connect API key is no private key (PEM, elliptic curve P-256)",
        ),
        (
            &["--mdm-manifest=http://www.example.com/a.pkg"],
            "--mdm-manifest http://www.example.com/a.pkg is no https address",
        ),
        (
            &["--mobileconfig=a.mobileconfig"],
            "--mobileconfig makes the profile that --use-system-configuration reads",
        ),
        (
            &["--end-user-email=a@b.example"],
            "--end-user-email does not go with --type pkg",
        ),
        (
            &["--compression=zstd"],
            "--compression does not go with --type pkg",
        ),
        (
            &["--macos-devid-pem=missing.pem"],
            "--macos-devid-pem: missing.pem does not exist",
        ),
        (
            &["--sign-identity=Developer ID"],
            "--sign-identity takes a key from a Mac's keychain, which only a Mac's own tools can use",
        ),
    ];
    for (flags, sentence) in cases {
        let run = flags.iter().fold(package(&scratch), Run::arg);
        let ran = run.run();
        assert_ne!(ran.code, Some(0), "{ran}");
        ran.says(&format!("error: {sentence}\n"));
        ran.never_says("made-up");
        let names: Vec<_> = std::fs::read_dir(scratch.path())
            .unwrap()
            .map(|name| name.unwrap().file_name())
            .filter(|name| name != ".home")
            .collect();
        assert!(names.is_empty(), "{flags:?} left {names:?}");
    }
}

fn other_types() {
    let scratch = Scratch::new();
    let deb = scratch
        .fleetpack(["package", "--type=deb", "--mobileconfig=a.mobileconfig"])
        .fails(2);
    deb.says("--mobileconfig goes with --type pkg alone");
}

fn nothing_left() {
    let scratch = Scratch::new();
    let run = package(&scratch)
        .arg("--use-system-configuration")
        .arg("--mobileconfig=missing/fleet.mobileconfig");
    let ran = run.run();
    assert_ne!(ran.code, Some(0), "{ran}");
    assert!(!scratch.join("fleet-osquery.pkg").exists());
}

#[cfg(not(feature = "macos-signing"))]
fn plain_build() {
    let scratch = Scratch::new();
    scratch.write("identity.pem", "made up");
    let ran = package(&scratch)
        .arg("--macos-devid-pem=identity.pem")
        .fails(1);
    ran.says("error: this fleetpack was built without signing for macOS\n");
    ran.says("--features macos-signing");
    assert!(!scratch.join("fleet-osquery.pkg").exists());
}
