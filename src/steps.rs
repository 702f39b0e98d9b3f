//! What takes time, told to whoever listens: steps that begin, come forward by bytes, and end.
//!
//! A floor begins a [`Step`] where it reads, hashes, compresses or sends, and drops it when
//! that is done. A step is a span of the crate `tracing`, below the target [`TARGET`]; any
//! subscriber hears of it, and nothing depends on whether one does:
//!
//! | what | level | fields |
//! | --- | --- | --- |
//! | span `step` | info | `kind` (see [`Kind::name`]), `what`, `total`: its bytes, where they are known before |
//! | event inside it | debug | `bytes` by which it came forward |
//!
//! Spans have no parent: steps of different threads overlap. What the program shows of them is
//! the matter of `cli::progress`.

use std::io::{self, Read};

use tracing::Span;

/// The target of every span and event here.
pub const TARGET: &str = "fleetpack::steps";

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

    /// Its word in the field `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Download => "download",
            Self::Hash => "hash",
            Self::Compress => "compress",
            Self::Upload => "upload",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

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

/// Something that takes time. It ends when it is dropped.
#[derive(Debug)]
pub struct Step(Span);

/// Begins a step.
pub fn begin(kind: Kind, what: &str, total: Option<u64>) -> Step {
    let kind = kind.name();
    Step(tracing::info_span!(target: TARGET, parent: None, "step", kind, what, total))
}

/// Begins a part of a command: a verb in its `-ing` form.
pub fn phase(what: &str) -> Step {
    begin(Kind::Phase, what, None)
}

impl Step {
    /// Comes forward.
    pub fn advance(&self, bytes: u64) {
        tracing::debug!(target: TARGET, parent: &self.0, bytes);
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
