//! Where a repository's files come from: a folder, a web server, object storage.
//!
//! A [`Store`] is addressed by relative names as the repository's metadata give them
//! (`timestamp.json`, `targets/orbit/linux/stable/orbit`). It streams, it does not judge:
//! lengths and hashes are checked above.

mod disk;
pub mod http;
pub mod object;
mod overlay;
pub mod tls;

pub use disk::Disk;
pub use http::{Http, HttpOptions, client};
pub use overlay::Overlay;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::hint::{Hint, bare, word};

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

    /// The file itself where `name` is one on this machine, so that it need not be copied to
    /// be read twice; `None` where it comes from elsewhere. It may change at any time.
    fn open_in_place(&self, _name: &str) -> Result<Option<File>, StoreError> {
        Ok(None)
    }

    /// Opens a file that lies in the folder itself and whose name may hold any character,
    /// such as metadata of a role with a slash in its name. `quoted` is that name with
    /// everything but letters, digits and `-._~` as `%XX`; it is what such a file is called
    /// on a disk.
    fn open_quoted(&self, quoted: &str) -> Result<Blob, StoreError> {
        self.open(quoted, 0)
    }
}

/// Opens what a person typed: `https://…`, `http://…`, `file://…`, `s3://…`, `gs://…`,
/// `az://…`, or a folder.
pub fn open(place: &str, options: HttpOptions) -> Result<Box<dyn Store>, StoreError> {
    let scheme = place.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("http" | "https") => Ok(Box::new(Http::new(place, options)?)),
        Some("file") => {
            let path = url::Url::parse(place)
                .ok()
                .and_then(|url| url.to_file_path().ok())
                .ok_or_else(|| StoreError::Place(place.to_owned()))?;
            Ok(Box::new(Disk::new(path)?))
        }
        Some("s3" | "gs" | "az") => {
            let cloud = object::Cloud::new(place, &object::Access::of_process(None));
            Ok(Box::new(cloud.map_err(Box::new)?))
        }
        Some(_) => Err(StoreError::Place(place.to_owned())),
        None => Ok(Box::new(Disk::new(PathBuf::from(place))?)),
    }
}

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Neither a URL that can be read nor a folder.
    #[error("`{}` is neither a folder nor a URL with http, https, file, s3, gs or az", bare(.0))]
    Place(String),
    /// A folder that is not there.
    #[error("{} is no folder", .0.display())]
    NoFolder(PathBuf),
    /// A name that would leave the repository.
    #[error("{0:?} is no name of a file in a repository")]
    Name(String),
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
    /// The server sent us from https to http.
    #[error("{url} redirects to plain http")]
    Downgrade {
        /// What was asked for.
        url: String,
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
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Object storage.
    #[error(transparent)]
    Object(#[from] Box<object::ObjectError>),
    /// Certificates or keys for TLS.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

impl StoreError {
    /// Whether certificates or TLS stood in the way.
    pub fn is_tls(&self) -> bool {
        let Self::Transport { source, .. } = self else {
            return matches!(self, Self::Tls(_));
        };
        match source.downcast_ref::<ureq::Error>() {
            Some(ureq::Error::Io(error)) => error
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>()),
            Some(error) => matches!(error, ureq::Error::Tls(_) | ureq::Error::Rustls(_)),
            None => false,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

impl Hint for StoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Place(_) => Some("--update-url https://updates.example.com".into()),
            Self::Status { status: 403, .. } => Some(
                "s3:GetObject and s3:ListBucket for readers, or their like: a missing N.root.json must answer 404, not 403".into(),
            ),
            Self::Downgrade { .. } => {
                Some("--update-url URL, the address that it redirects to".into())
            }
            // What is behind a `?` is not shown.
            Self::Transport { url, .. } if !url.contains('?') => {
                Some(format!("curl -I {}", word(url)))
            }
            Self::Object(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            _ => None,
        }
    }
}

/// Whether `name` stays inside: relative, no empty, `.` or `..` parts, no backslash, no
/// control characters.
pub(crate) fn is_inside(name: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    !name.contains(|c: char| c == '\\' || c.is_control())
        && Path::new(name).is_relative()
        && name.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_are_refused() {
        for (name, inside) in [
            ("timestamp.json", true),
            ("targets/orbit/linux/stable/orbit", true),
            ("a b/ü/%2e", true),
            ("", false),
            ("/etc/passwd", false),
            ("../keys/root.json", false),
            ("a/../b", false),
            ("a//b", false),
            ("a/./b", false),
            ("a\\b", false),
            ("a\nb", false),
        ] {
            assert_eq!(is_inside(name), inside, "{name:?}");
        }
    }

    #[test]
    fn places() {
        for (place, sentence) in [
            (
                "ftp://example.com",
                "`ftp://example.com` is neither a folder nor a URL with http, https, file, s3, gs or az",
            ),
            ("/nonexistent/folder", "/nonexistent/folder is no folder"),
            ("file:///nonexistent", "/nonexistent is no folder"),
            (
                "https://",
                "`https://` is neither a folder nor a URL with http, https, file, s3, gs or az",
            ),
        ] {
            let error = open(place, HttpOptions::default())
                .err()
                .map(|e| e.to_string());
            assert_eq!(error.as_deref(), Some(sentence), "{place}");
        }
    }
}
