//! Signing away from the repository: a file goes to the machine with the key and comes back.
//!
//! [`Payload`] is that file. [`Payload::review`] holds it against the root that the signing
//! machine has pinned, and against nothing else that the file says: the chain of roots must
//! lead from the pinned one to the base, the base must be signed, the new document must be the
//! next version. What it changes becomes a list of [`Difference`]s; new keys and lower
//! thresholds are signed only when they are named beforehand ([`Allowed`]). [`Machine`] is
//! what the signing machine remembers, beside its keys.

mod machine;
mod payload;
mod review;

pub use machine::Machine;
pub use payload::Payload;
pub use review::{Allowed, Difference, Review};

use std::path::PathBuf;

use super::metadata::{MetadataError, Role};
use super::time::Expires;
use super::trusted::Rejected;

/// A payload that is not to be signed, or cannot be.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// It is no payload.
    #[error("{} is not a payload to sign", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Not a byte may differ from what was written.
    #[error("{} was altered since it was written: its sha256 is another", .0.display())]
    Altered(PathBuf),
    /// A file could not be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// This machine trusts no root yet.
    #[error("this machine has no root pinned: {} does not exist", .0.display())]
    NoPin(PathBuf),
    /// Older than what is pinned here.
    #[error(
        "it builds on root version {base}, but version {pinned} was already trusted on this machine"
    )]
    OldBase {
        /// The version that it builds on.
        base: u64,
        /// The version pinned.
        pinned: u64,
    },
    /// Another root under the version that is pinned.
    #[error("the root version {0} that it builds on is not the one that this machine trusts")]
    AlteredRoot(u64),
    /// The roots do not lead from the pinned one to the base.
    #[error("its roots do not lead on from root version {pinned}, which this machine trusts")]
    Chain {
        /// The version pinned.
        pinned: u64,
        /// The rule that is broken.
        #[source]
        source: Rejected,
    },
    /// The document that it builds on is not signed as it must be.
    #[error("the {0} document that it builds on is not signed by the {0} role's keys")]
    AlteredBase(Role),
    /// Not the next version.
    #[error("its {role} document has version {found}, and the next one is {expected}")]
    Version {
        /// Whose document.
        role: Role,
        /// The version it has.
        found: u64,
        /// The version it must have.
        expected: u64,
    },
    /// A document cannot be read.
    #[error("its {role} document cannot be used")]
    Document {
        /// Whose document.
        role: Role,
        /// Why.
        #[source]
        source: MetadataError,
    },
    /// It lists an older version of a document than its base.
    #[error("it lists {entry} with version {found}, lower than {before} before")]
    Lowered {
        /// The document listed.
        entry: String,
        /// The version it says.
        found: u64,
        /// The version that the base says.
        before: u64,
    },
    /// It trusts keys that its base did not.
    #[error("it gives the {role} role a key that nobody named here: {id}")]
    AddedKey {
        /// Whose key.
        role: String,
        /// Its id.
        id: String,
    },
    /// Fewer keys would suffice.
    #[error("it lowers the threshold of the {role} role from {from} to {to}")]
    LoweredThreshold {
        /// Whose threshold.
        role: String,
        /// Before.
        from: u64,
        /// After.
        to: u64,
    },
    /// Nobody would accept it.
    #[error("its {role} document expired at {since}")]
    Expired {
        /// Whose document.
        role: Role,
        /// When.
        since: Expires,
    },
    /// A newer version was signed here.
    #[error("a newer {role} document, version {signed}, was signed on this machine before")]
    OlderThanSigned {
        /// Whose document.
        role: Role,
        /// The version signed.
        signed: u64,
    },
    /// Something else was signed under this version.
    #[error("another {role} document of version {version} was signed on this machine before")]
    SignedAnother {
        /// Whose document.
        role: Role,
        /// The version.
        version: u64,
    },
    /// What was signed here before cannot be read.
    #[error(transparent)]
    Memory(#[from] Box<super::repository::RepositoryError>),
    /// None of the keys at hand is asked for.
    #[error("no key of the {0} role here is one that is asked to sign")]
    NoKey(Role),
}

impl crate::hint::Hint for CeremonyError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Form { .. } | Self::Altered(_) => Some(
                "fleetpack updates payload ROLE --out FILE writes it again, where the repository is"
                    .to_owned(),
            ),
            Self::NoPin(_) => Some(
                "--trust-root FILE, with the root that you know to be yours: its sha256 by another way"
                    .to_owned(),
            ),
            Self::AddedKey { id, .. } => Some(format!(
                "when its holder told you this id: --allow-key {id}"
            )),
            Self::LoweredThreshold { .. } => Some("--allow-lowered-threshold".to_owned()),
            Self::SignedAnother { .. } => Some(
                "when the earlier one was given up, and is destroyed: --allow-replaced".to_owned(),
            ),
            Self::NoKey(_) => {
                Some("fleetpack updates keys list shows the key ids, where the repository is".to_owned())
            }
            Self::Chain { source, .. } => source.hint(),
            Self::Memory(error) => error.hint(),
            _ => None,
        }
    }
}
