//! A repository on the local disk and the one way to change it.
//!
//! [`Repository::open`] takes the lock, finishes a commit that was interrupted and verifies
//! what is published: the root chain from the local anchor, thresholds, and nothing older than
//! what this key holder signed or saw (`memory`). An edit is planned (`edit`), signed in
//! full and verified as an agent would, before anything visible changes (`commit`).
//!
//! Beside `repository/`, `keys/` and `staged/` (which stays go-tuf's) there is `.fleetpack/`
//! with the lock, the files of a commit and its list of renames.

mod commit;
mod consistent;
mod create;
mod edit;
mod keyring;
mod keys;
mod memory;
mod mirror;
mod pending;
mod prune;
mod remote;
mod rotate;
mod stage;
mod targets;
mod unnamed;

pub use create::{Created, create};
pub use edit::{Signing, Validities};
pub use keyring::Tokens;
pub use keys::{KeyEdit, Listed, ListedRole};
pub(crate) use memory::pin;
pub use memory::{Memory, Seen};
pub use mirror::{Lacking, Mirrored};
pub use pending::{Missing, Outcome, Pending};
pub use prune::{Leftover, Pruned};
pub use remote::{Agreed, Arrived, Other};
pub use rotate::{Rotated, Rotation};
pub use stage::Copies;
pub use targets::{Adding, NewTarget};

use std::io;
use std::path::{Path, PathBuf};

use super::client::{ROOT_LIMIT, SNAPSHOT_LIMIT, TARGETS_LIMIT, TIMESTAMP_LIMIT};
use super::keystore::KeystoreError;
use super::metadata::{MetadataError, Role, Root, Signed};
use super::name::NameError;
use super::trusted::{Expiry, Rejected, Roots, Trusted};
use crate::fs::Lock;
use crate::hint::Hint;

/// Where the parts of a repository lie.
#[derive(Clone, Debug)]
pub struct Layout {
    path: PathBuf,
    keys: Option<PathBuf>,
    state: Option<PathBuf>,
    /// Targets' files are elsewhere.
    sparse: bool,
}

impl Layout {
    /// Below `path`.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            keys: None,
            state: None,
            sparse: false,
        }
    }

    /// With private keys in another folder.
    pub fn with_keys(mut self, folder: Option<PathBuf>) -> Self {
        self.keys = folder;
        self
    }

    /// A working copy that has metadata, and no files of targets but new ones.
    pub fn metadata_only(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// With the memory in another file than `keys/state.json`.
    pub fn with_state(mut self, file: Option<PathBuf>) -> Self {
        self.state = file;
        self
    }

    /// The folder that holds all.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is published.
    pub fn repository(&self) -> PathBuf {
        self.path.join("repository")
    }

    /// Private keys.
    pub fn keys(&self) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| self.path.join("keys"))
    }

    // The folder of keys, where it is not the one below `path`.
    fn separate_keys(&self) -> Option<PathBuf> {
        self.keys
            .clone()
            .filter(|keys| *keys != self.path.join("keys"))
    }

    /// go-tuf's uncommitted work.
    pub fn staged(&self) -> PathBuf {
        self.path.join("staged")
    }

    /// The memory of what was signed or seen.
    pub fn state(&self) -> PathBuf {
        self.state
            .clone()
            .unwrap_or_else(|| self.keys().join("state.json"))
    }

    /// The root that was trusted last here; beside the memory.
    pub fn pinned(&self) -> PathBuf {
        self.state().with_file_name("pinned-root.json")
    }

    fn work(&self) -> PathBuf {
        self.path.join(".fleetpack")
    }

    fn published(&self, file: &str) -> PathBuf {
        self.repository().join(file)
    }
}

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
    /// `init` where something is already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
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
    #[error("the {role} role would have {keys} keys, fewer than the {threshold} that must sign")]
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
    /// Work that another error made vain.
    #[error("it was broken off")]
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
                "fleetpack updates init --path {}, or give the folder that holds repository/ and keys/",
                path.display()
            )),
            Self::Exists(_) => Some("give an empty folder with --path".to_owned()),
            Self::NoNumberedRoot(path) => Some(format!(
                "copy {} back from where the repository is published",
                path.file_name().unwrap_or_default().to_string_lossy()
            )),
            Self::RootDiffers { plain, numbered } => Some(format!(
                "if the chain of N.root.json is right: cp {} {}",
                numbered.display(),
                plain.display()
            )),
            Self::RolledBack { .. } | Self::Forked { .. } => Some(
                "restore the newest copy of repository/, or give the memory that belongs to it with --state FILE"
                    .to_owned(),
            ),
            Self::StateReadOnly { .. } => Some("--state FILE".to_owned()),
            Self::Staged(_) => Some("finish it with `tuf commit`, or drop it with `tuf clean`".to_owned()),
            Self::KeyMismatch { role, .. } => Some(format!(
                "fleetpack updates roots shows the {role} key ids; copy the key file that belongs to them"
            )),
            Self::Invalid { source, .. } | Self::Refused(source) => source.hint(),
            Self::Key(error) => error.hint(),
            Self::NoSuchKey { .. } => Some("fleetpack updates roots shows the key ids".to_owned()),
            Self::NoTarget(_) => Some("fleetpack updates status".to_owned()),
            Self::NoAnchor(_) => Some("--update-roots @root.json".to_owned()),
            Self::BelowThreshold { .. } => Some(
                "give it more keys (rotate --keys N, keys add), or lower its threshold first (keys threshold)"
                    .to_owned(),
            ),
            Self::KeyFileReplaced { path, .. } => Some(format!(
                "keep it elsewhere, then attach again: mv {} …",
                path.display()
            )),
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

pub(crate) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> RepositoryError {
    let what = what.into();
    |source| RepositoryError::Io { what, source }
}

/// What opening found out.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// A commit that had been interrupted was finished.
    pub recovered: bool,
    /// There was no memory: this root's version and sha256 were taken as the anchor.
    pub first_seen: Option<Seen>,
}

/// A repository, locked and verified.
pub struct Repository {
    layout: Layout,
    base: Trusted,
    memory: Memory,
    tokens: Tokens,
    /// The change that was tried last will be seen, whatever went wrong after that.
    decided: bool,
    _lock: Lock,
}

/// Finishes a change that was interrupted after it was decided on; whether there was one.
pub fn finish_interrupted(layout: &Layout) -> Result<bool, RepositoryError> {
    if !commit::interrupted(layout) {
        return Ok(false);
    }
    let path = layout.work().join("lock");
    let _lock = Lock::acquire(&path, || ()).map_err(io_error("lock the repository"))?;
    // It may have been another process at work, which is done now.
    commit::recover(layout)
}

impl Repository {
    /// Opens the repository to change it. `waiting` is called when another process holds it.
    pub fn open(layout: Layout, waiting: impl FnOnce()) -> Result<(Self, Opened), RepositoryError> {
        layout.check_is_one()?;
        let work = layout.work();
        crate::fs::create_folders(&work, 0o755)
            .map_err(io_error(format!("make {}", work.display())))?;
        let lock =
            Lock::acquire(&work.join("lock"), waiting).map_err(io_error("lock the repository"))?;
        let recovered = commit::recover(&layout)?;
        pending::tidy(&layout)?;
        layout.check_staged()?;
        let mut memory = Memory::read(&layout.state())?;
        let base = verify(&layout, &memory)?;
        let first_seen = memory.is_empty().then(|| Seen::of(base.root()));
        if memory.saw(&base)? || !layout.pinned().exists() {
            memory::remember(&layout, &memory, &base)?;
        }
        memory::check_writable(&layout.state())?;
        let repository = Self {
            layout,
            base,
            memory,
            tokens: Tokens::new(),
            decided: false,
            _lock: lock,
        };
        let opened = Opened {
            recovered,
            first_seen,
        };
        Ok((repository, opened))
    }

    /// Keys that lie in no key file here.
    pub fn use_tokens(&mut self, tokens: Tokens) {
        self.tokens = tokens;
    }

    /// What is published, verified; expiry was not looked at.
    pub fn trusted(&self) -> &Trusted {
        &self.base
    }

    /// Where its parts lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// The newest root of a repository, its chain verified; changes nothing and needs no keys.
pub fn read_root(layout: &Layout) -> Result<Signed<Root>, RepositoryError> {
    layout.check_is_one()?;
    let memory = Memory::read(&layout.state())?;
    let roots = verify_roots(layout, &memory)?;
    Ok(roots.root().clone())
}

/// The root that this key holder's memory names: a trust anchor that does not come from the
/// place it is to verify.
pub fn known_root(layout: &Layout) -> Result<Vec<u8>, RepositoryError> {
    layout.check_is_one()?;
    let memory = Memory::read(&layout.state())?;
    let version = memory
        .version(Role::Root)
        .ok_or_else(|| RepositoryError::NoAnchor(layout.state()))?;
    let path = layout.published(&Role::Root.versioned_file(version));
    let bytes = read(&path, ROOT_LIMIT)?;
    memory.check(Role::Root, version, &bytes)?;
    Ok(bytes)
}

impl Layout {
    /// The list of a commit that was interrupted, where there is one.
    pub fn interrupted(&self) -> Option<PathBuf> {
        Some(self.work().join("commit.json")).filter(|path| path.exists())
    }

    fn check_is_one(&self) -> Result<(), RepositoryError> {
        let root = self.published("root.json");
        let numbered = !numbered_roots(&self.repository())
            .unwrap_or_default()
            .is_empty();
        let interrupted = self.work().join("commit.json").exists() || create::interrupted(self);
        match root.exists() || numbered || interrupted {
            true => Ok(()),
            false => Err(RepositoryError::NotARepository {
                path: self.path.clone(),
                missing: root,
            }),
        }
    }

    // go-tuf 0.5.2: `staged` is laid over `repository` by its next commit, so an edit beside
    // it would publish one version twice.
    fn check_staged(&self) -> Result<(), RepositoryError> {
        match first_file(&self.staged()) {
            Ok(None) => Ok(()),
            Ok(Some(file)) => Err(RepositoryError::Staged(file)),
            Err(source) => Err(io_error(format!("read {}", self.staged().display()))(
                source,
            )),
        }
    }
}

fn first_file(folder: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => {
                if let Some(file) = first_file(&entry.path())? {
                    return Ok(Some(file));
                }
            }
            false => return Ok(Some(entry.path())),
        }
    }
    Ok(None)
}

// The versions N of all `N.root.json`, ascending.
pub(super) fn numbered_roots(folder: &Path) -> io::Result<Vec<u64>> {
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".root.json"));
        if let Some(number) = number.and_then(|n| n.parse().ok()) {
            versions.push(number);
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, RepositoryError> {
    crate::fs::read_limited(path, limit)
        .map_err(io_error(format!("read {}", path.display())))?
        .ok_or_else(|| RepositoryError::NoDocument(path.to_owned()))
}

impl Layout {
    // Every published root up to `last`, ascending.
    fn root_chain(&self, last: u64) -> Result<Vec<Vec<u8>>, RepositoryError> {
        let folder = self.repository();
        let versions =
            numbered_roots(&folder).map_err(io_error(format!("read {}", folder.display())))?;
        let versions = versions.into_iter().filter(|version| *version <= last);
        versions
            .map(|version| {
                let path = self.published(&Role::Root.versioned_file(version));
                read(&path, ROOT_LIMIT)
            })
            .collect()
    }
}

// From the remembered root, or the oldest published, to the newest.
fn verify_roots(layout: &Layout, memory: &Memory) -> Result<Roots, RepositoryError> {
    let folder = layout.repository();
    let invalid = |source| RepositoryError::Invalid {
        path: folder.clone(),
        source,
    };
    let versions =
        numbered_roots(&folder).map_err(io_error(format!("read {}", folder.display())))?;
    let plain = layout.published("root.json");
    let plain_bytes = read(&plain, ROOT_LIMIT)?;
    let oldest = match versions.first() {
        Some(oldest) => *oldest,
        None => Signed::<Root>::parse(&plain_bytes).map_or(1, |root| root.version()),
    };
    let first = memory.version(Role::Root).unwrap_or(oldest);
    let last = versions.last().copied().unwrap_or(first).max(first);
    let numbered = |version| layout.published(&Role::Root.versioned_file(version));
    let link = |version| {
        let path = numbered(version);
        match path.exists() {
            true => read(&path, ROOT_LIMIT),
            false => Err(RepositoryError::NoNumberedRoot(path)),
        }
    };
    let mut bytes = link(first)?;
    let mut roots = Roots::anchor(&bytes, Expiry::Ignored).map_err(invalid)?;
    memory.check(Role::Root, first, &bytes)?;
    for version in first + 1..=last {
        bytes = link(version)?;
        roots.accept(&bytes).map_err(invalid)?;
    }
    match plain_bytes == bytes {
        true => Ok(roots),
        false => Err(RepositoryError::RootDiffers {
            plain,
            numbered: numbered(last),
        }),
    }
}

fn verify(layout: &Layout, memory: &Memory) -> Result<Trusted, RepositoryError> {
    let folder = layout.repository();
    let invalid = |source| RepositoryError::Invalid {
        path: folder.clone(),
        source,
    };
    let document = |role: Role, limit| read(&layout.published(&role.file()), limit);
    let roots = verify_roots(layout, memory)?;
    let mut timestamps = roots.finish().map_err(invalid)?;
    let timestamp = document(Role::Timestamp, TIMESTAMP_LIMIT)?;
    timestamps.accept(&timestamp).map_err(invalid)?;
    let mut snapshots = timestamps.finish().map_err(invalid)?;
    let snapshot = document(Role::Snapshot, SNAPSHOT_LIMIT)?;
    snapshots.accept(&snapshot).map_err(invalid)?;
    let mut targets = snapshots.finish().map_err(invalid)?;
    targets
        .accept(&document(Role::Targets, TARGETS_LIMIT)?)
        .map_err(invalid)?;
    targets.finish().map_err(invalid)
}

#[cfg(test)]
mod tests;
