//! Two copies of one repository come together again.
//!
//! What another copy published is taken over as it is, or, where both copies changed, signed
//! anew under a version higher than either's. The documents of the other copy were verified
//! by whoever hands them in; here the result is verified once more, as an agent would that
//! has the other copy's state. Which targets the result lists is the caller's to say.

use std::collections::BTreeMap;

use super::commit::{self, Commit, Rename};
use super::edit::{Signing, expires, meta_of};
use super::keyring::Keys;
use super::{Repository, RepositoryError, io_error};
use crate::tuf::keystore::Keystore;
use crate::tuf::metadata::{
    Metadata, Role, Root, Signed, Snapshot, TargetFile, Targets, Timestamp,
};
use crate::tuf::trusted::{Expiry, Rejected, Roots, Trusted, valid_signatures};

/// What another copy published.
pub struct Other<'a> {
    /// Root documents newer than ours, oldest first.
    pub roots: &'a [Vec<u8>],
    /// Its documents, verified.
    pub trusted: &'a Trusted,
    /// Verified files of targets, to be taken over with them.
    pub files: &'a [Arrived],
}

/// A target's file that was fetched from another copy.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Its path below `targets/`.
    pub path: String,
    /// Where it is, below [`Repository::incoming`]; it is moved from there.
    pub file: std::path::PathBuf,
}

/// Which targets document the two copies agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// Ours.
    Ours,
    /// The other copy's; `stamp` says that a new timestamp is wanted all the same.
    Theirs {
        /// Whether ours has a newer timestamp that agents shall not miss.
        stamp: bool,
    },
    /// A new one that lists these.
    Both(BTreeMap<String, TargetFile>),
}

struct Documents {
    targets: Signed<Targets>,
    snapshot: Signed<Snapshot>,
    timestamp: Signed<Timestamp>,
}

impl Repository {
    /// Whether `agreed` can be had without a key.
    pub fn needs_no_key(&self, other: &Other<'_>, agreed: &Agreed) -> bool {
        let Ok(root) = self.newest_root(other) else {
            return false;
        };
        match agreed {
            Agreed::Both(_) => false,
            Agreed::Theirs { stamp } => {
                !stamp
                    && Role::ALL
                        .into_iter()
                        .all(|role| self.knows_no_newer(other, role))
            }
            Agreed::Ours => {
                let both = (&self.base, other.trusted);
                stands(&root, both.0.targets(), both.1.targets())
                    && stands(&root, both.0.snapshot(), both.1.snapshot())
                    && stands(&root, both.0.timestamp(), both.1.timestamp())
            }
        }
    }

    /// Brings this copy to what both agree on; says which roles were signed anew.
    pub fn unite(
        &mut self,
        other: &Other<'_>,
        agreed: &Agreed,
        signing: &mut Signing<'_>,
    ) -> Result<Vec<Role>, RepositoryError> {
        let root = self.newest_root(other)?;
        let mut signed = Vec::new();
        let documents = self.documents(&root, other, agreed, &mut signed, signing)?;
        self.check_for_others(other, &documents)?;
        self.install(other, &documents)?;
        Ok(signed)
    }

    fn newest_root(&self, other: &Other<'_>) -> Result<Root, RepositoryError> {
        match other.roots.last() {
            Some(bytes) => Ok(Signed::<Root>::parse(bytes)?.signed),
            None => Ok(self.base.root().signed.clone()),
        }
    }

    fn knows_no_newer(&self, other: &Other<'_>, role: Role) -> bool {
        let theirs = other.trusted;
        self.memory
            .check(role, theirs.version(role), theirs.bytes(role))
            .is_ok()
            || role == Role::Root
    }

    fn documents(
        &self,
        root: &Root,
        other: &Other<'_>,
        agreed: &Agreed,
        signed: &mut Vec<Role>,
        signing: &mut Signing<'_>,
    ) -> Result<Documents, RepositoryError> {
        let (ours, theirs) = (&self.base, other.trusted);
        let adopt = |role| self.knows_no_newer(other, role);
        let targets = match agreed {
            Agreed::Theirs { .. } if adopt(Role::Targets) => theirs.targets().clone(),
            Agreed::Ours if stands(root, ours.targets(), theirs.targets()) => {
                ours.targets().clone()
            }
            _ => {
                let mut next = self.newer(ours.targets(), theirs.targets());
                next.targets = match agreed {
                    Agreed::Ours => ours.targets().signed.targets.clone(),
                    Agreed::Theirs { .. } => theirs.targets().signed.targets.clone(),
                    Agreed::Both(targets) => targets.clone(),
                };
                self.sign(root, next, signed, signing)?
            }
        };
        let same = |document: &Signed<Targets>| document.bytes() == targets.bytes();
        let snapshot = if same(theirs.targets()) && adopt(Role::Snapshot) {
            theirs.snapshot().clone()
        } else if same(ours.targets()) && stands(root, ours.snapshot(), theirs.snapshot()) {
            ours.snapshot().clone()
        } else {
            let mut next = self.newer(ours.snapshot(), theirs.snapshot());
            next.meta.insert(Role::Targets.file(), meta_of(&targets));
            self.sign(root, next, signed, signing)?
        };
        let stamp = matches!(agreed, Agreed::Theirs { stamp: true });
        let same = |document: &Signed<Snapshot>| document.bytes() == snapshot.bytes();
        let timestamp = if same(theirs.snapshot()) && !stamp && adopt(Role::Timestamp) {
            theirs.timestamp().clone()
        } else if same(ours.snapshot()) && stands(root, ours.timestamp(), theirs.timestamp()) {
            ours.timestamp().clone()
        } else {
            let mut next = self.newer(ours.timestamp(), theirs.timestamp());
            next.meta.insert(Role::Snapshot.file(), meta_of(&snapshot));
            self.sign(root, next, signed, signing)?
        };
        Ok(Documents {
            targets,
            snapshot,
            timestamp,
        })
    }

    // The newer of two documents under a version that neither has.
    fn newer<T: Metadata>(&self, ours: &Signed<T>, theirs: &Signed<T>) -> T {
        let known = self.memory.version(T::ROLE).unwrap_or(0);
        let highest = ours.version().max(theirs.version()).max(known);
        let mut next = match theirs.version() > ours.version() {
            true => theirs.signed.clone(),
            false => ours.signed.clone(),
        };
        next.common_mut().version = highest + 1;
        next
    }

    fn sign<T: Metadata>(
        &self,
        root: &Root,
        mut document: T,
        signed: &mut Vec<Role>,
        signing: &mut Signing<'_>,
    ) -> Result<Signed<T>, RepositoryError> {
        document.common_mut().expires = expires(T::ROLE, signing)?;
        let store = Keystore::new(&self.layout.keys());
        let keys = Keys::open(&store, T::ROLE, &self.tokens, signing.ask)?;
        keys.check_enough(root, &store)?;
        signed.push(T::ROLE);
        keys.sign(&document, &[root])
    }

    // An agent that has the other copy's state takes the new one.
    fn check_for_others(&self, other: &Other<'_>, new: &Documents) -> Result<(), RepositoryError> {
        let judge = || -> Result<(), Rejected> {
            let mut roots = self.roots(other.roots)?;
            if other.trusted.root().version() == roots.root().version() {
                roots = Roots::anchor(other.trusted.root().bytes(), Expiry::Ignored)?;
            }
            let mut timestamps = roots.finish()?;
            // Signed by keys that a newer root revokes, it counts for nothing.
            let _ = timestamps.load(other.trusted.timestamp().bytes());
            timestamps.accept(new.timestamp.bytes())?;
            let mut snapshots = timestamps.finish()?;
            let _ = snapshots.load(other.trusted.snapshot().bytes());
            snapshots.accept(new.snapshot.bytes())?;
            let mut targets = snapshots.finish()?;
            targets.accept(new.targets.bytes())?;
            targets.finish().map(|_| ())
        };
        judge().map_err(RepositoryError::Refused)
    }

    fn roots(&self, newer: &[Vec<u8>]) -> Result<Roots, Rejected> {
        let mut roots = Roots::anchor(self.base.root().bytes(), Expiry::Ignored)?;
        for root in newer {
            roots.accept(root)?;
        }
        Ok(roots)
    }

    fn install(&mut self, other: &Other<'_>, new: &Documents) -> Result<(), RepositoryError> {
        let newer = other.roots;
        let verified = || -> Result<Trusted, Rejected> {
            let mut timestamps = self.roots(newer)?.finish()?;
            timestamps.accept(new.timestamp.bytes())?;
            let mut snapshots = timestamps.finish()?;
            snapshots.accept(new.snapshot.bytes())?;
            let mut targets = snapshots.finish()?;
            targets.accept(new.targets.bytes())?;
            targets.finish()
        };
        let trusted = verified().map_err(RepositoryError::Refused)?;
        let mut memory = self.memory.clone();
        memory.saw(&trusted)?;
        let stage = commit::clear_stage(&self.layout)?;
        let mut commit = Commit::default();
        for Arrived { path, file } in other.files {
            let name = format!("targets/{path}");
            let staged = stage.join(&name);
            super::stage::make_parents_unsynced(&staged)?;
            crate::fs::rename_unsynced(file, &staged)
                .map_err(io_error(format!("write {}", staged.display())))?;
            commit.renames.push(Rename {
                from: name.clone(),
                to: name,
            });
        }
        for (name, bytes) in in_order(newer, new, trusted.root().signed.consistent_snapshot)? {
            // What is there already is not written again.
            let there = self.layout.published(&name);
            let limit = bytes.len() as u64;
            let same = crate::fs::read_document(&there, limit).ok().flatten();
            if same.is_some_and(|there| there == bytes) {
                continue;
            }
            commit::stage_document(&stage, &name, &bytes)?;
            commit.renames.push(Rename {
                from: name.clone(),
                to: name,
            });
        }
        match commit.renames.is_empty() {
            true => commit::remove_tree(&stage)?,
            false => commit::run(&self.layout, &commit)?,
        }
        self.base = trusted;
        self.memory = memory;
        self.memory.write(&self.layout.state())
    }

    /// Puts files into their places that our own metadata name.
    pub fn place_targets(&self, files: &[Arrived]) -> Result<(), RepositoryError> {
        for Arrived { path, file } in files {
            let name = format!("targets/{path}");
            commit::check_links(&self.layout, &name)?;
            let to = self.layout.published(&name);
            super::stage::make_parents(&to)?;
            crate::fs::rename(file, &to).map_err(io_error(format!("write {}", to.display())))?;
        }
        Ok(())
    }
}

fn in_order(
    newer: &[Vec<u8>],
    new: &Documents,
    consistent: bool,
) -> Result<Vec<(String, Vec<u8>)>, RepositoryError> {
    let mut files = Vec::new();
    if consistent {
        let (targets, snapshot) = (&new.targets, &new.snapshot);
        let name = Role::Targets.versioned_file(targets.version());
        files.push((name, targets.bytes().to_vec()));
        let name = Role::Snapshot.versioned_file(snapshot.version());
        files.push((name, snapshot.bytes().to_vec()));
    }
    for (role, bytes) in [
        (Role::Targets, new.targets.bytes()),
        (Role::Snapshot, new.snapshot.bytes()),
        (Role::Timestamp, new.timestamp.bytes()),
    ] {
        files.push((role.file(), bytes.to_vec()));
    }
    for bytes in newer {
        let version = Signed::<Root>::parse(bytes)?.version();
        files.push((Role::Root.versioned_file(version), bytes.clone()));
    }
    if let Some(bytes) = newer.last() {
        files.push((Role::Root.file(), bytes.clone()));
    }
    Ok(files)
}

// Whether our document can follow theirs as it is.
fn stands<T: Metadata>(root: &Root, ours: &Signed<T>, theirs: &Signed<T>) -> bool {
    let newer = ours.version() > theirs.version() || ours.bytes() == theirs.bytes();
    let Some(role) = root.role(T::ROLE) else {
        return false;
    };
    let valid = valid_signatures(
        &root.keys,
        &role.keyids,
        ours.canonical(),
        ours.signatures(),
    );
    newer && valid >= role.threshold
}
