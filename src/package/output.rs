//! The file that a builder writes: append, append a range of another file, patch, position.
//!
//! It is a temporary file in the target's folder (see [`crate::fs::AtomicFile`]); the caller
//! commits it after the builder returned, so that a failed build leaves nothing behind.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::BuildError;
use crate::compress::Sink;

impl Sink for Output {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes).map_err(named)
    }

    fn append_range(&mut self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        self.append_range(file, offset, len).map_err(named)
    }

    /// Lets the disk work while others compress: the last sync is not the first one then.
    fn idle(&mut self) -> io::Result<()> {
        match self.position - self.synced {
            0..SYNCED => Ok(()),
            _ => self.sync().map_err(named),
        }
    }
}

/// A sink speaks the operating system's errors, and this one still names the file.
fn named(error: BuildError) -> io::Error {
    match error {
        BuildError::Write { path, source } => crate::fs::naming(source, "write", &path),
        other => io::Error::other(other),
    }
}

/// Buffered bytes before a write reaches the file.
const BUFFER: usize = 256 * 1024;

/// Bytes after which it is worth to sync in between.
const SYNCED: u64 = 8 << 20;

/// See the head of this file.
pub struct Output {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    position: u64,
    synced: u64,
}

impl Output {
    /// Writes to `file` from its start; `path` is the name for errors.
    pub fn new(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            buffer: Vec::with_capacity(BUFFER),
            position: 0,
            synced: 0,
        }
    }

    /// Bytes written so far: the offset of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The name for errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        match bytes.len() > BUFFER {
            true => self.write(|mut file| file.write_all(bytes))?,
            false => self.buffer.extend_from_slice(bytes),
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Appends `len` bytes of `source` from `offset`, by `copy_file_range` where the system
    /// has it. A source that ends early is an error.
    pub fn append_range(&mut self, source: &File, offset: u64, len: u64) -> Result<(), BuildError> {
        self.flush()?;
        self.write(|file| crate::fs::append_range(file, source, offset, len))?;
        self.position += len;
        Ok(())
    }

    /// Writes over bytes that were appended before.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BuildError> {
        self.flush()?;
        self.write(|file| file.write_all_at(bytes, offset))
    }

    /// Reads bytes that were appended before (signatures cover them).
    pub fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BuildError> {
        self.flush()?;
        self.file
            .read_exact_at(buf, offset)
            .map_err(|e| self.error(e))
    }

    /// Writes what is buffered and gives the file back.
    pub fn finish(mut self) -> Result<File, BuildError> {
        self.flush()?;
        Ok(self.file)
    }

    fn sync(&mut self) -> Result<(), BuildError> {
        self.flush()?;
        self.synced = self.position;
        let synced = self.file.sync_data();
        synced
            .or_else(crate::fs::unless_unsupported)
            .map_err(|e| self.error(e))
    }

    fn flush(&mut self) -> Result<(), BuildError> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = match buffer.is_empty() {
            true => Ok(()),
            false => self.write(|mut file| file.write_all(&buffer)),
        };
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn write(&self, call: impl FnOnce(&File) -> io::Result<()>) -> Result<(), BuildError> {
        crate::fs::announced(crate::fs::Step::Write, &self.path, || call(&self.file))
            .map_err(|e| self.error(e))
    }

    fn error(&self, source: io::Error) -> BuildError {
        BuildError::Write {
            path: self.path.clone(),
            source,
        }
    }
}
