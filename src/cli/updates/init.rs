//! `updates init`.

use super::expires::Expires;
use super::{CliError, Passphrases, Place, Printer, Surroundings, outcome};
use crate::tuf::repository::{self, Rotated, Signing};

const EXAMPLES: &str = "\
Examples:
  fleetpack updates init --path updates
  fleetpack updates init --path updates \\
    --key 'root=pkcs11:token=fleet;object=root'";

/// What follows `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub(super) place: Place,

    /// Take the role's key from a token, in place of a new key file (ROLE=pkcs11:…)
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<super::tokens::Named>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    expires: Expires,
}

/// Makes the repository and prints its key ids.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let tokens = super::tokens::open(&args.key, surroundings)?;
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: args.expires.validities(),
    };
    let created = repository::create(&args.place.layout(), &tokens, &mut signing)?;
    let created = Rotated {
        generated: created.keys,
        ..Rotated::default()
    };
    outcome::print(created, args.json, printer)
}
