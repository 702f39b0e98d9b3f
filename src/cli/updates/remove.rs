//! `updates remove`: targets that are no longer listed.

use serde::Serialize;

use super::change::{self, Change};
use super::report::{self, Documents};
use super::{CliError, Printer, Surroundings};

const EXAMPLES: &str = "\
Examples:
  fleetpack updates remove --path updates orbit/linux/edge/orbit";

/// What follows `remove`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Targets, such as orbit/linux/edge/orbit
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,

    #[command(flatten)]
    pub change: Change,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    removed: Vec<String>,
    metadata: Documents,
}

/// Takes targets out of the repository.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let (json, validities) = (args.change.json, args.change.validities());
    let mut repository = args.change.open(surroundings, printer)?;
    change::signing(surroundings, printer, validities, |signing| {
        repository.remove(&args.targets, signing)
    })?;
    for name in &args.targets {
        printer.note(format!("removed {name}"));
    }
    if json {
        let report = Report {
            removed: args.targets,
            metadata: Documents::of(repository.trusted()),
        };
        report::print(&report, printer)?;
    }
    Ok(())
}
