//! `fleetpack updates …`.

use super::{CliError, Printer, Surroundings};

/// What follows `updates`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args, _surroundings: &Surroundings, _printer: &Printer) -> Result<(), CliError> {
    Err(CliError::usage(
        "`updates` has no commands yet",
        "fleetpack --help",
    ))
}
