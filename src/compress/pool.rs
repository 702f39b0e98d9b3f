//! Reading contents once, for digests and work, on all cores.
//!
//! Contents are read in units. Workers take units in order; each buffer is first offered to
//! the digests of the contents in it, then worked on. A digest wants its content from front
//! to back, so buffers wait for their turn; whoever offers one also does what is ready. The
//! number of buffers is fixed: that bounds the memory, and a worker waits when all are in use.
//! The caller gets results in the order of units, and the digests, verified.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::digest::Hasher;
use super::{CompressError, Digests, UNIT, Wanted};
use crate::install::Shared;
use crate::steps::{self, Kind, Step};

/// Bytes of one content within a unit.
pub(super) struct Piece {
    /// Which content.
    pub(super) content: usize,
    /// Offset in that content.
    pub(super) offset: u64,
    /// Length in bytes.
    pub(super) len: usize,
}

/// What is read and worked on in one go: at most [`UNIT`] bytes.
pub(super) struct Unit(pub(super) Vec<Piece>);

/// Units of one piece each, content after content.
pub(super) fn units_of(contents: &[Shared]) -> Vec<Unit> {
    let pieces = contents.iter().enumerate().flat_map(|(content, shared)| {
        let starts = (0..shared.len()).step_by(UNIT);
        starts.map(move |offset| Piece {
            content,
            offset,
            len: usize::try_from(shared.len() - offset).map_or(UNIT, |left| left.min(UNIT)),
        })
    });
    pieces.map(|piece| Unit(vec![piece])).collect()
}

/// What a worker does with a unit's bytes.
pub(super) type Work<'w, T> = Box<dyn FnMut(&[u8]) -> Result<T, CompressError> + 'w>;

/// Reads all units on `threads` threads, gives each to a worker made by `worker`, and takes
/// digests: `wanted[i]` and sha256 of content `i`. A content that is not what was verified,
/// or promised, is a [`crate::install::ContentError`]. `done` sees every unit's number and result as
/// it comes, and ends the run by `false` ([`CompressError::Stopped`]).
pub(super) fn run<'w, T: Send>(
    threads: NonZeroUsize,
    contents: &[Shared],
    wanted: &[Wanted],
    units: &[Unit],
    worker: &(dyn Fn() -> Result<Work<'w, T>, CompressError> + Sync),
    done: &(dyn Fn(usize, &T) -> bool + Sync),
) -> Result<(Vec<Digests>, Vec<T>), CompressError> {
    let buffers = Buffers::new(threads.get() * 2 + 1);
    let lanes = contents.iter().zip(wanted);
    let lanes: Vec<Vec<Lane<'_>>> = lanes.map(|(c, wanted)| Lane::all(c, *wanted)).collect();
    let total = contents.iter().map(Shared::len).sum();
    let shift = Shift {
        step: steps::begin(Kind::Compress, &described(contents), Some(total)),
        contents,
        units,
        buffers: &buffers,
        lanes: &lanes,
        next: AtomicUsize::new(0),
    };
    let crew = threads.get().min(units.len());
    let results = std::thread::scope(|scope| {
        let crew: Vec<_> = (0..crew)
            .map(|_| scope.spawn(crate::fs::following(|| shift.work(worker, done))))
            .collect();
        crew.into_iter()
            .map(|hand| hand.join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let mut results: Vec<(usize, T)> = results.into_iter().flatten().collect();
    results.sort_unstable_by_key(|(unit, _)| *unit);
    let digests = contents.iter().zip(lanes);
    let digests = digests.map(|(content, lanes)| finish(content, lanes));
    Ok((
        digests.collect::<Result<_, _>>()?,
        results.into_iter().map(|(_, result)| result).collect(),
    ))
}

fn described(contents: &[Shared]) -> String {
    match contents {
        [one] => one.name().display().to_string(),
        several => format!("{} files", several.len()),
    }
}

fn finish(content: &Shared, lanes: Vec<Lane<'_>>) -> Result<Digests, CompressError> {
    let mut digests = Digests {
        len: content.len(),
        ..Digests::default()
    };
    let mut sha512 = None;
    for lane in lanes {
        let state = lane.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let hasher = state.hasher;
        sha512 = sha512.or(hasher.and_then(|h| h.finish(content.len(), &mut digests)));
    }
    content.judge(&digests.sha256, sha512.as_ref())?;
    Ok(digests)
}

/// What the workers of one run share.
struct Shift<'s, 'p> {
    step: Step,
    contents: &'s [Shared],
    units: &'s [Unit],
    buffers: &'p Buffers,
    lanes: &'s [Vec<Lane<'p>>],
    next: AtomicUsize,
}

impl<'p> Shift<'_, 'p> {
    fn work<'w, T>(
        &self,
        worker: &(dyn Fn() -> Result<Work<'w, T>, CompressError> + Sync),
        done: &(dyn Fn(usize, &T) -> bool + Sync),
    ) -> Result<Vec<(usize, T)>, CompressError> {
        let stop = StopOthers(self.buffers);
        let mut work = worker()?;
        let mut results = Vec::new();
        // A buffer comes before a unit: whoever holds the lowest unit can always go on.
        while let Some(mut buffer) = self.buffers.take() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(unit) = self.units.get(number) else {
                std::mem::forget(stop);
                return Ok(results);
            };
            self.read(unit, &mut buffer.bytes)?;
            let buffer = Arc::new(buffer);
            self.digest(unit, &buffer);
            let result = work(&buffer.bytes)?;
            if !done(number, &result) {
                return Err(CompressError::Stopped);
            }
            results.push((number, result));
            self.step.advance(buffer.bytes.len() as u64);
        }
        Ok(results)
    }

    fn read(&self, unit: &Unit, bytes: &mut Vec<u8>) -> Result<(), CompressError> {
        bytes.resize(unit.0.iter().map(|piece| piece.len).sum(), 0);
        let mut at = 0;
        for piece in &unit.0 {
            let part = &mut bytes[at..at + piece.len];
            self.contents[piece.content].read_exact_at(part, piece.offset)?;
            at += piece.len;
        }
        Ok(())
    }

    fn digest(&self, unit: &Unit, buffer: &Arc<Buffer<'p>>) {
        let mut at = 0;
        for piece in &unit.0 {
            let part = Part(Arc::clone(buffer), at..at + piece.len);
            at += piece.len;
            for lane in &self.lanes[piece.content] {
                lane.offer(piece.offset, part.clone());
            }
        }
        for lane in unit.0.iter().flat_map(|piece| &self.lanes[piece.content]) {
            lane.advance();
        }
    }
}

/// Lets the other workers end when this one fails or panics: they may wait for a buffer that
/// only its success would have freed.
struct StopOthers<'p>(&'p Buffers);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        lock(&self.0.free).take();
        self.0.returned.notify_all();
    }
}

/// One digest of one content.
struct Lane<'p>(Mutex<LaneState<'p>>);

struct LaneState<'p> {
    /// Offset of the next byte that the digest takes.
    next: u64,
    waiting: BTreeMap<u64, Part<'p>>,
    /// Away while somebody works with it.
    hasher: Option<Hasher>,
}

impl<'p> Lane<'p> {
    fn all(content: &Shared, wanted: Wanted) -> Vec<Self> {
        let lane = |hasher| LaneState {
            next: 0,
            waiting: BTreeMap::new(),
            hasher: Some(hasher),
        };
        let sha512 = content.promise().map(|_| Hasher::sha512());
        let hashers = Hasher::all(wanted).into_iter().chain(sha512);
        hashers.map(|h| Self(Mutex::new(lane(h)))).collect()
    }

    fn offer(&self, offset: u64, part: Part<'p>) {
        lock(&self.0).waiting.insert(offset, part);
    }

    /// Digests what has its turn, unless another worker is at it; that one looks again
    /// before it leaves.
    fn advance(&self) {
        let mut state = lock(&self.0);
        while let Some(mut hasher) = state.hasher.take() {
            let next = state.next;
            let Some(part) = state.waiting.remove(&next) else {
                state.hasher = Some(hasher);
                return;
            };
            drop(state);
            hasher.update(part.bytes());
            let len = part.bytes().len() as u64;
            drop(part);
            state = lock(&self.0);
            state.next += len;
            state.hasher = Some(hasher);
        }
    }
}

/// A range of a buffer.
#[derive(Clone)]
struct Part<'p>(Arc<Buffer<'p>>, Range<usize>);

impl Part<'_> {
    fn bytes(&self) -> &[u8] {
        &self.0.bytes[self.1.clone()]
    }
}

/// A fixed number of buffers; none at all once the run is to stop.
struct Buffers {
    free: Mutex<Option<Vec<Vec<u8>>>>,
    returned: Condvar,
}

impl Buffers {
    fn new(count: usize) -> Self {
        Self {
            free: Mutex::new(Some(vec![Vec::new(); count])),
            returned: Condvar::new(),
        }
    }

    /// Waits for a buffer; `None` when the run is to stop.
    fn take(&self) -> Option<Buffer<'_>> {
        let mut free = lock(&self.free);
        loop {
            if let Some(bytes) = free.as_mut()?.pop() {
                return Some(Buffer { bytes, home: self });
            }
            let waited = self.returned.wait(free);
            free = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Buffer<'p> {
    bytes: Vec<u8>,
    home: &'p Buffers,
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        if let Some(free) = lock(&self.home.free).as_mut() {
            free.push(std::mem::take(&mut self.bytes));
            self.home.returned.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
