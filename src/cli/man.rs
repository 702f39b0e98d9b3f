//! `fleetpack man FOLDER`: manual pages, one per command, made of the argument definitions.

use std::path::{Path, PathBuf};

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
}

/// Runs the command.
pub fn run(args: &Args, mut program: clap::Command, printer: &Printer) -> Result<(), CliError> {
    program.build();
    create_folders(&args.folder, 0o755)?;
    let count = pages(&program, &args.folder)?;
    printer.note(format!("{count} pages in {}", args.folder.display()));
    Ok(())
}

/// Writes the page of a command and of those below it; answers how many.
fn pages(command: &clap::Command, folder: &Path) -> Result<usize, CliError> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let page = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    // Without a date: the same program writes the same pages.
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut text)?;
    write_atomic(&page, &text, 0o644)?;
    let below = command.get_subcommands().filter(|c| !c.is_hide_set());
    below
        .map(|command| pages(command, folder))
        .sum::<Result<usize, _>>()
        .map(|count| count + 1)
}
