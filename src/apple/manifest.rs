//! The manifest of MDM's `InstallEnterpriseApplication`: where a package lies, and the sha256
//! of each of its chunks, the last of which may be shorter (Apple, Device Management,
//! ManifestURL). A Mac checks every chunk as it comes in.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde_json::json;

use crate::compress::sha256;
use crate::install::Identity;
use crate::templates::{self, TemplateError};

/// Bytes of a chunk.
pub const CHUNK: u64 = 10 << 20;

/// A manifest could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The package could not be read.
    #[error("cannot read the package for its manifest")]
    Read(#[source] io::Error),
    /// A value cannot be written.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// The manifest of a finished package that Macs will find at `url`.
pub fn manifest(package: &File, url: &str, identity: &Identity) -> Result<String, ManifestError> {
    let values = json!({
        "chunk": CHUNK,
        "digests": digests(package).map_err(ManifestError::Read)?,
        "url": url,
        "identifier": identity.identifier,
        "version": identity.version,
        "title": identity.display_name,
    });
    Ok(templates::render("macos/mdm-manifest.plist", &values)?)
}

fn digests(package: &File) -> io::Result<Vec<String>> {
    let length = package.metadata()?.len();
    let mut buffer = vec![0; CHUNK.min(length) as usize];
    (0..length)
        .step_by(CHUNK as usize)
        .map(|start| {
            let chunk = &mut buffer[..CHUNK.min(length - start) as usize];
            package.read_exact_at(chunk, start)?;
            Ok(hex::encode(sha256(chunk)))
        })
        .collect()
}
