//! A new repository: four keys, empty metadata, the folders.
//!
//! All of it is made below `.fleetpack/new/` and moved into place in three renames, keys that
//! belong elsewhere by copying; a kill between them is finished by the next command.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Map;
use zeroize::Zeroizing;

use super::edit::{Signing, expires, meta_of};
use super::keyring::{Keys, Tokens};
use super::memory::{self, Memory};
use super::{Layout, RepositoryError, commit, exists, io_error, published, reading};
use crate::fs::Lock;
use crate::tuf::key::Key;
use crate::tuf::keystore::{FileKey, Keystore, Passphrase};
use crate::tuf::metadata::{
    Common, Metadata, Role, RoleKeys, Root, Signed, Snapshot, Targets, Timestamp,
};

const FOLDERS: [&str; 3] = ["keys", "staged", "repository"];

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Each role's key id, in the order of [`Role::ALL`].
    pub keys: Vec<(Role, String)>,
}

/// Makes a repository where there is none. A role with keys on tokens gets no key file.
pub fn create(
    layout: &Layout,
    tokens: &Tokens,
    signing: &mut Signing<'_>,
) -> Result<Created, RepositoryError> {
    check_empty(layout)?;
    let mut passphrases = Vec::new();
    for role in Role::ALL {
        if tokens.contains_key(&role) {
            continue;
        }
        let passphrase = signing
            .ask
            .new_one(role)
            .map_err(crate::tuf::keystore::KeystoreError::from)?;
        passphrases.push((role, passphrase));
    }
    let work = layout.work();
    crate::fs::create_folders(&work, 0o755)
        .map_err(io_error(format!("make {}", work.display())))?;
    let _lock =
        Lock::acquire(&work.join("lock"), || ()).map_err(io_error("lock the repository"))?;
    check_empty(layout)?;
    let new = work.join("new");
    commit::remove_tree(&new)?;
    let created = fill(&new, passphrases, tokens, signing).and_then(|created| {
        remember(&Layout::new(&new))?;
        let done = new.join("complete");
        crate::fs::write_atomic(&done, b"", 0o644).map_err(io_error("write the repository"))?;
        Ok(created)
    });
    let created = match created {
        Ok(created) => created,
        Err(error) => {
            commit::remove_tree(&new)?;
            return Err(error);
        }
    };
    recover(layout)?;
    Ok(created)
}

fn check_empty(layout: &Layout) -> Result<(), RepositoryError> {
    for folder in [layout.path().to_owned(), layout.keys()] {
        if let Some(error) = published::within(&folder) {
            return Err(error);
        }
    }
    for (_, file) in elsewhere(layout, layout) {
        if exists(&file)? {
            return Err(RepositoryError::ExistsElsewhere(file));
        }
    }
    for folder in FOLDERS {
        let folder = layout.path().join(folder);
        // An empty folder is in nobody's way.
        let taken = match std::fs::read_dir(&folder) {
            Ok(mut entries) => entries.next().is_some(),
            // A link that leads nowhere is in the way as well.
            Err(e) if e.kind() == io::ErrorKind::NotFound => folder.is_symlink(),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => true,
            Err(e) => return Err(io_error(format!("read {}", folder.display()))(e)),
        };
        if taken {
            return Err(RepositoryError::Exists(folder));
        }
    }
    Ok(())
}

/// Whether a new repository waits to be moved into place.
pub(super) fn interrupted(layout: &Layout) -> Result<bool, RepositoryError> {
    exists(&layout.work().join("new").join("complete"))
}

/// Moves a complete new repository into place; says whether there was one.
pub(super) fn recover(layout: &Layout) -> Result<bool, RepositoryError> {
    let new = layout.work().join("new");
    if !interrupted(layout)? {
        commit::remove_tree(&new)?;
        return Ok(false);
    }
    let files = elsewhere(&Layout::new(&new), layout);
    for (from, to) in &files {
        check_way(from, to)?;
    }
    for (from, to) in &files {
        place(from, to)?;
    }
    if layout.separate_keys().is_some() {
        commit::remove_tree(&new.join("keys"))?;
    }
    for folder in FOLDERS {
        let (from, to) = (new.join(folder), layout.path().join(folder));
        if exists(&from)? {
            crate::fs::rename(&from, &to).map_err(io_error(format!("make {}", to.display())))?;
        }
    }
    commit::remove_tree(&new)?;
    Ok(true)
}

// Files that belong elsewhere than below the repository's path, with where they lie in `new`: in
// folders that may be on another disk, and have other things in them. The memory comes first:
// without it there is no repository.
fn elsewhere(new: &Layout, layout: &Layout) -> Vec<(PathBuf, PathBuf)> {
    let mut files = Vec::new();
    if layout.state() != Layout::new(layout.path()).state() {
        files.push((new.state(), layout.state()));
        files.push((new.pinned(), layout.pinned()));
    }
    if let Some(keys) = layout.separate_keys() {
        let (new, keys) = (Keystore::new(&new.keys()), Keystore::new(&keys));
        files.extend(Role::ALL.map(|role| (new.path(role), keys.path(role))));
    }
    files
}

// What waits may be another's, or the folders others than those that `init` was given: keys and a
// memory that are there stay. An earlier try may have put the same bytes there.
fn check_way(from: &Path, to: &Path) -> Result<(), RepositoryError> {
    let (new, there) = (document(from)?, document(to)?);
    match (new, there) {
        (Some(new), Some(there)) if new != there => Err(RepositoryError::InTheWay {
            file: to.to_owned(),
            new: from.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn place(from: &Path, to: &Path) -> Result<(), RepositoryError> {
    // Gone: an earlier try did this one, or the key is on a token.
    let Some(bytes) = document(from)? else {
        return Ok(());
    };
    let parent = to.parent().unwrap_or(Path::new("."));
    crate::fs::create_folders(parent, 0o700)
        .map_err(io_error(format!("make {}", parent.display())))?;
    crate::fs::write_atomic(to, &bytes, 0o600)
        .map_err(io_error(format!("write {}", to.display())))?;
    crate::fs::remove(from).map_err(io_error(format!("delete {}", from.display())))
}

fn document(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, RepositoryError> {
    let bytes = crate::fs::read_document(path, 1 << 20).map_err(reading(path))?;
    Ok(bytes.map(Zeroizing::new))
}

fn remember(layout: &Layout) -> Result<(), RepositoryError> {
    let mut memory = Memory::default();
    let trusted = super::verify(layout, &memory)?;
    memory.saw(&trusted)?;
    memory::remember(layout, &memory, &trusted)
}

fn fill(
    new: &Path,
    passphrases: Vec<(Role, Passphrase)>,
    tokens: &Tokens,
    signing: &Signing<'_>,
) -> Result<Created, RepositoryError> {
    let make = |folder: &str, mode| {
        let folder = new.join(folder);
        crate::fs::create_folders(&folder, mode)
            .map_err(io_error(format!("make {}", folder.display())))
    };
    make("keys", 0o700)?;
    make("repository/targets", 0o755)?;
    make("staged/targets", 0o755)?;
    let store = Keystore::new(&new.join("keys"));
    let mut keys = BTreeMap::new();
    for (role, passphrase) in passphrases {
        let key = [FileKey::generate()?];
        store.save(role, &key, &passphrase)?;
        keys.insert(role, Keys::new(role, key.into(), tokens));
    }
    for role in tokens.keys() {
        keys.insert(*role, Keys::new(*role, Vec::new(), tokens));
    }
    for (name, bytes) in documents(&keys, signing)? {
        commit::stage_document(&new.join("repository"), &name, &bytes)?;
    }
    let ids = |role| {
        let keys = keys
            .get(&role)
            .into_iter()
            .flat_map(|keys| keys.fresh(None));
        keys.map(move |key| (role, key.id()))
    };
    Ok(Created {
        keys: Role::ALL.into_iter().flat_map(ids).collect(),
    })
}

fn documents(
    keys: &BTreeMap<Role, Keys>,
    signing: &Signing<'_>,
) -> Result<Vec<(String, Vec<u8>)>, RepositoryError> {
    let head = |role| Ok::<_, RepositoryError>(Common::first(role, expires(role, signing)?));
    let root = Root {
        common: head(Role::Root)?,
        keys: keys
            .values()
            .flat_map(|keys| keys.fresh(None))
            .map(|key| (key.id(), key.clone()))
            .collect(),
        roles: keys
            .iter()
            .map(|(role, keys)| (role.name().to_owned(), role_keys(keys)))
            .collect(),
        consistent_snapshot: false,
        extra: Map::new(),
    };
    let targets = Targets {
        common: head(Role::Targets)?,
        targets: BTreeMap::new(),
        delegations: None,
        extra: Map::new(),
    };
    let targets = sign(keys, &root, &targets)?;
    let snapshot = Snapshot {
        common: head(Role::Snapshot)?,
        meta: BTreeMap::from([(Role::Targets.file(), meta_of(&targets))]),
        extra: Map::new(),
    };
    let snapshot = sign(keys, &root, &snapshot)?;
    let timestamp = Timestamp {
        common: head(Role::Timestamp)?,
        meta: BTreeMap::from([(Role::Snapshot.file(), meta_of(&snapshot))]),
        extra: Map::new(),
    };
    let timestamp = sign(keys, &root, &timestamp)?.bytes().to_vec();
    let root = sign(keys, &root, &root)?.bytes().to_vec();
    Ok(vec![
        (Role::Root.versioned_file(1), root.clone()),
        (Role::Root.file(), root),
        (Role::Targets.file(), targets.bytes().to_vec()),
        (Role::Snapshot.file(), snapshot.bytes().to_vec()),
        (Role::Timestamp.file(), timestamp),
    ])
}

fn role_keys(keys: &Keys) -> RoleKeys {
    RoleKeys {
        keyids: keys.fresh(None).map(Key::id).collect(),
        threshold: 1,
        extra: Map::new(),
    }
}

fn sign<T: Metadata>(
    keys: &BTreeMap<Role, Keys>,
    root: &Root,
    document: &T,
) -> Result<Signed<T>, RepositoryError> {
    match keys.get(&T::ROLE) {
        Some(keys) => keys.sign(document, &[root]),
        None => Err(RepositoryError::KeyMismatch {
            role: T::ROLE,
            path: std::path::PathBuf::new(),
        }),
    }
}
