//! `updates add`.

use std::path::PathBuf;

use super::{CliError, Passphrases, Place, Printer, Surroundings};
use crate::agent::release::Release;
use crate::tuf::repository::{NewTarget, Signing, Validities};
use crate::tuf::time::Validity;

/// What follows `add`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,

    /// File to add
    #[arg(long, value_name = "FILE")]
    target: PathBuf,

    /// Component: orbit, osqueryd, desktop, extensions/NAME, or another
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Platform: linux, linux-arm64, macos, macos-app, windows, windows-arm64
    #[arg(long, value_name = "PLATFORM")]
    platform: String,

    /// Version, which is also the first channel
    #[arg(long, value_name = "VERSION")]
    version: String,

    /// Further channel, such as stable; may be given more than once
    #[arg(long = "tag", short = 't', value_name = "TAG")]
    tags: Vec<String>,

    /// How long the targets metadata are valid
    #[arg(long, value_name = "TIME", default_value = "3y")]
    targets_expires: Validity,

    /// How long the snapshot metadata are valid
    #[arg(long, value_name = "TIME", default_value = "3y")]
    snapshot_expires: Validity,

    /// How long the timestamp metadata are valid
    #[arg(long, value_name = "TIME", default_value = "14d")]
    timestamp_expires: Validity,
}

/// Adds the file under its channels, signs and publishes.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let release = Release {
        file: args.target,
        name: args.name,
        platform: args.platform,
        version: args.version,
        tags: args.tags,
    };
    let names = release.targets()?;
    if let Some(warning) = release.check()? {
        printer.warn(warning);
    }
    let mut repository = args.place.open(printer)?;
    let new = NewTarget {
        custom: Some(serde_json::json!({ "version": release.version })),
        source: release.file,
        names,
    };
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: Validities {
            targets: args.targets_expires,
            snapshot: args.snapshot_expires,
            timestamp: args.timestamp_expires,
            ..Validities::default()
        },
    };
    repository.add(std::slice::from_ref(&new), &mut signing)?;
    for name in &new.names {
        printer.note(format!("published {name}"));
    }
    Ok(())
}
