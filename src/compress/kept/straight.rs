//! Kept segments on their way from the cache straight into a package, for a run that makes
//! one: without a copy in the spool.
//!
//! Each part is read into memory and verified there, on all cores, and handed on in order; a
//! file that somebody changes meanwhile is never copied unseen.

use std::num::NonZeroUsize;
use std::sync::mpsc::{channel, sync_channel};

use crate::cache::{Damaged, Entry};
use crate::compress::CompressError;

/// Gives all parts of an entry to `take`. Of a part that is not genuine the number and what is
/// wrong with it come back; those before it were taken, and nothing after it.
pub fn pour(
    entry: &Entry,
    threads: NonZeroUsize,
    take: &mut dyn FnMut(&[u8]) -> Result<(), CompressError>,
) -> Result<Option<(usize, Damaged)>, CompressError> {
    let count = entry.parts();
    let crew = threads.get().min(count);
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..crew)
            .map(|first| {
                let (full, filled) = sync_channel(1);
                let (empty, emptied) = channel::<Vec<u8>>();
                scope.spawn(move || {
                    for part in (first..count).step_by(crew) {
                        let mut bytes = emptied.try_recv().unwrap_or_default();
                        let read = entry.read(part, &mut bytes).map(|()| bytes);
                        // Nobody wants more.
                        if full.send(read).is_err() {
                            return;
                        }
                    }
                });
                (filled, empty)
            })
            .collect();
        for part in 0..count {
            let (filled, empty) = &lanes[part % crew];
            match filled.recv() {
                Ok(Ok(bytes)) => {
                    take(&bytes)?;
                    // Its thread may have ended.
                    let _ = empty.send(bytes);
                }
                Ok(Err(damaged)) => return Ok(Some((part, damaged))),
                // Its panic comes out where the threads are joined.
                Err(_) => return Ok(Some((part, Damaged::Form))),
            }
        }
        Ok(None)
    })
}
