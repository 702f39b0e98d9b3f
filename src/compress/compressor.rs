//! The room's state in one run: which contents were verified, digested and compressed.
//!
//! Contents are known by their sha256 alone; what is remembered of them was verified in the
//! run that remembered it. Only shared contents get this far: customers' bytes go through
//! [`super::Stream::bytes`] and are never kept.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;

use super::ahead::{Ahead, Board};
use super::codec::Encoder;
use super::pool::{self, Work};
use super::sink::Beginnings;
use super::spool::{Span, Spool};
use super::{Codec, CompressError, Digests, Hashing, Sink, Stream, UNIT, Wanted};
use super::{kept, sha256};
use crate::cache::{Cache, Damaged};
use crate::install::Shared;

/// See the head of this file.
pub struct Compressor {
    threads: NonZeroUsize,
    spool: Spool,
    cache: Option<Arc<Cache>>,
    single: bool,
    known: Mutex<HashMap<[u8; 32], Known>>,
    beginnings: Beginnings,
}

#[derive(Default)]
struct Known {
    digests: Digests,
    kept: HashMap<Codec, Kept>,
}

/// Where the segments of a content are.
#[derive(Clone)]
pub(super) enum Kept {
    /// In the spool.
    Spooled(Vec<Segment>),
    /// In the cache, not verified yet.
    Cached(Arc<kept::Found>),
}

/// Contents that have to be read.
struct Todo {
    /// For their digests alone: what is compressed already.
    kept: Vec<Shared>,
    /// For both.
    fresh: Vec<Shared>,
}

/// The compressed segments of one unit, in the spool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) span: Span,
    /// Bytes before compression.
    pub(super) raw: u64,
    /// CRC-32 of the bytes before compression.
    pub(super) crc32: u32,
    /// sha256 of the compressed bytes, where they are to go into a cache.
    pub(super) sha256: Option<[u8; 32]>,
}

impl Compressor {
    /// Works on `threads` threads and spools into an unnamed file in the system's folder for
    /// temporary files.
    pub fn new(threads: NonZeroUsize) -> Result<Self, CompressError> {
        Self::spooling_in(threads, &std::env::temp_dir())
    }

    /// Works on `threads` threads and spools into an unnamed file in `folder`.
    pub fn spooling_in(threads: NonZeroUsize, folder: &Path) -> Result<Self, CompressError> {
        Ok(Self {
            threads,
            spool: Spool::create_in(folder)?,
            cache: None,
            single: false,
            known: Mutex::new(HashMap::new()),
            beginnings: Beginnings::default(),
        })
    }

    /// Keeps what it compresses in `cache` too, and looks there first.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<Arc<Cache>>) -> Self {
        self.cache = cache;
        self
    }

    /// Works for one package: what the cache has goes straight into it, without waiting in the
    /// spool for others.
    #[must_use]
    pub fn for_one(mut self) -> Self {
        self.single = true;
        self
    }

    /// The cache that it looks into.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
    }

    /// Threads that this room works on.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// Verifies contents and takes the wanted digests, on all cores. What this run has seen
    /// before is not read again.
    pub fn digests(
        &self,
        contents: &[Shared],
        wanted: Wanted,
    ) -> Result<Vec<Digests>, CompressError> {
        self.see(contents, None, wanted)
    }

    /// Like [`Compressor::digests`], and in the same pass compresses contents into segments
    /// that are kept for streams of this codec, where it is one that keeps any.
    pub fn prepare(
        &self,
        contents: &[Shared],
        codec: Codec,
        wanted: Wanted,
    ) -> Result<Vec<Digests>, CompressError> {
        codec.check()?;
        self.see(contents, Some(codec).filter(|codec| codec.keeps()), wanted)
    }

    /// Begins a compressed stream into `sink`.
    pub fn stream<'a>(&'a self, codec: Codec, sink: &'a mut dyn Sink) -> Stream<'a> {
        Stream::new(self, codec, sink, None)
    }

    /// Like [`Compressor::prepare`], and beside it runs `write`, whose streams take contents as
    /// they get ready. What it wrote is worth nothing when this fails: that a content is not
    /// what was verified is known at its end.
    pub fn beside<R, E: From<CompressError>>(
        &self,
        contents: &[Shared],
        codec: Codec,
        wanted: Wanted,
        write: impl FnOnce(&Ahead<'_>) -> Result<R, E>,
    ) -> Result<(Vec<Digests>, R), E> {
        codec.check()?;
        let room = self;
        if !codec.keeps() {
            let digests = self.see(contents, None, wanted)?;
            let board = &Board::default();
            return Ok((digests, write(&Ahead { room, codec, board })?));
        }
        let todo = self.todo(contents, Some(codec), wanted)?;
        let board = &Board::of(&todo.fresh);
        let (written, taken) = std::thread::scope(|scope| {
            let hand = scope.spawn(crate::fs::following(|| {
                let _ends = board.ends_with_this();
                self.take_all(&todo, Some(codec), wanted, Some(board))
            }));
            let written = write(&Ahead { room, codec, board });
            if written.is_err() {
                board.end();
            }
            (written, crate::fs::joined(hand))
        });
        match taken {
            // The writer failed first: its own error says why.
            Err(CompressError::Stopped) | Ok(()) => Ok((self.taken(contents), written?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes on what goes into `inner` and takes a digest of it by `algorithm`; what this
    /// room's packages have in common at their beginning is hashed once.
    pub fn hashing<'a>(
        &'a self,
        inner: &'a mut dyn Sink,
        algorithm: &'static digest::Algorithm,
    ) -> Hashing<'a> {
        Hashing::new(self, inner, algorithm)
    }

    pub(super) fn beginnings(&self) -> &Beginnings {
        &self.beginnings
    }

    fn see(
        &self,
        contents: &[Shared],
        codec: Option<Codec>,
        wanted: Wanted,
    ) -> Result<Vec<Digests>, CompressError> {
        let todo = self.todo(contents, codec, wanted)?;
        self.take_all(&todo, codec, wanted, None)?;
        Ok(self.taken(contents))
    }

    /// What has to be read, after a look into the cache.
    fn todo(
        &self,
        contents: &[Shared],
        codec: Option<Codec>,
        wanted: Wanted,
    ) -> Result<Todo, CompressError> {
        let mut fresh: Vec<Shared> = Vec::new();
        for content in contents {
            // Of two files that are to have one digest, each must be seen to have it.
            let is_new = fresh.iter().all(|seen| match content.promise() {
                None => seen.sha256() != content.sha256(),
                Some(_) => !seen.is(content),
            });
            if is_new && !self.knows(content, codec, wanted) {
                fresh.push(content.clone());
            }
        }
        if let Some(cache) = self.cache.as_deref() {
            self.recall(cache, &fresh, codec, wanted)?;
            fresh.retain(|content| !self.knows(content, codec, wanted));
        }
        let (kept, fresh) = fresh
            .into_iter()
            .partition(|content| self.has(content, codec, Wanted::NONE));
        Ok(Todo { kept, fresh })
    }

    fn take_all(
        &self,
        todo: &Todo,
        codec: Option<Codec>,
        wanted: Wanted,
        board: Option<&Board>,
    ) -> Result<(), CompressError> {
        self.take_up(&todo.kept, None, wanted, None)?;
        self.take_up(&todo.fresh, codec, wanted, board)
    }

    /// What is known of contents that were taken up.
    fn taken(&self, contents: &[Shared]) -> Vec<Digests> {
        let known = self.known();
        contents
            .iter()
            .filter_map(|content| known.get(content.sha256()))
            .map(|known| known.digests)
            .collect()
    }

    fn knows(&self, content: &Shared, codec: Option<Codec>, wanted: Wanted) -> bool {
        content.promise().is_none() && self.has(content, codec, wanted)
    }

    fn has(&self, content: &Shared, codec: Option<Codec>, wanted: Wanted) -> bool {
        let known = self.known();
        known.get(content.sha256()).is_some_and(|known| {
            wanted.without(&known.digests) == Wanted::NONE
                && codec.is_none_or(|codec| known.kept.contains_key(&codec))
        })
    }

    /// Takes over what the cache has of these contents.
    fn recall(
        &self,
        cache: &Cache,
        contents: &[Shared],
        codec: Option<Codec>,
        wanted: Wanted,
    ) -> Result<(), CompressError> {
        let large = contents
            .iter()
            .filter(|content| content.len() >= kept::LEAST);
        let large: Vec<Shared> = large.cloned().collect();
        for content in &large {
            if !self.has(content, None, wanted)
                && let Some(digests) = kept::digests(cache, content)
            {
                let mut known = self.known();
                let entry = known.entry(*content.sha256()).or_insert_with(|| Known {
                    digests,
                    kept: HashMap::new(),
                });
                entry.digests.merge(&digests);
            }
        }
        let Some(codec) = codec else {
            return Ok(());
        };
        let missing = large.into_iter();
        let missing = missing.filter(|content| !self.has(content, Some(codec), Wanted::NONE));
        let missing: Vec<Shared> = missing.collect();
        if self.single {
            for content in missing {
                if let Some(found) = kept::find(cache, &content, codec) {
                    self.keep(&content, codec, Kept::Cached(Arc::new(found)));
                }
            }
            return Ok(());
        }
        for (content, segments) in kept::recall(cache, self, &missing, codec)? {
            self.keep(&content, codec, Kept::Spooled(segments));
        }
        Ok(())
    }

    fn keep(&self, content: &Shared, codec: Codec, kept: Kept) {
        let mut known = self.known();
        let entry = known.entry(*content.sha256()).or_insert_with(|| Known {
            digests: Digests {
                len: content.len(),
                sha256: *content.sha256(),
                ..Digests::default()
            },
            kept: HashMap::new(),
        });
        entry.kept.insert(codec, kept);
    }

    fn take_up(
        &self,
        contents: &[Shared],
        codec: Option<Codec>,
        wanted: Wanted,
        board: Option<&Board>,
    ) -> Result<(), CompressError> {
        let missing: Vec<Wanted> = contents
            .iter()
            .map(|content| match self.known().get(content.sha256()) {
                Some(known) => wanted.without(&known.digests),
                None => wanted,
            })
            .collect();
        if contents.is_empty() {
            return Ok(());
        }
        let units = pool::units_of(contents);
        let done = |unit: usize, segment: &Option<Segment>| {
            let (Some(board), Some(segment)) = (board, segment) else {
                return true;
            };
            let piece = &units[unit].0[0];
            let number = usize::try_from(piece.offset / UNIT as u64);
            board.put(
                &contents[piece.content],
                number.unwrap_or(usize::MAX),
                *segment,
            );
            !board.is_over()
        };
        let worker = || self.worker(codec.unwrap_or(Codec::Store));
        let (digests, segments) =
            pool::run(self.threads, contents, &missing, &units, &worker, &done)?;
        let mut segments = segments.into_iter();
        let mut known = self.known();
        for (content, digests) in contents.iter().zip(digests) {
            let count = usize::try_from(content.len().div_ceil(UNIT as u64));
            let own = segments.by_ref().take(count.unwrap_or(usize::MAX));
            let own: Vec<Segment> = own.flatten().collect();
            let entry = known.entry(*content.sha256()).or_default();
            entry.digests = Digests {
                len: digests.len,
                sha256: digests.sha256,
                ..entry.digests
            };
            entry.digests.merge(&digests);
            if let Some(cache) = self
                .cache
                .as_deref()
                .filter(|_| content.len() >= kept::LEAST)
            {
                kept::put_digests(cache, &entry.digests);
                if let Some(codec) = codec {
                    kept::put_segments(cache, self, content, codec, &own);
                }
            }
            if let Some(codec) = codec {
                entry.kept.insert(codec, Kept::Spooled(own));
            }
        }
        Ok(())
    }

    fn worker(&self, codec: Codec) -> Result<Work<'_, Option<Segment>>, CompressError> {
        if !codec.keeps() {
            return Ok(Box::new(|_| Ok(None)));
        }
        let mut encoder = Encoder::new(codec)?;
        Ok(Box::new(move |raw| {
            let bytes = encoder.encode(raw)?;
            Ok(Some(Segment {
                span: self.spool.append(bytes)?,
                raw: raw.len() as u64,
                crc32: crc32fast::hash(raw),
                sha256: self.cache.is_some().then(|| sha256(bytes)),
            }))
        }))
    }

    /// The kept segments of a content; compresses it first if need be.
    pub(super) fn segments(&self, content: &Shared, codec: Codec) -> Result<Kept, CompressError> {
        self.prepare(std::slice::from_ref(content), codec, Wanted::NONE)?;
        let known = self.known();
        let kept = known.get(content.sha256()).and_then(|k| k.kept.get(&codec));
        Ok(kept.cloned().unwrap_or(Kept::Spooled(Vec::new())))
    }

    /// Compresses a content whose segments in the cache turned out to be damaged.
    pub(super) fn again(
        &self,
        found: &kept::Found,
        codec: Codec,
        why: &Damaged,
    ) -> Result<Vec<Segment>, CompressError> {
        if let Some(cache) = self.cache.as_deref() {
            found.discard(cache, why);
        }
        let content = found.content();
        self.take_up(
            std::slice::from_ref(content),
            Some(codec),
            Wanted::NONE,
            None,
        )?;
        match self.segments(content, codec)? {
            Kept::Spooled(segments) => Ok(segments),
            Kept::Cached(_) => Err(content.changed().into()),
        }
    }

    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
