//! What lies at a destination, verified from this copy's own root.
//!
//! The root chain goes on from ours: a destination whose chain differs in any link belongs to
//! somebody else. Documents that the timestamp there names are wanted; where half a
//! publication left a newer one, the right one is looked for among what this copy and its
//! memory have. An older one, or none, was put there by somebody, and nothing is signed over
//! it. Signatures by keys that our root revokes do not count.

use std::collections::BTreeMap;

use super::PublishError;
use super::known::{Documents, Known};
use crate::store::object::{Condition, Objects, Version};
use crate::tuf::client::{ROOT_LIMIT, SNAPSHOT_LIMIT, TARGETS_LIMIT, TIMESTAMP_LIMIT};
use crate::tuf::metadata::{Metadata, Role, Root, Signed, Snapshot, Targets, Timestamp};
use crate::tuf::repository::Repository;
use crate::tuf::trusted::{Expiry, Rejected, Roots, Trusted, valid_signatures};

/// What the metadata there are worth.
pub(super) enum Standing {
    /// There are none.
    Empty,
    /// They are valid.
    Verified(Box<Trusted>),
    /// They are valid under a root that ours replaced, or are to be written over.
    Discounted,
}

/// A destination as it was read.
pub(super) struct Remote {
    /// The metadata.
    pub standing: Standing,
    /// Roots there that are newer than ours.
    pub newer_roots: Vec<Vec<u8>>,
    /// Version of the newest root there; 0 when there is none.
    pub root_version: u64,
    /// What was read under each name, and which writing it was.
    pub files: BTreeMap<String, (Vec<u8>, Version)>,
    /// Documents that have to be put back.
    pub healing: Vec<(Role, Vec<u8>)>,
    /// Roots that lead nowhere, to be deleted.
    pub strays: Vec<String>,
}

struct Reader<'a> {
    place: &'a dyn Objects,
    files: BTreeMap<String, (Vec<u8>, Version)>,
}

impl Reader<'_> {
    fn get(&mut self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, PublishError> {
        let Some((bytes, version)) = self.place.get(name, limit)? else {
            return Ok(None);
        };
        self.files.insert(name.to_owned(), (bytes.clone(), version));
        Ok(Some(bytes))
    }
}

impl Remote {
    /// Reads the destination. `repair` lets count for nothing what is not valid or not the
    /// newest that was seen there; `candidates` are documents that may have been there.
    pub fn read(
        place: &dyn Objects,
        repository: &Repository,
        known: &Known,
        repair: bool,
        candidates: Vec<(Role, Vec<u8>)>,
    ) -> Result<Self, PublishError> {
        let mut reader = Reader {
            place,
            files: BTreeMap::new(),
        };
        // What is conditional on others is read first.
        let timestamp = reader.get("timestamp.json", TIMESTAMP_LIMIT)?;
        reader.get("snapshot.json", SNAPSHOT_LIMIT)?;
        reader.get("targets.json", TARGETS_LIMIT)?;
        let known = known.documents(place)?;
        let found = read_roots(&mut reader, repository, known.is_some(), repair)?;
        let mut remote = Self {
            standing: Standing::Empty,
            newer_roots: found.newer,
            root_version: found.version,
            files: reader.files,
            healing: Vec::new(),
            strays: found.strays,
        };
        if let (Some(known), false) = (&known, repair) {
            check_still_there(place, known, timestamp.is_some(), remote.root_version)?;
        }
        if timestamp.is_none() {
            return match remote.files.is_empty() || repair || remote.root_version > 0 {
                true => Ok(remote),
                false => Err(PublishError::Incomplete {
                    place: place.describe(),
                    document: "timestamp.json".to_owned(),
                }),
            };
        }
        if found.foreign {
            remote.standing = Standing::Discounted;
            return Ok(remote);
        }
        let judged = remote.judge(repository, known.as_ref(), candidates);
        match judged {
            Ok(Some((trusted, chosen))) => {
                let whole = check_rolled_back(place, known.as_ref(), &trusted)
                    .and_then(|()| remote.find_healing(place, &trusted, chosen));
                remote.standing = match whole {
                    Ok(()) => Standing::Verified(Box::new(trusted)),
                    // What this copy remembers is put in its place, never united with it.
                    Err(_) if repair => Standing::Discounted,
                    Err(error) => return Err(error),
                };
            }
            Ok(None) => remote.standing = Standing::Discounted,
            Err(_) if repair => remote.standing = Standing::Discounted,
            Err(source) => {
                return Err(PublishError::Invalid {
                    place: place.describe(),
                    source,
                });
            }
        }
        Ok(remote)
    }

    /// That nobody wrote `name` since it was read.
    pub fn condition(&self, name: &str) -> Condition {
        Condition::since(self.files.get(name).map(|(_, version)| version))
    }

    /// Whether `name` was looked for, be it there or not.
    pub fn was_read(&self, name: &str) -> bool {
        let mutable = Role::ALL.into_iter().any(|role| role.file() == name);
        mutable || self.files.contains_key(name)
    }

    /// Whether `name` held these bytes when it was read.
    pub fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        self.files
            .get(name)
            .is_some_and(|(there, _)| there == bytes)
    }

    // A publication that was broken off, or lost a race, leaves documents that are newer than
    // the ones that the timestamp leads to. Older ones, or none, somebody put there.
    fn find_healing(
        &mut self,
        place: &dyn Objects,
        trusted: &Trusted,
        chosen: Chosen,
    ) -> Result<(), PublishError> {
        for (role, bytes) in chosen {
            let document = role.file();
            let Some((there, _)) = self.files.get(&document) else {
                return Err(PublishError::Incomplete {
                    place: place.describe(),
                    document,
                });
            };
            if *there == bytes {
                continue;
            }
            let named = trusted.version(role);
            let found = signed_version(role, there, &trusted.root().signed);
            if found.is_none_or(|found| found <= named) {
                return Err(PublishError::Replaced {
                    place: place.describe(),
                    document,
                    found: found.map_or_else(
                        || "not signed by its keys".to_owned(),
                        |version| format!("version {version}"),
                    ),
                    named,
                });
            }
            self.healing.push((role, bytes));
        }
        Ok(())
    }

    fn judge(
        &mut self,
        repository: &Repository,
        known: Option<&Documents>,
        candidates: Vec<(Role, Vec<u8>)>,
    ) -> Result<Option<(Trusted, Chosen)>, Rejected> {
        let ours = repository.trusted();
        let roots = || -> Result<Roots, Rejected> {
            let mut roots = Roots::anchor(ours.root().bytes(), Expiry::Ignored)?;
            for root in &self.newer_roots {
                roots.accept(root)?;
            }
            Ok(roots)
        };
        let mut options: BTreeMap<Role, Vec<Vec<u8>>> = BTreeMap::new();
        for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
            let there = self.files.get(&role.file());
            let mut bytes: Vec<_> = there.iter().map(|(bytes, _)| bytes.clone()).collect();
            if role != Role::Timestamp {
                bytes.push(ours.bytes(role).to_vec());
                bytes.extend(known.map(|known| known.bytes(role).to_vec()));
                let more = candidates.iter().filter(|(other, _)| *other == role);
                bytes.extend(more.map(|(_, bytes)| bytes.clone()));
            }
            options.insert(role, bytes);
        }
        match follow(roots()?, &options) {
            Ok(found) => Ok(Some(found)),
            // Valid for the root that is there, which ours replaces: by keys that are revoked,
            // or by old keys together with new ones that are not used yet.
            Err(_) if self.root_version < ours.root().version() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The documents that belong together.
type Chosen = Vec<(Role, Vec<u8>)>;

/// Version of a document of `role` that carries its signatures.
fn signed_version(role: Role, bytes: &[u8], root: &Root) -> Option<u64> {
    fn version<T: Metadata>(bytes: &[u8], root: &Root) -> Option<u64> {
        let document = Signed::<T>::parse(bytes).ok()?;
        let keys = root.role(T::ROLE)?;
        let (text, signatures) = (document.canonical(), document.signatures());
        let valid = valid_signatures(&root.keys, &keys.keyids, text, signatures);
        (valid >= keys.threshold).then(|| document.version())
    }
    match role {
        Role::Root => version::<Root>(bytes, root),
        Role::Targets => version::<Targets>(bytes, root),
        Role::Snapshot => version::<Snapshot>(bytes, root),
        Role::Timestamp => version::<Timestamp>(bytes, root),
    }
}

// The documents that belong together, out of all that may.
fn follow(
    roots: Roots,
    options: &BTreeMap<Role, Vec<Vec<u8>>>,
) -> Result<(Trusted, Chosen), Rejected> {
    let of = |role| options.get(&role).map_or(&[][..], Vec::as_slice);
    let mut chosen = Chosen::new();
    let mut timestamps = roots.finish()?;
    for bytes in of(Role::Timestamp) {
        timestamps.accept(bytes)?;
    }
    let mut snapshots = timestamps.finish()?;
    choose(Role::Snapshot, of(Role::Snapshot), &mut chosen, |bytes| {
        snapshots.accept(bytes)
    })?;
    let mut targets = snapshots.finish()?;
    choose(Role::Targets, of(Role::Targets), &mut chosen, |bytes| {
        targets.accept(bytes)
    })?;
    Ok((targets.finish()?, chosen))
}

// The first document that is accepted; the first one's error when there is none.
fn choose(
    role: Role,
    options: &[Vec<u8>],
    chosen: &mut Chosen,
    mut accept: impl FnMut(&[u8]) -> Result<(), Rejected>,
) -> Result<(), Rejected> {
    let mut first = None;
    for bytes in options {
        match accept(bytes) {
            Ok(()) => {
                chosen.push((role, bytes.clone()));
                return Ok(());
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or(Ok(()), Err)
}

/// The chain of roots at a destination.
#[derive(Default)]
struct FoundRoots {
    /// Newer than ours.
    newer: Vec<Vec<u8>>,
    /// The newest one's version; 0 when there is none, or none of ours.
    version: u64,
    /// They are somebody else's, and are to be written over.
    foreign: bool,
    /// What follows the newest, and cannot.
    strays: Vec<String>,
}

// Somebody else's roots are written over where ours were before and a person asks for it.
fn read_roots(
    reader: &mut Reader<'_>,
    repository: &Repository,
    ours_before: bool,
    repair: bool,
) -> Result<FoundRoots, PublishError> {
    let ours = repository.trusted().root();
    let place = reader.place.describe();
    let foreign = |document: String| match ours_before && repair {
        true => Ok(FoundRoots {
            foreign: true,
            ..FoundRoots::default()
        }),
        false => Err(PublishError::Foreign {
            place: place.clone(),
            document,
            ours_before,
        }),
    };
    let plain = reader.get("root.json", ROOT_LIMIT)?;
    let numbered = Role::Root.versioned_file(ours.version());
    let Some(same) = reader.get(&numbered, ROOT_LIMIT)? else {
        return match older_root(reader, repository, plain)? {
            Some(version) => Ok(FoundRoots {
                version,
                ..FoundRoots::default()
            }),
            None => foreign(Role::Root.file()),
        };
    };
    if same != ours.bytes() {
        return foreign(numbered);
    }
    let invalid = |source| PublishError::Invalid {
        place: place.clone(),
        source,
    };
    let mut roots = Roots::anchor(ours.bytes(), Expiry::Ignored).map_err(invalid)?;
    let mut found = FoundRoots::default();
    loop {
        let file = roots.next_file();
        let Some(bytes) = reader.get(&file, ROOT_LIMIT)? else {
            break;
        };
        if roots.accept(&bytes).is_err() {
            // Agents stop at it (TUF 5.3.4), whatever else is there.
            foreign(file.clone())?;
            found.strays.push(file);
            break;
        }
        found.newer.push(bytes);
    }
    found.version = roots.root().version();
    Ok(found)
}

// The destination does not have our newest root: the version of an older one of ours, 0 when
// it has none; nothing when it is not ours.
fn older_root(
    reader: &mut Reader<'_>,
    repository: &Repository,
    plain: Option<Vec<u8>>,
) -> Result<Option<u64>, PublishError> {
    let Some(plain) = plain else {
        return Ok(Some(0));
    };
    let version = Signed::<Root>::parse(&plain).map_or(0, |root| root.version());
    let file = Role::Root.versioned_file(version);
    let own = repository.layout().repository().join(&file);
    let own = crate::fs::read_document(&own, ROOT_LIMIT)
        .map_err(|error| PublishError::Make("the root chain", error.into()))?;
    if own != Some(plain) {
        return Ok(None);
    }
    reader.get(&file, ROOT_LIMIT)?;
    Ok(Some(version))
}

// What was seen at a destination does not go away by any publication.
fn check_still_there(
    place: &dyn Objects,
    known: &Documents,
    has_timestamp: bool,
    root_version: u64,
) -> Result<(), PublishError> {
    let seen = known.version(Role::Root);
    match (has_timestamp, root_version < seen) {
        (false, _) => Err(PublishError::Gone(place.describe())),
        (true, true) => Err(PublishError::RolledBack {
            place: place.describe(),
            role: Role::Root,
            found: root_version,
            seen,
        }),
        (true, false) => Ok(()),
    }
}

/// Refuses what is older than what was seen, or other under the same version. Where a newer
/// root replaced the keys of timestamp or snapshot, versions begin anew (TUF 5.3.11).
fn check_rolled_back(
    place: &dyn Objects,
    known: Option<&Documents>,
    found: &Trusted,
) -> Result<(), PublishError> {
    let Some(known) = known else { return Ok(()) };
    let seen = known.version(Role::Root);
    let place = place.describe();
    if found.version(Role::Root) < seen {
        return Err(PublishError::RolledBack {
            place,
            role: Role::Root,
            found: found.version(Role::Root),
            seen,
        });
    }
    let keys = |root: &Root, role| root.role(role).map(|role| role.keyids.clone());
    let replaced = known.root().is_none_or(|before| {
        [Role::Timestamp, Role::Snapshot]
            .into_iter()
            .any(|role| keys(&before.signed, role) != keys(&found.root().signed, role))
    });
    if replaced {
        return Ok(());
    }
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
        let (version, seen) = (found.version(role), known.version(role));
        if version < seen {
            return Err(PublishError::RolledBack {
                place,
                role,
                found: version,
                seen,
            });
        }
        if version == seen && found.bytes(role) != known.bytes(role) {
            return Err(PublishError::Forked {
                place,
                role,
                version,
            });
        }
    }
    Ok(())
}
