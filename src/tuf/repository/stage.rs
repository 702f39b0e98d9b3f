//! Copies files to add into `.fleetpack/stage/`, hashing them in the same pass.
//!
//! Each source is read once; a second name gets a copy made by the kernel (shared blocks where
//! the disk can). A source that changes while it is read is refused.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{RepositoryError, io_error};
use crate::fs::AtomicFile;
use crate::tuf::hashes::{Digests, Hasher};

/// The names that a content gets, below the stage.
pub(super) type Names<'a> = Box<dyn Fn(&Digests) -> Vec<String> + Send + Sync + 'a>;

/// One file to copy: a source, and the names below the stage that depend on its digests.
pub(super) struct Job<'a> {
    pub source: &'a Path,
    pub names: Names<'a>,
}

/// A source and where its copies lie, relative to the stage.
pub(super) struct Staged {
    pub digests: Digests,
    pub files: Vec<String>,
}

/// Copies all jobs, several at once; results in their order.
pub(super) fn copy_all(stage: &Path, jobs: &[Job<'_>]) -> Result<Vec<Staged>, RepositoryError> {
    // Checked first, so that a mistake in the last of many costs nothing.
    for job in jobs {
        check_source(job.source)?;
    }
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let queue = Mutex::new(jobs.iter().enumerate());
    let done = Mutex::new((0..jobs.len()).map(|_| None).collect::<Vec<_>>());
    let work = || {
        loop {
            let next = lock(&queue).next();
            let Some((i, job)) = next else { return };
            let staged = copy(stage, i, job);
            if staged.is_err() {
                // Nothing further is begun.
                while lock(&queue).next().is_some() {}
            }
            if let Some(slot) = lock(&done).get_mut(i) {
                *slot = Some(staged);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(work);
        }
        work();
    });
    let done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.into_iter().flatten().collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
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

fn copy(stage: &Path, number: usize, job: &Job<'_>) -> Result<Staged, RepositoryError> {
    let before = check_source(job.source)?;
    let temporary = stage.join(format!("source-{number}"));
    let digests = copy_hashing(job.source, &temporary)?;
    // By name: a file renamed over the old one is another file.
    let after = check_source(job.source)?;
    let identity = |m: &Metadata| (m.ino(), m.len(), m.mtime(), m.mtime_nsec());
    if identity(&before) != identity(&after) || digests.length != before.len() {
        return refuse(job.source, "it changed while it was read");
    }
    let files = (job.names)(&digests);
    for (i, name) in files.iter().enumerate() {
        let path = stage.join(name);
        make_parents(&path)?;
        // The last name takes the copy itself.
        match i + 1 == files.len() {
            true => crate::fs::rename(&temporary, &path)
                .map_err(io_error(format!("write {}", path.display())))?,
            false => copy_plain(&temporary, &path)?,
        }
    }
    Ok(Staged { digests, files })
}

pub(super) fn make_parents(path: &Path) -> Result<(), RepositoryError> {
    let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    crate::fs::create_folders(&folder, 0o755)
        .map_err(io_error(format!("make {}", folder.display())))
}

fn copy_hashing(source: &Path, target: &Path) -> Result<Digests, RepositoryError> {
    let reading = || format!("read {}", source.display());
    let writing = || format!("copy {} into the repository", source.display());
    let mut input = File::open(source).map_err(io_error(reading()))?;
    let mut output = AtomicFile::create(target, 0o644).map_err(io_error(writing()))?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(io_error(reading())(e)),
        };
        hasher.update(&buffer[..n]);
        output
            .file()
            .write_all(&buffer[..n])
            .map_err(io_error(writing()))?;
    }
    output.commit().map_err(io_error(writing()))?;
    Ok(hasher.finish())
}

pub(super) fn copy_plain(source: &Path, target: &Path) -> Result<(), RepositoryError> {
    let copied = File::open(source).and_then(|mut input| {
        let mut output = AtomicFile::create(target, 0o644)?;
        // `io::copy` between files is `copy_file_range`.
        io::copy(&mut input, output.file())?;
        output.commit()
    });
    copied.map_err(io_error(format!("write {}", target.display())))
}
