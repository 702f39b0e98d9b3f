//! Copies files to add into `.fleetpack/stage/`, hashing them in the same pass.
//!
//! Each source is read once; a second name gets a copy made by the kernel (shared blocks where
//! the disk can), or a hard link where that was asked for. A source that changes while it is
//! read is refused. What is done here is on the disk, folders aside, when it is done: files
//! are synced beside the copying of the next ones.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::{RepositoryError, io_error};
use crate::fs::{Step, following, joined};
use crate::tuf::hashes::{Digests, Hasher};

/// Beyond this many files the disk is synced as a whole, in the end.
const ONE_BY_ONE: usize = 64;
/// Threads that wait for files to reach the disk.
const SYNCERS: usize = 2;

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
        written: &Sender<PathBuf>,
    ) -> Result<Staged, RepositoryError> {
        let first = self.folder.join(format!("source-{number}"));
        let digests = match job.known {
            Some(known) => {
                crate::fs::rename_unsynced(job.source, &first)
                    .map_err(io_error(format!("write {}", first.display())))?;
                known.clone()
            }
            None => self.copy_unchanging(job.source, &first)?,
        };
        let files = (job.names)(&digests);
        let one_by_one = files.len() <= ONE_BY_ONE;
        let mut moved: Option<PathBuf> = None;
        for name in &files {
            let path = self.folder.join(name);
            make_parents(&path)?;
            match &moved {
                None => {
                    crate::fs::rename_unsynced(&first, &path)
                        .map_err(io_error(format!("write {}", path.display())))?;
                    moved = Some(path.clone());
                }
                Some(first) => {
                    self.check_stop()?;
                    self.copies.copy(first, &path)?;
                }
            }
            if one_by_one {
                // Nobody listens only after an error, which is reported.
                let _ = written.send(path);
            }
        }
        Ok(Staged { digests, files })
    }

    fn copy_unchanging(&self, source: &Path, to: &Path) -> Result<Digests, RepositoryError> {
        let before = check_source(source)?;
        let digests = self.copy_hashing(source, to)?;
        // By name: a file renamed over the old one is another file.
        let after = check_source(source)?;
        let identity = |m: &Metadata| (m.ino(), m.len(), m.mtime(), m.mtime_nsec());
        match identity(&before) == identity(&after) && digests.length == before.len() {
            true => Ok(digests),
            false => refuse(source, "it changed while it was read"),
        }
    }

    fn check_stop(&self) -> Result<(), RepositoryError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(RepositoryError::Stopped),
            false => Ok(()),
        }
    }

    fn copy_hashing(&self, source: &Path, target: &Path) -> Result<Digests, RepositoryError> {
        let reading = || format!("read {}", source.display());
        let writing = || format!("copy {} into the repository", source.display());
        let mut input = File::open(source).map_err(io_error(reading()))?;
        let mut output = crate::fs::create_unsynced(target, 0o644).map_err(io_error(writing()))?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            self.check_stop()?;
            let n = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(io_error(reading())(e)),
            };
            hasher.update(&buffer[..n]);
            output
                .write_all(&buffer[..n])
                .map_err(io_error(writing()))?;
        }
        crate::fs::step(Step::Write, target).map_err(io_error(writing()))?;
        Ok(hasher.finish())
    }
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
        let digests = File::open(path).and_then(|mut file| Digests::read(&mut file));
        digests.map_err(io_error(format!("read {}", path.display())))
    })
}

fn sync_each(written: &Mutex<Receiver<PathBuf>>) -> io::Result<()> {
    loop {
        // The lock is held while waiting: whoever has it takes the next one.
        let next = lock(written).recv();
        let Ok(path) = next else { return Ok(()) };
        crate::fs::sync_files(&[path])?;
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
    let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    crate::fs::create_folders(&folder, 0o755)
        .map_err(io_error(format!("make {}", folder.display())))
}
