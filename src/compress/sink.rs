//! Where compressed bytes go.
//!
//! A sink takes bytes from memory, and ranges of a file, which an operating system can copy
//! without looking at them. [`Hashing`] passes both on and takes a digest of what went by,
//! for the formats that sign or list their compressed payload.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;

use super::Compressor;

/// Bytes that [`Hashing`] reads from a file's range at a time.
const STEP: usize = 256 * 1024;

/// See the head of this file.
pub trait Sink {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Appends `len` bytes of `file` from `offset`. A file that ends early is
    /// [`io::ErrorKind::UnexpectedEof`].
    fn append_range(&mut self, file: &File, offset: u64, len: u64) -> io::Result<()>;

    /// Called when nothing more comes for a while: time for what has to be done anyway.
    fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn append_range(&mut self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        let start = self.len();
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        self.resize(start + len, 0);
        file.read_exact_at(&mut self[start..], offset)
    }
}

/// A sink that passes everything on and takes a digest of it.
///
/// Ranges of the room's spool never change. The digest's state after each of them is
/// remembered by the room, so that the next package with the same beginning is not hashed
/// again up to where its own bytes begin.
pub struct Hashing<'a> {
    inner: &'a mut dyn Sink,
    room: &'a Compressor,
    algorithm: &'static digest::Algorithm,
    context: digest::Context,
    /// Of all that went by: bytes, and ranges as such.
    seen: digest::Context,
    len: u64,
}

impl<'a> Hashing<'a> {
    pub(super) fn new(
        room: &'a Compressor,
        inner: &'a mut dyn Sink,
        algorithm: &'static digest::Algorithm,
    ) -> Self {
        let mut seen = digest::Context::new(&digest::SHA256);
        seen.update(&(algorithm.output_len() as u64).to_le_bytes());
        Self {
            inner,
            room,
            algorithm,
            context: digest::Context::new(algorithm),
            seen,
            len: 0,
        }
    }

    /// Bytes that went by.
    pub fn position(&self) -> u64 {
        self.len
    }

    /// The digest of all that went by.
    pub fn finish(self) -> Vec<u8> {
        self.context.finish().as_ref().to_vec()
    }

    fn see(&mut self, kind: u8, words: [u64; 2], bytes: &[u8]) {
        self.seen.update(&[kind]);
        for word in words {
            self.seen.update(&word.to_le_bytes());
        }
        self.seen.update(bytes);
    }

    fn digest_range(&mut self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        let mut buffer = vec![0; STEP];
        let mut done = 0;
        while done < len {
            let step = usize::try_from(len - done).unwrap_or(STEP).min(STEP);
            file.read_exact_at(&mut buffer[..step], offset + done)?;
            self.context.update(&buffer[..step]);
            done += step as u64;
        }
        Ok(())
    }
}

impl Sink for Hashing<'_> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.context.update(bytes);
        self.see(0, [bytes.len() as u64, 0], bytes);
        self.len += bytes.len() as u64;
        self.inner.append(bytes)
    }

    fn append_range(&mut self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        if self.room.spool().is(file) {
            self.see(1, [offset, len], &[]);
            let mut name = [0; 32];
            name.copy_from_slice(self.seen.clone().finish().as_ref());
            match self.room.beginnings().get(&name, self.algorithm) {
                Some(context) => self.context = context,
                None => {
                    self.digest_range(file, offset, len)?;
                    self.room.beginnings().put(name, &self.context);
                }
            }
        } else {
            self.digest_range(file, offset, len)?;
            // Whatever follows has a beginning that nobody else has.
            self.see(2, [offset, len], self.context.clone().finish().as_ref());
        }
        self.len += len;
        self.inner.append_range(file, offset, len)
    }

    fn idle(&mut self) -> io::Result<()> {
        self.inner.idle()
    }
}

/// States of digests after beginnings that several packages of a run share.
#[derive(Default)]
pub(super) struct Beginnings(Mutex<HashMap<[u8; 32], digest::Context>>);

impl Beginnings {
    /// More are not remembered: there are a few for each kind of package.
    const MOST: usize = 4096;

    fn get(
        &self,
        name: &[u8; 32],
        algorithm: &'static digest::Algorithm,
    ) -> Option<digest::Context> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(name)?;
        (found.algorithm() == algorithm).then(|| found.clone())
    }

    fn put(&self, name: [u8; 32], context: &digest::Context) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < Self::MOST {
            known.insert(name, context.clone());
        }
    }
}
