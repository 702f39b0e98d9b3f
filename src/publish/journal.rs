//! The lock at a destination, and the list of what a publication is about to do.
//!
//! `.fleetpack/lock.json` says who publishes, and until when. It advises: whoever finds it run
//! out goes on, and whoever was too slow notices when a condition does not hold.
//!
//! `.fleetpack/commit.json` is written before the first file that agents know is changed:
//! copies, then documents. Until it is gone the publication is not done, and whoever comes
//! next finishes it, after verifying the documents from its own root.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{OWN, Publication, PublishError, Tell, headers, plan};
use crate::store::object::{Condition, ObjectError, Objects, Version};
use crate::tuf::client::ROOT_LIMIT;
use crate::tuf::metadata::{Role, Root, Signed};
use crate::tuf::repository::Repository;
use crate::tuf::trusted::{Expiry, Roots, Trusted};

const LOCK_LIMIT: u64 = 4096;
const JOURNAL_LIMIT: u64 = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Lock {
    holder: String,
    until: u64,
    /// For how long it was taken, in milliseconds.
    #[serde(default)]
    time: u64,
    /// Tells writings of one holder apart, however quick they are.
    #[serde(default)]
    writing: u64,
}

/// The longest that one lock can hold others up without being written anew.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Somebody else's lock, as it was found.
struct Found {
    bytes: Vec<u8>,
    at: Instant,
    lasts: Duration,
}

impl Found {
    // It says when it ends by a clock that may be wrong. But whoever holds one writes it anew
    // before its time is over: one that stays as it is for that long is nobody's.
    fn new(bytes: &[u8]) -> Self {
        let lock = serde_json::from_slice::<Lock>(bytes).ok();
        let left = lock.map_or(0, |lock| {
            let left = lock.until.saturating_sub(now());
            let time = Some(lock.time).filter(|time| *time > 0);
            left.min(time.unwrap_or(left))
        });
        Self {
            bytes: bytes.to_vec(),
            at: Instant::now(),
            lasts: Duration::from_millis(left).min(LONGEST),
        }
    }

    fn left(&self) -> Duration {
        self.lasts.saturating_sub(self.at.elapsed())
    }
}

/// The lock while it is ours.
pub(super) struct Lease<'a> {
    place: &'a dyn Objects,
    holder: String,
    time: Duration,
    version: Version,
    until: u64,
    writings: u64,
    /// It ran out in somebody's hands, who may still be alive.
    pub took_over: bool,
}

fn lock_name() -> String {
    format!("{OWN}/lock.json")
}

fn journal_name() -> String {
    format!("{OWN}/commit.json")
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// Whether somebody publishes, or did not come to the end of it.
pub(super) fn is_busy(place: &dyn Objects) -> Result<bool, PublishError> {
    let lock = place.get(&lock_name(), LOCK_LIMIT)?;
    Ok(lock.is_some() || place.get(&journal_name(), JOURNAL_LIMIT)?.is_some())
}

impl<'a> Lease<'a> {
    /// Takes the lock, waiting for as long as somebody else's lasts.
    pub fn acquire(
        place: &'a dyn Objects,
        time: Duration,
        tell: Tell<'_>,
    ) -> Result<Self, PublishError> {
        let mut holder = [0; 16];
        getrandom::fill(&mut holder)
            .map_err(|error| PublishError::Make("a name for the lock", error.into()))?;
        let mut lease = Self {
            place,
            holder: hex::encode(holder),
            time,
            version: Version::default(),
            until: 0,
            writings: 0,
            took_over: false,
        };
        let mut told = false;
        let mut lost = 0;
        let mut found: Option<Found> = None;
        loop {
            let there = place.get(&lock_name(), LOCK_LIMIT)?;
            found = there.as_ref().map(|(bytes, _)| match found.take() {
                Some(found) if found.bytes == *bytes => found,
                _ => Found::new(bytes),
            });
            let wait = found.as_ref().map_or(Duration::ZERO, Found::left);
            if wait.is_zero() {
                lease.took_over = there.is_some();
                match lease.take(Condition::since(there.as_ref().map(|(_, v)| v))) {
                    Ok(()) => return Ok(lease),
                    // Somebody was quicker, and has it now. A service that says again and again
                    // that it is free, and does not give it, is not asked for ever.
                    Err(error) if error.is_lost_race() && lost < super::RACES => lost += 1,
                    Err(error) => return Err(error),
                }
                std::thread::sleep(Duration::from_millis(20) * lost);
                continue;
            }
            lost = 0;
            if !told {
                tell(&format!(
                    "waiting for another publisher, at most {} s",
                    wait.as_millis().div_ceil(1000)
                ));
                told = true;
            }
            std::thread::sleep(wait.min(Duration::from_millis(500)));
        }
    }

    // A lost race leaves nothing of ours; whatever else fails gives it back.
    fn take(&mut self, condition: Condition) -> Result<(), PublishError> {
        self.write(condition)?;
        let proven = self.prove();
        if proven.as_ref().is_err_and(|error| !error.is_lost_race()) {
            self.give_back();
        }
        proven
    }

    fn write(&mut self, condition: Condition) -> Result<(), PublishError> {
        let until = now() + self.time.as_millis() as u64;
        self.writings += 1;
        let lock = Lock {
            holder: self.holder.clone(),
            until,
            time: self.time.as_millis() as u64,
            writing: self.writings,
        };
        let bytes = to_json(&lock)?;
        let name = lock_name();
        self.version = self.place.put(&name, &bytes, headers(&name), &condition)?;
        self.until = until;
        Ok(())
    }

    // A service that ignores conditions shows here, before anything is written that counts.
    fn prove(&mut self) -> Result<(), PublishError> {
        loop {
            let stale = self.version.clone();
            self.write(Condition::Unchanged(stale.clone()))?;
            let until = self.until;
            let refused = self
                .is_refused(Condition::Unchanged(stale))
                .and_then(|refused| Ok(refused && self.is_refused(Condition::Absent)?));
            match refused? {
                true => return Ok(()),
                // Stopped for so long that somebody else had the lock and gave it back: it was
                // free, and says nothing. It is ours now.
                false if now() >= until => {}
                false => {
                    let place = self.place.describe();
                    let source = None;
                    return Err(ObjectError::NoConditions { place, source }.into());
                }
            }
        }
    }

    fn is_refused(&mut self, condition: Condition) -> Result<bool, PublishError> {
        match self.write(condition) {
            Ok(()) => Ok(false),
            Err(PublishError::Object(ObjectError::Lost { .. })) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Prolongs it when half of it is over. Somebody else's lock is a lost race.
    pub fn renew(&mut self) -> Result<(), PublishError> {
        let left = self.until.saturating_sub(now());
        match left * 2 > self.time.as_millis() as u64 {
            true => Ok(()),
            false => self.write(Condition::Unchanged(self.version.clone())),
        }
    }

    /// Gives it back, if it is still ours.
    pub fn release(self) {
        self.give_back();
    }

    fn give_back(&self) {
        let there = self.place.get(&lock_name(), LOCK_LIMIT);
        if let Ok(Some((bytes, _))) = there
            && serde_json::from_slice::<Lock>(&bytes).is_ok_and(|lock| lock.holder == self.holder)
        {
            // Nobody is harmed by one that stays: it runs out.
            let _ = self.place.delete(&lock_name());
        }
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, PublishError> {
    serde_json::to_vec(value).map_err(|error| PublishError::Make("a list", error.into()))
}

/// What a publication does from its first visible change on, in this order.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    /// Copies inside the destination.
    pub copies: Vec<(String, String)>,
    /// Metadata: name and text.
    pub documents: Vec<(String, String)>,
    /// New roots, oldest first.
    pub roots: Vec<(String, String)>,
    /// Whether roots come before the other metadata.
    pub roots_first: bool,
    /// Objects that are needed no more afterwards.
    pub leftovers: Vec<String>,
}

impl Journal {
    /// Writes it down; somebody else's is a lost race.
    pub fn write(&self, place: &dyn Objects) -> Result<(), PublishError> {
        let name = journal_name();
        place.put(&name, &to_json(self)?, headers(&name), &Condition::Absent)?;
        Ok(())
    }

    fn read(place: &dyn Objects) -> Result<Option<Self>, PublishError> {
        let there = place.get(&journal_name(), JOURNAL_LIMIT)?;
        // One that cannot be read says nothing.
        Ok(there.map(|(bytes, _)| serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// Takes it away, if it is still this one.
    pub fn clear(&self, place: &dyn Objects) -> Result<(), PublishError> {
        match place.get(&journal_name(), JOURNAL_LIMIT)? {
            Some((bytes, _)) if bytes == to_json(self)? => Ok(place.delete(&journal_name())?),
            _ => Ok(()),
        }
    }

    fn document(&self, role: Role) -> &[u8] {
        let name = role.file();
        let found = self.documents.iter().find(|(other, _)| *other == name);
        found.map_or(&[], |(_, text)| text.as_bytes())
    }

    // Whether its documents are signed by whom they must be and have their own names, and its
    // copies are targets.
    fn verify(&self, repository: &Repository, place: &dyn Objects) -> Option<Trusted> {
        let inside = |name: &String| name.starts_with("targets/");
        let own = |name: &String| name.starts_with(&format!("{OWN}/blobs/"));
        let plain = self.copies.iter().all(|(from, to)| {
            inside(to) && (inside(from) || own(from)) && !to.contains("..") && !from.contains("..")
        });
        if !plain || !self.leftovers.iter().all(own) {
            return None;
        }
        let ours = repository.trusted().root();
        let mut roots = Roots::anchor(ours.bytes(), Expiry::Ignored).ok()?;
        while let Some((bytes, _)) = place.get(&roots.next_file(), ROOT_LIMIT).ok()?
            && roots.accept(&bytes).is_ok()
        {}
        for (name, text) in &self.roots {
            let version = Signed::<Root>::parse(text.as_bytes()).ok()?.version();
            let own_file = Role::Root.versioned_file(version);
            if version > roots.root().version() {
                roots.accept(text.as_bytes()).ok()?;
            }
            // Older ones were accepted when they were taken over.
            let same = match version == roots.root().version() {
                true => roots.root().bytes() == text.as_bytes(),
                false => {
                    let path = repository.layout().repository().join(&own_file);
                    let kept = crate::fs::read_document(&path, ROOT_LIMIT).ok()?;
                    kept.is_none_or(|kept| kept == text.as_bytes())
                }
            };
            if !same || ![Role::Root.file(), own_file].contains(name) {
                return None;
            }
        }
        let mut timestamps = roots.finish().ok()?;
        timestamps.accept(self.document(Role::Timestamp)).ok()?;
        let mut snapshots = timestamps.finish().ok()?;
        snapshots.accept(self.document(Role::Snapshot)).ok()?;
        let mut targets = snapshots.finish().ok()?;
        targets.accept(self.document(Role::Targets)).ok()?;
        let new = targets.finish().ok()?;
        self.names_hold(&new).then_some(new)
    }

    // Whoever finishes it writes these texts with rights that the one who began may not have.
    fn names_hold(&self, new: &Trusted) -> bool {
        let top = |name: &str, text: &str| {
            [Role::Targets, Role::Snapshot, Role::Timestamp]
                .into_iter()
                .any(|role| {
                    let versioned = role.versioned_file(new.version(role));
                    let named = name == role.file() || name == versioned;
                    named && text.as_bytes() == new.bytes(role)
                })
        };
        let delegated = |name: &str, text: &str| {
            let mut named = new.snapshot().signed.delegated();
            named.any(|(role, version)| {
                let files = plan::delegated_files(role, version);
                files.iter().any(|file| file == name) && plan::is_delegated(text, version)
            })
        };
        let mut documents = self.documents.iter();
        documents.all(|(name, text)| top(name, text) || delegated(name, text))
    }
}

impl Publication<'_> {
    /// Finishes what another publisher began and did not end.
    pub(super) fn finish_other(&mut self, lease: &mut Lease<'_>) -> Result<(), PublishError> {
        let Some(journal) = Journal::read(self.place)? else {
            return Ok(());
        };
        let there = self.place.get("timestamp.json", 1 << 20)?;
        let verified = journal.verify(self.repository, self.place);
        let stands = verified.is_some_and(|new| match &there {
            None => true,
            Some((bytes, _)) => {
                let root = Roots::anchor(new.root().bytes(), Expiry::Ignored);
                let now = root.and_then(Roots::finish).and_then(|mut timestamps| {
                    timestamps.accept(bytes)?;
                    timestamps.finish()
                });
                // What does not verify under the newest root counts for nothing.
                now.map_or(true, |now| {
                    let version = now.timestamp().version();
                    version < new.version(Role::Timestamp) || bytes == new.bytes(Role::Timestamp)
                })
            }
        });
        let mut done = Ok(());
        if stands {
            (self.tell)("finishing what another publisher began");
            done = self.carry_out(&journal, None, lease);
            if matches!(done, Err(PublishError::SourceGone)) {
                // It cannot be finished by anybody; what it copied so far is looked at again.
                let targets = journal.copies.iter().map(|(_, to)| to.clone());
                self.suspects.extend(targets);
                done = Err(PublishError::Again);
            }
            if matches!(&done, Err(error) if !matches!(error, PublishError::Again)) {
                return done;
            }
        }
        self.place.delete(&journal_name())?;
        // One that does not stand decides about nothing; pruning finds what it left.
        if stands {
            self.delete_leftovers(&journal, lease)?;
        }
        done
    }

    /// Deletes what a journal's copies were made from. After the journal itself: with it, but
    /// without them, nobody could finish. Where somebody's lock ran out they stay until
    /// pruning, for that one may have to put contents back.
    pub(super) fn delete_leftovers(
        &self,
        journal: &Journal,
        lease: &Lease<'_>,
    ) -> Result<(), PublishError> {
        if lease.took_over {
            return Ok(());
        }
        let mut names = journal.leftovers.iter();
        names.try_for_each(|name| Ok(self.place.delete(name)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_lock_that_stays_as_it_is_holds_others_up() {
        let lock = |until: u64, time: u64| {
            let lock = Lock {
                holder: "somebody".to_owned(),
                until,
                time,
                writing: 1,
            };
            Found::new(&to_json(&lock).unwrap()).lasts
        };
        assert_eq!(lock(0, 1000), Duration::ZERO);
        let soon = lock(now() + 500, 1000);
        assert!(soon <= Duration::from_millis(500) && soon > Duration::ZERO);
        // A clock that is ahead, here or there.
        assert_eq!(lock(now() + 3_600_000, 1000), Duration::from_secs(1));
        assert_eq!(lock(u64::MAX, u64::MAX), LONGEST);
        // As locks were before they said for how long they are taken.
        assert_eq!(lock(u64::MAX, 0), LONGEST);
        assert_eq!(Found::new(b"no lock").lasts, Duration::ZERO);
    }
}
