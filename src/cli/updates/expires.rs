//! How long each role's metadata are valid, for commands that may sign all of them.

use crate::tuf::repository::Validities;
use crate::tuf::time::Validity;

/// The four times.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Expires {
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

impl Expires {
    /// As signing takes them.
    pub fn validities(&self) -> Validities {
        Validities {
            root: self.root_expires,
            targets: self.targets_expires,
            snapshot: self.snapshot_expires,
            timestamp: self.timestamp_expires,
        }
    }
}
