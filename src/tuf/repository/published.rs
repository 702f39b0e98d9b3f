//! The published folder, named in place of the one around it.
//!
//! Whoever makes a repository inside a published folder publishes its private keys.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{RepositoryError, numbered_roots};
use crate::tuf::client::TIMESTAMP_LIMIT;
use crate::tuf::metadata::Role;

/// What is wrong with `path` as the folder of a repository, when it is what one publishes.
pub(super) fn itself(path: &Path) -> Option<RepositoryError> {
    is_published(path).then(|| RepositoryError::Published {
        path: path.to_owned(),
        around: around(path),
    })
}

/// The same where `path`, which need not exist yet, lies anywhere inside one.
pub(super) fn within(path: &Path) -> Option<RepositoryError> {
    if let Some(error) = itself(path) {
        return Some(error);
    }
    // Of what is not there, the nearest folder that is.
    let real = path
        .ancestors()
        .find_map(|folder| here(folder).canonicalize().ok())?;
    let folder = real.ancestors().find(|folder| is_published(folder))?;
    Some(RepositoryError::Published {
        path: path.to_owned(),
        around: around(folder),
    })
}

/// Whether clients find a repository here. Key files have the same names as documents, and a
/// `root.json` alone may be the anchor that somebody keeps.
fn is_published(folder: &Path) -> bool {
    let timestamp = folder.join(Role::Timestamp.file());
    let timestamp = crate::fs::read_document(&timestamp, TIMESTAMP_LIMIT)
        .ok()
        .flatten();
    let signed = timestamp
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .is_some_and(|value| value.get("signed").is_some());
    let roots = || numbered_roots(folder).is_ok_and(|numbered| !numbered.is_empty());
    signed || (folder.join(Role::Root.file()).is_file() && roots())
}

fn around(published: &Path) -> Option<PathBuf> {
    let is_named = |path: &Path| path.file_name().is_some_and(|name| name == "repository");
    if is_named(published) {
        return published.parent().map(|parent| here(parent).to_owned());
    }
    let real = published
        .canonicalize()
        .ok()
        .filter(|real| is_named(real))?;
    match published == Path::new(".") {
        true => Some("..".into()),
        false => real.parent().map(Path::to_owned),
    }
}

// The parent of a single name is no path.
fn here(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}
