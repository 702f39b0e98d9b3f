//! A repository in a folder.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::{Blob, Store, StoreError, is_inside};

/// A folder.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The folder `root`, which must exist.
    pub fn new(root: PathBuf) -> Result<Self, StoreError> {
        match root.is_dir() {
            true => Ok(Self { root }),
            false => Err(StoreError::NoFolder(root)),
        }
    }
}

impl Disk {
    /// Opens a regular file.
    fn file(&self, name: &str) -> Result<File, StoreError> {
        if !is_inside(name) {
            return Err(StoreError::Name(name.to_owned()));
        }
        let path = self.root.join(name);
        let failed = |source| self.failed(name, source);
        // Asked before it is opened: opening a FIFO would wait.
        let kind = std::fs::metadata(&path).map_err(failed)?;
        if !kind.is_file() {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        File::open(&path).map_err(failed)
    }

    fn failed(&self, name: &str, source: io::Error) -> StoreError {
        let path = self.root.join(name);
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                StoreError::NotFound(path.display().to_string())
            }
            _ => StoreError::Io { path, source },
        }
    }
}

impl Store for Disk {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn open(&self, name: &str, offset: u64) -> Result<Blob, StoreError> {
        let mut file = self.file(name)?;
        let failed = |source: io::Error| self.failed(name, source);
        let len = file.metadata().map_err(failed)?.len();
        let offset = offset.min(len);
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Blob {
            len: Some(len - offset),
            offset,
            body: Box::new(file.take(len - offset)),
        })
    }

    fn open_in_place(&self, name: &str) -> Result<Option<File>, StoreError> {
        self.file(name).map(Some)
    }
}
