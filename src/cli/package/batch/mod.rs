//! `package --manifest`: the installers of many teams in one run.
//!
//! - [`manifest`], [`entry`]: what was written, as flags of each team;
//! - [`shard`]: which of them this run makes;
//! - [`plan`]: what is to be made, where, and of which programs;
//! - [`origin`]: each repository opened once, each program fetched once;
//! - [`work`]: making them, several at a time, with one compressor for all;
//! - [`index`]: `packages.json`; [`progress`]: what is seen meanwhile.
//!
//! A manifest that cannot be followed stops everything before anything is written. What goes
//! wrong with one team's secret, repository or installer does not stop the others.

mod entry;
mod index;
pub mod manifest;
mod origin;
mod plan;
mod progress;
mod shard;
mod work;

pub use manifest::ManifestError;
pub use shard::Shard;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Args;
use super::build::check_place;
use super::caching;
use super::options::{Place, read_file};
use super::provenance::ProvenanceArgs;
use super::summary;
use crate::cache::Cache;
use crate::cli::{CliError, Printer, Surroundings};
use crate::compress::Compressor;
use crate::package::BuildError;
use plan::Plan;
use progress::Progress;

/// What could not be made, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose.
    pub team: String,
    /// Which installers of the team: their file names, or types and processors.
    pub installers: Vec<String>,
    /// The error, its causes and the way out.
    pub report: String,
}

/// Runs the command.
pub fn run(
    args: &Args,
    manifest: &Path,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    only_of_the_run(args)?;
    let text = String::from_utf8(read_file(manifest)?).map_err(|_| CliError::Usage {
        message: format!("{} is no UTF-8 text", manifest.display()),
        hint: None,
    })?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let named = |error| CliError::Batching {
        path: manifest.to_owned(),
        source: error,
    };
    let entries = entry::entries(&text, folder).map_err(named)?;
    let outdir = args.output.outdir.clone().unwrap_or_else(|| ".".into());
    check_place(&Place::Folder(outdir.clone()))?;
    let cache = caching::resolve(&args.caching, surroundings, printer)?;
    let run = Run::new(args, outdir, cache, entry::variables(&entries));
    let selected = plan::select(entries, run.shard).map_err(named)?;
    let plan = Plan::make(selected, &run, surroundings, printer)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let compressor = Compressor::new(threads).map_err(BuildError::from)?;
    let compressor = compressor.with_cache(run.cache.clone());
    let compressor = match plan.units.len() {
        1 => compressor.for_one(),
        _ => compressor,
    };
    let progress = Progress::new(plan.units.len(), *printer);
    let (made, mut failures) = work::work(&plan, &compressor, &run, &progress);
    progress.end();
    for note in run.cache.iter().flat_map(|cache| cache.notes()) {
        printer.note(note);
    }
    failures.splice(0..0, plan.failures.iter().cloned());
    for made in &made {
        printer.result(made.path.display().to_string())?;
    }
    let names = index::Names::of(run.shard);
    let written = index::write(&run.outdir.join(names.index), &made, &failures)?;
    if args.output.json {
        printer.json(&written)?;
    }
    // Sums of nothing would take the place of those of installers that are still there.
    if args.provenance.checksums && (failures.is_empty() || !made.is_empty()) {
        index::write_sums(&run.outdir.join(names.sums), &made)?;
    }
    report(&made, &failures, printer)
}

/// What holds for the whole run.
pub struct Run {
    outdir: PathBuf,
    shard: Option<Shard>,
    jobs: NonZeroUsize,
    state_dir: Option<PathBuf>,
    no_state: bool,
    cache: Option<Arc<Cache>>,
    provenance: ProvenanceArgs,
    /// Variables that hold secrets, whichever team's.
    hidden: Vec<String>,
}

impl Run {
    fn new(args: &Args, outdir: PathBuf, cache: Option<Arc<Cache>>, hidden: Vec<String>) -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            outdir,
            shard: args.batch.shard,
            jobs: args.batch.jobs.unwrap_or(cores),
            state_dir: args.updates.state_dir.clone(),
            no_state: args.updates.no_state,
            cache,
            provenance: args.provenance,
            hidden,
        }
    }
}

/// What is a team's matter stands in the manifest, where it is seen, or nowhere.
fn only_of_the_run(args: &Args) -> Result<(), CliError> {
    let other = |id: &&String| !entry::OF_THE_RUN.contains(&id.as_str());
    let Some(id) = args.given.0.iter().find(other) else {
        return Ok(());
    };
    let key = match id.as_str() {
        "types" => "type".to_owned(),
        id => id.replace('_', "-"),
    };
    let hint = format!("write it into the manifest, below [defaults]: {key} = …");
    Err(CliError::Usage {
        message: format!("--{key} does not go with --manifest"),
        hint: entry::is_setting(&key).then_some(hint),
    })
}

fn report(made: &[work::Made], failures: &[Failure], printer: &Printer) -> Result<(), CliError> {
    let bytes = made.iter().map(|made| made.size).sum();
    printer.note(format!(
        "{} installers, {} in all",
        made.len(),
        summary::size(bytes)
    ));
    // The same thing once, with all whom it stopped.
    let mut told: Vec<(&str, Vec<String>)> = Vec::new();
    for failure in failures {
        let who = format!("{} ({})", failure.team, failure.installers.join(", "));
        match told.iter_mut().find(|(text, _)| *text == failure.report) {
            Some((_, all)) => all.push(who),
            None => told.push((&failure.report, vec![who])),
        }
    }
    for (text, all) in &told {
        printer.failed(&all.join(", "), text);
    }
    let failed = failures.iter().map(|f| f.installers.len()).sum();
    match failed {
        0 => Ok(()),
        failed => Err(CliError::Batch {
            failed,
            of: failed + made.len(),
        }),
    }
}
