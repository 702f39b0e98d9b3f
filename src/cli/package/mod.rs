//! `fleetpack package …`: fetch, verify, build, one file after the other.

pub(in crate::cli) mod anchor;
mod applicable;
mod args;
pub mod batch;
mod build;
mod caching;
mod intune;
mod macos;
mod naming;
mod options;
mod precedence;
mod provenance;
mod rebuild;
mod scripts;
mod signing;
mod summary;

pub use args::Args;
pub(in crate::cli) use args::switch;
pub use batch::ManifestError;
pub use build::{Built, build};
pub use macos::Finish;
pub use naming::Naming;
pub use options::{Options, Place};
pub(in crate::cli) use precedence::without_empty_flags;
pub use summary::Summary;

use super::{CliError, Printer, Surroundings};

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let json = args.output.json;
    let printer = &printer.keeping_stdout(json);
    if let Some(file) = args.output.rebuild_check.clone() {
        return rebuild::run(args, &file, surroundings, printer);
    }
    if let Some(manifest) = args.batch.manifest.clone() {
        return batch::run(&args, &manifest, surroundings, printer);
    }
    let provenance = args.provenance;
    let options = Options::resolve(args, surroundings, printer)?;
    for warning in &options.warnings {
        printer.warn(warning);
    }
    let installers = build(&options, surroundings, printer)?;
    let files = provenance.write(&installers, options.epoch, printer)?;
    for built in &installers {
        printer.result(built.path.display().to_string())?;
    }
    // Nobody would see the digests.
    if printer.is_quiet() && !json {
        return Ok(());
    }
    let summary = Summary::of(&installers, &files)?;
    for line in summary.lines(&options.config) {
        printer.note(line);
    }
    match json {
        true => printer.json(&summary),
        false => Ok(()),
    }
}
