//! What takes time, told to whoever listens: steps that begin, come forward by bytes, and end.
//!
//! A floor begins a [`Step`] where it reads, hashes, compresses or sends, and drops it when
//! that is done. Nobody listens unless the program's top called [`listen`]; then a step costs
//! an atomic load. What is shown of it, and where, is the listener's matter (`cli::progress`).
//! Like a logger there is one for the process: results never depend on it.

use std::io::{self, Read};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A part of a command; such steps do not overlap.
    Phase,
    /// Bytes come from a repository, and are hashed on the way.
    Download,
    /// Bytes of a file are hashed or read back.
    Hash,
    /// Contents are read, verified and compressed.
    Compress,
    /// Bytes go to a place that is published.
    Upload,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Phase,
        Self::Download,
        Self::Hash,
        Self::Compress,
        Self::Upload,
    ];

    /// The verb of a step that is going on.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Phase => "doing",
            Self::Download => "fetching",
            Self::Hash => "reading",
            Self::Compress => "compressing",
            Self::Upload => "uploading",
        }
    }

    /// The verb of a step that has ended.
    pub fn past(self) -> &'static str {
        match self {
            Self::Phase => "did",
            Self::Download => "fetched",
            Self::Hash => "read",
            Self::Compress => "compressed",
            Self::Upload => "uploaded",
        }
    }
}

/// Who is told. Calls come from any thread.
pub trait Listener: Send + Sync {
    /// A step begins; `total` is its bytes, where they are known before.
    fn begin(&self, id: u64, kind: Kind, what: &str, total: Option<u64>);
    /// It came forward by so many bytes.
    fn advance(&self, id: u64, bytes: u64);
    /// It ended, well or not.
    fn end(&self, id: u64);
}

static LISTENER: OnceLock<Box<dyn Listener>> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Names the listener of this process; a second one is not heard.
pub fn listen(listener: Box<dyn Listener>) {
    let _ = LISTENER.set(listener);
}

/// Something that takes time. It ends when it is dropped.
#[derive(Debug)]
pub struct Step(u64);

/// Begins a step.
pub fn begin(kind: Kind, what: &str, total: Option<u64>) -> Step {
    let Some(listener) = LISTENER.get() else {
        return Step(0);
    };
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    listener.begin(id, kind, what, total);
    Step(id)
}

/// Begins a part of a command: a verb in its `-ing` form.
pub fn phase(what: &str) -> Step {
    begin(Kind::Phase, what, None)
}

impl Step {
    /// Comes forward.
    pub fn advance(&self, bytes: u64) {
        if let Some(listener) = LISTENER.get() {
            listener.advance(self.0, bytes);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(listener) = LISTENER.get() {
            listener.end(self.0);
        }
    }
}

/// Reads through, and tells how far.
pub struct Told<R> {
    inner: R,
    step: Step,
}

impl<R: Read> Told<R> {
    /// Tells of `inner` as a step.
    pub fn new(inner: R, kind: Kind, what: &str, total: Option<u64>) -> Self {
        let step = begin(kind, what, total);
        Self { inner, step }
    }
}

impl<R: Read> Read for Told<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.step.advance(got as u64);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_through_changes_nothing() {
        let mut text = String::new();
        Told::new(&b"abc"[..], Kind::Hash, "text", Some(3))
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "abc");
    }
}
