//! MSZIP, the compression of Windows cabinets, as ready CFDATA blocks.
//!
//! A block holds at most 32 KiB of a folder's bytes, and may refer back into the block before
//! it. So each block is deflated alone, with the previous 32 KiB as preset dictionary, by a
//! fresh encoder: one that was used before makes output that depends on its past. The first
//! block of a segment has no dictionary; that costs less than a thousandth in size and makes
//! segments independent. Documents: MS-MCI (MSZIP), MS-CAB 2.2 and 3.1 (CFDATA, checksum).
//!
//! ```text
//! CFDATA: checksum u32, stored length u16, raw length u16, "CK", deflate (RFC 1951)
//! ```

use std::io;

use zlib_rs::{Deflate, DeflateFlush, Status};

/// Raw bytes of a block; only the last one of a folder is shorter.
pub const BLOCK: usize = 32 * 1024;

/// Room for one block: deflate's output can be longer than its input before it is given up.
const SCRATCH: usize = 40 * 1024;

/// Length of CFDATA's fixed part.
const HEADER: usize = 8;

/// Compresses `raw` into consecutive CFDATA blocks, appended to `out`. Level 0 (stored) to 9.
/// Only the last segment of a folder may have a length that is no multiple of [`BLOCK`].
pub fn segment(level: u8, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut scratch = vec![0; SCRATCH];
    let mut previous: &[u8] = &[];
    for block in raw.chunks(BLOCK) {
        let len = deflate(level, previous, block, &mut scratch)?;
        let stored_len = 5 + block.len();
        let mut data = Vec::with_capacity(2 + stored_len);
        data.extend_from_slice(b"CK");
        match len {
            Some(len) if len < stored_len => data.extend_from_slice(&scratch[..len]),
            _ => stored(block, &mut data),
        }
        append_block(&data, block.len(), out);
        previous = block;
    }
    Ok(())
}

/// Deflates one block into `scratch`; `None` when it does not fit.
fn deflate(
    level: u8,
    dictionary: &[u8],
    block: &[u8],
    scratch: &mut [u8],
) -> io::Result<Option<usize>> {
    let fault = |what: &str| io::Error::other(format!("deflate: {what}"));
    let mut encoder = Deflate::new(i32::from(level), false, 15);
    if !dictionary.is_empty() {
        encoder
            .set_dictionary(dictionary)
            .map_err(|error| fault(error.as_str()))?;
    }
    let status = encoder
        .compress(block, scratch, DeflateFlush::Finish)
        .map_err(|error| fault(error.as_str()))?;
    let len = usize::try_from(encoder.total_out()).unwrap_or(usize::MAX);
    Ok((status == Status::StreamEnd).then_some(len))
}

/// One final stored block. RFC 1951 3.2.4. A block's length always fits 16 bits.
fn stored(block: &[u8], out: &mut Vec<u8>) {
    let len = block.len() as u16;
    out.push(1);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(!len).to_le_bytes());
    out.extend_from_slice(block);
}

fn append_block(data: &[u8], raw_len: usize, out: &mut Vec<u8>) {
    let mut lengths = [0; 4];
    lengths[..2].copy_from_slice(&(data.len() as u16).to_le_bytes());
    lengths[2..].copy_from_slice(&(raw_len as u16).to_le_bytes());
    let sum = checksum(data) ^ u32::from_le_bytes(lengths);
    out.reserve(HEADER + data.len());
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(&lengths);
    out.extend_from_slice(data);
}

/// MS-CAB 3.1: little-endian words, combined by exclusive or; the last one to three bytes
/// count as a big-endian number.
fn checksum(data: &[u8]) -> u32 {
    let words = data.chunks_exact(4);
    let rest = words
        .remainder()
        .iter()
        .fold(0u32, |sum, &byte| (sum << 8) | u32::from(byte));
    words.fold(rest, |sum, word| {
        sum ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]])
    })
}

#[cfg(test)]
pub(super) mod tests;
