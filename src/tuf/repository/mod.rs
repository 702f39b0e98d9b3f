//! A repository on the local disk and the one way to change it.
//!
//! [`Repository::open`] takes the lock, finishes a commit that was interrupted and verifies
//! what is published: the root chain from the local anchor, thresholds, and nothing older than
//! what this key holder signed or saw (`memory`). An edit is planned (`edit`), signed in
//! full and verified as an agent would, before anything visible changes (`commit`).
//!
//! Beside `repository/`, `keys/` and `staged/` (which stays go-tuf's) there is `.fleetpack/`
//! with the lock, the files of a commit and its list of renames.
//!
//! ```
//! use fleetpack::tuf::keystore::{Origin, Passphrase, PassphraseError, Passphrases};
//! use fleetpack::tuf::metadata::Role;
//! use fleetpack::tuf::repository::{
//!     Adding, Layout, NewTarget, Repository, Signing, Tokens, Validities, create,
//! };
//!
//! /// One for all roles: for a demonstration alone.
//! struct Fixed;
//!
//! impl Passphrases for Fixed {
//!     fn existing(&mut self, role: Role, _: bool) -> Result<(Passphrase, Origin), PassphraseError> {
//!         Ok((self.new_one(role)?, Origin::Variable("PASSPHRASE".into())))
//!     }
//!
//!     fn new_one(&mut self, _: Role) -> Result<Passphrase, PassphraseError> {
//!         Ok(Passphrase::new("made up".into()))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let mut signing = Signing {
//!     ask: &mut Fixed,
//!     now: "2026-11-30T12:00:00Z".parse()?,
//!     validities: Validities::default(),
//! };
//! let layout = Layout::new(&folder.join("updates"));
//! create(&layout, &Tokens::new(), &mut signing)?;
//!
//! let program = folder.join("orbit");
//! std::fs::write(&program, "a program")?;
//! let target = NewTarget {
//!     source: program,
//!     known: None,
//!     names: vec!["orbit/linux/1.2.3/orbit".into(), "orbit/linux/stable/orbit".into()],
//!     custom: None,
//! };
//! let (mut repository, _) = Repository::open(layout, || eprintln!("another command is at work"))?;
//! repository.add(&[target], Adding::default(), &mut signing)?;
//! assert_eq!(repository.trusted().targets().version(), 2);
//! # Ok(())
//! # }
//! ```

mod commit;
mod consistent;
mod create;
mod edit;
mod error;
mod keyring;
mod keys;
mod memory;
mod mirror;
mod pending;
mod prune;
mod published;
mod remote;
mod rotate;
mod stage;
mod targets;
mod unnamed;

pub use create::{Created, create};
pub use edit::{Signing, Validities};
pub use error::RepositoryError;
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
use super::metadata::{Role, Root, Signed};
use super::trusted::{Expiry, Roots, Trusted};
use crate::fs::Lock;
use crate::steps;

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

pub(crate) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> RepositoryError {
    let what = what.into();
    |source| RepositoryError::Io { what, source }
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> RepositoryError {
    io_error(format!("read {}", path.display()))
}

// What cannot be looked for is not taken for gone: what is gone is cleared away, made anew, or
// left out of what is signed.
fn exists(path: &Path) -> Result<bool, RepositoryError> {
    crate::fs::exists(path).map_err(reading(path))
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
    if !commit::interrupted(layout)? {
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
        if memory.saw(&base)? || !exists(&layout.pinned())? {
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
    let _phase = steps::phase("verifying");
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
    pub fn interrupted(&self) -> Result<Option<PathBuf>, RepositoryError> {
        let path = self.work().join("commit.json");
        Ok(exists(&path)?.then_some(path))
    }

    fn check_is_one(&self) -> Result<(), RepositoryError> {
        let root = self.published("root.json");
        let numbered = match numbered_roots(&self.repository()) {
            Err(e) if crate::fs::is_absence(&e) => false,
            Err(e) => return Err(reading(&self.repository())(e)),
            Ok(versions) => !versions.is_empty(),
        };
        match numbered || exists(&root)? || commit::interrupted(self)? {
            true => Ok(()),
            false => Err(published::itself(&self.path).unwrap_or_else(|| {
                RepositoryError::NotARepository {
                    path: self.path.clone(),
                    missing: root,
                }
            })),
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
    crate::fs::read_document(path, limit)
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
        match exists(&path)? {
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
    let _phase = steps::phase("verifying");
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
