//! Compressed contents in the cache, and their digests.
//!
//! Two kinds of entries, both named by the sha256 of the content before compression:
//! `segments` (per codec, level and version of the encoder; a part is a unit's bytes) and
//! `digests`. Both heads repeat what the name says, so that an entry can be read by a person.

mod straight;

pub(super) use straight::pour;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::compressor::Segment;
use super::{Codec, CompressError, Compressor, Digests, UNIT};
use crate::cache::{Cache, CacheKey, Damaged, Entry, Part};
use crate::install::Shared;

/// Contents of fewer bytes are compressed faster than they are looked up.
pub const LEAST: u64 = 64 * 1024;

/// The encoders' names and versions, as `Cargo.toml` pins them.
const GZIP: &str = "libdeflater-1.26.1";
const ZSTD: &str = "zstd-0.14.4";
const MSZIP: &str = "zlib-rs-0.6.8";

/// The head of an entry of segments.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Segments {
    sha256: String,
    len: u64,
    crc32: u32,
    codec: String,
    level: i32,
    encoder: String,
    /// Bytes of a unit before compression.
    unit: u64,
    /// CRC-32 of each unit before compression.
    units: Vec<u32>,
}

/// The head of an entry of digests, which has no parts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    sha256: String,
    len: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cksum: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32: Option<u32>,
}

/// Word, level and encoder of a codec that keeps segments.
fn words(codec: Codec) -> Option<(&'static str, i32, &'static str)> {
    match codec {
        Codec::Gzip(level) => Some(("gzip", i32::from(level), GZIP)),
        Codec::ZstdFrames(level) => Some(("zstd", level, ZSTD)),
        Codec::Mszip(level) => Some(("mszip", i32::from(level), MSZIP)),
        Codec::Zstd(_) | Codec::Xz(_) | Codec::Store => None,
    }
}

fn segments_key(sha256: &[u8; 32], codec: Codec) -> Option<CacheKey> {
    let (word, level, encoder) = words(codec)?;
    let sha256 = hex::encode(sha256);
    let id = format!("{sha256}-{word}-{level}-{encoder}");
    Some(CacheKey::new("segments", &id))
}

fn digests_key(sha256: &[u8; 32]) -> CacheKey {
    CacheKey::new("digests", &hex::encode(sha256))
}

impl Segments {
    /// The head that an entry of this content has.
    fn of(content: &Shared, codec: Codec, units: Vec<u32>) -> Option<Self> {
        let (word, level, encoder) = words(codec)?;
        let mut crc32 = crc32fast::Hasher::new();
        for (crc, len) in units.iter().zip(lengths(content.len())) {
            crc32.combine(&crc32fast::Hasher::new_with_initial_len(*crc, len));
        }
        Some(Self {
            sha256: hex::encode(content.sha256()),
            len: content.len(),
            crc32: crc32.finalize(),
            codec: word.to_owned(),
            level,
            encoder: encoder.to_owned(),
            unit: UNIT as u64,
            units,
        })
    }
}

/// Lengths of a content's units.
fn lengths(len: u64) -> impl Iterator<Item = u64> {
    let starts = (0..len).step_by(UNIT);
    starts.map(move |start| (len - start).min(UNIT as u64))
}

/// Keeps the segments of a content that was verified as it was compressed.
pub(super) fn put_segments(
    cache: &Cache,
    room: &Compressor,
    content: &Shared,
    codec: Codec,
    segments: &[Segment],
) {
    let units = segments.iter().map(|segment| segment.crc32).collect();
    let parts: Option<Vec<Part<'_>>> = segments.iter().map(|s| room.spool().part(s)).collect();
    let key = segments_key(content.sha256(), codec);
    if let (Some(key), Some(head), Some(parts)) = (key, Segments::of(content, codec, units), parts)
        && let Ok(head) = serde_json::to_vec(&head)
    {
        cache.put(&key, &head, &parts);
    }
}

/// Keeps what is known of a content's digests beside its sha256, which names it.
pub(super) fn put_digests(cache: &Cache, digests: &Digests) {
    let known = (digests.md5, digests.sha1, digests.cksum, digests.crc32);
    if known == (None, None, None, None) {
        return;
    }
    let sums = Sums {
        sha256: hex::encode(digests.sha256),
        len: digests.len,
        md5: digests.md5.map(hex::encode),
        sha1: digests.sha1.map(hex::encode),
        cksum: digests.cksum,
        crc32: digests.crc32,
    };
    if let Ok(head) = serde_json::to_vec(&sums) {
        cache.put(&digests_key(&digests.sha256), &head, &[]);
    }
}

/// The digests that are kept of a content.
pub(super) fn digests(cache: &Cache, content: &Shared) -> Option<Digests> {
    let key = digests_key(content.sha256());
    let entry = cache.get(&key)?;
    let read = || {
        let sums: Sums = serde_json::from_slice(entry.head()).ok()?;
        let is_right = sums.sha256 == hex::encode(content.sha256()) && sums.len == content.len();
        is_right.then_some(Digests {
            len: sums.len,
            sha256: *content.sha256(),
            md5: bytes(sums.md5.as_deref())?,
            sha1: bytes(sums.sha1.as_deref())?,
            cksum: sums.cksum,
            crc32: sums.crc32,
        })
    };
    let found = read();
    if found.is_none() {
        cache.discard(&key, &Damaged::Form);
    }
    found
}

/// `None` for what is not so many bytes in hex; nothing is nothing.
#[expect(
    clippy::option_option,
    reason = "a digest that is damaged is not one that is missing"
)]
fn bytes<const N: usize>(text: Option<&str>) -> Option<Option<[u8; N]>> {
    let Some(text) = text else {
        return Some(None);
    };
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Some(bytes))
}

/// A content's segments in the cache.
#[derive(Debug)]
pub(super) struct Found {
    content: Shared,
    key: CacheKey,
    entry: Entry,
    units: Vec<u32>,
}

impl Found {
    /// CRC-32 and length of each unit before compression.
    pub(super) fn units(&self) -> impl Iterator<Item = (u32, u64)> {
        self.units.iter().copied().zip(lengths(self.content.len()))
    }

    /// The content.
    pub(super) fn content(&self) -> &Shared {
        &self.content
    }

    /// The entry.
    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Takes the entry away.
    pub(super) fn discard(&self, cache: &Cache, why: &Damaged) {
        cache.discard(&self.key, why);
    }
}

/// Looks for a content's segments; their bytes are not looked at yet.
pub(super) fn find(cache: &Cache, content: &Shared, codec: Codec) -> Option<Found> {
    let key = segments_key(content.sha256(), codec)?;
    let entry = cache.get(&key)?;
    let head = serde_json::from_slice::<Segments>(entry.head()).ok();
    let units = head
        .as_ref()
        .map(|head| head.units.clone())
        .unwrap_or_default();
    let expected = Segments::of(content, codec, units.clone());
    let count = lengths(content.len()).count();
    if head == expected && units.len() == count && entry.parts() == count {
        return Some(Found {
            content: content.clone(),
            key,
            entry,
            units,
        });
    }
    cache.discard(&key, &Damaged::Form);
    None
}

/// A content and its segments, in the spool.
pub(super) type Recalled = (Shared, Vec<Segment>);

/// Brings kept segments into the spool, verified on all cores. What is not there or damaged
/// is not among the results.
pub(super) fn recall(
    cache: &Cache,
    room: &Compressor,
    contents: &[Shared],
    codec: Codec,
) -> Result<Vec<Recalled>, CompressError> {
    let found = contents
        .iter()
        .filter_map(|content| find(cache, content, codec));
    let found: Vec<Found> = found.collect();
    let parts: Vec<(usize, usize)> = found
        .iter()
        .enumerate()
        .flat_map(|(at, found)| (0..found.entry.parts()).map(move |part| (at, part)))
        .collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; parts.len()]);
    let work = || -> Result<(), CompressError> {
        let mut bytes = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(at, part)) = parts.get(job) else {
                return Ok(());
            };
            let Found {
                entry,
                content,
                units,
                ..
            } = &found[at];
            let start = part as u64 * UNIT as u64;
            if let Err(error) = entry.read(part, &mut bytes) {
                cache.discard(&found[at].key, &error);
                continue;
            }
            let segment = Segment {
                span: room.spool().append(&bytes)?,
                raw: (content.len() - start).min(UNIT as u64),
                crc32: units[part],
                sha256: None,
            };
            results.lock().unwrap_or_else(PoisonError::into_inner)[job] = Some(segment);
        }
    };
    let crew = room.threads().get().min(parts.len());
    std::thread::scope(|scope| {
        let crew: Vec<_> = (0..crew)
            .map(|_| scope.spawn(crate::fs::following(work)))
            .collect();
        crew.into_iter().try_for_each(crate::fs::joined)
    })?;
    let mut results = results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter();
    let mut recalled = Vec::new();
    for found in &found {
        let own: Vec<Option<Segment>> = results.by_ref().take(found.entry.parts()).collect();
        if let Some(whole) = own.into_iter().collect::<Option<Vec<Segment>>>() {
            recalled.push((found.content.clone(), whole));
        }
    }
    Ok(recalled)
}

#[cfg(test)]
mod tests;
