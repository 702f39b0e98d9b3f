//! The client: fetches what [`super::trusted`] judges, and keeps what it accepted.
//!
//! This file is the order of the update (TUF 5.1 to 5.6). Reading with limits and new tries is
//! `fetch`'s, the search in delegated roles `search`'s, targets are `download`'s. Time, waiting
//! and the place of its memory come in as arguments; nothing here prints.
//!
//! Any [`Store`] can be followed, such as files in memory. The anchor comes from elsewhere than
//! the repository:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::io::{Cursor, Read};
//!
//! use fleetpack::store::{Blob, Store, StoreError};
//! use fleetpack::tuf::client::{Client, ClientError, Options};
//!
//! struct Memory(BTreeMap<String, Vec<u8>>);
//!
//! impl Store for Memory {
//!     fn describe(&self) -> String {
//!         "memory".into()
//!     }
//!
//!     fn open(&self, name: &str, _offset: u64) -> Result<Blob, StoreError> {
//!         // A missing root document says that the newest one is known.
//!         let bytes = self.0.get(name).ok_or_else(|| StoreError::NotFound(name.into()))?;
//!         Ok(Blob {
//!             len: Some(bytes.len() as u64),
//!             offset: 0,
//!             body: Box::new(Cursor::new(bytes.clone())),
//!         })
//!     }
//! }
//!
//! # fn files() -> std::io::Result<BTreeMap<String, Vec<u8>>> {
//! #     let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/go-tuf/fleetctl-style/repository/");
//! #     let names = ["1.root.json", "root.json", "timestamp.json", "snapshot.json", "targets.json",
//! #         "targets/orbit/linux/stable/orbit"];
//! #     names.into_iter().map(|name| Ok((name.into(), std::fs::read(folder.to_owned() + name)?))).collect()
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let files = files()?;
//! # let anchor = files["1.root.json"].clone();
//! let mut client = Client::new(Box::new(Memory(files)), anchor, None, Options::default());
//! client.refresh("2026-11-30T12:00:00Z".parse()?)?;
//!
//! let target = client.target("orbit/linux/stable/orbit")?;
//! let mut program = tempfile::tempfile()?;
//! client.download("orbit/linux/stable/orbit", &mut program)?;
//! assert_eq!(program.metadata()?.len(), target.length);
//!
//! let unknown = client.target("orbit/linux/nightly/orbit");
//! assert!(matches!(unknown, Err(ClientError::NoTarget { .. })));
//!
//! // A repository that stands still is not followed for ever.
//! let later = "2056-01-01T00:00:00Z".parse()?;
//! assert!(matches!(client.refresh(later), Err(ClientError::Rejected { .. })));
//! # Ok(())
//! # }
//! ```

mod download;
mod error;
mod fetch;
mod search;

pub use download::{Job, target_paths};
pub use error::ClientError;

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp as Instant;

use super::metadata::{MetaFile, Role};
use super::state::State;
use super::trusted::{
    Accepted, Expiry, Rejected, Roots, Snapshots, Timestamps, TopTargets, Trusted,
};
use crate::store::{Store, StoreError};
use search::Judged;

/// Largest timestamp document. go-tuf 0.5.2 reads no more.
pub const TIMESTAMP_LIMIT: u64 = 16_384;
/// Largest root document. go-tuf 0.5.2 reads no more.
pub const ROOT_LIMIT: u64 = 512_000;
/// Largest snapshot document.
pub const SNAPSHOT_LIMIT: u64 = 2_000_000;
/// Largest targets document.
pub const TARGETS_LIMIT: u64 = 16_000_000;
/// How many new roots are followed in one refresh (TUF 5.3.3).
const ROOTS_LIMIT: usize = 256;

/// How the client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often a read is tried in all.
    pub attempts: u32,
    /// Waits; 0.5 s, 1 s, 2 s, … before each further try.
    pub sleep: fn(Duration),
    /// What targets' names are joined to in the store, `targets/` in a repository.
    pub target_prefix: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attempts: 4,
            sleep: std::thread::sleep,
            target_prefix: "targets/",
        }
    }
}

/// A client of one repository.
pub struct Client {
    store: Box<dyn Store>,
    targets: Option<Box<dyn Store>>,
    anchor: Vec<u8>,
    state: Option<State>,
    options: Options,
    trusted: Option<Trusted>,
    expiry: Expiry,
    judged: Mutex<Vec<Judged>>,
}

impl Client {
    /// A client that trusts `anchor`, a root document, and remembers in `state`.
    pub fn new(
        store: Box<dyn Store>,
        anchor: Vec<u8>,
        state: Option<State>,
        options: Options,
    ) -> Self {
        Self {
            store,
            targets: None,
            anchor,
            state,
            options,
            trusted: None,
            expiry: Expiry::Ignored,
            judged: Mutex::default(),
        }
    }

    /// Fetches targets from another place than metadata.
    pub fn with_targets_from(mut self, store: Box<dyn Store>) -> Self {
        self.targets = Some(store);
        self
    }

    /// The documents of the last refresh.
    pub fn trusted(&self) -> Option<&Trusted> {
        self.trusted.as_ref()
    }

    /// Follows the repository to its newest state (TUF 5.1 to 5.6).
    pub fn refresh(&mut self, now: Instant) -> Result<&Trusted, ClientError> {
        self.refresh_with(Expiry::At(now))
    }

    /// As [`Client::refresh`]; whoever only looks may leave expiry aside.
    pub fn refresh_with(&mut self, expiry: Expiry) -> Result<&Trusted, ClientError> {
        self.expiry = expiry;
        lock(&self.judged).clear();
        let timestamps = self.update_root(self.expiry)?;
        let snapshots = self.update_timestamp(timestamps)?;
        let targets = self.update_snapshot(snapshots)?;
        let trusted = self.update_targets(targets)?;
        Ok(self.trusted.insert(trusted))
    }

    fn update_root(&self, expiry: Expiry) -> Result<Timestamps, ClientError> {
        let mut roots = self.first_root(expiry)?;
        for _ in 0..ROOTS_LIMIT {
            let file = roots.next_file();
            let bytes = match self.fetch(&file, ROOT_LIMIT) {
                // TUF 5.3.3: no further root.
                Err(ClientError::Fetch {
                    source: StoreError::NotFound(_),
                    ..
                }) => break,
                fetched => fetched?,
            };
            let before = self.signed_in_memory(&roots)?;
            roots.accept(&bytes).map_err(|e| self.rejected(e))?;
            let after = self.signed_in_memory(&roots)?;
            // Keys may also be revoked one root after the other, each time too few to count.
            let lost = before.iter().any(|role| !after.contains(role));
            // TUF 5.3.11 before 5.3.8: a kill between the two must not keep what is revoked.
            if roots.recovering() || lost {
                self.forget(Role::Timestamp)?;
                self.forget(Role::Snapshot)?;
            }
            // TUF 5.3.8.
            self.keep(Role::Root, &bytes)?;
        }
        roots.finish().map_err(|e| self.rejected(e))
    }

    // Which of the kept timestamp and snapshot the trusted root's keys have signed.
    fn signed_in_memory(&self, roots: &Roots) -> Result<Vec<Role>, ClientError> {
        let mut signed = Vec::new();
        for (role, limit) in [
            (Role::Timestamp, TIMESTAMP_LIMIT),
            (Role::Snapshot, SNAPSHOT_LIMIT),
        ] {
            let kept = self.kept(role, limit)?;
            if kept.is_some_and(|bytes| roots.signed(role, &bytes)) {
                signed.push(role);
            }
        }
        Ok(signed)
    }

    // The newer of the root kept and the anchor; a kept root that cannot be read is walked to
    // again from the anchor.
    fn first_root(&self, expiry: Expiry) -> Result<Roots, ClientError> {
        let anchor = Roots::anchor(&self.anchor, expiry).map_err(ClientError::Anchor)?;
        let kept = self
            .kept(Role::Root, ROOT_LIMIT)?
            .and_then(|bytes| Roots::anchor(&bytes, expiry).ok())
            .filter(|kept| kept.root().version() >= anchor.root().version());
        match kept {
            Some(kept) => Ok(kept),
            None => {
                self.keep(Role::Root, anchor.root().bytes())?;
                Ok(anchor)
            }
        }
    }

    fn update_timestamp(&self, mut timestamps: Timestamps) -> Result<Snapshots, ClientError> {
        if let Some(kept) = self.kept(Role::Timestamp, TIMESTAMP_LIMIT)? {
            // One that is no longer signed by the role's keys counts for nothing.
            let _ = timestamps.load(&kept);
        }
        let bytes = self.fetch("timestamp.json", TIMESTAMP_LIMIT)?;
        let accepted = timestamps.accept(&bytes).map_err(|e| self.rejected(e))?;
        let snapshots = timestamps.finish().map_err(|e| self.rejected(e))?;
        if accepted == Accepted::New {
            // TUF 5.4.5.
            self.keep(Role::Timestamp, &bytes)?;
        }
        Ok(snapshots)
    }

    fn update_snapshot(&self, mut snapshots: Snapshots) -> Result<TopTargets, ClientError> {
        if let Some(kept) = self.kept(Role::Snapshot, SNAPSHOT_LIMIT)? {
            let _ = snapshots.load(&kept);
        }
        if !snapshots.is_current() {
            let consistent = snapshots.root().signed.consistent_snapshot;
            let file = file_of(Role::Snapshot, snapshots.wanted(), consistent);
            let bytes = self.fetch_wanted(&file, snapshots.wanted(), SNAPSHOT_LIMIT)?;
            snapshots.accept(&bytes).map_err(|e| self.rejected(e))?;
            // TUF 5.5.7.
            self.keep(Role::Snapshot, &bytes)?;
        }
        snapshots.finish().map_err(|e| self.rejected(e))
    }

    fn update_targets(&self, mut targets: TopTargets) -> Result<Trusted, ClientError> {
        let current = match self.kept(Role::Targets, TARGETS_LIMIT)? {
            Some(kept) => targets.accept(&kept).is_ok(),
            None => false,
        };
        if !current {
            let consistent = targets.root().signed.consistent_snapshot;
            let file = file_of(Role::Targets, targets.wanted(), consistent);
            let bytes = self.fetch_wanted(&file, targets.wanted(), TARGETS_LIMIT)?;
            targets.accept(&bytes).map_err(|e| self.rejected(e))?;
            // TUF 5.6.6.
            self.keep(Role::Targets, &bytes)?;
        }
        targets.finish().map_err(|e| self.rejected(e))
    }

    fn rejected(&self, source: Rejected) -> ClientError {
        ClientError::Rejected {
            place: self.store.describe(),
            source,
        }
    }

    fn kept(&self, role: Role, limit: u64) -> Result<Option<Vec<u8>>, ClientError> {
        self.with_state(|state| state.read(role.name(), limit))
            .map(Option::flatten)
    }

    fn keep(&self, role: Role, bytes: &[u8]) -> Result<(), ClientError> {
        self.with_state(|state| state.write(role.name(), bytes))
            .map(drop)
    }

    fn forget(&self, role: Role) -> Result<(), ClientError> {
        self.with_state(|state| state.forget(role.name())).map(drop)
    }

    fn with_state<T>(
        &self,
        act: impl FnOnce(&State) -> io::Result<T>,
    ) -> Result<Option<T>, ClientError> {
        let Some(state) = &self.state else {
            return Ok(None);
        };
        act(state).map(Some).map_err(|source| ClientError::State {
            folder: state.folder().to_owned(),
            source,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn file_of(role: Role, wanted: &MetaFile, consistent: bool) -> String {
    match consistent {
        true => role.versioned_file(wanted.version),
        false => role.file(),
    }
}
