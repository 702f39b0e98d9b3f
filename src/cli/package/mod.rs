//! `fleetpack package …`: fetch, verify, build, one file after the other.

mod anchor;
mod args;
mod build;
mod options;
mod scripts;

pub use args::Args;
pub use build::{Built, build};
pub use options::{Options, Place};

use super::{CliError, Printer, Surroundings};

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let options = Options::resolve(args, surroundings, printer)?;
    for built in build(&options, surroundings, printer)? {
        printer.result(built.path.display().to_string())?;
    }
    if options.config.enrollment.is_some() {
        printer.note("The installers hold the enroll secret; keep them where only hosts get them");
    }
    Ok(())
}
