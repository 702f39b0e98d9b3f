//! `PackageInfo` of the component and `Distribution` of the product, the XML that Installer
//! reads (Apple, Distribution XML Reference; `PackageInfo` was never documented).
//!
//! The lowest system is that of the first Macs with both processors. `hostArchitectures` names
//! both, or Installer runs the scripts of an Apple silicon Mac under Rosetta.

use serde::Serialize;

use super::listing::Listing;
use super::scripts::Scripts;
use crate::install::{Arch, Identity};
use crate::templates::{self, TemplateError};

/// The component's folder in the archive.
pub const FOLDER: &str = "base.pkg";
/// The first system that runs on Apple silicon.
const MINIMUM_SYSTEM: &str = "11.0";

/// The values of both documents.
#[derive(Serialize)]
pub struct Metadata<'a> {
    title: &'a str,
    product: &'a str,
    component: String,
    version: &'a str,
    architectures: &'static str,
    minimum_system: &'static str,
    folder: &'static str,
    files: usize,
    kibibytes: u64,
    scripts: Option<Present>,
}

#[derive(Serialize)]
struct Present {
    before: bool,
    after: bool,
}

impl<'a> Metadata<'a> {
    /// Gathers the values.
    pub fn new(identity: &'a Identity, listing: &Listing, scripts: &Scripts) -> Self {
        Self {
            title: &identity.display_name,
            product: &identity.identifier,
            component: format!("{}.{FOLDER}", identity.identifier),
            version: &identity.version,
            architectures: match identity.arch {
                Arch::Amd64 => "x86_64",
                Arch::Arm64 => "arm64",
                Arch::Universal => "arm64,x86_64",
            },
            minimum_system: MINIMUM_SYSTEM,
            folder: FOLDER,
            files: listing.lines().len(),
            kibibytes: listing.kibibytes(),
            scripts: (!scripts.is_empty()).then(|| Present {
                before: scripts.has("preinstall"),
                after: scripts.has("postinstall"),
            }),
        }
    }

    /// `PackageInfo`.
    pub fn package_info(&self) -> Result<String, TemplateError> {
        templates::render("macos/pkg/PackageInfo", self)
    }

    /// `Distribution`.
    pub fn distribution(&self) -> Result<String, TemplateError> {
        templates::render("macos/pkg/Distribution", self)
    }
}
