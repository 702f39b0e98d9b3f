//! What a file is, by its first bytes.

use std::fs::File;
use std::io::Read;

use super::ReadError;
use super::stream::{Decoder, Section, compression_of};
use crate::package::{Compression, Format};

/// Tells the format by magic; of compressed files only those whose first tar entry has a
/// leading dot are pacman's. `None` is none of the formats.
pub fn sniff(file: &File) -> Result<Option<Format>, ReadError> {
    let len = file.metadata().map_err(ReadError::Io)?.len();
    let whole = Section::new(file, 0, len);
    let (magic, got) = whole.peek::<32>()?;
    let magic = &magic[..got];
    Ok(match magic {
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', b'\n', name @ ..]
            if name.starts_with(b"debian-binary") =>
        {
            Some(Format::Deb)
        }
        [0xed, 0xab, 0xee, 0xdb, ..] => Some(Format::Rpm),
        [b'x', b'a', b'r', b'!', ..] => Some(Format::Pkg),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => Some(Format::Msi),
        _ if compression_of(magic) == Compression::None => None,
        _ => begins_like_pacman(whole).then_some(Format::PkgTarZst),
    })
}

fn begins_like_pacman(whole: Section<'_>) -> bool {
    let mut header = [0; 512];
    let unpacked = Decoder::new(whole).and_then(|mut decoder| decoder.read_exact(&mut header));
    let name = header.split(|&byte| byte == 0).next().unwrap_or_default();
    let known: [&[u8]; 5] = [
        b".PKGINFO",
        b".BUILDINFO",
        b".MTREE",
        b".INSTALL",
        b".CHANGELOG",
    ];
    unpacked.is_ok() && known.contains(&name)
}
