//! What lies compressed in a cache's entries and in installers, unpacked, so that a search for
//! words sees it. Entries are read by their description in `src/cache/entry.rs`, by other code
//! than wrote them.

use std::fs::File;
use std::path::{Path, PathBuf};

use fleetpack::package::read;
use serde_json::Value;
use zlib_rs::{Inflate, InflateFlush, Status};

/// With what an entry begins.
const MAGIC: &[u8] = b"fleetpk1";

/// An entry of a cache.
pub struct Entry {
    /// How its parts were compressed: gzip, zstd, mszip, or not at all.
    pub codec: Option<String>,
    /// Its head, and what its parts stand for.
    pub bytes: Vec<u8>,
}

/// Unpacks an entry; `None` for what is no entry.
pub fn entry(file: &[u8]) -> Option<Entry> {
    let rest = file.strip_prefix(MAGIC)?;
    let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
    let (head_len, count) = (number(0), number(4));
    let (table, rest) = rest[8 + 32..].split_at(count * 40);
    let (head, mut rest) = rest.split_at(head_len);
    let described: Value = serde_json::from_slice(head).unwrap_or_default();
    let codec = described["codec"].as_str().map(str::to_owned);
    let unit = described["unit"].as_u64().unwrap_or_default() as usize;
    let mut unpacked = Vec::new();
    for row in table.chunks_exact(40) {
        let len = u64::from_le_bytes(row[..8].try_into().unwrap()) as usize;
        let (part, after) = rest.split_at(len);
        rest = after;
        match codec.as_deref() {
            Some("gzip") => unpacked.extend(inflate(part, &[], unit)),
            Some("zstd") => unpacked.extend(zstd::decode_all(part).unwrap()),
            Some("mszip") => unpacked.extend(mszip(part)),
            Some(other) => panic!("how is {other} unpacked?"),
            None => unpacked.extend_from_slice(part),
        }
    }
    assert_eq!(rest.len(), 0, "something follows the last part");
    if codec.is_some() {
        assert_eq!(described["len"], unpacked.len() as u64, "{described}");
    }
    let bytes = [head, b"\n", &unpacked].concat();
    Some(Entry { codec, bytes })
}

/// At most `limit` bytes of a raw deflate stream, whether it is marked as ended or not.
fn inflate(input: &[u8], before: &[u8], limit: usize) -> Vec<u8> {
    let mut inflate = Inflate::new(false, 15);
    if !before.is_empty() {
        inflate.set_dictionary(before).unwrap();
    }
    let mut output = vec![0; limit];
    let status = inflate.decompress(input, &mut output, InflateFlush::SyncFlush);
    assert!(matches!(status, Ok(Status::Ok | Status::StreamEnd)));
    output.truncate(inflate.total_out() as usize);
    output
}

/// CFDATA blocks, each with the one before it as its dictionary.
fn mszip(mut blocks: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 32 << 10;
    let mut unpacked: Vec<u8> = Vec::new();
    while !blocks.is_empty() {
        let len = usize::from(u16::from_le_bytes([blocks[4], blocks[5]]));
        let (block, after) = blocks[8..].split_at(len);
        let before = unpacked.len().saturating_sub(BLOCK);
        let stream = block.strip_prefix(b"CK").unwrap();
        let block = inflate(stream, &unpacked[before..], BLOCK);
        unpacked.extend(block);
        blocks = after;
    }
    unpacked
}

/// All that an installer holds, or nothing for what is none: contents, scripts, and what it says
/// of itself.
pub fn installer(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).unwrap();
    let format = read::sniff(&file).ok()??;
    let mut found = Vec::new();
    let package = read::read_with(format, &file, &mut |_, contents| {
        contents.read_to_end(&mut found).map(drop)
    });
    let package = package.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (name, text) in package.scripts.iter().chain(&package.metadata) {
        found.extend_from_slice(format!("\n{name}\n{text}\n").as_bytes());
    }
    Some(found)
}

/// The files below a folder; links are not followed.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap().file_type() {
            kind if kind.is_dir() => found.extend(files(&path)),
            kind if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}
