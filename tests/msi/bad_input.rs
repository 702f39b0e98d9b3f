//! What cannot become a package is refused by name, before anything is written under the
//! package's name.

use std::path::Path;

use fleetpack::agent::config::{Config, Enrollment, Secret};
use fleetpack::install::{Content, Entry, Shared, Tree};
use fleetpack::package::Compression;
use fleetpack::package::msi::pe::{Machine, sample};
use libtest_mimic::Trial;

use super::sample::Sample;
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("msi_refuses_what_it_cannot_carry", refused),
        trial("msi_refuses_values_by_their_flag", values),
        trial_needing("msi_carries_brackets_and_braces", &["msiinfo"], brackets),
        trial_needing(
            "msi_takes_a_program_without_a_version",
            &["msiinfo"],
            unversioned,
        ),
        trial("msi_refuses_files_over_two_gigabytes", large),
    ]
}

fn sentence(sample: &Sample, tree: &Tree) -> String {
    let scratch = Scratch::new();
    match sample.build_tree(tree, &scratch, "x.msi") {
        Ok(_) => panic!("it was built"),
        Err(error) => error.to_string(),
    }
}

fn refused() {
    for (name, sample, wanted) in programs().into_iter().chain(others()) {
        assert_eq!(sentence(&sample, &sample.tree()), wanted, "{name}");
    }
}

type Case = (&'static str, Sample, String);

fn programs() -> Vec<Case> {
    let path = "bin/orbit/orbit.exe";
    vec![
        (
            "no program",
            Sample {
                orbit: b"#!/bin/sh\n".to_vec(),
                ..Sample::new()
            },
            format!("msi cannot carry {path} as a Windows program: it does not begin with MZ"),
        ),
        (
            "another processor",
            Sample {
                orbit: sample::program(Machine::Arm64, Some([1, 2, 3, 0])),
                ..Sample::new()
            },
            format!(
                "msi cannot carry {path}, which is a program for arm64, in a package for amd64"
            ),
        ),
        (
            "32 bits",
            Sample {
                orbit: sample::program(Machine::Other(0x14c), None),
                ..Sample::new()
            },
            format!(
                "msi cannot carry {path}, which is a program for machine 0x014c, in a package for amd64"
            ),
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        (
            "a version that Windows Installer does not compare",
            Sample {
                version: "1.2.3-rc1",
                ..Sample::new()
            },
            "msi cannot carry the version \"1.2.3-rc1\": it must be a.b.c, a.b.c.d or a.b.c-d, \
             with a and b at most 255 and c and d at most 65535"
                .into(),
        ),
        (
            "a version too large",
            Sample {
                version: "300.1.0",
                ..Sample::new()
            },
            "msi cannot carry the version \"300.1.0\": it must be a.b.c, a.b.c.d or a.b.c-d, with \
             a and b at most 255 and c and d at most 65535"
                .into(),
        ),
        (
            "before 1980",
            Sample {
                epoch: 0,
                ..Sample::new()
            },
            "msi cannot carry the time 0 of SOURCE_DATE_EPOCH: file times begin at 315532800 \
             (1980) and end before 4354819200 (2108)"
                .into(),
        ),
        (
            "another compression",
            Sample {
                compression: Some(Compression::Zstd),
                ..Sample::new()
            },
            "msi cannot carry zstd: cabinets hold deflate or stored bytes".into(),
        ),
    ]
}

/// Values that would land in the database as they are.
fn values() {
    let with = |change: &dyn Fn(&mut Config)| {
        let mut sample = Sample::new();
        change(&mut sample.config);
        sample
    };
    let cases: Vec<(&str, Sample, &str)> = vec![
        (
            "a quote",
            with(&|c| c.desktop_browser_host = Some("a\"b".into())),
            "--fleet-desktop-alternative-browser-host cannot be written: a Windows Installer value \
             cannot carry a double quote",
        ),
        (
            "the list separator",
            with(&|c| c.channels.desktop = "a[~]b".into()),
            "--desktop-channel cannot be written: a Windows Installer value cannot carry the text `[~]`",
        ),
        (
            "a line break",
            with(&|c| c.osquery_db = Some("C:\\a\nb".into())),
            "--osquery-db cannot be written: a Windows Installer value cannot carry a line break",
        ),
        (
            "a letter beyond ASCII",
            with(&|c| c.osquery_db = Some("C:\\größe".into())),
            "--osquery-db cannot be written: a Windows Installer value cannot carry the character U+00F6",
        ),
        (
            "an address with a quote",
            with(&|c| c.enrollment.as_mut().unwrap().url = "https://a\"b".into()),
            "--fleet-url cannot be written: a Windows Installer value cannot carry a double quote",
        ),
        (
            "an address beyond ASCII",
            with(&|c| c.enrollment.as_mut().unwrap().url = "https://größe.example".into()),
            "--fleet-url cannot be written: a Windows Installer value cannot carry the character U+00F6",
        ),
        (
            "an e-mail address beyond ASCII",
            with(&|c| c.end_user_email = Some("größe@example.com".into())),
            "--end-user-email cannot be written: a Windows Installer value cannot carry the character U+00F6",
        ),
    ];
    for (name, sample, wanted) in cases {
        let error = sample.try_tree().map(|_| ()).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let words = format!("{error}: {}", source.unwrap_or_default());
        assert_eq!(words, wanted, "{name}");
    }
    // The packaged secret is a file: any text can stand in it.
    let secret = "größe \"[~]{x}[y]'";
    let sample = with(&|c| {
        c.enrollment = Some(Enrollment {
            url: "https://fleet.example.com".into(),
            secret: Secret::new(secret),
        });
    });
    sample.build(&Scratch::new(), "x.msi");
}

fn brackets() {
    let scratch = Scratch::new();
    let mut sample = Sample::new();
    sample.config.osquery_db = Some(r"C:\[a]{b}\'c'.db".into());
    let msi = sample.build(&scratch, "x.msi");
    let args = ["export".as_ref(), msi.as_path(), "Registry".as_ref()];
    let rows = scratch.tool("msiinfo", args).ok();
    rows.prints(r"ORBIT_OSQUERY_DB=C:\[\[]a[\]][\{]b[\}]\'c'.db");
}

/// It is hashed instead.
fn unversioned() {
    let scratch = Scratch::new();
    let mut sample = Sample::new();
    sample.orbit = sample::program(Machine::Amd64, None);
    let msi = sample.build(&scratch, "x.msi");
    let args = |table: &'static str| ["export".as_ref(), msi.as_path(), Path::new(table)];
    let files = scratch.tool("msiinfo", args("File")).ok();
    let text = files.text().replace('\r', "");
    let key = text
        .lines()
        .find(|line| line.split('\t').nth(2) == Some("orbit.exe"))
        .and_then(|line| line.split('\t').next())
        .unwrap();
    scratch
        .tool("msiinfo", args("MsiFileHash"))
        .ok()
        .prints(key);
}

/// A hole in a file is long without taking room.
fn large() {
    let scratch = Scratch::new();
    let path = scratch.write("large", "");
    let len = 65_535 * 32_768 + 1;
    let file = std::fs::File::options()
        .write(true)
        .read(true)
        .open(&path)
        .unwrap();
    file.set_len(len).unwrap();
    let shared = Shared::verified_file(file, &path, len, [0; 32]);
    let sample = Sample::new();
    let mut tree = sample.tree();
    tree.entries
        .push(Entry::file("large.bin", 0o644, Content::Shared(shared)));
    assert_eq!(
        sentence(&sample, &tree),
        "msi cannot carry large.bin: 2147450881 bytes, and 2147450880 is the most that a file in \
         a cabinet may have"
    );
}
