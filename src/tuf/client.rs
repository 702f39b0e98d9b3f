//! The client: fetches what [`super::trusted`] judges, and keeps what it accepted.
//!
//! Reads are limited in size, retried when a connection breaks or a server stumbles, and
//! downloads of targets resume where they broke off while being hashed in one pass. Time,
//! waiting and the place of its memory come in as arguments; nothing here prints.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp as Instant;

use super::delegation::{Delegated, VISITED_LIMIT, roles_for};
use super::hashes::{Digests, HashMismatch, Hasher};
use super::metadata::{MetaFile, Role, TargetFile, Targets};
use super::state::{State, quoted};
use super::trusted::{
    Accepted, Expiry, Rejected, Roots, Snapshots, Timestamps, TopTargets, Trusted,
};
use crate::hint::Hint;
use crate::store::{Blob, Store, StoreError};

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

/// A refresh or a download failed. What was trusted before still is.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The repository cannot be trusted.
    #[error("the repository at {place} cannot be trusted")]
    Rejected {
        /// Path or URL.
        place: String,
        /// The rule that was broken.
        #[source]
        source: Rejected,
    },
    /// The trust anchor cannot be used.
    #[error("the root metadata to start from cannot be used")]
    Anchor(#[source] Rejected),
    /// A document could not be fetched.
    #[error("cannot fetch {document} from the repository")]
    Fetch {
        /// Which one.
        document: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A body ended early or broke, on every try.
    #[error("{document} was cut off after {received} bytes")]
    CutOff {
        /// Which one.
        document: String,
        /// Bytes received in all.
        received: u64,
        /// Why, where that is known.
        #[source]
        source: Option<io::Error>,
    },
    /// Larger than anything allowed.
    #[error("{document} is larger than {limit} bytes")]
    TooLarge {
        /// Which one.
        document: String,
        /// The limit.
        limit: u64,
    },
    /// The repository has no such target.
    #[error("the repository at {place} has no target {name}")]
    NoTarget {
        /// Path or URL.
        place: String,
        /// The target.
        name: String,
    },
    /// A target is not what was signed.
    #[error("the target {name} is not the file that was signed")]
    Target {
        /// The target.
        name: String,
        /// Which hash differs.
        #[source]
        source: HashMismatch,
    },
    /// A target has another length than was signed.
    #[error("the target {name} is not the {expected} bytes long that were signed")]
    TargetLength {
        /// The target.
        name: String,
        /// The length signed.
        expected: u64,
    },
    /// A target could not be written.
    #[error("cannot store the target {name}")]
    Store {
        /// The target.
        name: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The client's memory could not be used.
    #[error("cannot keep the client's state in {}", folder.display())]
    State {
        /// The folder.
        folder: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A target was asked for before a refresh.
    #[error("the repository's metadata were not fetched yet")]
    NotRefreshed,
}

impl Hint for ClientError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Rejected { source, .. } | Self::Anchor(source) => source.hint(),
            Self::Fetch {
                source: StoreError::Status { status: 403, .. },
                document,
            } if document.ends_with("root.json") => Some(
                "a missing file must answer 404: on S3 grant s3:ListBucket to readers".to_owned(),
            ),
            Self::Fetch { source, document } if document == "timestamp.json" => match source {
                StoreError::NotFound(_) => Some(
                    "give the folder that holds root.json and timestamp.json, such as …/repository"
                        .to_owned(),
                ),
                other => other.hint(),
            },
            Self::Fetch { source, .. } => source.hint(),
            Self::State { .. } => Some("--state-dir DIR, or --no-state".to_owned()),
            _ => None,
        }
    }
}

/// A target to be fetched.
pub struct Job {
    /// Its name.
    pub name: String,
    /// The file it is downloaded into, from its beginning on.
    pub spool: File,
    /// Whether the repository's own file will do where it lies on this machine: for those who
    /// verify once more what they read, as it may change at any time.
    pub in_place: bool,
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
            roots.accept(&bytes).map_err(|e| self.rejected(e))?;
            // TUF 5.3.11 before 5.3.8: a kill between the two must not keep what is revoked.
            if roots.recovering() {
                self.forget(Role::Timestamp)?;
                self.forget(Role::Snapshot)?;
            }
            // TUF 5.3.8.
            self.keep(Role::Root, &bytes)?;
        }
        roots.finish().map_err(|e| self.rejected(e))
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
            let bytes = self.fetch(&file, limit(snapshots.wanted(), SNAPSHOT_LIMIT))?;
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
            let bytes = self.fetch(&file, limit(targets.wanted(), TARGETS_LIMIT))?;
            targets.accept(&bytes).map_err(|e| self.rejected(e))?;
            // TUF 5.6.6.
            self.keep(Role::Targets, &bytes)?;
        }
        targets.finish().map_err(|e| self.rejected(e))
    }

    /// What the repository says of a target.
    pub fn target(&self, name: &str) -> Result<TargetFile, ClientError> {
        self.find(name)?.ok_or_else(|| ClientError::NoTarget {
            place: self.store.describe(),
            name: name.to_owned(),
        })
    }

    /// Looks for a target, in the top-level document and then in delegated roles, each
    /// before its own delegates and in the order of its delegator (TUF 5.6.7).
    pub fn find(&self, name: &str) -> Result<Option<TargetFile>, ClientError> {
        let trusted = self.trusted.as_ref().ok_or(ClientError::NotRefreshed)?;
        if let Some(found) = trusted.targets().signed.targets.get(name) {
            return Ok(Some(found.clone()));
        }
        let mut visited = BTreeSet::new();
        let top = Rc::new(trusted.targets().signed.clone());
        // Those to visit, the next one last.
        let mut waiting = children(&top, name);
        while let Some((delegator, role)) = waiting.pop() {
            // TUF 5.6.7.1 cycles and endless delegations.
            if !visited.insert(role.name.clone()) {
                continue;
            }
            if visited.len() >= VISITED_LIMIT {
                return Ok(None);
            }
            let document = self.delegated(trusted, &delegator, &role)?;
            if let Some(found) = document.targets.get(name) {
                return Ok(Some(found.clone()));
            }
            let next = children(&Rc::new(document), name);
            if next.iter().any(|(_, role)| role.terminating) {
                waiting.clear();
            }
            waiting.extend(next);
        }
        Ok(None)
    }

    // A delegated role's document, from what is kept or fetched, judged for this delegator.
    fn delegated(
        &self,
        trusted: &Trusted,
        delegator: &Targets,
        role: &Child,
    ) -> Result<Targets, ClientError> {
        let asked = role.as_delegated();
        let judge = |bytes: &[u8]| trusted.delegated(delegator, &asked, bytes, self.expiry);
        let kept = self.with_state(|state| state.read(&role.name, TARGETS_LIMIT))?;
        if let Some(document) = kept.flatten().and_then(|bytes| judge(&bytes).ok()) {
            return Ok(document.signed);
        }
        let wanted = trusted.wanted(&role.name).map_err(|e| self.rejected(e))?;
        let quoted = quoted(&role.name);
        let file = match trusted.root().signed.consistent_snapshot {
            true => format!("{}.{quoted}.json", wanted.version),
            false => format!("{quoted}.json"),
        };
        let bytes = self.fetch(&file, limit(wanted, TARGETS_LIMIT))?;
        let document = judge(&bytes).map_err(|e| self.rejected(e))?;
        self.with_state(|state| state.write(&role.name, &bytes))?;
        Ok(document.signed)
    }

    /// Downloads a target into `file`, from its beginning on, and verifies it (TUF 5.7).
    pub fn download(&self, name: &str, file: &mut File) -> Result<Digests, ClientError> {
        let target = self.target(name)?;
        self.download_as(name, &target, file)
    }

    /// Fetches several targets at once, on up to `threads` threads, each into a file with its
    /// digests; the first error counts.
    pub fn download_all(
        &self,
        jobs: Vec<Job>,
        threads: NonZeroUsize,
    ) -> Result<Vec<(File, Digests)>, ClientError> {
        let next = AtomicUsize::new(0);
        let count = jobs.len();
        let jobs = Mutex::new(jobs.into_iter().map(Some).collect::<Vec<_>>());
        let results = Mutex::new((0..count).map(|_| None).collect::<Vec<_>>());
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let job = lock(&jobs).get_mut(i).and_then(Option::take);
                let Some(job) = job else {
                    return;
                };
                let result = self.obtain(job);
                if result.is_err() {
                    // Nothing further is begun.
                    next.store(count, Ordering::Relaxed);
                }
                if let Some(slot) = lock(&results).get_mut(i) {
                    *slot = Some(result);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.get().min(count) {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().unwrap_or_else(|e| e.into_inner());
        let mut obtained = Vec::with_capacity(count);
        let mut failed = None;
        for result in results.into_iter().flatten() {
            match result {
                Ok(done) => obtained.push(done),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(obtained),
        }
    }

    fn obtain(&self, job: Job) -> Result<(File, Digests), ClientError> {
        let mut spool = job.spool;
        if job.in_place
            && let Some(obtained) = self.in_place(&job.name)?
        {
            return Ok(obtained);
        }
        let digests = self.download(&job.name, &mut spool)?;
        Ok((spool, digests))
    }

    // The repository's own file, verified; `None` where it has to be downloaded, or where
    // that will say what is wrong.
    fn in_place(&self, name: &str) -> Result<Option<(File, Digests)>, ClientError> {
        let target = self.target(name)?;
        let store = self.targets.as_ref().unwrap_or(&self.store);
        for path in target_paths(name, &target, self.consistent()) {
            let path = format!("{}{path}", self.options.target_prefix);
            let Ok(Some(file)) = store.open_in_place(&path) else {
                continue;
            };
            // TUF 5.7.2 endless data: one byte more than was signed is enough to know.
            let Ok(digests) = Digests::read(&mut (&file).take(target.length + 1)) else {
                return Ok(None);
            };
            let is_right = digests.length == target.length;
            if is_right && target.hashes.verify(&digests).is_ok() {
                return Ok(Some((file, digests)));
            }
            return Ok(None);
        }
        Ok(None)
    }

    fn consistent(&self) -> bool {
        self.trusted
            .as_ref()
            .is_some_and(|trusted| trusted.root().signed.consistent_snapshot)
    }

    fn download_as(
        &self,
        name: &str,
        target: &TargetFile,
        file: &mut File,
    ) -> Result<Digests, ClientError> {
        let mut missing = None;
        for path in target_paths(name, target, self.consistent()) {
            let path = format!("{}{path}", self.options.target_prefix);
            match self.stream(&path, name, target.length, file) {
                Err(
                    error @ ClientError::Fetch {
                        source: StoreError::NotFound(_),
                        ..
                    },
                ) => missing = missing.or(Some(error)),
                Err(error) => return Err(error),
                Ok(digests) => {
                    target
                        .hashes
                        .verify(&digests)
                        .map_err(|source| ClientError::Target {
                            name: name.to_owned(),
                            source,
                        })?;
                    return Ok(digests);
                }
            }
        }
        Err(missing.unwrap_or_else(|| ClientError::Target {
            name: name.to_owned(),
            source: HashMismatch::NoneKnown,
        }))
    }

    // Reads into `file`, going on where a connection broke off.
    fn stream(
        &self,
        path: &str,
        name: &str,
        length: u64,
        file: &mut File,
    ) -> Result<Digests, ClientError> {
        let mut download = Download::new(name, length, file)?;
        let store = self.targets.as_ref().unwrap_or(&self.store);
        self.retrying(path, |received| {
            *received = download.hasher.length();
            let blob = store.open(path, download.hasher.length())?;
            download.read(blob).inspect(|_| *received = length)
        })?;
        match download.hasher.length() == length {
            true => Ok(download.hasher.finish()),
            false => Err(download.wrong_length()),
        }
    }

    fn fetch(&self, file: &str, limit: u64) -> Result<Vec<u8>, ClientError> {
        self.retrying(file, |received| {
            let blob = self.store.open_quoted(file)?;
            let too_large = || {
                Attempt::Fatal(ClientError::TooLarge {
                    document: file.to_owned(),
                    limit,
                })
            };
            if blob.len.is_some_and(|len| len > limit) {
                return Err(too_large());
            }
            let mut bytes = Vec::new();
            let read = blob.body.take(limit + 1).read_to_end(&mut bytes);
            *received = bytes.len() as u64;
            read.map_err(|e| Attempt::Broken(Some(e)))?;
            match (bytes.len() as u64, blob.len) {
                (n, _) if n > limit => Err(too_large()),
                (n, Some(len)) if n < len => Err(Attempt::Broken(None)),
                _ => Ok(bytes),
            }
        })
    }

    fn retrying<T>(
        &self,
        document: &str,
        mut attempt: impl FnMut(&mut u64) -> Result<T, Attempt>,
    ) -> Result<T, ClientError> {
        let mut wait = Duration::from_millis(500);
        let mut tries = 1;
        loop {
            let mut received = 0;
            let error = match attempt(&mut received) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if tries >= self.options.attempts || !error.worth_another_try() {
                return Err(error.named(document, received));
            }
            (self.options.sleep)(wait);
            wait *= 2;
            tries += 1;
        }
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

// A delegated role of a name, detached from its delegator's document.
struct Child {
    name: String,
    keyids: Vec<String>,
    threshold: u64,
    terminating: bool,
}

impl Child {
    fn as_delegated(&self) -> Delegated<'_> {
        Delegated {
            name: self.name.clone(),
            keyids: &self.keyids,
            threshold: self.threshold,
            terminating: self.terminating,
        }
    }
}

// The roles that a document trusts for a name, the first one last.
fn children(document: &Rc<Targets>, name: &str) -> Vec<(Rc<Targets>, Child)> {
    let roles = document.delegations.iter().flat_map(|d| roles_for(d, name));
    let mut children: Vec<_> = roles
        .map(|role| {
            let child = Child {
                keyids: role.keyids.to_vec(),
                name: role.name,
                threshold: role.threshold,
                terminating: role.terminating,
            };
            (document.clone(), child)
        })
        .collect();
    children.reverse();
    children
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

// Why one try failed.
enum Attempt {
    Store(StoreError),
    Broken(Option<io::Error>),
    Fatal(ClientError),
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Attempt {
    fn worth_another_try(&self) -> bool {
        match self {
            Self::Store(StoreError::Transport { .. }) | Self::Broken(_) => true,
            Self::Store(StoreError::Status { status, .. }) => {
                matches!(status, 408 | 429 | 500..=599)
            }
            Self::Store(_) | Self::Fatal(_) => false,
        }
    }

    fn named(self, document: &str, received: u64) -> ClientError {
        let document = document.to_owned();
        match self {
            Self::Store(source) => ClientError::Fetch { document, source },
            Self::Broken(source) => ClientError::CutOff {
                document,
                received,
                source,
            },
            Self::Fatal(error) => error,
        }
    }
}

// A target on its way into a file; what is there is hashed.
struct Download<'a> {
    name: &'a str,
    length: u64,
    file: &'a mut File,
    hasher: Hasher,
}

impl<'a> Download<'a> {
    fn new(name: &'a str, length: u64, file: &'a mut File) -> Result<Self, ClientError> {
        let mut download = Self {
            name,
            length,
            file,
            hasher: Hasher::new(),
        };
        download.restart()?;
        Ok(download)
    }

    fn restart(&mut self) -> Result<(), ClientError> {
        self.hasher = Hasher::new();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.set_len(0))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> ClientError {
        ClientError::Store {
            name: self.name.to_owned(),
            source,
        }
    }

    fn wrong_length(&self) -> ClientError {
        ClientError::TargetLength {
            name: self.name.to_owned(),
            expected: self.length,
        }
    }

    fn read(&mut self, mut blob: Blob) -> Result<(), Attempt> {
        if blob.offset != self.hasher.length() {
            self.restart().map_err(Attempt::Fatal)?;
            if blob.offset != 0 {
                return Err(Attempt::Broken(None));
            }
        }
        let promised = blob.len.map(|len| len + blob.offset);
        let mut buffer = vec![0; 1 << 17];
        loop {
            let n = match blob.body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Attempt::Broken(Some(e))),
            };
            // TUF 5.7.2 endless data: no byte more than was signed.
            if self.hasher.length() + n as u64 > self.length {
                return Err(Attempt::Fatal(self.wrong_length()));
            }
            self.file
                .write_all(&buffer[..n])
                .map_err(|e| Attempt::Fatal(self.failed(e)))?;
            self.hasher.update(&buffer[..n]);
        }
        match promised {
            Some(promised) if self.hasher.length() < promised => Err(Attempt::Broken(None)),
            _ => Ok(()),
        }
    }
}

fn limit(wanted: &MetaFile, limit: u64) -> u64 {
    wanted.length.unwrap_or(limit).min(limit)
}

fn file_of(role: Role, wanted: &MetaFile, consistent: bool) -> String {
    match consistent {
        true => role.versioned_file(wanted.version),
        false => role.file(),
    }
}

/// Where a target lies: under its name, or with consistent snapshots under each of its hashes
/// (TUF 5.7.3: the file name is prefixed).
pub(super) fn target_paths(name: &str, target: &TargetFile, consistent: bool) -> Vec<String> {
    if !consistent {
        return vec![name.to_owned()];
    }
    let (folder, file) = match name.rsplit_once('/') {
        Some((folder, file)) => (format!("{folder}/"), file),
        None => (String::new(), name),
    };
    target
        .hashes
        .known()
        .map(|hash| format!("{folder}{hash}.{file}"))
        .collect()
}
