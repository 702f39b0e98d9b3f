//! `updates roots`.

use super::{CliError, Place, Printer};
use crate::tuf::repository;

/// What follows `roots`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) place: Place,
}

/// Prints the newest root document on one line.
pub fn run(args: Args, printer: &Printer) -> Result<(), CliError> {
    let root = repository::read_root(&args.place.layout())?;
    // Another tool may have written it with line breaks; its signatures do not cover those.
    let text = String::from_utf8_lossy(root.bytes());
    let line: Vec<_> = text.lines().map(str::trim).collect();
    printer.result(line.concat())
}
