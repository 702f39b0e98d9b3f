//! Arguments, prompts, output. The only floor that reads the terminal or prints.
//!
//! `Args` structs (what can be typed; their doc comments are the manual) become resolved
//! options, and options are handed to plain functions of the floors below. Nothing below
//! sees clap, the environment or the clock: [`Surroundings`] carries these in.

mod error;
mod hints;
pub(crate) mod printer;
pub(crate) mod progress;
mod surroundings;
pub(crate) mod units;

pub mod completions;
pub mod doctor;
pub mod inspect;
pub mod man;
pub mod manual;
pub mod package;
pub mod quickstart;
pub mod updates;

pub use error::{CliError, Exit};
pub use printer::{Printer, text};
pub use surroundings::Surroundings;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use hints::Typed;

/// Update repositories and installers for Fleet's agent
#[derive(Debug, Parser)]
#[command(
    name = "fleetpack",
    version,
    propagate_version = true,
    // As with fleetctl: of a flag that is given twice the last one counts.
    args_override_self = true,
    after_help = manual::of_program()
)]
pub struct Args {
    /// Print results and errors only
    #[arg(long, short, global = true, help_heading = "General")]
    quiet: bool,

    /// Say more about what is done, and how long each step took
    #[arg(
        long,
        global = true,
        help_heading = "General",
        conflicts_with = "quiet",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        value_parser = package::switch,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    verbose: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep an update repository
    Updates(Box<updates::Args>),
    /// Make an installer
    Package(Box<package::Args>),
    /// Try all of it on a sample agent: no network, no input
    Quickstart(quickstart::Args),
    /// Show what is inside an installer, or how two differ
    Inspect(inspect::Args),
    /// Tell what will go wrong with a repository and its installers
    Doctor(doctor::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
}

impl Command {
    fn typed(&mut self) -> Typed {
        match self {
            Self::Updates(args) => args.typed(),
            Self::Package(args) => args.typed(),
            _ => Typed::default(),
        }
    }
}

/// The argument definitions: what completions, manual pages and the reference are made of.
pub fn definitions() -> clap::Command {
    Args::command()
}

/// Runs the program with the arguments of its process and reports how it ended.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = match Args::try_parse_from(package::without_empty_flags(args)) {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to stdout with code 0, mistakes to stderr with code 2.
            let code = error.exit_code();
            let _ = error.print();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    surroundings::keep_out_of_dumps();
    progress::start(args.quiet, args.verbose);
    let printer = Printer::of_process(args.quiet);
    let typed = args.command.typed();
    let done = run(args, &Surroundings::of_process(), &printer);
    progress::close();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.report(&error, &typed);
            error.exit().into()
        }
    }
}

/// Runs one command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    match args.command {
        Command::Updates(args) => updates::run(*args, surroundings, printer),
        Command::Package(args) => package::run(*args, surroundings, printer),
        Command::Quickstart(args) => quickstart::run(args, surroundings, printer),
        Command::Inspect(args) => inspect::run(args, surroundings, printer),
        Command::Doctor(args) => doctor::run(args, surroundings, printer),
        Command::Completions(args) => completions::run(&args, definitions(), printer),
        Command::Man(args) => man::run(&args, definitions(), printer),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn arguments_are_consistent() {
        super::definitions().debug_assert();
    }
}
