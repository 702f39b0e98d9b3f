//! The one list of paths that both the payload (cpio) and the bill of materials are written
//! from, so that they agree by construction.
//!
//! Settles names as macOS's own tools write them (`.` first, then `./Library`, …), full
//! `st_mode`s, sizes and checksums, and refuses what either format has no digits for. Which
//! contents belong to a line stays with the tree: lines follow its entries one by one, after
//! the root.

use crate::install::{Entry, Node};
use crate::package::{BuildError, Format};

/// Type bits of `st_mode`: a directory.
pub const DIRECTORY: u32 = 0o040_000;
/// Type bits of `st_mode`: a regular file.
pub const REGULAR: u32 = 0o100_000;
/// Type bits of `st_mode`: a symbolic link.
pub const LINK: u32 = 0o120_000;
/// All type bits of `st_mode`.
pub const TYPE: u32 = 0o170_000;

/// root.
pub const UID: u32 = 0;
/// admin, as installers of this agent have always had it.
pub const GID: u32 = 80;

/// The largest number that cpio's six octal digits hold (inode, length of a name).
pub const SIX_DIGITS: u64 = 0o777_777;

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `.`, or `./` and the path below the root.
    pub path: String,
    /// Full `st_mode`: type and permissions.
    pub mode: u32,
    /// Length in bytes; of a link its text, of a directory 0.
    pub size: u32,
    /// POSIX `cksum` of the contents; of a link of its text, of a directory 0.
    pub checksum: u32,
    /// A link's text.
    pub target: Option<String>,
}

/// Gathers lines in the order of the payload.
#[derive(Debug)]
pub struct Listing {
    lines: Vec<Line>,
    mtime: u32,
}

impl Listing {
    /// Begins with the root. `epoch` is the time stamp of every path, in seconds since 1970.
    pub fn new(epoch: u64) -> Result<Self, BuildError> {
        let mtime = u32::try_from(epoch)
            .map_err(|_| unfit(format!("the time stamp {epoch}, which is after 2106")))?;
        let root = Line {
            path: ".".to_owned(),
            mode: DIRECTORY | 0o755,
            size: 0,
            checksum: 0,
            target: None,
        };
        Ok(Self {
            lines: vec![root],
            mtime,
        })
    }

    /// Adds one entry of the tree. `checksum` is ignored for a directory.
    pub fn add(&mut self, entry: &Entry, checksum: u32) -> Result<(), BuildError> {
        let path = format!(".{}", entry.path);
        if path.len() as u64 >= SIX_DIGITS || self.lines.len() as u64 >= SIX_DIGITS {
            return Err(unfit(format!("{path}: too many or too long names")));
        }
        let size = u32::try_from(entry.len()).map_err(|_| {
            unfit(format!(
                "{} of {} bytes; the limit is 4294967295",
                entry.path,
                entry.len()
            ))
        })?;
        let (kind, checksum, target) = match &entry.node {
            Node::File(_) => (REGULAR, checksum, None),
            Node::Directory => (DIRECTORY, 0, None),
            Node::Link(target) => (LINK, checksum, Some(target.clone())),
        };
        // A link's own permissions mean nothing; macOS's tools make them 0755.
        let bits = match kind {
            LINK => 0o755,
            _ => entry.mode & 0o7777,
        };
        self.lines.push(Line {
            path,
            mode: kind | bits,
            size,
            checksum,
            target,
        });
        Ok(())
    }

    /// The lines, the root first.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Time stamp of every path, in seconds since 1970.
    pub fn mtime(&self) -> u32 {
        self.mtime
    }

    /// Sum of all sizes in KiB, rounded up (`installKBytes`).
    pub fn kibibytes(&self) -> u64 {
        let bytes: u64 = self.lines.iter().map(|line| u64::from(line.size)).sum();
        bytes.div_ceil(1024)
    }
}

/// The format's own limit.
pub fn unfit(what: String) -> BuildError {
    BuildError::Unfit {
        format: Format::Pkg,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_modes_and_sizes() {
        let mut listing = Listing::new(7).unwrap();
        listing.add(&Entry::directory("/opt"), 99).unwrap();
        listing
            .add(&Entry::customer("/opt/a", 0o600, vec![0; 1025]), 5)
            .unwrap();
        listing.add(&Entry::link("/opt/l", "a"), 6).unwrap();
        let lines: Vec<_> = listing
            .lines()
            .iter()
            .map(|l| (l.path.as_str(), l.mode, l.size, l.checksum))
            .collect();
        assert_eq!(
            lines,
            [
                (".", 0o040_755, 0, 0),
                ("./opt", 0o040_755, 0, 0),
                ("./opt/a", 0o100_600, 1025, 5),
                ("./opt/l", 0o120_755, 1, 6),
            ]
        );
        assert_eq!(listing.kibibytes(), 2);
    }

    #[test]
    fn time_after_the_format() {
        let error = Listing::new(1 << 32).unwrap_err().to_string();
        assert_eq!(
            error,
            "pkg cannot carry the time stamp 4294967296, which is after 2106"
        );
    }
}
