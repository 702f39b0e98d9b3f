//! Programs as an installer takes them: verified, versioned, archives unpacked.

use crate::install::Shared;

use super::AgentError;
use super::component::{Component, Target};

/// The four documents as they were verified while packaging: consistent with each other.
#[derive(Clone, Debug)]
pub struct Documents {
    /// Highest verified `root.json`.
    pub root: Vec<u8>,
    /// `timestamp.json`.
    pub timestamp: Vec<u8>,
    /// `snapshot.json`.
    pub snapshot: Vec<u8>,
    /// `targets.json`.
    pub targets: Vec<u8>,
}

impl Documents {
    /// The file that agents read their first trusted metadata from: one JSON object, from
    /// document name to document.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        use serde_json::value::RawValue;
        use std::collections::BTreeMap;
        let raw = |bytes: &[u8]| serde_json::from_slice::<Box<RawValue>>(bytes);
        let object = BTreeMap::from([
            ("root.json", raw(&self.root)?),
            ("snapshot.json", raw(&self.snapshot)?),
            ("targets.json", raw(&self.targets)?),
            ("timestamp.json", raw(&self.timestamp)?),
        ]);
        serde_json::to_vec(&object)
    }
}

/// One verified program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Which, and for which platform.
    pub target: Target,
    /// The channel it was taken from.
    pub channel: String,
    /// `custom.version` of the target, when it has one.
    pub version: Option<String>,
    /// The target itself.
    pub file: Shared,
    /// Lower-case hex sha512 of the target.
    pub sha512: String,
    /// What an archive unpacks to; empty for a plain program.
    pub unpacked: Vec<Unpacked>,
}

/// One member of an unpacked archive.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// Path in the archive, without a leading `./` or a trailing `/`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Contents; `None` for a directory.
    pub contents: Option<Shared>,
}

/// Everything that was fetched for one platform.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The verified metadata.
    pub documents: Documents,
    /// orbit, osqueryd, and Fleet Desktop where it was asked for.
    pub programs: Vec<Program>,
}

impl Fetched {
    /// The program of a component.
    pub fn program(&self, component: Component) -> Result<&Program, AgentError> {
        let wanted = |program: &&Program| program.target.component == component;
        self.programs
            .iter()
            .find(wanted)
            .ok_or(AgentError::Missing(component))
    }

    /// orbit's version, which is the package's.
    pub fn version(&self) -> Result<&str, AgentError> {
        let orbit = self.program(Component::Orbit)?;
        let version = orbit
            .version
            .as_deref()
            .filter(|version| !version.is_empty());
        version.ok_or_else(|| AgentError::NoVersion(orbit.target.name(&orbit.channel)))
    }
}
