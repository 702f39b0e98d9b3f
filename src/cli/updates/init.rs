//! `updates init`.

use super::{CliError, Passphrases, Place, Printer, Surroundings, outcome};
use crate::tuf::repository::{self, Rotated, Signing, Validities};
use crate::tuf::time::Validity;

/// What follows `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,

    /// Take the role's key from a token, in place of a new key file (ROLE=pkcs11:…)
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<super::tokens::Named>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

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

/// Makes the repository and prints its key ids.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let tokens = super::tokens::open(&args.key, surroundings)?;
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
    let created = repository::create(&args.place.layout(), &tokens, &mut signing)?;
    let created = Rotated {
        generated: created.keys,
        ..Rotated::default()
    };
    outcome::print(created, args.json, printer)
}
