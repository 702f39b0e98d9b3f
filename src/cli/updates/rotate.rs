//! `updates rotate`.

use std::str::FromStr;

use super::{CliError, Passphrases, Place, Printer, Surroundings};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Rotation, Signing, Validities};
use crate::tuf::time::Validity;

/// What follows `rotate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Role whose keys are replaced: root, targets, snapshot or timestamp
    #[arg(
        value_name = "ROLE",
        required_unless_present = "compromised",
        conflicts_with = "compromised"
    )]
    role: Option<Role>,

    /// Replace this key alone
    #[arg(long, value_name = "ID", requires = "role")]
    key: Option<String>,

    /// Make this many new keys [default: as many as are missing]
    #[arg(long, value_name = "N", requires = "role")]
    keys: Option<u64>,

    /// Roles whose keys others hold: their keys, and those of every role whose documents
    /// agents must forget, are replaced at once, and the old ones sign nothing any more
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    compromised: Vec<Role>,

    #[command(flatten)]
    place: Place,

    /// How long the root metadata are valid
    #[arg(long, value_name = "TIME", default_value = "10y")]
    root_expires: Validity,

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

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Role::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| "roles are root, targets, snapshot and timestamp".to_owned())
    }
}

/// Replaces the keys and prints the new ones' ids.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let mut repository = args.place.open(printer)?;
    let rotation = match args.role {
        Some(role) => Rotation::Planned {
            role,
            key: args.key,
            new: args.keys,
        },
        None => Rotation::Compromised(args.compromised),
    };
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: Validities {
            root: args.root_expires,
            targets: args.targets_expires,
            snapshot: args.snapshot_expires,
            timestamp: args.timestamp_expires,
        },
    };
    let rotated = repository.rotate(&rotation, &mut signing)?;
    for (role, id) in rotated.revoked {
        printer.result(format!("Revoked {role} key with ID: {id}"))?;
    }
    for (role, id) in rotated.generated {
        printer.result(format!("Generated {role} key with ID: {id}"))?;
    }
    Ok(())
}
