//! Which keys a role has and how many must sign: a new root, and the role's documents signed
//! anew where their signatures no longer suffice.

use std::collections::BTreeSet;

use serde::Serialize;

use super::edit::Signing;
use super::pending::lacking;
use super::rotate::{RootEdit, Rotated, drop_unused, put, take};
use super::{Layout, Repository, RepositoryError, exists, io_error, read_root};
use crate::fs::Lock;
use crate::tuf::key::Key;
use crate::tuf::keystore::Keystore;
use crate::tuf::metadata::{Role, Root};

/// A change of a role's keys.
#[derive(Clone, Debug)]
pub enum KeyEdit {
    /// More keys: these, as many new ones, and those on tokens.
    Add {
        /// Whose.
        role: Role,
        /// Public keys whose private parts are elsewhere.
        public: Vec<Key>,
        /// New keys, into the role's key file.
        new: u64,
    },
    /// A key less.
    Revoke {
        /// Whose.
        role: Role,
        /// Which.
        id: String,
    },
    /// Another number of keys must sign.
    Threshold {
        /// Whose.
        role: Role,
        /// How many.
        keys: u64,
    },
}

impl KeyEdit {
    fn what(&self) -> String {
        match self {
            Self::Add { role, .. } => format!("keys add {role}"),
            Self::Revoke { role, .. } => format!("keys revoke {role}"),
            Self::Threshold { role, keys } => format!("keys threshold {role} {keys}"),
        }
    }
}

/// A key of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its type.
    pub keytype: String,
}

/// A role's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedRole {
    /// Whose.
    pub role: Role,
    /// How many must sign.
    pub threshold: u64,
    /// The keys.
    pub keys: Vec<Listed>,
    /// Whether there is a key file here, and whether it is sealed by a passphrase.
    pub file: Option<bool>,
}

impl Layout {
    /// Keeps others from the keys while a role's file is written anew; fails while an edit
    /// that waits holds a copy of it.
    pub fn lock_keys(&self, role: Role) -> Result<Option<Lock>, RepositoryError> {
        let work = self.work();
        // Keys may lie where no repository does.
        let lock = match exists(&work)? {
            true => Some(
                Lock::acquire(&work.join("lock"), || ())
                    .map_err(io_error("lock the repository"))?,
            ),
            false => None,
        };
        match Keystore::new(&self.pending().join("keys")).has(role)? {
            true => Err(RepositoryError::Pending {
                what: format!("it made new {role} keys"),
            }),
            false => Ok(lock),
        }
    }

    /// The keys of all roles, by the newest root; needs no private key.
    pub fn list_keys(&self) -> Result<Vec<ListedRole>, RepositoryError> {
        let root = read_root(self)?.signed;
        let store = Keystore::new(&self.keys());
        let mut roles = Vec::new();
        for role in Role::ALL {
            let Some(listed) = root.role(role) else {
                continue;
            };
            let keys = listed.keyids.iter().map(|id| Listed {
                id: id.clone(),
                keytype: root.keys.get(id).map_or("", Key::keytype).to_owned(),
            });
            let there = store.has(role)?;
            roles.push(ListedRole {
                role,
                threshold: listed.threshold,
                keys: keys.collect(),
                file: there.then(|| store.is_sealed(role)).transpose()?,
            });
        }
        Ok(roles)
    }
}

impl Repository {
    /// Changes a role's keys.
    pub fn change_keys(
        &mut self,
        edit: &KeyEdit,
        signing: &mut Signing<'_>,
    ) -> Result<Rotated, RepositoryError> {
        self.check_no_pending()?;
        let mut work = self.root_edit(edit.what());
        match edit {
            KeyEdit::Add { role, public, new } => {
                self.add_keys(&mut work, *role, public, *new, signing)?;
            }
            KeyEdit::Revoke { role, id } => {
                let id = take(&mut work.root, *role, id)?;
                check_threshold(&work.root, *role)?;
                drop_unused(&mut work.root, std::slice::from_ref(&id));
                work.done.revoked.push((*role, id));
            }
            KeyEdit::Threshold { role, keys } => {
                if *keys == 0 {
                    return Err(RepositoryError::NoThreshold);
                }
                if let Some(listed) = work.root.roles.get_mut(role.name()) {
                    listed.threshold = *keys;
                }
                check_threshold(&work.root, *role)?;
            }
        }
        work.documents = self.no_longer_signed(&work.root);
        self.publish_root(work, signing)
    }

    fn add_keys(
        &self,
        work: &mut RootEdit,
        role: Role,
        public: &[Key],
        new: u64,
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let mut added = public.to_vec();
        let on_tokens = self.tokens.get(&role).map_or(0, Vec::len);
        if new > 0 || on_tokens > 0 {
            let keys = work.ring.role(&self.layout, role, signing.ask)?;
            keys.generate(new, signing.ask)?;
            added.extend(keys.fresh(Some(&self.base.root().signed)).cloned());
        }
        for key in added {
            key.check_writable().map_err(RepositoryError::KeyType)?;
            let id = put(&mut work.root, role, &key)?;
            work.done.generated.push((role, id));
        }
        Ok(())
    }

    // Documents that the new root's keys have not signed as the new root asks.
    fn no_longer_signed(&self, root: &Root) -> BTreeSet<Role> {
        let unsigned = [
            lacking(self.base.targets(), root),
            lacking(self.base.snapshot(), root),
            lacking(self.base.timestamp(), root),
        ];
        unsigned.into_iter().flatten().map(|m| m.role).collect()
    }
}

fn check_threshold(root: &Root, role: Role) -> Result<(), RepositoryError> {
    let (keys, threshold) = root
        .role(role)
        .map_or((0, 1), |role| (role.keyids.len() as u64, role.threshold));
    match keys < threshold {
        true => Err(RepositoryError::BelowThreshold {
            role,
            keys,
            threshold,
        }),
        false => Ok(()),
    }
}
