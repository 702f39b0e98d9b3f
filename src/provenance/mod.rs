//! Where an installer comes from, for machines: checksums, a bill of materials, a statement.
//!
//! It is made of a [`crate::inspect::Report`], that is of what lies in the finished file, and not of
//! what was meant to get into it; of a script that went in with others the digest is told. It holds
//! no secret. Nothing here signs: that is the work of
//! cosign, gpg and the like, on these files.

mod bom;
mod statement;

pub use bom::{BomError, bom};
pub use statement::{Circumstances, statement};

/// Lines as `sha256sum` writes and `sha256sum --check` reads them, sorted by name: 64 hex
/// digits, two spaces, name. Takes names and digests in hex.
pub fn checksums<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable();
    files
        .into_iter()
        .map(|(name, sha256)| format!("{sha256}  {name}\n"))
        .collect()
}
