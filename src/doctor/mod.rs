//! What will go wrong with a repository and the installers made for it, and when.
//!
//! Each thing has a name that stays, so that a pipeline can react to it. [`web`] asks a
//! server what a client never asks, [`targets`] whether it has what hosts follow, [`installer`]
//! holds an installer against a repository, [`modes`] looks at modes of both; what is wrong with
//! the repository's own files is found by [`crate::tuf::survey`], and [`expiring`] looks ahead.
//! Nothing here prints, and nothing is changed.

mod again;
mod installer;
pub mod modes;
pub mod targets;
pub mod web;

pub use installer::{OnDisk, Repository, Trusted, followed, installer};

use serde::Serialize;

use crate::agent::inventory::{Inventory, RoleStatus};
use crate::tuf::metadata::Role;

/// One thing that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Its name: lower-case words with hyphens.
    pub name: &'static str,
    /// `fault`: something fails or is out in the open; `warning`: it will, or may.
    pub kind: &'static str,
    /// The repository or the installer.
    pub about: String,
    /// The sentence.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

impl Diagnosis {
    /// Something fails, or a secret is out.
    pub fn fault(name: &'static str, about: &str, message: String) -> Self {
        Self {
            name,
            kind: "fault",
            about: about.to_owned(),
            message,
            hint: None,
        }
    }

    /// Something will or may go wrong.
    pub fn warning(name: &'static str, about: &str, message: String) -> Self {
        Self {
            kind: "warning",
            ..Self::fault(name, about, message)
        }
    }

    /// With the way out.
    pub fn or_try(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Roles whose metadata have expired or soon will: within 7 days for timestamp, 30 for others.
pub fn expiring(place: &str, inventory: &Inventory) -> Vec<Diagnosis> {
    let roles = inventory.roles.iter();
    roles.filter_map(|role| expires(place, role)).collect()
}

fn expires(place: &str, role: &RoleStatus) -> Option<Diagnosis> {
    let days = match role.role {
        Role::Timestamp => 7,
        _ => 30,
    };
    let hint = match role.role {
        Role::Timestamp => "fleetpack updates timestamp".to_owned(),
        other => format!("fleetpack updates rotate {other}"),
    };
    let (name, expires) = (role.role, &role.expires);
    let found = match role.seconds_left {
        ..=0 => Diagnosis::fault(
            "expired",
            place,
            format!("{name}.json has expired at {expires}: agents refuse the repository"),
        ),
        left if left <= days * 86_400 => Diagnosis::warning(
            "expires-soon",
            place,
            format!(
                "{name}.json expires at {expires}, in {} days: agents refuse the repository from then on",
                left / 86_400
            ),
        ),
        _ => return None,
    };
    Some(found.or_try(hint))
}
