//! What agents see change: copies of targets, then metadata, in the order that misleads nobody.
//!
//! Targets first, then `targets.json`, `snapshot.json`, and when all of it was read back, also
//! through the caches in front of agents, `timestamp.json`. New roots follow, as clients with the old one need what both sign; after
//! a compromise they go first, and for a moment clients that have the new root find metadata
//! that it does not accept.

use std::time::Duration;

use super::journal::{Journal, Lease};
use super::plan::Plan;
use super::remote::{Remote, Standing};
use super::{Publication, PublishError, headers};
use crate::hint::bare;
use crate::store::object::{Condition, ObjectError};
use crate::tuf::metadata::Role;

const LIMIT: u64 = 64 << 20;
// Between two looks at a cache.
const PAUSE: Duration = Duration::from_millis(500);

impl Publication<'_> {
    /// Makes the planned changes visible.
    pub(super) fn commit(
        &mut self,
        plan: &Plan,
        remote: &Remote,
        lease: &mut Lease<'_>,
    ) -> Result<(), PublishError> {
        let journal = plan.journal(self.repository, remote)?;
        let documents = journal.documents.iter().chain(&journal.roots);
        let changed: Vec<&String> = documents
            .filter(|(name, text)| !remote.holds(name, text.as_bytes()))
            .map(|(name, _)| name)
            .collect();
        if changed.is_empty() && journal.copies.is_empty() {
            return Ok(());
        }
        // One document alone cannot be left half done.
        let alone = journal.copies.is_empty() && changed.len() == 1;
        if !alone {
            journal.write(self.place)?;
        }
        if journal.roots_first
            && remote.root_version > 0
            && changed.iter().any(|n| n.contains("root"))
        {
            (self.tell)(
                "old keys sign nothing any more: for a moment agents find a new root beside old metadata",
            );
        }
        let mut done = self.carry_out(&journal, Some(remote), lease);
        if let Err(error) = &done
            && error.is_lost_race()
        {
            self.suspects
                .extend(journal.copies.iter().map(|(_, to)| to.clone()));
            if let Standing::Verified(before) = &remote.standing {
                for role in [Role::Targets, Role::Snapshot] {
                    self.replaced.push((role, before.bytes(role).to_vec()));
                }
            }
            if !alone {
                // What it says would not be right any more.
                done = journal.clear(self.place).and(done);
            }
            return done;
        }
        done?;
        if !alone {
            journal.clear(self.place)?;
        }
        self.delete_leftovers(&journal, lease)
    }

    /// Does what a journal says, from wherever it was left. Writes hold if nobody wrote since
    /// `remote` was read, or since now.
    pub(super) fn carry_out(
        &mut self,
        journal: &Journal,
        remote: Option<&Remote>,
        lease: &mut Lease<'_>,
    ) -> Result<(), PublishError> {
        let mut steps = Vec::new();
        let (roots, documents) = (&journal.roots, &journal.documents);
        let order: Vec<_> = match journal.roots_first {
            true => roots.iter().chain(documents).collect(),
            false => documents.iter().chain(roots).collect(),
        };
        for (name, text) in order {
            if let Some(remote) = remote.filter(|remote| remote.was_read(name)) {
                let same = remote.holds(name, text.as_bytes());
                steps.push((name, text, remote.condition(name), same));
                continue;
            }
            let there = self.place.get(name, LIMIT)?;
            let same = there
                .as_ref()
                .is_some_and(|(bytes, _)| bytes == text.as_bytes());
            let condition = Condition::since(there.as_ref().map(|(_, version)| version));
            steps.push((name, text, condition, same));
        }
        self.copy_all(journal, lease)?;
        for (name, text, condition, same) in steps {
            if same {
                continue;
            }
            if *name == Role::Timestamp.file() {
                self.read_back(documents, journal)?;
                self.wait_for_readers(documents, lease)?;
            }
            lease.renew()?;
            self.place
                .put(name, text.as_bytes(), headers(name), &condition)?;
            self.done.written.push(name.clone());
        }
        Ok(())
    }

    // go-tuf 0.5.2: whoever meets the new timestamp beside an old snapshot keeps the one, fails
    // at the other, and asks no more until there is another timestamp. A cache that keeps what
    // it must not has to forget it first.
    fn wait_for_readers(
        &self,
        documents: &[(String, String)],
        lease: &mut Lease<'_>,
    ) -> Result<(), PublishError> {
        let Some(readers) = &self.options.readers else {
            return Ok(());
        };
        let begun = std::time::Instant::now();
        let led_to = documents
            .iter()
            .filter(|(name, _)| *name != Role::Timestamp.file());
        let led_to: Vec<_> = led_to.collect();
        let mut told = false;
        loop {
            let stale = super::public::stale(&readers.url, &led_to, readers.patience)?;
            // What is still old then is found, and healed, when all is written.
            if stale.is_empty() || begun.elapsed() > readers.patience {
                return Ok(());
            }
            if !told {
                (self.tell)(&format!(
                    "{} still gives an older {}; timestamp.json waits for its cache",
                    bare(&readers.url),
                    stale.join(", ")
                ));
                told = true;
            }
            lease.renew()?;
            std::thread::sleep(PAUSE.min(readers.patience));
        }
    }

    fn copy_all(&mut self, journal: &Journal, lease: &mut Lease<'_>) -> Result<(), PublishError> {
        for (from, to) in &journal.copies {
            lease.renew()?;
            match self.place.copy(from, to) {
                // Another publisher finished this, and took the source away.
                Err(ObjectError::NotFound { .. }) => return Err(PublishError::SourceGone),
                copied => copied?,
            }
            self.done.written.push(to.clone());
        }
        Ok(())
    }

    // Everything that the new timestamp leads to is there.
    fn read_back(
        &self,
        documents: &[(String, String)],
        journal: &Journal,
    ) -> Result<(), PublishError> {
        for (name, text) in documents {
            if *name == Role::Timestamp.file() {
                continue;
            }
            let there = self.place.get(name, LIMIT)?;
            match there {
                Some((bytes, _)) if bytes == text.as_bytes() => {}
                // Written by us, and then by somebody else.
                _ => return Err(PublishError::Again),
            }
        }
        for (_, to) in &journal.copies {
            let mut blob = self.place.open(to, 0)?;
            let mut first = [0];
            // Something is there, and can be read.
            std::io::Read::read(&mut blob.body, &mut first)
                .map_err(|_| PublishError::ReadBack(to.clone()))?;
        }
        Ok(())
    }
}
