//! Readers that are not ours: compound file, tables, cabinets.

use std::collections::BTreeMap;
use std::path::Path;

use fleetpack::package::Compression;
use libtest_mimic::Trial;

use super::sample::Sample;
use crate::harness::{Scratch, golden, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("msi_tables_are_as_looked_at", &["msiinfo"], tables),
        trial_needing(
            "msi_other_processor_differs_in_names_alone",
            &["msiinfo", "msidiff"],
            arm64,
        ),
        trial_needing("msi_compound_file_and_string_pool", &["python3"], verified),
        trial_needing(
            "msi_cabinets_unpack",
            &["msiinfo", "cabextract", "7z"],
            cabinets,
        ),
        trial_needing("msi_files_come_out_as_they_went_in", &["msiextract"], files),
        trial("msi_bytes_depend_on_the_input_alone", deterministic),
        trial_needing(
            "msi_payload_is_the_same_for_every_customer",
            &["msiinfo"],
            payload,
        ),
        trial_needing("msi_codes_differ_with_the_content", &["msiinfo"], codes),
    ]
}

/// All tables as text: what `msiinfo export` prints, keys in order, the codes left out that
/// depend on everything.
fn dump(scratch: &Scratch, msi: &Path) -> String {
    let tables = scratch.tool("msiinfo", ["tables".as_ref(), msi]).ok();
    let mut names: Vec<&str> = tables.text().lines().collect();
    names.retain(|name| !name.starts_with('_'));
    names.sort();
    let mut text = summary(scratch, msi);
    for name in names {
        text.push_str(&format!("\n[{name}]\n{}", table(scratch, msi, name)));
    }
    text
}

fn table(scratch: &Scratch, msi: &Path, name: &str) -> String {
    let exported = scratch
        .tool("msiinfo", ["export".as_ref(), msi, name.as_ref()])
        .ok();
    let text = exported.text().replace("\r\n", "\n");
    let mut lines = text.lines();
    let head: Vec<&str> = lines.by_ref().take(3).collect();
    let mut rows: Vec<&str> = lines
        .filter(|line| !line.starts_with("ProductCode\t"))
        .collect();
    rows.sort();
    format!("{}\n{}\n{}\n", head[0], head[1], rows.join("\n"))
}

fn summary(scratch: &Scratch, msi: &Path) -> String {
    let info = scratch.tool("msiinfo", ["suminfo".as_ref(), msi]).ok();
    let lines = info.text().lines();
    let kept = lines.filter(|line| !line.starts_with("Revision number"));
    let kept: Vec<&str> = kept.collect();
    format!("{}\n", kept.join("\n"))
}

fn property(scratch: &Scratch, msi: &Path, name: &str) -> String {
    let exported = scratch
        .tool("msiinfo", ["export".as_ref(), msi, "Property".as_ref()])
        .ok();
    let prefix = format!("{name}\t");
    let text = exported.text().replace('\r', "");
    let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("no {name}")).to_owned()
}

fn tables() {
    let scratch = Scratch::new();
    let little = Sample::new().build(&scratch, "little.msi");
    golden("msi/tables.golden", &dump(&scratch, &little));
    let full = Sample::full().build(&scratch, "full.msi");
    golden("msi/tables-full.golden", &dump(&scratch, &full));
}

/// Wine has no Arm64 here: what it shows of the x64 package holds for the Arm64 one, as the
/// two differ in nothing but the processor's names, keys derived from them, and versions.
fn arm64() {
    let scratch = Scratch::new();
    let x64 = dump(&scratch, &Sample::new().build(&scratch, "x64.msi"));
    let arm64 = Sample::arm64().build(&scratch, "arm64.msi");
    let twin = dump(&scratch, &arm64);
    assert!(twin.contains("Template: Arm64;1033"), "{twin}");
    let neutral = |text: &str| {
        let text = text
            .replace("Arm64;1033", "x64;1033")
            .replace("windows-arm64", "windows");
        let mut lines: Vec<String> = text.lines().map(without_hashes).collect();
        lines.sort();
        lines
    };
    assert_eq!(neutral(&x64), neutral(&twin));
    scratch.tool("msidiff", [&arm64, &arm64]).ok();
}

/// A line with derived keys, GUIDs, MD5 parts, sizes and short names made equal.
fn without_hashes(line: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for field in line.split('\t') {
        let key = field.trim_start_matches('p');
        let derived = key.len() == 34 && matches!(&key[..2], "f_" | "c_" | "d_");
        let number = field
            .parse::<i64>()
            .is_ok_and(|number| number.abs() > 65_535);
        let short = field.split_once('|').map(|(_, long)| long.to_owned());
        out.push(match (derived || number || field.starts_with('{'), short) {
            (true, _) => "*".into(),
            (false, Some(long)) => long,
            (false, None) => field.to_owned(),
        });
    }
    // Sizes of two files hold the platform's word.
    match out.len() == 8 && out[0] == "*" {
        true => out[2].clone(),
        false => out.join("\t"),
    }
}

fn verified() {
    let scratch = Scratch::new();
    for (name, sample) in [
        ("little.msi", Sample::new()),
        ("full.msi", Sample::full()),
        ("arm64.msi", Sample::arm64()),
    ] {
        let msi = sample.build(&scratch, name);
        verify(&scratch, &msi);
    }
}

/// The independent check of compound file and string pool.
pub fn verify(scratch: &Scratch, msi: &Path) {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/msi-verify");
    let ran = scratch.tool("python3", [&tool, msi]).ok();
    assert!(
        ran.text().trim_end().ends_with("problems=0"),
        "{}",
        ran.text()
    );
}

fn stream(scratch: &Scratch, msi: &Path, name: &str) -> Vec<u8> {
    let args = ["extract".as_ref(), msi, name.as_ref()];
    scratch.tool("msiinfo", args).ok().stdout
}

fn cabinets() {
    let scratch = Scratch::new();
    for compression in [None, Some(Compression::None)] {
        let mut sample = Sample::full();
        sample.compression = compression;
        // A program of several blocks and two segments.
        sample
            .osqueryd
            .extend((0..1_500_000u32).flat_map(|n| (n / 7).to_le_bytes()));
        let msi = sample.build(&scratch, "x.msi");
        for name in ["payload.cab", "config.cab"] {
            scratch.write(name, stream(&scratch, &msi, name));
            let tested = scratch.tool("cabextract", ["-t", name]).ok();
            tested.prints("All done, no errors.");
            scratch
                .tool("7z", ["t", name])
                .ok()
                .prints("Everything is Ok");
        }
        let listed = scratch.tool("cabextract", ["-l", "payload.cab"]).ok();
        listed.prints("29.02.2024 12:34:56");
    }
}

/// Files below a folder, by path.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                    found.insert(name.to_owned(), std::fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

fn files() {
    let scratch = Scratch::new();
    let sample = Sample::full();
    let msi = sample.build(&scratch, "x.msi");
    let args = ["-C".as_ref(), scratch.path(), msi.as_path()];
    scratch.tool("msiextract", args).ok();
    let unpacked = contents(&scratch.join("Orbit"));
    let names: Vec<&str> = unpacked.keys().map(String::as_str).collect();
    golden("msi/files.golden", &format!("{}\n", names.join("\n")));
    assert_eq!(unpacked["bin/orbit/orbit.exe"], sample.orbit);
    assert_eq!(unpacked["bin/orbit/windows/stable/orbit.exe"], sample.orbit);
    assert_eq!(
        unpacked["bin/osqueryd/windows/stable/osqueryd.exe"],
        sample.osqueryd
    );
    assert_eq!(unpacked["secret.txt"], b"made-up-secret");
    assert_eq!(
        unpacked["tuf-metadata.json"],
        unpacked["updates-metadata.json"]
    );
}

fn deterministic() {
    let scratch = Scratch::new();
    let mut sample = Sample::full();
    sample
        .osqueryd
        .extend((0..1_000_000u32).flat_map(|n| (n / 5).to_le_bytes()));
    let built = |threads| {
        let sample = Sample {
            threads,
            ..Sample {
                osqueryd: sample.osqueryd.clone(),
                ..Sample::full()
            }
        };
        std::fs::read(sample.build(&scratch, "x.msi")).unwrap()
    };
    let one = built(1);
    assert!(one == built(1), "twice the same");
    assert!(one == built(3), "on more threads");
}

fn payload() {
    let scratch = Scratch::new();
    let one = Sample::new().build(&scratch, "one.msi");
    let mut other = Sample::new();
    other.config.enrollment.as_mut().unwrap().url = "https://other.example.com".into();
    other.config.osquery_flagfile = Some(b"--verbose\n".to_vec());
    let other = other.build(&scratch, "other.msi");
    let cabinet = stream(&scratch, &one, "payload.cab");
    assert!(cabinet == stream(&scratch, &other, "payload.cab"));
    // It comes first in the file, and orbit's program is in it once for its two places.
    let file = std::fs::read(&one).unwrap();
    assert!(cabinet.len() < 4096 || file[4096..].starts_with(&cabinet));
}

fn codes() {
    let scratch = Scratch::new();
    let mut seen = BTreeMap::new();
    let mut secret = Sample::new();
    secret.config.enrollment.as_mut().unwrap().secret =
        fleetpack::agent::config::Secret::new("another-one");
    let mut program = Sample::new();
    program.osqueryd.push(0);
    let mut interval = Sample::new();
    interval.config.debug = true;
    let cases = [
        ("as it is", Sample::new()),
        ("another secret", secret),
        ("another program", program),
        ("another setting", interval),
        (
            "another version",
            Sample {
                version: "1.2.4",
                ..Sample::new()
            },
        ),
        ("another processor", Sample::arm64()),
        (
            "another time",
            Sample {
                epoch: 1_709_210_098,
                ..Sample::new()
            },
        ),
        (
            "stored",
            Sample {
                compression: Some(Compression::None),
                ..Sample::new()
            },
        ),
    ];
    for (name, sample) in cases {
        let msi = sample.build(&scratch, "x.msi");
        let code = property(&scratch, &msi, "ProductCode");
        assert_eq!(
            property(&scratch, &msi, "UpgradeCode"),
            "{B681CB20-107E-428A-9B14-2D3C1AFED244}"
        );
        assert_eq!(seen.insert(code, name), None, "{name}");
    }
}
