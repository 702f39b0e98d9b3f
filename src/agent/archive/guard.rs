//! A look at the blocks of a tar archive before its reader sees them (ustar, GNU and pax: tar(5)).
//!
//! The reader keeps long names and extended headers in memory, whatever their length, and passes
//! over what describes no member. So they are bounded here, as is the whole: what agents accept
//! has short names, and as many blocks as its members need.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::{ArchiveError, Limits, PATH_LIMIT};

const BLOCK: u64 = 512;
/// Largest extended header.
const EXTENDED_LIMIT: u64 = 1 << 20;
/// Headers that one member may have: itself, two long names, extensions.
const HEADERS: usize = 4;

/// What the next bytes are.
enum Part {
    /// A header, so far.
    Header(Vec<u8>),
    /// Contents with their padding.
    Contents(u64),
    /// A pax header, so far, and what is left of it.
    Extended(Vec<u8>, u64),
    /// Nothing that the reader looks at, or what it will refuse by itself.
    Rest,
}

/// See the head of this file.
pub struct Guard<R> {
    from: R,
    limits: Limits,
    part: Part,
    headers: usize,
    bytes: u64,
}

impl<R: Read> Guard<R> {
    /// Looks at what is read from `from`.
    pub fn new(from: R, limits: Limits) -> Self {
        Self {
            from,
            limits,
            part: Part::Header(Vec::new()),
            headers: 0,
            bytes: 0,
        }
    }

    fn see(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        // Padding and headers of every member that there may be.
        let more = (self.limits.members as u64).saturating_mul(BLOCK * 2 * HEADERS as u64);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.bytes.saturating_add(more) {
            return Err(ArchiveError::Bytes(self.limits.bytes));
        }
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Rest => return Ok(()),
                Part::Contents(left) => {
                    bytes = &bytes[take(left, bytes)..];
                    if *left == 0 {
                        self.part = Part::Header(Vec::new());
                    }
                }
                Part::Extended(text, left) => {
                    let taken = take(left, bytes);
                    text.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if *left == 0 {
                        check_extended(text)?;
                        self.part = Part::Header(Vec::new());
                    }
                }
                Part::Header(block) => {
                    let mut left = BLOCK - block.len() as u64;
                    let taken = take(&mut left, bytes);
                    block.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if left == 0 {
                        let block = std::mem::take(block);
                        self.part = self.header(&block)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What follows a header.
    fn header(&mut self, block: &[u8]) -> Result<Part, ArchiveError> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(Part::Rest);
        }
        self.headers += 1;
        if self.headers / HEADERS > self.limits.members {
            return Err(ArchiveError::Members(self.limits.members));
        }
        let header = Header::from_byte_slice(block);
        let Ok(len) = header.entry_size() else {
            return Ok(Part::Rest);
        };
        let padded = len.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        let kind = header.entry_type();
        let named = matches!(kind, EntryType::GNULongName | EntryType::GNULongLink);
        if named && len > PATH_LIMIT as u64 + 1 {
            return Err(ArchiveError::Name(len));
        }
        match kind {
            EntryType::XHeader | EntryType::XGlobalHeader if len > EXTENDED_LIMIT => {
                Err(ArchiveError::Name(len))
            }
            // Lists of holes may follow, and the reader would follow them.
            EntryType::GNUSparse => Err(ArchiveError::Kind {
                path: String::from_utf8_lossy(&header.path_bytes()).into_owned(),
                kind: "sparse file",
            }),
            _ if padded == 0 => Ok(Part::Header(Vec::new())),
            EntryType::XHeader | EntryType::XGlobalHeader => Ok(Part::Extended(Vec::new(), padded)),
            _ => Ok(Part::Contents(padded)),
        }
    }
}

/// Takes of `bytes` what is left, and answers how much.
fn take(left: &mut u64, bytes: &[u8]) -> usize {
    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= taken as u64;
    taken
}

/// A length there would be another one than the header's, which is looked at here.
fn check_extended(text: &[u8]) -> Result<(), ArchiveError> {
    match text.windows(6).any(|part| part == b" size=") {
        true => Err(ArchiveError::Length),
        false => Ok(()),
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.see(&into[..read]).map_err(io::Error::other)?;
        Ok(read)
    }
}
