//! What can go wrong between a client and a repository, and the way out.

use std::io;

use crate::hint::{Hint, word};
use crate::store::StoreError;
use crate::tuf::hashes::HashMismatch;
use crate::tuf::trusted::Rejected;

/// A refresh or a download failed. What was trusted before still is.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The repository cannot be trusted.
    #[error("the repository at {place} cannot be trusted")]
    Rejected {
        /// Path or URL.
        place: String,
        /// The rule that was broken.
        #[source]
        source: Rejected,
    },
    /// The trust anchor cannot be used.
    #[error("the root metadata to start from cannot be used")]
    Anchor(#[source] Rejected),
    /// A document could not be fetched.
    #[error("cannot fetch {document} from the repository")]
    Fetch {
        /// Which one.
        document: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A body ended early or broke, on every try.
    #[error("{document} was cut off after {received} bytes")]
    CutOff {
        /// Which one.
        document: String,
        /// Bytes received in all.
        received: u64,
        /// Why, where that is known.
        #[source]
        source: Option<io::Error>,
    },
    /// Larger than anything allowed.
    #[error(
        "{document} of the repository at {place} is larger than the {limit} bytes that are read"
    )]
    TooLarge {
        /// Path or URL.
        place: String,
        /// Which one.
        document: String,
        /// The limit.
        limit: u64,
    },
    /// Longer than what was signed says.
    #[error(
        "{document} of the repository at {place} is longer than the {expected} bytes that its metadata say"
    )]
    TooLong {
        /// Path or URL.
        place: String,
        /// Which one.
        document: String,
        /// The length that it must have.
        expected: u64,
    },
    /// The repository has no such target.
    #[error("the repository at {place} has no target {name}")]
    NoTarget {
        /// Path or URL.
        place: String,
        /// The target.
        name: String,
    },
    /// A target is not what was signed.
    #[error("the target {name} is not the file that was signed")]
    Target {
        /// The target.
        name: String,
        /// Which hash differs.
        #[source]
        source: HashMismatch,
    },
    /// A target has another length than was signed.
    #[error("the target {name} is not the {expected} bytes long that were signed")]
    TargetLength {
        /// The target.
        name: String,
        /// The length signed.
        expected: u64,
    },
    /// A target could not be written.
    #[error("cannot store the target {name}")]
    Store {
        /// The target.
        name: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The client's memory could not be used.
    #[error("cannot keep the client's state in {}", folder.display())]
    State {
        /// The folder.
        folder: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A target was asked for before a refresh.
    #[error("the repository's metadata were not fetched yet")]
    NotRefreshed,
}

impl Hint for ClientError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Rejected { source, .. } | Self::Anchor(source) => source.hint(),
            Self::Fetch {
                source: StoreError::Status { status: 403, .. },
                document,
            } if document.ends_with("root.json") => Some(
                "s3:ListBucket for readers: without it S3 answers 403 for a missing file, where agents need 404".to_owned(),
            ),
            Self::Fetch { source, document } if document == "timestamp.json" => match source {
                StoreError::NotFound(_) => Some(
                    "give the folder where `ls root.json timestamp.json` finds both, such as …/repository"
                        .to_owned(),
                ),
                other => other.hint(),
            },
            Self::Fetch { source, document } => answering(source, document).or_else(|| source.hint()),
            // Both grow with the number of targets.
            Self::TooLarge { document, .. }
                if document.ends_with("targets.json") || document.ends_with("snapshot.json") =>
            {
                Some("on the repository's side: fleetpack updates prune".to_owned())
            }
            Self::TooLarge {
                place, document, ..
            } => {
                let read = if place.contains("://") { "curl" } else { "cat" };
                let place = place.trim_end_matches('/');
                Some(format!("{read} {place}/{document} | head -c 300 shows what is there"))
            }
            Self::TooLong { .. } => Some(
                "on the repository's side: fleetpack updates verify, then fleetpack updates publish DEST".to_owned(),
            ),
            Self::State { .. } => Some("--state-dir DIR, or --no-state".to_owned()),
            _ => None,
        }
    }
}

// Whether the server answers is asked of a document that it has: the next root is rarely there.
fn answering(error: &StoreError, document: &str) -> Option<String> {
    let StoreError::Transport { url, .. } = error else {
        return None;
    };
    let base = url
        .strip_suffix(document)
        .filter(|_| document.ends_with(".root.json"))?;
    Some(format!(
        "curl -I {}",
        word(&format!("{base}timestamp.json"))
    ))
}
