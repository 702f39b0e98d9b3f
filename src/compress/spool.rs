//! The unnamed temporary file in which compressed segments wait.
//!
//! Any thread appends; the order of segments in the file is that of their completion and
//! means nothing. The file has no name, so nothing is left behind however the program ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::compressor::Segment;
use super::{CompressError, Sink};
use crate::cache::Part;
use crate::fs::{Step, announced};

pub(super) struct Spool {
    file: File,
    folder: PathBuf,
    end: AtomicU64,
}

/// A range of the spool's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) len: u64,
}

impl Spool {
    /// Opens an unnamed file in `folder`.
    pub(super) fn create_in(folder: &Path) -> Result<Self, CompressError> {
        let made = announced(Step::Create, folder, || tempfile::tempfile_in(folder));
        let file = made.map_err(|source| CompressError::Spool {
            folder: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            folder: folder.to_owned(),
            end: AtomicU64::new(0),
        })
    }

    /// Appends bytes, from any thread.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<Span, CompressError> {
        let len = bytes.len() as u64;
        let at = self.end.fetch_add(len, Ordering::Relaxed);
        let written = announced(Step::Write, &self.folder, || {
            self.file.write_all_at(bytes, at)
        });
        written.map_err(|source| self.error(source))?;
        Ok(Span { at, len })
    }

    /// A segment as a part of a cache's entry, if its digest was taken.
    pub(super) fn part(&self, segment: &Segment) -> Option<Part<'_>> {
        Some(Part {
            file: &self.file,
            at: segment.span.at,
            len: segment.span.len,
            sha256: segment.sha256?,
        })
    }

    /// Copies a range into a sink.
    pub(super) fn copy(&self, span: Span, sink: &mut dyn Sink) -> io::Result<()> {
        sink.append_range(&self.file, span.at, span.len)
    }

    /// Whether this is the spool's own file.
    pub(super) fn is(&self, file: &File) -> bool {
        std::ptr::eq(&raw const self.file, file)
    }

    fn error(&self, source: io::Error) -> CompressError {
        CompressError::Spool {
            folder: self.folder.clone(),
            source,
        }
    }
}
