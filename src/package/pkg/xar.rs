//! The xar archive that a package is: header, table of contents, heap.
//!
//! ```text
//! 0   "xar!", header size u16 = 28, version u16 = 1, length of the table compressed u64 and
//!     uncompressed u64, checksum algorithm u32 = 1 (SHA-1); all big-endian
//! 28  the table of contents: XML as a zlib stream
//! …   the heap: SHA-1 of the compressed table (20 bytes), then the members one after another
//! ```
//!
//! The table stands before the members whose sizes and digests it tells. So that nothing is
//! written twice, its length is settled first: the XML is padded with line breaks and stored
//! in the zlib stream (RFC 1950, RFC 1951 3.2.4) instead of being compressed. Room is left for
//! it, the members are streamed, and the table is patched in last.
//!
//! SHA-1 is the only digest that every reader takes; what is signed is signed over SHA-256.

use aws_lc_rs::digest;
use serde::Serialize;

use crate::templates::{self, TemplateError};

/// Length of a SHA-1 digest.
pub const SHA1: usize = 20;
/// Length of the header.
const HEADER: usize = 28;
/// The algorithm's number: SHA-1.
const ALGORITHM: u32 = 1;
/// A stored block of deflate holds at most this many bytes.
const STORED: usize = 0xffff;
/// A size with as many digits as any member will have.
const WIDEST: u64 = 9_999_999_999_999;

/// One file of the archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Length in bytes.
    pub size: u64,
    /// SHA-1 of its bytes.
    pub sha1: [u8; SHA1],
}

impl Member {
    /// A member in memory.
    pub fn of(name: &'static str, bytes: &[u8]) -> Self {
        let mut sha1 = [0; SHA1];
        sha1.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
        Self {
            name,
            size: bytes.len() as u64,
            sha1,
        }
    }

    /// A member whose size and digest are not known yet.
    pub fn unknown(name: &'static str) -> Self {
        Self {
            name,
            size: WIDEST,
            sha1: [0; SHA1],
        }
    }
}

/// What an archive holds: files at the top, then one folder with files. Their bytes lie in
/// the heap in this order.
#[derive(Clone, Debug)]
pub struct Archive {
    /// `2023-11-14T22:13:20`, UTC.
    pub creation_time: String,
    /// Files at the top.
    pub top: Vec<Member>,
    /// The folder's name.
    pub folder: &'static str,
    /// Files in the folder.
    pub files: Vec<Member>,
}

impl Archive {
    /// Length of everything before the first member, whatever the unknown ones turn out to be.
    pub fn head_length(&self) -> Result<usize, TemplateError> {
        let length = self.table()?.len();
        Ok(HEADER + zlib_length(length) + SHA1)
    }

    /// Header, table and its digest, in exactly `length` bytes (of [`Archive::head_length`]).
    pub fn head(&self, length: usize) -> Result<Vec<u8>, TemplateError> {
        let mut table = self.table()?.into_bytes();
        while HEADER + zlib_length(table.len()) + SHA1 < length {
            table.push(b'\n');
        }
        let stored = zlib_stored(&table);
        let mut bytes = Vec::with_capacity(length);
        bytes.extend(b"xar!");
        bytes.extend((HEADER as u16).to_be_bytes());
        bytes.extend(1u16.to_be_bytes());
        bytes.extend((stored.len() as u64).to_be_bytes());
        bytes.extend((table.len() as u64).to_be_bytes());
        bytes.extend(ALGORITHM.to_be_bytes());
        bytes.extend(&stored);
        bytes.extend(Member::of("", &stored).sha1);
        Ok(bytes)
    }

    fn table(&self) -> Result<String, TemplateError> {
        let mut rows = Rows {
            id: 0,
            offset: SHA1 as u64,
        };
        let top = rows.of(&self.top);
        rows.id += 1;
        let folder = Folder {
            id: rows.id,
            name: self.folder,
            files: rows.of(&self.files),
        };
        let table = Table {
            creation_time: &self.creation_time,
            top,
            folder,
        };
        templates::render("macos/pkg/toc.xml", &table)
    }
}

#[derive(Serialize)]
struct Table<'a> {
    creation_time: &'a str,
    top: Vec<Row>,
    folder: Folder,
}

#[derive(Serialize)]
struct Folder {
    id: u64,
    name: &'static str,
    files: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: u64,
    name: &'static str,
    sha1: String,
    size: u64,
    offset: u64,
}

// Ids ascend with offsets: some readers take the one for the other.
struct Rows {
    id: u64,
    offset: u64,
}

impl Rows {
    fn of(&mut self, members: &[Member]) -> Vec<Row> {
        members.iter().map(|member| self.row(member)).collect()
    }

    fn row(&mut self, member: &Member) -> Row {
        self.id += 1;
        let offset = self.offset;
        self.offset += member.size;
        Row {
            id: self.id,
            name: member.name,
            sha1: hex::encode(member.sha1),
            size: member.size,
            offset,
        }
    }
}

fn zlib_length(length: usize) -> usize {
    2 + length.div_ceil(STORED).max(1) * 5 + length + 4
}

fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(STORED).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend(adler32(bytes).to_be_bytes());
    stream
}

// RFC 1950 8.2. A few kilobytes: no need to defer the modulo.
fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65521;
        (low, (high + low) % 65521)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;
    use apple_xar::reader::XarReader;
    use std::io::{Cursor, Read};

    fn archive(payload: Member) -> Archive {
        Archive {
            creation_time: "2023-11-14T22:13:20".to_owned(),
            top: vec![Member::of("Distribution", b"<d/>")],
            folder: "base.pkg",
            files: vec![Member::of("Bom", b"bom"), payload],
        }
    }

    #[test]
    fn the_head_is_as_long_as_announced() {
        let length = archive(Member::unknown("Payload")).head_length().unwrap();
        for payload in [&b""[..], b"payload"] {
            let head = archive(Member::of("Payload", payload))
                .head(length)
                .unwrap();
            assert_eq!(head.len(), length);
        }
    }

    #[test]
    fn the_reader_crate_reads_it() {
        let length = archive(Member::unknown("Payload")).head_length().unwrap();
        let archive = archive(Member::of("Payload", b"payload"));
        let mut bytes = archive.head(length).unwrap();
        bytes.extend(b"<d/>bompayload");
        let mut reader = XarReader::new(Cursor::new(bytes)).unwrap();
        assert!(reader.verify_table_of_contents_checksum().unwrap());
        let names: Vec<_> = reader.files().unwrap().into_iter().map(|f| f.0).collect();
        let expected = [
            "Distribution",
            "base.pkg",
            "base.pkg/Bom",
            "base.pkg/Payload",
        ];
        assert_eq!(names, expected);
        for (name, contents) in [
            ("Distribution", &b"<d/>"[..]),
            ("base.pkg/Bom", b"bom"),
            ("base.pkg/Payload", b"payload"),
        ] {
            let read = reader.get_file_data_from_path(name).unwrap();
            assert_eq!(read.as_deref(), Some(contents), "{name}");
        }
    }

    #[test]
    fn stored_streams() {
        for length in [1, STORED, STORED + 1, 3 * STORED] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7) as u8).collect();
            let stream = zlib_stored(&bytes);
            assert_eq!(stream.len(), zlib_length(length));
            let mut read = Vec::new();
            flate2::read::ZlibDecoder::new(&stream[..])
                .read_to_end(&mut read)
                .unwrap();
            assert_eq!(read, bytes, "{length}");
        }
    }
}
