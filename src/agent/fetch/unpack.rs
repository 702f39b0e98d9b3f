//! Members of a verified archive, in one unnamed temporary file.

use std::fs::File;
use std::io::{self, Read, Write};

use super::super::archive::{self, ArchiveError, Limits, Member};
use super::{FetchError, temporary, temporary_failed};
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
pub(super) fn unpack(name: &str, from: impl Read) -> Result<(File, Vec<Spooled>), FetchError> {
    let mut spool = temporary()?;
    let mut members = Vec::new();
    let mut position = 0;
    let walked = archive::walk::<Unpacking>(from, Limits::default(), |member, contents| {
        let place = match member.len {
            None => None,
            Some(_) => {
                let digests = copy(contents, &mut spool)?;
                let at = position;
                position += digests.length;
                Some(Place {
                    at,
                    len: digests.length,
                    sha256: digests.sha256,
                })
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

fn copy(from: &mut dyn Read, to: &mut File) -> Result<Digests, Unpacking> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                to.write_all(&buffer[..read])
                    .map_err(Unpacking::Temporary)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ArchiveError::Read(e).into()),
        }
    }
}
