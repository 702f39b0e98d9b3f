//! What differs between this copy and a destination, and how the bytes get there.
//!
//! A content is sent once. Under a name that no metadata mention it can be written at any
//! time; names that agents know get it by a copy inside the destination, in the moment of the
//! commit. Contents that lie there already under another name are not sent at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

use super::journal::{Journal, Lease};
use super::remote::{Remote, Standing};
use super::restore::has;
use super::{OWN, Publication, PublishError, headers};
use crate::steps::{Kind, Told};
use crate::store::object::{Listed, Objects};
use crate::tuf::client::{ROOT_LIMIT, TARGETS_LIMIT, target_paths};
use crate::tuf::hashes::Digests;
use crate::tuf::metadata::{Role, Signed, TargetFile, Targets};
use crate::tuf::repository::Repository;
use crate::tuf::state::quoted;
use crate::tuf::trusted::{Expiry, Roots};

/// A content that is missing under some names.
struct Content {
    /// A target that has it, for messages and hashes.
    target: (String, TargetFile),
    /// The file here.
    file: Option<PathBuf>,
    /// A name at the destination that has it.
    there: Option<String>,
    /// Names that agents know, or may.
    known: Vec<String>,
    /// Names that nobody knows yet.
    fresh: Vec<String>,
}

/// The differences.
pub(super) struct Plan {
    contents: Vec<Content>,
}

pub(super) type Paths<'a> = BTreeMap<String, (&'a String, &'a TargetFile)>;

/// The names below a destination that targets have.
pub(super) fn paths(targets: &Targets, consistent: bool) -> Paths<'_> {
    let mut all = BTreeMap::new();
    for (name, file) in &targets.targets {
        for path in target_paths(name, file, consistent) {
            all.insert(format!("targets/{path}"), (name, file));
        }
    }
    all
}

/// What tells contents apart.
pub(super) fn content_key(file: &TargetFile) -> String {
    file.hashes.known().last().unwrap_or_default().to_owned()
}

// What the destination's metadata say that lies there.
fn listed_there<'a>(repository: &Repository, remote: &'a Remote, wanted: &Paths<'a>) -> Paths<'a> {
    let ours = repository.trusted();
    match &remote.standing {
        Standing::Verified(theirs) => paths(
            &theirs.targets().signed,
            ours.root().signed.consistent_snapshot,
        ),
        // A root that ours replaces as planned: the same targets are the same files.
        Standing::Discounted
            if follows(repository, remote)
                && remote.holds("targets.json", ours.bytes(Role::Targets)) =>
        {
            wanted.clone()
        }
        _ => BTreeMap::new(),
    }
}

// Contents that lie at the destination under another name. What this commit writes over is no
// source.
fn find_sources(
    contents: &mut BTreeMap<String, Content>,
    theirs: &Paths<'_>,
    lies: &dyn Fn(&String, &TargetFile) -> bool,
) {
    let written: BTreeSet<String> = contents
        .values()
        .flat_map(|content| content.known.iter().cloned())
        .collect();
    for (path, (_, file)) in theirs.iter().filter(|(path, _)| !written.contains(*path)) {
        let Some(content) = contents.get_mut(&content_key(file)) else {
            continue;
        };
        if content.there.is_none() && lies(path, file) {
            content.there = Some(path.clone());
        }
    }
}

impl Plan {
    /// Compares what this copy lists with what the destination's metadata list and what lies
    /// there. `suspects` may hold anything.
    pub fn of(
        repository: &Repository,
        place: &dyn Objects,
        remote: &Remote,
        suspects: &BTreeSet<String>,
    ) -> Result<Self, PublishError> {
        let ours = repository.trusted();
        let consistent = ours.root().signed.consistent_snapshot;
        let wanted = paths(&ours.targets().signed, consistent);
        let theirs = listed_there(repository, remote, &wanted);
        let listed: BTreeMap<String, u64> = place
            .list("targets")?
            .into_iter()
            .map(|Listed { name, len, .. }| (name, len))
            .collect();
        let lies = |path: &String, file: &TargetFile| {
            listed.get(path) == Some(&file.length) && !suspects.contains(path)
        };
        let same = |path: &String, file: &TargetFile| {
            theirs.get(path).is_some_and(|(_, there)| {
                there.hashes == file.hashes && there.length == file.length
            })
        };
        // Where nothing says what lies there, it is sent again, or read when it is not here.
        let unproven = matches!(remote.standing, Standing::Discounted) && theirs.is_empty();
        let mut proven: BTreeMap<String, String> = BTreeMap::new();
        let mut contents: BTreeMap<String, Content> = BTreeMap::new();
        for (path, (name, file)) in &wanted {
            if same(path, file) && lies(path, file) {
                continue;
            }
            let own = repository.layout().repository().join(path);
            // An earlier try that was broken off may have sent it.
            let unread = match unproven {
                true => !own.is_file(),
                false => !theirs.contains_key(path),
            };
            if unread && lies(path, file) && has(place, path, file)? {
                proven.insert(content_key(file), path.clone());
                continue;
            }
            let content = contents
                .entry(content_key(file))
                .or_insert_with(|| Content {
                    target: ((*name).clone(), (*file).clone()),
                    file: None,
                    there: None,
                    known: Vec::new(),
                    fresh: Vec::new(),
                });
            if content.file.is_none() && own.is_file() {
                content.file = Some(own);
            }
            match theirs.contains_key(path) || listed.contains_key(path) {
                true => content.known.push(path.clone()),
                false => content.fresh.push(path.clone()),
            }
        }
        find_sources(&mut contents, &theirs, &lies);
        for (key, path) in proven {
            if let Some(content) = contents.get_mut(&key) {
                content.there.get_or_insert(path);
            }
        }
        Self::complete(contents)
    }

    fn complete(contents: BTreeMap<String, Content>) -> Result<Self, PublishError> {
        let mut nowhere = contents
            .values()
            .filter(|content| content.file.is_none() && content.there.is_none());
        match nowhere.next() {
            Some(content) => Err(PublishError::NoFile(content.target.0.clone())),
            None => Ok(Self {
                contents: contents.into_values().collect(),
            }),
        }
    }

    /// The names that will be written, of targets and then of metadata.
    pub fn names(&self, journal: &Journal, remote: &Remote) -> Vec<String> {
        let contents = self.contents.iter();
        let mut names: Vec<_> = contents
            .flat_map(|content| content.fresh.iter().chain(&content.known).cloned())
            .collect();
        names.sort();
        let documents = journal.documents.iter().chain(&journal.roots);
        let changed = documents.filter(|(name, text)| !remote.holds(name, text.as_bytes()));
        names.extend(changed.map(|(name, _)| name.clone()));
        names
    }

    /// Bytes that go over the network.
    pub fn bytes_to_send(&self) -> u64 {
        let sent = self
            .contents
            .iter()
            .filter(|content| content.there.is_none());
        sent.map(|content| content.target.1.length).sum()
    }

    /// What the commit will do.
    pub fn journal(
        &self,
        repository: &Repository,
        remote: &Remote,
    ) -> Result<Journal, PublishError> {
        let mut journal = Journal::default();
        for content in &self.contents {
            let from = content.source();
            let copies = content.known.iter().filter(|to| **to != from);
            journal
                .copies
                .extend(copies.map(|to| (from.clone(), to.clone())));
            journal
                .leftovers
                .extend(Some(from).filter(|from| from.starts_with(OWN)));
        }
        documents(repository, &mut journal)?;
        let ours = repository.trusted();
        for version in remote.root_version + 1..=ours.root().version() {
            let file = Role::Root.versioned_file(version);
            // A copy that was pulled has the chain from its anchor on.
            if let Some(text) = read_text(repository, &file, ROOT_LIMIT)? {
                journal.roots.push((file, text));
            }
        }
        journal.roots.push((
            Role::Root.file(),
            String::from_utf8_lossy(ours.root().bytes()).into_owned(),
        ));
        journal.roots_first = remote.root_version == 0 || !follows(repository, remote);
        Ok(journal)
    }
}

// Whether a client that has the destination's root can use our metadata.
fn follows(repository: &Repository, remote: &Remote) -> bool {
    let ours = repository.trusted();
    let Some((root, _)) = remote.files.get(&Role::Root.file()) else {
        return false;
    };
    let follow = || -> Option<()> {
        let mut timestamps = Roots::anchor(root, Expiry::Ignored).ok()?.finish().ok()?;
        timestamps.accept(ours.bytes(Role::Timestamp)).ok()?;
        let mut snapshots = timestamps.finish().ok()?;
        snapshots.accept(ours.bytes(Role::Snapshot)).ok()?;
        let mut targets = snapshots.finish().ok()?;
        targets.accept(ours.bytes(Role::Targets)).ok()
    };
    follow().is_some()
}

fn documents(repository: &Repository, journal: &mut Journal) -> Result<(), PublishError> {
    let ours = repository.trusted();
    // Delegated roles: what the snapshot names and lies here.
    for (role, version) in ours.snapshot().signed.delegated() {
        for name in delegated_files(role, version) {
            let text = read_text(repository, &name, TARGETS_LIMIT)?;
            if let Some(text) = text.filter(|text| is_delegated(text, version)) {
                journal.documents.push((name, text));
            }
        }
    }
    let text = |role| String::from_utf8_lossy(ours.bytes(role)).into_owned();
    let both = [Role::Targets, Role::Snapshot];
    if ours.root().signed.consistent_snapshot {
        let versioned = both.map(|role| (role.versioned_file(ours.version(role)), text(role)));
        journal.documents.extend(versioned);
    }
    let plain = both.map(|role| (role.file(), text(role)));
    journal.documents.extend(plain);
    let timestamp = (Role::Timestamp.file(), text(Role::Timestamp));
    journal.documents.push(timestamp);
    Ok(())
}

/// The files that a delegated role's document may have.
pub(in crate::publish) fn delegated_files(role: &str, version: u64) -> [String; 2] {
    let role = quoted(role);
    [format!("{version}.{role}.json"), format!("{role}.json")]
}

/// Whether a text is a delegated role's document of this version. Whoever has the snapshot key
/// says which files a snapshot names; nothing else that lies under such a name is published.
pub(super) fn is_delegated(text: &str, version: u64) -> bool {
    Signed::<Targets>::parse(text.as_bytes()).is_ok_and(|document| document.version() == version)
}

// The text of a document here; nothing when there is none.
fn read_text(
    repository: &Repository,
    name: &str,
    limit: u64,
) -> Result<Option<String>, PublishError> {
    let path = repository.layout().repository().join(name);
    let bytes = crate::fs::read_document(&path, limit)
        .map_err(|error| PublishError::Make("the list of metadata", error.into()))?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

impl Content {
    // The name from which all others are copied, once `send` has been there.
    fn source(&self) -> String {
        match (&self.there, self.fresh.first()) {
            (Some(there), _) => there.clone(),
            (None, Some(fresh)) => fresh.clone(),
            (None, None) => {
                let key = content_key(&self.target.1);
                format!("{OWN}/blobs/{key}")
            }
        }
    }
}

impl Publication<'_> {
    /// Sends what nobody asks for yet, several files at once.
    pub(super) fn send(&mut self, plan: &Plan, lease: &mut Lease<'_>) -> Result<(), PublishError> {
        let place = self.place;
        let lying = blobs(place)?;
        let queue = Mutex::new(plan.contents.iter());
        let lease = Mutex::new(lease);
        let results = Mutex::new(Vec::new());
        let lock = |e: std::sync::PoisonError<_>| e.into_inner();
        let work = || {
            loop {
                let next = queue.lock().unwrap_or_else(|e| e.into_inner()).next();
                let Some(content) = next else { return };
                let renewed = lease.lock().unwrap_or_else(|e| e.into_inner()).renew();
                let sent = renewed.and_then(|()| send(place, content, &lying));
                let failed = sent.is_err();
                results.lock().unwrap_or_else(lock).push(sent);
                if failed {
                    // Nothing further is begun.
                    let mut queue = queue.lock().unwrap_or_else(|e| e.into_inner());
                    while queue.next().is_some() {}
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.options.threads.min(plan.contents.len()) {
                scope.spawn(crate::fs::following(work));
            }
            work();
        });
        for sent in results.into_inner().unwrap_or_else(|e| e.into_inner()) {
            let (written, sent, copied) = sent?;
            self.done.written.extend(written);
            self.done.sent += sent;
            self.done.copied += copied;
        }
        Ok(())
    }
}

fn blobs(place: &dyn Objects) -> Result<BTreeMap<String, u64>, PublishError> {
    let listed = place.list(&format!("{OWN}/blobs"))?;
    Ok(listed.into_iter().map(|l| (l.name, l.len)).collect())
}

type Sent = (Vec<String>, u64, u64);

fn send(
    place: &dyn Objects,
    content: &Content,
    lying: &BTreeMap<String, u64>,
) -> Result<Sent, PublishError> {
    let source = content.source();
    let length = content.target.1.length;
    let (mut written, mut sent, mut copied) = (Vec::new(), 0, 0);
    // A blob's name is its hash, and it appears whole: an earlier try sent it.
    let there = content.there.is_some() || lying.get(&source) == Some(&length);
    if !there {
        let name = &content.target.0;
        let file = content
            .file
            .as_ref()
            .ok_or_else(|| PublishError::NoFile(name.clone()))?;
        let digests = std::fs::File::open(file)
            .and_then(|file| Digests::read(&mut Told::new(file, Kind::Hash, name, Some(length))))
            .map_err(|error| PublishError::Make("the hash of a target", error.into()))?;
        let right = digests.length == length && content.target.1.hashes.verify(&digests).is_ok();
        if !right {
            return Err(PublishError::WrongFile(name.clone()));
        }
        // Headers belong to the name that it ends under.
        let shown = content.known.first().unwrap_or(&source);
        place.upload(&source, file, headers(shown))?;
        sent = length;
        if !source.starts_with(OWN) {
            written.push(source.clone());
        }
    }
    for to in content.fresh.iter().filter(|to| **to != source) {
        place.copy(&source, to)?;
        copied += length;
        written.push(to.clone());
    }
    Ok((written, sent, copied))
}
