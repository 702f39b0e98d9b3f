//! Deletes what no metadata name any more at a destination.
//!
//! Agents that refreshed a moment ago, and caches, still ask for a target that was replaced or
//! removed. So it stays for some time after the publication that dropped it, however old it
//! is. `.fleetpack/unnamed.json` maps names to the second, since 1970, since which nothing
//! names them; what is not in it yet has been unnamed since the published targets.json was
//! written, for these do not name it. Root documents stay for good.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp as Instant;

use super::plan::paths;
use super::{OWN, PublishError, headers};
use crate::store::object::{Condition, Listed, Objects};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Leftover, Pruned, Repository};
use crate::tuf::state::quoted;

const LIMIT: u64 = 64 << 20;

type Notes = BTreeMap<String, i64>;

/// Deletes what was unnamed before `limit`; a dry run changes nothing.
pub fn prune(
    repository: &Repository,
    place: &dyn Objects,
    limit: Instant,
    dry_run: bool,
) -> Result<Pruned, PublishError> {
    let search = Search::new(repository, place)?;
    let mut pruned = Pruned::default();
    for listed in place.list("")? {
        let Some(then) = search.unnamed_since(&listed) else {
            continue;
        };
        let noted = search.notes.get(&listed.name);
        let since = noted.and_then(|seconds| Instant::from_second(*seconds).ok());
        let leftover = Leftover {
            since: since.unwrap_or(then),
            bytes: listed.len,
            file: listed.name,
        };
        match leftover.since <= limit {
            true => pruned.removed.push(leftover),
            false => pruned.waiting.push(leftover),
        }
    }
    if dry_run {
        return Ok(pruned);
    }
    for leftover in &pruned.removed {
        place.delete(&leftover.file)?;
    }
    let waiting = pruned.waiting.iter();
    let notes: Notes = waiting
        .map(|leftover| (leftover.file.clone(), leftover.since.as_second()))
        .collect();
    if notes != search.notes {
        write(place, &notes)?;
    }
    Ok(pruned)
}

fn notes_name() -> String {
    format!("{OWN}/unnamed.json")
}

fn write(place: &dyn Objects, notes: &Notes) -> Result<(), PublishError> {
    let name = notes_name();
    if notes.is_empty() {
        return Ok(place.delete(&name)?);
    }
    let bytes =
        serde_json::to_vec(notes).map_err(|error| PublishError::Make("a list", error.into()))?;
    place.put(&name, &bytes, headers(&name), &Condition::Always)?;
    Ok(())
}

/// What is named, and since when the rest is not.
struct Search {
    named: std::collections::BTreeSet<String>,
    /// Role → its newest version, of documents that have numbered names.
    versions: BTreeMap<String, u64>,
    notes: Notes,
    then: Instant,
}

impl Search {
    fn new(repository: &Repository, place: &dyn Objects) -> Result<Self, PublishError> {
        let ours = repository.trusted();
        let consistent = ours.root().signed.consistent_snapshot;
        let mut named: std::collections::BTreeSet<String> =
            paths(&ours.targets().signed, consistent)
                .into_keys()
                .collect();
        // Where these are not at hand, nobody knows what they name, and nothing is deleted.
        for document in repository.delegated_documents()?.values() {
            named.extend(paths(&document.signed, consistent).into_keys());
        }
        let meta = ours.snapshot().signed.meta.iter();
        let mut versions: BTreeMap<String, u64> = meta
            .filter_map(|(file, meta)| Some((quoted(file.strip_suffix(".json")?), meta.version)))
            .collect();
        versions.insert(
            Role::Snapshot.name().to_owned(),
            ours.version(Role::Snapshot),
        );
        versions.remove(Role::Root.name());
        let notes = place.get(&notes_name(), LIMIT)?;
        // A list that cannot be read only makes things stay longer.
        let notes = notes.and_then(|(bytes, _)| serde_json::from_slice(&bytes).ok());
        Ok(Self {
            named,
            versions,
            notes: notes.unwrap_or_default(),
            then: published(repository, place)?,
        })
    }

    // Since when nothing names it, as far as its name tells; nothing when something does.
    fn unnamed_since(&self, listed: &Listed) -> Option<Instant> {
        let name = listed.name.as_str();
        if name.starts_with("targets/") {
            return (!self.named.contains(name)).then_some(self.then);
        }
        if name.starts_with(&format!("{OWN}/blobs/")) {
            return Instant::try_from(listed.modified).ok();
        }
        let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
        let (version, newest) = (version.parse::<u64>().ok()?, self.versions.get(role)?);
        (version < *newest).then_some(self.then)
    }
}

// When what this copy names was published.
fn published(repository: &Repository, place: &dyn Objects) -> Result<Instant, PublishError> {
    let now = Instant::try_from(SystemTime::now())
        .map_err(|error| PublishError::Make("a time", error.into()))?;
    let name = Role::Targets.file();
    let there = place.get(&name, LIMIT)?;
    let same = there.is_some_and(|(bytes, _)| bytes == repository.trusted().bytes(Role::Targets));
    if !same {
        return Ok(now);
    }
    let modified = place.modified(&name)?;
    Ok(modified
        .and_then(|time| Instant::try_from(time).ok())
        .unwrap_or(now))
}
