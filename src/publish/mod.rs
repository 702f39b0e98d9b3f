//! A repository to and from object storage, so that no agent is misled or left behind.
//!
//! [`publish`] brings this copy and what lies at the destination together (`merge`), uploads
//! what agents do not ask for yet, writes down what it is about to do (`journal`), then copies
//! targets into place and writes metadata, `timestamp.json` last and after the rest was read
//! back (`commit`). Every write of metadata holds only if nobody else wrote since it was read
//! (`remote`); a lost race begins again. Locks advise, conditions fence. What this copy saw at
//! a destination is remembered beside the keys (`known`), so that a destination that was put
//! back to an older state is refused. `plan` says what differs, `restore` mends what a lost
//! race left, `unnamed` deletes what agents ask for no more, `public` looks through the
//! address that agents use, [`serve`] is a small web server, [`page`] a status page.

mod commit;
mod error;
mod journal;
mod known;
mod merge;
pub mod page;
mod plan;
mod public;
mod pull;
mod remote;
mod restore;
pub mod serve;
mod unnamed;

pub use error::PublishError;
pub use known::Known;
pub use merge::Prefer;
pub use public::{Checked, check as check_public};
pub use pull::{Pulled, first, pull};
pub use unnamed::prune;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp as Instant};

use crate::agent::inventory::Inventory;
use crate::store::object::{Headers, Objects};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Agreed, Other, Repository, Signing};
use journal::Lease;
use merge::Meeting;
use plan::Plan;
use remote::{Remote, Standing};

/// Where fleetpack keeps its own objects at a destination.
const OWN: &str = ".fleetpack";
/// How often a lost race is run again.
const RACES: u32 = 8;

/// How to publish.
#[derive(Clone, Debug)]
pub struct Options {
    /// Say what would be done.
    pub dry_run: bool,
    /// Delete what no metadata names and what is older than this.
    pub delete: Option<Duration>,
    /// Write over what is broken, rolled back or was signed by nobody we know.
    pub repair: bool,
    /// Whose entry counts where both copies changed the same target.
    pub prefer: Option<Prefer>,
    /// Publish a status page under this name.
    pub status_page: Option<String>,
    /// For how long the lock is taken at a time.
    pub lock_time: Duration,
    /// How many files are sent at once.
    pub threads: usize,
    /// The address that agents use, where `timestamp.json` waits for caches.
    pub readers: Option<Readers>,
}

/// The address that agents use.
#[derive(Clone, Debug)]
pub struct Readers {
    /// Where the repository is to be read.
    pub url: String,
    /// How long a cache there is waited for.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dry_run: false,
            delete: None,
            repair: false,
            prefer: None,
            status_page: None,
            lock_time: Duration::from_secs(120),
            threads: 4,
            readers: None,
        }
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Names that were written, in their order.
    pub written: Vec<String>,
    /// Names that were deleted.
    pub deleted: Vec<String>,
    /// Roles that were signed anew because both copies had changed.
    pub signed: Vec<Role>,
    /// Bytes sent from here.
    pub sent: u64,
    /// Bytes copied at the destination.
    pub copied: u64,
    /// Targets that were taken over from the destination without their files.
    pub taken_over: bool,
    /// Races that were lost on the way.
    pub races: u32,
}

/// Who is told what happens: one line each.
pub type Tell<'a> = &'a dyn Fn(&str);

/// One publication: what and where, and what it remembers between its tries.
struct Publication<'a> {
    repository: &'a mut Repository,
    place: &'a dyn Objects,
    known: &'a Known,
    options: &'a Options,
    tell: Tell<'a>,
    /// Names that a lost try may have overwritten.
    suspects: BTreeSet<String>,
    /// Documents that a lost try replaced.
    replaced: Vec<(Role, Vec<u8>)>,
    done: Published,
}

/// Publishes the repository at `place`.
pub fn publish(
    repository: &mut Repository,
    place: &dyn Objects,
    known: &Known,
    options: &Options,
    signing: &mut Signing<'_>,
    tell: Tell<'_>,
) -> Result<Published, PublishError> {
    let mut publication = Publication {
        repository,
        place,
        known,
        options,
        tell,
        suspects: BTreeSet::new(),
        replaced: Vec::new(),
        done: Published::default(),
    };
    if options.dry_run {
        publication.dry_run()?;
        return Ok(publication.done);
    }
    loop {
        let mut lease = Lease::acquire(place, options.lock_time, tell)?;
        let tried = publication.once(&mut lease, signing);
        lease.release();
        match tried {
            Ok(()) => return Ok(publication.done),
            Err(error) if error.is_lost_race() && publication.done.races < RACES => {
                publication.done.races += 1;
                tell("somebody else published in between; trying again");
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits for whoever publishes at `place`, and finishes what was begun there and not ended.
fn finish(
    repository: &mut Repository,
    place: &dyn Objects,
    known: &Known,
    tell: Tell<'_>,
) -> Result<(), PublishError> {
    let options = Options::default();
    let mut lease = Lease::acquire(place, options.lock_time, tell)?;
    let mut publication = Publication {
        repository,
        place,
        known,
        options: &options,
        tell,
        suspects: BTreeSet::new(),
        replaced: Vec::new(),
        done: Published::default(),
    };
    let done = publication.finish_other(&mut lease);
    lease.release();
    match done {
        Err(error) if error.is_lost_race() => Ok(()),
        done => done,
    }
}

impl Publication<'_> {
    fn read(&self) -> Result<Remote, PublishError> {
        let candidates = self.replaced.iter().cloned();
        Remote::read(
            self.place,
            self.repository,
            self.known,
            self.options.repair,
            candidates.collect(),
        )
    }

    fn once(
        &mut self,
        lease: &mut Lease<'_>,
        signing: &mut Signing<'_>,
    ) -> Result<(), PublishError> {
        self.finish_other(lease)?;
        let remote = self.read()?;
        for stray in &remote.strays {
            (self.tell)(&format!("deleting {stray}, which no key of ours signed"));
            self.place.delete(stray)?;
        }
        self.heal(&remote)?;
        self.restore(&remote)?;
        self.unite(&remote, signing)?;
        let plan = Plan::of(self.repository, self.place, &remote, &self.suspects)?;
        self.send(&plan, lease)?;
        lease.renew()?;
        self.commit(&plan, &remote, lease)?;
        self.known.save(self.place, self.repository.trusted())?;
        self.put_page(signing.now)?;
        self.delete(Instant::now(), false)
    }

    // Documents that the published timestamp does not name, where the right ones are at hand.
    fn heal(&mut self, remote: &Remote) -> Result<(), PublishError> {
        for (role, bytes) in &remote.healing {
            (self.tell)(&format!(
                "putting back {}, which half a publication replaced",
                role.file()
            ));
            let condition = remote.condition(&role.file());
            self.place
                .put(&role.file(), bytes, headers(&role.file()), &condition)?;
        }
        match remote.healing.is_empty() {
            true => Ok(()),
            // Read again, with the versions that the writes made.
            false => Err(PublishError::Again),
        }
    }

    fn unite(&mut self, remote: &Remote, signing: &mut Signing<'_>) -> Result<(), PublishError> {
        let Standing::Verified(theirs) = &remote.standing else {
            return Ok(());
        };
        let agreed = self.agreed(remote)?;
        let Some(agreed) = agreed else { return Ok(()) };
        let other = Other {
            roots: &remote.newer_roots,
            trusted: theirs,
            files: &[],
        };
        let before = self.repository.trusted().bytes(Role::Targets).to_vec();
        let signed = self.repository.unite(&other, &agreed, signing)?;
        if !signed.is_empty() {
            let roles: Vec<_> = signed.iter().map(|role| role.name()).collect();
            (self.tell)(&format!(
                "the destination was ahead: signed {} anew",
                roles.join(", ")
            ));
        }
        self.done.signed.extend(signed);
        self.done.taken_over |= before != self.repository.trusted().bytes(Role::Targets)
            && !matches!(agreed, Agreed::Ours);
        Ok(())
    }

    fn agreed(&self, remote: &Remote) -> Result<Option<Agreed>, PublishError> {
        let Standing::Verified(theirs) = &remote.standing else {
            return Ok(None);
        };
        Meeting {
            known: self.known.documents(self.place)?,
            ours: self.repository.trusted(),
            theirs,
            newer_roots: !remote.newer_roots.is_empty(),
            prefer: self.options.prefer,
        }
        .agree()
    }

    fn dry_run(&mut self) -> Result<(), PublishError> {
        let remote = self.read()?;
        if let Some(agreed) = self.agreed(&remote)?
            && let Standing::Verified(theirs) = &remote.standing
        {
            let other = Other {
                roots: &remote.newer_roots,
                trusted: theirs,
                files: &[],
            };
            let how = match self.repository.needs_no_key(&other, &agreed) {
                true => "as it is",
                false => "by signing anew",
            };
            (self.tell)(&format!(
                "the destination is ahead; it would be taken in {how}"
            ));
        }
        let plan = Plan::of(self.repository, self.place, &remote, &self.suspects)?;
        let journal = plan.journal(self.repository, &remote)?;
        self.done.written = plan.names(&journal, &remote);
        self.done.sent = plan.bytes_to_send();
        self.delete(Instant::now(), true)
    }

    // When the destination's files were written.
    fn times(&self) -> Result<BTreeMap<String, Instant>, PublishError> {
        let listed = self.place.list("targets")?;
        let times = listed.into_iter().filter_map(|listed| {
            let name = listed.name.strip_prefix("targets/")?.to_owned();
            Some((name, Instant::try_from(listed.modified).ok()?))
        });
        Ok(times.collect())
    }

    fn put_page(&mut self, now: Instant) -> Result<(), PublishError> {
        let Some(name) = self.options.status_page.as_deref() else {
            return Ok(());
        };
        let times = self.times()?;
        let trusted = self.repository.trusted();
        let targets: Vec<_> = trusted
            .targets()
            .signed
            .targets
            .clone()
            .into_iter()
            .collect();
        let inventory = Inventory::of(trusted, &targets, now, |name, _| times.get(name).copied());
        let html = page::render(&inventory, now)?;
        let condition = crate::store::object::Condition::Always;
        self.place
            .put(name, html.as_bytes(), headers(name), &condition)?;
        self.done.written.push(name.to_owned());
        Ok(())
    }

    fn delete(&mut self, now: Instant, dry_run: bool) -> Result<(), PublishError> {
        let Some(grace) = self.options.delete else {
            return Ok(());
        };
        let limit = SignedDuration::try_from(grace)
            .and_then(|grace| now.checked_sub(grace))
            .unwrap_or(Instant::MIN);
        let pruned = unnamed::prune(self.repository, self.place, limit, dry_run)?;
        let names = pruned.removed.into_iter().map(|leftover| leftover.file);
        self.done.deleted.extend(names);
        Ok(())
    }
}

/// What readers are told about a file of a repository.
pub fn headers(name: &str) -> Headers {
    let file = name.rsplit('/').next().unwrap_or(name);
    let content_type = match file.rsplit('.').next().unwrap_or_default() {
        "json" => "application/json",
        "html" => "text/html; charset=utf-8",
        "gz" => "application/gzip",
        _ => "application/octet-stream",
    };
    let cache_control = match name {
        "timestamp.json" => "no-store",
        // Only a name that holds the hash of its contents never means anything else.
        name if name.starts_with("targets/") && is_hash_prefixed(file) => {
            "public, max-age=31536000, immutable"
        }
        _ => "no-cache",
    };
    Headers {
        content_type,
        cache_control,
    }
}

fn is_hash_prefixed(file: &str) -> bool {
    let Some((hash, _)) = file.split_once('.') else {
        return false;
    };
    matches!(hash.len(), 64 | 128) && hash.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_are_told() {
        let hashed = format!("targets/orbit/linux/stable/{}.orbit", "0a".repeat(64));
        for (name, content_type, cache_control) in [
            ("timestamp.json", "application/json", "no-store"),
            ("snapshot.json", "application/json", "no-cache"),
            ("3.root.json", "application/json", "no-cache"),
            (
                "targets/orbit/linux/1.2.3/orbit",
                "application/octet-stream",
                "no-cache",
            ),
            (
                "targets/desktop/linux/stable/desktop.tar.gz",
                "application/gzip",
                "no-cache",
            ),
            (
                hashed.as_str(),
                "application/octet-stream",
                "public, max-age=31536000, immutable",
            ),
            ("status.html", "text/html; charset=utf-8", "no-cache"),
        ] {
            let told = headers(name);
            assert_eq!(
                (told.content_type, told.cache_control),
                (content_type, cache_control),
                "{name}"
            );
        }
    }
}
