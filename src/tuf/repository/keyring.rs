//! The private keys at hand for one operation: those of key files and those of tokens.
//!
//! A key signs under the ids that a root lists for it; two roots may list it under different
//! ones. Files are opened once, when a role's keys are first asked for. Where an edit waits
//! for signatures, its copy of a key file (`pending/keys/`) stands in for the original, for it
//! holds the new keys too.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Map;

use super::{Layout, RepositoryError};
use crate::steps;
use crate::tuf::key::Key;
use crate::tuf::keystore::{FileKey, Keystore, KeystoreError, Passphrase, Passphrases, Signer};
use crate::tuf::metadata::{Metadata, Role, Root, Signature, Signed};

/// Keys that lie in no file of the repository, by the role that they sign for.
pub type Tokens = BTreeMap<Role, Vec<Arc<dyn Signer>>>;

/// A role's private keys.
pub(super) struct Keys {
    pub role: Role,
    /// Of the key file; new ones at the end.
    file: Vec<FileKey>,
    tokens: Vec<Arc<dyn Signer>>,
    passphrase: Option<Passphrase>,
    has_file: bool,
    fresh: usize,
}

impl Keys {
    /// Of the role's key file, when there is one, and of tokens.
    pub fn open(
        store: &Keystore,
        role: Role,
        tokens: &Tokens,
        ask: &mut dyn Passphrases,
    ) -> Result<Self, RepositoryError> {
        let has_file = store.has(role)?;
        let (file, passphrase) = match has_file {
            true => store.open(role, ask)?,
            false => (Vec::new(), None),
        };
        Ok(Self {
            role,
            file,
            tokens: tokens.get(&role).cloned().unwrap_or_default(),
            passphrase,
            has_file,
            fresh: 0,
        })
    }

    /// Of several roles, in their order; their files are unlocked at once.
    pub fn open_all(
        store: &Keystore,
        roles: &[Role],
        tokens: &Tokens,
        ask: &mut dyn Passphrases,
    ) -> Result<Vec<Self>, RepositoryError> {
        // A role whose keys are on tokens needs no file.
        let mut with_file = Vec::new();
        for role in roles {
            if !tokens.contains_key(role) || store.has(*role)? {
                with_file.push(*role);
            }
        }
        let loaded = store.load_all(&with_file, ask)?;
        let mut files: BTreeMap<Role, Vec<FileKey>> = with_file.into_iter().zip(loaded).collect();
        let keys = roles.iter().map(|role| {
            let file = files.remove(role);
            Self {
                role: *role,
                has_file: file.is_some(),
                file: file.unwrap_or_default(),
                tokens: tokens.get(role).cloned().unwrap_or_default(),
                passphrase: None,
                fresh: 0,
            }
        });
        Ok(keys.collect())
    }

    /// For a role that has no key file yet: `file` are its first keys.
    pub fn new(role: Role, file: Vec<FileKey>, tokens: &Tokens) -> Self {
        Self {
            role,
            fresh: file.len(),
            file,
            tokens: tokens.get(&role).cloned().unwrap_or_default(),
            passphrase: None,
            has_file: false,
        }
    }

    /// Makes new keys; a passphrase is asked for when there is no file to add them to.
    pub fn generate(
        &mut self,
        count: u64,
        ask: &mut dyn Passphrases,
    ) -> Result<(), RepositoryError> {
        if count > 0 && !self.has_file && self.passphrase.is_none() {
            let passphrase = ask.new_one(self.role).map_err(KeystoreError::from)?;
            self.passphrase = Some(passphrase);
        }
        for _ in 0..count {
            self.file.push(FileKey::generate()?);
            self.fresh += 1;
        }
        Ok(())
    }

    fn signers(&self) -> impl Iterator<Item = &dyn Signer> {
        let file = self.file.iter().map(|key| key as &dyn Signer);
        file.chain(self.tokens.iter().map(|key| &**key as &dyn Signer))
    }

    /// The public parts of the keys made by [`Keys::generate`] or [`Keys::new`], and of those
    /// on tokens that `root` does not list.
    pub fn fresh<'a>(&'a self, root: Option<&'a Root>) -> impl Iterator<Item = &'a Key> {
        let made = self.file.iter().skip(self.file.len() - self.fresh);
        let known = move |key: &Key| root.is_some_and(|root| id_of(root, self.role, key).is_some());
        let tokens = self.tokens.iter().map(|key| key.public());
        made.map(|key| key.public())
            .chain(tokens.filter(move |key| !known(key)))
    }

    /// Each key that `root` lists for the role, under the id that it has there.
    fn listed<'a>(&'a self, root: &'a Root) -> Vec<(&'a str, &'a dyn Signer)> {
        let mut found: Vec<(&str, &dyn Signer)> = Vec::new();
        for key in self.signers() {
            if let Some(id) = id_of(root, self.role, key.public())
                && !found.iter().any(|(other, _)| *other == id)
            {
                found.push((id, key));
            }
        }
        found
    }

    /// Fails when `root` lists keys of the role and none of these.
    pub fn check_any(&self, root: &Root, store: &Keystore) -> Result<(), RepositoryError> {
        let (role, path) = (self.role, store.path(self.role));
        match self.listed(root).is_empty() {
            true if self.has_file => Err(RepositoryError::KeyMismatch { role, path }),
            true => Err(KeystoreError::Missing { role, path }.into()),
            false => Ok(()),
        }
    }

    /// As [`Keys::check_any`], and when they are fewer than must sign.
    pub fn check_enough(&self, root: &Root, store: &Keystore) -> Result<(), RepositoryError> {
        self.check_any(root, store)?;
        let need = root.role(self.role).map_or(1, |role| role.threshold);
        let have = self.listed(root).len() as u64;
        match have < need {
            true => Err(RepositoryError::TooFewKeys {
                role: self.role,
                path: store.path(self.role),
                have,
                need,
            }),
            false => Ok(()),
        }
    }

    /// Makes the document, signed by each key that one of the roots lists.
    pub fn sign<T: Metadata>(
        &self,
        signed: &T,
        roots: &[&Root],
    ) -> Result<Signed<T>, RepositoryError> {
        let _phase = steps::phase("signing");
        Signed::create(signed, |message| {
            let mut signatures: Vec<Signature> = Vec::new();
            for (id, key) in roots.iter().flat_map(|root| self.listed(root)) {
                if !signatures.iter().any(|other| other.keyid == id) {
                    signatures.push(Signature {
                        keyid: id.to_owned(),
                        sig: hex::encode(key.sign(message)?),
                        extra: Map::new(),
                    });
                }
            }
            Ok(signatures)
        })
    }

    /// Writes the key file when there are new keys to keep.
    pub fn save(&self, store: &Keystore) -> Result<(), KeystoreError> {
        match self.fresh {
            0 => Ok(()),
            _ => store.rewrite(self.role, &self.file, self.passphrase.as_ref()),
        }
    }

    /// Whether there are new keys to keep.
    pub fn to_save(&self) -> bool {
        self.fresh > 0
    }
}

/// The id under which `root` lists a key for a role.
pub(super) fn id_of<'a>(root: &'a Root, role: Role, key: &Key) -> Option<&'a str> {
    let ids = root.role(role).into_iter().flat_map(|role| &role.keyids);
    let mut found = ids.filter(|id| root.keys.get(*id).is_some_and(|listed| listed.same_as(key)));
    found.next().map(String::as_str)
}

/// The keys of all roles, opened as they are needed.
pub(super) struct Keyring {
    tokens: Tokens,
    opened: BTreeMap<Role, Keys>,
}

impl Keyring {
    /// With nothing opened.
    pub fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            opened: BTreeMap::new(),
        }
    }

    /// Puts keys in that were opened before.
    pub fn with(mut self, keys: Keys) -> Self {
        self.opened.insert(keys.role, keys);
        self
    }

    /// A role's keys; none when they lie nowhere here.
    pub fn role(
        &mut self,
        layout: &Layout,
        role: Role,
        ask: &mut dyn Passphrases,
    ) -> Result<&mut Keys, RepositoryError> {
        use std::collections::btree_map::Entry;
        match self.opened.entry(role) {
            Entry::Occupied(keys) => Ok(keys.into_mut()),
            Entry::Vacant(slot) => {
                let store = layout.keystore_of(role)?;
                Ok(slot.insert(Keys::open(&store, role, &self.tokens, ask)?))
            }
        }
    }

    /// Those that hold new keys.
    pub fn to_save(&self) -> impl Iterator<Item = &Keys> {
        self.opened.values().filter(|keys| keys.to_save())
    }
}

impl Layout {
    /// Where a role's private keys lie now.
    pub(super) fn keystore_of(&self, role: Role) -> Result<Keystore, RepositoryError> {
        let waiting = Keystore::new(&self.pending().join("keys"));
        Ok(match waiting.has(role)? {
            true => waiting,
            false => Keystore::new(&self.keys()),
        })
    }
}
