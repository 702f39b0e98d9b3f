//! What can be wrong with a repository or with a change of it, and the way out of each.
//!
//! One enum for the whole room: whoever reads or edits a repository says it here. An error
//! means that nothing visible changed, unless its sentence says otherwise.

use std::io;
use std::path::PathBuf;

use super::super::keystore::KeystoreError;
use super::super::metadata::{MetadataError, Role};
use super::super::name::NameError;
use super::super::trusted::Rejected;
use super::Missing;
use crate::hint::{Hint, word};

/// A repository could not be read or changed; nothing visible changed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is none.
    #[error("{} is not an update repository: {} does not exist", path.display(), missing.display())]
    NotARepository {
        /// What was opened.
        path: PathBuf,
        /// What every repository has.
        missing: PathBuf,
    },
    /// What a repository publishes, in place of the folder around it.
    #[error(
        "{} is or lies in what a repository publishes, and is not the folder that holds its repository/ and keys/",
        path.display()
    )]
    Published {
        /// What was named.
        path: PathBuf,
        /// The folder that holds `repository/` and `keys/`, where it can be told.
        around: Option<PathBuf>,
    },
    /// `init` where something is already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// `init` with keys or a memory where there are some already.
    #[error("{} exists already", .0.display())]
    ExistsElsewhere(PathBuf),
    /// A link of the root chain is missing.
    #[error("the root metadata cannot be verified: {} does not exist", .0.display())]
    NoNumberedRoot(PathBuf),
    /// `root.json` is not the end of the chain.
    #[error("{} is not the same as {}", plain.display(), numbered.display())]
    RootDiffers {
        /// `root.json`.
        plain: PathBuf,
        /// The newest `N.root.json`.
        numbered: PathBuf,
    },
    /// A document is missing.
    #[error("{} does not exist", .0.display())]
    NoDocument(PathBuf),
    /// What is published is not valid.
    #[error("the metadata in {} are not valid", path.display())]
    Invalid {
        /// The folder.
        path: PathBuf,
        /// The rule that is broken.
        #[source]
        source: Rejected,
    },
    /// The planned change would not be accepted by agents.
    #[error("the change was not made: agents would refuse it")]
    Refused(#[source] Rejected),
    /// A document would grow beyond what agents read.
    #[error(
        "the change was not made: {document} would be {length} bytes long, more than the {limit} that agents read"
    )]
    TooLarge {
        /// Which one.
        document: String,
        /// Its length.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// Older than what was signed or seen.
    #[error(
        "the repository was rolled back: {role}.json has version {found}, but version {seen} was signed or seen here before"
    )]
    RolledBack {
        /// Whose document.
        role: Role,
        /// The version it has.
        found: u64,
        /// The version remembered.
        seen: u64,
    },
    /// Another document under a version that was seen.
    #[error(
        "{role}.json version {version} is not the document that was signed or seen here before"
    )]
    Forked {
        /// Whose document.
        role: Role,
        /// The version.
        version: u64,
    },
    /// The memory cannot be read.
    #[error("{} is not a state file", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The memory could not be kept afterwards.
    #[error("{} cannot be written, and what is signed must be remembered", path.display())]
    StateReadOnly {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// go-tuf left work behind.
    #[error("{} holds work of another tool that was not committed", .0.display())]
    Staged(PathBuf),
    /// No key in the file is the role's.
    #[error("no key in {} is a {role} key of this repository", path.display())]
    KeyMismatch {
        /// Whose key.
        role: Role,
        /// The key file.
        path: PathBuf,
    },
    /// Not all the keys that must sign.
    #[error("the {role} role needs {need} signatures, and {} holds {have} of its keys", path.display())]
    TooFewKeys {
        /// Whose key.
        role: Role,
        /// The key file.
        path: PathBuf,
        /// Keys there.
        have: u64,
        /// The threshold.
        need: u64,
    },
    /// A key to revoke that the role does not have.
    #[error("the {role} role has no key {id}")]
    NoSuchKey {
        /// Whose key.
        role: Role,
        /// The id asked for.
        id: String,
    },
    /// A key file that is not the one to which a waiting edit added its keys.
    #[error(
        "{} was replaced while the edit waited, and the new {role} keys would take its place",
        path.display()
    )]
    KeyFileReplaced {
        /// Whose keys.
        role: Role,
        /// The file.
        path: PathBuf,
    },
    /// A role would have fewer keys than must sign.
    #[error(
        "the {role} role would have {keys} key{}, fewer than the {threshold} that must sign",
        if *keys == 1 { "" } else { "s" }
    )]
    BelowThreshold {
        /// Whose keys.
        role: Role,
        /// Keys it would have.
        keys: u64,
        /// The threshold.
        threshold: u64,
    },
    /// A threshold that no number of keys can meet.
    #[error("a threshold of 0 would trust anybody")]
    NoThreshold,
    /// A key that the role has already.
    #[error("the {role} role has the key {id} already")]
    KeyThere {
        /// Whose key.
        role: Role,
        /// Its id.
        id: String,
    },
    /// A public key that agents cannot use.
    #[error("the key cannot be added: {0}")]
    KeyType(String),
    /// An edit waits for signatures.
    #[error("another edit waits for signatures: {what}")]
    Pending {
        /// What it is.
        what: String,
    },
    /// This edit does.
    #[error("nothing is published yet: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Held(Vec<Missing>),
    /// The repository has moved on.
    #[error("the edit that waits, {what}, builds on metadata that are no longer the newest")]
    PendingStale {
        /// What it is.
        what: String,
    },
    /// `pending/edit.json` cannot be read.
    #[error("{} is not an edit that waits for signatures", path.display())]
    PendingForm {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// No edit waits.
    #[error("no edit waits for signatures")]
    NothingPending,
    /// The edit has no such document, or not yet.
    #[error("the edit that waits has no {role} document to sign")]
    NothingToSign {
        /// Whose document.
        role: Role,
    },
    /// What was signed is not what waits.
    #[error("the {role} document that was signed is not the one that waits")]
    OtherEdit {
        /// Whose document.
        role: Role,
    },
    /// A signature that is none.
    #[error("the signature by {id} is not one of the {role} role's keys over this document")]
    BadSignature {
        /// Whose document.
        role: Role,
        /// The key id that it names.
        id: String,
    },
    /// A target that is not listed.
    #[error("the repository has no target {0}")]
    NoTarget(String),
    /// A target that is listed and not there.
    #[error("the file of the target {0} is missing")]
    NoTargetFile(String),
    /// A target whose file is another.
    #[error("the file of the target {0} is not the one that was signed")]
    OtherTargetFile(String),
    /// Nothing says which root is to be trusted.
    #[error("nothing here says which root to trust: {} does not exist", .0.display())]
    NoAnchor(PathBuf),
    /// A key file could not be used.
    #[error(transparent)]
    Key(#[from] KeystoreError),
    /// A name that agents cannot ask for.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Two names that one disk cannot hold.
    #[error("the target name {new} collides with {existing}")]
    Collision {
        /// The name to add.
        new: String,
        /// A name that is there.
        existing: String,
    },
    /// A file to add that is none.
    #[error("cannot add {}: {reason}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A list of unfinished work that fleetpack did not write.
    #[error("{} names {name:?}, which no unfinished work of fleetpack leads to: nothing was done", list.display())]
    Stray {
        /// The list.
        list: PathBuf,
        /// What it names.
        name: String,
    },
    /// Unfinished work would write over a file.
    #[error("{} exists already, and is not what the repository in {} that waits to be made would put there", file.display(), new.display())]
    InTheWay {
        /// The file.
        file: PathBuf,
        /// Where the new one lies.
        new: PathBuf,
    },
    /// A link among the published folders.
    #[error("{} is a link, and a change below it would be made outside the repository", .0.display())]
    Linked(PathBuf),
    /// Work that another error made vain.
    #[error("the change was broken off")]
    Stopped,
    /// The operating system refused.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A document could not be made.
    #[error("cannot make the {role} metadata")]
    Make {
        /// Whose document.
        role: Role,
        /// Why.
        #[source]
        source: MetadataError,
    },
    /// A date beyond the calendar.
    #[error("the {0} metadata would expire after the end of the calendar")]
    Calendar(Role),
}

impl From<MetadataError> for RepositoryError {
    fn from(source: MetadataError) -> Self {
        let role = match &source {
            MetadataError::Form { role, .. } => *role,
            MetadataError::Type { expected, .. } => *expected,
            _ => Role::Targets,
        };
        Self::Make { role, source }
    }
}

impl Hint for RepositoryError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotARepository { path, .. } => Some(format!(
                "fleetpack updates init --path {}, or --path DIR, the folder that holds repository/ and keys/",
                word(&path.display().to_string())
            )),
            Self::Published { around, .. } => Some(match around {
                Some(around) => format!("--path {}", word(&around.display().to_string())),
                None => "--path DIR, the folder that holds repository/ and keys/".to_owned(),
            }),
            Self::Exists(_) => Some("--path DIR, an empty folder".to_owned()),
            Self::ExistsElsewhere(_) => Some(
                "--keys DIR and --state FILE in folders that belong to no repository, or fleetpack updates status with the same flags when an init was interrupted".to_owned(),
            ),
            Self::NoNumberedRoot(path) => Some(format!(
                "curl -o {} URL/{}, from where the repository is published",
                path.display(),
                path.file_name().unwrap_or_default().to_string_lossy()
            )),
            Self::RootDiffers { plain, numbered } => Some(format!(
                "if the chain of N.root.json is right: cp {} {}",
                numbered.display(),
                plain.display()
            )),
            Self::RolledBack { .. } | Self::Forked { .. } => Some(
                "--state FILE, the memory that belongs to this repository, or else the newest copy of repository/ in its place"
                    .to_owned(),
            ),
            Self::StateReadOnly { .. } => Some("--state FILE".to_owned()),
            Self::Staged(_) => Some("`tuf commit` finishes it, `tuf clean` drops it".to_owned()),
            Self::KeyMismatch { role, .. } => Some(format!(
                "fleetpack updates roots shows the {role} key ids; copy the key file that belongs to them"
            )),
            Self::Invalid { source, .. } | Self::Refused(source) => source.hint(),
            Self::Key(error) => error.hint(),
            Self::NoSuchKey { .. } => Some("fleetpack updates keys list".to_owned()),
            Self::NoTarget(_) => Some("fleetpack updates status".to_owned()),
            Self::NoAnchor(_) => Some("--update-roots @root.json".to_owned()),
            Self::BelowThreshold { role, .. } => Some(format!(
                "fleetpack updates rotate {role} --keys N gives it more keys, fleetpack updates keys threshold {role} N lowers what it needs"
            )),
            Self::KeyFileReplaced { path, .. } => Some(format!(
                "mv {} KEPT, then attach again",
                path.display()
            )),
            Self::Stray { list, .. } => Some(format!(
                "mv {0} {0}.stray, once you know who wrote it",
                list.display()
            )),
            Self::InTheWay { .. } => Some(
                "--keys and --state as they were given to fleetpack updates init".to_owned(),
            ),
            Self::Linked(path) => {
                let link = path.display();
                Some(format!("cp -RL {link} {link}.new && rm {link} && mv {link}.new {link}"))
            }
            waiting => waiting.waiting_hint(),
        }
    }
}

impl RepositoryError {
    // About an edit that waits for signatures.
    fn waiting_hint(&self) -> Option<String> {
        match self {
            Self::Pending { .. } | Self::PendingStale { .. } => Some(
                "fleetpack updates pending shows it, fleetpack updates pending drop gives it up".to_owned(),
            ),
            Self::Held(missing) => missing.first().map(|missing| {
                format!(
                    "fleetpack updates payload {} writes what is to be signed; fleetpack updates pending drop gives the edit up",
                    missing.role
                )
            }),
            Self::NothingToSign { .. } => Some("fleetpack updates pending".to_owned()),
            Self::OtherEdit { role } => Some(format!(
                "fleetpack updates payload {role} writes the one that waits"
            )),
            _ => None,
        }
    }
}
