//! Which builder writes which format.

use super::msi::Msi;
use super::pkg::Pkg;
use super::{Builder, Format};

/// The builder of a format; `None` for one that is not there yet.
pub fn builder(format: Format) -> Option<&'static dyn Builder> {
    match format {
        Format::Pkg => Some(&Pkg),
        Format::Msi => Some(&Msi),
        Format::Deb | Format::Rpm | Format::PkgTarZst => None,
    }
}
