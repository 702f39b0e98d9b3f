//! `updates keys`: which keys each role has, how many must sign, and their passphrases.

use std::path::PathBuf;

use serde::Serialize;

use super::expires::Expires;
use super::{
    At, CliError, NewPassphrases, Passphrases, Place, Printer, Reach, Surroundings, outcome,
};
use crate::tuf::key::Key;
use crate::tuf::keystore::Keystore;
use crate::tuf::metadata::Role;
use crate::tuf::repository::{KeyEdit, ListedRole, Outcome, RepositoryError, Signing};

/// Largest file of a public key.
const LIMIT: u64 = 1 << 16;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates keys list --path updates
  fleetpack updates keys add root colleague.pem --path updates
  fleetpack updates keys threshold root 2 --path updates";

/// What follows `keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the keys of every role
    List(List),
    /// Give a role more keys
    Add(Add),
    /// Take a key from a role
    Revoke(Revoke),
    /// Seal a role's key file with another passphrase
    Passphrase(Passphrase),
    /// Say how many of a role's keys must sign
    Threshold(Threshold),
}

const LIST: &str = "\
Examples:
  fleetpack updates keys list --path updates";

#[derive(Debug, clap::Args)]
#[command(after_help = LIST)]
struct List {
    #[command(flatten)]
    place: Place,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the changes of a role's keys share.
#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    place: Place,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    expires: Expires,
}

const ADD: &str = "\
Examples:
  fleetpack updates keys add timestamp --new 1 --path updates
  fleetpack updates keys add root colleague.pem --path updates";

#[derive(Debug, clap::Args)]
#[command(after_help = ADD)]
struct Add {
    /// Role: root, targets, snapshot or timestamp
    #[arg(value_name = "ROLE")]
    role: Role,

    /// Files of public keys (PEM, or TUF's JSON object): ed25519, ECDSA P-256 or RSA
    #[arg(value_name = "FILE", required_unless_present_any = ["new", "key"])]
    public: Vec<PathBuf>,

    /// Make this many new keys, into the role's key file
    #[arg(long, value_name = "N", default_value_t = 0)]
    new: u64,

    /// Add the key of a token: ROLE=pkcs11:…
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<super::tokens::Named>,

    #[command(flatten)]
    change: Change,
}

const REVOKE: &str = "\
Examples:
  fleetpack updates keys revoke targets $KEY_ID --path updates";

#[derive(Debug, clap::Args)]
#[command(after_help = REVOKE)]
struct Revoke {
    /// Role: root, targets, snapshot or timestamp
    #[arg(value_name = "ROLE")]
    role: Role,

    /// Id of the key
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    change: Change,
}

const THRESHOLD: &str = "\
Examples:
  fleetpack updates keys threshold root 2 --path updates";

#[derive(Debug, clap::Args)]
#[command(after_help = THRESHOLD)]
struct Threshold {
    /// Role: root, targets, snapshot or timestamp
    #[arg(value_name = "ROLE")]
    role: Role,

    /// How many of its keys must sign
    #[arg(value_name = "N")]
    count: u64,

    #[command(flatten)]
    change: Change,
}

const PASSPHRASE: &str = "\
Examples:
  fleetpack updates keys passphrase targets --path updates";

#[derive(Debug, clap::Args)]
#[command(after_help = PASSPHRASE)]
struct Passphrase {
    /// Role: root, targets, snapshot or timestamp
    #[arg(value_name = "ROLE")]
    role: Role,

    #[command(flatten)]
    place: Place,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Where the repository is, and what is needed of it.
    pub(super) fn place(&mut self) -> (&mut At, Reach) {
        match &mut self.command {
            Command::List(args) => (args.place.at(), Reach::Read),
            Command::Add(args) => (args.change.place.at(), Reach::Metadata),
            Command::Revoke(args) => (args.change.place.at(), Reach::Metadata),
            Command::Threshold(args) => (args.change.place.at(), Reach::Metadata),
            Command::Passphrase(args) => (args.place.at(), Reach::Keys),
        }
    }
}

/// Lists or changes keys.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    match args.command {
        Command::List(args) => list(args, printer),
        Command::Add(args) => {
            let public = args.public.iter().map(|path| public_key(path));
            let edit = KeyEdit::Add {
                role: args.role,
                public: public.collect::<Result<_, _>>()?,
                new: args.new,
            };
            change(edit, &args.key, args.change, surroundings, printer)
        }
        Command::Revoke(args) => {
            let edit = KeyEdit::Revoke {
                role: args.role,
                id: args.id,
            };
            change(edit, &[], args.change, surroundings, printer)
        }
        Command::Threshold(args) => {
            let edit = KeyEdit::Threshold {
                role: args.role,
                keys: args.count,
            };
            change(edit, &[], args.change, surroundings, printer)
        }
        Command::Passphrase(args) => passphrase(args, surroundings, printer),
    }
}

fn public_key(path: &std::path::Path) -> Result<Key, CliError> {
    let bytes = crate::fs::read_limited(path, LIMIT)?.ok_or_else(|| {
        std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!("{} does not exist", path.display()),
        )
    })?;
    let text = String::from_utf8_lossy(&bytes);
    Key::from_text(&text)
        .map_err(|why| RepositoryError::KeyType(format!("{}: {why}", path.display())).into())
}

fn change(
    edit: KeyEdit,
    tokens: &[super::tokens::Named],
    args: Change,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let tokens = super::tokens::open(tokens, surroundings)?;
    let mut repository = args.place.open(printer)?;
    repository.use_tokens(tokens);
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: args.expires.validities(),
    };
    let done = repository.change_keys(&edit, &mut signing)?;
    if let (KeyEdit::Threshold { role, keys }, Outcome::Published, false) =
        (&edit, &done.outcome, args.json)
    {
        printer.result(format!(
            "{keys} of the {role} keys must sign from this root on"
        ))?;
    }
    outcome::print_as("Added", done, args.json, printer)
}

#[derive(Debug, Serialize)]
struct Roles {
    roles: Vec<ListedRole>,
}

fn list(args: List, printer: &Printer) -> Result<(), CliError> {
    let roles = args.place.looked_at(printer).list_keys()?;
    if args.json {
        return outcome::as_json(&Roles { roles }, printer);
    }
    for role in roles {
        let file = match role.file {
            None => "no key file here",
            Some(true) => "key file, sealed",
            Some(false) => "key file, NOT sealed",
        };
        printer.result(format!(
            "{}: {} of {} must sign; {file}",
            role.role,
            role.threshold,
            role.keys.len()
        ))?;
        for key in role.keys {
            printer.result(format!("  {}  {}", key.id, key.keytype))?;
        }
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Sealed {
    role: Role,
    keys: usize,
}

fn passphrase(
    args: Passphrase,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let role = args.role;
    let layout = args.place.layout();
    let _lock = layout.lock_keys(role)?;
    let store = Keystore::new(&layout.keys());
    let mut ask = Passphrases::new(surroundings, printer);
    let (keys, _) = store.open(role, &mut ask).map_err(RepositoryError::from)?;
    let new = NewPassphrases::new(surroundings, printer)
        .new_one(role)
        .map_err(|error| RepositoryError::from(crate::tuf::keystore::KeystoreError::from(error)))?;
    store
        .save(role, &keys, &new)
        .map_err(RepositoryError::from)?;
    match args.json {
        true => outcome::as_json(
            &Sealed {
                role,
                keys: keys.len(),
            },
            printer,
        ),
        false => printer.result(format!(
            "{} is sealed by the new passphrase",
            store.path(role).display()
        )),
    }
}
