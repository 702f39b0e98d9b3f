//! Making what is planned: the first installer of a kind on all cores, as it compresses what
//! all of its kind share; then the others, several at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::{Plan, Unit, label};
use super::progress::Progress;
use super::{Failure, Run};
use crate::agent::fetched::Fetched;
use crate::cli::package::build::{Committed, make, tree};
use crate::cli::printer::text;
use crate::cli::{CliError, Printer};
use crate::compress::Compressor;
use crate::fs;
use crate::package::Format;

/// An installer that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Whose.
    pub team: String,
    /// Its format.
    pub format: Format,
    /// Its processor's word.
    pub arch: &'static str,
    /// Where it lies.
    pub path: PathBuf,
    /// Its name below the output folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of the whole file.
    pub sha256: [u8; 32],
    /// What it holds.
    pub fetched: Arc<Fetched>,
}

/// Makes all units; what was made and what failed, each in the plan's order.
pub fn work(
    plan: &Plan,
    compressor: &Compressor,
    run: &Run,
    progress: &Progress,
) -> (Vec<Made>, Vec<Failure>) {
    let shop = Shop {
        plan,
        compressor,
        run,
        progress,
        results: Mutex::new(Vec::new()),
    };
    let (first, others) = by_kind(plan);
    for index in first {
        shop.one(index);
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..run.jobs.get().min(others.len()) {
            scope.spawn(crate::fs::following(|| {
                while let Some(index) = others.get(next.fetch_add(1, Ordering::Relaxed)) {
                    shop.one(*index);
                }
            }));
        }
    });
    let mut results = shop
        .results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    let (mut made, mut failures) = (Vec::new(), Vec::new());
    for (_, result) in results {
        match result {
            Ok(one) => made.push(one),
            Err(failure) => failures.push(failure),
        }
    }
    (made, failures)
}

/// The first unit of each kind, and the others.
fn by_kind(plan: &Plan) -> (Vec<usize>, Vec<usize>) {
    let mut kinds = BTreeSet::new();
    (0..plan.units.len()).partition(|index| {
        let unit = &plan.units[*index];
        let compression = plan.team(unit).options.compression;
        kinds.insert((Arc::as_ptr(&unit.fetched), unit.format, compression))
    })
}

struct Shop<'a> {
    plan: &'a Plan,
    compressor: &'a Compressor,
    run: &'a Run,
    progress: &'a Progress,
    results: Mutex<Vec<(usize, Result<Made, Failure>)>>,
}

impl Shop<'_> {
    fn one(&self, index: usize) {
        let unit = &self.plan.units[index];
        let team = &self.plan.team(unit).name;
        let result = self.made(unit).map_err(|error| Failure {
            team: team.clone(),
            installers: vec![label(unit.format, unit.arch)],
            report: text(&error),
        });
        let shown = unit.path.display().to_string();
        self.progress.done(&shown, result.is_ok());
        self.results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((index, result));
    }

    fn made(&self, unit: &Unit) -> Result<Made, CliError> {
        let team = self.plan.team(unit);
        let job = self.plan.job(unit).ok_or_else(|| CliError::Usage {
            message: format!("nothing is known of {}", unit.format),
            hint: None,
        })?;
        if let Some(folder) = unit.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_folders(folder, 0o755).map_err(CliError::Place)?;
        }
        let tree = tree(&job)?;
        let (options, quiet) = (&team.options, Printer::new(true));
        let Committed { size, .. } =
            make(&job, &tree, options, self.compressor, &unit.path, &quiet)?;
        let file =
            std::fs::File::open(&unit.path).map_err(|e| fs::naming(e, "open", &unit.path))?;
        let sha256 =
            super::index::sha256_of(file).map_err(|e| fs::naming(e, "read", &unit.path))?;
        let admin = &tree.lifecycle.admin;
        self.run
            .provenance
            .of_one(&unit.path, options.epoch, admin)?;
        Ok(Made {
            team: team.name.clone(),
            format: unit.format,
            arch: crate::cli::package::naming::arch(unit.arch),
            path: unit.path.clone(),
            name: name_below(unit, team),
            size,
            sha256,
            fetched: unit.fetched.clone(),
        })
    }
}

/// `team/file`, or the file's name alone where it lies in no folder of the team.
fn name_below(unit: &Unit, team: &super::plan::Team) -> String {
    let file = unit.path.file_name().unwrap_or_default().to_string_lossy();
    match team.named {
        true => file.into_owned(),
        false => format!("{}/{file}", team.name),
    }
}
