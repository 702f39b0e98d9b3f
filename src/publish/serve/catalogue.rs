//! The names that a repository's metadata name, and what lies under them.
//!
//! Read anew when timestamp.json or root.json is another file than before. What is served
//! under a name is what the metadata say: a file of another length is not there.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::agent::inventory::Inventory;
use crate::publish::{headers, page};
use crate::store::object::Headers;
use crate::tuf::client::{ROOT_LIMIT, SNAPSHOT_LIMIT, TARGETS_LIMIT, target_paths};
use crate::tuf::metadata::{Role, Root, Signed, Targets};
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
        if of.is_none() || names.of != of {
            *names = self.read();
            names.of = of;
        }
        names
    }

    // What cannot be read now is not named; the next request asks again.
    fn read(&self) -> Names {
        let mut names = Names::default();
        let Some(bytes) = self.bytes("root.json", ROOT_LIMIT) else {
            return names;
        };
        let Ok(root) = Signed::<Root>::parse(&bytes) else {
            return names;
        };
        for version in 1..=root.version() {
            let file = Role::Root.versioned_file(version);
            names.documents.insert(file, ROOT_LIMIT);
        }
        let targets = self
            .bytes("targets.json", TARGETS_LIMIT)
            .and_then(|bytes| Signed::<Targets>::parse(&bytes).ok());
        for (role, limit) in [
            (Role::Root, ROOT_LIMIT),
            (Role::Timestamp, 1 << 20),
            (Role::Snapshot, SNAPSHOT_LIMIT),
            (Role::Targets, TARGETS_LIMIT),
        ] {
            names.documents.insert(role.file(), limit);
        }
        let consistent = root.signed.consistent_snapshot;
        if let Some(snapshot) = self.snapshot() {
            for (name, version) in snapshot {
                names
                    .documents
                    .insert(format!("{version}.{name}"), TARGETS_LIMIT);
                names.documents.insert(name, TARGETS_LIMIT);
            }
        }
        for (name, file) in targets.iter().flat_map(|t| &t.signed.targets) {
            let hash = file.hashes.known().last().unwrap_or_default().to_owned();
            for path in target_paths(name, file, consistent) {
                let path = format!("targets/{path}");
                names.targets.insert(path, (hash.clone(), file.length));
            }
        }
        names
    }

    // The documents that the snapshot names, with its own versioned name.
    fn snapshot(&self) -> Option<Vec<(String, u64)>> {
        use crate::tuf::metadata::Snapshot;
        let bytes = self.bytes("snapshot.json", SNAPSHOT_LIMIT)?;
        let snapshot = Signed::<Snapshot>::parse(&bytes).ok()?;
        let mut named = vec![(Role::Snapshot.file(), snapshot.version())];
        let meta = snapshot.signed.meta.iter();
        named.extend(meta.map(|(name, meta)| (name.clone(), meta.version)));
        Some(named)
    }

    fn bytes(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        crate::fs::read_limited(&self.folder.join(name), limit).ok()?
    }

    /// What lies under a path.
    pub(super) fn find(&self, path: &str) -> Option<Found> {
        if path.is_empty() {
            return self.page();
        }
        let names = self.names();
        if let Some(limit) = names.documents.get(path).copied() {
            drop(names);
            let bytes = self.bytes(path, limit)?;
            return Some(found(headers(path), bytes));
        }
        let (hash, len) = names.targets.get(path).cloned()?;
        drop(names);
        let file = File::open(self.folder.join(path)).ok()?;
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

    // The folder is this machine's own: its newest root is where the page's trust begins.
    fn trusted(&self) -> Option<Trusted> {
        let root = self.bytes("root.json", ROOT_LIMIT)?;
        let roots = Roots::anchor(&root, Expiry::Ignored).ok()?;
        let mut timestamps = roots.finish().ok()?;
        timestamps
            .accept(&self.bytes("timestamp.json", 1 << 20)?)
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

fn found(headers: Headers, bytes: Vec<u8>) -> Found {
    Found {
        headers,
        hash: hex::encode(crate::compress::sha256(&bytes)),
        len: bytes.len() as u64,
        kind: Kind::Bytes(bytes),
    }
}
