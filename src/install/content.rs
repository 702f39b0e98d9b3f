//! The bytes of a file in an installer, and the promise that goes with them.
//!
//! Every content knows its length and sha256 before a builder sees it. A builder hashes what
//! it streams and fails when it differs, so that a file changed between verification and
//! packing never goes out ([`ContentError::Changed`]).

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

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

impl Shared {
    /// Takes an open file whose length and sha256 were verified, from verified targets
    /// metadata or while it was unpacked from a verified archive.
    pub fn verified_file(file: File, path: &Path, len: u64, sha256: [u8; 32]) -> Self {
        Self(Arc::new(SharedInner {
            source: Source::File(file),
            len,
            sha256,
            name: path.to_owned(),
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

    /// The error for contents that are not what was verified.
    pub fn changed(&self) -> ContentError {
        ContentError::Changed {
            path: self.0.name.clone(),
        }
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
