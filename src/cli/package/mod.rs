//! `fleetpack package …`.

use super::{CliError, Printer, Surroundings};

/// What follows `package`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _surroundings: &Surroundings, _printer: &Printer) -> Result<(), CliError> {
    Err(CliError::usage(
        "`package` has no types yet",
        "fleetpack --help",
    ))
}
