//! One room per format, behind one trait.
//!
//! A builder takes a settled [`Tree`] and writes one file; it knows nothing of Fleet and
//! touches the host only through what it is given: the [`BuildContext`] (compressor, time)
//! and the [`Output`]. The formats are a closed enum, so that the compiler lists what a new
//! one must answer.

pub mod arch;
pub mod deb;
pub mod distribution;
mod formats;
pub mod msi;
mod output;
pub mod pkg;
pub mod read;
pub mod rpm;
pub mod scripts;
pub mod tar;

pub use formats::builder;
pub use output::Output;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::compress::{Codec, CompressError, Compressor, Wanted};
use crate::hint::Hint;
use crate::install::{ContentError, Identity, Os, Tree};
use crate::templates::TemplateError;

/// An installer's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Debian and its kin.
    Deb,
    /// RPM distributions.
    Rpm,
    /// macOS product archive.
    Pkg,
    /// Windows Installer database.
    Msi,
    /// Arch Linux.
    PkgTarZst,
}

impl Format {
    /// All of them, in the order in which they are listed to people.
    pub const ALL: [Self; 5] = [Self::Deb, Self::Rpm, Self::PkgTarZst, Self::Pkg, Self::Msi];

    /// The word for `--type`, which is also the file's extension.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
            Self::Pkg => "pkg",
            Self::Msi => "msi",
            Self::PkgTarZst => "pkg.tar.zst",
        }
    }

    /// The system that such a file is installed on.
    pub fn os(self) -> Os {
        match self {
            Self::Deb | Self::Rpm | Self::PkgTarZst => Os::Linux,
            Self::Pkg => Os::Macos,
            Self::Msi => Os::Windows,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.word() == word)
            .ok_or_else(|| {
                let words: Vec<_> = Self::ALL.iter().map(|format| format.word()).collect();
                format!(
                    "`{word}` is no package type; use one of {}",
                    words.join(", ")
                )
            })
    }
}

/// What a builder is given besides the tree.
pub struct BuildContext<'a> {
    /// Compression on all cores, with what this run has compressed so far.
    pub compressor: &'a Compressor,
    /// How the payload is compressed; `None` is the format's own default.
    pub compression: Option<Compression>,
    /// The one time stamp of everything in the package: seconds since 1970-01-01 UTC
    /// (`SOURCE_DATE_EPOCH`).
    pub epoch: u64,
    /// Called now and then; `true` stops the build with [`BuildError::Cancelled`].
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// The word of `--compression`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// Deflate in gzip's frame.
    Gzip,
    /// Zstandard.
    Zstd,
    /// LZMA2 in xz's frame.
    Xz,
    /// Stored.
    None,
}

/// Writes one format.
pub trait Builder: Sync {
    /// The file's name when the user gives none.
    fn file_name(&self, identity: &Identity) -> String;

    /// Refuses what the format cannot carry, as far as names and versions tell. A run of
    /// several formats asks all of them before the first file is written.
    fn check(&self, _identity: &Identity) -> Result<(), BuildError> {
        Ok(())
    }

    /// What is done to every shared content, where that is known without the tree: a run may
    /// begin with contents that it has before it has them all.
    fn treatment(&self, _compression: Option<Compression>) -> Option<(Codec, Wanted)> {
        None
    }

    /// Writes the whole file.
    fn build(
        &self,
        tree: &Tree,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(), BuildError>;
}

/// A package could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A package could not be signed.
    #[error(transparent)]
    Sign(Box<msi::authenticode::SignError>),
    /// Contents could not be read, or are not those that were verified.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Compression failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// The output could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file that was written.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The format has no way to say this.
    #[error("{format} cannot carry {what}")]
    Unfit {
        /// Which format.
        format: Format,
        /// What it cannot carry, with the value and the limit.
        what: String,
    },
    /// A script or document could not be filled in.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The package could not be signed.
    #[error(transparent)]
    Signing(#[from] rpm::KeyError),
    /// Stopped on request.
    #[error("the build was stopped")]
    Cancelled,
}

/// For files that cannot be written.
const ELSEWHERE: &str = "--outdir DIR names a folder that can be written and has room";

impl Hint for BuildError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Sign(error) => error.hint(),
            Self::Compress(CompressError::Write { .. }) => Some(ELSEWHERE.to_owned()),
            Self::Compress(error) => error.hint(),
            Self::Signing(error) => error.hint(),
            Self::Write { .. } => Some(ELSEWHERE.to_owned()),
            _ => None,
        }
    }
}
