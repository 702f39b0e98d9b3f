//! Hashes of targets and metadata: sha256 and sha512, either alone valid to read, always
//! both when written.
//!
//! go-tuf's repositories list sha512 alone. An algorithm that we do not know is kept and
//! passed over as long as one that we know is there (TUF 4.4 leaves the set open).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// The digests of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 (FIPS 180-4).
    pub sha256: [u8; 32],
    /// SHA-512 (FIPS 180-4).
    pub sha512: [u8; 64],
}

impl Digests {
    /// Of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Of all that `reader` gives.
    pub fn read(reader: &mut impl Read) -> io::Result<Self> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 17];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Bytes after which sha512 moves to a thread of its own: about a millisecond of work.
const LONG: u64 = 1 << 20;

/// Computes [`Digests`] in one pass. Of a long content each algorithm has a thread: sha512
/// takes twice as long as sha256, and one file after the other would leave a core idle.
pub struct Hasher {
    length: u64,
    sha256: digest::Context,
    sha512: Sha512,
}

enum Sha512 {
    Here(digest::Context),
    Beside(SyncSender<Vec<u8>>, JoinHandle<digest::Context>),
    /// Between the two.
    Moving,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Self {
            length: 0,
            sha256: digest::Context::new(&digest::SHA256),
            sha512: Sha512::Here(digest::Context::new(&digest::SHA512)),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.length > LONG && matches!(self.sha512, Sha512::Here(_)) {
            self.sha512 = std::mem::replace(&mut self.sha512, Sha512::Moving).beside();
        }
        self.sha512.update(bytes);
        self.sha256.update(bytes);
    }

    /// Bytes hashed so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digests of all bytes added.
    pub fn finish(self) -> Digests {
        let mut digests = Digests {
            length: self.length,
            sha256: [0; 32],
            sha512: [0; 64],
        };
        digests
            .sha256
            .copy_from_slice(self.sha256.finish().as_ref());
        if let Some(sha512) = self.sha512.finish() {
            digests.sha512.copy_from_slice(sha512.as_ref());
        }
        digests
    }
}

impl Sha512 {
    /// Moves the work to a thread. Without one it stays here.
    fn beside(self) -> Self {
        let Self::Here(context) = self else {
            return self;
        };
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<u8>>(8);
        let mut moved = context.clone();
        let thread = std::thread::Builder::new().spawn(move || {
            while let Ok(bytes) = receiver.recv() {
                moved.update(&bytes);
            }
            moved
        });
        match thread {
            Ok(thread) => Self::Beside(sender, thread),
            Err(_) => Self::Here(context),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Here(context) => context.update(bytes),
            // The receiver goes away only by a panic, which `finish` passes on.
            Self::Beside(sender, _) => drop(sender.send(bytes.to_vec())),
            Self::Moving => {}
        }
    }

    fn finish(self) -> Option<digest::Digest> {
        match self {
            Self::Here(context) => Some(context.finish()),
            Self::Beside(sender, thread) => {
                drop(sender);
                match thread.join() {
                    Ok(context) => Some(context.finish()),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Self::Moving => None,
        }
    }
}

/// What metadata say of a content: algorithm → lower-case hex (TUF 4.4 `HASHES`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

/// A content is not what its metadata say.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HashMismatch {
    /// One listed hash differs.
    #[error("its {algorithm} is {found}, and not {expected} as its metadata say")]
    Differs {
        /// `sha256` or `sha512`.
        algorithm: &'static str,
        /// What the metadata list.
        expected: String,
        /// What was computed.
        found: String,
    },
    /// No algorithm that we know is listed.
    #[error("its metadata list neither a sha256 nor a sha512")]
    NoneKnown,
}

impl Hashes {
    /// Lists both hashes.
    pub fn from_digests(digests: &Digests) -> Self {
        Self(BTreeMap::from([
            ("sha256".to_owned(), hex::encode(digests.sha256)),
            ("sha512".to_owned(), hex::encode(digests.sha512)),
        ]))
    }

    /// Lists both hashes of a content that was verified; what else is listed stays.
    pub fn complete(&mut self, digests: &Digests) {
        self.0.extend(Self::from_digests(digests).0);
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The listed value of an algorithm, in hex.
    pub fn get(&self, algorithm: &str) -> Option<&str> {
        self.0.get(algorithm).map(String::as_str)
    }

    /// All values listed for algorithms that we know, sha256 first.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        ["sha256", "sha512"]
            .into_iter()
            .filter_map(|algorithm| self.get(algorithm))
    }

    /// Compares every listed hash that we know; at least one must be.
    pub fn verify(&self, digests: &Digests) -> Result<(), HashMismatch> {
        let mut known = 0;
        let found = [
            ("sha256", hex::encode(digests.sha256)),
            ("sha512", hex::encode(digests.sha512)),
        ];
        for (algorithm, found) in found {
            let Some(expected) = self.get(algorithm) else {
                continue;
            };
            if !expected.eq_ignore_ascii_case(&found) {
                return Err(HashMismatch::Differs {
                    algorithm,
                    expected: expected.to_owned(),
                    found,
                });
            }
            known += 1;
        }
        match known {
            0 => Err(HashMismatch::NoneKnown),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(entries: &[(&str, String)]) -> Hashes {
        Hashes(
            entries
                .iter()
                .map(|(k, v)| ((*k).to_owned(), v.clone()))
                .collect(),
        )
    }

    #[test]
    fn long_contents_in_pieces() {
        let bytes: Vec<u8> = (0..3 * LONG).map(|n| ((n * n) >> 7) as u8).collect();
        for piece in [1 << 16, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, bytes.len()] {
            let mut hasher = Hasher::new();
            bytes.chunks(piece).for_each(|chunk| hasher.update(chunk));
            let digests = hasher.finish();
            let sha512 = digest::digest(&digest::SHA512, &bytes);
            assert_eq!(digests.sha512[..], *sha512.as_ref(), "{piece}");
            let sha256 = digest::digest(&digest::SHA256, &bytes);
            assert_eq!(digests.sha256[..], *sha256.as_ref(), "{piece}");
            assert_eq!(digests.length, bytes.len() as u64);
        }
    }

    #[test]
    fn every_known_hash_counts() {
        let digests = Digests::of(b"orbit");
        let good256 = hex::encode(digests.sha256);
        let good512 = hex::encode(digests.sha512);
        let cases = [
            (
                "both",
                hashes(&[("sha256", good256.clone()), ("sha512", good512.clone())]),
                true,
            ),
            ("sha256 alone", hashes(&[("sha256", good256.clone())]), true),
            ("sha512 alone", hashes(&[("sha512", good512.clone())]), true),
            (
                "upper case",
                hashes(&[("sha256", good256.to_uppercase())]),
                true,
            ),
            (
                "with an unknown one",
                hashes(&[("sha256", good256.clone()), ("blake3", "00".into())]),
                true,
            ),
            (
                "one of two wrong",
                hashes(&[("sha256", good256), ("sha512", "00".repeat(64))]),
                false,
            ),
            (
                "cut short",
                hashes(&[("sha512", good512[..64].to_owned())]),
                false,
            ),
            ("unknown alone", hashes(&[("blake3", "00".into())]), false),
            ("none", hashes(&[]), false),
        ];
        for (name, hashes, accepted) in cases {
            assert_eq!(hashes.verify(&digests).is_ok(), accepted, "{name}");
        }
        assert!(Hashes::from_digests(&digests).verify(&digests).is_ok());
    }
}
