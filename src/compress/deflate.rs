//! A walk over the blocks of a deflate stream (RFC 1951) without writing what it stands for.
//!
//! libdeflate has no flush: each stream it makes ends with a block that is marked final. To
//! put streams one after the other that mark must go, and it lies at a bit that only decoding
//! finds: Huffman-coded blocks carry no length. [`scan`] decodes every symbol and remembers
//! where the last block began; [`scan_both`] does so for two streams in the time of one and a
//! half. They refuse whatever zlib's inflate refuses, so a stream that passes is one that
//! readers accept; they can neither panic nor loop on any input.

mod bits;
mod codes;
mod walk;

use walk::Walk;

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Offset in bits of the final block's header, whose first bit is BFINAL.
    pub last: u64,
    /// Offset in bits of the end of the final block.
    pub end: u64,
    /// Bytes that the stream stands for.
    pub raw: u64,
}

/// A stream that is not deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeflateError {
    /// The stream ends inside a block.
    #[error("the deflate stream ends in the middle of a block")]
    Truncated,
    /// Block type 3 is reserved (3.2.3).
    #[error("reserved deflate block type")]
    BlockType,
    /// LEN and NLEN of a stored block disagree (3.2.4).
    #[error("length of a stored deflate block is damaged")]
    StoredLength,
    /// A set of code lengths is over-subscribed, incomplete, or lacks the end of block (3.2.7).
    #[error("set of deflate code lengths is not valid")]
    Lengths,
    /// A code that stands for nothing.
    #[error("invalid deflate code")]
    Code,
    /// A match that begins before the stream.
    #[error("deflate match before the beginning of the data")]
    Distance,
    /// The stream stands for another number of bytes than went in.
    #[error("deflate stream of another length than its input")]
    Length,
}

/// Walks over a whole stream up to its final block.
pub fn scan(stream: &[u8]) -> Result<Blocks, DeflateError> {
    let mut walk = Walk::begin(stream)?;
    walk.finish()
}

/// Walks over two streams at once: while one waits for a row of its table, the other goes on.
/// The error is of either.
pub fn scan_both(first: &[u8], second: &[u8]) -> Result<[Blocks; 2], DeflateError> {
    let (mut first, mut second) = (Walk::begin(first)?, Walk::begin(second)?);
    walk::together(&mut first, &mut second)?;
    Ok([first.finish()?, second.finish()?])
}

/// Makes a stream that stands for `raw` bytes one that another can follow: no block final,
/// ending at a byte. An empty stored block brings it there (RFC 1951, 3.2.4). `blocks` is what
/// a walk over it found.
pub(super) fn unfinish(stream: &mut Vec<u8>, blocks: Blocks, raw: u64) -> Result<(), DeflateError> {
    let whole = usize::try_from(blocks.end / 8).map_err(|_| DeflateError::Truncated)?;
    let rest = blocks.end % 8;
    if blocks.raw != raw || stream.len() != whole + usize::from(rest > 0) {
        return Err(DeflateError::Length);
    }
    let header = usize::try_from(blocks.last / 8).map_err(|_| DeflateError::Truncated)?;
    stream[header] &= !(1 << (blocks.last % 8));
    if rest > 0 {
        stream[whole] &= (1 << rest) - 1;
        // The stored block's three header bits, zeros, may fit into the last byte.
        if rest > 5 {
            stream.push(0);
        }
        stream.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]);
    }
    Ok(())
}

/// Blocks that hold bytes as they are, none of them final, for a stream that stands at a whole
/// byte: three bits of header and five of padding, LEN, NLEN (RFC 1951, 3.2.4).
pub(super) fn stored(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    bytes.chunks(usize::from(u16::MAX)).map(|chunk| {
        let len = chunk.len() as u16;
        let mut block = vec![0];
        block.extend_from_slice(&len.to_le_bytes());
        block.extend_from_slice(&(!len).to_le_bytes());
        block.extend_from_slice(chunk);
        block
    })
}

/// The end of a stream of unfinished segments: a final block of fixed codes with nothing in
/// it but its end (bits 1, 01, 0000000).
pub(super) const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];

#[cfg(test)]
mod tests;
