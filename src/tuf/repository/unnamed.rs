//! Since when a published file is named by nothing.
//!
//! `.fleetpack/unnamed.json` maps files, relative to `repository/`, to the time, in seconds
//! since 1970, at which the change that dropped them was signed. Where another tool made that change, the time is that of
//! the published targets.json: nothing has named the file since.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Layout, RepositoryError, io_error};

/// Largest list that is read.
const LIMIT: u64 = 64 << 20;

/// Files that nothing names any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Unnamed(BTreeMap<String, i64>);

impl Unnamed {
    /// From its file; empty when there is none.
    pub fn read(layout: &Layout) -> Result<Self, RepositoryError> {
        let path = layout.work().join("unnamed.json");
        let failed = || io_error(format!("read {}", path.display()));
        let text = crate::fs::read_document(&path, LIMIT).map_err(failed())?;
        let Some(text) = text else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&text)
            .map_err(io::Error::from)
            .map_err(failed())
    }

    /// Into its file, or no file when there is nothing to say.
    pub fn write(&self, layout: &Layout) -> Result<(), RepositoryError> {
        let path = layout.work().join("unnamed.json");
        if self.0.is_empty() {
            return crate::fs::remove(&path)
                .map_err(io_error(format!("delete {}", path.display())));
        }
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        text.and_then(|text| crate::fs::write_atomic(&path, &text, 0o644))
            .map_err(io_error(format!("write {}", path.display())))
    }

    /// Notes what a change from the files named `before` to those named `after` will do. A
    /// note of a change that then fails is put right by the next one: what was named before
    /// it has no older note.
    pub fn update(
        layout: &Layout,
        before: &BTreeSet<String>,
        after: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), RepositoryError> {
        let old = Self::read(layout)?;
        let mut new = old.clone();
        new.0
            .retain(|file, _| !before.contains(file) && !after.contains(file));
        let dropped = before.difference(after);
        new.0
            .extend(dropped.map(|file| (file.clone(), now.as_second())));
        match new == old {
            true => Ok(()),
            false => new.write(layout),
        }
    }

    /// Since when `file` is unnamed: as noted, or since `then`, which is noted.
    pub fn since(&mut self, file: &str, then: Timestamp) -> Timestamp {
        let seconds = self.0.entry(file.to_owned());
        let seconds = *seconds.or_insert(then.as_second());
        Timestamp::from_second(seconds).unwrap_or(then)
    }

    /// Forgets files that are not among these.
    pub fn keep(&mut self, files: &BTreeSet<String>) {
        self.0.retain(|file, _| files.contains(file));
    }
}
