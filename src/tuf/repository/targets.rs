//! Changes of what the targets document lists.
//!
//! Adding copies files in, each read once, while keys are unlocked. Promoting gives a target a
//! further name: its entry is copied with the hashes that were signed, its file by the kernel
//! inside the repository. Removing takes entries out. With consistent snapshots the files of
//! what is no longer listed stay for clients that are on their way, until `prune`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use super::edit::{Change, Signing};
use super::keyring::{Keyring, Keys};
use super::pending::{Edit, Outcome};
use super::stage::{self, Copies, Job, Stage, Staged};
use super::unnamed::Unnamed;
use super::{Repository, RepositoryError, commit, exists, io_error};
use crate::fs::{following, joined};
use crate::tuf::client::target_paths;
use crate::tuf::hashes::{Digests, Hashes};
use crate::tuf::metadata::{Role, Signed, TargetFile, Targets};

/// A file to add under one or more names.
#[derive(Clone, Debug)]
pub struct NewTarget {
    /// The file.
    pub source: PathBuf,
    /// What it is known to hold, if it is ours to move: see [`Repository::incoming`].
    pub known: Option<Digests>,
    /// Names in the repository.
    pub names: Vec<String>,
    /// Data of the application.
    pub custom: Option<Value>,
}

/// How files are added, and what else is done in the same change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Adding {
    /// How a content gets its second name.
    pub copies: Copies,
    /// Entries without a sha256 or sha512 get it, from their files.
    pub rehash: bool,
}

/// The keys that sign when targets change.
pub(super) struct TargetsKeys {
    targets: Keys,
    snapshot: Keys,
    timestamp: Keys,
}

impl Repository {
    /// Adds files; signs targets, snapshot and timestamp. Gives back the names whose entries
    /// were completed.
    pub fn add(
        &mut self,
        new: &[NewTarget],
        adding: Adding,
        signing: &mut Signing<'_>,
    ) -> Result<Vec<String>, RepositoryError> {
        self.check_no_pending()?;
        self.check_names(new.iter().flat_map(|new| &new.names))?;
        let mut targets = self.base.targets().signed.clone();
        let incomplete = match adding.rehash {
            true => self.incomplete(new)?,
            false => Vec::new(),
        };
        if new.is_empty() && incomplete.is_empty() {
            return Ok(Vec::new());
        }
        let folder = commit::clear_stage(&self.layout)?;
        let prepared = self.prepare(new, adding.copies, &folder, &incomplete, signing);
        let (keys, files) = match prepared.and_then(|prepared| {
            let files = self.list(&mut targets, new, &incomplete, prepared.files)?;
            Ok((prepared.keys, files))
        }) {
            Ok(done) => done,
            Err(error) => {
                commit::remove_tree(&folder)?;
                return Err(error);
            }
        };
        self.commit_targets(targets, keys, files, Vec::new(), signing)?;
        Ok(incomplete.into_iter().map(|(name, _)| name).collect())
    }

    // Files are copied while passphrases are asked for and keys unlocked.
    fn prepare(
        &self,
        new: &[NewTarget],
        copies: Copies,
        folder: &Path,
        incomplete: &[(String, PathBuf)],
        signing: &mut Signing<'_>,
    ) -> Result<Prepared, RepositoryError> {
        let stop = AtomicBool::new(false);
        let stage = Stage {
            folder,
            copies,
            stop: &stop,
        };
        let (groups, jobs) = self.jobs(new);
        let paths: Vec<_> = incomplete.iter().map(|(_, path)| path.clone()).collect();
        let (keys, files) = std::thread::scope(|scope| {
            let work = || -> Result<Files, RepositoryError> {
                Ok(Files {
                    groups,
                    staged: stage.copy_all(&jobs)?,
                    hashed: stage::hash_all(&paths)?,
                })
            };
            let staging = scope.spawn(following(work));
            let keys = self.targets_keys(signing);
            stop.fetch_or(keys.is_err(), Ordering::Relaxed);
            (keys, joined(staging))
        });
        Ok(Prepared {
            keys: keys?,
            files: files?,
        })
    }

    // One job for each file, however often it is given; which job is each target's.
    fn jobs<'a>(&self, new: &'a [NewTarget]) -> (Vec<usize>, Vec<Job<'a>>) {
        let mut seen: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        let mut sources: Vec<(&NewTarget, Vec<&'a String>)> = Vec::new();
        let mut groups = Vec::new();
        for new in new {
            let metadata = std::fs::metadata(&new.source);
            let identity = metadata.ok().map(|m| (m.dev(), m.ino()));
            let next = sources.len();
            let group = identity.map_or(next, |identity| *seen.entry(identity).or_insert(next));
            match sources.get_mut(group) {
                Some((_, names)) => names.extend(&new.names),
                None => sources.push((new, new.names.iter().collect())),
            }
            groups.push(group);
        }
        let consistent = self.consistent();
        let jobs = sources.into_iter().map(|(new, names)| Job {
            source: &new.source,
            known: new.known.as_ref(),
            names: Box::new(move |digests| {
                let file = target_file(digests, None);
                let names = names.iter();
                names
                    .flat_map(|name| places(name, &file, consistent))
                    .collect()
            }),
        });
        (groups, jobs.collect())
    }

    // Entries of new files, and of old ones that were hashed anew; the files to publish.
    fn list(
        &self,
        targets: &mut Targets,
        new: &[NewTarget],
        incomplete: &[(String, PathBuf)],
        files: Files,
    ) -> Result<Vec<String>, RepositoryError> {
        let stage = self.layout.work().join("stage");
        for (new, group) in new.iter().zip(files.groups) {
            let Some(staged) = files.staged.get(group) else {
                continue;
            };
            for name in &new.names {
                let file = target_file(&staged.digests, new.custom.clone());
                targets.targets.insert(name.clone(), file);
            }
        }
        let mut published: Vec<String> = files.staged.into_iter().flat_map(|s| s.files).collect();
        let mut copied = Vec::new();
        for ((name, path), digests) in incomplete.iter().zip(files.hashed) {
            let Some(target) = targets.targets.get_mut(name) else {
                continue;
            };
            check_content(name, target, &digests)?;
            target.hashes.complete(&digests);
            for place in places(name, target, self.consistent()) {
                if !exists(&self.layout.published(&place))? {
                    let to = stage.join(&place);
                    stage::make_parents_unsynced(&to)?;
                    Copies::Separate.copy(path, &to)?;
                    copied.push(to);
                    published.push(place);
                }
            }
        }
        crate::fs::sync_files(&copied).map_err(io_error("write the targets"))?;
        Ok(published)
    }

    // Listed targets that lack a hash and are not replaced, with their files.
    fn incomplete(&self, new: &[NewTarget]) -> Result<Vec<(String, PathBuf)>, RepositoryError> {
        let replaced = |name: &String| new.iter().any(|new| new.names.contains(name));
        let listed = self.base.targets().signed.targets.iter();
        let incomplete = listed
            .filter(|(name, target)| target.hashes.known().count() < 2 && !replaced(name))
            .map(|(name, target)| Ok((name.clone(), self.file_of(name, target)?)));
        incomplete.collect()
    }

    /// Lists targets under further names, each `(from, to)`.
    pub fn promote(
        &mut self,
        pairs: &[(String, String)],
        copies: Copies,
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        self.check_names(pairs.iter().map(|(_, to)| to))?;
        let keys = self.targets_keys(signing)?;
        let mut targets = self.base.targets().signed.clone();
        let mut sources: BTreeMap<String, (PathBuf, u64)> = BTreeMap::new();
        for (from, to) in pairs {
            let target = self.listed(from)?.clone();
            // Where the files are elsewhere, they are copied there.
            if !self.layout.sparse {
                let source = self.file_of(from, &target)?;
                for place in places(to, &target, self.consistent()) {
                    sources.insert(place, (source.clone(), target.length));
                }
            }
            targets.targets.insert(to.clone(), target);
        }
        let stage = commit::clear_stage(&self.layout)?;
        let mut files = Vec::new();
        for (to, (source, length)) in sources {
            let copied = copy(&source, length, copies, &stage.join(&to));
            if let Err(error) = copied {
                commit::remove_tree(&stage)?;
                return Err(error);
            }
            files.push(to);
        }
        let paths: Vec<_> = files.iter().map(|file| stage.join(file)).collect();
        crate::fs::sync_files(&paths).map_err(io_error("write the targets"))?;
        self.commit_targets(targets, keys, files, Vec::new(), signing)
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
            self.listed(name)?;
            targets.targets.remove(name);
            // Where names have no hashes, whoever asks for it would not find it listed either.
            if !self.consistent() {
                removals.push(format!("targets/{name}"));
            }
        }
        let keys = self.targets_keys(signing)?;
        commit::clear_stage(&self.layout)?;
        self.commit_targets(targets, keys, Vec::new(), removals, signing)
    }

    fn listed(&self, name: &str) -> Result<&TargetFile, RepositoryError> {
        let found = self.base.targets().signed.targets.get(name);
        found.ok_or_else(|| RepositoryError::NoTarget(name.to_owned()))
    }

    pub(super) fn consistent(&self) -> bool {
        self.base.root().signed.consistent_snapshot
    }

    /// Where a listed target's bytes are.
    pub(super) fn file_of(
        &self,
        name: &str,
        target: &TargetFile,
    ) -> Result<PathBuf, RepositoryError> {
        for place in places(name, target, self.consistent()) {
            let path = self.layout.published(&place);
            if exists(&path)? && path.is_file() {
                return Ok(path);
            }
        }
        Err(RepositoryError::NoTargetFile(name.to_owned()))
    }

    pub(super) fn targets_keys(
        &self,
        signing: &mut Signing<'_>,
    ) -> Result<TargetsKeys, RepositoryError> {
        self.check_no_pending()?;
        let roles = [Role::Targets, Role::Snapshot, Role::Timestamp];
        let [targets, snapshot, timestamp] = self.keys(roles, signing)?;
        Ok(TargetsKeys {
            targets,
            snapshot,
            timestamp,
        })
    }

    /// Signs a new targets document and what names it, and publishes them with the staged
    /// `files`; `removals` go last. Where signatures are missing, all of it waits.
    pub(super) fn commit_targets(
        &mut self,
        mut targets: Targets,
        keys: TargetsKeys,
        files: Vec<String>,
        removals: Vec<String>,
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let mut before = named(&self.base.targets().signed, self.consistent());
        before.retain(|file| !removals.contains(file));
        let after = named(&targets, self.consistent());
        Unnamed::update(&self.layout, &before, &after, signing.now)?;
        self.head(&mut targets, signing)?;
        let root = &self.base.root().signed;
        let targets: Signed<Targets> = keys.targets.sign(&targets, &[root])?;
        let edit = Edit {
            what: "a change of targets".to_owned(),
            change: Change {
                targets: Some(targets),
                removals,
                ..Change::default()
            },
            roles: BTreeSet::from([Role::Targets, Role::Snapshot, Role::Timestamp]),
            files,
            ..Edit::default()
        };
        let mut ring = Keyring::new(self.tokens.clone())
            .with(keys.targets)
            .with(keys.snapshot)
            .with(keys.timestamp);
        match self.settle(edit, &mut ring, signing)? {
            Outcome::Published => Ok(()),
            Outcome::Held(missing) => Err(RepositoryError::Held(missing)),
        }
    }
}

// What signing a change of targets needs.
struct Prepared {
    keys: TargetsKeys,
    files: Files,
}

struct Files {
    /// The place in `staged` of each new target.
    groups: Vec<usize>,
    staged: Vec<Staged>,
    /// Digests of the files of incomplete entries.
    hashed: Vec<Digests>,
}

/// The files that a target is published as, relative to `repository/`: where clients look for
/// it, and under its plain name for all else.
pub(super) fn places(name: &str, target: &TargetFile, consistent: bool) -> Vec<String> {
    let mut paths = target_paths(name, target, consistent);
    if consistent {
        paths.push(name.to_owned());
    }
    paths.iter().map(|path| format!("targets/{path}")).collect()
}

/// All files that a targets document names.
pub(super) fn named(targets: &Targets, consistent: bool) -> BTreeSet<String> {
    let all = targets.targets.iter();
    all.flat_map(|(name, target)| places(name, target, consistent))
        .collect()
}

// A published file is still the one that was signed.
pub(super) fn check_content(
    name: &str,
    target: &TargetFile,
    found: &Digests,
) -> Result<(), RepositoryError> {
    match target.length == found.length && target.hashes.verify(found).is_ok() {
        true => Ok(()),
        false => Err(RepositoryError::OtherTargetFile(name.to_owned())),
    }
}

// The hashes stay those that were signed; a file of another length cannot be theirs.
fn copy(source: &Path, length: u64, copies: Copies, target: &Path) -> Result<(), RepositoryError> {
    let found = File::open(source).and_then(|file| file.metadata());
    let found = found.map_err(io_error(format!("read {}", source.display())))?;
    if found.len() != length {
        return Err(RepositoryError::Source {
            path: source.to_owned(),
            reason: "it is not the file that was signed",
        });
    }
    stage::make_parents_unsynced(target)?;
    copies.copy(source, target)
}

fn target_file(digests: &Digests, custom: Option<Value>) -> TargetFile {
    TargetFile {
        length: digests.length,
        hashes: Hashes::from_digests(digests),
        custom,
        extra: Map::new(),
    }
}
