//! Members of a verified archive, in one unnamed temporary file.

use std::fs::File;
use std::io::{self, Read, Write};

use aws_lc_rs::digest;

use super::super::archive::{self, ArchiveError, Limits, Member};
use super::{FetchError, temporary, temporary_failed};
use crate::fs::{Step, announced};
use crate::steps::{Kind, Told};
use crate::tuf::hashes::{Digests, Hasher};

/// Where a member's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Offset of the first byte.
    pub(super) at: u64,
    /// Length in bytes.
    pub(super) len: u64,
    /// Of just these bytes.
    pub(super) sha256: [u8; 32],
}

/// A member that was written to the file, with its place there; a directory has none.
pub(super) struct Spooled {
    pub(super) member: Member,
    pub(super) place: Option<Place>,
}

/// What goes wrong while unpacking: the archive, or the temporary file.
enum Unpacking {
    Archive(ArchiveError),
    Temporary(io::Error),
}

impl From<ArchiveError> for Unpacking {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// Unpacks the archive that the target `name` is; `from` reads it from its beginning.
pub(super) fn unpack(
    name: &str,
    from: impl Read + Send,
) -> Result<(File, Vec<Spooled>), FetchError> {
    let mut spool = temporary()?;
    let mut members = Vec::new();
    let mut position = 0;
    let walked = archive::walk::<Unpacking>(from, Limits::default(), |member, contents| {
        let place = match member.len {
            None => None,
            Some(_) => {
                let (len, sha256) = copy(contents, &mut spool)?;
                let at = position;
                position += len;
                Some(Place { at, len, sha256 })
            }
        };
        let member = member.clone();
        members.push(Spooled { member, place });
        Ok(())
    });
    walked.map_err(|error| match error {
        Unpacking::Archive(source) => FetchError::Archive {
            name: name.to_owned(),
            source,
        },
        Unpacking::Temporary(source) => temporary_failed(source),
    })?;
    Ok((spool, members))
}

/// Length and sha256 of what was copied.
fn copy(from: &mut dyn Read, to: &mut File) -> Result<(u64, [u8; 32]), Unpacking> {
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let mut len = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let mut out = [0; 32];
                out.copy_from_slice(sha256.finish().as_ref());
                return Ok((len, out));
            }
            Ok(read) => {
                sha256.update(&buffer[..read]);
                len += read as u64;
                let written = announced(Step::Write, &std::env::temp_dir(), || {
                    to.write_all(&buffer[..read])
                });
                written.map_err(Unpacking::Temporary)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ArchiveError::of_read(e).into()),
        }
    }
}

/// Passes on what it reads, and takes its digests.
pub(super) struct Hashed<'f> {
    file: Told<io::Take<&'f File>>,
    hasher: Hasher,
}

impl<'f> Hashed<'f> {
    /// Reads a target of `length` bytes; one byte more is enough to know that it is another.
    pub(super) fn new(name: &str, file: &'f File, length: u64) -> Self {
        Self {
            file: Told::new(
                file.take(length.saturating_add(1)),
                Kind::Hash,
                name,
                Some(length),
            ),
            hasher: Hasher::new(),
        }
    }

    /// Reads what is left, and gives the digests of all of it.
    pub(super) fn finish(mut self) -> io::Result<Digests> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.hasher.update(&into[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;

    #[test]
    fn the_largest_length_is_a_length() {
        let mut file = temporary().unwrap();
        file.write_all(b"bytes").unwrap();
        file.rewind().unwrap();
        let digests = Hashed::new("orbit", &file, u64::MAX).finish().unwrap();
        assert_eq!(digests.length, 5);
    }
}
