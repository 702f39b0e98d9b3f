//! One entry as a file.
//!
//! ```text
//! magic "fleetpk1"  head length u32  number of parts u32  MAC[32]
//! table: per part its length u64 and sha256[32]
//! head, then the parts' bytes; numbers are little-endian, nothing follows
//! ```
//!
//! The MAC is over the magic, the entry's name, the table and the head. A part is read whole
//! and compared with the table before anybody sees it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Key;
use crate::compress::sha256;

const MAGIC: &[u8; 8] = b"fleetpk1";
/// Magic, two numbers, MAC.
const FIXED: usize = 8 + 4 + 4 + 32;
/// A part's length and digest.
const ROW: usize = 8 + 32;
/// No head and no table is longer.
const HEAD_LIMIT: u32 = 16 << 20;
const PARTS_LIMIT: u32 = 1 << 18;
/// No part is longer: it is read into memory.
const PART_LIMIT: u64 = 64 << 20;

/// Why an entry is not used.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// There is none.
    #[error("it is not there")]
    Missing,
    /// It cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// It is too short or too long, or no entry at all.
    #[error("it is damaged")]
    Form,
    /// The MAC is not that of this name, head and table under this key.
    #[error("it was not made with this key for this name")]
    Mac,
    /// A part is not the one of the table.
    #[error("its contents are not what it says they are")]
    Part,
}

impl From<io::Error> for Damaged {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::UnexpectedEof => Self::Form,
            _ => Self::Read(error),
        }
    }
}

/// Bytes that are to be kept: a range of a file, and their digest.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The file.
    pub file: &'a File,
    /// Offset of the first byte.
    pub at: u64,
    /// Length in bytes.
    pub len: u64,
    /// sha256 of just these bytes.
    pub sha256: [u8; 32],
}

/// A genuine entry; its parts are read when they are asked for.
#[derive(Debug)]
pub struct Entry {
    file: File,
    head: Vec<u8>,
    parts: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    at: u64,
    len: u64,
    sha256: [u8; 32],
}

impl Entry {
    /// The head.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Reads a part into `bytes`, verified. From any thread.
    pub fn read(&self, part: usize, bytes: &mut Vec<u8>) -> Result<(), Damaged> {
        let row = self.parts.get(part).ok_or(Damaged::Form)?;
        bytes.resize(usize::try_from(row.len).map_err(|_| Damaged::Form)?, 0);
        self.file.read_exact_at(bytes, row.at)?;
        match sha256(bytes) == row.sha256 {
            true => Ok(()),
            false => Err(Damaged::Part),
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

pub(super) fn open(path: &Path, name: &str, key: &Key) -> Result<Entry, Damaged> {
    of(File::open(path)?, name, key)
}

/// Judges what is in an open file.
pub(super) fn of(file: File, name: &str, key: &Key) -> Result<Entry, Damaged> {
    let mut fixed = [0; FIXED];
    file.read_exact_at(&mut fixed, 0)?;
    let (magic, rest) = fixed.split_at(MAGIC.len());
    let number =
        |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
    let (head_len, count) = (number(0), number(4));
    if magic != MAGIC || head_len > HEAD_LIMIT || count > PARTS_LIMIT {
        return Err(Damaged::Form);
    }
    let mut mac = [0; 32];
    mac.copy_from_slice(&rest[8..]);
    let mut table = vec![0; count as usize * ROW];
    file.read_exact_at(&mut table, FIXED as u64)?;
    let mut head = vec![0; head_len as usize];
    file.read_exact_at(&mut head, (FIXED + table.len()) as u64)?;
    if !key.is_mac_of(&[MAGIC, name.as_bytes(), &table, &head], &mac) {
        return Err(Damaged::Mac);
    }
    let mut at = (FIXED + table.len() + head.len()) as u64;
    let mut parts = Vec::with_capacity(count as usize);
    for row in table.chunks_exact(ROW) {
        let (len, digest) = row.split_at(8);
        let len = len
            .iter()
            .rev()
            .fold(0, |len, &byte| len << 8 | u64::from(byte));
        if len > PART_LIMIT {
            return Err(Damaged::Form);
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest);
        parts.push(Row { at, len, sha256 });
        at += len;
    }
    match file.metadata()?.len() == at {
        true => Ok(Entry { file, head, parts }),
        false => Err(Damaged::Form),
    }
}

pub(super) fn write(
    file: &mut File,
    name: &str,
    key: &Key,
    head: &[u8],
    parts: &[Part<'_>],
) -> io::Result<()> {
    let too_much = || io::Error::from(io::ErrorKind::FileTooLarge);
    let head_len = u32::try_from(head.len())
        .ok()
        .filter(|len| *len <= HEAD_LIMIT);
    let count = u32::try_from(parts.len())
        .ok()
        .filter(|count| *count <= PARTS_LIMIT);
    let mut table = Vec::with_capacity(parts.len() * ROW);
    for part in parts {
        table.extend_from_slice(&part.len.to_le_bytes());
        table.extend_from_slice(&part.sha256);
    }
    let mut start = MAGIC.to_vec();
    start.extend_from_slice(&head_len.ok_or_else(too_much)?.to_le_bytes());
    start.extend_from_slice(&count.ok_or_else(too_much)?.to_le_bytes());
    start.extend_from_slice(&key.mac(&[MAGIC, name.as_bytes(), &table, head]));
    start.extend_from_slice(&table);
    start.extend_from_slice(head);
    file.write_all(&start)?;
    for part in parts {
        crate::fs::append_range(file, part.file, part.at, part.len)?;
    }
    Ok(())
}
