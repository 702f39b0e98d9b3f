//! `fleetpack man FOLDER`: manual pages, one per command, made of the argument definitions.

use std::io;
use std::path::PathBuf;

use clap_mangen::roff::{Roff, bold, roman};
use serde::Serialize;

use super::{CliError, Printer, manual};
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
pub fn pages(program: clap::Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    // `man fleetpack-updates-add` is there in place of pages of `help`.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut found = Vec::new();
    collect(&program, &mut found)?;
    Ok(found)
}

fn collect(command: &clap::Command, found: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    found.push((format!("{name}.1"), page(name, command)?));
    let mut below = command.get_subcommands().filter(|c| !c.is_hide_set());
    below.try_for_each(|command| collect(command, found))
}

fn page(name: &str, command: &clap::Command) -> io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone());
    let mut text = title(name).into_bytes();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    environment(command).to_writer(&mut text)?;
    exit_status(command).to_writer(&mut text)?;
    if let Some(words) = command.get_after_help() {
        after_help(&words.to_string()).to_writer(&mut text)?;
    }
    Ok(without_preambles(&text))
}

/// The first line of a page; names and words that are to be typed are never broken. The empty
/// date has its quotes, without which what follows would be taken for it.
fn title(name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH \"{name}\" 1 \"\" \"fleetpack {version}\" \"User Commands\"\n.nh\n.ad l\n")
}

/// Each section begins with what apostrophes need: said once, before all of them, it counts for
/// the page.
fn without_preambles(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let preamble = Roff::new().render();
    (preamble.clone() + &text.replace(&preamble, "")).into_bytes()
}

/// Variables of flags, then the others.
fn environment(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for argument in command.get_arguments() {
        if let (Some(name), Some(flag)) = (argument.get_env(), argument.get_long()) {
            let meaning = format!("The same as --{flag}");
            entry(&mut roff, &[&name.to_string_lossy()], &meaning);
        }
    }
    let others = manual::VARIABLES.iter();
    for variables in others.filter(|variables| variables.matter_to(command)) {
        entry(&mut roff, variables.names, variables.meaning);
    }
    roff
}

fn exit_status(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in manual::exit_codes(command) {
        entry(&mut roff, &[&code.to_string()], meaning);
    }
    roff
}

fn entry(roff: &mut Roff, names: &[&str], meaning: &str) {
    for (at, name) in names.iter().enumerate() {
        roff.control(if at == 0 { "TP" } else { "TQ" }, []);
        roff.text([bold(*name)]);
    }
    roff.text([roman(meaning)]);
}

/// What stands below the help of a command: a section for each heading, its lines as they are,
/// for they are there to be copied. Exit codes have a section of their own.
fn after_help(words: &str) -> Roff {
    let mut roff = Roff::new();
    for part in words.split("\n\n") {
        let (heading, lines) = part.split_once('\n').unwrap_or((part, ""));
        let heading = heading.trim_end_matches(':').to_uppercase();
        if heading == "EXIT CODES" {
            continue;
        }
        roff.control("SH", [heading.as_str()]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("fi", []);
    }
    roff
}
