//! A store with some files of its own before those of another.
//!
//! What is named here comes from memory, or does not exist; everything else comes from below.
//! With it a repository is seen as it was when some metadata were its newest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;

use super::{Blob, Store, StoreError};

/// See the head of this file.
pub struct Overlay {
    below: Box<dyn Store>,
    files: BTreeMap<String, Option<Vec<u8>>>,
}

impl Overlay {
    /// `files` before those of `below`; `None` is a file that does not exist.
    pub fn new(below: Box<dyn Store>, files: BTreeMap<String, Option<Vec<u8>>>) -> Self {
        Self { below, files }
    }
}

impl Store for Overlay {
    fn describe(&self) -> String {
        self.below.describe()
    }

    fn open(&self, name: &str, offset: u64) -> Result<Blob, StoreError> {
        match self.files.get(name) {
            None => self.below.open(name, offset),
            Some(None) => Err(StoreError::NotFound(name.to_owned())),
            Some(Some(bytes)) => Ok(Blob {
                len: Some(bytes.len() as u64),
                offset: 0,
                body: Box::new(Cursor::new(bytes.clone())),
            }),
        }
    }

    fn open_in_place(&self, name: &str) -> Result<Option<File>, StoreError> {
        match self.files.contains_key(name) {
            true => Ok(None),
            false => self.below.open_in_place(name),
        }
    }

    fn open_quoted(&self, quoted: &str) -> Result<Blob, StoreError> {
        match self.files.contains_key(quoted) {
            true => self.open(quoted, 0),
            false => self.below.open_quoted(quoted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::store::Disk;

    #[test]
    fn files_of_its_own_come_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["own", "gone", "below"] {
            std::fs::write(folder.path().join(name), "below").unwrap();
        }
        let below = Box::new(Disk::new(folder.path().to_owned()).unwrap());
        let files = [("own", Some(b"own".to_vec())), ("gone", None)];
        let files = files.map(|(name, file)| (name.to_owned(), file));
        let store = Overlay::new(below, files.into());
        for (name, expected) in [
            ("own", Some("own")),
            ("gone", None),
            ("below", Some("below")),
        ] {
            let text = store.open(name, 0).ok().map(|mut blob| {
                let mut text = String::new();
                blob.body.read_to_string(&mut text).unwrap();
                text
            });
            assert_eq!(text.as_deref(), expected, "{name}");
            let in_place = store.open_in_place(name).unwrap().is_some();
            assert_eq!(in_place, name == "below");
        }
    }
}
