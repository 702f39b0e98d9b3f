//! One compressed stream, from its first header to its trailer.
//!
//! A builder gives archive headers and customers' files as bytes and shared files as
//! contents, in the order of its archive. Gzip (RFC 1952) gets one member: header, segments,
//! a final empty block, CRC-32 and length. Codecs without segments read shared contents again
//! and verify them again, so that what goes out is what was verified.

use std::io::{self, Write};
use std::num::NonZeroU64;

use aws_lc_rs::digest;
use lzma_rust2::{CheckType, XzOptions, XzWriterMt};
use zeroize::{Zeroize, Zeroizing};
use zstd::zstd_safe::CParameter;

use super::ahead::Board;
use super::codec::Encoder;
use super::compressor::{Kept, Segment};
use super::kept::{self, Found};
use super::{Codec, CompressError, Compressor, SEGMENT, Sink, Wanted, deflate};
use crate::install::{Content, Shared};
use crate::steps::{self, Kind};

/// Uncompressed bytes that one job of zstd's own threads takes: bounds their memory.
const ZSTD_JOB: u32 = 4 << 20;

/// Uncompressed bytes of one xz block. Memory grows with cores × (block + about 10 dictionaries).
const XZ_BLOCK: u64 = 4 << 20;
/// Dictionary of xz at most. The presets' 8 MiB, in blocks of 16 MiB, make a package 4 % smaller
/// and take three times the memory (`docs/benchmarks.md`).
const XZ_DICTIONARY: u32 = 2 << 20;

/// gzip's header (RFC 1952, 2.3.1): deflate, no name, no time, how hard was tried (XFL: 2 for
/// the most, 4 for the fastest), made on Unix.
fn gzip_header(level: u8) -> [u8; 10] {
    let effort = match level {
        0 | 1 => 4,
        2..=8 => 0,
        _ => 2,
    };
    [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, effort, 3]
}

/// Sizes and check sum of a finished stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Bytes before compression.
    pub raw: u64,
    /// Bytes after compression, with the frame.
    pub stored: u64,
    /// CRC-32 of the bytes before compression.
    pub crc32: u32,
}

/// See the head of this file.
pub struct Stream<'a> {
    room: &'a Compressor,
    board: Option<&'a Board>,
    codec: Codec,
    body: Body<'a>,
    crc32: crc32fast::Hasher,
    raw: u64,
}

enum Body<'a> {
    /// Begun with the first bytes.
    Unopened(Counted<'a>),
    /// The codec could not be opened, and the caller was told.
    Failed,
    Segments {
        sink: Counted<'a>,
        encoder: Box<Encoder>,
        pending: Zeroizing<Vec<u8>>,
    },
    Store(Counted<'a>),
    Zstd(Box<zstd::Encoder<'static, Counted<'a>>>),
    Xz(Box<XzWriterMt<Counted<'a>>>),
}

impl<'a> Stream<'a> {
    /// A stream that waits for contents that are on the board.
    pub(super) fn new(
        room: &'a Compressor,
        codec: Codec,
        sink: &'a mut dyn Sink,
        board: Option<&'a Board>,
    ) -> Self {
        Self {
            room,
            board,
            codec,
            body: Body::Unopened(Counted { sink, count: 0 }),
            crc32: crc32fast::Hasher::new(),
            raw: 0,
        }
    }

    /// Appends bytes: headers, padding, a customer's file. They are never kept.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CompressError> {
        self.open()?;
        self.raw += bytes.len() as u64;
        match &mut self.body {
            Body::Unopened(_) | Body::Failed => Ok(()),
            Body::Segments { .. } => self.pend(bytes),
            Body::Store(sink) => {
                self.crc32.update(bytes);
                sink.write_all(bytes).map_err(write_error)
            }
            Body::Zstd(encoder) => {
                self.crc32.update(bytes);
                encoder.write_all(bytes).map_err(write_error)
            }
            Body::Xz(encoder) => {
                self.crc32.update(bytes);
                encoder.write_all(bytes).map_err(write_error)
            }
        }
    }

    /// Appends a file's contents.
    pub fn content(&mut self, content: &Content) -> Result<(), CompressError> {
        match content {
            Content::Customer(customer) => self.bytes(customer.bytes()),
            Content::Shared(shared) if self.codec.keeps() => self.kept(shared),
            Content::Shared(shared) => self.verified(shared),
        }
    }

    /// Ends the stream.
    pub fn finish(mut self) -> Result<Totals, CompressError> {
        self.open()?;
        self.flush()?;
        let crc32 = self.crc32.clone().finalize();
        let stored = match self.body {
            Body::Failed => 0,
            Body::Unopened(sink) | Body::Store(sink) => sink.count,
            Body::Segments {
                mut sink,
                mut encoder,
                ..
            } => {
                match self.codec {
                    Codec::Gzip(_) => sink.write_all(&gzip_trailer(crc32, self.raw)),
                    // A stream of no bytes is a frame of no bytes.
                    _ if self.raw == 0 => sink.write_all(encoder.encode(&[])?),
                    _ => Ok(()),
                }
                .map_err(write_error)?;
                sink.count
            }
            Body::Zstd(encoder) => encoder.finish().map_err(write_error)?.count,
            Body::Xz(encoder) => encoder.finish().map_err(write_error)?.count,
        };
        Ok(Totals {
            raw: self.raw,
            stored,
            crc32,
        })
    }

    /// Writes the header once, so that a stream without any bytes is whole too.
    fn open(&mut self) -> Result<(), CompressError> {
        match std::mem::replace(&mut self.body, Body::Failed) {
            Body::Unopened(sink) => self.body = Body::open(self.room, self.codec, sink)?,
            open => self.body = open,
        }
        Ok(())
    }

    /// Collects bytes up to a segment.
    fn pend(&mut self, mut bytes: &[u8]) -> Result<(), CompressError> {
        loop {
            let Body::Segments { pending, .. } = &mut self.body else {
                return Ok(());
            };
            let room = SEGMENT - pending.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            pending.extend_from_slice(now);
            if pending.len() < SEGMENT {
                return Ok(());
            }
            self.flush()?;
            bytes = later;
        }
    }

    /// Makes a segment of the collected bytes.
    fn flush(&mut self) -> Result<(), CompressError> {
        if let Body::Segments {
            sink,
            encoder,
            pending,
        } = &mut self.body
            && !pending.is_empty()
        {
            sink.write_all(encoder.encode(pending)?)
                .map_err(write_error)?;
            self.crc32.update(pending);
            pending.zeroize();
        }
        Ok(())
    }

    /// Appends bytes that take as much room as they have, whatever they are: a stored block in
    /// gzip (RFC 1951, 3.2.4), a segment like any other elsewhere.
    pub fn stored(&mut self, bytes: &[u8]) -> Result<(), CompressError> {
        self.open()?;
        self.flush()?;
        let (Codec::Gzip(_), Body::Segments { sink, .. }) = (self.codec, &mut self.body) else {
            return self.bytes(bytes);
        };
        for block in deflate::stored(bytes) {
            sink.write_all(&block).map_err(write_error)?;
        }
        self.crc32.update(bytes);
        self.raw += bytes.len() as u64;
        Ok(())
    }

    /// Copies the kept segments of a content, or those that come.
    fn kept(&mut self, content: &Shared) -> Result<(), CompressError> {
        self.open()?;
        self.flush()?;
        if let Some(board) = self.board
            && let Some(count) = board.announced(content)
        {
            return (0..count).try_for_each(|unit| {
                let segment = board.wait(content, unit, || self.idle())?;
                self.account([(segment.crc32, segment.raw)].into_iter());
                self.spooled(&[segment])
            });
        }
        match self.room.segments(content, self.codec)? {
            Kept::Spooled(segments) => {
                let units = segments.iter().map(|segment| (segment.crc32, segment.raw));
                self.account(units);
                self.spooled(&segments)
            }
            Kept::Cached(found) => {
                self.account(found.units());
                self.straight(&found)
            }
        }
    }

    fn account(&mut self, units: impl Iterator<Item = (u32, u64)>) {
        for (crc32, raw) in units {
            let crc32 = crc32fast::Hasher::new_with_initial_len(crc32, raw);
            self.crc32.combine(&crc32);
            self.raw += raw;
        }
    }

    fn idle(&mut self) -> Result<(), CompressError> {
        match &mut self.body {
            Body::Segments { sink, .. } => sink.sink.idle().map_err(write_error),
            _ => Ok(()),
        }
    }

    /// Copies segments, each in one piece: [`super::Hashing`] knows beginnings by them.
    fn spooled(&mut self, segments: &[Segment]) -> Result<(), CompressError> {
        let Body::Segments { sink, .. } = &mut self.body else {
            return Ok(());
        };
        for Segment { span, .. } in segments {
            let copied = self.room.spool().copy(*span, sink.sink);
            copied.map_err(write_error)?;
            sink.count += span.len;
        }
        Ok(())
    }

    /// Copies segments from the cache. Where one of them is damaged the content is compressed
    /// after all: encoders make the same bytes every time, so what was copied stays.
    fn straight(&mut self, found: &Found) -> Result<(), CompressError> {
        let Body::Segments { sink, .. } = &mut self.body else {
            return Ok(());
        };
        let mut take = |bytes: &[u8]| sink.write_all(bytes).map_err(write_error);
        let damaged = kept::pour(found.entry(), self.room.threads(), &mut take)?;
        let Some((part, why)) = damaged else {
            return Ok(());
        };
        let segments = self.room.again(found, self.codec, &why)?;
        self.spooled(segments.get(part..).unwrap_or_default())
    }

    /// Reads a content, verifying it once more.
    fn verified(&mut self, content: &Shared) -> Result<(), CompressError> {
        if content.promise().is_some() {
            self.room
                .digests(std::slice::from_ref(content), Wanted::NONE)?;
        }
        let mut context = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; SEGMENT];
        let mut offset = 0;
        let name = content.name().display().to_string();
        let step = steps::begin(Kind::Compress, &name, Some(content.len()));
        while offset < content.len() {
            let left = usize::try_from(content.len() - offset).unwrap_or(SEGMENT);
            let part = &mut buffer[..left.min(SEGMENT)];
            content.read_exact_at(part, offset)?;
            offset += part.len() as u64;
            context.update(part);
            self.bytes(part)?;
            step.advance(part.len() as u64);
        }
        match context.finish().as_ref() == content.sha256() {
            true => Ok(()),
            false => Err(content.changed().into()),
        }
    }
}

/// The final block, CRC-32 and the length modulo 2^32 (RFC 1952, 2.3.1).
fn gzip_trailer(crc32: u32, raw: u64) -> Vec<u8> {
    let mut trailer = deflate::FINAL_BLOCK.to_vec();
    trailer.extend_from_slice(&crc32.to_le_bytes());
    trailer.extend_from_slice(&(raw as u32).to_le_bytes());
    trailer
}

impl<'a> Body<'a> {
    fn open(room: &Compressor, codec: Codec, mut sink: Counted<'a>) -> Result<Self, CompressError> {
        codec.check()?;
        let threads = u32::try_from(room.threads().get()).unwrap_or(u32::MAX);
        let failed = |source| CompressError::Encode { codec, source };
        Ok(match codec {
            Codec::Store => Self::Store(sink),
            Codec::Gzip(_) | Codec::ZstdFrames(_) | Codec::Mszip(_) => {
                if let Codec::Gzip(level) = codec {
                    sink.write_all(&gzip_header(level)).map_err(write_error)?;
                }
                Self::Segments {
                    sink,
                    encoder: Box::new(Encoder::new(codec)?),
                    pending: Zeroizing::new(Vec::with_capacity(SEGMENT)),
                }
            }
            Codec::Zstd(level) => {
                Self::Zstd(Box::new(zstd_frame(level, threads, sink).map_err(failed)?))
            }
            Codec::Xz(preset) => {
                Self::Xz(Box::new(xz_stream(preset, threads, sink).map_err(failed)?))
            }
        })
    }
}

/// zstd's output depends on the size of its jobs and not on the number of workers, as long as
/// there is at least one.
fn zstd_frame<'a>(
    level: i32,
    threads: u32,
    sink: Counted<'a>,
) -> io::Result<zstd::Encoder<'static, Counted<'a>>> {
    let mut encoder = zstd::Encoder::new(sink, level)?;
    encoder.set_parameter(CParameter::NbWorkers(threads))?;
    encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn xz_stream(preset: u32, threads: u32, sink: Counted<'_>) -> io::Result<XzWriterMt<Counted<'_>>> {
    let mut options = XzOptions::with_preset(preset);
    let dictionary = &mut options.lzma_options.dict_size;
    *dictionary = (*dictionary).min(XZ_DICTIONARY);
    options.set_check_sum_type(CheckType::Crc64);
    options.set_block_size(NonZeroU64::new(XZ_BLOCK));
    XzWriterMt::new(sink, options, threads)
}

/// A sink that counts.
struct Counted<'a> {
    sink: &'a mut dyn Sink,
    count: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.append(bytes)?;
        self.count += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_error(source: io::Error) -> CompressError {
    CompressError::Write { source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_has_the_length_modulo_4_gib() {
        let trailer = gzip_trailer(0x0403_0201, (4 << 30) + 5);
        assert_eq!(trailer, [3, 0, 1, 2, 3, 4, 5, 0, 0, 0]);
    }
}
