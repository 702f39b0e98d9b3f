//! The operating system: whole files or none, locks, syncing.
//!
//! Every change of a name goes through here. A file appears whole under its name or not
//! at all: it is written under a temporary name in the same folder (`.NAME.fleetpack-XXXXXX`),
//! synced, renamed, and the folder is synced; what a killed process left of such files goes when
//! the next one is begun beside it. Many files that one name will make visible
//! together are written in a folder of their own and synced in one go ([`sync_files`]). Each
//! of these goes through [`step`], where tests make it fail, on whatever thread it is done
//! ([`following`]); so do most writes into files that get no name, which a kill cannot leave. What
//! is cleared away in passing (left temporary files, a cache's old entries) may fail unheard.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

/// What is about to be done to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// See whether a file is there.
    Look,
    /// Create a temporary file or a directory.
    Create,
    /// Write into a temporary file.
    Write,
    /// Sync a file's contents.
    SyncFile,
    /// Give a file its final name.
    Rename,
    /// Sync a folder.
    SyncFolder,
    /// Delete a file.
    Remove,
}

type Hook = Box<dyn FnMut(Step, &Path) -> io::Result<()> + Send>;
type Shared = Option<Arc<Mutex<Hook>>>;

thread_local! {
    static HOOK: RefCell<Shared> = const { RefCell::new(None) };
}

/// Installs a hook for this thread, and those that it starts with [`following`], that sees
/// every step before it is done and may make it fail; `None` takes it away. For tests.
pub fn set_hook(hook: Option<Hook>) {
    install(hook.map(|hook| Arc::new(Mutex::new(hook))));
}

fn install(hook: Shared) {
    HOOK.with(|slot| *slot.borrow_mut() = hook);
}

fn installed() -> Shared {
    HOOK.with(|slot| slot.borrow().clone())
}

/// Work for another thread, where this thread's hook goes with it. Every thread that touches
/// files is started with it.
pub fn following<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let hook = installed();
    move || {
        install(hook);
        work()
    }
}

/// Does one step, which the hook sees first; the error of either names the path.
pub fn step<T>(
    step: Step,
    verb: &str,
    path: &Path,
    call: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    announced(step, path, call).map_err(|e| naming(e, verb, path))
}

/// As [`step`], for callers that name the path themselves.
pub fn announced<T>(
    step: Step,
    path: &Path,
    call: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    announce(step, path)?;
    call()
}

fn announce(step: Step, path: &Path) -> io::Result<()> {
    match installed() {
        Some(hook) => hook.lock().unwrap_or_else(|e| e.into_inner())(step, path),
        None => Ok(()),
    }
}

/// A file that gets its name only when it is complete. Dropped without [`AtomicFile::commit`]
/// it vanishes.
pub struct AtomicFile {
    temporary: NamedTempFile,
    target: PathBuf,
    mode: u32,
}

impl AtomicFile {
    /// Begins a file that will be called `target`, with permission bits `mode`. Until it is
    /// committed nobody but its owner can read it.
    pub fn create(target: &Path, mode: u32) -> io::Result<Self> {
        let folder = folder_of(target);
        let temporary = announce(Step::Create, target)
            .and_then(|()| {
                let turn = sweep(folder);
                if let Some(turn) = &turn {
                    // Anybody who may read the folder can hold its lock, for ever: it is not
                    // waited for.
                    let _ = flock(turn, FlockOperation::NonBlockingLockShared);
                }
                own_temporary(target, folder)
            })
            // `tempfile` adds the temporary name, which says nothing to anybody.
            .map_err(|e| naming(e.kind().into(), "create a file in", folder))?;
        Ok(Self {
            temporary,
            target: target.to_owned(),
            mode,
        })
    }

    /// The open file.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// A second handle on the open file.
    pub fn handle(&self) -> io::Result<File> {
        self.temporary
            .as_file()
            .try_clone()
            .map_err(|e| naming(e, "open", &self.target))
    }

    /// Appends what is left of `input`.
    pub fn copy_from(&mut self, input: &mut impl Read) -> io::Result<u64> {
        let file = self.temporary.as_file_mut();
        step(Step::Write, "write", &self.target, || io::copy(input, file))
    }

    /// Syncs the file, gives it its name, syncs the folder.
    pub fn commit(self) -> io::Result<()> {
        self.name(|temporary, target| temporary.persist(target))
    }

    /// As [`Self::commit`], unless there is a file of this name:
    /// [`io::ErrorKind::AlreadyExists`].
    pub fn commit_new(self) -> io::Result<()> {
        self.name(|temporary, target| temporary.persist_noclobber(target))
    }

    fn name(
        self,
        persist: impl FnOnce(NamedTempFile, &Path) -> Result<File, tempfile::PersistError>,
    ) -> io::Result<()> {
        let target = self.target;
        let file = self.temporary.as_file();
        step(Step::SyncFile, "write", &target, || {
            file.set_permissions(std::fs::Permissions::from_mode(self.mode))
                .or_else(unless_unsupported)?;
            file.sync_all()
        })?;
        step(Step::Rename, "write", &target, || {
            persist(self.temporary, &target).map_err(|e| e.error)
        })?;
        sync_folder(folder_of(&target))
    }
}

/// Tries to begin a file before others that sweep the folder win.
const TRIES: usize = 64;

// A new temporary file under a lock, which says that its writer lives. Before it had the lock,
// somebody who sweeps the folder may have taken it for abandoned: then another one is made.
fn own_temporary(target: &Path, folder: &Path) -> io::Result<NamedTempFile> {
    for _ in 0..TRIES {
        let file = tempfile::Builder::new()
            .prefix(&temporary_prefix(target))
            .permissions(std::fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        // Where there are no locks, nobody sweeps.
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let swept =
            locked == Err(rustix::io::Errno::WOULDBLOCK) || file.as_file().metadata()?.nlink() == 0;
        if !swept {
            return Ok(file);
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

// Deletes the temporary files that killed processes left in `folder`: nobody holds their lock.
// While others begin files there, and hold the folder's lock, it is left to another time.
// Answers the open folder.
fn sweep(folder: &Path) -> Option<File> {
    let open = File::open(folder).ok()?;
    if flock(&open, FlockOperation::NonBlockingLockExclusive).is_ok() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if !is_temporary(&entry.file_name().to_string_lossy()) {
                continue;
            }
            // Locked until it is gone: a writer who comes to its lock meanwhile makes another.
            if let Ok(file) = open_now(&path)
                && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
    Some(open)
}

/// Whether a file of this name is a temporary one of [`AtomicFile`].
fn is_temporary(name: &str) -> bool {
    let random = name.rsplit_once(".fleetpack-").map(|(_, random)| random);
    name.starts_with('.') && random.is_some_and(|random| random.len() == 6)
}

/// Writes a whole file under a temporary name and renames it.
pub fn write_atomic(target: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = AtomicFile::create(target, mode)?;
    step(Step::Write, "write", target, || {
        file.file().write_all(bytes)
    })?;
    file.commit()
}

/// Syncs a folder, so that names in it survive a power loss.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    step(Step::SyncFolder, "sync", folder, || {
        File::open(folder)?.sync_all().or_else(unless_unsupported)
    })
}

/// Beyond this many files or folders the whole file system is synced instead of each.
const ONE_BY_ONE: usize = 64;
/// Threads that sync: they wait for the disk, which takes several requests at once.
const SYNCERS: usize = 8;

/// Begins a file under its own name, for a folder that nobody else reads: what is in it counts
/// only once it was synced ([`sync_files`]) and something else names it.
pub fn create_unsynced(path: &Path, mode: u32) -> io::Result<File> {
    step(Step::Create, "create", path, || {
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(mode)
            .open(path)
    })
}

/// Syncs the contents of all these files, several at once.
pub fn sync_files(files: &[PathBuf]) -> io::Result<()> {
    for_all(files, |path| {
        let file = File::open(path).map_err(|e| naming(e, "open", path))?;
        sync_file(path, &file)
    })
}

/// Syncs the contents of an open file that was called `path`.
pub fn sync_file(path: &Path, file: &File) -> io::Result<()> {
    step(Step::SyncFile, "write", path, || file.sync_all())
}

/// Syncs these folders, several at once.
pub fn sync_folders(folders: &BTreeSet<PathBuf>) -> io::Result<()> {
    let folders: Vec<PathBuf> = folders.iter().cloned().collect();
    for_all(&folders, sync_folder)
}

fn for_all(
    paths: &[PathBuf],
    sync: impl Fn(&Path) -> io::Result<()> + Send + Sync,
) -> io::Result<()> {
    match paths {
        [] => Ok(()),
        [only] => sync(only),
        [first, ..] if paths.len() > ONE_BY_ONE => {
            announce(Step::SyncFile, first).map_err(|e| naming(e, "sync", first))?;
            sync_disks(paths)
        }
        _ => std::thread::scope(|scope| {
            let share = paths.len().div_ceil(SYNCERS);
            let all = |paths: &[PathBuf]| paths.iter().try_for_each(|path| sync(path));
            let threads: Vec<_> = paths
                .chunks(share)
                .map(|share| scope.spawn(following(move || all(share))))
                .collect();
            let results = threads.into_iter().map(joined);
            // All are awaited before the first error counts.
            results.collect::<Vec<_>>().into_iter().collect()
        }),
    }
}

// Each file system that these lie on, as a whole.
fn sync_disks(paths: &[PathBuf]) -> io::Result<()> {
    let mut synced = BTreeSet::new();
    for path in paths {
        let file = File::open(path).map_err(|e| naming(e, "open", path))?;
        let metadata = file.metadata().map_err(|e| naming(e, "read", path))?;
        if synced.insert(metadata.dev()) {
            rustix::fs::syncfs(file).map_err(|e| naming(e.into(), "sync the disk of", path))?;
        }
    }
    Ok(())
}

/// What a thread gave back; its panic goes on here.
pub fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Gives an unsynced file below `to` the content of `from`: shared blocks where the disk can
/// (Btrfs, XFS, …), else copied by the kernel.
pub fn copy_unsynced(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let mut input = File::open(from).map_err(|e| naming(e, "open", from))?;
    let mut output = create_unsynced(to, mode)?;
    step(Step::Write, "write", to, || {
        if rustix::fs::ioctl_ficlone(&output, &input).is_ok() {
            return Ok(());
        }
        // Between files this is `copy_file_range`.
        io::copy(&mut input, &mut output).map(drop)
    })
}

/// Appends `len` bytes of `from` from offset `at` on, by `copy_file_range` where the system has
/// it, else by `sendfile`. A source that ends early is [`io::ErrorKind::UnexpectedEof`]. The
/// source's own position is neither used nor moved: several threads may copy out of one file.
pub fn append_range(to: &File, from: &File, at: u64, len: u64) -> io::Result<()> {
    let (mut at, mut left) = (at, len);
    let by_range = |at: &mut u64, step| rustix::fs::copy_file_range(from, Some(at), to, None, step);
    // Between disks of different kinds.
    let by_sending = |at: &mut u64, step| rustix::fs::sendfile(to, from, Some(at), step);
    if by_kernel(&mut at, &mut left, by_range)? || by_kernel(&mut at, &mut left, by_sending)? {
        return Ok(());
    }
    by_reading(to, from, at, left)
}

/// Copies what is left as `copy` does, which moves the offset; `false` when it cannot.
fn by_kernel(
    at: &mut u64,
    left: &mut u64,
    copy: impl Fn(&mut u64, usize) -> rustix::io::Result<usize>,
) -> io::Result<bool> {
    while *left > 0 {
        let step = usize::try_from((*left).min(1 << 30)).unwrap_or(1 << 30);
        match copy(at, step) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(copied) => *left -= copied as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

fn by_reading(mut to: &File, from: &File, at: u64, len: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    while done < len {
        let step = usize::try_from(len - done).map_or(buffer.len(), |left| left.min(buffer.len()));
        from.read_exact_at(&mut buffer[..step], at + done)?;
        to.write_all(&buffer[..step])?;
        done += step as u64;
    }
    Ok(())
}

/// Gives a file a second name on the same disk.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    step(Step::Create, "link", to, || std::fs::hard_link(from, to))
}

/// Makes a directory and its missing parents, with permission bits `mode` for the new ones, and
/// syncs the folders that they appear in.
pub fn create_folders(path: &Path, mode: u32) -> io::Result<()> {
    let there = |folder: &Path| folder.as_os_str().is_empty() || folder.is_dir();
    let missing = path.ancestors().take_while(|folder| !there(folder));
    let missing: Vec<&Path> = missing.collect();
    create_folders_unsynced(path, mode)?;
    let mut outermost_first = missing.iter().rev();
    outermost_first.try_for_each(|folder| sync_folder(folder_of(folder)))
}

/// As [`create_folders`], for folders that need not survive a power loss, or that the caller
/// syncs.
pub fn create_folders_unsynced(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        return Ok(());
    }
    step(Step::Create, "create", path, || {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
    })
}

/// Gives a file or folder another name, also over a file that is there, and syncs the folder
/// it comes into. A file is copied when the two names lie on different disks.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    rename_unsynced(from, to)?;
    sync_folder(folder_of(to))
}

/// As [`rename`]; the caller syncs the folder, with others.
pub fn rename_unsynced(from: &Path, to: &Path) -> io::Result<()> {
    match step(Step::Rename, "write", to, || std::fs::rename(from, to)) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices && from.is_file() => {
            let mut input = File::open(from).map_err(|e| naming(e, "open", from))?;
            let mut copy = AtomicFile::create(to, 0o644)?;
            copy.copy_from(&mut input)?;
            copy.commit()?;
            remove(from)
        }
        renamed => renamed,
    }
}

/// Deletes a file; one that is not there is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    step(Step::Remove, "delete", path, || {
        unless_gone(std::fs::remove_file(path))
    })
}

/// Deletes a folder with all that is in it; one that is not there is no error.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    // Without anything to delete there is no step.
    match path.symlink_metadata() {
        Err(e) if is_absence(&e) => return Ok(()),
        found => found.map_err(|e| naming(e, "delete", path))?,
    };
    step(Step::Remove, "delete", path, || {
        unless_gone(std::fs::remove_dir_all(path))
    })
}

/// Deletes a folder if it is empty; whether it went.
pub fn remove_empty_folder(path: &Path) -> bool {
    step(Step::Remove, "delete", path, || std::fs::remove_dir(path)).is_ok()
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Whether there is something under this name. Where the system does not say, that is an error
/// and no "no": what is only out of reach must not be taken for gone.
pub fn exists(path: &Path) -> io::Result<bool> {
    step(Step::Look, "look for", path, || match path.metadata() {
        Err(e) if is_absence(&e) => Ok(false),
        found => found.map(|_| true),
    })
}

/// Whether this error says that there is no such file, which it also says of one below a file.
pub fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Room for what comes through a pipe, whose length nobody knows.
const ROOM: u64 = 16 << 10;

/// Reads a whole file of at most `limit` bytes; `None` when there is none. A larger one is
/// [`io::ErrorKind::FileTooLarge`]. It may be a pipe, and is waited for: documents that lie in
/// folders are read by [`read_document`].
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    read_opened(path, limit, File::open(path))
}

/// As [`read_limited`], of a regular file: to open a pipe that nobody writes to would wait for
/// ever, and a lock may be held meanwhile.
pub fn read_document(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let opened = open_now(path);
    if let Ok(file) = &opened {
        let kind = file.metadata().map_err(|e| naming(e, "read", path))?;
        if !kind.is_file() && !kind.is_dir() {
            let other = format!("{} is not a regular file", path.display());
            return Err(io::Error::other(other));
        }
    }
    read_opened(path, limit, opened)
}

// Opens a file for reading, and does not wait for whoever may write to it.
fn open_now(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)
}

fn read_opened(path: &Path, limit: u64, opened: io::Result<File>) -> io::Result<Option<Vec<u8>>> {
    let file = match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| naming(e, "open", path))?,
    };
    // Room from the beginning, as it may be a key: a buffer that grows leaves copies behind.
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let room = length.max(ROOM).min(limit).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| naming(e, "read", path))?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} is larger than {limit} bytes", path.display()),
        )),
        false => Ok(Some(bytes)),
    }
}

/// An exclusive lock on a file, held until it is dropped or its process ends.
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Waits for the lock on `path`, which is made when missing (mode 0600). `waiting` is
    /// called once when somebody else holds it.
    pub fn acquire(path: &Path, waiting: impl FnOnce()) -> io::Result<Self> {
        let file = step(Step::Create, "open", path, || {
            std::fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(path)
        })?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            loop {
                match flock(&file, FlockOperation::LockExclusive) {
                    Ok(()) => break,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(naming(e.into(), "lock", path)),
                }
            }
        }
        Ok(Self(file))
    }
}

/// Names the path in an operating system's error.
pub fn naming(error: io::Error, verb: &str, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot {verb} {}: {error}", path.display()),
    )
}

/// What temporary files for `target` begin with.
pub fn temporary_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.fleetpack-")
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

// FAT and some network file systems have neither modes nor folder syncs.
pub(crate) fn unless_unsupported(error: io::Error) -> io::Result<()> {
    match error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error)
    {
        Some(
            rustix::io::Errno::PERM
            | rustix::io::Errno::INVAL
            | rustix::io::Errno::NOTSUP
            | rustix::io::Errno::NOSYS,
        ) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;
