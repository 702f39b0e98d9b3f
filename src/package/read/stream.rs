//! Bytes on their way: a range of the file, decompression, a limit on what comes out.
//!
//! Decoders see a [`Section`] (a byte range read by `pread`) and are wrapped by a [`Metered`]
//! reader that stops a bomb: a package may unpack to [`Budget::RATIO`] times its own size and
//! some more, which no honest payload comes near. Codecs are told apart by their magic; gzip
//! members, zstd frames and xz streams are counted, because readers in the field stop after
//! the first (docs of each: RFC 1952, RFC 8878, xz-file-format 1.2.1).

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::ReadError;
use crate::package::Compression;

/// Memory that an xz decoder may take, in KiB: the dictionary of `xz -9` and twice as much.
const XZ_MEMORY_KIB: u32 = 160 * 1024;
/// Largest window of a zstd frame, as a power of two: 128 MiB, what `zstd -d` takes unasked.
const ZSTD_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 64 * 1024;

/// A byte range of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl<'f> Section<'f> {
    pub(super) fn new(file: &'f File, at: u64, end: u64) -> Self {
        Self { file, at, end }
    }

    /// The bytes left in it.
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// `len` bytes from `offset` of it; `None` when they are not all there.
    pub(super) fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let at = self.at.checked_add(offset)?;
        let end = at.checked_add(len)?;
        (end <= self.end).then_some(Self {
            file: self.file,
            at,
            end,
        })
    }

    /// Its first `N` bytes, or as many as there are, without moving.
    pub(super) fn peek<const N: usize>(&self) -> Result<([u8; N], usize), ReadError> {
        let mut bytes = [0; N];
        let mut copy = *self;
        let mut got = 0;
        while got < N {
            match copy.read(&mut bytes[got..]).map_err(ReadError::Io)? {
                0 => break,
                n => got += n,
            }
        }
        Ok((bytes, got))
    }

    /// All of it, when it has at most `limit` bytes.
    pub(super) fn to_vec(self, part: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        read_all(self, part, limit)
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.len()).map_or(buf.len(), |len| len.min(buf.len()));
        if want == 0 {
            return Ok(0);
        }
        let got = self.file.read_at(&mut buf[..want], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

/// Reads a stream to its end into memory; more than `limit` bytes are an error.
pub(super) fn read_all(from: impl Read, part: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| ReadError::of_io(part, e))?;
    match bytes.len() as u64 > limit {
        true => Err(ReadError::too_large(part, mebibytes(limit))),
        false => Ok(bytes),
    }
}

/// Reads on to the end without keeping anything.
pub(super) fn drain(from: &mut dyn Read) -> io::Result<u64> {
    io::copy(from, &mut io::sink())
}

/// A limit as people read it.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// What may still be unpacked from one file.
#[derive(Debug)]
pub(super) struct Budget {
    whole: u64,
    left: Cell<u64>,
}

impl Budget {
    /// Largest honest expansion: deflate reaches 1032 on zeros alone, programs 3 to 5.
    const RATIO: u64 = 200;
    /// Small packages may hold sparse files.
    const FREE: u64 = 256 << 20;

    pub(super) fn for_file(len: u64) -> Self {
        let whole = len.saturating_mul(Self::RATIO).saturating_add(Self::FREE);
        Self {
            whole,
            left: Cell::new(whole),
        }
    }

    /// Takes `bytes` from what is left.
    pub(super) fn spend(&self, part: &str, bytes: u64) -> Result<(), ReadError> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(ReadError::too_large(part, mebibytes(self.whole))),
        }
    }
}

/// Spends the budget on what passes through.
pub(super) struct Metered<'b, R> {
    inner: R,
    part: &'b str,
    budget: &'b Budget,
}

impl<'b, R: Read> Metered<'b, R> {
    pub(super) fn new(inner: R, part: &'b str, budget: &'b Budget) -> Self {
        Self {
            inner,
            part,
            budget,
        }
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buf)?;
        self.budget.spend(self.part, got as u64)?;
        Ok(got)
    }
}

type Source<'r> = BufReader<Box<dyn Read + 'r>>;

enum Codec<'r> {
    Stored(Source<'r>),
    Gzip(Box<flate2::bufread::GzDecoder<Source<'r>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Source<'r>>>),
    Xz(Box<lzma_rust2::XzReader<Source<'r>>>),
    Ended,
}

/// Decompresses whatever its magic says, one part after the other.
pub(super) struct Decoder<'r> {
    codec: Codec<'r>,
    compression: Compression,
    parts: u64,
}

impl<'r> Decoder<'r> {
    /// Looks at the first bytes of `from`. What has no known magic is stored.
    pub(super) fn new(from: impl Read + 'r) -> io::Result<Self> {
        let mut source = BufReader::with_capacity(BUFFER, Box::new(from) as Box<dyn Read + 'r>);
        let compression = compression_of(source.fill_buf()?);
        Ok(Self {
            codec: open(compression, source)?,
            compression,
            parts: 1,
        })
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Members, frames or streams begun so far.
    pub(super) fn parts(&self) -> u64 {
        self.parts
    }

    /// After the end of a part: the next one, or the end.
    fn turn(&mut self) -> io::Result<()> {
        let mut source = match std::mem::replace(&mut self.codec, Codec::Ended) {
            Codec::Gzip(decoder) => decoder.into_inner(),
            Codec::Zstd(decoder) => decoder.finish(),
            Codec::Xz(decoder) => decoder.into_inner(),
            Codec::Stored(_) | Codec::Ended => return Ok(()),
        };
        // Padding after a part: NUL bytes, as Apple's tools and `xz` leave.
        loop {
            let ahead = source.fill_buf()?;
            let zeros = ahead.iter().take_while(|&&b| b == 0).count();
            if ahead.is_empty() {
                return Ok(());
            }
            if zeros < ahead.len() {
                source.consume(zeros);
                break;
            }
            source.consume(zeros);
        }
        // A magic may lie across the edge of the buffer, so the decoder is the judge of it.
        self.parts += 1;
        self.codec = open(self.compression, source)?;
        Ok(())
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let got = match &mut self.codec {
                Codec::Stored(source) => return source.read(buf),
                Codec::Ended => return Ok(0),
                Codec::Gzip(decoder) => decoder.read(buf)?,
                Codec::Zstd(decoder) => decoder.read(buf)?,
                Codec::Xz(decoder) => decoder.read(buf)?,
            };
            if got > 0 {
                return Ok(got);
            }
            self.turn()?;
        }
    }
}

/// What a stream's first bytes say.
pub(super) fn compression_of(magic: &[u8]) -> Compression {
    match magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

fn open<'r>(compression: Compression, source: Source<'r>) -> io::Result<Codec<'r>> {
    Ok(match compression {
        Compression::None => Codec::Stored(source),
        Compression::Gzip => Codec::Gzip(Box::new(flate2::bufread::GzDecoder::new(source))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?.single_frame();
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Codec::Zstd(Box::new(decoder))
        }
        Compression::Xz => Codec::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(
            source,
            false,
            XZ_MEMORY_KIB,
        ))),
    })
}
