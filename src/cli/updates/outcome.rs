//! How a change of keys is told: lines for people, or one JSON object
//! (`docs/schema/updates-change.json`). One that waits for signatures ends with exit code 5.

use serde::Serialize;

use super::{CliError, Printer};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Missing, Outcome, RepositoryError, Rotated};

/// A role's key.
#[derive(Debug, Serialize)]
struct RoleKey {
    role: Role,
    id: String,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    published: bool,
    revoked: Vec<RoleKey>,
    generated: Vec<RoleKey>,
    missing: &'a [Missing],
}

fn keys(pairs: Vec<(Role, String)>) -> Vec<RoleKey> {
    let keys = pairs.into_iter().map(|(role, id)| RoleKey { role, id });
    keys.collect()
}

/// Prints what was done; keys that a role has from now on were generated.
pub fn print(rotated: Rotated, json: bool, printer: &Printer) -> Result<(), CliError> {
    print_as("Generated", rotated, json, printer)
}

/// As [`print`], with a word for what became of keys that a role has from now on.
pub fn print_as(
    new: &str,
    rotated: Rotated,
    json: bool,
    printer: &Printer,
) -> Result<(), CliError> {
    let missing: &[Missing] = match &rotated.outcome {
        Outcome::Published => &[],
        Outcome::Held(missing) => missing,
    };
    let report = Report {
        published: missing.is_empty(),
        revoked: keys(rotated.revoked),
        generated: keys(rotated.generated),
        missing,
    };
    match json {
        true => as_json(&report, printer)?,
        false => {
            // Nothing is revoked before it is published.
            let old = match report.published {
                true => "Revoked",
                false => "To be revoked:",
            };
            for key in &report.revoked {
                printer.result(format!("{old} {} key with ID: {}", key.role, key.id))?;
            }
            for key in &report.generated {
                printer.result(format!("{new} {} key with ID: {}", key.role, key.id))?;
            }
        }
    }
    end(rotated.outcome)
}

/// The end of a command whose edit may wait.
pub fn end(outcome: Outcome) -> Result<(), CliError> {
    match outcome {
        Outcome::Published => Ok(()),
        Outcome::Held(missing) => Err(RepositoryError::Held(missing).into()),
    }
}

/// Prints one JSON object.
pub fn as_json(report: &impl Serialize, printer: &Printer) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(report).map_err(std::io::Error::from)?;
    printer.result(text)
}
