//! Where an installer comes from, for machines: checksums, a bill of materials, a statement.
//!
//! All of it is made of a [`Report`], that is of what lies in the finished file, and not of
//! what was meant to get into it. It holds no secret. Nothing here signs: that is the work of
//! cosign, gpg and the like, on these files.

mod bom;
mod statement;

pub use bom::{BomError, bom};
pub use statement::statement;

use crate::inspect::Report;

/// Lines as `sha256sum` writes and `sha256sum --check` reads them, sorted by name:
/// 64 hex digits, two spaces, name.
pub fn checksums<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    let mut files: Vec<_> = reports.into_iter().map(|report| &report.file).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
        .into_iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect()
}
