//! Whether a payload may be signed, and what it changes.

use std::collections::BTreeMap;

use jiff::Timestamp as Instant;
use serde::Serialize;

use super::{CeremonyError, Payload};
use crate::tuf::key::Key;
use crate::tuf::metadata::{MetaFile, Metadata, Role, Root, Signed, Snapshot, Targets, Timestamp};
use crate::tuf::trusted::{Expiry, Roots, valid_signatures};

/// What must be named beforehand to be signed.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Ids of keys that may be added, or their first 16 digits and more.
    pub keys: Vec<String>,
    /// A threshold may go down.
    pub lowered_threshold: bool,
}

impl Allowed {
    fn key(&self, id: &str) -> bool {
        let mut named = self.keys.iter();
        named.any(|named| named == id || (named.len() >= 16 && id.starts_with(named.as_str())))
    }
}

/// One thing that the new document says otherwise than its base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `+`, `-` or `~`.
    pub sign: char,
    /// What it is about.
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.sign, self.what)
    }
}

/// What signing a payload would mean.
#[derive(Debug)]
pub struct Review {
    /// Whose document.
    pub role: Role,
    /// The version that it replaces.
    pub from: u64,
    /// Its version.
    pub to: u64,
    /// What it changes.
    pub differences: Vec<Difference>,
    /// The newest root that was verified on the way, to be pinned.
    pub root: Signed<Root>,
    refused: Vec<CeremonyError>,
}

impl Review {
    /// The first thing that only an explicit word would allow.
    pub fn permitted(&mut self) -> Result<(), CeremonyError> {
        match self.refused.is_empty() {
            true => Ok(()),
            false => Err(self.refused.remove(0)),
        }
    }
}

impl Payload {
    /// Holds it against the pinned root. Faults that no word allows are errors; the others
    /// wait in [`Review::permitted`], so that the difference can be shown first.
    pub fn review(
        &self,
        pinned: &[u8],
        allowed: &Allowed,
        now: Instant,
    ) -> Result<Review, CeremonyError> {
        let root = self.base_root(pinned)?;
        let mut review = Review {
            role: self.role(),
            from: 0,
            to: self.version(),
            differences: Vec::new(),
            root,
            refused: Vec::new(),
        };
        match self.role() {
            Role::Root => {
                let base = review.root.clone();
                let new: Signed<Root> = self.next(&mut review, &base, now)?;
                roots(&mut review, &base.signed, &new.signed, allowed);
            }
            Role::Targets => {
                let base: Signed<Targets> = self.base(&review.root.signed)?;
                let new: Signed<Targets> = self.next(&mut review, &base, now)?;
                targets(&mut review, &base.signed, &new.signed, allowed);
            }
            Role::Snapshot => {
                let base: Signed<Snapshot> = self.base(&review.root.signed)?;
                let new: Signed<Snapshot> = self.next(&mut review, &base, now)?;
                listed(&mut review, &base.signed.meta, &new.signed.meta)?;
            }
            Role::Timestamp => {
                let base: Signed<Timestamp> = self.base(&review.root.signed)?;
                let new: Signed<Timestamp> = self.next(&mut review, &base, now)?;
                listed(&mut review, &base.signed.meta, &new.signed.meta)?;
            }
        }
        Ok(review)
    }

    // From the pinned root, and from nothing that the payload says, to the base.
    fn base_root(&self, pinned: &[u8]) -> Result<Signed<Root>, CeremonyError> {
        let chain = |pinned| move |source| CeremonyError::Chain { pinned, source };
        let mut roots = Roots::anchor(pinned, Expiry::Ignored).map_err(chain(0))?;
        let first = roots.root().version();
        let mut last = 0;
        for text in &self.roots {
            let root: Signed<Root> =
                Signed::parse(text.as_bytes()).map_err(|source| CeremonyError::Document {
                    role: Role::Root,
                    source,
                })?;
            last = root.version();
            match last.cmp(&first) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal if text.as_bytes() == pinned => {}
                std::cmp::Ordering::Equal => return Err(CeremonyError::AlteredRoot(first)),
                std::cmp::Ordering::Greater => {
                    roots.accept(text.as_bytes()).map_err(chain(first))?;
                }
            }
        }
        match last < first {
            true => Err(CeremonyError::OldBase {
                base: last,
                pinned: first,
            }),
            false => Ok(roots.root().clone()),
        }
    }

    fn base<T: Metadata>(&self, root: &Root) -> Result<Signed<T>, CeremonyError> {
        let text = self.base.as_deref().unwrap_or_default();
        let base: Signed<T> =
            Signed::parse(text.as_bytes()).map_err(|source| CeremonyError::Document {
                role: T::ROLE,
                source,
            })?;
        let signed = root.role(T::ROLE).is_some_and(|role| {
            let valid = valid_signatures(
                &root.keys,
                &role.keyids,
                base.canonical(),
                base.signatures(),
            );
            valid >= role.threshold
        });
        match signed {
            true => Ok(base),
            false => Err(CeremonyError::AlteredBase(T::ROLE)),
        }
    }

    // The new document: the next version, not expired.
    fn next<T: Metadata>(
        &self,
        review: &mut Review,
        base: &Signed<T>,
        now: Instant,
    ) -> Result<Signed<T>, CeremonyError> {
        let new: Signed<T> = self.document()?;
        review.from = base.version();
        let expected = base.version().saturating_add(1);
        if new.version() != expected {
            return Err(CeremonyError::Version {
                role: T::ROLE,
                found: new.version(),
                expected,
            });
        }
        if new.expires().passed(now) {
            return Err(CeremonyError::Expired {
                role: T::ROLE,
                since: new.expires().clone(),
            });
        }
        if base.expires() != new.expires() {
            review.note(
                '~',
                format!("expires {} (before: {})", new.expires(), base.expires()),
            );
        }
        Ok(new)
    }
}

impl Review {
    fn note(&mut self, sign: char, what: String) {
        self.differences.push(Difference { sign, what });
    }

    fn threshold(&mut self, role: &str, from: u64, to: u64, allowed: &Allowed) {
        if from != to {
            self.note('~', format!("{role}: {to} must sign (before: {from})"));
        }
        if to < from && !allowed.lowered_threshold {
            self.refused.push(CeremonyError::LoweredThreshold {
                role: role.to_owned(),
                from,
                to,
            });
        }
    }

    // `old` and `new`: a role's key ids, with the keys behind them. A known id with another
    // key behind it is a new key.
    fn keys(&mut self, role: &str, old: &KeysOf<'_>, new: &KeysOf<'_>, allowed: &Allowed) {
        for (id, key) in new {
            if old.get(id) != Some(key) {
                let keytype = key.map_or("?", Key::keytype);
                self.note('+', format!("{role} key {id} ({keytype})"));
                if !allowed.key(id) {
                    self.refused.push(CeremonyError::AddedKey {
                        role: role.to_owned(),
                        id: (*id).to_owned(),
                    });
                }
            }
        }
        for id in old.keys().filter(|id| !new.contains_key(*id)) {
            self.note('-', format!("{role} key {id}"));
        }
    }
}

type KeysOf<'a> = BTreeMap<&'a str, Option<&'a Key>>;

fn keys_of<'a>(ids: &'a [String], keys: &'a BTreeMap<String, Key>) -> KeysOf<'a> {
    ids.iter().map(|id| (id.as_str(), keys.get(id))).collect()
}

fn roots(review: &mut Review, old: &Root, new: &Root, allowed: &Allowed) {
    for (name, role) in &new.roles {
        let before = old.roles.get(name);
        let from = before.map_or(role.threshold, |before| before.threshold);
        review.threshold(name, from, role.threshold, allowed);
        let before = before.map_or(&[][..], |before| &before.keyids);
        let (before, after) = (keys_of(before, &old.keys), keys_of(&role.keyids, &new.keys));
        review.keys(name, &before, &after, allowed);
    }
    for name in old
        .roles
        .keys()
        .filter(|name| !new.roles.contains_key(*name))
    {
        review.note('-', format!("the {name} role"));
    }
    if old.consistent_snapshot != new.consistent_snapshot {
        let now = new.consistent_snapshot;
        review.note('~', format!("consistent_snapshot is {now}"));
    }
    if old.extra != new.extra {
        review.note('~', "fields that this program does not know".to_owned());
    }
}

fn targets(review: &mut Review, old: &Targets, new: &Targets, allowed: &Allowed) {
    for (name, file) in &new.targets {
        match old.targets.get(name) {
            Some(before) if before == file => {}
            Some(_) => review.note('~', format!("{name} ({} bytes)", file.length)),
            None => review.note('+', format!("{name} ({} bytes)", file.length)),
        }
    }
    for name in old
        .targets
        .keys()
        .filter(|name| !new.targets.contains_key(*name))
    {
        review.note('-', name.clone());
    }
    if old.delegations != new.delegations {
        review.note('~', "delegations to other roles".to_owned());
        let keys = |targets: &Targets| targets.delegations.clone().map(|d| d.keys);
        let (before, after) = (keys(old).unwrap_or_default(), keys(new).unwrap_or_default());
        let all = |keys: &BTreeMap<String, Key>| keys.keys().cloned().collect::<Vec<_>>();
        let (old_ids, new_ids) = (all(&before), all(&after));
        let (old_keys, new_keys) = (keys_of(&old_ids, &before), keys_of(&new_ids, &after));
        review.keys("delegated", &old_keys, &new_keys, allowed);
    }
}

fn listed(
    review: &mut Review,
    old: &BTreeMap<String, MetaFile>,
    new: &BTreeMap<String, MetaFile>,
) -> Result<(), CeremonyError> {
    for (name, file) in new {
        match old.get(name) {
            Some(before) if before == file => {}
            Some(before) if file.version < before.version => {
                return Err(CeremonyError::Lowered {
                    entry: name.clone(),
                    found: file.version,
                    before: before.version,
                });
            }
            Some(before) => review.note(
                '~',
                format!(
                    "{name} version {} (before: {})",
                    file.version, before.version
                ),
            ),
            None => review.note('+', format!("{name} version {}", file.version)),
        }
    }
    match old.iter().find(|(name, _)| !new.contains_key(*name)) {
        None => Ok(()),
        Some((name, before)) => Err(CeremonyError::Lowered {
            entry: name.clone(),
            found: 0,
            before: before.version,
        }),
    }
}
