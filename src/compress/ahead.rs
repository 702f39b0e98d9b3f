//! Segments on their way: a stream is written while its contents are still being compressed.
//!
//! Workers lay down segments in any order; the stream takes them in its own and waits for the
//! one that comes next. They lie in the spool meanwhile, so however slow the stream is, memory
//! stays bounded. Digests are known only at the end: until then nobody may give the output its
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

/// What is on its way, by the sha256 of the content.
#[derive(Default)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    contents: HashMap<[u8; 32], Vec<Option<Segment>>>,
    over: bool,
}

/// Ends the waiting of others when its owner fails or panics.
pub(super) struct Ends<'b>(&'b Board);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Board {
    /// Announces contents that will be compressed, each once.
    pub(super) fn of(contents: &[Shared]) -> Self {
        let rows = contents.iter().map(|content| {
            let units = usize::try_from(content.len().div_ceil(UNIT as u64));
            (*content.sha256(), vec![None; units.unwrap_or(usize::MAX)])
        });
        let state = State {
            contents: rows.collect(),
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
        self.state().contents.get(content.sha256()).map(Vec::len)
    }

    /// Lays down the segment of a unit.
    pub(super) fn put(&self, content: &Shared, unit: usize, segment: Segment) {
        if let Some(slot) = self
            .state()
            .contents
            .get_mut(content.sha256())
            .and_then(|segments| segments.get_mut(unit))
        {
            *slot = Some(segment);
        }
        self.changed.notify_all();
    }

    /// The segment of a unit; `idle` is called, once, when there is nothing to do but wait.
    pub(super) fn wait(
        &self,
        content: &Shared,
        unit: usize,
        idle: impl FnOnce() -> Result<(), CompressError>,
    ) -> Result<Segment, CompressError> {
        if let Some(segment) = self.state().segment(content, unit) {
            return Ok(segment);
        }
        idle()?;
        let mut state = self.state();
        loop {
            if let Some(segment) = state.segment(content, unit) {
                return Ok(segment);
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
    fn segment(&self, content: &Shared, unit: usize) -> Option<Segment> {
        *self.contents.get(content.sha256())?.get(unit)?
    }
}
