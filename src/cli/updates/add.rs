//! `updates add`: one program or a whole release, signed once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::change::{self, Change, Linking};
use super::groups::Groups;
use super::report::{self, Documents, Published};
use super::{CliError, Printer, Surroundings, manifest};
use crate::agent::release::Release;
use crate::tuf::repository::{Adding, NewTarget};

const EXAMPLES: &str = "\
Examples:
  fleetpack updates add --path updates --target ./orbit --name orbit \\
    --platform linux --version 1.50.0 -t 1.50,1,stable
  fleetpack updates add --path updates --manifest release.toml";

/// What follows `add`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    groups: Groups,

    /// File that names the programs of a whole release (TOML)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "name", "platform", "version", "tag"])]
    manifest: Option<PathBuf>,

    /// Give targets that other tools listed with a sha512 alone their sha256 too
    #[arg(long)]
    rehash: bool,

    #[command(flatten)]
    linking: Linking,

    #[command(flatten)]
    pub change: Change,
}

impl Args {
    /// Whether contents are read that are published already.
    pub fn rehashes(&self) -> bool {
        self.rehash
    }
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    published: Vec<Published>,
    rehashed: Vec<String>,
    metadata: Documents,
}

/// Adds the files under their channels, signs and publishes.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let releases = match args.manifest {
        Some(path) => manifest::read(&path)?,
        None if args.rehash && args.groups.is_empty() => Vec::new(),
        None => args.groups.releases()?,
    };
    let new = targets(releases, printer)?;
    let (json, validities) = (args.change.json, args.change.validities());
    let adding = Adding {
        copies: args.linking.copies(),
        rehash: args.rehash,
    };
    let mut repository = args.change.open(surroundings, printer)?;
    let rehashed = change::signing(surroundings, printer, validities, |signing| {
        repository.add(&new, adding, signing)
    })?;
    let names = || new.iter().flat_map(|new| &new.names);
    for name in names() {
        printer.note(format!("published {name}"));
    }
    for name in &rehashed {
        printer.note(format!("rehashed {name}"));
    }
    if new.is_empty() && rehashed.is_empty() {
        printer.note("every target has its sha256 and sha512");
    }
    if json {
        let report = Report {
            published: Published::of(&repository, names()),
            rehashed,
            metadata: Documents::of(repository.trusted()),
        };
        report::print(&report, printer)?;
    }
    Ok(())
}

// All are looked at before anything is done.
fn targets(releases: Vec<Release>, printer: &Printer) -> Result<Vec<NewTarget>, CliError> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut new = Vec::new();
    for release in releases {
        let names = release.targets()?;
        for name in &names {
            if let Some(other) = files.insert(name.clone(), release.file.clone()) {
                return Err(CliError::usage(
                    format!(
                        "{name} is given twice: {} and {}",
                        other.display(),
                        release.file.display()
                    ),
                    "another --version, --platform or --tag for one of them",
                ));
            }
        }
        if let Some(warning) = release.check()? {
            printer.warn(warning);
        }
        new.push(NewTarget {
            custom: Some(serde_json::json!({ "version": release.version })),
            source: release.file,
            known: None,
            names,
        });
    }
    Ok(new)
}
