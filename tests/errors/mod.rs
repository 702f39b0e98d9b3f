//! What users read when something goes wrong: rules that every error's sentence keeps, and a
//! snapshot of what commands print, with cause and hint. `FLEETPACK_REWRITE_GOLDENS=1` writes it
//! anew; a reviewer then reads what changed.

mod table;

pub use table::hint_fault;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::harness::{Scratch, golden, trial};

/// All trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("errors/every_sentence", sentences),
        trial("errors/as_commands_print_them", commands),
        trial("errors/every_variant_is_printed", table::printed),
        trial("errors/every_type_is_listed", table::complete),
        trial("errors/hints_can_be_typed", table::hints),
    ]
}

/// Every `#[error("…")]` of the sources keeps to the rules: a sentence without a full stop, that
/// names what was tried, without its cause (which is printed below it) and without advice (which
/// is the hint's).
fn sentences() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (of, sentence) in errors(&text) {
            count += 1;
            let text = sentence.trim_start_matches('"');
            let text = text
                .split("\", ")
                .next()
                .unwrap_or(text)
                .trim_end_matches('"');
            let bad = text.ends_with(['.', '!'])
                || text.contains("{source}")
                || text.to_lowercase().starts_with("error")
                || text.contains("hint:");
            if bad {
                wrong.push(format!("{of}: {sentence}"));
            }
        }
    }
    assert!(count > 150, "{count} errors were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
}

/// `Type::Variant` and the attribute's text, in the order of the file.
fn errors(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut of, mut open): (String, Option<String>) = (String::new(), None);
    let mut pending: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(begun) = open.take() {
            let all = format!("{begun} {line}");
            match line.ends_with(")]") {
                true => pending = Some(all),
                false => open = Some(all),
            }
            continue;
        }
        if line.starts_with("#[error(") {
            match line.ends_with(")]") {
                true => pending = Some(line.to_owned()),
                false => open = Some(line.to_owned()),
            }
            continue;
        }
        let words: Vec<_> = line.split([' ', '(', '{', '<', ',', ';']).collect();
        let kind = words
            .iter()
            .position(|word| matches!(*word, "enum" | "struct"));
        if let Some(at) = kind.filter(|at| *at <= 2) {
            of = words.get(at + 1).copied().unwrap_or_default().to_owned();
            if let Some(attribute) = pending.take() {
                found.push((of.clone(), sentence(&attribute)));
            }
        } else if !line.is_empty()
            && !line.starts_with(['#', '/'])
            && let Some(attribute) = pending.take()
        {
            found.push((format!("{of}::{}", words[0]), sentence(&attribute)));
        }
    }
    found
}

fn sentence(attribute: &str) -> String {
    let inner = attribute.strip_prefix("#[error(").unwrap();
    inner.strip_suffix(")]").unwrap().trim().to_owned()
}

const PACKAGE: &str = "package --update-url q/updates/repository --no-state --cache none \
    --update-roots @q/updates/repository/root.json --fleet-url https://fleet.example.com \
    --enroll-secret made-up-for-this-test --agent-update-url https://updates.example.com";

/// What a person types wrong, or finds in the wrong state.
const MISTAKES: &[&str] = &[
    "inspect nowhere.deb",
    "inspect text.deb",
    "inspect cut.deb",
    "inspect q",
    "doctor --path nowhere",
    "PACKAGE",
    "PACKAGE --type deb --outdir nowhere",
    "PACKAGE --type deb --outdir text.deb",
    "PACKAGE --type deb --outfile agent.rpm",
    "PACKAGE --type deb,rpm --outfile agent.deb",
    "PACKAGE --type pkg --arch arm64",
    "PACKAGE --type deb --orbit-channel nightly",
    "PACKAGE --type pkg --notarize",
    "PACKAGE --type pkg --sign-identity Maker",
    "PACKAGE --type deb --fleet-certificate nowhere.pem",
    "PACKAGE --type deb --fleet-certificate text.deb",
    "PACKAGE --type deb --cpu-quota 0",
    "PACKAGE --type rpm --rpm-signing-key text.deb",
    "PACKAGE --type msi --msi-signing-cert text.deb",
    "PACKAGE --type rpm --rebuild-check q/installers/fleet-osquery.msi",
    "package --type deb --fleet-url https://fleet.example.com",
    "package --type deb --enroll-secret made-up-for-this-test",
    "package --type deb --update-url q/updates/repository --update-roots {}",
    "package --type deb --update-url https://updates.example.com",
    "package --type deb --update-url ftp://updates.example.com --update-roots @q/updates/repository/root.json",
    "package --manifest text.deb",
    "quickstart --dir mine",
    "updates init --path q/updates",
    "updates status --path nowhere",
    "updates timestamp --path nowhere",
    "updates roots --path nowhere",
    "updates serve --path nowhere",
    "updates add --path q/updates --target nowhere --name orbit --platform linux --version 2.0.0",
    "updates add --path q/updates --target text.deb --name orbit --platform linux --version 2.0.0",
    "updates add --path q/updates --target text.deb --name orbit --platform beos --version 2.0.0",
    "updates promote --path q/updates --component orbit --from nightly --to stable",
    "updates remove --path q/updates orbit/linux/nightly/orbit",
    "updates rotate --path q/updates mayor",
    "updates publish --path q/updates https://updates.example.com",
    "updates publish --path q/updates s3://",
    "updates sign nowhere.json",
];

fn commands() {
    let scratch = Scratch::new();
    scratch
        .fleetpack(["quickstart", "--dir", "q", "--quiet"])
        .ok();
    scratch.write("text.deb", "made-up text\n");
    scratch.write("mine/file", "precious");
    let deb = scratch.read("q/installers/fleet-osquery_1.0.0_amd64.deb");
    scratch.write("cut.deb", &deb[..deb.len() / 2]);
    let mut page = String::new();
    for words in MISTAKES {
        let line = words.replace("PACKAGE", PACKAGE);
        let ran = scratch.fleetpack(line.split_whitespace()).run();
        let code = ran.code.unwrap();
        assert_ne!(code, 0, "{words}");
        ran.never_says("panicked")
            .never_says("made-up-for-this-test");
        let message = ran.message();
        assert!(message.contains("error: "), "{words}: {message}");
        let _ = writeln!(page, "$ {words}\n[{code}]");
        // What was done before, and how to read the help, are no part of the error.
        for line in message.lines() {
            let talk = [
                "Verifying ",
                "Fetching ",
                "Building ",
                "Reading ",
                "Examining ",
            ];
            if !talk.iter().any(|word| line.starts_with(word)) && !line.trim().is_empty() {
                let _ = writeln!(page, "{line}");
            }
        }
        page.push('\n');
    }
    golden("errors/commands.golden", &page);
}
