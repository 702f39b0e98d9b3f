//! The digest of a package: sha256 over all streams in the order of their names, then the
//! root's CLSID.
//!
//! Names are ordered by their bytes in the file (UTF-16, little-endian, with the final zero),
//! which is no order of characters. The signature's own streams are left out.

use std::io::{self, Read, Seek};

use aws_lc_rs::digest::{Context, SHA256};

use super::{EXTENDED, STREAM};

/// Bytes read at a time.
const STEP: usize = 256 * 1024;

/// The digest of all streams in the root storage.
pub fn of<F: Read + Seek>(package: &mut cfb::CompoundFile<F>) -> io::Result<[u8; 32]> {
    let mut names: Vec<String> = package
        .read_root_storage()
        .filter(cfb::Entry::is_stream)
        .map(|entry| entry.name().to_owned())
        .filter(|name| name != STREAM && name != EXTENDED)
        .collect();
    names.sort_by_cached_key(|name| bytes(name));
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; STEP];
    for name in names {
        let mut stream = package.open_stream(format!("/{name}"))?;
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                read => context.update(&buffer[..read]),
            }
        }
    }
    context.update(&class(package));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}

fn bytes(name: &str) -> Vec<u8> {
    let units = name.encode_utf16().chain([0]);
    units.flat_map(u16::to_le_bytes).collect()
}

/// The CLSID as it stands in the file: the first three fields little-endian.
fn class<F: Read + Seek>(package: &cfb::CompoundFile<F>) -> [u8; 16] {
    package.root_entry().clsid().to_bytes_le()
}
