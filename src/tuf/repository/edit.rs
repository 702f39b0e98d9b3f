//! Changes of a repository: plan, sign in full, verify as an agent would, commit.
//!
//! snapshot.json and timestamp.json are derived from what changed. Which targets there are is
//! decided in `targets`.

use std::collections::BTreeMap;

use jiff::Timestamp as Instant;
use serde_json::Map;

use super::commit::{self, Commit, Rename};
use super::keyring::Keys;
use super::{Repository, RepositoryError, memory};
use crate::steps;
use crate::tuf::client::{ROOT_LIMIT, SNAPSHOT_LIMIT, TARGETS_LIMIT, TIMESTAMP_LIMIT};
use crate::tuf::hashes::{Digests, Hashes};
use crate::tuf::keystore::{Keystore, Passphrases};
use crate::tuf::metadata::{MetaFile, Metadata, Role, Root, Signed, Snapshot, Targets, Timestamp};
use crate::tuf::name;
use crate::tuf::time::Validity;
use crate::tuf::trusted::{Expiry, Rejected, Roots, Trusted};

/// How long each role's metadata are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validities {
    /// Of root; fleetctl's default is ten years.
    pub root: Validity,
    /// Of targets; three years.
    pub targets: Validity,
    /// Of snapshot; three years.
    pub snapshot: Validity,
    /// Of timestamp; fourteen days.
    pub timestamp: Validity,
}

impl Default for Validities {
    fn default() -> Self {
        Self {
            root: Validity::Years(10),
            targets: Validity::Years(3),
            snapshot: Validity::Years(3),
            timestamp: Validity::Days(14),
        }
    }
}

/// What signing needs from outside.
pub struct Signing<'a> {
    /// Passphrases.
    pub ask: &'a mut dyn Passphrases,
    /// The time of signing.
    pub now: Instant,
    /// How long the signed is valid.
    pub validities: Validities,
}

/// What a published document is to the document above it.
pub(super) fn meta_of<T: Metadata>(document: &Signed<T>) -> MetaFile {
    let digests = Digests::of(document.bytes());
    MetaFile {
        length: Some(digests.length),
        hashes: Hashes::from_digests(&digests),
        version: document.version(),
        extra: Map::new(),
    }
}

/// The new documents of a change; what did not change is the base's.
#[derive(Default)]
pub(super) struct Change {
    pub root: Option<Signed<Root>>,
    /// The new root is published before the rest: after a compromise.
    pub root_first: bool,
    pub targets: Option<Signed<Targets>>,
    pub snapshot: Option<Signed<Snapshot>>,
    pub timestamp: Option<Signed<Timestamp>>,
    /// Files that go when nothing names them any more, relative to `repository/`.
    pub removals: Vec<String>,
    /// It waited in `pending/`, where its new files lie.
    pub held: bool,
}

impl Repository {
    /// The keys of these roles, in their order, at least one of each; a wrong passphrase shows
    /// before any work is done.
    pub(super) fn keys<const N: usize>(
        &self,
        roles: [Role; N],
        signing: &mut Signing<'_>,
    ) -> Result<[Keys; N], RepositoryError> {
        let store = Keystore::new(&self.layout.keys());
        let keys = Keys::open_all(&store, &roles, &self.tokens, signing.ask)?;
        for keys in &keys {
            keys.check_any(&self.base.root().signed, &store)?;
        }
        keys.try_into().map_err(|_| RepositoryError::Stopped)
    }

    /// Signs a new timestamp over what is published.
    pub fn timestamp(&mut self, signing: &mut Signing<'_>) -> Result<(), RepositoryError> {
        let [keys] = self.keys([Role::Timestamp], signing)?;
        let root = &self.base.root().signed;
        keys.check_enough(root, &Keystore::new(&self.layout.keys()))?;
        let change = Change {
            timestamp: Some(keys.sign(&self.plan_timestamp(None, signing)?, &[root])?),
            ..Change::default()
        };
        commit::clear_stage(&self.layout)?;
        self.publish(&change, Vec::new(), signing.now)
    }

    pub(super) fn check_names<'a>(
        &self,
        new: impl Iterator<Item = &'a String>,
    ) -> Result<(), RepositoryError> {
        let existing = self.base.targets().signed.targets.keys();
        let mut folded: BTreeMap<String, String> = existing
            .map(|name| (name.to_lowercase(), name.clone()))
            .collect();
        for name in new {
            name::check_path("target name", name)?;
            // FAT and macOS: one file cannot be two, nor a file and a folder.
            let lower = name.to_lowercase();
            let below = format!("{lower}/");
            let parents = lower.match_indices('/').map(|(at, _)| &lower[..at]);
            let clash = folded
                .get(&lower)
                .filter(|existing| *existing != name)
                .or_else(|| parents.into_iter().find_map(|parent| folded.get(parent)))
                .or_else(|| {
                    let mut range = folded.range(below.clone()..);
                    range
                        .next()
                        .filter(|(key, _)| key.starts_with(&below))
                        .map(|(_, v)| v)
                });
            if let Some(existing) = clash {
                return Err(RepositoryError::Collision {
                    new: name.clone(),
                    existing: existing.clone(),
                });
            }
            folded.insert(lower, name.clone());
        }
        Ok(())
    }

    // Version and expiry of a role's next document.
    pub(super) fn head<T: Metadata>(
        &self,
        document: &mut T,
        signing: &Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let common = document.common_mut();
        common.version += 1;
        common.expires = expires(T::ROLE, signing)?;
        Ok(())
    }

    pub(super) fn plan_snapshot(
        &self,
        targets: Option<&Signed<Targets>>,
        signing: &Signing<'_>,
    ) -> Result<Snapshot, RepositoryError> {
        let mut snapshot = self.base.snapshot().signed.clone();
        if let Some(targets) = targets {
            snapshot.meta.insert(Role::Targets.file(), meta_of(targets));
        }
        self.head(&mut snapshot, signing)?;
        Ok(snapshot)
    }

    pub(super) fn plan_timestamp(
        &self,
        snapshot: Option<&Signed<Snapshot>>,
        signing: &Signing<'_>,
    ) -> Result<Timestamp, RepositoryError> {
        let mut timestamp = self.base.timestamp().signed.clone();
        let snapshot = snapshot.unwrap_or(self.base.snapshot());
        timestamp
            .meta
            .insert(Role::Snapshot.file(), meta_of(snapshot));
        self.head(&mut timestamp, signing)?;
        Ok(timestamp)
    }

    /// Verifies the change as an agent that has the published state, then makes it visible,
    /// together with `files` that lie in the stage.
    pub(super) fn publish(
        &mut self,
        change: &Change,
        files: Vec<String>,
        now: Instant,
    ) -> Result<(), RepositoryError> {
        let stage = self.layout.work().join("stage");
        crate::fs::create_folders_unsynced(&stage, 0o755)
            .map_err(super::io_error(format!("make {}", stage.display())))?;
        let verified = self.as_an_agent(change, now);
        let _phase = steps::phase("writing");
        let prepared = verified.and_then(|new| Ok((self.stage_change(change, files)?, new)));
        let (commit, new) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                commit::remove_tree(&stage)?;
                return Err(error);
            }
        };
        let decided = commit::decide(&self.layout, &commit);
        // Where nobody can say, new keys stay: a root that names them may be seen.
        self.decided = decided.is_ok() || !matches!(self.layout.interrupted(), Ok(None));
        decided?;
        commit::finish(&self.layout, &commit)?;
        self.base = new;
        self.memory.saw(&self.base)?;
        memory::remember(&self.layout, &self.memory, &self.base)
    }

    fn as_an_agent(&self, change: &Change, now: Instant) -> Result<Trusted, RepositoryError> {
        let _phase = steps::phase("verifying");
        let size = |document: &str, bytes: Option<&[u8]>, limit| {
            let length = bytes.map_or(0, <[u8]>::len) as u64;
            match length > limit {
                true => Err(RepositoryError::TooLarge {
                    document: document.to_owned(),
                    length,
                    limit,
                }),
                false => Ok(()),
            }
        };
        size(
            "root.json",
            change.root.as_ref().map(Signed::bytes),
            ROOT_LIMIT,
        )?;
        size(
            "timestamp.json",
            change.timestamp.as_ref().map(Signed::bytes),
            TIMESTAMP_LIMIT,
        )?;
        size(
            "snapshot.json",
            change.snapshot.as_ref().map(Signed::bytes),
            SNAPSHOT_LIMIT,
        )?;
        size(
            "targets.json",
            change.targets.as_ref().map(Signed::bytes),
            TARGETS_LIMIT,
        )?;
        // A new root alone is no reason to complain of the age of what it does not touch.
        let expiry = match change.timestamp {
            Some(_) => Expiry::At(now),
            None => Expiry::Ignored,
        };
        let refused = RepositoryError::Refused;
        // One that asked for a new root just before it was there.
        if change.root.is_some() && !change.root_first {
            self.follow(None, change, Expiry::Ignored)
                .map_err(refused)?;
        }
        self.follow(change.root.as_ref(), change, expiry)
            .map_err(refused)
    }

    fn follow(
        &self,
        root: Option<&Signed<Root>>,
        change: &Change,
        expiry: Expiry,
    ) -> Result<Trusted, Rejected> {
        let mut roots = Roots::anchor(self.base.root().bytes(), expiry)?;
        if let Some(root) = root {
            roots.accept(root.bytes())?;
        }
        let recovering = roots.recovering();
        let mut timestamps = roots.finish()?;
        if !recovering {
            // Kept documents by revoked keys count for nothing.
            let _ = timestamps.load(self.base.timestamp().bytes());
        }
        let timestamp = change.timestamp.as_ref().unwrap_or(self.base.timestamp());
        timestamps.accept(timestamp.bytes())?;
        let mut snapshots = timestamps.finish()?;
        if !recovering {
            let _ = snapshots.load(self.base.snapshot().bytes());
        }
        let snapshot = change.snapshot.as_ref().unwrap_or(self.base.snapshot());
        snapshots.accept(snapshot.bytes())?;
        let mut top = snapshots.finish()?;
        match &change.targets {
            Some(targets) => top.accept(targets.bytes())?,
            None if top.carry_over(&self.base)? => {}
            None => top.accept(self.base.targets().bytes())?,
        }
        top.finish()
    }

    // Puts the documents beside the staged targets and lists the renames in their order.
    fn stage_change(&self, change: &Change, files: Vec<String>) -> Result<Commit, RepositoryError> {
        let consistent = self.base.root().signed.consistent_snapshot;
        let mut commit = Commit {
            removals: change.removals.clone(),
            ..Commit::default()
        };
        let documents = change.in_order(consistent);
        commit::stage_documents(&self.layout, &documents)?;
        commit.renames.extend(files.into_iter().map(|file| Rename {
            from: match change.held {
                // Seen from the stage.
                true => format!("{}{file}", commit::WAITING_FILES),
                false => file.clone(),
            },
            to: file,
        }));
        let documents = documents.into_iter().map(|(name, _)| Rename {
            from: name.clone(),
            to: name,
        });
        commit.renames.extend(documents);
        if change.held {
            commit.removals.push(commit::WAITING_EDIT.to_owned());
        }
        Ok(commit)
    }
}

impl Change {
    // The files of the change in the order in which they appear: what names another file
    // comes after it, and a new root after what only it can verify, or first of all.
    fn in_order(&self, consistent: bool) -> Vec<(String, &[u8])> {
        let mut files: Vec<(String, &[u8])> = Vec::new();
        let root = self.root.iter().flat_map(|root| {
            let numbered = Role::Root.versioned_file(root.version());
            [(numbered, root.bytes()), (Role::Root.file(), root.bytes())]
        });
        let root: Vec<_> = root.collect();
        if self.root_first {
            files.extend(root.clone());
        }
        let targets = self
            .targets
            .as_ref()
            .map(|t| (Role::Targets, t.version(), t.bytes()));
        let snapshot = self
            .snapshot
            .as_ref()
            .map(|s| (Role::Snapshot, s.version(), s.bytes()));
        let documents: Vec<_> = targets.into_iter().chain(snapshot).collect();
        if consistent {
            let versioned = documents.iter();
            files.extend(
                versioned.map(|(role, version, bytes)| (role.versioned_file(*version), *bytes)),
            );
        }
        files.extend(
            documents
                .into_iter()
                .map(|(role, _, bytes)| (role.file(), bytes)),
        );
        let timestamp = self.timestamp.as_ref();
        files.extend(timestamp.map(|t| (Role::Timestamp.file(), t.bytes())));
        if !self.root_first {
            files.extend(root);
        }
        files
    }
}

pub(super) fn expires(
    role: Role,
    signing: &Signing<'_>,
) -> Result<crate::tuf::time::Expires, RepositoryError> {
    let validity = match role {
        Role::Root => signing.validities.root,
        Role::Targets => signing.validities.targets,
        Role::Snapshot => signing.validities.snapshot,
        Role::Timestamp => signing.validities.timestamp,
    };
    validity
        .from(signing.now)
        .map_err(|_| RepositoryError::Calendar(role))
}
