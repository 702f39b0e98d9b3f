//! Files beside the installers that say where these come from.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::build::Built;
use super::scripts::{self, Scripts};
use crate::cli::{CliError, Printer};
use crate::fs::write_atomic;
use crate::inspect::{self, Report};
use crate::provenance::{Circumstances, bom, checksums, statement};
use crate::steps;

/// Which of them are wanted.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Provenance")]
pub struct ProvenanceArgs {
    /// Write SHA256SUMS beside the installers
    #[arg(long)]
    pub(super) checksums: bool,

    /// Write a bill of materials beside each installer (CycloneDX 1.5: INSTALLER.cdx.json)
    #[arg(long)]
    sbom: bool,

    /// Write a statement of each installer's inputs by digest (in-toto: INSTALLER.intoto.json)
    #[arg(long)]
    statement: bool,
}

impl ProvenanceArgs {
    /// Reads the installers back and writes what is wanted of them.
    pub(super) fn write(
        self,
        installers: &[Built],
        epoch: u64,
        printer: &Printer,
    ) -> Result<Vec<PathBuf>, CliError> {
        if !(self.checksums || self.sbom || self.statement) {
            return Ok(Vec::new());
        }
        let _phase = steps::phase("reading back");
        let mut reports = Vec::new();
        let mut written = Vec::new();
        for installer in installers {
            printer.note(format!("Reading {} back", installer.path.display()));
            let report = inspect::inspect(&installer.path)?;
            written.extend(self.write_beside(
                &installer.path,
                &report,
                epoch,
                &installer.tree.lifecycle.admin,
            )?);
            reports.push(report);
        }
        if self.checksums {
            written.push(write_sums(installers, &reports)?);
        }
        Ok(written)
    }

    /// Reads one installer back, where that is wanted, and writes what is wanted beside it.
    pub(super) fn of_one(
        self,
        installer: &Path,
        epoch: u64,
        admin: &Scripts,
    ) -> Result<(), CliError> {
        if self.sbom || self.statement {
            let report = inspect::inspect(installer)?;
            self.write_beside(installer, &report, epoch, admin)?;
        }
        Ok(())
    }

    fn write_beside(
        self,
        installer: &Path,
        report: &Report,
        epoch: u64,
        admin: &Scripts,
    ) -> Result<Vec<PathBuf>, CliError> {
        let mut written = Vec::new();
        let seconds = i64::try_from(epoch).unwrap_or_default();
        let built = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        if self.sbom {
            let text = bom(report, built)?;
            let path = beside(installer, ".cdx.json");
            write_atomic(&path, &text, 0o644)?;
            written.push(path);
        }
        if self.statement {
            let scripts = &scripts::digests(admin);
            let text = statement(report, &Circumstances { epoch, scripts });
            let path = beside(installer, ".intoto.json");
            write_atomic(&path, text.as_bytes(), 0o644)?;
            written.push(path);
        }
        Ok(written)
    }
}

fn write_sums(installers: &[Built], reports: &[Report]) -> Result<PathBuf, CliError> {
    let folder = installers.first().and_then(|built| built.path.parent());
    let folder = folder.unwrap_or(Path::new(""));
    let files = reports.iter().map(|report| &report.file);
    let text = checksums(files.map(|file| (file.name.as_str(), file.sha256.as_str())));
    let path = folder.join("SHA256SUMS");
    write_atomic(&path, text.as_bytes(), 0o644)?;
    Ok(path)
}

/// The installer's path with something at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
