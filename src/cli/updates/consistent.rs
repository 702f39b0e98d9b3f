//! `updates consistent-snapshot on`.

use serde::Serialize;

use super::change::{self, Linking};
use super::report::{self, Documents};
use super::{CliError, Place, Printer, Surroundings, tokens};
use crate::tuf::repository::Validities;
use crate::tuf::time::Validity;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates consistent-snapshot on --path updates";

/// What follows `consistent-snapshot`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// There is no way back: names that were promised to keep their content must keep it
    #[arg(value_enum, value_name = "on")]
    switch: Switch,

    #[command(flatten)]
    pub(super) place: Place,

    #[command(flatten)]
    linking: Linking,

    /// Sign with the key of a token (ROLE=pkcs11:…)
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<tokens::Named>,

    /// How long the root metadata are valid
    #[arg(long, value_name = "TIME", default_value = "10y")]
    root_expires: Validity,

    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

/// The one state that a repository can be brought to.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Switch {
    /// Metadata and targets get names that never change their content
    On,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    changed: bool,
    metadata: Documents,
}

/// Switches.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let Switch::On = args.switch;
    let validities = Validities {
        root: args.root_expires,
        ..Validities::default()
    };
    let tokens = tokens::open(&args.key, surroundings)?;
    let mut repository = args.place.open(printer)?;
    repository.use_tokens(tokens);
    let copies = args.linking.copies();
    let changed = change::signing(surroundings, printer, validities, |signing| {
        repository.make_consistent(copies, signing)
    })?;
    printer.note(match changed {
        true => "consistent snapshots are on from this root on",
        false => "consistent snapshots were on already",
    });
    let targets = &repository.trusted().targets().signed.targets;
    let incomplete = targets.values().filter(|t| t.hashes.known().count() < 2);
    let incomplete = incomplete.count();
    if incomplete > 0 {
        printer.note(format!(
            "{incomplete} targets are listed with one hash alone: fleetpack updates add --rehash gives them both"
        ));
    }
    if args.json {
        let report = Report {
            changed,
            metadata: Documents::of(repository.trusted()),
        };
        report::print(&report, printer)?;
    }
    Ok(())
}
