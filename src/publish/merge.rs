//! What two copies of a repository agree on: three-way, entry by entry of `targets.json`.
//!
//! The third is what both were when this copy last saw the destination. Nothing that either
//! added or changed is lost; where both changed the same target, a person decides.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::PublishError;
use super::known::Documents;
use crate::tuf::metadata::{Role, TargetFile};
use crate::tuf::repository::Agreed;
use crate::tuf::trusted::Trusted;

/// Whose entry counts in a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// This copy's.
    Local,
    /// The destination's.
    Remote,
}

impl FromStr for Prefer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "local" => Ok(Self::Local),
            "remote" => Ok(Self::Remote),
            _ => Err("it is local or remote".to_owned()),
        }
    }
}

/// Two copies and what they were.
pub(super) struct Meeting<'a> {
    pub known: Option<Documents>,
    pub ours: &'a Trusted,
    pub theirs: &'a Trusted,
    pub newer_roots: bool,
    pub prefer: Option<Prefer>,
}

type Entries = BTreeMap<String, TargetFile>;

impl Meeting<'_> {
    /// What to agree on; nothing when this copy already is, or follows, what is there.
    pub fn agree(&self) -> Result<Option<Agreed>, PublishError> {
        let same = |role| self.ours.bytes(role) == self.theirs.bytes(role);
        let documents = [Role::Targets, Role::Snapshot, Role::Timestamp];
        if documents.into_iter().all(same) && !self.newer_roots {
            return Ok(None);
        }
        let ours = &self.ours.targets().signed.targets;
        let theirs = &self.theirs.targets().signed.targets;
        let base = self.known.as_ref().and_then(Documents::targets);
        let base = base.as_ref().map(|base| &base.signed.targets);
        let newer = self.ours.version(Role::Targets) >= self.theirs.version(Role::Targets);
        // Without a common past, the one with the higher version is taken for the newer.
        let prefer = self.prefer.or(match (base, newer) {
            (None, true) => Some(Prefer::Local),
            (None, false) => Some(Prefer::Remote),
            _ => None,
        });
        let merged = merge(base, ours, theirs, prefer)?;
        if &merged == ours && self.follows() {
            return Ok(None);
        }
        let not_behind = |role| self.theirs.version(role) >= self.ours.version(role);
        let stamp = self.has_new_timestamp();
        Ok(Some(match (&merged == ours, &merged == theirs) {
            (_, true) if not_behind(Role::Targets) && not_behind(Role::Snapshot) => {
                Agreed::Theirs { stamp }
            }
            (true, _) => Agreed::Ours,
            (false, true) => Agreed::Theirs { stamp },
            (false, false) => Agreed::Both(merged),
        }))
    }

    // Ours can be published as it is.
    fn follows(&self) -> bool {
        let newer = |role| {
            let (ours, theirs) = (self.ours.version(role), self.theirs.version(role));
            ours > theirs || self.ours.bytes(role) == self.theirs.bytes(role)
        };
        !self.newer_roots
            && [Role::Targets, Role::Snapshot, Role::Timestamp]
                .into_iter()
                .all(newer)
    }

    fn has_new_timestamp(&self) -> bool {
        let ours = self.ours.version(Role::Timestamp);
        match &self.known {
            Some(known) => {
                ours > known.version(Role::Timestamp)
                    && self.ours.bytes(Role::Timestamp) != known.bytes(Role::Timestamp)
            }
            None => ours > self.theirs.version(Role::Timestamp),
        }
    }
}

fn merge(
    base: Option<&Entries>,
    ours: &Entries,
    theirs: &Entries,
    prefer: Option<Prefer>,
) -> Result<Entries, PublishError> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut merged = Entries::new();
    let mut conflicts = Vec::new();
    for name in names {
        let (our, their) = (ours.get(name), theirs.get(name));
        let was = base.and_then(|base| base.get(name));
        // What only one of them has, and both never had, was added.
        let entry = match (our, their) {
            (our, their) if our == their => our,
            (our, their) if base.is_some() && was == our => their,
            (our, their) if base.is_some() && was == their => our,
            (Some(only), None) | (None, Some(only)) if base.is_none() => Some(only),
            (our, their) => match prefer {
                Some(Prefer::Local) => our,
                Some(Prefer::Remote) => their,
                None => {
                    conflicts.push(name.clone());
                    None
                }
            },
        };
        if let Some(entry) = entry {
            merged.insert(name.clone(), entry.clone());
        }
    }
    match conflicts.is_empty() {
        true => Ok(merged),
        false => Err(PublishError::Conflict(conflicts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuf::hashes::{Digests, Hashes};

    // `a1 b2`: target `a` with content 1, and so on.
    fn entries(text: &str) -> Entries {
        let entry = |word: &str| {
            let (name, content) = word.split_at(1);
            let digests = Digests::of(content.as_bytes());
            let file = TargetFile {
                length: digests.length,
                hashes: Hashes::from_digests(&digests),
                custom: None,
                extra: serde_json::Map::new(),
            };
            (name.to_owned(), file)
        };
        text.split_whitespace().map(entry).collect()
    }

    #[test]
    fn three_ways() {
        for (case, base, ours, theirs, merged) in [
            ("nothing", "a1", "a1", "a1", Ok("a1")),
            ("we added", "a1", "a1 b1", "a1", Ok("a1 b1")),
            ("they added", "a1", "a1", "a1 b1", Ok("a1 b1")),
            ("both added", "a1", "a1 b1", "a1 c1", Ok("a1 b1 c1")),
            ("both added the same", "a1", "a1 b1", "a1 b1", Ok("a1 b1")),
            ("we removed", "a1 b1", "a1", "a1 b1", Ok("a1")),
            ("they removed", "a1 b1", "a1 b1", "a1", Ok("a1")),
            ("both changed", "a1", "a2", "a3", Err("a")),
            ("we changed, they removed", "a1", "a2", "", Err("a")),
        ] {
            let result = merge(Some(&entries(base)), &entries(ours), &entries(theirs), None);
            match (result, merged) {
                (Ok(result), Ok(merged)) => assert_eq!(result, entries(merged), "{case}"),
                (Err(PublishError::Conflict(names)), Err(name)) => {
                    assert_eq!(names, [name], "{case}")
                }
                (result, _) => panic!("{case}: {result:?}"),
            }
        }
    }

    #[test]
    fn no_common_past() {
        let (ours, theirs) = (entries("a1 b1"), entries("a2 c1"));
        for (prefer, merged) in [(Prefer::Local, "a1 b1 c1"), (Prefer::Remote, "a2 b1 c1")] {
            let result = merge(None, &ours, &theirs, Some(prefer)).unwrap();
            assert_eq!(result, entries(merged));
        }
    }
}
