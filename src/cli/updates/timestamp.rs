//! `updates timestamp`.

use serde::Serialize;

use super::report::{self, Documents};
use super::{CliError, Place, Printer, Surroundings, change, tokens};
use crate::tuf::metadata::Role;
use crate::tuf::repository::Validities;
use crate::tuf::time::Validity;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates timestamp --path updates
  fleetpack updates timestamp --path s3://bucket/updates --keys keys \\
    --timestamp-expires 7d";

/// What follows `timestamp`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub(super) place: Place,

    /// Sign with the key of a token (ROLE=pkcs11:…)
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<tokens::Named>,

    /// How long the timestamp metadata are valid
    #[arg(long, value_name = "TIME", default_value = "14d")]
    timestamp_expires: Validity,

    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    metadata: Documents,
}

/// Signs and publishes.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let tokens = tokens::open(&args.key, surroundings)?;
    let mut repository = args.place.open(printer)?;
    repository.use_tokens(tokens);
    let validities = Validities {
        timestamp: args.timestamp_expires,
        ..Validities::default()
    };
    change::signing(surroundings, printer, validities, |signing| {
        repository.timestamp(signing)
    })?;
    let trusted = repository.trusted();
    printer.note(format!(
        "timestamp version {} expires at {}",
        trusted.version(Role::Timestamp),
        trusted.expires(Role::Timestamp)
    ));
    if args.json {
        let metadata = Documents::of(trusted);
        report::print(&Report { metadata }, printer)?;
    }
    Ok(())
}
