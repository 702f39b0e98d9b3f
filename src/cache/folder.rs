//! The cache's folder: entries appear by renaming, the longest unused go first.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Entry;
use crate::fs::{Step, announced, create_folders_unsynced};

/// How a file is called until it is whole.
const UNFINISHED: &str = ".new-";
/// An unfinished file that is older was left by a run that broke off.
const STALE: Duration = Duration::from_secs(3600);

/// Marks an entry as used. A cache that cannot be written into goes without.
pub(super) fn touch(entry: &Entry) {
    let now = FileTimes::new().set_modified(SystemTime::now());
    let _ = entry.file().set_times(now);
}

/// Writes a file and puts it at `path`, in the place of whatever is there.
pub(super) fn put(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folders_unsynced(folder, 0o755)?;
    let mut file = announced(Step::Create, path, || {
        tempfile::Builder::new()
            .prefix(UNFINISHED)
            // Users who share a key share a folder.
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)
    })?;
    announced(Step::Write, path, || write(file.as_file_mut()))?;
    announced(Step::Rename, path, || match file.persist(path) {
        Ok(_) => Ok(()),
        Err(error) if path.is_dir() => {
            remove(path)?;
            error.file.persist(path).map(drop).map_err(|e| e.error)
        }
        Err(error) => Err(error.error),
    })
}

/// Removes whatever is at `path`; a link is not followed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

struct Found {
    used: SystemTime,
    len: u64,
    path: PathBuf,
}

/// Removes the longest unused entries until no more than `limit` bytes are left.
pub(super) fn trim(folder: &Path, limit: u64) -> io::Result<()> {
    let now = SystemTime::now();
    let mut found = Vec::new();
    for kind in fs::read_dir(folder)? {
        let kind = kind?.path();
        if kind.is_dir() {
            list(&kind, now, &mut found)?;
        }
    }
    let mut total: u64 = found.iter().map(|file| file.len).sum();
    found.sort_by_key(|file| file.used);
    for file in found {
        if total <= limit {
            break;
        }
        remove(&file.path)?;
        total -= file.len;
    }
    Ok(())
}

fn list(kind: &Path, now: SystemTime, found: &mut Vec<Found>) -> io::Result<()> {
    for file in fs::read_dir(kind)? {
        let file = file?;
        // Another run may have taken it away.
        let Ok(metadata) = file.metadata() else {
            continue;
        };
        let used = metadata.modified()?;
        let unfinished = file.file_name().to_string_lossy().starts_with(UNFINISHED);
        let is_stale = now.duration_since(used).is_ok_and(|age| age > STALE);
        match unfinished {
            true if is_stale => remove(&file.path())?,
            true => {}
            false => found.push(Found {
                used,
                len: metadata.len(),
                path: file.path(),
            }),
        }
    }
    Ok(())
}
