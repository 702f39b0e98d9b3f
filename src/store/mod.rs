//! Where a repository's files come from: a folder, a web server; later object storage.
//!
//! A [`Store`] is addressed by relative names as the repository's metadata give them
//! (`timestamp.json`, `targets/orbit/linux/stable/orbit`). It streams, it does not judge:
//! lengths and hashes are checked above.

use std::io::Read;

/// A file that is being read.
pub struct Blob {
    /// Bytes that `body` will give, when the source says so.
    pub len: Option<u64>,
    /// Offset of the first byte of `body`; 0 when a resumed read was not granted.
    pub offset: u64,
    /// The bytes.
    pub body: Box<dyn Read + Send>,
}

/// Where files are read from.
pub trait Store: Send + Sync {
    /// What people call this place: a path or a URL without credentials.
    fn describe(&self) -> String;

    /// Opens `name`, from byte `offset` on where the source can (see [`Blob::offset`]).
    fn open(&self, name: &str, offset: u64) -> Result<Blob, StoreError>;
}

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file (HTTP 404).
    #[error("{0} does not exist")]
    NotFound(String),
    /// The server answered otherwise than 200.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status code.
        status: u16,
    },
    /// A connection could not be made or broke; worth another try.
    #[error("cannot read {url}")]
    Transport {
        /// What was asked for.
        url: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// What was read.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}
