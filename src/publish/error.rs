//! Why nothing, or not everything, was published.

use crate::hint::Hint;
use crate::store::StoreError;
use crate::store::object::ObjectError;
use crate::tuf::metadata::Role;
use crate::tuf::repository::RepositoryError;
use crate::tuf::trusted::Rejected;

/// A publication failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The destination could not be read or written.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// This copy of the repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file at the destination while it was read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another repository lies there.
    #[error("{place} holds another repository: its {document} is not ours")]
    Foreign {
        /// The destination.
        place: String,
        /// The document that differs.
        document: String,
        /// Whether ours was there before.
        ours_before: bool,
    },
    /// The destination was put back.
    #[error(
        "{place} was rolled back: its {role}.json has version {found}, but version {seen} was seen there before"
    )]
    RolledBack {
        /// The destination.
        place: String,
        /// Whose document.
        role: Role,
        /// The version it has.
        found: u64,
        /// The version seen.
        seen: u64,
    },
    /// Another document under a version that was seen.
    #[error(
        "{role}.json version {version} at {place} is not the document that was seen there before"
    )]
    Forked {
        /// The destination.
        place: String,
        /// Whose document.
        role: Role,
        /// The version.
        version: u64,
    },
    /// What lies there is not valid.
    #[error("the metadata at {place} are not valid")]
    Invalid {
        /// The destination.
        place: String,
        /// The rule that is broken.
        #[source]
        source: Rejected,
    },
    /// A document that publishing does not leave behind: not even half of it.
    #[error(
        "{place} was changed from outside: its {document} is {found}, and its metadata name version {named}"
    )]
    Replaced {
        /// The destination.
        place: String,
        /// The document.
        document: String,
        /// What is there: `version 3`, or `no metadata`.
        found: String,
        /// The version that belongs there.
        named: u64,
    },
    /// Half of a repository.
    #[error("{place} has no {document}, but other metadata")]
    Incomplete {
        /// The destination.
        place: String,
        /// What is missing.
        document: String,
    },
    /// What was seen there is not there any more.
    #[error("{0} held this repository before, and has no timestamp.json now")]
    Gone(String),
    /// Nothing is there.
    #[error("there is no repository at {0}")]
    Nothing(String),
    /// Both copies changed the same targets.
    #[error("this copy and the destination both changed {}", .0.join(", "))]
    Conflict(Vec<String>),
    /// A target without its file.
    #[error("the file of the target {0} is neither here nor at the destination")]
    NoFile(String),
    /// A target's file is another one.
    #[error("the file of the target {0} here is not the one that was signed")]
    WrongFile(String),
    /// What was written is not what is there.
    #[error("{0} was written, and something else was read back")]
    ReadBack(String),
    /// Changes here that are not published.
    #[error("this copy has changes that {0} does not have")]
    Unpublished(String),
    /// A status page, a journal or a memory could not be written down.
    #[error("cannot make {0}")]
    Make(
        &'static str,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
    /// Something was put right, and has to be read again.
    #[error("the destination changed during every attempt to publish")]
    Again,
    /// What was to be copied is gone: another publisher finished first.
    #[error("another publisher took away what was to be copied")]
    SourceGone,
    /// Caches gave old copies for too long.
    #[error("the public address still gives an older {}", .0.join(", "))]
    Stale(Vec<String>),
    /// The address that agents use gives something else.
    #[error("the public address fails {0} of the tests that agents depend on")]
    Public(usize),
}

impl PublishError {
    /// Whether a publication that is under way looks like this.
    pub(super) fn may_be_halfway(&self) -> bool {
        matches!(
            self,
            Self::Invalid { .. } | Self::Replaced { .. } | Self::Incomplete { .. }
        )
    }

    pub(super) fn is_lost_race(&self) -> bool {
        matches!(
            self,
            Self::Object(ObjectError::Lost { .. }) | Self::Again | Self::SourceGone
        )
    }
}

impl Hint for PublishError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Object(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Foreign {
                ours_before: false,
                place,
                ..
            } => Some(format!(
                "fleetpack updates publish {}/PREFIX",
                place.trim_end_matches('/')
            )),
            Self::Foreign { place, .. }
            | Self::RolledBack { place, .. }
            | Self::Forked { place, .. }
            | Self::Invalid { place, .. }
            | Self::Replaced { place, .. }
            | Self::Gone(place)
            | Self::Incomplete { place, .. } => Some(format!(
                "fleetpack updates publish {place} --repair, on a host that has the files, puts its copy in the place of all that; somebody else can write there"
            )),
            Self::Conflict(_) => Some("--prefer local, or --prefer remote".into()),
            Self::NoFile(_) => Some("fleetpack updates pull".into()),
            Self::Nothing(place) | Self::Unpublished(place) => {
                Some(format!("fleetpack updates publish {place}"))
            }
            Self::WrongFile(_) => Some("fleetpack updates verify".into()),
            _ => None,
        }
    }
}
