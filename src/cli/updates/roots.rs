//! `updates roots`.

use serde::Serialize;

use super::{CliError, Place, Printer};
use crate::tuf::repository;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates roots --path updates > root.json";

/// What follows `roots`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub(super) place: Place,

    /// Print one JSON object about it, with the document inside (docs/schema/updates-roots.json)
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: u64,
    expires: String,
    sha256: String,
    root: String,
}

/// Prints the newest root document on one line.
pub fn run(args: Args, printer: &Printer) -> Result<(), CliError> {
    let root = repository::read_root(&args.place.looked_at(printer))?;
    // Another tool may have written it with line breaks; its signatures do not cover those.
    let text = String::from_utf8_lossy(root.bytes());
    let line: Vec<_> = text.lines().map(str::trim).collect();
    let line = line.concat();
    if !args.json {
        return printer.result(line);
    }
    printer.json(&Report {
        version: root.signed.common.version,
        expires: root.signed.common.expires.to_string(),
        sha256: hex::encode(crate::compress::sha256(root.bytes())),
        root: line,
    })
}
