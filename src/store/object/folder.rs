//! A folder to publish to: what a web server on this machine or a mounted disk serves.
//!
//! Writes appear whole. Conditions hold between fleetpack's processes on this machine: they
//! are checked under a lock, against the SHA-256 of what is there.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest;

use super::{Condition, Headers, Listed, ObjectError, Objects, Version};
use crate::fs::Lock;
use crate::steps::{self, Kind};
use crate::store::{Blob, Disk, Store, StoreError, is_inside};

/// Largest document that is compared before it is written over.
const LIMIT: u64 = 64 << 20;

/// A folder.
pub struct Folder {
    root: PathBuf,
    disk: Disk,
}

impl Folder {
    /// The folder `root`, which is made when it is missing.
    pub fn new(root: &Path) -> Result<Self, ObjectError> {
        let failed = |source: io::Error| ObjectError::Io {
            what: "make",
            path: root.to_owned(),
            source,
        };
        crate::fs::create_folders(root, 0o755).map_err(failed)?;
        let disk = Disk::new(root.to_owned()).map_err(|e| failed(io::Error::other(e)))?;
        Ok(Self {
            root: root.to_owned(),
            disk,
        })
    }

    fn path(&self, name: &str) -> Result<PathBuf, ObjectError> {
        match is_inside(name) {
            true => Ok(self.root.join(name)),
            false => Err(ObjectError::Place(name.to_owned())),
        }
    }

    fn make_parent(&self, path: &Path) -> Result<(), ObjectError> {
        let folder = path.parent().unwrap_or(&self.root);
        crate::fs::create_folders(folder, 0o755).map_err(failed("make", folder))
    }

    fn write_from(&self, source: &Path, name: &str) -> Result<(), ObjectError> {
        let target = self.path(name)?;
        self.make_parent(&target)?;
        let mut input = std::fs::File::open(source).map_err(failed("read", source))?;
        let copied = crate::fs::AtomicFile::create(&target, 0o644).and_then(|mut output| {
            output.copy_from(&mut input)?;
            output.commit()
        });
        copied.map_err(failed("write", &target))
    }
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ObjectError + 'a {
    move |source| ObjectError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

fn version(bytes: &[u8]) -> Version {
    Version {
        etag: Some(hex::encode(digest::digest(&digest::SHA256, bytes))),
        generation: None,
    }
}

impl Store for Folder {
    fn describe(&self) -> String {
        self.disk.describe()
    }

    fn open(&self, name: &str, offset: u64) -> Result<Blob, StoreError> {
        self.disk.open(name, offset)
    }

    fn open_in_place(&self, name: &str) -> Result<Option<std::fs::File>, StoreError> {
        self.disk.open_in_place(name)
    }
}

impl Objects for Folder {
    fn get(&self, name: &str, limit: u64) -> Result<Option<(Vec<u8>, Version)>, ObjectError> {
        let path = self.path(name)?;
        let bytes = crate::fs::read_document(&path, limit).map_err(failed("read", &path))?;
        Ok(bytes.map(|bytes| {
            let version = version(&bytes);
            (bytes, version)
        }))
    }

    fn put(
        &self,
        name: &str,
        bytes: &[u8],
        _headers: Headers,
        condition: &Condition,
    ) -> Result<Version, ObjectError> {
        let path = self.path(name)?;
        self.make_parent(&path)?;
        let lock = self.root.join(".fleetpack");
        crate::fs::create_folders(&lock, 0o755).map_err(failed("make", &lock))?;
        let lock = lock.join("write-lock");
        let _lock = Lock::acquire(&lock, || ()).map_err(failed("lock", &lock))?;
        let there = match condition {
            Condition::Always => None,
            _ => self.get(name, LIMIT)?.map(|(_, version)| version),
        };
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => there.is_none(),
            Condition::Unchanged(version) => there.as_ref() == Some(version),
        };
        if !holds {
            return Err(ObjectError::Lost {
                place: self.describe(),
                name: name.to_owned(),
            });
        }
        crate::fs::write_atomic(&path, bytes, 0o644).map_err(failed("write", &path))?;
        Ok(version(bytes))
    }

    fn upload(&self, name: &str, file: &Path, _headers: Headers) -> Result<(), ObjectError> {
        let len = std::fs::metadata(file).map_err(failed("read", file))?.len();
        let step = steps::begin(Kind::Upload, name, Some(len));
        self.write_from(file, name)?;
        step.advance(len);
        Ok(())
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), ObjectError> {
        let source = self.path(from)?;
        match source.exists() {
            true => self.write_from(&source, to),
            false => Err(ObjectError::NotFound {
                place: self.describe(),
                name: from.to_owned(),
            }),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, ObjectError> {
        let start = match folder {
            "" => self.root.clone(),
            folder => self.path(folder)?,
        };
        let mut found = Vec::new();
        collect(&self.root, &start, &mut found).map_err(failed("read", &start))?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn modified(&self, name: &str) -> Result<Option<SystemTime>, ObjectError> {
        let path = self.path(name)?;
        match std::fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            time => time.map(Some).map_err(failed("read", &path)),
        }
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let path = self.path(name)?;
        crate::fs::remove(&path).map_err(failed("delete", &path))?;
        // Object storage has no folders: an empty one is nothing.
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|folder| *folder != self.root) {
            if !crate::fs::remove_empty_folder(empty) {
                break;
            }
            folder = empty.parent();
        }
        Ok(())
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Listed>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(root, &path, found)?;
            continue;
        }
        let metadata = entry.metadata()?;
        let name = path.strip_prefix(root).ok().and_then(Path::to_str);
        if let Some(name) = name.filter(|_| metadata.is_file()) {
            found.push(Listed {
                name: name.to_owned(),
                len: metadata.len(),
                modified: metadata.modified()?,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: Headers = Headers {
        content_type: "application/json",
        cache_control: "no-cache",
    };

    #[test]
    fn conditions_hold() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(&scratch.path().join("a/b")).unwrap();
        let put =
            |bytes: &[u8], condition: &Condition| folder.put("x/y", bytes, HEADERS, condition);
        let first = put(b"1", &Condition::Absent).unwrap();
        assert!(matches!(
            put(b"2", &Condition::Absent),
            Err(ObjectError::Lost { .. })
        ));
        let second = put(b"2", &Condition::Unchanged(first.clone())).unwrap();
        assert!(matches!(
            put(b"3", &Condition::Unchanged(first)),
            Err(ObjectError::Lost { .. })
        ));
        assert_eq!(folder.get("x/y", 9).unwrap(), Some((b"2".to_vec(), second)));
        folder.copy("x/y", "x/z").unwrap();
        let names: Vec<_> = folder
            .list("x")
            .unwrap()
            .into_iter()
            .map(|l| l.name)
            .collect();
        assert_eq!(names, ["x/y", "x/z"]);
        folder.delete("x/y").unwrap();
        folder.delete("x/z").unwrap();
        assert_eq!(folder.list("x").unwrap(), []);
        assert!(folder.get("../x", 9).is_err());
    }
}
