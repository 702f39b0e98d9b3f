//! `updates status`: what is there, how long it is valid, and what is wrong with it.

use jiff::SignedDuration;
use serde::Serialize;

use super::look::{self, Look, Said};
use super::{CliError, Printer, Surroundings};
use crate::agent::inventory::{Inventory, TargetStatus};
use crate::cli::Exit;
use crate::steps;
use crate::tuf::time::Validity;
use crate::tuf::trusted::Expiry;

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// Prometheus's text format
    Prometheus,
}

const EXAMPLES: &str = "\
Examples:
  fleetpack updates status --path updates
  fleetpack updates status https://updates.example.com \\
    --update-roots @root.json --format prometheus
  fleetpack updates status --path updates --warn 5d --html status.html";

/// What follows `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub(super) look: Look,

    /// Exit with code 3 when anything expires within this time
    /// [default: 7d for timestamp, 30d for the others]
    #[arg(long, value_name = "TIME")]
    warn: Option<Validity>,

    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write a page for people, one HTML file, too
    #[arg(long, value_name = "FILE")]
    html: Option<std::path::PathBuf>,
}

// `docs/schema/updates-status.json`.
#[derive(Serialize)]
struct Report<'a> {
    repository: &'a str,
    #[serde(flatten)]
    inventory: &'a Inventory,
    found: &'a [Said],
}

/// Prints what is there and how long it is valid.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let now = surroundings.now;
    let phase = steps::phase("verifying");
    let looked = args.look.refresh(Expiry::Ignored, printer)?;
    drop(phase);
    let Some(trusted) = looked.client.trusted() else {
        return Ok(());
    };
    let inventory = Inventory::of(trusted, &looked.targets, now, |name, target| {
        looked.client.published_at(name, target)
    });
    let phase = steps::phase("looking through files");
    let found = looked.survey(true)?;
    drop(phase);
    if let Some(file) = &args.html {
        let page = crate::publish::page::render(&inventory, now)?;
        crate::fs::write_atomic(file, page.as_bytes(), 0o644)?;
    }
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Text => {
            text(&inventory, printer)?;
            look::print(&found, printer)?;
        }
        Format::Prometheus => {
            printer.result(inventory.prometheus().trim_end())?;
            printer.result(counted(&found))?;
        }
        Format::Json => {
            let report = Report {
                repository: &looked.place,
                inventory: &inventory,
                found: &found,
            };
            printer.result(serde_json::to_string_pretty(&report).map_err(std::io::Error::from)?)?;
        }
    }
    look::judge(&found, &looked.place)?;
    let limit = args.warn.map(|warn| warn.from(now));
    let limit = limit.transpose().map_err(std::io::Error::other)?;
    let limit: Option<SignedDuration> = limit.map(|end| end.at().duration_since(now));
    match inventory.expiring(limit) {
        None => Ok(()),
        Some(role) => Err(CliError::Expiry {
            exit: match role.seconds_left {
                ..=0 => Exit::Expired,
                _ => Exit::ExpiresSoon,
            },
            role: role.role,
            expires: role.expires.clone(),
        }),
    }
}

fn counted(found: &[Said]) -> String {
    let faults = found.iter().filter(|said| said.is_fault()).count();
    format!(
        "# HELP fleetpack_faults What is wrong with the repository.\n\
         # TYPE fleetpack_faults gauge\n\
         fleetpack_faults {faults}"
    )
}

fn text(inventory: &Inventory, printer: &Printer) -> Result<(), CliError> {
    for role in &inventory.roles {
        printer.result(format!(
            "{:<9} version {:<6} expires {}  {} of {} keys",
            role.role.name(),
            role.version,
            role.expires,
            role.threshold,
            role.keys.len()
        ))?;
    }
    if inventory.targets.is_empty() {
        return Ok(());
    }
    let head = [
        "component",
        "platform",
        "channel",
        "version",
        "bytes",
        "age",
        "hash",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(inventory.targets.iter().map(row));
    let widths: Vec<usize> = (0..head.len())
        .map(|i| {
            rows.iter()
                .map(|row| row[i].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    printer.result("")?;
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(i, (cell, width))| match i {
            // Numbers to the right.
            4 | 5 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        printer.result(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(target: &TargetStatus) -> [String; 7] {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        // A name of another form stands for itself.
        target
            .component
            .clone()
            .unwrap_or_else(|| target.target.clone()),
        or_dash(&target.platform),
        or_dash(&target.channel),
        or_dash(&target.version),
        target.size.to_string(),
        target.age_seconds.map_or("-".to_owned(), age),
        target.hash.get(..16).unwrap_or(&target.hash).to_owned(),
    ]
}

// The largest unit that fits.
fn age(seconds: i64) -> String {
    let (unit, name) = match seconds {
        ..60 => (1, "s"),
        60..3600 => (60, "min"),
        3600..86_400 => (3600, "h"),
        _ => (86_400, "d"),
    };
    format!("{} {name}", seconds.max(0) / unit)
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (86_399, "23 h"),
            (86_400, "1 d"),
            (40 * 86_400, "40 d"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }
}
