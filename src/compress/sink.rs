//! Where compressed bytes go.
//!
//! A sink takes bytes from memory, and ranges of a file, which an operating system can copy
//! without looking at them. [`Hashing`] passes both on and takes a digest of what went by,
//! for the formats that sign or list their compressed payload.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use aws_lc_rs::digest;

/// Bytes that [`Hashing`] reads from a file's range at a time.
const STEP: usize = 256 * 1024;

/// See the head of this file.
pub trait Sink {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Appends `len` bytes of `file` from `offset`. A file that ends early is
    /// [`io::ErrorKind::UnexpectedEof`].
    fn append_range(&mut self, file: &File, offset: u64, len: u64) -> io::Result<()>;
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
pub struct Hashing<'a> {
    inner: &'a mut dyn Sink,
    context: digest::Context,
    len: u64,
}

impl<'a> Hashing<'a> {
    /// Digests by `algorithm` what goes into `inner`.
    pub fn new(inner: &'a mut dyn Sink, algorithm: &'static digest::Algorithm) -> Self {
        Self {
            inner,
            context: digest::Context::new(algorithm),
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
}

impl Sink for Hashing<'_> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.context.update(bytes);
        self.len += bytes.len() as u64;
        self.inner.append(bytes)
    }

    fn append_range(&mut self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        let mut buffer = vec![0; STEP];
        let mut done = 0;
        while done < len {
            let step = usize::try_from(len - done).unwrap_or(STEP).min(STEP);
            file.read_exact_at(&mut buffer[..step], offset + done)?;
            self.context.update(&buffer[..step]);
            done += step as u64;
        }
        self.len += len;
        self.inner.append_range(file, offset, len)
    }
}
