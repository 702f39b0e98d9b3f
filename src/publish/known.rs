//! What this copy saw last at each destination, kept beside its memory.
//!
//! One file for each destination, `published-<16 hex digits of its name's SHA-256>.json`, with
//! the four documents. It answers two questions: was the destination put back to something
//! older, and what did this copy look like when both were the same.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PublishError;
use crate::store::object::Objects;
use crate::tuf::metadata::{Role, Root, Signed, Targets};
use crate::tuf::repository::Layout;
use crate::tuf::trusted::Trusted;

const LIMIT: u64 = 64 << 20;

/// The folder of these files.
#[derive(Clone, Debug)]
pub struct Known {
    folder: PathBuf,
}

/// The documents that were seen, as they were.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Documents {
    place: String,
    root: String,
    targets: String,
    snapshot: String,
    timestamp: String,
}

impl Known {
    /// Beside the repository's memory.
    pub fn of(layout: &Layout) -> Self {
        let state = layout.state();
        Self {
            folder: state.parent().map(PathBuf::from).unwrap_or_default(),
        }
    }

    fn file(&self, place: &dyn Objects) -> PathBuf {
        let digest = crate::compress::sha256(place.describe().as_bytes());
        let name = hex::encode(&digest[..8]);
        self.folder.join(format!("published-{name}.json"))
    }

    /// What was seen at `place`.
    pub(super) fn documents(&self, place: &dyn Objects) -> Result<Option<Documents>, PublishError> {
        let path = self.file(place);
        let bytes = crate::fs::read_document(&path, LIMIT)
            .map_err(|error| PublishError::Make("the memory of the destination", error.into()))?;
        bytes
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .map_err(|error| PublishError::Make("the memory of the destination", error.into()))
    }

    /// Remembers what is there now.
    pub(super) fn save(&self, place: &dyn Objects, seen: &Trusted) -> Result<(), PublishError> {
        let text = |role| String::from_utf8_lossy(seen.bytes(role)).into_owned();
        let documents = Documents {
            place: place.describe(),
            root: text(Role::Root),
            targets: text(Role::Targets),
            snapshot: text(Role::Snapshot),
            timestamp: text(Role::Timestamp),
        };
        let failed = |error: std::io::Error| {
            PublishError::Make("the memory of the destination", error.into())
        };
        let bytes = serde_json::to_vec(&documents).map_err(|error| failed(error.into()))?;
        crate::fs::create_folders(&self.folder, 0o700).map_err(failed)?;
        crate::fs::write_atomic(&self.file(place), &bytes, 0o600).map_err(failed)
    }
}

impl Documents {
    /// A role's document.
    pub(super) fn bytes(&self, role: Role) -> &[u8] {
        match role {
            Role::Root => self.root.as_bytes(),
            Role::Targets => self.targets.as_bytes(),
            Role::Snapshot => self.snapshot.as_bytes(),
            Role::Timestamp => self.timestamp.as_bytes(),
        }
    }

    /// Version of a role's document.
    pub(super) fn version(&self, role: Role) -> u64 {
        #[derive(Deserialize)]
        struct Head {
            version: u64,
        }
        #[derive(Deserialize)]
        struct Document {
            signed: Head,
        }
        serde_json::from_slice::<Document>(self.bytes(role)).map_or(0, |d| d.signed.version)
    }

    /// The root.
    pub(super) fn root(&self) -> Option<Signed<Root>> {
        Signed::parse(self.bytes(Role::Root)).ok()
    }

    /// The targets document.
    pub(super) fn targets(&self) -> Option<Signed<Targets>> {
        Signed::parse(self.bytes(Role::Targets)).ok()
    }
}
