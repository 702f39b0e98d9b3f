//! Replaces keys.
//!
//! A rotation signs the role's metadata by old and new keys and publishes them before the new
//! root, so that a client finds what it can verify whichever root it has. After a compromise
//! nothing is signed by the old keys: the new root comes first, and the keys of every role go
//! whose documents clients must forget (TUF 5.3.11), so that agents which took an attacker's
//! high versions follow our own, lower ones again.

use std::collections::BTreeSet;

use super::edit::{Change, Signing, expires};
use super::{Repository, RepositoryError, io_error};
use crate::tuf::keystore::{FileKey, Keystore, KeystoreError, Passphrase, Signer};
use crate::tuf::metadata::{Metadata, Role, Root, Signed};

/// Which keys are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// A role's keys, or one of them.
    Planned {
        /// Whose keys.
        role: Role,
        /// This key alone.
        key: Option<String>,
        /// How many new ones; as many as are missing when not given.
        new: Option<u64>,
    },
    /// All keys of roles whose keys others hold.
    Compromised(Vec<Role>),
}

/// What a rotation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Keys that are no longer trusted.
    pub revoked: Vec<(Role, String)>,
    /// Keys that are trusted from now on.
    pub generated: Vec<(Role, String)>,
}

// A key file in the hand: all its keys, those listed in the old root, the new ones at its end.
struct Hand {
    role: Role,
    keys: Vec<FileKey>,
    passphrase: Option<Passphrase>,
    /// Ids in the old root, with the place in `keys`.
    listed: Vec<(String, usize)>,
    /// Ids of the new keys, with the place in `keys`.
    new: Vec<(String, usize)>,
}

impl Hand {
    fn take(
        store: &Keystore,
        root: &Root,
        role: Role,
        signing: &mut Signing<'_>,
    ) -> Result<Self, RepositoryError> {
        let (keys, passphrase) = store.open(role, signing.ask)?;
        let ids = root.role(role).into_iter().flat_map(|role| &role.keyids);
        let listed = ids.filter_map(|id| {
            let public = root.keys.get(id)?;
            let place = keys.iter().position(|key| public.same_as(key.public()))?;
            Some((id.clone(), place))
        });
        Ok(Self {
            role,
            listed: listed.collect(),
            new: Vec::new(),
            keys,
            passphrase,
        })
    }

    // For a role whose key file is lost.
    fn empty(role: Role, signing: &mut Signing<'_>) -> Result<Self, RepositoryError> {
        let passphrase = signing.ask.new_one(role).map_err(KeystoreError::from)?;
        Ok(Self {
            role,
            keys: Vec::new(),
            passphrase: Some(passphrase),
            listed: Vec::new(),
            new: Vec::new(),
        })
    }

    fn generate(&mut self, count: u64) -> Result<(), RepositoryError> {
        for _ in 0..count {
            let key = FileKey::generate()?;
            self.new.push((key.public().id(), self.keys.len()));
            self.keys.push(key);
        }
        Ok(())
    }

    fn signers(&self, old: bool) -> impl Iterator<Item = (&str, &FileKey)> {
        let old = self.listed.iter().filter(move |_| old);
        let all = old.chain(&self.new);
        all.filter_map(|(id, place)| Some((id.as_str(), self.keys.get(*place)?)))
    }

    fn check_threshold(&self, store: &Keystore, root: &Root) -> Result<(), RepositoryError> {
        let need = root.role(self.role).map_or(1, |role| role.threshold);
        let have = self.listed.len() as u64;
        let (role, path) = (self.role, store.path(self.role));
        match have {
            0 => Err(RepositoryError::KeyMismatch { role, path }),
            _ if have < need => Err(RepositoryError::TooFewKeys {
                role,
                path,
                have,
                need,
            }),
            _ => Ok(()),
        }
    }
}

impl Rotation {
    // With the roles whose cached documents must go.
    fn roles(&self) -> BTreeSet<Role> {
        match self {
            Self::Planned { role, .. } => BTreeSet::from([*role]),
            Self::Compromised(roles) => {
                let mut all = BTreeSet::new();
                for role in roles {
                    all.extend(match role {
                        Role::Root => &[Role::Root][..],
                        Role::Targets => &[Role::Targets, Role::Snapshot, Role::Timestamp],
                        Role::Snapshot => &[Role::Snapshot, Role::Timestamp],
                        Role::Timestamp => &[Role::Timestamp],
                    });
                }
                all
            }
        }
    }

    fn compromised(&self) -> bool {
        matches!(self, Self::Compromised(_))
    }
}

impl Repository {
    /// Replaces keys; signs root and the metadata that change with them.
    pub fn rotate(
        &mut self,
        rotation: &Rotation,
        signing: &mut Signing<'_>,
    ) -> Result<Rotated, RepositoryError> {
        let store = Keystore::new(&self.layout.keys());
        let roles = rotation.roles();
        let mut hands = self.hands(rotation, &roles, &store, signing)?;
        let mut root = self.base.root().signed.clone();
        let mut rotated = Rotated::default();
        for hand in hands.iter_mut().filter(|hand| roles.contains(&hand.role)) {
            replace(&mut root, hand, rotation, &mut rotated)?;
        }
        root.common.version += 1;
        root.common.expires = expires(Role::Root, signing)?;
        let change = self.resigned(&root, &roles, rotation.compromised(), &hands, signing)?;
        self.keep_keys(&store, &hands, |repository| {
            repository.publish(&change, Vec::new(), signing.now)
        })?;
        Ok(rotated)
    }

    // The key files of root, of the roles rotated, and of those whose metadata change too.
    fn hands(
        &self,
        rotation: &Rotation,
        roles: &BTreeSet<Role>,
        store: &Keystore,
        signing: &mut Signing<'_>,
    ) -> Result<Vec<Hand>, RepositoryError> {
        let root = &self.base.root().signed;
        let mut hands = Vec::new();
        for role in Role::ALL {
            let rotated = roles.contains(&role);
            if !(rotated || role == Role::Root || changes(role, roles)) {
                continue;
            }
            let lost = rotated && role != Role::Root && rotation.compromised() && !store.has(role);
            let hand = match lost {
                true => Hand::empty(role, signing)?,
                false => Hand::take(store, root, role, signing)?,
            };
            // Old keys of a compromised role sign nothing, except that root needs its own.
            if !rotated || role == Role::Root || !rotation.compromised() {
                hand.check_threshold(store, root)?;
            }
            hands.push(hand);
        }
        Ok(hands)
    }

    fn resigned(
        &self,
        root: &Root,
        roles: &BTreeSet<Role>,
        compromised: bool,
        hands: &[Hand],
        signing: &Signing<'_>,
    ) -> Result<Change, RepositoryError> {
        let signed_root = sign(hands, Role::Root, true, root)?;
        // Old keys sign with the new ones, or, where nothing was rotated, alone.
        let old = |role: Role| !(compromised && roles.contains(&role));
        let mut targets = None;
        let mut snapshot = None;
        if changes(Role::Targets, roles) {
            let mut next = self.base.targets().signed.clone();
            self.head(&mut next, signing)?;
            targets = Some(sign(hands, Role::Targets, old(Role::Targets), &next)?);
        }
        if changes(Role::Snapshot, roles) {
            let next = self.plan_snapshot(targets.as_ref(), signing)?;
            snapshot = Some(sign(hands, Role::Snapshot, old(Role::Snapshot), &next)?);
        }
        let mut timestamp = None;
        if changes(Role::Timestamp, roles) {
            let next = self.plan_timestamp(snapshot.as_ref(), signing)?;
            timestamp = Some(sign(hands, Role::Timestamp, old(Role::Timestamp), &next)?);
        }
        Ok(Change {
            root: Some(signed_root),
            root_first: compromised,
            targets,
            snapshot,
            timestamp,
            ..Change::default()
        })
    }

    // New keys are on the disk before the root that names them is published; when that fails
    // for good, the files are what they were.
    fn keep_keys(
        &mut self,
        store: &Keystore,
        hands: &[Hand],
        publish: impl FnOnce(&mut Self) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut before = Vec::new();
        let mut saved = Ok(());
        for hand in hands.iter().filter(|hand| !hand.new.is_empty()) {
            let path = store.path(hand.role);
            let old = crate::fs::read_limited(&path, 1 << 20)
                .map_err(io_error(format!("read {}", path.display())))?;
            before.push((path, old));
            saved = store.rewrite(hand.role, &hand.keys, hand.passphrase.as_ref());
            if saved.is_err() {
                break;
            }
        }
        let done = saved
            .map_err(RepositoryError::from)
            .and_then(|()| publish(self));
        let decided = self.layout.work().join("commit.json").exists();
        if let Err(error) = done {
            for (path, old) in before.into_iter().filter(|_| !decided) {
                let restored = match old {
                    Some(bytes) => crate::fs::write_atomic(&path, &bytes, 0o600),
                    None => crate::fs::remove(&path),
                };
                restored.map_err(io_error(format!("restore {}", path.display())))?;
            }
            return Err(error);
        }
        Ok(())
    }
}

// Whether a role's document changes when these roles' keys do.
fn changes(role: Role, roles: &BTreeSet<Role>) -> bool {
    let targets = roles.contains(&Role::Targets);
    let snapshot = targets || roles.contains(&Role::Snapshot);
    match role {
        Role::Root => true,
        Role::Targets => targets,
        Role::Snapshot => snapshot,
        Role::Timestamp => snapshot || roles.contains(&Role::Timestamp),
    }
}

fn sign<T: Metadata>(
    hands: &[Hand],
    role: Role,
    old: bool,
    document: &T,
) -> Result<Signed<T>, RepositoryError> {
    let hand = hands.iter().find(|hand| hand.role == role);
    super::edit::sign_by(
        hand.into_iter().flat_map(|hand| hand.signers(old)),
        document,
    )
}

// Takes the old keys out of the root and puts new ones in.
fn replace(
    root: &mut Root,
    hand: &mut Hand,
    rotation: &Rotation,
    rotated: &mut Rotated,
) -> Result<(), RepositoryError> {
    let role = hand.role;
    let (only, count) = match rotation {
        Rotation::Planned { key, new, .. } => (key.as_deref(), *new),
        Rotation::Compromised(_) => (None, None),
    };
    let Some(listed) = root.roles.get_mut(role.name()) else {
        return Ok(());
    };
    if let Some(id) = only
        && !listed.keyids.iter().any(|listed| listed == id)
    {
        return Err(RepositoryError::NoSuchKey {
            role,
            id: id.to_owned(),
        });
    }
    let (revoked, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut listed.keyids)
        .into_iter()
        .partition(|id| only.is_none_or(|only| only == id));
    let missing = match only {
        Some(_) => 1,
        None => listed.threshold,
    };
    let count = count.unwrap_or(missing);
    let total = kept.len() as u64 + count;
    if total < listed.threshold {
        return Err(RepositoryError::BelowThreshold {
            role,
            keys: total,
            threshold: listed.threshold,
        });
    }
    hand.generate(count)?;
    listed.keyids = kept;
    listed
        .keyids
        .extend(hand.new.iter().map(|(id, _)| id.clone()));
    for (id, place) in &hand.new {
        if let Some(key) = hand.keys.get(*place) {
            root.keys.insert(id.clone(), key.public().clone());
        }
        rotated.generated.push((role, id.clone()));
    }
    // A key that another role has as well stays in the list.
    let used: BTreeSet<&String> = root.roles.values().flat_map(|role| &role.keyids).collect();
    root.keys
        .retain(|id, _| used.contains(id) || !revoked.contains(id));
    rotated
        .revoked
        .extend(revoked.into_iter().map(|id| (role, id)));
    Ok(())
}
