//! What a walk over a payload gathers: entries in order, each with the digest of its contents.
//!
//! One place hashes, shows contents to the visitor and bounds the number and length of names,
//! so that a format's room only says what an entry is.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};
use md5::{Digest, Md5};

use super::{Found, Kind, ReadError, Visitor};

/// Entries that a package may have; large ones in the field have some ten thousand.
const MAX_ENTRIES: usize = 500_000;
/// Bytes of all names and links together.
const MAX_NAMES: usize = 64 << 20;
/// Linux's PATH_MAX.
pub(super) const MAX_PATH: usize = 4096;

/// A second digest, where a format has lists of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    None,
    Md5,
    /// POSIX `cksum`.
    Cksum,
}

/// What a file's contents turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) len: u64,
    pub(super) sha256: [u8; 32],
    pub(super) md5: [u8; 16],
    pub(super) cksum: u32,
}

/// See the head of this file.
pub(super) struct Collector<'v> {
    visitor: &'v mut Visitor<'v>,
    pub(super) files: Vec<Found>,
    names: usize,
}

impl<'v> Collector<'v> {
    pub(super) fn new<'a: 'v>(visitor: &'v mut Visitor<'a>) -> Self {
        Self {
            visitor,
            files: Vec::new(),
            names: 0,
        }
    }

    /// Takes an entry without contents.
    pub(super) fn add(&mut self, found: Found) -> Result<(), ReadError> {
        let link = match &found.kind {
            Kind::Link(text) | Kind::HardLink(text) => text.len(),
            _ => 0,
        };
        self.names += found.path.len() + link;
        if self.files.len() >= MAX_ENTRIES {
            return Err(ReadError::too_large(
                "the list of files",
                format!("{MAX_ENTRIES} entries"),
            ));
        }
        if self.names > MAX_NAMES || found.path.len().max(link) > MAX_PATH {
            return Err(ReadError::too_large("a file's name", "4096 bytes"));
        }
        self.files.push(found);
        Ok(())
    }

    /// Takes a file, reads its contents to their end, fills in length and digest. `from` must
    /// end exactly where the contents end.
    pub(super) fn file(
        &mut self,
        mut found: Found,
        from: &mut dyn Read,
        second: Second,
    ) -> Result<Contents, ReadError> {
        let path = found.path.clone();
        let announced = found.len;
        let mut hashing = Hashing::new(from, second);
        let visited = (self.visitor)(&found, &mut hashing);
        visited.map_err(|e| ReadError::of_io(&path, e))?;
        hashing.finish().map_err(|e| ReadError::of_io(&path, e))?;
        let contents = hashing.contents();
        if contents.len != announced {
            return Err(ReadError::truncated(path));
        }
        found.sha256 = Some(contents.sha256);
        self.add(found)?;
        Ok(contents)
    }
}

/// Hashes what is read through it.
struct Hashing<'r> {
    from: &'r mut dyn Read,
    sha256: Context,
    second: Second,
    md5: Md5,
    cksum: u32,
    len: u64,
}

impl<'r> Hashing<'r> {
    fn new(from: &'r mut dyn Read, second: Second) -> Self {
        Self {
            from,
            sha256: Context::new(&SHA256),
            second,
            md5: Md5::new(),
            cksum: 0,
            len: 0,
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    fn contents(self) -> Contents {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.finish().as_ref());
        Contents {
            len: self.len,
            sha256,
            md5: self.md5.finalize().into(),
            cksum: finish_cksum(self.cksum, self.len),
        }
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = loop {
            match self.from.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        let bytes = &buf[..got];
        self.sha256.update(bytes);
        match self.second {
            Second::None => {}
            Second::Md5 => self.md5.update(bytes),
            Second::Cksum => self.cksum = update_cksum(self.cksum, bytes),
        }
        self.len += got as u64;
        Ok(got)
    }
}

/// CRC of POSIX `cksum`: polynomial 0x04C11DB7, most significant bit first; four tables, so that
/// four bytes take one step.
const CKSUM: [[u32; 256]; 4] = cksum_tables();

const fn cksum_tables() -> [[u32; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 4 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before << 8) ^ tables[0][(before >> 24) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

fn update_cksum(mut crc: u32, bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        crc ^= u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        crc = CKSUM[3][(crc >> 24) as usize]
            ^ CKSUM[2][(crc >> 16 & 0xff) as usize]
            ^ CKSUM[1][(crc >> 8 & 0xff) as usize]
            ^ CKSUM[0][(crc & 0xff) as usize];
    }
    for &byte in words.remainder() {
        crc = (crc << 8) ^ CKSUM[0][((crc >> 24) as u8 ^ byte) as usize];
    }
    crc
}

/// Appends the length, low byte first, without leading zeros, and inverts.
fn finish_cksum(mut crc: u32, mut len: u64) -> u32 {
    while len > 0 {
        crc = (crc << 8) ^ CKSUM[0][((crc >> 24) as u8 ^ len as u8) as usize];
        len >>= 8;
    }
    !crc
}

/// POSIX `cksum` of bytes in memory.
pub(super) fn cksum(bytes: &[u8]) -> u32 {
    finish_cksum(update_cksum(0, bytes), bytes.len() as u64)
}

/// A payload's name as a tree has it: absolute below `root`, without `.` and doubled slashes.
/// Names that climb are refused.
pub(super) fn absolute(root: &str, name: &[u8], part: &str) -> Result<String, ReadError> {
    let name = String::from_utf8_lossy(name);
    if name.contains('\0') || name.split('/').any(|word| word == "..") {
        return Err(ReadError::damaged(
            part,
            format!(
                "{:?} is no path to install",
                name.escape_debug().to_string()
            ),
        ));
    }
    let words = root.split('/').chain(name.split('/'));
    let kept: Vec<&str> = words.filter(|word| !matches!(*word, "" | ".")).collect();
    Ok(format!("/{}", kept.join("/")))
}

/// A user or group: its name, or its number where there is none.
pub(super) fn name_or_number(name: &[u8], number: u64) -> String {
    match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() => name.to_owned(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cksum_as_posix_has_it() {
        // Values of coreutils' cksum.
        for (text, sum) in [
            ("", 4_294_967_295),
            ("hello", 3_287_646_509),
            ("123456789", 930_766_865),
        ] {
            assert_eq!(cksum(text.as_bytes()), sum, "{text:?}");
        }
    }

    #[test]
    fn names() {
        for (root, name, path) in [
            ("/", "./opt/orbit/", Ok("/opt/orbit")),
            ("/", ".", Ok("/")),
            ("", "/a//b", Ok("/a/b")),
            ("/Applications", "./A.app", Ok("/Applications/A.app")),
            ("/", "a/../b", Err(())),
            ("/", "a\0b", Err(())),
        ] {
            let found = absolute(root, name.as_bytes(), "x").map_err(|_| ());
            assert_eq!(found, path.map(String::from), "{name:?}");
        }
    }
}
