//! Finds a target's description, in the top-level document and in delegated roles, each
//! before its own delegates and in the order of its delegator (TUF 5.6.7).
//!
//! A delegated document is read once and judged anew for each delegator, by the keys that this
//! one gives the role: what counts under one may not under another.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Client, ClientError, TARGETS_LIMIT, lock};
use crate::tuf::delegation::{self, Delegated, VISITED_LIMIT};
use crate::tuf::key::Key;
use crate::tuf::metadata::{TargetFile, Targets};
use crate::tuf::state::quoted;
use crate::tuf::trusted::Trusted;

/// A verdict on a delegated document. It holds for whoever gives the role the same keys.
pub(super) struct Judged {
    role: String,
    keys: Vec<Option<Key>>,
    threshold: u64,
    document: Arc<Targets>,
}

impl Client {
    /// What the repository says of a target.
    pub fn target(&self, name: &str) -> Result<TargetFile, ClientError> {
        self.find(name)?.ok_or_else(|| ClientError::NoTarget {
            place: self.store.describe(),
            name: name.to_owned(),
        })
    }

    /// Looks for a target; `None` where no role that is trusted for its name lists it.
    pub fn find(&self, name: &str) -> Result<Option<TargetFile>, ClientError> {
        let trusted = self.trusted.as_ref().ok_or(ClientError::NotRefreshed)?;
        let top = &trusted.targets().signed;
        if let Some(found) = top.targets.get(name) {
            return Ok(Some(found.clone()));
        }
        let mut visited = BTreeSet::new();
        // Those to visit, the next one last.
        let mut waiting = roles_for(&Arc::new(top.clone()), name);
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
            let next = roles_for(&document, name);
            // TUF 5.6.7.2.1: whoever terminates has the last word.
            if next.iter().any(|(_, role)| role.terminating) {
                waiting.clear();
            }
            waiting.extend(next);
        }
        Ok(None)
    }

    /// Every name that a search would find, with what is said of it: those of the top-level
    /// document, and those that delegated roles list and are trusted for.
    pub fn all_targets(&self) -> Result<Vec<(String, TargetFile)>, ClientError> {
        let trusted = self.trusted.as_ref().ok_or(ClientError::NotRefreshed)?;
        let top = &trusted.targets().signed;
        let mut names: BTreeSet<String> = top.targets.keys().cloned().collect();
        let mut visited = BTreeSet::new();
        let mut waiting = self.all_roles(&Arc::new(top.clone()));
        while let Some((delegator, role)) = waiting.pop() {
            if !visited.insert(role.name.clone()) {
                continue;
            }
            let document = self.delegated(trusted, &delegator, &role)?;
            names.extend(document.targets.keys().cloned());
            waiting.extend(self.all_roles(&document));
        }
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            if let Some(target) = self.find(&name)? {
                found.push((name, target));
            }
        }
        Ok(found)
    }

    // All roles of a document that the snapshot lists; of bins there may be very many more.
    fn all_roles(&self, document: &Arc<Targets>) -> Vec<(Arc<Targets>, Delegated)> {
        let Some((delegations, trusted)) = document.delegations.as_ref().zip(self.trusted.as_ref())
        else {
            return Vec::new();
        };
        let listed = trusted.snapshot().signed.meta.keys();
        let listed = listed.filter_map(|file| file.strip_suffix(".json"));
        delegation::roles_named(delegations, listed)
            .into_iter()
            .map(|role| (document.clone(), role))
            .collect()
    }

    // A delegated role's document, from what is kept or fetched, judged for this delegator.
    fn delegated(
        &self,
        trusted: &Trusted,
        delegator: &Targets,
        role: &Delegated,
    ) -> Result<Arc<Targets>, ClientError> {
        let given = delegator.delegations.as_ref();
        let key = |id| given.and_then(|d| d.keys.get(id)).cloned();
        let keys: Vec<_> = role.keyids.iter().map(key).collect();
        let same = |judged: &&Judged| {
            judged.role == role.name && judged.threshold == role.threshold && judged.keys == keys
        };
        if let Some(judged) = lock(&self.judged).iter().find(same) {
            return Ok(judged.document.clone());
        }
        let document = Arc::new(self.fetch_delegated(trusted, delegator, role)?);
        lock(&self.judged).push(Judged {
            role: role.name.clone(),
            keys,
            threshold: role.threshold,
            document: document.clone(),
        });
        Ok(document)
    }

    fn fetch_delegated(
        &self,
        trusted: &Trusted,
        delegator: &Targets,
        role: &Delegated,
    ) -> Result<Targets, ClientError> {
        let judge = |bytes: &[u8]| trusted.delegated(delegator, role, bytes, self.expiry);
        let kept = self.with_state(|state| state.read(&role.name, TARGETS_LIMIT))?;
        if let Some(document) = kept.flatten().and_then(|bytes| judge(&bytes).ok()) {
            return Ok(document.signed);
        }
        // TUF 5.6.1: what the snapshot does not list is not asked for.
        let wanted = trusted.wanted(&role.name).map_err(|e| self.rejected(e))?;
        let quoted = quoted(&role.name);
        let file = match trusted.root().signed.consistent_snapshot {
            true => format!("{}.{quoted}.json", wanted.version),
            false => format!("{quoted}.json"),
        };
        let bytes = self.fetch_wanted(&file, wanted, TARGETS_LIMIT)?;
        let document = judge(&bytes).map_err(|e| self.rejected(e))?;
        self.with_state(|state| state.write(&role.name, &bytes))?;
        Ok(document.signed)
    }
}

// The roles that a document trusts for a name, the first one last.
fn roles_for(document: &Arc<Targets>, name: &str) -> Vec<(Arc<Targets>, Delegated)> {
    let delegations = document.delegations.iter();
    let mut roles: Vec<_> = delegations
        .flat_map(|d| delegation::roles_for(d, name))
        .map(|role| (document.clone(), role))
        .collect();
    roles.reverse();
    roles
}
