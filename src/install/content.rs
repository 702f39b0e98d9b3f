//! The bytes of a file in an installer, and the promise that goes with them.
//!
//! Every content knows its length and sha256 before a builder sees it. A builder hashes what
//! it streams and fails when it differs, so that a file changed between verification and
//! packing never goes out ([`ContentError::Changed`]). A content that nobody has read yet comes
//! with a [`Promise`]: the pass that packs it takes every digest that metadata list, and is the
//! one that verifies it ([`Shared::judge`]); what was written from it counts only then.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use crate::tuf::hashes::HashMismatch;

/// Contents could not be read as promised.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The operating system refused to read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file that was read.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What had not been fetched yet cannot be had.
    #[error("cannot fetch {}", path.display())]
    Later {
        /// What was to be fetched.
        path: PathBuf,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is not what signed metadata say.
    #[error("the target {} is not the file that was signed", path.display())]
    Unsigned {
        /// The target.
        path: PathBuf,
        /// Which hash differs.
        source: HashMismatch,
    },
    /// Length or digest differ from those that were verified.
    #[error("{} changed while it was being packed", path.display())]
    Changed {
        /// The file that was read.
        path: PathBuf,
    },
}

/// Verified bytes that are the same in every customer's installer.
///
/// Cheap to clone: a handle on an open file, or bytes in memory. Reading is positional
/// (`pread`), so that many threads read one handle.
#[derive(Clone)]
pub struct Shared(Arc<SharedInner>);

struct SharedInner {
    source: Source,
    len: u64,
    sha256: [u8; 32],
    name: PathBuf,
    promise: Option<(Box<dyn Promise>, OnceLock<()>)>,
}

enum Source {
    File(File),
    /// A byte range of an open file, for members of an unpacked archive.
    Slice(Arc<File>, u64),
    Bytes(Vec<u8>),
    /// Not here until somebody reads it.
    Later(Arc<dyn Later>, OnceLock<(Arc<File>, u64)>),
}

/// Contents that were verified in an earlier run and are fetched only when somebody reads them.
pub trait Later: Send + Sync {
    /// The file that they are in, verified again, and the offset of their first byte. May be
    /// asked by several threads at once.
    fn fetch(&self) -> Result<(Arc<File>, u64), Box<dyn std::error::Error + Send + Sync>>;
}

/// What signed metadata say of a content besides its length and sha256.
pub trait Promise: Send + Sync {
    /// The sha512 that it must have.
    fn sha512(&self) -> [u8; 64];

    /// Called once, when all of its bytes were read and are those that were signed.
    fn kept(&self);
}

impl Shared {
    /// Takes an open file whose length and sha256 were verified, from verified targets
    /// metadata or while it was unpacked from a verified archive.
    pub fn verified_file(file: File, path: &Path, len: u64, sha256: [u8; 32]) -> Self {
        Self(Arc::new(SharedInner {
            source: Source::File(file),
            len,
            sha256,
            name: path.to_owned(),
            promise: None,
        }))
    }

    /// Takes an open file that has this length, and must have these digests: nobody has read
    /// it yet. `name` is the target's.
    pub fn promised_file(
        file: File,
        name: &Path,
        len: u64,
        sha256: [u8; 32],
        promise: Box<dyn Promise>,
    ) -> Self {
        Self(Arc::new(SharedInner {
            source: Source::File(file),
            len,
            sha256,
            name: name.to_owned(),
            promise: Some((promise, OnceLock::new())),
        }))
    }

    /// Takes the byte range `offset..offset + len` of an open file, with the digest of just
    /// that range. `name` is what errors call it.
    pub fn verified_slice(
        file: Arc<File>,
        offset: u64,
        name: &Path,
        len: u64,
        sha256: [u8; 32],
    ) -> Self {
        Self(Arc::new(SharedInner {
            source: Source::Slice(file, offset),
            len,
            sha256,
            name: name.to_owned(),
            promise: None,
        }))
    }

    /// Promises contents whose length and sha256 were verified, to be fetched when somebody
    /// reads them.
    pub fn verified_later(later: Arc<dyn Later>, name: &Path, len: u64, sha256: [u8; 32]) -> Self {
        Self(Arc::new(SharedInner {
            source: Source::Later(later, OnceLock::new()),
            len,
            sha256,
            name: name.to_owned(),
            promise: None,
        }))
    }

    /// Takes verified bytes in memory. For small contents.
    pub fn verified_bytes(bytes: Vec<u8>, name: &Path) -> Self {
        let sha256 = crate::compress::sha256(&bytes);
        Self(Arc::new(SharedInner {
            len: bytes.len() as u64,
            source: Source::Bytes(bytes),
            sha256,
            name: name.to_owned(),
            promise: None,
        }))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The sha256 that was verified.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.0.sha256
    }

    /// The path that errors name.
    pub fn name(&self) -> &Path {
        &self.0.name
    }

    /// Fills `buf` from `offset`. A file that ended early is [`ContentError::Changed`].
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ContentError> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.0.len) {
            return Err(self.changed());
        }
        let read = match &self.0.source {
            Source::File(file) => file.read_exact_at(buf, offset),
            Source::Slice(file, start) => file.read_exact_at(buf, start + offset),
            Source::Bytes(bytes) => {
                let start = offset as usize;
                buf.copy_from_slice(&bytes[start..start + buf.len()]);
                Ok(())
            }
            Source::Later(later, fetched) => {
                let (file, start) = self.fetched(later.as_ref(), fetched)?;
                file.read_exact_at(buf, start + offset)
            }
        };
        read.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.changed(),
            _ => ContentError::Read {
                path: self.0.name.clone(),
                source,
            },
        })
    }

    fn fetched<'a>(
        &self,
        later: &dyn Later,
        fetched: &'a OnceLock<(Arc<File>, u64)>,
    ) -> Result<&'a (Arc<File>, u64), ContentError> {
        if let Some(fetched) = fetched.get() {
            return Ok(fetched);
        }
        let found = later.fetch().map_err(|source| ContentError::Later {
            path: self.0.name.clone(),
            source,
        })?;
        Ok(fetched.get_or_init(|| found))
    }

    /// What is still to be verified of it.
    pub fn promise(&self) -> Option<&dyn Promise> {
        match &self.0.promise {
            Some((promise, kept)) if kept.get().is_none() => Some(promise.as_ref()),
            _ => None,
        }
    }

    /// Whether these are two handles on one content.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Compares digests of all its bytes with those that it must have. `sha512` is of meaning
    /// where there is a [`Shared::promise`], and keeps it.
    pub fn judge(&self, sha256: &[u8; 32], sha512: Option<&[u8; 64]>) -> Result<(), ContentError> {
        let Some((promise, kept)) = self.0.promise.as_ref().filter(|(_, k)| k.get().is_none())
        else {
            return match sha256 == self.sha256() {
                true => Ok(()),
                false => Err(self.changed()),
            };
        };
        let found = sha512.map_or(&[][..], |sha512| sha512);
        differs("sha256", self.sha256(), sha256)
            .and_then(|()| differs("sha512", &promise.sha512(), found))
            .map_err(|source| ContentError::Unsigned {
                path: self.0.name.clone(),
                source,
            })?;
        if kept.set(()).is_ok() {
            promise.kept();
        }
        Ok(())
    }

    /// The error for contents that are not what was verified.
    pub fn changed(&self) -> ContentError {
        ContentError::Changed {
            path: self.0.name.clone(),
        }
    }
}

fn differs(algorithm: &'static str, wanted: &[u8], found: &[u8]) -> Result<(), HashMismatch> {
    match wanted == found {
        true => Ok(()),
        false => Err(HashMismatch::Differs {
            algorithm,
            expected: hex::encode(wanted),
            found: hex::encode(found),
        }),
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.0.name)
            .field("len", &self.0.len)
            .field("sha256", &hex::encode(self.0.sha256))
            .finish()
    }
}

/// Bytes that belong to one customer: small, in memory, wiped when dropped, never cached.
/// `Debug` shows the length alone.
#[derive(Clone)]
pub struct Customer(Arc<Zeroizing<Vec<u8>>>);

impl Customer {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes.into())))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Customer({} bytes)", self.0.len())
    }
}

/// A file's contents, of either class.
#[derive(Clone, Debug)]
pub enum Content {
    /// The same in every customer's installer.
    Shared(Shared),
    /// One customer's own.
    Customer(Customer),
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Shared(shared) => shared.len(),
            Self::Customer(customer) => customer.bytes().len() as u64,
        }
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
