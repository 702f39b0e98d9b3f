//! `updates pending`: the edit that waits for signatures, shown or given up.

use serde::Serialize;

use super::{At, CliError, Place, Printer, outcome};
use crate::tuf::repository::Missing;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates pending --path updates
  fleetpack updates pending drop --path updates";

const SHOW: &str = "\
Examples:
  fleetpack updates pending show --path updates";

const DROP: &str = "\
Examples:
  fleetpack updates pending drop --path updates";

/// What follows `pending`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    show: Show,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the edit that waits and the signatures that it lacks
    #[command(after_help = SHOW)]
    Show(Show),
    /// Give the edit up, with the new keys that it made
    #[command(after_help = DROP)]
    Drop(Show),
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    place: Place,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Where the repository is.
    pub(super) fn place(&mut self) -> &mut At {
        match &mut self.command {
            Some(Command::Drop(args) | Command::Show(args)) => args.place.at(),
            None => self.show.place.at(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    /// `null` when nothing waits.
    what: Option<String>,
    missing: Vec<Missing>,
}

/// Shows the edit, or gives it up.
pub fn run(args: Args, printer: &Printer) -> Result<(), CliError> {
    match args.command {
        Some(Command::Drop(args)) => give_up(args, printer),
        Some(Command::Show(args)) => show(args, printer),
        None => show(args.show, printer),
    }
}

fn show(args: Show, printer: &Printer) -> Result<(), CliError> {
    let pending = args.place.open(printer)?.pending()?;
    let report = Report {
        what: pending.as_ref().map(|pending| pending.what.clone()),
        missing: pending.map(|pending| pending.missing).unwrap_or_default(),
    };
    if args.json {
        return outcome::as_json(&report, printer);
    }
    match &report.what {
        None => printer.result("no edit waits for signatures"),
        Some(what) => {
            printer.result(what)?;
            for missing in &report.missing {
                printer.result(format!("  {missing}; these have not signed:"))?;
                for id in &missing.keys {
                    printer.result(format!("    {id}"))?;
                }
            }
            Ok(())
        }
    }
}

fn give_up(args: Show, printer: &Printer) -> Result<(), CliError> {
    let what = args.place.open(printer)?.drop_pending()?;
    match args.json {
        true => outcome::as_json(
            &Report {
                what: Some(what),
                missing: Vec::new(),
            },
            printer,
        ),
        false => printer.result(format!("gave up: {what}")),
    }
}
