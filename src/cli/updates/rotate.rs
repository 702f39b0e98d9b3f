//! `updates rotate`.

use std::path::PathBuf;
use std::str::FromStr;

use super::expires::Expires;
use super::tokens::{self, Named};
use super::{At, CliError, Passphrases, Printer, Surroundings, outcome};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Rotation, Signing};

const EXAMPLES: &str = "\
Examples:
  fleetpack updates rotate timestamp --path updates
  fleetpack updates rotate --compromised targets --path updates";

/// What follows `rotate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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

    /// Make this many new keys [default: as many as are missing]; or the folder with the key
    /// files [default: keys/ below --path], ./5 when its name is a number
    #[arg(long, value_name = "N|DIR")]
    keys: Vec<Keys>,

    /// Roles whose keys others hold: their keys, and those of every role whose documents
    /// agents must forget, are replaced at once, and the old ones sign nothing any more
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    compromised: Vec<Role>,

    #[command(flatten)]
    at: At,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    expires: Expires,
}

/// How many, or where they lie.
#[derive(Clone, Debug)]
enum Keys {
    Count(u64),
    Folder(PathBuf),
}

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("it is a number or a folder".to_owned()),
            text => Ok(text
                .parse()
                .map_or_else(|_| Self::Folder(text.into()), Self::Count)),
        }
    }
}

impl Args {
    /// Where the repository is, with the folder of keys taken in.
    pub(super) fn at(&mut self) -> &mut At {
        for keys in &self.keys {
            if let Keys::Folder(folder) = keys {
                self.at.keys = Some(folder.clone());
            }
        }
        &mut self.at
    }

    fn count(&self) -> Result<Option<u64>, CliError> {
        let counts = self.keys.iter().filter_map(|keys| match keys {
            Keys::Count(count) => Some(*count),
            Keys::Folder(_) => None,
        });
        let counts: Vec<u64> = counts.collect();
        match (&counts[..], self.role) {
            ([], _) => Ok(None),
            ([count], Some(_)) => Ok(Some(*count)),
            ([_], None) => Err(CliError::usage(
                "--keys N belongs to one role, and --compromised replaces as many keys as there were",
                "fleetpack updates rotate ROLE --keys N",
            )),
            (_, _) => Err(CliError::usage(
                "--keys N is given twice",
                "fleetpack updates rotate ROLE --keys N",
            )),
        }
    }
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
    let count = args.count()?;
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
            new: count,
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
    let mut repository = args.at.open(printer)?;
    repository.use_tokens(tokens);
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: args.expires.validities(),
    };
    let rotated = repository.rotate(&rotation, &mut signing)?;
    outcome::print(rotated, args.json, printer)
}
