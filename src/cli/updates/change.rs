//! What all changes of targets share on the command line.

use super::{CliError, Passphrases, Place, Printer, Surroundings, tokens};
use crate::tuf::repository::{Copies, Repository, Signing, Validities};
use crate::tuf::time::Validity;

/// Place, times of validity, and how the result is told.
#[derive(Debug, clap::Args)]
pub struct Change {
    #[command(flatten)]
    pub(super) place: Place,

    /// Sign with the key of a token (ROLE=pkcs11:…)
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<tokens::Named>,

    /// How long the targets metadata are valid
    #[arg(long, value_name = "TIME", default_value = "3y")]
    targets_expires: Validity,

    /// How long the snapshot metadata are valid
    #[arg(long, value_name = "TIME", default_value = "3y")]
    snapshot_expires: Validity,

    /// How long the timestamp metadata are valid
    #[arg(long, value_name = "TIME", default_value = "14d")]
    timestamp_expires: Validity,

    /// Print what was done as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Change {
    /// The times of validity.
    pub fn validities(&self) -> Validities {
        Validities {
            targets: self.targets_expires,
            snapshot: self.snapshot_expires,
            timestamp: self.timestamp_expires,
            ..Validities::default()
        }
    }

    /// Opens the repository for the change.
    pub fn open(
        self,
        surroundings: &Surroundings,
        printer: &Printer,
    ) -> Result<Repository, CliError> {
        let tokens = tokens::open(&self.key, surroundings)?;
        let mut repository = self.place.open(printer)?;
        repository.use_tokens(tokens);
        Ok(repository)
    }
}

/// How one content gets several names.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Linking {
    /// Give one file all its names, where contents are copied otherwise (sharing blocks where
    /// the disk can): saves room, but tools that write into a file change all of them
    #[arg(long)]
    hard_links: bool,
}

impl Linking {
    /// The repository's word for it.
    pub fn copies(self) -> Copies {
        match self.hard_links {
            true => Copies::HardLinks,
            false => Copies::Separate,
        }
    }
}

/// Runs `act` with what signing needs.
pub fn signing<T>(
    surroundings: &Surroundings,
    printer: &Printer,
    validities: Validities,
    act: impl FnOnce(&mut Signing<'_>) -> T,
) -> T {
    act(&mut Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities,
    })
}
