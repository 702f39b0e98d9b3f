//! What lies at a destination, verified from this copy's own root.
//!
//! The root chain goes on from ours: a destination whose chain differs in any link belongs to
//! somebody else. Documents that the timestamp there names are wanted; where half a
//! publication replaced one, the right one is looked for among what this copy and its memory
//! have. Signatures by keys that our root revokes do not count.

use std::collections::BTreeMap;

use super::PublishError;
use super::known::{Documents, Known};
use crate::store::object::{Condition, Objects, Version};
use crate::tuf::client::{ROOT_LIMIT, SNAPSHOT_LIMIT, TARGETS_LIMIT, TIMESTAMP_LIMIT};
use crate::tuf::metadata::{Role, Root, Signed};
use crate::tuf::repository::Repository;
use crate::tuf::trusted::{Expiry, Rejected, Roots, Trusted};

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
    /// Reads the destination. `repair` lets what is not valid count for nothing; `candidates`
    /// are documents that may have been there.
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
        let (newer_roots, root_version) = read_roots(&mut reader, repository)?;
        let mut remote = Self {
            standing: Standing::Empty,
            newer_roots,
            root_version,
            files: reader.files,
            healing: Vec::new(),
        };
        if timestamp.is_none() {
            return match remote.files.is_empty() || repair || root_version > 0 {
                true => Ok(remote),
                false => Err(PublishError::Incomplete {
                    place: place.describe(),
                    document: "timestamp.json".to_owned(),
                }),
            };
        }
        let known = known.documents(place)?;
        let judged = remote.judge(repository, known.as_ref(), candidates);
        match judged {
            Ok(Some(trusted)) => {
                let back = check_rolled_back(place, known.as_ref(), &trusted);
                if let (Err(error), false) = (back, repair) {
                    return Err(error);
                }
                remote.standing = Standing::Verified(Box::new(trusted));
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

    fn judge(
        &mut self,
        repository: &Repository,
        known: Option<&Documents>,
        candidates: Vec<(Role, Vec<u8>)>,
    ) -> Result<Option<Trusted>, Rejected> {
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
            Ok((trusted, chosen)) => {
                self.healing = chosen
                    .into_iter()
                    .filter(|(role, bytes)| !self.holds(&role.file(), bytes))
                    .collect();
                Ok(Some(trusted))
            }
            // Valid for the root that is there, which ours replaces: by keys that are revoked,
            // or by old keys together with new ones that are not used yet.
            Err(_) if self.root_version < ours.root().version() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

type Chosen = Vec<(Role, Vec<u8>)>;

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

// The roots there that are newer than ours, and the newest one's version.
fn read_roots(
    reader: &mut Reader<'_>,
    repository: &Repository,
) -> Result<(Vec<Vec<u8>>, u64), PublishError> {
    let ours = repository.trusted().root();
    let place = reader.place.describe();
    let foreign = |document: String| PublishError::Foreign {
        place: place.clone(),
        document,
    };
    let plain = reader.get("root.json", ROOT_LIMIT)?;
    let numbered = Role::Root.versioned_file(ours.version());
    let Some(same) = reader.get(&numbered, ROOT_LIMIT)? else {
        return older_root(reader, repository, plain);
    };
    if same != ours.bytes() {
        return Err(foreign(numbered));
    }
    let invalid = |source| PublishError::Invalid {
        place: place.clone(),
        source,
    };
    let mut roots = Roots::anchor(ours.bytes(), Expiry::Ignored).map_err(invalid)?;
    let mut newer = Vec::new();
    loop {
        let file = roots.next_file();
        let Some(bytes) = reader.get(&file, ROOT_LIMIT)? else {
            break;
        };
        roots.accept(&bytes).map_err(|_| foreign(file))?;
        newer.push(bytes);
    }
    Ok((newer, roots.root().version()))
}

// The destination does not have our newest root: it has an older one of ours, or none.
fn older_root(
    reader: &mut Reader<'_>,
    repository: &Repository,
    plain: Option<Vec<u8>>,
) -> Result<(Vec<Vec<u8>>, u64), PublishError> {
    let Some(plain) = plain else {
        return Ok((Vec::new(), 0));
    };
    let version = Signed::<Root>::parse(&plain).map_or(0, |root| root.version());
    let file = Role::Root.versioned_file(version);
    let own = repository.layout().repository().join(&file);
    let own = crate::fs::read_limited(&own, ROOT_LIMIT)
        .map_err(|error| PublishError::Make("the root chain", error.into()))?;
    match own == Some(plain) {
        true => {
            reader.get(&file, ROOT_LIMIT)?;
            Ok((Vec::new(), version))
        }
        false => Err(PublishError::Foreign {
            place: reader.place.describe(),
            document: "root.json".to_owned(),
        }),
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
