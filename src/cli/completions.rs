//! `fleetpack completions SHELL`: what a shell offers when the tab key is pressed.
//!
//! The script is made of the argument definitions, so it knows every command and flag.

use clap_complete::Shell;
use serde::Serialize;

use super::{CliError, Printer};

const EXAMPLES: &str = "\
Examples:
  fleetpack completions bash > /etc/bash_completion.d/fleetpack
  fleetpack completions zsh > /usr/local/share/zsh/site-functions/_fleetpack
  fleetpack completions fish > ~/.config/fish/completions/fleetpack.fish";

/// What follows `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,

    /// Print one JSON object (docs/schema/completions.json)
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    shell: String,
    script: String,
}

/// Runs the command.
pub fn run(args: &Args, mut program: clap::Command, printer: &Printer) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "fleetpack", &mut script);
    let script = String::from_utf8_lossy(&script).trim_end().to_owned();
    match args.json {
        true => printer.json(&Report {
            shell: args.shell.to_string(),
            script,
        }),
        false => printer.result(script),
    }
}
