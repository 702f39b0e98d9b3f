//! A cache in object storage: entries are objects, fetched whole into an unnamed file.
//!
//! Nothing that lies there is trusted more than a file in a folder: the MAC decides. Storage
//! that once failed is not asked again in the same run, as each attempt waits for a network.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::StoreError;
use crate::store::object::{Headers, Objects};

/// No entry is longer: a program of the largest size that any installer holds.
const ENTRY_LIMIT: u64 = 4 << 30;

const HEADERS: Headers = Headers {
    content_type: "application/octet-stream",
    cache_control: "private, max-age=31536000, immutable",
};

/// See the head of this file.
pub(super) struct Remote {
    url: String,
    objects: Box<dyn Objects>,
    failed: AtomicBool,
}

impl Remote {
    pub(super) fn new(url: String, objects: Box<dyn Objects>) -> Self {
        Self {
            url,
            objects,
            failed: AtomicBool::new(false),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// An entry's bytes; `None` where there is none, or the storage failed before.
    pub(super) fn fetch(&self, name: &str) -> Result<Option<File>, String> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.fetched(name) {
            Ok(file) => Ok(Some(file)),
            Err(Failed::Store(StoreError::NotFound(_))) => Ok(None),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn fetched(&self, name: &str) -> Result<File, Failed> {
        let blob = self.objects.open(name, 0)?;
        let mut file = tempfile::tempfile()?;
        io::copy(&mut blob.body.take(ENTRY_LIMIT), &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Writes an entry; it appears whole.
    pub(super) fn put(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), String> {
        if self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let put = || {
            let mut file = tempfile::NamedTempFile::new()?;
            write(file.as_file_mut())?;
            let uploaded = self.objects.upload(name, file.path(), HEADERS);
            uploaded.map_err(|error| StoreError::Object(Box::new(error)).into())
        };
        put().map_err(|error| self.fail(error))
    }

    /// Deletes whatever has an entry's name.
    pub(super) fn remove(&self, name: &str) -> Result<(), String> {
        self.objects.delete(name).map_err(|error| report(&error))
    }

    fn fail(&self, error: Failed) -> String {
        self.failed.store(true, Ordering::Relaxed);
        match error {
            Failed::Store(error) => report(&error),
            Failed::Io(error) => report(&error),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.url)
    }
}

/// An error with its causes, in one line.
fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

enum Failed {
    Store(StoreError),
    Io(io::Error),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
