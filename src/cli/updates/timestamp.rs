//! `updates timestamp`.

use super::{CliError, Passphrases, Place, Printer, Surroundings};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Signing, Validities};
use crate::tuf::time::Validity;

/// What follows `timestamp`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,

    /// How long the timestamp metadata are valid
    #[arg(long, value_name = "TIME", default_value = "14d")]
    timestamp_expires: Validity,
}

/// Signs and publishes.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let mut repository = args.place.open(printer)?;
    repository.timestamp(&mut Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: Validities {
            timestamp: args.timestamp_expires,
            ..Validities::default()
        },
    })?;
    let trusted = repository.trusted();
    printer.note(format!(
        "timestamp version {} expires at {}",
        trusted.version(Role::Timestamp),
        trusted.expires(Role::Timestamp)
    ));
    Ok(())
}
