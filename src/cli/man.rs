//! `fleetpack man FOLDER`: manual pages, one per command, made of the argument definitions.

use std::io;
use std::path::PathBuf;

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
pub fn run(args: &Args, program: clap::Command, printer: &Printer) -> Result<(), CliError> {
    create_folders(&args.folder, 0o755)?;
    let mut written = Vec::new();
    for (name, text) in pages(program)? {
        let path = args.folder.join(name);
        write_atomic(&path, &text, 0o644)?;
        written.push(path.display().to_string());
    }
    let count = written.len();
    printer.note(format!("{count} pages in {}", args.folder.display()));
    match args.json {
        true => printer.json(&Report { pages: written }),
        false => Ok(()),
    }
}

/// The pages of a program and its commands: file names and texts. Without a date: the same
/// program has the same pages.
pub fn pages(mut program: clap::Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    program.build();
    let mut found = Vec::new();
    collect(&program, &mut found)?;
    Ok(found)
}

fn collect(command: &clap::Command, found: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut text)?;
    found.push((format!("{name}.1"), text));
    let mut below = command.get_subcommands().filter(|c| !c.is_hide_set());
    below.try_for_each(|command| collect(command, found))
}
