//! The names that a repository's metadata name, and what lies under them.
//!
//! Read anew when timestamp.json or root.json is another file than before, and taken over when
//! it verifies: in the middle of a change the names stay those of before. What is served under a
//! name is what the metadata say: a file of another length is not there, and neither is a link,
//! which could lead out of the folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::agent::inventory::Inventory;
use crate::publish::plan::delegated_files;
use crate::publish::{headers, page};
use crate::store::is_inside;
use crate::store::object::Headers;
use crate::tuf::client::{
    ROOT_LIMIT, SNAPSHOT_LIMIT, TARGETS_LIMIT, TIMESTAMP_LIMIT, target_paths,
};
use crate::tuf::metadata::Role;
use crate::tuf::trusted::{Expiry, Roots, Trusted};

/// A repository's folder and what it names.
pub struct Catalogue {
    folder: PathBuf,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    /// Which files the names were read from.
    of: Option<[(u64, u64, i64, i64); 2]>,
    /// Targets: hash and length.
    targets: BTreeMap<String, (String, u64)>,
    /// Metadata.
    documents: BTreeMap<String, u64>,
    /// The newest root.
    root: u64,
}

/// Something to send.
pub(super) struct Found {
    pub headers: Headers,
    pub hash: String,
    pub len: u64,
    pub kind: Kind,
}

/// Where its bytes are.
pub(super) enum Kind {
    Bytes(Vec<u8>),
    File(File),
}

impl Catalogue {
    /// Of the folder with `root.json` and `timestamp.json`.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            names: Mutex::default(),
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        let mut names = self.names.lock().unwrap_or_else(|e| e.into_inner());
        let identity = |name: &str| {
            let metadata = std::fs::metadata(self.folder.join(name)).ok()?;
            let times = (metadata.mtime(), metadata.mtime_nsec());
            Some((metadata.ino(), metadata.len(), times.0, times.1))
        };
        let of = identity("timestamp.json").zip(identity("root.json"));
        let of = of.map(|(timestamp, root)| [timestamp, root]);
        if (of.is_none() || names.of != of)
            && let Some(read) = self.read()
        {
            *names = Names { of, ..read };
        }
        names
    }

    // Nothing when it does not verify now; the next request asks again.
    fn read(&self) -> Option<Names> {
        let trusted = self.trusted()?;
        let mut names = Names {
            root: trusted.version(Role::Root),
            ..Names::default()
        };
        for (role, limit) in [
            (Role::Root, ROOT_LIMIT),
            (Role::Timestamp, TIMESTAMP_LIMIT),
            (Role::Snapshot, SNAPSHOT_LIMIT),
            (Role::Targets, TARGETS_LIMIT),
        ] {
            names.documents.insert(role.file(), limit);
        }
        for role in [Role::Snapshot, Role::Targets] {
            let file = role.versioned_file(trusted.version(role));
            names.documents.insert(file, TARGETS_LIMIT);
        }
        for (role, version) in trusted.snapshot().signed.delegated() {
            for file in delegated_files(role, version) {
                names.documents.insert(file, TARGETS_LIMIT);
            }
        }
        let consistent = trusted.root().signed.consistent_snapshot;
        for (name, file) in &trusted.targets().signed.targets {
            let hash = file.hashes.known().last().unwrap_or_default().to_owned();
            for path in target_paths(name, file, consistent) {
                let path = format!("targets/{path}");
                if is_inside(&path) {
                    names.targets.insert(path, (hash.clone(), file.length));
                }
            }
        }
        Some(names)
    }

    fn bytes(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let path = self.folder.join(name);
        is_file(&path).then(|| crate::fs::read_document(&path, limit).ok())??
    }

    /// What lies under a path.
    pub(super) fn find(&self, path: &str) -> Option<Found> {
        if path.is_empty() {
            return self.page();
        }
        let names = self.names();
        let limit = match root_version(path) {
            Some(version) => (version <= names.root).then_some(ROOT_LIMIT),
            None => names.documents.get(path).copied(),
        };
        if let Some(limit) = limit {
            drop(names);
            let bytes = self.bytes(path, limit)?;
            return Some(found(headers(path), bytes));
        }
        let (hash, len) = names.targets.get(path).cloned()?;
        drop(names);
        let on_disk = self.folder.join(path);
        let file = is_file(&on_disk).then(|| File::open(on_disk).ok())??;
        let metadata = file.metadata().ok()?;
        (metadata.is_file() && metadata.len() == len).then_some(Found {
            headers: headers(path),
            hash,
            len,
            kind: Kind::File(file),
        })
    }

    fn page(&self) -> Option<Found> {
        let trusted = self.trusted()?;
        let targets: Vec<_> = trusted
            .targets()
            .signed
            .targets
            .clone()
            .into_iter()
            .collect();
        let now = jiff::Timestamp::now();
        let inventory = Inventory::of(&trusted, &targets, now, |name, file| {
            let consistent = trusted.root().signed.consistent_snapshot;
            let path = target_paths(name, file, consistent).into_iter().next()?;
            let metadata = std::fs::metadata(self.folder.join("targets").join(path)).ok()?;
            jiff::Timestamp::try_from(metadata.modified().ok()?).ok()
        });
        let html = page::render(&inventory, now).ok()?;
        Some(found(headers("index.html"), html.into_bytes()))
    }

    // The folder is this machine's own: its newest root is where trust begins.
    fn trusted(&self) -> Option<Trusted> {
        let root = self.bytes("root.json", ROOT_LIMIT)?;
        let roots = Roots::anchor(&root, Expiry::Ignored).ok()?;
        let mut timestamps = roots.finish().ok()?;
        timestamps
            .accept(&self.bytes("timestamp.json", TIMESTAMP_LIMIT)?)
            .ok()?;
        let mut snapshots = timestamps.finish().ok()?;
        snapshots
            .accept(&self.bytes("snapshot.json", SNAPSHOT_LIMIT)?)
            .ok()?;
        let mut targets = snapshots.finish().ok()?;
        targets
            .accept(&self.bytes("targets.json", TARGETS_LIMIT)?)
            .ok()?;
        targets.finish().ok()
    }
}

// A file, and no link to one.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file())
}

// `N.root.json`, with N from 1 on and written as metadata write it.
fn root_version(path: &str) -> Option<u64> {
    let version = path.strip_suffix(".root.json")?.parse().ok()?;
    (version > 0 && Role::Root.versioned_file(version) == path).then_some(version)
}

fn found(headers: Headers, bytes: Vec<u8>) -> Found {
    Found {
        headers,
        hash: hex::encode(crate::compress::sha256(&bytes)),
        len: bytes.len() as u64,
        kind: Kind::Bytes(bytes),
    }
}
