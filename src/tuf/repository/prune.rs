//! Deletes what no metadata name any more: replaced and removed targets, numbered documents
//! that newer ones followed.
//!
//! A client that refreshed a moment ago, or a cache in front of the repository, may still ask
//! for it; so a file stays until it has been unnamed for some time. Root documents stay for
//! good: clients walk from one to the next (TUF 5.3). Files of other kinds are not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use super::commit::{self, Commit};
use super::targets::named;
use super::unnamed::Unnamed;
use super::{Repository, RepositoryError, io_error};
use crate::steps;
use crate::tuf::metadata::Role;
use crate::tuf::state::quoted;

/// A published file that nothing names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Where it lies, relative to `repository/`.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Since when nothing names it.
    pub since: Timestamp,
}

/// What pruning found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Deleted, or to be deleted.
    pub removed: Vec<Leftover>,
    /// Not unnamed for long enough.
    pub waiting: Vec<Leftover>,
}

impl Repository {
    /// Deletes what was unnamed before `limit`; a dry run changes nothing.
    pub fn prune(&mut self, limit: Timestamp, dry_run: bool) -> Result<Pruned, RepositoryError> {
        let phase = steps::phase("searching");
        let mut found = self.unnamed_documents()?;
        let mut notes = Unnamed::read(&self.layout)?;
        found.extend(self.unnamed_targets(&mut notes)?);
        drop(phase);
        let (removed, waiting): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|file| file.since <= limit);
        let pruned = Pruned { removed, waiting };
        if dry_run {
            return Ok(pruned);
        }
        let _phase = steps::phase("deleting");
        notes.keep(&pruned.waiting.iter().map(|f| f.file.clone()).collect());
        notes.write(&self.layout)?;
        if !pruned.removed.is_empty() {
            commit::clear_stage(&self.layout)?;
            let removals = pruned.removed.iter().map(|file| file.file.clone());
            let commit = Commit {
                removals: removals.collect(),
                ..Commit::default()
            };
            commit::run(&self.layout, &commit)?;
        }
        Ok(pruned)
    }

    fn unnamed_targets(&self, notes: &mut Unnamed) -> Result<Vec<Leftover>, RepositoryError> {
        let consistent = self.consistent();
        let mut all = named(&self.base.targets().signed, consistent);
        for document in self.delegated_documents()?.values() {
            all.extend(named(&document.signed, consistent));
        }
        let top = self.layout.published("targets");
        let mut files = BTreeMap::new();
        walk(&top, "targets", &mut files).map_err(io_error(format!("read {}", top.display())))?;
        // Whatever is not named by these targets has not been since they were published.
        let then = changed(&self.layout.published(&Role::Targets.file()))?;
        let unnamed = files.into_iter().filter(|(file, _)| !all.contains(file));
        let leftovers = unnamed.map(|(file, bytes)| Leftover {
            since: notes.since(&file, then),
            file,
            bytes,
        });
        Ok(leftovers.collect())
    }

    // Numbered documents below the newest; unnamed since the next one appeared.
    fn unnamed_documents(&self) -> Result<Vec<Leftover>, RepositoryError> {
        let folder = self.layout.repository();
        let failed = || io_error(format!("read {}", folder.display()));
        let mut newest = BTreeMap::from([(
            Role::Snapshot.name().to_owned(),
            self.base.version(Role::Snapshot),
        )]);
        for (file, meta) in &self.base.snapshot().signed.meta {
            let role = file.strip_suffix(".json").unwrap_or(file);
            newest.insert(quoted(role), meta.version);
        }
        newest.remove(Role::Root.name());
        let mut versions: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            if let Some((version, role)) = name.to_str().and_then(numbered)
                && newest.contains_key(role)
            {
                versions.entry(role.to_owned()).or_default().insert(version);
            }
        }
        let mut leftovers = Vec::new();
        for (role, versions) in &versions {
            let path = |version| self.layout.published(&format!("{version}.{role}.json"));
            let current = newest.get(role).copied().unwrap_or(u64::MAX);
            for (version, next) in versions.iter().zip(versions.iter().skip(1)) {
                if *version >= current {
                    break;
                }
                let metadata = path(*version).metadata().map_err(failed())?;
                leftovers.push(Leftover {
                    file: format!("{version}.{role}.json"),
                    bytes: metadata.len(),
                    since: changed(&path(*next))?,
                });
            }
        }
        Ok(leftovers)
    }
}

// `12.targets.json` is version 12 of `targets`.
fn numbered(name: &str) -> Option<(u64, &str)> {
    let (version, rest) = name.split_once('.')?;
    Some((version.parse().ok()?, rest.strip_suffix(".json")?))
}

// Regular files with their lengths; a name that is no text cannot be a target's.
fn walk(folder: &Path, prefix: &str, files: &mut BTreeMap<String, u64>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        let name = format!("{prefix}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), &name, files)?;
        } else if kind.is_file() {
            files.insert(name, entry.metadata()?.len());
        }
    }
    Ok(())
}

fn changed(path: &Path) -> Result<Timestamp, RepositoryError> {
    let time = path.metadata().and_then(|metadata| metadata.modified());
    let time = time.map_err(io_error(format!("read {}", path.display())))?;
    Timestamp::try_from(time).or_else(|_| {
        Timestamp::try_from(SystemTime::now())
            .map_err(std::io::Error::other)
            .map_err(io_error("read the clock"))
    })
}
