//! `fleetpack package …`: fetch, verify, build, one file after the other.

mod anchor;
mod args;
mod options;

pub use args::Args;
pub use options::{Options, Place};

use super::{CliError, Printer, Surroundings};

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let options = Options::resolve(args, surroundings, printer)?;
    let _ = options;
    Ok(())
}
