//! The files around verified metadata: the chain of roots, the memory, stray secrets, and
//! whether targets are there at all.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Finding;
use crate::tuf::client::{ROOT_LIMIT, target_paths};
use crate::tuf::key::Key;
use crate::tuf::metadata::{Role, Root, Signed, TargetFile};
use crate::tuf::repository::{Layout, Memory, RepositoryError, numbered_roots};
use crate::tuf::trusted::Trusted;

/// Largest file that may be a key file.
const KEY_LIMIT: u64 = 1 << 16;

/// Looks at a repository's folders, whose present documents are `trusted`.
pub fn folder(layout: &Layout, trusted: &Trusted) -> io::Result<Vec<Finding>> {
    let mut found = chain(layout)?;
    found.extend(memory(layout, trusted));
    found.extend(private_keys(&layout.repository())?);
    found.extend(foreign_keys(layout, trusted)?);
    let interrupted = layout.interrupted().map_err(io::Error::other)?;
    found.extend(interrupted.map(Finding::Interrupted));
    Ok(found)
}

/// Whether each target's file is there and as long as it must be, under every name that
/// clients ask for. What is in it is not read.
pub fn target_files(
    layout: &Layout,
    trusted: &Trusted,
    targets: &[(String, TargetFile)],
) -> io::Result<Vec<Finding>> {
    let consistent = trusted.root().signed.consistent_snapshot;
    let folder = layout.repository().join("targets");
    let mut found = Vec::new();
    for (name, target) in targets {
        for path in target_paths(name, target, consistent) {
            let path = folder.join(path);
            match std::fs::metadata(&path) {
                Ok(file) if file.is_file() && file.len() == target.length => {}
                Ok(file) if file.is_file() => found.push(Finding::WrongLength {
                    target: name.clone(),
                    path,
                    found: file.len(),
                    expected: target.length,
                }),
                Err(e) if !is_missing(&e) => return Err(e),
                _ => found.push(Finding::MissingFile {
                    target: name.clone(),
                    path,
                }),
            }
        }
    }
    Ok(found)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Looks at the chain of roots alone, which needs no trust in any of them: what is missing
/// there may be why the newer documents are refused.
pub fn chain(layout: &Layout) -> io::Result<Vec<Finding>> {
    let folder = layout.repository();
    let numbered = numbered_roots(&folder)?;
    let highest = numbered.last().copied().unwrap_or(0);
    let file = |version| folder.join(Role::Root.versioned_file(version));
    // TUF 5.3.3: a client asks for N+1 until there is none.
    let missing = (1..=highest).filter(|n| numbered.binary_search(n).is_err());
    let mut found: Vec<_> = missing.map(file).map(Finding::MissingRoot).collect();
    let path = folder.join(Role::Root.file());
    let plain = crate::fs::read_document(&path, ROOT_LIMIT)?.unwrap_or_default();
    let last = crate::fs::read_document(&file(highest), ROOT_LIMIT)?.unwrap_or_default();
    if plain != last {
        let version = Signed::<Root>::parse(&plain).map(|root| root.version());
        found.push(match version {
            Ok(version) if version > highest => Finding::RootAhead {
                path,
                version,
                highest,
            },
            _ => Finding::RootDiffers { path, highest },
        });
    }
    Ok(found)
}

fn memory(layout: &Layout, trusted: &Trusted) -> Vec<Finding> {
    let path = layout.state();
    let memory = match Memory::read(&path) {
        Ok(memory) => memory,
        Err(error) => {
            let why = std::error::Error::source(&error).map_or(String::new(), |e| e.to_string());
            return vec![Finding::BadMemory { path, why }];
        }
    };
    // The first says enough: what was put back was put back together.
    let mut wrong = None;
    let mut stale = None;
    for role in Role::ALL {
        let version = trusted.version(role);
        match memory.check(role, version, trusted.bytes(role)) {
            Err(RepositoryError::RolledBack {
                found: at, seen, ..
            }) => {
                wrong = wrong.or(Some(Finding::RolledBack {
                    role,
                    found: at,
                    seen,
                }));
            }
            Err(_) => wrong = wrong.or(Some(Finding::Forked { role, version })),
            Ok(()) => {
                let older = memory.version(role).filter(|seen| *seen < version);
                stale = stale.or(older.map(|seen| Finding::StaleMemory {
                    path: path.clone(),
                    role,
                    found: version,
                    seen,
                }));
            }
        }
    }
    wrong.into_iter().chain(stale).collect()
}

/// Key files, of go-tuf or ours, anywhere in the published folder; no trust is needed to look.
pub fn private_keys(folder: &Path) -> io::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() && entry.metadata()?.len() <= KEY_LIMIT {
                let is_key = key_file(&entry.path())?.is_some();
                found.extend(is_key.then(|| Finding::PrivateKey(entry.path())));
            }
        }
    }
    found.sort_by_key(ToString::to_string);
    Ok(found)
}

// `{"encrypted": …, "data": …}`, what go-tuf's keystore writes.
fn key_file(path: &Path) -> io::Result<Option<Map<String, Value>>> {
    let bytes = match crate::fs::read_document(path, KEY_LIMIT) {
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => return Ok(None),
        read => read?.unwrap_or_default(),
    };
    let value = match bytes.first() {
        Some(b'{') => serde_json::from_slice(&bytes).unwrap_or_default(),
        _ => Value::Null,
    };
    Ok(match value {
        Value::Object(object)
            if object.contains_key("encrypted") && object.contains_key("data") =>
        {
            Some(object)
        }
        _ => None,
    })
}

// Keys in the clear can be held against the root, and those that a sealed file of ours names;
// a sealed file of go-tuf's shows nothing of itself.
fn foreign_keys(layout: &Layout, trusted: &Trusted) -> io::Result<Vec<Finding>> {
    let root = &trusted.root().signed;
    let mut found = Vec::new();
    for role in Role::ALL {
        let path: PathBuf = layout.keys().join(role.file());
        let Some(file) = key_file(&path)? else {
            continue;
        };
        let in_the_clear = file.get("data").filter(|data| data.is_array());
        let Some(Value::Array(keys)) = in_the_clear.or_else(|| file.get("public")) else {
            continue;
        };
        let keys: Vec<Key> = keys.iter().filter_map(public_key).collect();
        if !lists_any(root, role, &keys) && !listed_before(layout, role, &keys)? {
            found.push(Finding::ForeignKey { role, path });
        }
    }
    Ok(found)
}

fn lists_any(root: &Root, role: Role, keys: &[Key]) -> bool {
    let ids = root.role(role).into_iter().flat_map(|role| &role.keyids);
    ids.filter_map(|id| root.keys.get(id))
        .any(|listed| keys.iter().any(|key| key.same_as(listed)))
}

// Revoked keys stay in their files; what is there now may be on a token, or elsewhere.
fn listed_before(layout: &Layout, role: Role, keys: &[Key]) -> io::Result<bool> {
    let folder = layout.repository();
    for version in numbered_roots(&folder)? {
        let path = folder.join(Role::Root.versioned_file(version));
        let bytes = crate::fs::read_document(&path, ROOT_LIMIT)?.unwrap_or_default();
        if Signed::<Root>::parse(&bytes).is_ok_and(|root| lists_any(&root.signed, role, keys)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn public_key(value: &Value) -> Option<Key> {
    let mut object = value.as_object()?.clone();
    object.get_mut("keyval")?.as_object_mut()?.remove("private");
    Key::from_object(object).ok()
}
