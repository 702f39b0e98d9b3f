//! What fleetd is: components, platforms, configuration, and the tree on a host.
//!
//! - [`archive`]: target archives, as agents accept them.
//! - [`component`]: the three programs and where each platform's target lies.
//! - [`config`]: everything an administrator can set, validated once.
//! - [`environment`]: the configuration as the agent's `ORBIT_*` variables.
//! - [`fetch`]: from an update repository to verified programs.
//! - [`fetched`]: the verified programs, ready for an installer.
//! - [`layout`]: the agent's folder, the same on all systems.
//! - [`sample`]: stand-ins for the programs, to try things out.
//! - [`linux`]: configuration and programs as an [`install::Tree`](crate::install::Tree);
//!   [`linux_lifecycle`]: what is done on the host around installation and removal.
//! - [`macos`]: the same on macOS; [`mobileconfig`]: the profile that configures it by MDM.
//! - [`windows`]: the same on Windows.
//! - [`inventory`]: what a repository holds, in fleetd's terms.
//! - [`release`]: a program on its way into a repository; [`sniff`]: what kind of file it is.

pub mod archive;
pub mod component;
pub mod config;
pub mod duration;
pub mod environment;
pub mod fetch;
pub mod fetched;
pub mod inventory;
pub mod layout;
pub mod linux;
pub mod linux_lifecycle;
pub mod macos;
pub mod mobileconfig;
pub mod release;
pub mod sample;
pub mod sniff;
pub mod windows;

use crate::hint::Hint;
use crate::install::{Arch, Identity, TreeError};
use crate::templates::TemplateError;
use component::Component;

/// Configuration and programs do not make an installer.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A value cannot be written where it must stand.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Entries collide: a target archive holds a path twice.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Verified documents that are no JSON: a fault of fleetpack.
    #[error("the verified metadata cannot be written")]
    Documents(#[source] serde_json::Error),
    /// A program that every agent has was not fetched.
    #[error("{0} is not among the programs that were fetched")]
    Missing(Component),
    /// The package's version is orbit's, and the repository does not tell it.
    #[error("the target {0} has no version in its metadata")]
    NoVersion(String),
}

impl Hint for AgentError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoVersion(_) => {
                Some("fleetpack updates add --name orbit --version VERSION …".into())
            }
            _ => None,
        }
    }
}

/// Who and what the package is; `version` is orbit's.
pub fn identity(version: &str, arch: Arch, identifier: Option<&str>) -> Identity {
    Identity {
        name: "fleet-osquery".into(),
        display_name: "Fleet osquery".into(),
        identifier: identifier.unwrap_or("com.fleetdm.orbit").into(),
        version: version.into(),
        arch,
        vendor: "Fleet Device Management".into(),
        maintainer: "Fleet Device Management <hello@fleetdm.com>".into(),
        homepage: "https://fleetdm.com".into(),
        summary: "Fleet osquery -- runtime and autoupdater".into(),
        description: "Connects this computer to a Fleet server. The service orbit runs osquery,\n\
                      keeps osquery and itself up to date from a signed update repository, and\n\
                      carries out what the server asks for."
            .into(),
        license: "MIT".into(),
    }
}
