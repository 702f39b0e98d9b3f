//! What only Windows' installer asks for: names that must stay the same for good, and steps
//! for which it has no table.
//!
//! Plain data like the rest of the tree, filled in by whoever knows the product. Texts marked
//! *Formatted* are in Windows Installer's Formatted grammar (`[NAME]` is a property or a
//! folder); literal text in them is already escaped. The builder decides which tables, which
//! sequence numbers and which type bits say this.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct Windows {
    /// The product's folder below `%ProgramFiles%`: `Orbit`.
    pub folder: String,
    /// Upper-case name by which Formatted texts refer to that folder, and by which an
    /// administrator may move it: `ORBITROOT`.
    pub folder_property: String,
    /// All versions and variants of a product share it: a new one replaces the old.
    pub family: Uuid,
    /// Identities of components that are already in the field, by entry path; the empty path
    /// is the product's folder. All others are derived from the path.
    pub component_ids: BTreeMap<String, Uuid>,
    /// What the service manager does when the service fails.
    pub restart: Option<Restart>,
    /// Machine-wide environment variables that are deleted on installation.
    pub cleared_variables: Vec<String>,
    /// Scripted steps, in the order in which they run.
    pub steps: Vec<Step>,
}

/// What the service manager does when the service fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Wait before the service is started again.
    pub after: Duration,
    /// Time without failures after which the count begins anew.
    pub forget: Duration,
}

/// A step that runs PowerShell as SYSTEM.
#[derive(Clone, Debug)]
pub struct Step {
    /// Identifier, unique among the steps; logs show it.
    pub name: String,
    /// When in an installation or removal.
    pub moment: Moment,
    /// Only when this condition holds, in Windows Installer's grammar of conditions.
    pub condition: Option<String>,
    /// PowerShell's arguments after the switches that every run has (*Formatted*).
    pub arguments: String,
    /// The property whose value stands between double quotes in `arguments`. One that holds a
    /// double quote itself cannot: the installation refuses it before anything happens.
    pub quotes: Option<String>,
    /// The arguments hold a secret: keep them out of logs.
    pub hidden: bool,
    /// Failure stops the installation; otherwise it goes on.
    pub required: bool,
}

/// When a [`Step`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The product is removed for good (not replaced): its files are still there.
    Remove,
    /// Before files are copied; those of an older version are gone already. On every
    /// installation but a repair.
    BeforeFiles,
    /// After files were copied, unless an older version is being replaced.
    FirstInstall,
    /// After files were copied, right before the service is set up. On every installation
    /// but a repair.
    BeforeService,
}
