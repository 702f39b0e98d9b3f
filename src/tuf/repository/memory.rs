//! What this key holder signed or saw: version and sha256 of each role's newest document.
//!
//! It lies beside the keys, never in the repository, and is written last. Metadata with a
//! lower version, or the same version with other bytes, are refused: that is how a repository
//! put back to an older state by whoever holds the disk is noticed before it is signed again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::{Layout, RepositoryError};
use crate::tuf::metadata::{Metadata, Role, Signed};
use crate::tuf::trusted::Trusted;

/// Largest state file that is read.
const LIMIT: u64 = 1 << 16;
const LIMIT_ROOT: u64 = crate::tuf::client::ROOT_LIMIT;

/// One document that was signed or seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its version.
    pub version: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

impl Seen {
    /// This document.
    pub fn of<T: Metadata>(document: &Signed<T>) -> Self {
        Self::of_bytes(document.version(), document.bytes())
    }

    /// A document of this version.
    pub fn of_bytes(version: u64, bytes: &[u8]) -> Self {
        Self {
            version,
            sha256: sha256(bytes),
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// The documents that were signed or seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(BTreeMap<String, Seen>);

impl Memory {
    /// From its file; empty when there is none.
    pub fn read(path: &Path) -> Result<Self, RepositoryError> {
        let bytes = crate::fs::read_document(path, LIMIT)
            .map_err(super::io_error(format!("read {}", path.display())))?;
        let Some(bytes) = bytes else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&bytes).map_err(|source| RepositoryError::State {
            path: path.to_owned(),
            source,
        })
    }

    /// Into its file, mode 0600.
    pub fn write(&self, path: &Path) -> Result<(), RepositoryError> {
        let read_only = |source| RepositoryError::StateReadOnly {
            path: path.to_owned(),
            source,
        };
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(io::Error::from)
            .map_err(read_only)?;
        text.push(b'\n');
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        folder
            .map_or(Ok(()), |folder| crate::fs::create_folders(folder, 0o700))
            .and_then(|()| crate::fs::write_atomic(path, &text, 0o600))
            .map_err(read_only)
    }

    /// Whether nothing was seen yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newest of a role's documents.
    pub fn seen(&self, role: Role) -> Option<&Seen> {
        self.0.get(role.name())
    }

    /// Remembers a document.
    pub fn note(&mut self, role: Role, seen: Seen) {
        self.0.insert(role.name().to_owned(), seen);
    }

    /// The newest version of a role's document.
    pub fn version(&self, role: Role) -> Option<u64> {
        self.0.get(role.name()).map(|seen| seen.version)
    }

    /// Refuses what is older, or other under the same version.
    pub fn check(&self, role: Role, version: u64, bytes: &[u8]) -> Result<(), RepositoryError> {
        match self.0.get(role.name()) {
            Some(seen) if version < seen.version => Err(RepositoryError::RolledBack {
                role,
                found: version,
                seen: seen.version,
            }),
            Some(seen) if version == seen.version && sha256(bytes) != seen.sha256 => {
                Err(RepositoryError::Forked { role, version })
            }
            _ => Ok(()),
        }
    }

    /// Checks all four and remembers them; says whether any was news.
    pub fn saw(&mut self, trusted: &Trusted) -> Result<bool, RepositoryError> {
        let mut newer = self.clone();
        for role in Role::ALL {
            let (version, bytes) = (trusted.version(role), trusted.bytes(role));
            self.check(role, version, bytes)?;
            let seen = Seen {
                version,
                sha256: sha256(bytes),
            };
            newer.0.insert(role.name().to_owned(), seen);
        }
        let news = newer != *self;
        *self = newer;
        Ok(news)
    }
}

/// Keeps the memory, and beside it the newest root: what a machine without the repository
/// holds the next one against.
pub(super) fn remember(
    layout: &Layout,
    memory: &Memory,
    trusted: &Trusted,
) -> Result<(), RepositoryError> {
    memory.write(&layout.state())?;
    pin(layout, trusted.root().bytes())
}

/// Writes the pinned root.
pub(crate) fn pin(layout: &Layout, root: &[u8]) -> Result<(), RepositoryError> {
    let path = layout.pinned();
    let same = crate::fs::read_document(&path, LIMIT_ROOT)
        .map_err(super::io_error(format!("read {}", path.display())))?;
    if same.as_deref() == Some(root) {
        return Ok(());
    }
    crate::fs::write_atomic(&path, root, 0o600)
        .map_err(|source| RepositoryError::StateReadOnly { path, source })
}

/// Fails when the memory could not be written later, after the change is visible.
pub(super) fn check_writable(path: &Path) -> Result<(), RepositoryError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).map_err(|source| {
        RepositoryError::StateReadOnly {
            path: path.to_owned(),
            source: source.into(),
        }
    })
}
