//! Which builder writes which format.

use super::arch::PkgTarZst;
use super::deb::Deb;
use super::msi::Msi;
use super::pkg::Pkg;
use super::rpm::Rpm;
use super::{Builder, Format};

static RPM: Rpm = Rpm::unsigned();

/// The builder of a format, without a key to sign by.
pub fn builder(format: Format) -> &'static dyn Builder {
    match format {
        Format::Deb => &Deb,
        Format::Rpm => &RPM,
        Format::PkgTarZst => &PkgTarZst,
        Format::Pkg => &Pkg,
        Format::Msi => &Msi,
    }
}
