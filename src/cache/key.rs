//! The key that entries are authenticated with: HMAC-SHA256 (RFC 2104).
//!
//! A user's own key is made at the first use and readable by nobody else, so that a folder
//! others can write into is still a cache that others cannot fill.

use std::fmt;
use std::io;
use std::path::Path;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::CacheError;
use crate::fs::{AtomicFile, create_folders, read_limited};

/// See the head of this file.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// Bytes that a key has at least.
    pub const LEAST: usize = 32;
    /// Bytes that a key's file has at most.
    pub const MOST: u64 = 64 << 10;

    /// Reads a key from a file: its bytes as they are.
    pub fn read(path: &Path) -> Result<Self, CacheError> {
        let unread = |source| CacheError::Key {
            path: path.to_owned(),
            source,
        };
        let bytes = read_limited(path, Self::MOST).map_err(unread)?;
        let bytes = bytes.ok_or_else(|| unread(rustix::io::Errno::NOENT.into()))?;
        Self::of(Zeroizing::new(bytes), path)
    }

    /// Reads a key, and makes one where there is none. Of two runs that make one at a time
    /// both use the same.
    pub fn read_or_make(path: &Path) -> Result<Self, CacheError> {
        if let Ok(None) = read_limited(path, Self::MOST) {
            make(path).map_err(|source| CacheError::NoKey {
                path: path.to_owned(),
                source,
            })?;
        }
        Self::read(path)
    }

    /// Takes a key from memory.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    fn of(bytes: Zeroizing<Vec<u8>>, path: &Path) -> Result<Self, CacheError> {
        match bytes.len() < Self::LEAST {
            true => Err(CacheError::ShortKey {
                path: path.to_owned(),
                len: bytes.len(),
            }),
            false => Ok(Self::from_bytes(&bytes)),
        }
    }

    /// The MAC of several strings, each with its length before it.
    pub(super) fn mac(&self, strings: &[&[u8]]) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(self.context(strings).sign().as_ref());
        mac
    }

    /// Whether `mac` is that of these strings, in constant time.
    pub(super) fn is_mac_of(&self, strings: &[&[u8]], mac: &[u8; 32]) -> bool {
        let right = self.mac(strings);
        aws_lc_rs::constant_time::verify_slices_are_equal(&right, mac).is_ok()
    }

    fn context(&self, strings: &[&[u8]]) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.0);
        for string in strings {
            context.update(&(string.len() as u64).to_le_bytes());
            context.update(string);
        }
        context
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

fn make(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folders(folder, 0o755)?;
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    let mut file = AtomicFile::create(path, 0o600)?;
    file.copy_from(&mut bytes.as_slice())?;
    match file.commit_new() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_no_key() {
        for read in [Key::read, Key::read_or_make] {
            let Err(CacheError::Key { source, .. }) = read(Path::new("/dev/zero")) else {
                panic!("it was read");
            };
            assert_eq!(source.kind(), io::ErrorKind::FileTooLarge);
        }
        let missing = Key::read(Path::new("/missing/key")).unwrap_err();
        assert!(matches!(missing, CacheError::Key { source, .. }
            if source.kind() == io::ErrorKind::NotFound));
    }
}
