//! Segments on their way: a stream is written while its contents are still being compressed.
//!
//! Workers lay down segments in any order; the stream takes them in its own and waits for the
//! one that comes next. Where nobody else wants them, a few lie in memory meanwhile; all others
//! lie in the spool, so however slow the stream is, memory stays bounded. Digests are known only at the end: until then nobody may give the output its
//! name ([`super::Compressor::beside`] fails when a content is not what was verified).

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::compressor::Segment;
use super::{Codec, CompressError, Compressor, Sink, Stream, UNIT};
use crate::install::Shared;

/// Begins streams whose contents may still be on their way.
pub struct Ahead<'a> {
    pub(super) room: &'a Compressor,
    pub(super) codec: Codec,
    pub(super) board: &'a Board,
}

impl<'a> Ahead<'a> {
    /// Begins a compressed stream into `sink`, by the codec that contents are compressed with.
    pub fn stream(&self, sink: &'a mut dyn Sink) -> Stream<'a> {
        Stream::new(self.room, self.codec, sink, Some(self.board))
    }
}

/// Bytes of segments that lie in memory at most.
const HELD: usize = 8 << 20;

/// What is on its way, by the sha256 of the content.
#[derive(Default)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    contents: HashMap<[u8; 32], Row>,
    /// Bytes that lie in memory.
    held: usize,
    over: bool,
}

/// The segments of one content.
struct Row {
    /// Whether the stream takes them a single time.
    once: bool,
    units: Vec<Option<Ready>>,
}

/// A segment that the stream can have.
pub(super) enum Ready {
    /// It lies in the spool.
    Spooled(Segment),
    /// It lies here.
    Held(Held),
    /// The stream has it.
    Taken,
}

/// A segment in memory.
pub(super) struct Held {
    /// Bytes before compression.
    pub(super) raw: u64,
    /// CRC-32 of the bytes before compression.
    pub(super) crc32: u32,
    /// Compressed.
    pub(super) bytes: Vec<u8>,
}

/// Ends the waiting of others when its owner fails or panics.
pub(super) struct Ends<'b>(&'b Board);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Board {
    /// Announces the contents that will be compressed. `all` are those that the stream takes,
    /// as often as it takes them.
    pub(super) fn of(fresh: &[Shared], all: &[Shared]) -> Self {
        let rows = fresh.iter().map(|content| {
            let same = all.iter().filter(|one| one.sha256() == content.sha256());
            let units = usize::try_from(content.len().div_ceil(UNIT as u64));
            let row = Row {
                once: same.count() == 1,
                units: std::iter::repeat_with(|| None)
                    .take(units.unwrap_or(usize::MAX))
                    .collect(),
            };
            (*content.sha256(), row)
        });
        let state = State {
            contents: rows.collect(),
            held: 0,
            over: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Ends all waiting once what it gives goes out of scope.
    pub(super) fn ends_with_this(&self) -> Ends<'_> {
        Ends(self)
    }

    /// Nobody goes on, on either side.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }

    /// Whether there is nobody who waits for segments any more.
    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    /// How many segments a content will have, if it was announced.
    pub(super) fn announced(&self, content: &Shared) -> Option<usize> {
        let state = self.state();
        Some(state.contents.get(content.sha256())?.units.len())
    }

    /// Whether there is room here for so many bytes of a content; it is taken then.
    pub(super) fn has_room(&self, content: &Shared, len: usize) -> bool {
        let mut state = self.state();
        let row = state.contents.get(content.sha256());
        let has = row.is_some_and(|row| row.once) && state.held + len <= HELD;
        if has {
            state.held += len;
        }
        has
    }

    /// Lays down the segment of a unit.
    pub(super) fn put(&self, content: &Shared, unit: usize, ready: Ready) {
        if let Some(slot) = self
            .state()
            .contents
            .get_mut(content.sha256())
            .and_then(|row| row.units.get_mut(unit))
        {
            *slot = Some(ready);
        }
        self.changed.notify_all();
    }

    /// The segment of a unit; `idle` is called, once, when there is nothing to do but wait.
    pub(super) fn wait(
        &self,
        content: &Shared,
        unit: usize,
        idle: impl FnOnce() -> Result<(), CompressError>,
    ) -> Result<Ready, CompressError> {
        if let Some(ready) = self.state().take(content, unit) {
            return Ok(ready);
        }
        idle()?;
        let mut state = self.state();
        loop {
            if let Some(ready) = state.take(content, unit) {
                return Ok(ready);
            }
            if state.over {
                return Err(CompressError::Stopped);
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is ready of a unit. What lies in the spool can be had again.
    fn take(&mut self, content: &Shared, unit: usize) -> Option<Ready> {
        let slot = self.contents.get_mut(content.sha256())?;
        let slot = slot.units.get_mut(unit)?;
        if slot.is_none() {
            return None;
        }
        match slot.replace(Ready::Taken)? {
            Ready::Spooled(segment) => {
                *slot = Some(Ready::Spooled(segment));
                Some(Ready::Spooled(segment))
            }
            Ready::Held(held) => {
                self.held -= held.bytes.len();
                Some(Ready::Held(held))
            }
            Ready::Taken => Some(Ready::Taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn memory_is_bounded() {
        let shared = |bytes: &[u8]| Shared::verified_bytes(bytes.to_vec(), Path::new("x"));
        let (once, twice, strange) = (shared(b"1"), shared(b"2"), shared(b"3"));
        let fresh = [once.clone(), twice.clone()];
        let all = [once.clone(), twice.clone(), twice.clone()];
        let board = Board::of(&fresh, &all);
        for (content, len, has) in [
            (&twice, 1, false),
            (&strange, 1, false),
            (&once, HELD + 1, false),
            (&once, HELD - 1, true),
            (&once, 2, false),
            (&once, 1, true),
            (&once, 1, false),
        ] {
            assert_eq!(board.has_room(content, len), has, "{content:?}, {len}");
        }
        let bytes = vec![0; HELD - 1];
        let held = Held {
            raw: 1,
            crc32: 0,
            bytes,
        };
        board.put(&once, 0, Ready::Held(held));
        let taken = board.wait(&once, 0, || Ok(()));
        assert!(matches!(taken, Ok(Ready::Held(_))));
        assert!(board.has_room(&once, HELD - 1));
        let again = board.wait(&once, 0, || Ok(()));
        assert!(matches!(again, Ok(Ready::Taken)));
    }
}
