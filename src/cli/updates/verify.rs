//! `updates verify`: does what an agent would, for every target.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use serde::Serialize;

use super::look::{self, Look, Said};
use super::{CliError, Printer, Surroundings};
use crate::agent::inventory::Parts;
use crate::tuf::metadata::TargetFile;
use crate::tuf::trusted::Expiry;

/// Several at once, for a server far away keeps one waiting; each takes a buffer and no more.
const THREADS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

const EXAMPLES: &str = "\
Examples:
  fleetpack updates verify --path updates
  fleetpack updates verify https://updates.example.com \\
    --update-roots @root.json --component orbit --channel stable";

/// What follows `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub(super) look: Look,

    /// Targets of this component alone
    #[arg(long, value_name = "NAME")]
    component: Option<String>,

    /// Targets of this channel alone
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

// `docs/schema/updates-verify.json`.
#[derive(Serialize)]
struct Report<'a> {
    repository: &'a str,
    verified: Vec<&'a str>,
    found: &'a [Said],
}

// Somebody who names a component or channel wants it to be there.
fn nothing(component: &Option<String>, channel: &Option<String>, place: &str) -> CliError {
    let flags = [("--component", component), ("--channel", channel)];
    let flags = flags
        .into_iter()
        .filter_map(|(flag, value)| value.as_ref().map(|value| format!("{flag} {value}")));
    let flags: Vec<_> = flags.collect();
    CliError::usage(
        format!("{place} has no target with {}", flags.join(" ")),
        "fleetpack updates status shows what it has",
    )
}

/// Refreshes, then reads and hashes every target.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let wanted = |name: &str| {
        let is = |given: &Option<String>, part: fn(&Parts<'_>) -> String| match given {
            None => true,
            Some(given) => Parts::of(name).is_some_and(|parts| part(&parts) == *given),
        };
        is(&args.component, |p| p.component.to_owned())
            && is(&args.channel, |p| p.channel.to_owned())
    };
    let looked = args.look.refresh(Expiry::At(surroundings.now), printer)?;
    let targets: Vec<(String, TargetFile)> = looked
        .targets
        .iter()
        .filter(|(name, _)| wanted(name))
        .cloned()
        .collect();
    if targets.is_empty() && (args.component.is_some() || args.channel.is_some()) {
        return Err(nothing(&args.component, &args.channel, &looked.place));
    }
    let mut found = looked.survey(false)?;
    let results = Mutex::new((0..targets.len()).map(|_| None).collect::<Vec<_>>());
    looked.client.verify_all(&targets, THREADS, &|i, result| {
        if result.is_ok() {
            printer.note(format!("ok {}", targets[i].0));
        }
        let mut results = results.lock().unwrap_or_else(|e| e.into_inner());
        results[i] = Some(result);
    });
    let results = results.into_inner().unwrap_or_else(|e| e.into_inner());
    let mut verified = Vec::new();
    for ((name, _), result) in targets.iter().zip(results) {
        match result {
            Some(Err(error)) => found.push(Said::of_target(name, &error)),
            _ => verified.push(name.as_str()),
        }
    }
    match args.json {
        true => {
            let report = Report {
                repository: &looked.place,
                verified,
                found: &found,
            };
            printer.result(serde_json::to_string_pretty(&report).map_err(std::io::Error::from)?)?;
        }
        false => {
            look::print(&found, printer)?;
            printer.result(format!("{} targets verified", verified.len()))?;
        }
    }
    look::judge(&found, &looked.place)
}
