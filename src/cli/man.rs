//! `fleetpack man FOLDER`: manual pages, one per command, made of the argument definitions.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CliError, Printer};
use crate::fs::{create_folders, write_atomic};

const EXAMPLES: &str = "\
Examples:
  fleetpack man /usr/local/share/man/man1
  fleetpack man . && man ./fleetpack-package.1";

/// What follows `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the pages are written; it is made when it is not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// Print one JSON object (docs/schema/man.json)
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    pages: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args, mut program: clap::Command, printer: &Printer) -> Result<(), CliError> {
    program.build();
    create_folders(&args.folder, 0o755)?;
    let mut written = Vec::new();
    pages(&program, &args.folder, &mut written)?;
    let count = written.len();
    printer.note(format!("{count} pages in {}", args.folder.display()));
    match args.json {
        true => printer.json(&Report { pages: written }),
        false => Ok(()),
    }
}

/// Writes the page of a command and of those below it.
fn pages(
    command: &clap::Command,
    folder: &Path,
    written: &mut Vec<String>,
) -> Result<(), CliError> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let page = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    // Without a date: the same program writes the same pages.
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut text)?;
    write_atomic(&page, &text, 0o644)?;
    written.push(page.display().to_string());
    let mut below = command.get_subcommands().filter(|c| !c.is_hide_set());
    below.try_for_each(|command| pages(command, folder, written))
}
