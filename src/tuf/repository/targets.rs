//! Changes of what the targets document lists.
//!
//! Adding copies files in, each read once, while keys are unlocked. Promoting gives a target a
//! further name: its entry is copied with the hashes that were signed, its file by the kernel
//! inside the repository. Removing takes entries out; the files go after the metadata that
//! named them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use super::edit::{Change, Keys, Signing};
use super::stage::{self, Copies, Job, Stage, Staged};
use super::{Repository, RepositoryError, commit};
use crate::fs::{following, joined};
use crate::tuf::client::target_paths;
use crate::tuf::hashes::{Digests, Hashes};
use crate::tuf::metadata::{Role, Signed, TargetFile, Targets};

/// A file to add under one or more names.
#[derive(Clone, Debug)]
pub struct NewTarget {
    /// The file.
    pub source: PathBuf,
    /// Names in the repository.
    pub names: Vec<String>,
    /// Data of the application.
    pub custom: Option<Value>,
}

/// The keys that sign when targets change.
pub(super) struct TargetsKeys {
    targets: Keys,
    snapshot: Keys,
    timestamp: Keys,
}

impl Repository {
    /// Adds files; signs targets, snapshot and timestamp.
    pub fn add(
        &mut self,
        new: &[NewTarget],
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        self.check_names(new.iter().flat_map(|new| &new.names))?;
        let folder = commit::clear_stage(&self.layout)?;
        let (keys, staged) = match self.keys_and_files(new, &folder, signing) {
            Ok(done) => done,
            Err(error) => {
                commit::remove_tree(&folder)?;
                return Err(error);
            }
        };
        let mut targets = self.base.targets().signed.clone();
        for (new, staged) in new.iter().zip(&staged) {
            list(&mut targets, new, staged);
        }
        let files = staged.into_iter().flat_map(|staged| staged.files);
        self.commit_targets(targets, &keys, files.collect(), Vec::new(), signing)
    }

    // Files are copied while passphrases are asked for and keys unlocked.
    fn keys_and_files(
        &self,
        new: &[NewTarget],
        folder: &std::path::Path,
        signing: &mut Signing<'_>,
    ) -> Result<(TargetsKeys, Vec<Staged>), RepositoryError> {
        let stop = AtomicBool::new(false);
        let stage = Stage {
            folder,
            copies: Copies::Separate,
            stop: &stop,
        };
        let consistent = self.consistent();
        let jobs: Vec<_> = new.iter().map(|new| job(new, consistent)).collect();
        let (keys, staged) = std::thread::scope(|scope| {
            let staging = scope.spawn(following(|| stage.copy_all(&jobs)));
            let keys = self.targets_keys(signing);
            stop.fetch_or(keys.is_err(), Ordering::Relaxed);
            (keys, joined(staging))
        });
        Ok((keys?, staged?))
    }

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
        let paths: Vec<_> = files.iter().map(|file| stage.join(file)).collect();
        crate::fs::sync_files(&paths).map_err(super::io_error("write the targets"))?;
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
        let roles = [Role::Targets, Role::Snapshot, Role::Timestamp];
        let [targets, snapshot, timestamp] = self.keys(roles, signing)?;
        Ok(TargetsKeys {
            targets,
            snapshot,
            timestamp,
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
    Copies::Separate.copy(source, target)
}

fn job(new: &NewTarget, consistent: bool) -> Job<'_> {
    Job {
        source: &new.source,
        names: Box::new(move |digests| {
            let file = target_file(digests, None);
            let names = new.names.iter();
            names
                .flat_map(|name| target_paths(name, &file, consistent))
                .map(|path| format!("targets/{path}"))
                .collect()
        }),
    }
}

fn target_file(digests: &Digests, custom: Option<Value>) -> TargetFile {
    TargetFile {
        length: digests.length,
        hashes: Hashes::from_digests(digests),
        custom,
        extra: Map::new(),
    }
}

fn list(targets: &mut Targets, new: &NewTarget, staged: &Staged) {
    for name in &new.names {
        let file = target_file(&staged.digests, new.custom.clone());
        targets.targets.insert(name.clone(), file);
    }
}
