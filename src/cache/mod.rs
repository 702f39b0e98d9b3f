//! What is kept from one run to the next: entries that only their key's holder can have made.
//!
//! They lie in a folder, which stays within a size, or in object storage (`remote`), whose
//! owner decides what is kept for how long.
//!
//! An entry has a name, a head (small, its owner's own words) and parts (large). It is used
//! when a MAC over name, head and the parts' digests is right, and never otherwise: whatever
//! else lies in its place is taken away and made anew. Only what was verified in this run may
//! be put in ([`crate::install::Shared`]); the secrets of customers never get here. A cache that
//! fails costs time and nothing else, so nothing here ends a run once it is open: what went
//! wrong is told by [`Cache::notes`]. Several runs use one cache at once: entries appear whole
//! by renaming, and one that is taken away stays readable for who has it open.

mod entry;
mod folder;
mod key;
mod remote;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use entry::{Damaged, Entry, Part};
pub use key::Key;

use crate::hint::Hint;
use crate::store::object::{self, Access, ObjectError};
use remote::Remote;

/// Bytes that a cache grows to when nothing else is said.
pub const LIMIT: u64 = 8 << 30;

/// A cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The key cannot be read.
    #[error("cannot read the cache's key {}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The key is too short to keep anybody out.
    #[error("the cache's key {} has {len} bytes; at least {} are needed", path.display(), Key::LEAST)]
    ShortKey {
        /// The key's file.
        path: PathBuf,
        /// Its length.
        len: usize,
    },
    /// The user's own key cannot be made.
    #[error("cannot make a key for the cache in {}", path.display())]
    NoKey {
        /// The key's file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody else's storage, without a key of its own.
    #[error("the cache {url} is not on this machine, and needs a key that its users share")]
    Keyless {
        /// Where the cache is.
        url: String,
    },
    /// Object storage that cannot be used as it is set up.
    #[error("cannot use the cache {url}")]
    Remote {
        /// Where the cache is.
        url: String,
        /// Why not.
        source: Box<ObjectError>,
    },
    /// A place that no cache can be in.
    #[error("{url} is neither a folder nor object storage (s3, gs, az), where caches are kept")]
    Place {
        /// What was given.
        url: String,
    },
}

impl Hint for CacheError {
    fn hint(&self) -> Option<String> {
        let make = |path: &Path| {
            let path = path.display();
            format!("(umask 077; head -c 32 /dev/urandom >{path})")
        };
        match self {
            Self::Key { path, .. } | Self::ShortKey { path, .. } => Some(make(path)),
            Self::NoKey { .. } | Self::Place { .. } => Some("--cache none".to_owned()),
            Self::Keyless { .. } => Some("--cache-key-file FILE".to_owned()),
            Self::Remote { source, .. } => source.hint(),
        }
    }
}

/// What an entry is called: a kind and an identifier of lower-case letters, digits, `-` and
/// `.`, which is its file's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    kind: &'static str,
    id: String,
}

impl CacheKey {
    /// `kind` is a word of the program's own; whatever is not allowed in `id` becomes `_`.
    pub fn new(kind: &'static str, id: &str) -> Self {
        let plain = |c: char| match c {
            'a'..='z' | '0'..='9' | '-' | '.' => c,
            _ => '_',
        };
        let id = id.chars().map(plain).collect();
        Self { kind, id }
    }

    /// `KIND/ID`.
    fn text(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

/// See the head of this file.
#[derive(Debug)]
pub struct Cache {
    place: Place,
    key: Key,
    notes: Mutex<Vec<String>>,
}

#[derive(Debug)]
enum Place {
    Folder { folder: PathBuf, limit: u64 },
    Remote(Remote),
}

impl Cache {
    /// A cache in `folder`, which is made when something is put in, of at most `limit` bytes.
    pub fn in_folder(folder: &Path, key: Key, limit: u64) -> Self {
        let folder = folder.to_owned();
        Self::new(Place::Folder { folder, limit }, key)
    }

    /// A cache in object storage, such as `s3://BUCKET/PREFIX`. Nothing is asked for yet.
    pub fn in_storage(url: &str, key: Key, access: &Access) -> Result<Self, CacheError> {
        let url = url.trim_end_matches('/').to_owned();
        if !object::is_cloud(&url) {
            return Err(CacheError::Place { url });
        }
        match object::open(&url, access) {
            Ok(objects) => Ok(Self::new(Place::Remote(Remote::new(url, objects)), key)),
            Err(source) => Err(CacheError::Remote {
                url,
                source: Box::new(source),
            }),
        }
    }

    fn new(place: Place, key: Key) -> Self {
        Self {
            place,
            key,
            notes: Mutex::default(),
        }
    }

    /// An entry, if it is there and genuine. What lies in its place and is not is removed.
    pub fn get(&self, name: &CacheKey) -> Option<Entry> {
        let text = name.text();
        let found = match &self.place {
            Place::Folder { folder, .. } => entry::open(&folder.join(&text), &text, &self.key),
            Place::Remote(remote) => match remote.fetch(&text) {
                Ok(Some(file)) => entry::of(file, &text, &self.key),
                Ok(None) => Err(Damaged::Missing),
                Err(why) => {
                    self.unread(remote, &why);
                    return None;
                }
            },
        };
        match found {
            Ok(found) => {
                folder::touch(&found);
                Some(found)
            }
            Err(Damaged::Missing) => None,
            Err(error) => {
                self.discard(name, &error);
                None
            }
        }
    }

    /// Keeps an entry. The bytes of `parts` must be those that their digests are of.
    pub fn put(&self, name: &CacheKey, head: &[u8], parts: &[Part<'_>]) {
        let text = name.text();
        let write = |file: &mut std::fs::File| entry::write(file, &text, &self.key, head, parts);
        let kept = match &self.place {
            Place::Folder { folder, limit } => folder::put(&folder.join(&text), write)
                .and_then(|()| folder::trim(folder, *limit))
                .map_err(|error| error.to_string()),
            Place::Remote(remote) => remote.put(&text, write),
        };
        if let Err(error) = kept {
            let shown = self.shown();
            self.note(format!(
                "nothing more is kept in the cache {shown}: {error}"
            ));
        }
    }

    /// Takes an entry away whose parts turned out not to be what its head says.
    pub fn discard(&self, name: &CacheKey, why: &Damaged) {
        let text = name.text();
        let shown = format!("{}/{text}", self.shown());
        self.note(format!("{shown} in the cache was not used: {why}"));
        let removed = match &self.place {
            Place::Folder { folder, .. } => {
                folder::remove(&folder.join(&text)).map_err(|error| error.to_string())
            }
            Place::Remote(remote) => remote.remove(&text),
        };
        if let Err(error) = removed {
            self.note(format!("{shown} cannot be removed: {error}"));
        }
    }

    /// What went wrong up to now, each thing once.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *notes)
    }

    fn unread(&self, remote: &Remote, why: &str) {
        let url = remote.url();
        self.note(format!("the cache {url} is not used: {why}"));
    }

    fn note(&self, text: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    fn shown(&self) -> String {
        match &self.place {
            Place::Folder { folder, .. } => folder.display().to_string(),
            Place::Remote(remote) => remote.url().to_owned(),
        }
    }
}
