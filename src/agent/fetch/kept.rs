//! What the cache keeps of targets, so that the next run neither downloads nor unpacks what
//! this one verified.
//!
//! Three kinds of entries:
//! - `targets`, named by the hash that metadata list: length and both digests of a target that
//!   was verified. With it a target need not be read whose compressed segments are kept;
//! - `downloads`, named by sha256: the target's bytes, where they came over a network. They are
//!   hashed again before they are used;
//! - `unpacked`, named by an archive's sha256: its members, with their digests, and the bytes
//!   of the small ones. The large ones are in the cache as segments.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::temporary;
use super::unpack::Spooled;
use crate::cache::{Cache, CacheKey, Damaged, Entry, Part};
use crate::compress::{KEPT_LEAST, sha256};
use crate::tuf::hashes::{Digests, Hasher};
use crate::tuf::metadata::TargetFile;

/// Bytes of a download in one part.
const PART: u64 = 16 << 20;
/// Small members of an archive are kept up to so many bytes together.
const SMALL: u64 = 16 << 20;
/// Changes with what unpacking makes of an archive.
const UNPACKER: &str = "1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    length: u64,
    sha256: String,
    sha512: String,
}

/// A member of an archive, in the order of the archive.
pub(super) struct Kept {
    pub(super) path: String,
    pub(super) mode: u32,
    /// `None` for a directory.
    pub(super) file: Option<KeptFile>,
}

/// A member's contents.
pub(super) struct KeptFile {
    pub(super) len: u64,
    pub(super) sha256: [u8; 32],
    /// The bytes, of small files.
    pub(super) bytes: Option<Vec<u8>>,
}

/// The head of a list of members; the bytes of small files are its parts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    archive: String,
    unpacker: String,
    members: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    mode: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<LineFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineFile {
    len: u64,
    sha256: String,
}

fn target_key(listed: &TargetFile) -> Option<CacheKey> {
    let of = |algorithm: &str| {
        let hash = listed.hashes.get(algorithm)?;
        Some(CacheKey::new("targets", &format!("{algorithm}-{hash}")))
    };
    of("sha512").or_else(|| of("sha256"))
}

/// The digests of a target that an earlier run verified, if they are those that are listed now.
pub(super) fn digests(cache: &Cache, listed: &TargetFile) -> Option<Digests> {
    let key = target_key(listed)?;
    let entry = cache.get(&key)?;
    let read = || {
        let known: Known = serde_json::from_slice(entry.head()).ok()?;
        let mut digests = Digests {
            length: known.length,
            sha256: [0; 32],
            sha512: [0; 64],
        };
        hex::decode_to_slice(known.sha256, &mut digests.sha256).ok()?;
        hex::decode_to_slice(known.sha512, &mut digests.sha512).ok()?;
        Some(digests)
    };
    let Some(digests) = read() else {
        cache.discard(&key, &Damaged::Form);
        return None;
    };
    let is_listed = digests.length == listed.length && listed.hashes.verify(&digests).is_ok();
    is_listed.then_some(digests)
}

/// Keeps the digests of a target that was verified in this run.
pub(super) fn put_digests(cache: &Cache, listed: &TargetFile, digests: &Digests) {
    let known = Known {
        length: digests.length,
        sha256: hex::encode(digests.sha256),
        sha512: hex::encode(digests.sha512),
    };
    if let (Some(key), Ok(head)) = (target_key(listed), serde_json::to_vec(&known)) {
        cache.put(&key, &head, &[]);
    }
}

fn download_key(sha256: &[u8; 32]) -> CacheKey {
    CacheKey::new("downloads", &hex::encode(sha256))
}

/// Keeps the bytes of a target that was verified in this run.
pub(super) fn put_download(cache: &Cache, file: &File, digests: &Digests) -> std::io::Result<()> {
    let mut parts = Vec::new();
    let mut bytes = Vec::new();
    for at in (0..digests.length).step_by(PART as usize) {
        let len = (digests.length - at).min(PART);
        bytes.resize(len as usize, 0);
        file.read_exact_at(&mut bytes, at)?;
        parts.push(Part {
            file,
            at,
            len,
            sha256: sha256(&bytes),
        });
    }
    let head = hex::encode(digests.sha256);
    cache.put(&download_key(&digests.sha256), head.as_bytes(), &parts);
    Ok(())
}

/// A target's bytes in a file of its own, hashed again.
pub(super) fn download(cache: &Cache, expected: &Digests) -> Option<File> {
    let key = download_key(&expected.sha256);
    let entry = cache.get(&key)?;
    let mut file = temporary().ok()?;
    let mut bytes = Vec::new();
    let mut hasher = Hasher::new();
    for part in 0..entry.parts() {
        if let Err(error) = entry.read(part, &mut bytes) {
            cache.discard(&key, &error);
            return None;
        }
        hasher.update(&bytes);
        file.write_all(&bytes).ok()?;
    }
    if hasher.finish() != *expected {
        cache.discard(&key, &Damaged::Part);
        return None;
    }
    file.seek(SeekFrom::Start(0)).ok()?;
    Some(file)
}

fn unpacked_key(archive: &[u8; 32]) -> CacheKey {
    CacheKey::new("unpacked", &format!("{}-{UNPACKER}", hex::encode(archive)))
}

/// Keeps what a verified archive unpacked to.
pub(super) fn put_unpacked(cache: &Cache, archive: &[u8; 32], spool: &File, members: &[Spooled]) {
    let places = || members.iter().filter_map(|spooled| spooled.place);
    let small: u64 = places()
        .map(|place| place.len)
        .filter(|len| *len < KEPT_LEAST)
        .sum();
    if small > SMALL {
        return;
    }
    let list = List {
        archive: hex::encode(archive),
        unpacker: UNPACKER.to_owned(),
        members: members
            .iter()
            .map(|Spooled { member, place }| Line {
                path: member.path.clone(),
                mode: member.mode,
                file: place.map(|place| LineFile {
                    len: place.len,
                    sha256: hex::encode(place.sha256),
                }),
            })
            .collect(),
    };
    let parts: Vec<Part<'_>> = places()
        .filter(|place| place.len < KEPT_LEAST)
        .map(|place| Part {
            file: spool,
            at: place.at,
            len: place.len,
            sha256: place.sha256,
        })
        .collect();
    if let Ok(head) = serde_json::to_vec(&list) {
        cache.put(&unpacked_key(archive), &head, &parts);
    }
}

/// What an archive unpacked to in an earlier run, small files with their bytes.
pub(super) fn unpacked(cache: &Cache, archive: &[u8; 32]) -> Option<Vec<Kept>> {
    let key = unpacked_key(archive);
    let entry = cache.get(&key)?;
    let mut part = 0;
    let mut read = || {
        let list: List = serde_json::from_slice(entry.head()).map_err(|_| Damaged::Form)?;
        if list.archive != hex::encode(archive) || list.unpacker != UNPACKER {
            return Err(Damaged::Form);
        }
        let lines = list.members.into_iter();
        lines
            .map(|line| kept(line, &entry, &mut part))
            .collect::<Result<Vec<Kept>, Damaged>>()
    };
    read().map_err(|error| cache.discard(&key, &error)).ok()
}

/// A member as its line says; the bytes of a small file are the entry's next part.
fn kept(line: Line, entry: &Entry, part: &mut usize) -> Result<Kept, Damaged> {
    let file = match line.file {
        None => None,
        Some(file) => {
            let mut found = KeptFile {
                len: file.len,
                sha256: [0; 32],
                bytes: None,
            };
            hex::decode_to_slice(&file.sha256, &mut found.sha256).map_err(|_| Damaged::Form)?;
            if file.len < KEPT_LEAST {
                let mut bytes = Vec::new();
                entry.read(*part, &mut bytes)?;
                *part += 1;
                if bytes.len() as u64 != found.len || sha256(&bytes) != found.sha256 {
                    return Err(Damaged::Part);
                }
                found.bytes = Some(bytes);
            }
            Some(found)
        }
    };
    Ok(Kept {
        path: line.path,
        mode: line.mode,
        file,
    })
}
