//! The codecs and their levels, and how one segment is encoded.
//!
//! A codec keeps segments when its segments are independent of each other and of their place
//! in the stream: gzip by byte-aligned runs of non-final deflate blocks (RFC 1951), zstd by
//! whole frames (RFC 8878), MSZIP by whole blocks of a cabinet. One encoder belongs to one thread; what it makes of a segment
//! depends on the segment and the level alone.

use std::io;

use super::{CompressError, deflate, mszip};

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
    Gzip(libdeflater::Compressor, Vec<u8>),
    Zstd(i32, Vec<u8>),
    Mszip(u8, Vec<u8>),
    Store,
}

impl Encoder {
    /// An encoder for a codec that keeps segments; any other one passes bytes through.
    pub(super) fn new(codec: Codec) -> Result<Self, CompressError> {
        codec.check()?;
        match codec {
            Codec::Gzip(level) => {
                let level = libdeflater::CompressionLvl::new(i32::from(level))
                    .map_err(|_| CompressError::Level { codec })?;
                Ok(Self::Gzip(libdeflater::Compressor::new(level), Vec::new()))
            }
            Codec::ZstdFrames(level) => Ok(Self::Zstd(level, Vec::new())),
            Codec::Mszip(level) => Ok(Self::Mszip(level, Vec::new())),
            Codec::Zstd(_) | Codec::Xz(_) | Codec::Store => Ok(Self::Store),
        }
    }

    /// Encodes one segment.
    pub(super) fn encode<'a>(&'a mut self, raw: &'a [u8]) -> Result<&'a [u8], CompressError> {
        match self {
            Self::Store => Ok(raw),
            Self::Gzip(compressor, out) => {
                deflate_segment(compressor, raw, out)?;
                Ok(out)
            }
            Self::Zstd(level, out) => {
                let level = *level;
                zstd_frame(level, raw, out).map_err(|source| CompressError::Encode {
                    codec: Codec::ZstdFrames(level),
                    source,
                })?;
                Ok(out)
            }
            Self::Mszip(level, out) => {
                let level = *level;
                out.clear();
                mszip::segment(level, raw, out).map_err(|source| CompressError::Encode {
                    codec: Codec::Mszip(level),
                    source,
                })?;
                Ok(out)
            }
        }
    }
}

/// libdeflate ends every stream with a final block; here that block is made an ordinary one
/// and the segment is aligned to a byte, so that another segment can follow.
fn deflate_segment(
    compressor: &mut libdeflater::Compressor,
    raw: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CompressError> {
    let bound = compressor.deflate_compress_bound(raw.len());
    if out.len() < bound {
        out.resize(bound, 0);
    }
    let len = compressor
        .deflate_compress(raw, out)
        .map_err(|e| CompressError::Encode {
            codec: Codec::Gzip(0),
            source: io::Error::other(e.to_string()),
        })?;
    out.truncate(len);
    deflate::unfinish(out, raw.len() as u64)?;
    Ok(())
}

/// A fresh context per frame: what it makes cannot depend on what the thread did before.
fn zstd_frame(level: i32, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
    zstd::bulk::Compressor::new(level)?.compress_to_buffer(raw, out)?;
    Ok(())
}
