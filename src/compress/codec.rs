//! The codecs and their levels, and how one segment is encoded.
//!
//! A codec keeps segments when its segments are independent of each other and of their place
//! in the stream: gzip by byte-aligned runs of non-final deflate blocks (RFC 1951), zstd by
//! whole frames (RFC 8878), MSZIP by whole blocks of a cabinet. One encoder belongs
//! to one thread; what it makes of a segment depends on the segment and the level alone.

use std::fmt;
use std::io;

use super::{Blocks, CompressError, SEGMENT, deflate, mszip};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// One gzip member of independent segments; libdeflate's level, 0 to 12.
    Gzip(u8),
    /// One zstd frame per segment, for readers that take several; level 1 to 22.
    ZstdFrames(i32),
    /// One zstd frame for the whole stream; level 1 to 22.
    Zstd(i32),
    /// One xz stream of LZMA2 blocks; preset 0 to 9.
    Xz(u32),
    /// CFDATA blocks of a Windows cabinet; level 0 to 9.
    Mszip(u8),
    /// The bytes as they are.
    Store,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip(level) => write!(f, "gzip at level {level}"),
            Self::ZstdFrames(level) | Self::Zstd(level) => write!(f, "zstd at level {level}"),
            Self::Xz(preset) => write!(f, "xz at level {preset}"),
            Self::Mszip(level) => write!(f, "MSZIP at level {level}"),
            Self::Store => f.write_str("storing"),
        }
    }
}

impl Codec {
    /// Whether segments are kept for the next package.
    pub fn keeps(self) -> bool {
        matches!(self, Self::Gzip(_) | Self::ZstdFrames(_) | Self::Mszip(_))
    }

    /// Whether the level exists.
    pub(super) fn check(self) -> Result<(), CompressError> {
        let exists = match self {
            Self::Gzip(level) => level <= 12,
            Self::ZstdFrames(level) | Self::Zstd(level) => (1..=22).contains(&level),
            Self::Xz(preset) => preset <= 9,
            Self::Mszip(level) => level <= 9,
            Self::Store => true,
        };
        match exists {
            true => Ok(()),
            false => Err(CompressError::Level { codec: self }),
        }
    }
}

/// One thread's encoder of segments, with its scratch memory.
pub(super) enum Encoder {
    Gzip(Deflater, Vec<u8>),
    Zstd(i32, Vec<u8>),
    Mszip(u8, Vec<u8>),
    Store,
}

impl Encoder {
    /// An encoder for a codec that keeps segments; any other one passes bytes through.
    pub(super) fn new(codec: Codec) -> Result<Self, CompressError> {
        codec.check()?;
        match codec {
            Codec::Gzip(level) => Ok(Self::Gzip(Deflater::new(level)?, Vec::new())),
            Codec::ZstdFrames(level) => Ok(Self::Zstd(level, Vec::new())),
            Codec::Mszip(level) => Ok(Self::Mszip(level, Vec::new())),
            Codec::Zstd(_) | Codec::Xz(_) | Codec::Store => Ok(Self::Store),
        }
    }

    /// Encodes consecutive segments: `raw` is cut every [`SEGMENT`] bytes. Nothing at all is
    /// one empty segment.
    pub(super) fn encode<'a>(&'a mut self, raw: &'a [u8]) -> Result<&'a [u8], CompressError> {
        let cut = |raw: &'a [u8]| raw.chunks(SEGMENT).chain(raw.is_empty().then_some(raw));
        match self {
            Self::Store => Ok(raw),
            Self::Gzip(deflater, out) => {
                out.clear();
                deflater.segments(raw, out)?;
                Ok(out)
            }
            Self::Zstd(level, out) => {
                let level = *level;
                out.clear();
                for segment in cut(raw) {
                    zstd_frame(level, segment, out).map_err(|source| CompressError::Encode {
                        codec: Codec::ZstdFrames(level),
                        source,
                    })?;
                }
                Ok(out)
            }
            Self::Mszip(level, out) => {
                let level = *level;
                out.clear();
                for segment in cut(raw) {
                    mszip::segment(level, segment, out).map_err(|source| {
                        CompressError::Encode {
                            codec: Codec::Mszip(level),
                            source,
                        }
                    })?;
                }
                Ok(out)
            }
        }
    }
}

/// Deflates segments that can follow each other: libdeflate ends every stream with a final
/// block, which is made an ordinary one here, and the segment is aligned to a byte.
pub(super) struct Deflater {
    compressor: libdeflater::Compressor,
    level: u8,
    /// Two streams, so that one walk goes over both.
    streams: [Vec<u8>; 2],
}

impl Deflater {
    fn new(level: u8) -> Result<Self, CompressError> {
        let codec = Codec::Gzip(level);
        let checked = libdeflater::CompressionLvl::new(i32::from(level))
            .map_err(|_| CompressError::Level { codec })?;
        Ok(Self {
            compressor: libdeflater::Compressor::new(checked),
            level,
            streams: Default::default(),
        })
    }

    fn segments(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        for pair in raw.chunks(2 * SEGMENT) {
            let (first, second) = pair.split_at(pair.len().min(SEGMENT));
            self.stream(0, first)?;
            match second {
                [] => {
                    let blocks = deflate::scan(&self.streams[0])?;
                    self.append(0, blocks, first, out)?;
                }
                _ => {
                    self.stream(1, second)?;
                    let [a, b] = deflate::scan_both(&self.streams[0], &self.streams[1])?;
                    self.append(0, a, first, out)?;
                    self.append(1, b, second, out)?;
                }
            }
        }
        Ok(())
    }

    /// Makes stream `at` of `raw`.
    fn stream(&mut self, at: usize, raw: &[u8]) -> Result<(), CompressError> {
        let stream = &mut self.streams[at];
        let bound = self.compressor.deflate_compress_bound(raw.len());
        if stream.len() < bound {
            stream.resize(bound, 0);
        }
        let len =
            self.compressor
                .deflate_compress(raw, stream)
                .map_err(|e| CompressError::Encode {
                    codec: Codec::Gzip(self.level),
                    source: io::Error::other(e.to_string()),
                })?;
        stream.truncate(len);
        Ok(())
    }

    fn append(
        &mut self,
        at: usize,
        blocks: Blocks,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        deflate::unfinish(&mut self.streams[at], blocks, raw.len() as u64)?;
        out.extend_from_slice(&self.streams[at]);
        Ok(())
    }
}

/// A fresh context per frame: what it makes cannot depend on what the thread did before.
fn zstd_frame(level: i32, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let frame = zstd::bulk::Compressor::new(level)?.compress(raw)?;
    out.extend_from_slice(&frame);
    Ok(())
}
