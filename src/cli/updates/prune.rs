//! `updates prune`: files that no metadata name any more.

use serde::Serialize;

use super::grace::Grace;
use super::remote::Remote;
use super::report;
use super::{CliError, Place, Printer, Surroundings};
use crate::publish;
use crate::tuf::repository::{Leftover, Pruned};

const EXAMPLES: &str = "\
Examples:
  fleetpack updates prune --path updates --dry-run
  fleetpack updates prune --path updates --grace 30d";

/// What follows `prune`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub(super) place: Place,

    /// Leave what was named within this time, such as 7d or 12h: a client or a cache may still
    /// ask for it; 0 leaves nothing
    #[arg(long, value_name = "TIME", default_value = "7d")]
    grace: Grace,

    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,

    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

/// A file of the report.
#[derive(Debug, Serialize)]
struct Row {
    file: String,
    bytes: u64,
    unnamed_since: String,
}

impl Row {
    fn all(files: Vec<Leftover>) -> Vec<Self> {
        let rows = files.into_iter().map(|file| Self {
            file: file.file,
            bytes: file.bytes,
            unnamed_since: file.since.to_string(),
        });
        rows.collect()
    }
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    bytes: u64,
    removed: Vec<Row>,
    waiting: Vec<Row>,
}

/// Deletes the files, or says which.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let limit = args.grace.before(surroundings.now)?;
    let mut repository = args.place.open(printer)?;
    let pruned = repository.prune(limit, args.dry_run)?;
    tell(pruned, args.grace, args.dry_run, args.json, printer)
}

/// Deletes them where the repository is published.
pub fn run_elsewhere(
    args: &Args,
    remote: &Remote,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let limit = args.grace.before(surroundings.now)?;
    let repository = remote.open(&printer.silent())?;
    let pruned = publish::prune(&repository, &*remote.objects, limit, args.dry_run)?;
    tell(pruned, args.grace, args.dry_run, args.json, printer)
}

fn tell(
    pruned: Pruned,
    grace: Grace,
    dry_run: bool,
    json: bool,
    printer: &Printer,
) -> Result<(), CliError> {
    let verb = match dry_run {
        true => "would delete",
        false => "deleted",
    };
    for file in &pruned.removed {
        printer.note(format!("{verb} {} ({} bytes)", file.file, file.bytes));
    }
    if !pruned.waiting.is_empty() {
        let many = pruned.waiting.len();
        printer.note(format!(
            "{many} more are not named any more, but not for {grace} yet"
        ));
    }
    if pruned.removed.is_empty() && pruned.waiting.is_empty() && !json {
        printer.note("nothing is there that metadata do not name");
    }
    if json {
        let report = Report {
            dry_run,
            bytes: pruned.removed.iter().map(|file| file.bytes).sum(),
            removed: Row::all(pruned.removed),
            waiting: Row::all(pruned.waiting),
        };
        report::print(&report, printer)?;
    }
    Ok(())
}
