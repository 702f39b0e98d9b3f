//! `package --rebuild-check FILE`: does the same command line make the same installer again?
//!
//! The repository is seen as it was then: the metadata documents inside FILE are its newest,
//! and their expiry is no matter. Programs come from the repository and are verified by them.
//! The new installer is built in a temporary folder, unsigned, with the time that FILE bears,
//! and its body is held against FILE's ([`read::body`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::args::{ArchWord, Args, Types};
use super::build::build;
use super::macos::Finish;
use super::options::{Options, Place};
use crate::agent::fetched::Documents;
use crate::cli::{CliError, Printer, Surroundings};
use crate::fs;
use crate::inspect::{self, Change, Report};
use crate::package::Format;
use crate::package::read::{self, Body};
use crate::package::rpm::Rpm;
use crate::steps;
use crate::store::{Overlay, Store};
use crate::tuf::metadata::{Metadata, Role, Root, Signed, Snapshot, Targets};

/// `docs/schema/package-rebuild-check.json`.
#[derive(Serialize)]
struct Verdict {
    file: String,
    #[serde(rename = "type")]
    kind: &'static str,
    sha256: String,
    source_date_epoch: u64,
    same_bytes: bool,
    same_body: bool,
    parts: Vec<Part>,
    not_compared: Vec<String>,
    differences: Vec<Change>,
}

#[derive(Serialize)]
struct Part {
    name: String,
    same: bool,
}

/// Runs the check.
pub fn run(
    mut args: Args,
    file: &Path,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let json = args.output.json;
    printer.note(format!("Reading {}", file.display()));
    let phase = steps::phase("reading");
    let report = inspect::inspect(file)?;
    let format: Format = report.format.parse().map_err(|message| CliError::Usage {
        message,
        hint: None,
    })?;
    let original = File::open(file).map_err(|e| fs::naming(e, "open", file))?;
    let before = read::body(format, &original)?;
    drop(phase);
    select(&mut args, format, &report)?;
    let epoch = epoch(&before, &report, surroundings)?;
    let folder = tempfile::tempdir().map_err(CliError::Place)?;
    let name = file.file_name().unwrap_or_default();
    let options = Options {
        place: Place::File(folder.path().join(name)),
        documents: Some(documents(&report, file)?),
        epoch,
        rpm: Rpm::unsigned(),
        finish: Finish::default(),
        cache: None,
        state: None,
        ..Options::resolve(args, surroundings, printer)?
    };
    let built = build(&options, surroundings, &printer.silent())?;
    let Some(built) = built.first() else {
        return Err(CliError::usage(
            format!("no flag asks for a {format}"),
            format!("--type {format}"),
        ));
    };
    printer.note("Comparing");
    let phase = steps::phase("comparing");
    let rebuilt = File::open(&built.path).map_err(|e| fs::naming(e, "open", &built.path))?;
    // It holds the secret: nothing of it stays, whatever happens from here on.
    folder.close().map_err(CliError::Place)?;
    let again = inspect::inspect_open(&rebuilt, &built.path)?;
    let after = read::body(format, &rebuilt)?;
    drop(phase);
    let verdict = judge(file, &report, &again, &before, &after, epoch);
    tell(&verdict, json, printer)?;
    match verdict.same_body {
        true => Ok(()),
        false => Err(CliError::Unlike(file.to_owned())),
    }
}

/// The one installer that is made, without what signs it.
fn select(args: &mut Args, format: Format, report: &Report) -> Result<(), CliError> {
    let asked = args.types.is_empty()
        || args.types.iter().any(|word| match word {
            Types::All => true,
            Types::One(one) => *one == format,
        });
    if !asked {
        return Err(CliError::usage(
            format!(
                "{} is of type {format}, and --type names others",
                report.file.name
            ),
            format!("--type {format}"),
        ));
    }
    args.types = vec![Types::One(format)];
    args.arch = match report.arch.as_str() {
        _ if format == Format::Pkg => Vec::new(),
        "arm64" | "aarch64" | "Arm64" => vec![ArchWord::Arm64],
        _ => vec![ArchWord::Amd64],
    };
    let output = &mut args.output;
    (output.outfile, output.outdir, output.outname) = (None, None, None);
    (output.rpm_signing_key, output.msi_signing_cert) = (None, None);
    (output.msi_signing_key, output.msi_timestamp_url) = (None, None);
    output.intunewin = false;
    let macos = &mut args.macos;
    (macos.macos_devid_pem_content, macos.macos_devid_pem) = (None, None);
    (macos.macos_devid_p12, macos.macos_timestamp) = (None, None);
    (macos.notarize, macos.sign_mobileconfig) = (false, false);
    Ok(())
}

/// `SOURCE_DATE_EPOCH`, or the time that the installer bears.
fn epoch(body: &Body, report: &Report, surroundings: &Surroundings) -> Result<u64, CliError> {
    if surroundings.variable("SOURCE_DATE_EPOCH").is_some() {
        return surroundings.epoch();
    }
    let field = |name: &str| {
        let field = report.metadata.iter().find(|field| field.name == name)?;
        field.value.parse().ok()
    };
    body.epoch.or_else(|| field("builddate")).ok_or_else(|| {
        CliError::usage(
            format!("{} does not tell when it was built", report.file.name),
            "SOURCE_DATE_EPOCH=SECONDS, as it was for that build",
        )
    })
}

fn documents(report: &Report, file: &Path) -> Result<Documents, CliError> {
    let documents = report.agent.as_ref().and_then(|a| a.documents.clone());
    documents.ok_or_else(|| CliError::Usage {
        message: format!(
            "{} holds no metadata documents from which it could be built again",
            file.display()
        ),
        hint: Some(format!("fleetpack inspect {}", file.display())),
    })
}

/// A repository whose newest metadata are `documents`.
pub(super) fn as_of(store: Box<dyn Store>, documents: &Documents) -> Box<dyn Store> {
    let mut files = BTreeMap::new();
    let root = version::<Root>(&documents.root);
    for (role, version, bytes) in [
        (Role::Root, root, &documents.root),
        (
            Role::Targets,
            version::<Targets>(&documents.targets),
            &documents.targets,
        ),
        (
            Role::Snapshot,
            version::<Snapshot>(&documents.snapshot),
            &documents.snapshot,
        ),
        (Role::Timestamp, None, &documents.timestamp),
    ] {
        files.insert(role.file(), Some(bytes.clone()));
        // With consistent snapshots; roots always.
        if let Some(version) = version {
            files.insert(role.versioned_file(version), Some(bytes.clone()));
        }
    }
    if let Some(root) = root {
        files.insert(Role::Root.versioned_file(root + 1), None);
    }
    Box::new(Overlay::new(store, files))
}

fn version<T: Metadata>(document: &[u8]) -> Option<u64> {
    let signed: Signed<T> = Signed::parse(document).ok()?;
    Some(signed.version())
}

fn judge(
    file: &Path,
    report: &Report,
    again: &Report,
    before: &Body,
    after: &Body,
    epoch: u64,
) -> Verdict {
    let names: Vec<_> = before.parts.iter().chain(&after.parts).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (name, _) in names {
        if parts.iter().all(|part| part.name != *name) {
            let of = |body: &Body| body.parts.iter().find(|(n, _)| n == name).map(|(_, d)| *d);
            parts.push(Part {
                name: name.clone(),
                same: of(before) == of(after),
            });
        }
    }
    let same_bytes = report.file.sha256 == again.file.sha256;
    let same_body = parts.iter().all(|part| part.same);
    let mut not_compared = Vec::new();
    if !same_bytes {
        for what in before.left_out.iter().chain(&after.left_out) {
            if !not_compared.contains(what) {
                not_compared.push(what.clone());
            }
        }
        not_compared.push("where parts lie in the file".to_owned());
    }
    Verdict {
        file: file.display().to_string(),
        kind: report.format,
        sha256: report.file.sha256.clone(),
        source_date_epoch: epoch,
        same_bytes,
        same_body,
        parts,
        not_compared,
        differences: match same_body {
            true => Vec::new(),
            false => inspect::difference(report, again),
        },
    }
}

fn tell(verdict: &Verdict, json: bool, printer: &Printer) -> Result<(), CliError> {
    if json {
        return printer.json(verdict);
    }
    let file = &verdict.file;
    match (verdict.same_bytes, verdict.same_body) {
        (true, _) => printer.result(format!("{file}: the same, byte for byte"))?,
        (false, true) => printer.result(format!("{file}: the same but for its signature"))?,
        (false, false) => printer.result(format!("{file}: another"))?,
    }
    for part in verdict.parts.iter().filter(|_| !verdict.same_bytes) {
        let word = if part.same { "same" } else { "differs" };
        printer.result(format!("  {word}: {}", part.name))?;
    }
    for what in &verdict.not_compared {
        printer.result(format!("  not compared: {what}"))?;
    }
    if !verdict.differences.is_empty() {
        let text = crate::cli::inspect::changes_text(&verdict.differences);
        printer.result(text.trim_end())?;
    }
    Ok(())
}
