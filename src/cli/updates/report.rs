//! What a change of a repository did, as `--json` prints it: `docs/schema/updates-*.json`.

use serde::Serialize;

use super::{CliError, Printer};
use crate::agent::inventory::version_of;
use crate::tuf::metadata::Role;
use crate::tuf::repository::Repository;
use crate::tuf::trusted::Trusted;

/// A target that was published.
#[derive(Debug, Serialize)]
pub struct Published {
    target: String,
    version: Option<String>,
    bytes: u64,
    sha256: Option<String>,
    sha512: Option<String>,
}

impl Published {
    /// As the repository lists it now.
    pub fn of<'a>(
        repository: &Repository,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Vec<Self> {
        let targets = &repository.trusted().targets().signed.targets;
        let found = names.into_iter().filter_map(|name| {
            let target = targets.get(name)?;
            Some(Self {
                target: name.clone(),
                version: version_of(target.custom.as_ref()),
                bytes: target.length,
                sha256: target.hashes.get("sha256").map(str::to_owned),
                sha512: target.hashes.get("sha512").map(str::to_owned),
            })
        });
        found.collect()
    }
}

/// The newest document of a role.
#[derive(Debug, Serialize)]
pub struct Document {
    version: u64,
    expires: String,
}

/// The four of them.
#[derive(Debug, Serialize)]
pub struct Documents {
    root: Document,
    targets: Document,
    snapshot: Document,
    timestamp: Document,
}

impl Documents {
    /// As they are published now.
    pub fn of(trusted: &Trusted) -> Self {
        let document = |role| Document {
            version: trusted.version(role),
            expires: trusted.expires(role).to_string(),
        };
        Self {
            root: document(Role::Root),
            targets: document(Role::Targets),
            snapshot: document(Role::Snapshot),
            timestamp: document(Role::Timestamp),
        }
    }
}

/// Prints a report as one JSON object.
pub fn print(report: &impl Serialize, printer: &Printer) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(report).map_err(std::io::Error::from)?;
    printer.result(text)
}
