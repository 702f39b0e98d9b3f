//! Which builder writes which format.

use super::deb::Deb;
use super::msi::Msi;
use super::pkg::Pkg;
use super::{Builder, Format};

/// The builder of a format; `None` for one that is not there yet.
pub fn builder(format: Format) -> Option<&'static dyn Builder> {
    match format {
        Format::Deb => Some(&Deb),
        Format::Pkg => Some(&Pkg),
        Format::Msi => Some(&Msi),
        Format::Rpm | Format::PkgTarZst => None,
    }
}
