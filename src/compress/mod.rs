//! The compression room: contents become compressed streams on all cores, deterministically.
//!
//! Contents are cut into segments of [`SEGMENT`] bytes, and read two of them at a time. From
//! that one buffer they are compressed and fed to the content's digests, so that what is
//! packed is what was verified. Segments of shared contents are kept in a spool (an unnamed temporary
//! file) for the next package of the run. Memory is bounded by cores × segment, and no output
//! depends on the number of cores. Which bytes go into a stream, and where the stream goes, is
//! the builders' business ([`crate::package`]).
//!
//! ```
//! use std::io::Read;
//! use std::num::NonZeroUsize;
//! use std::path::Path;
//!
//! use fleetpack::compress::{Codec, Compressor};
//! use fleetpack::install::{Content, Shared};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let program = b"the same for everybody\n".repeat(1000);
//! let program = Content::Shared(Shared::verified_bytes(program, Path::new("program")));
//! let compress = |threads| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let compressor = Compressor::new(NonZeroUsize::new(threads).ok_or("no thread")?)?;
//!     let mut packed = Vec::new();
//!     let mut stream = compressor.stream(Codec::Gzip(6), &mut packed);
//!     stream.bytes(b"for one customer\n")?;
//!     stream.content(&program)?;
//!     let totals = stream.finish()?;
//!     assert_eq!(totals.stored, packed.len() as u64);
//!     Ok(packed)
//! };
//!
//! // The bytes do not depend on the number of threads.
//! let packed = compress(1)?;
//! assert_eq!(packed, compress(4)?);
//!
//! let mut text = String::new();
//! flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text)?;
//! assert!(text.starts_with("for one customer\nthe same for everybody\n"));
//! # Ok(())
//! # }
//! ```

mod ahead;
mod codec;
mod compressor;
mod deflate;
mod digest;
mod kept;
pub mod mszip;
mod pool;
mod sink;
mod spool;
mod stream;
#[cfg(test)]
mod tests;

pub use ahead::Ahead;
pub use codec::Codec;
pub use compressor::Compressor;
pub use deflate::{Blocks, DeflateError, scan, scan_both};
pub use digest::{Digests, Wanted, sha256};
pub use kept::LEAST as KEPT_LEAST;
pub use sink::{Hashing, Sink};
pub use stream::{Stream, Totals};

use std::io;
use std::path::PathBuf;

use crate::hint::Hint;
use crate::install::ContentError;

/// Bytes of contents in one segment; the last one of a content may be shorter.
pub const SEGMENT: usize = 1 << 20;

/// Bytes of contents that are read and kept in one go: two segments, as the walk over two
/// deflate streams takes less time than two walks.
const UNIT: usize = 2 * SEGMENT;

/// Compression failed.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// Contents could not be read, or are not those that were verified.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The codec has no such level.
    #[error("there is no {codec}")]
    Level {
        /// Codec and level.
        codec: Codec,
    },
    /// The temporary file for compressed segments failed.
    #[error("cannot keep compressed data in a temporary file in {}", folder.display())]
    Spool {
        /// The folder of the temporary file.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The sink refused bytes.
    #[error("cannot write the compressed stream")]
    Write {
        /// What the sink said.
        source: io::Error,
    },
    /// An encoder made a stream that is not deflate: a fault of fleetpack.
    #[error("the compressor made an unusable segment")]
    Deflate(#[from] DeflateError),
    /// The other side failed, and says why.
    #[error("compressing was stopped")]
    Stopped,
    /// An encoder failed: a fault of fleetpack.
    #[error("cannot compress by {codec}")]
    Encode {
        /// Codec and level.
        codec: Codec,
        /// What the encoder said.
        source: io::Error,
    },
}

impl Hint for CompressError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Spool { .. } => {
                Some("TMPDIR=DIR, a folder with room for the compressed package".to_owned())
            }
            _ => None,
        }
    }
}
