//! Compression on all cores, deterministic, with digests in the same pass.

pub mod mszip;

use aws_lc_rs::digest;

/// Compression failed.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// Contents could not be read, or are not those that were verified.
    #[error(transparent)]
    Content(#[from] crate::install::ContentError),
}

/// The room's state in one run.
pub struct Compressor {}

/// sha256 of bytes in memory.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
