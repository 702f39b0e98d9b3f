//! Copies files to add into `.fleetpack/stage/`, and hashes what came there.
//!
//! Copies are made by the kernel (shared blocks where the disk can), further names from the
//! first one, or as hard links where that was asked for. The first copy is then hashed, once,
//! while all of them are on their way to the disk. A source that changes while it is copied is
//! refused. What is done here is on the disk, folders aside, when it is done.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::{RepositoryError, io_error};
use crate::fs::{following, joined};
use crate::steps::{Kind, Told};
use crate::tuf::hashes::{Digests, Hasher};

/// Beyond this many files the disk is synced as a whole, in the end.
const ONE_BY_ONE: usize = 64;
/// Threads that wait for files to reach the disk.
const SYNCERS: usize = 4;

/// How a content gets its second name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copies {
    /// A file of its own, sharing blocks where the disk can.
    #[default]
    Separate,
    /// The same file. go-tuf's tools truncate targets in place, and so all their names.
    HardLinks,
}

impl Copies {
    /// Gives the content of `from` to the new file `to`, unsynced.
    pub(super) fn copy(self, from: &Path, to: &Path) -> Result<(), RepositoryError> {
        let done = match self {
            Self::HardLinks => crate::fs::link(from, to),
            Self::Separate => crate::fs::copy_unsynced(from, to, 0o644),
        };
        done.map_err(io_error(format!("write {}", to.display())))
    }
}

/// The names that a content gets, below the stage.
pub(super) type Names<'a> = Box<dyn Fn(&Digests) -> Vec<String> + Send + Sync + 'a>;

/// One file to stage: a source, and the names below the stage that depend on its digests.
pub(super) struct Job<'a> {
    pub source: &'a Path,
    /// Those of a source that is ours to move: it lies on the same disk, hashed already.
    pub known: Option<&'a Digests>,
    pub names: Names<'a>,
}

/// A source and where its copies lie, relative to the stage.
pub(super) struct Staged {
    pub digests: Digests,
    pub files: Vec<String>,
}

/// Where copies go, and how.
pub(super) struct Stage<'a> {
    pub folder: &'a Path,
    pub copies: Copies,
    /// Set by whoever no longer wants them.
    pub stop: &'a AtomicBool,
}

impl Stage<'_> {
    /// Copies all jobs, several at once; results in their order.
    pub fn copy_all(&self, jobs: &[Job<'_>]) -> Result<Vec<Staged>, RepositoryError> {
        // Checked first, so that a mistake in the last of many costs nothing.
        for job in jobs {
            check_source(job.source)?;
        }
        let (sender, receiver) = channel();
        let receiver = Mutex::new(receiver);
        let (staged, synced) = std::thread::scope(|scope| {
            let syncers: Vec<_> = (0..SYNCERS)
                .map(|_| scope.spawn(following(|| sync_each(&receiver))))
                .collect();
            let staged = side_by_side(jobs, |i, job| self.stage(i, job, &sender));
            drop(sender);
            let synced: Vec<_> = syncers.into_iter().map(joined).collect();
            (staged, synced.into_iter().collect::<io::Result<()>>())
        });
        let staged = staged?;
        synced.map_err(io_error("write the new targets"))?;
        self.sync_many(&staged)?;
        Ok(staged)
    }

    fn sync_many(&self, staged: &[Staged]) -> Result<(), RepositoryError> {
        let files = staged.iter().filter(|one| one.files.len() > ONE_BY_ONE);
        let files = files.flat_map(|one| &one.files);
        let files: Vec<_> = files.map(|file| self.folder.join(file)).collect();
        crate::fs::sync_files(&files).map_err(io_error("write the new targets"))
    }

    fn stage(
        &self,
        number: usize,
        job: &Job<'_>,
        written: &Sender<Written>,
    ) -> Result<Staged, RepositoryError> {
        // What they are called may depend on the digests, how many they are does not.
        let count = (job.names)(&Digests::of(b"")).len();
        let part = |copy: usize| self.folder.join(format!("source-{number}-{copy}"));
        let first = part(0);
        match job.known {
            Some(_) => crate::fs::rename_unsynced(job.source, &first)
                .map_err(io_error(format!("write {}", first.display())))?,
            None => copy_unchanging(job.source, &first)?,
        }
        let hand_over = |path: &Path| match count <= ONE_BY_ONE {
            true => send(path, written),
            false => Ok(()),
        };
        hand_over(&first)?;
        for copy in 1..count {
            self.check_stop()?;
            self.copies.copy(&first, &part(copy))?;
            hand_over(&part(copy))?;
        }
        let digests = match job.known {
            Some(known) => known.clone(),
            None => self.hash(&first, job.source)?,
        };
        let files = (job.names)(&digests);
        for (copy, name) in files.iter().enumerate() {
            let path = self.folder.join(name);
            make_parents_unsynced(&path)?;
            crate::fs::rename_unsynced(&part(copy), &path)
                .map_err(io_error(format!("write {}", path.display())))?;
        }
        Ok(Staged { digests, files })
    }

    // `source` is what people know the file by.
    fn hash(&self, path: &Path, source: &Path) -> Result<Digests, RepositoryError> {
        let reading = || io_error(format!("read {}", path.display()));
        let input = File::open(path).map_err(reading())?;
        let mut input = told(input, source).map_err(reading())?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            self.check_stop()?;
            match input.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(reading()(e)),
            }
        }
    }

    fn check_stop(&self) -> Result<(), RepositoryError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(RepositoryError::Stopped),
            false => Ok(()),
        }
    }
}

fn copy_unchanging(source: &Path, to: &Path) -> Result<(), RepositoryError> {
    let before = check_source(source)?;
    let copied = crate::fs::copy_unsynced(source, to, 0o644).and_then(|()| to.metadata());
    let copied = copied.map_err(io_error(format!(
        "copy {} into the repository",
        source.display()
    )))?;
    // By name: a file renamed over the old one is another file.
    let after = check_source(source)?;
    let identity = |m: &Metadata| (m.ino(), m.len(), m.mtime(), m.mtime_nsec());
    match identity(&before) == identity(&after) && copied.len() == before.len() {
        true => Ok(()),
        false => refuse(source, "it changed while it was read"),
    }
}

// A file on its way to the disk; the name is for errors, it may have another by then.
type Written = (PathBuf, File);

fn send(path: &Path, written: &Sender<Written>) -> Result<(), RepositoryError> {
    let file = File::open(path).map_err(io_error(format!("read {}", path.display())))?;
    // Nobody listens only after an error, which is reported.
    let _ = written.send((path.to_owned(), file));
    Ok(())
}

/// Does `work` on each item, several at once; results in their order, or the first error.
pub(super) fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(usize, &T) -> Result<R, RepositoryError> + Sync,
) -> Result<Vec<R>, RepositoryError> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else {
                return done;
            };
            let result = work(i, item);
            if result.is_err() {
                // Nothing further is begun.
                next.store(items.len(), Ordering::Relaxed);
            }
            done.push((i, result));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others = 1..threads.min(items.len());
        let others: Vec<_> = others.map(|_| scope.spawn(following(run))).collect();
        let mut done = run();
        done.extend(others.into_iter().flat_map(joined));
        done
    });
    done.sort_unstable_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Digests of files as they lie there, several at once.
pub(super) fn hash_all(paths: &[PathBuf]) -> Result<Vec<Digests>, RepositoryError> {
    side_by_side(paths, |_, path| {
        let digests = File::open(path)
            .and_then(|file| told(file, path))
            .and_then(|mut file| Digests::read(&mut file));
        digests.map_err(io_error(format!("read {}", path.display())))
    })
}

fn told(file: File, path: &Path) -> io::Result<Told<File>> {
    let length = file.metadata()?.len();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Told::new(file, Kind::Hash, &name, Some(length)))
}

fn sync_each(written: &Mutex<Receiver<Written>>) -> io::Result<()> {
    loop {
        // The lock is held while waiting: whoever has it takes the next one.
        let next = lock(written).recv();
        let Ok((path, file)) = next else {
            return Ok(());
        };
        crate::fs::sync_file(&path, &file)?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse<T>(path: &Path, reason: &'static str) -> Result<T, RepositoryError> {
    Err(RepositoryError::Source {
        path: path.to_owned(),
        reason,
    })
}

fn check_source(path: &Path) -> Result<Metadata, RepositoryError> {
    let metadata = match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return refuse(path, "it does not exist"),
        metadata => metadata.map_err(io_error(format!("read {}", path.display())))?,
    };
    if metadata.is_dir() {
        return refuse(path, "it is a directory");
    }
    if !metadata.is_file() {
        return refuse(path, "it is not a regular file");
    }
    if metadata.len() == 0 {
        return refuse(path, "it is empty");
    }
    Ok(metadata)
}

/// Makes the folder that a file will lie in.
pub(super) fn make_parents(path: &Path) -> Result<(), RepositoryError> {
    let folder = path.parent().unwrap_or(path);
    crate::fs::create_folders(folder, 0o755).map_err(io_error(format!("make {}", folder.display())))
}

/// As [`make_parents`], where the commit syncs the folders.
pub(super) fn make_parents_unsynced(path: &Path) -> Result<(), RepositoryError> {
    let folder = path.parent().unwrap_or(path);
    crate::fs::create_folders_unsynced(folder, 0o755)
        .map_err(io_error(format!("make {}", folder.display())))
}
