//! Replaces keys.
//!
//! A rotation signs the role's metadata by old and new keys and publishes them before the new
//! root, so that a client finds what it can verify whichever root it has. After a compromise
//! nothing is signed by the old keys: the new root comes first, and the keys of every role go
//! whose documents clients must forget (TUF 5.3.11), so that agents which took an attacker's
//! high versions follow our own, lower ones again. Root alone is always signed by its old keys
//! too, for nobody would follow it otherwise. Keys that sign and are not here leave the edit
//! waiting (`pending`).

use std::collections::BTreeSet;

use super::edit::{Change, Signing, expires};
use super::keyring::{Keyring, id_of};
use super::pending::{Edit, Outcome};
use super::{Repository, RepositoryError};
use crate::tuf::keystore::Keystore;
use crate::tuf::metadata::{Role, Root};

/// Which keys are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// A role's keys, or one of them.
    Planned {
        /// Whose keys.
        role: Role,
        /// This key alone.
        key: Option<String>,
        /// How many new ones; as many as are missing when not given.
        new: Option<u64>,
    },
    /// All keys of roles whose keys others hold.
    Compromised(Vec<Role>),
}

/// What a rotation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Keys that are no longer trusted.
    pub revoked: Vec<(Role, String)>,
    /// Keys that are trusted from now on.
    pub generated: Vec<(Role, String)>,
    /// Whether it is published.
    pub outcome: Outcome,
}

impl Rotation {
    // With the roles whose cached documents must go.
    fn roles(&self) -> BTreeSet<Role> {
        match self {
            Self::Planned { role, .. } => BTreeSet::from([*role]),
            Self::Compromised(roles) => {
                let mut all = BTreeSet::new();
                for role in roles {
                    all.extend(match role {
                        Role::Root => &[Role::Root][..],
                        Role::Targets => &[Role::Targets, Role::Snapshot, Role::Timestamp],
                        Role::Snapshot => &[Role::Snapshot, Role::Timestamp],
                        Role::Timestamp => &[Role::Timestamp],
                    });
                }
                all
            }
        }
    }

    fn compromised(&self) -> bool {
        matches!(self, Self::Compromised(_))
    }

    fn what(&self) -> String {
        match self {
            Self::Planned { role, .. } => format!("rotate {role}"),
            Self::Compromised(roles) => {
                let roles: Vec<_> = roles.iter().map(|role| role.name()).collect();
                format!("rotate --compromised {}", roles.join(","))
            }
        }
    }
}

impl Repository {
    /// Replaces keys; signs root and the metadata that change with them.
    pub fn rotate(
        &mut self,
        rotation: &Rotation,
        signing: &mut Signing<'_>,
    ) -> Result<Rotated, RepositoryError> {
        self.check_no_pending()?;
        let roles = rotation.roles();
        let mut edit = self.root_edit(rotation.what());
        edit.root_first = rotation.compromised();
        for role in Role::ALL.into_iter().filter(|role| roles.contains(role)) {
            self.replace(&mut edit, role, rotation, signing)?;
        }
        edit.documents = roles;
        self.publish_root(edit, signing)
    }

    /// An edit of the published root that changes nothing yet.
    pub(super) fn root_edit(&self, what: String) -> RootEdit {
        RootEdit {
            what,
            root: self.base.root().signed.clone(),
            documents: BTreeSet::new(),
            root_first: false,
            ring: Keyring::new(self.tokens.clone()),
            done: Rotated::default(),
        }
    }

    /// Signs a changed root, and the documents that change with it; they go before it, or
    /// after it.
    pub(super) fn publish_root(
        &mut self,
        edit: RootEdit,
        signing: &mut Signing<'_>,
    ) -> Result<Rotated, RepositoryError> {
        let RootEdit {
            mut root,
            mut ring,
            mut done,
            ..
        } = edit;
        root.common.version += 1;
        root.common.expires = expires(Role::Root, signing)?;
        let roles = with_what_names_them(edit.documents);
        for role in roles.iter().copied().chain([Role::Root]) {
            self.check_hand(role, &root, &mut ring, signing)?;
        }
        let keys = ring.role(&self.layout, Role::Root, signing.ask)?;
        let signed = keys.sign(&root, &[&self.base.root().signed, &root])?;
        let edit = Edit {
            what: edit.what,
            change: Change {
                root: Some(signed),
                root_first: edit.root_first,
                ..Change::default()
            },
            roles,
            ..Edit::default()
        };
        done.outcome = self.settle(edit, &mut ring, signing)?;
        Ok(done)
    }

    // A key file of another repository is a mistake; one that is not here leaves the edit
    // waiting.
    pub(super) fn check_hand(
        &self,
        role: Role,
        new: &Root,
        ring: &mut Keyring,
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let store = Keystore::new(&self.layout.keys());
        let keys = ring.role(&self.layout, role, signing.ask)?;
        match store.has(role)? {
            true => keys
                .check_any(&self.base.root().signed, &store)
                .or_else(|_| keys.check_any(new, &store)),
            false => Ok(()),
        }
    }

    // Takes the old keys out of the root and puts new ones in.
    fn replace(
        &self,
        edit: &mut RootEdit,
        role: Role,
        rotation: &Rotation,
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let RootEdit {
            root, ring, done, ..
        } = edit;
        let (only, count) = match rotation {
            Rotation::Planned { key, new, .. } => (key.as_deref(), *new),
            Rotation::Compromised(_) => (None, None),
        };
        let revoked = match only {
            Some(id) => vec![take(root, role, id)?],
            None => root
                .roles
                .get_mut(role.name())
                .map(|listed| std::mem::take(&mut listed.keyids))
                .unwrap_or_default(),
        };
        let (kept, threshold) = root
            .role(role)
            .map_or((0, 1), |role| (role.keyids.len() as u64, role.threshold));
        let count = count.unwrap_or(if only.is_some() { 1 } else { threshold });
        if kept + count < threshold {
            return Err(RepositoryError::BelowThreshold {
                role,
                keys: kept + count,
                threshold,
            });
        }
        let base = &self.base.root().signed;
        let keys = ring.role(&self.layout, role, signing.ask)?;
        // An old key must be here, or lie nowhere here: not another repository's in its place.
        let store = Keystore::new(&self.layout.keys());
        if store.has(role)? && !rotation.compromised() {
            keys.check_any(base, &store)?;
        }
        let tokens = keys.fresh(Some(base)).count() as u64;
        keys.generate(count.saturating_sub(tokens), signing.ask)?;
        for key in keys.fresh(Some(base)) {
            done.generated.push((role, put(root, role, key)?));
        }
        drop_unused(root, &revoked);
        done.revoked
            .extend(revoked.into_iter().map(|id| (role, id)));
        Ok(())
    }
}

/// A root to be published, and what must be signed anew with it.
pub(super) struct RootEdit {
    pub what: String,
    /// Version and expiry are set when it is signed.
    pub root: Root,
    /// Roles whose documents are signed anew.
    pub documents: BTreeSet<Role>,
    /// It is published before them.
    pub root_first: bool,
    pub ring: Keyring,
    pub done: Rotated,
}

// A document's hash is in the document above it.
fn with_what_names_them(mut roles: BTreeSet<Role>) -> BTreeSet<Role> {
    roles.remove(&Role::Root);
    if roles.contains(&Role::Targets) {
        roles.insert(Role::Snapshot);
    }
    if roles.contains(&Role::Snapshot) {
        roles.insert(Role::Timestamp);
    }
    roles
}

/// Takes a key from a role.
pub(super) fn take(root: &mut Root, role: Role, id: &str) -> Result<String, RepositoryError> {
    let listed = root.roles.get_mut(role.name());
    let found = listed.and_then(|listed| {
        let at = listed.keyids.iter().position(|listed| listed == id)?;
        Some(listed.keyids.remove(at))
    });
    found.ok_or_else(|| RepositoryError::NoSuchKey {
        role,
        id: id.to_owned(),
    })
}

/// Gives a role a key; says its id.
pub(super) fn put(
    root: &mut Root,
    role: Role,
    key: &crate::tuf::key::Key,
) -> Result<String, RepositoryError> {
    if let Some(id) = id_of(root, role, key) {
        return Err(RepositoryError::KeyThere {
            role,
            id: id.to_owned(),
        });
    }
    let id = key.id();
    root.keys.insert(id.clone(), key.clone());
    if let Some(listed) = root.roles.get_mut(role.name()) {
        listed.keyids.push(id.clone());
    }
    Ok(id)
}

/// Takes revoked keys out of the list, except those that another role has as well.
pub(super) fn drop_unused(root: &mut Root, revoked: &[String]) {
    let used: BTreeSet<&String> = root.roles.values().flat_map(|role| &role.keyids).collect();
    root.keys
        .retain(|id, _| used.contains(id) || !revoked.contains(id));
}
