//! Reading finished installers back, independent of the code that writes them.
//!
//! [`read`] walks a whole file once, front to back, with bounded memory: it decompresses,
//! hashes every contents, and holds what it finds against every digest the format itself
//! carries. What it cannot vouch for is an error; a [`Package`] that came back was whole.
//! [`matches()`] then says whether it is what an [`install::Tree`](crate::install::Tree) asked
//! for. Packages of other programs are read as well.
//!
//! Nothing here writes. Files are told apart by their first bytes ([`sniff`]). Each format has
//! a room of its own; containers that formats share (tar, cpio, cabinets) have theirs.

mod arch;
mod body;
mod bom;
mod cabinet;
mod collect;
mod cpio;
mod deb;
mod inflate;
mod matches;
mod msi;
mod mtree;
mod pkg;
mod rpm;
mod sniff;
mod stream;
mod tables;
mod tar;
mod xar;

pub use body::{Body, body};
pub use matches::{Difference, matches};
pub use sniff::sniff;

use std::fs::File;
use std::io::{self, Read};

use super::{Compression, Format};
use collect::Collector;
use stream::Budget;

/// What a finished installer says and holds.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its format.
    pub format: Format,
    /// Name, version, processor in the format's own words.
    pub identity: Identity,
    /// Everything it installs, in the order of its payload.
    pub files: Vec<Found>,
    /// The folder that paths of `files` are relative to, where they are (Windows:
    /// `ProgramFiles64Folder/Orbit`).
    pub base: Option<String>,
    /// What it runs on the host: the format's name for the moment, and the text.
    pub scripts: Vec<(String, String)>,
    /// The format's own fields, in its order.
    pub metadata: Vec<(String, String)>,
    /// What kind of signature it carries; not verified.
    pub signature: Option<String>,
    /// How its contents are compressed.
    pub payload: Payload,
}

/// What a package calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Name, or the reverse-domain identifier on macOS.
    pub name: String,
    /// Version, as it stands there.
    pub version: String,
    /// Processor, in the format's own word (`amd64`, `x86_64`, `x64`).
    pub arch: String,
}

/// How contents are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// By what.
    pub compression: Compression,
    /// In how many gzip members, zstd frames, xz streams or cabinet folders; 1 when stored.
    pub parts: u64,
}

/// One thing that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As an [`install::Entry`](crate::install::Entry) has it.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits (at most `0o7777`), where the format has modes.
    pub mode: Option<u32>,
    /// User and group, by name where the package has names, by number otherwise.
    pub owner: Option<(String, String)>,
    /// Bytes of its contents; 0 for all but files.
    pub len: u64,
    /// Digest of a file's contents; `None` when these are not in the package.
    pub sha256: Option<[u8; 32]>,
}

/// What an installed thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Link(String),
    /// A second name of another file of the package.
    HardLink(String),
    /// Listed for removal, not installed (rpm's `%ghost`).
    Ghost,
    /// A device or something else that only the system's own tools make.
    Special,
}

/// Called for every file with a reader over its contents, which need not be read to the end;
/// `sha256` is not known yet. Contents that a package stores once for several paths are shown
/// once.
pub type Visitor<'a> = dyn FnMut(&Found, &mut dyn Read) -> io::Result<()> + 'a;

/// A package could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
    /// It is something else.
    #[error("it is no {format} package: {why}")]
    Foreign {
        /// What was expected.
        format: Format,
        /// What is missing.
        why: String,
    },
    /// It is cut off.
    #[error("{part} ends too early")]
    Truncated {
        /// Which part of the file.
        part: String,
    },
    /// It contradicts its format or itself.
    #[error("{part} is damaged: {why}")]
    Damaged {
        /// Which part of the file.
        part: String,
        /// What was found.
        why: String,
    },
    /// It uses a variant of its format that is not read here.
    #[error("{part} uses {what}, which cannot be read")]
    Unsupported {
        /// Which part of the file.
        part: String,
        /// What was found.
        what: String,
    },
    /// It would take more room than a package has reason to.
    #[error("{part} unpacks to more than {limit}")]
    TooLarge {
        /// Which part of the file.
        part: String,
        /// The limit with its unit.
        limit: String,
    },
    /// Contents differ from what the package itself says of them.
    #[error("{path} is not what {list} says: {what} differs")]
    Mismatch {
        /// Path of the contents.
        path: String,
        /// The list inside the package: `md5sums`, `Bom`.
        list: &'static str,
        /// `size`, `digest`, `mode`, …
        what: &'static str,
    },
}

/// Reads a package, hashing and verifying all of it.
pub fn read(format: Format, file: &File) -> Result<Package, ReadError> {
    read_with(format, file, &mut |_, _| Ok(()))
}

/// [`read`] that shows every file's contents to a visitor.
pub fn read_with(
    format: Format,
    file: &File,
    visitor: &mut Visitor<'_>,
) -> Result<Package, ReadError> {
    let len = file.metadata().map_err(ReadError::Io)?.len();
    let budget = Budget::for_file(len);
    let collector = Collector::new(visitor);
    match format {
        Format::Deb => deb::read(file, len, &budget, collector),
        Format::Rpm => rpm::read(file, len, &budget, collector),
        Format::PkgTarZst => arch::read(file, len, &budget, collector),
        Format::Pkg => pkg::read(file, len, &budget, collector),
        Format::Msi => msi::read(file, len, &budget, collector),
    }
}

impl ReadError {
    fn damaged(part: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged {
            part: part.into(),
            why: why.into(),
        }
    }

    fn truncated(part: impl Into<String>) -> Self {
        Self::Truncated { part: part.into() }
    }

    fn unsupported(part: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Unsupported {
            part: part.into(),
            what: what.into(),
        }
    }

    fn too_large(part: impl Into<String>, limit: impl Into<String>) -> Self {
        Self::TooLarge {
            part: part.into(),
            limit: limit.into(),
        }
    }

    fn foreign(format: Format, why: impl Into<String>) -> Self {
        Self::Foreign {
            format,
            why: why.into(),
        }
    }

    /// Judges a reader's error: ours passes through, the system's stays the system's, an
    /// early end is a cut-off file, everything else is damage in `part`.
    fn of_io(part: &str, error: io::Error) -> Self {
        if error.raw_os_error().is_some() {
            return Self::Io(error);
        }
        if error.get_ref().is_some_and(|inner| inner.is::<Self>()) {
            return match error.into_inner().map(|inner| inner.downcast::<Self>()) {
                Some(Ok(ours)) => *ours,
                _ => Self::truncated(part),
            };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::truncated(part),
            io::ErrorKind::OutOfMemory => Self::too_large(part, "the memory a decoder may take"),
            _ => Self::damaged(part, error.to_string()),
        }
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        Self::other(error)
    }
}
