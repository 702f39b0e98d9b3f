//! `fleetpack package …`: fetch, verify, build, one file after the other.

pub(in crate::cli) mod anchor;
mod applicable;
mod args;
mod batch;
mod build;
mod caching;
mod intune;
mod macos;
mod naming;
mod options;
mod provenance;
mod scripts;
mod signing;
mod summary;

pub use args::Args;
pub use batch::ManifestError;
pub use build::{Built, build};
pub use macos::Finish;
pub use naming::Naming;
pub use options::{Options, Place};

use super::{CliError, Printer, Surroundings};

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    if let Some(manifest) = args.batch.manifest.clone() {
        return batch::run(&args, &manifest, surroundings, printer);
    }
    let provenance = args.provenance;
    let options = Options::resolve(args, surroundings, printer)?;
    for warning in &options.warnings {
        printer.warn(warning);
    }
    let installers = build(&options, surroundings, printer)?;
    provenance.write(&installers, options.epoch, printer)?;
    for built in &installers {
        printer.result(built.path.display().to_string())?;
    }
    for line in summary::lines(&installers) {
        printer.note(line);
    }
    if options.config.enrollment.is_some() {
        printer.note("The installers hold the enroll secret; keep them where only hosts get them");
    }
    Ok(())
}
