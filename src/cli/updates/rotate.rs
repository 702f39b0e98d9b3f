//! `updates rotate`.

use std::str::FromStr;

use super::expires::Expires;
use super::tokens::{self, Named};
use super::{CliError, Passphrases, Place, Printer, Surroundings, outcome};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Rotation, Signing};

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

    /// Replace this key alone (its id); or use the key of a token (ROLE=pkcs11:…), as a new
    /// key when the role does not have it yet, to sign with when it does
    #[arg(long, value_name = "ID|ROLE=URI")]
    key: Vec<KeyArg>,

    /// Make this many new keys [default: as many as are missing]
    #[arg(long, value_name = "N", requires = "role")]
    keys: Option<u64>,

    /// Roles whose keys others hold: their keys, and those of every role whose documents
    /// agents must forget, are replaced at once, and the old ones sign nothing any more
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    compromised: Vec<Role>,

    #[command(flatten)]
    place: Place,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    expires: Expires,
}

/// A key id, or a token's key.
#[derive(Clone, Debug)]
enum KeyArg {
    Id(String),
    Token(Named),
}

impl FromStr for KeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains('=') {
            true => text.parse().map(Self::Token),
            false => Ok(Self::Id(text.to_owned())),
        }
    }
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
    let (mut ids, mut named) = (Vec::new(), Vec::new());
    for key in args.key {
        match key {
            KeyArg::Id(id) => ids.push(id),
            KeyArg::Token(token) => named.push(token),
        }
    }
    let rotation = match args.role {
        Some(role) => Rotation::Planned {
            role,
            key: ids.pop(),
            new: args.keys,
        },
        None => Rotation::Compromised(args.compromised),
    };
    if !ids.is_empty() {
        return Err(CliError::usage(
            "--key ID names one key of a role that is rotated by itself",
            "fleetpack updates rotate ROLE --key ID",
        ));
    }
    let tokens = tokens::open(&named, surroundings)?;
    let mut repository = args.place.open(printer)?;
    repository.use_tokens(tokens);
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: args.expires.validities(),
    };
    let rotated = repository.rotate(&rotation, &mut signing)?;
    outcome::print(rotated, args.json, printer)
}
