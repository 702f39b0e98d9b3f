//! Why a document is not to be trusted, in a sentence that names it, and the way out.

use super::hashes::HashMismatch;
use super::metadata::MetadataError;
use super::time::Expires;

/// A document that is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// It could not be read.
    #[error("{document} cannot be used")]
    Unreadable {
        /// Its file name.
        document: String,
        /// Why.
        #[source]
        source: MetadataError,
    },
    /// Not enough keys signed it.
    #[error(
        "{document} carries {have} valid signature{} by the {role} keys of root version {root}, needed {}",
        if *have == 1 { "" } else { "s" },
        if *need == 1 { "is 1".to_owned() } else { format!("are {need}") }
    )]
    Threshold {
        /// Its file name.
        document: String,
        /// Whose keys were asked.
        role: String,
        /// Different keys with a valid signature.
        have: u64,
        /// The threshold.
        need: u64,
        /// Version of the root that lists the keys.
        root: u64,
    },
    /// Older than what was already trusted.
    #[error(
        "{document} has version {offered}, but version {trusted} was already trusted: it was rolled back"
    )]
    Rollback {
        /// Its file name.
        document: String,
        /// The version it has.
        offered: u64,
        /// The version trusted before.
        trusted: u64,
    },
    /// Not the version that it must be.
    #[error("{document} has version {found}, expected was version {expected}")]
    Version {
        /// Its file name.
        document: String,
        /// The version it has.
        found: u64,
        /// The version it must have.
        expected: u64,
    },
    /// A newer snapshot no longer lists a document.
    #[error("snapshot.json no longer lists {entry}")]
    Vanished {
        /// The document.
        entry: String,
    },
    /// A document does not say what it must about another.
    #[error("{document} does not list {entry}")]
    NotListed {
        /// The document.
        document: String,
        /// What is missing.
        entry: String,
    },
    /// Longer or shorter than said.
    #[error("{document} is {found} bytes long, and not {expected} as its metadata say")]
    Length {
        /// Its file name.
        document: String,
        /// The length it has.
        found: u64,
        /// The length it must have.
        expected: u64,
    },
    /// Other content than said.
    #[error("{document} is not the file that was signed")]
    Hash {
        /// Its file name.
        document: String,
        /// Which hash differs.
        #[source]
        source: HashMismatch,
    },
    /// Its time is over.
    #[error("{document} expired at {since}")]
    Expired {
        /// Its file name.
        document: String,
        /// When.
        since: Expires,
    },
}

impl crate::hint::Hint for Rejected {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable {
                source: MetadataError::KeyList,
                ..
            } => Some("fleetpack updates roots".to_owned()),
            Self::Expired { document, .. } if document == "timestamp.json" => {
                Some("on the repository's side: fleetpack updates timestamp".to_owned())
            }
            Self::Expired { document, .. } if document == "root.json" => {
                Some("on the repository's side: fleetpack updates rotate root".to_owned())
            }
            Self::Expired { .. } => {
                Some("on the repository's side: fleetpack updates add".to_owned())
            }
            _ => None,
        }
    }
}
