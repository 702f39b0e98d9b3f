//! Changes of what the targets document lists, without new bytes from outside.
//!
//! Promoting gives a target a further name: its entry is copied with the hashes that were
//! signed, its file by the kernel inside the repository. Removing takes entries out; the files
//! go after the metadata that named them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use super::edit::{Change, Keys, Signing};
use super::{Repository, RepositoryError, commit, stage};
use crate::tuf::client::target_paths;
use crate::tuf::metadata::{Role, Signed, TargetFile, Targets};

/// The keys that sign when targets change.
pub(super) struct TargetsKeys {
    targets: Keys,
    snapshot: Keys,
    timestamp: Keys,
}

impl Repository {
    /// Lists targets under further names, each `(from, to)`.
    pub fn promote(
        &mut self,
        pairs: &[(String, String)],
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        self.check_names(pairs.iter().map(|(_, to)| to))?;
        let keys = self.targets_keys(signing)?;
        let mut targets = self.base.targets().signed.clone();
        let mut copies: BTreeMap<String, (PathBuf, u64)> = BTreeMap::new();
        for (from, to) in pairs {
            let target = self.listed(from)?.clone();
            for (to, source) in self.copies(from, to, &target)? {
                copies.insert(to, (source, target.length));
            }
            targets.targets.insert(to.clone(), target);
        }
        let stage = commit::clear_stage(&self.layout)?;
        let mut files = Vec::new();
        for (to, (source, length)) in copies {
            let copied = copy(&source, length, &stage.join(&to));
            if let Err(error) = copied {
                commit::remove_tree(&stage)?;
                return Err(error);
            }
            files.push(to);
        }
        self.commit_targets(targets, &keys, files, Vec::new(), signing)
    }

    /// Takes targets out.
    pub fn remove(
        &mut self,
        names: &[String],
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let mut targets = self.base.targets().signed.clone();
        let mut removals = Vec::new();
        for name in names {
            let target = self.listed(name)?.clone();
            targets.targets.remove(name);
            let paths = target_paths(name, &target, self.consistent());
            removals.extend(paths.into_iter().map(|path| format!("targets/{path}")));
        }
        let keys = self.targets_keys(signing)?;
        commit::clear_stage(&self.layout)?;
        self.commit_targets(targets, &keys, Vec::new(), removals, signing)
    }

    fn listed(&self, name: &str) -> Result<&TargetFile, RepositoryError> {
        let found = self.base.targets().signed.targets.get(name);
        found.ok_or_else(|| RepositoryError::NoTarget(name.to_owned()))
    }

    fn consistent(&self) -> bool {
        self.base.root().signed.consistent_snapshot
    }

    // The files that a target has under its new name, and where their bytes are.
    fn copies(
        &self,
        from: &str,
        to: &str,
        target: &TargetFile,
    ) -> Result<Vec<(String, PathBuf)>, RepositoryError> {
        let place = |path: String| format!("targets/{path}");
        let source = target_paths(from, target, self.consistent())
            .into_iter()
            .map(|path| self.layout.published(&place(path)))
            .find(|path| path.is_file());
        let source = source.ok_or_else(|| RepositoryError::NoTargetFile(from.to_owned()))?;
        let names = target_paths(to, target, self.consistent()).into_iter();
        Ok(names.map(|path| (place(path), source.clone())).collect())
    }

    pub(super) fn targets_keys(
        &self,
        signing: &mut Signing<'_>,
    ) -> Result<TargetsKeys, RepositoryError> {
        Ok(TargetsKeys {
            targets: self.keys(Role::Targets, signing)?,
            snapshot: self.keys(Role::Snapshot, signing)?,
            timestamp: self.keys(Role::Timestamp, signing)?,
        })
    }

    /// Signs a new targets document and what names it, and publishes them with the staged
    /// `files`; `removals` go last.
    pub(super) fn commit_targets(
        &mut self,
        mut targets: Targets,
        keys: &TargetsKeys,
        files: Vec<String>,
        removals: Vec<String>,
        signing: &Signing<'_>,
    ) -> Result<(), RepositoryError> {
        self.head(&mut targets, signing)?;
        let targets: Signed<Targets> = keys.targets.sign(&targets)?;
        let snapshot = self.plan_snapshot(Some(&targets), signing)?;
        let snapshot = keys.snapshot.sign(&snapshot)?;
        let timestamp = self.plan_timestamp(Some(&snapshot), signing)?;
        let change = Change {
            timestamp: Some(keys.timestamp.sign(&timestamp)?),
            targets: Some(targets),
            snapshot: Some(snapshot),
            removals,
            ..Change::default()
        };
        self.publish(&change, files, signing.now)
    }
}

// The hashes stay those that were signed; a file of another length cannot be theirs.
fn copy(
    source: &std::path::Path,
    length: u64,
    target: &std::path::Path,
) -> Result<(), RepositoryError> {
    let found = File::open(source).and_then(|file| file.metadata());
    let found = found.map_err(super::io_error(format!("read {}", source.display())))?;
    if found.len() != length {
        return Err(RepositoryError::Source {
            path: source.to_owned(),
            reason: "it is not the file that was signed",
        });
    }
    stage::make_parents(target)?;
    stage::copy_plain(source, target)
}
