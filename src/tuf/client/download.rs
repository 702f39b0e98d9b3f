//! Downloads targets (TUF 5.7): into an open file, hashed on the way, and resumed where the
//! connection broke off.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp as Instant;

use super::fetch::Attempt;
use super::{Client, ClientError, lock};
use crate::fs;
use crate::steps::{self, Kind, Step, Told};
use crate::store::{Blob, StoreError};
use crate::tuf::hashes::{Digests, HashMismatch, Hasher};
use crate::tuf::metadata::TargetFile;

/// A target to be fetched.
pub struct Job {
    /// Its name.
    pub name: String,
    /// The file it is downloaded into, from its beginning on.
    pub spool: File,
    /// Whether the repository's own file will do where it lies on this machine: for those who
    /// verify once more what they read, as it may change at any time.
    pub in_place: bool,
}

impl Client {
    /// Reads a target from every place where clients look for it, and verifies it there; keeps
    /// nothing.
    pub fn verify(&self, name: &str, target: &TargetFile) -> Result<(), ClientError> {
        for path in target_paths(name, target, self.consistent()) {
            let path = format!("{}{path}", self.options.target_prefix);
            let digests = self.stream(&path, name, target.length, None)?;
            check(name, target, &digests)?;
        }
        match target.hashes.known().next() {
            Some(_) => Ok(()),
            None => Err(ClientError::Target {
                name: name.to_owned(),
                source: HashMismatch::NoneKnown,
            }),
        }
    }

    /// Verifies several targets, on up to `threads` threads, as [`Client::verify`]; `done` is
    /// called for each, in any order.
    pub fn verify_all(
        &self,
        targets: &[(String, TargetFile)],
        threads: NonZeroUsize,
        done: &(dyn Fn(usize, Result<(), ClientError>) + Sync),
    ) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some((name, target)) = targets.get(i) else {
                    return;
                };
                done(i, self.verify(name, target));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.get().min(targets.len()) {
                scope.spawn(crate::fs::following(work));
            }
            work();
        });
    }

    /// Whether a target lies on this machine, where it need not be downloaded.
    pub fn is_here(&self, name: &str) -> Result<bool, ClientError> {
        let target = self.target(name)?;
        let store = self.targets.as_ref().unwrap_or(&self.store);
        let mut paths = target_paths(name, &target, self.consistent()).into_iter();
        Ok(paths.any(|path| {
            let path = format!("{}{path}", self.options.target_prefix);
            matches!(store.open_in_place(&path), Ok(Some(_)))
        }))
    }

    /// The repository's own file on this machine, unread, if it has the length that was signed
    /// and metadata list both hashes: for those who take both of what they read, and compare.
    pub fn unread(&self, name: &str, target: &TargetFile) -> Option<(File, [u8; 32], [u8; 64])> {
        let (mut sha256, mut sha512) = ([0; 32], [0; 64]);
        hex::decode_to_slice(target.hashes.get("sha256")?, &mut sha256).ok()?;
        hex::decode_to_slice(target.hashes.get("sha512")?, &mut sha512).ok()?;
        let store = self.targets.as_ref().unwrap_or(&self.store);
        let paths = target_paths(name, target, self.consistent()).into_iter();
        let mut files = paths.filter_map(|path| {
            let path = format!("{}{path}", self.options.target_prefix);
            store.open_in_place(&path).ok()?
        });
        let file = files.next()?;
        let has_length = file.metadata().ok()?.len() == target.length;
        has_length.then_some((file, sha256, sha512))
    }

    /// Since when a target's file lies where it is published; known on this machine alone.
    pub fn published_at(&self, name: &str, target: &TargetFile) -> Option<Instant> {
        let store = self.targets.as_ref().unwrap_or(&self.store);
        let path = target_paths(name, target, self.consistent())
            .into_iter()
            .next()?;
        let path = format!("{}{path}", self.options.target_prefix);
        let file = store.open_in_place(&path).ok()??;
        file.metadata().ok()?.modified().ok()?.try_into().ok()
    }

    /// Downloads a target into `file`, from its beginning on, and verifies it (TUF 5.7).
    pub fn download(&self, name: &str, file: &mut File) -> Result<Digests, ClientError> {
        let target = self.target(name)?;
        self.download_as(name, &target, file)
    }

    /// Fetches several targets at once, on up to `threads` threads, each into a file with its
    /// digests; the first error counts.
    pub fn download_all(
        &self,
        jobs: Vec<Job>,
        threads: NonZeroUsize,
    ) -> Result<Vec<(File, Digests)>, ClientError> {
        let next = AtomicUsize::new(0);
        let count = jobs.len();
        let jobs = Mutex::new(jobs.into_iter().map(Some).collect::<Vec<_>>());
        let results = Mutex::new((0..count).map(|_| None).collect::<Vec<_>>());
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let job = lock(&jobs).get_mut(i).and_then(Option::take);
                let Some(job) = job else {
                    return;
                };
                let result = self.obtain(job);
                if result.is_err() {
                    // Nothing further is begun.
                    next.store(count, Ordering::Relaxed);
                }
                if let Some(slot) = lock(&results).get_mut(i) {
                    *slot = Some(result);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.get().min(count) {
                scope.spawn(crate::fs::following(work));
            }
            work();
        });
        let results = results.into_inner().unwrap_or_else(|e| e.into_inner());
        let mut obtained = Vec::with_capacity(count);
        let mut failed = None;
        for result in results.into_iter().flatten() {
            match result {
                Ok(done) => obtained.push(done),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(obtained),
        }
    }

    fn obtain(&self, job: Job) -> Result<(File, Digests), ClientError> {
        let mut spool = job.spool;
        if job.in_place
            && let Some(obtained) = self.in_place(&job.name)?
        {
            return Ok(obtained);
        }
        let digests = self.download(&job.name, &mut spool)?;
        Ok((spool, digests))
    }

    // The repository's own file, verified; `None` where it has to be downloaded, or where
    // that will say what is wrong.
    fn in_place(&self, name: &str) -> Result<Option<(File, Digests)>, ClientError> {
        let target = self.target(name)?;
        let store = self.targets.as_ref().unwrap_or(&self.store);
        for path in target_paths(name, &target, self.consistent()) {
            let path = format!("{}{path}", self.options.target_prefix);
            let Ok(Some(file)) = store.open_in_place(&path) else {
                continue;
            };
            // TUF 5.7.2 endless data: one byte more than was signed is enough to know.
            let bytes = (&file).take(target.length.saturating_add(1));
            let mut bytes = Told::new(bytes, Kind::Hash, name, Some(target.length));
            let Ok(digests) = Digests::read(&mut bytes) else {
                return Ok(None);
            };
            let is_right = digests.length == target.length;
            if is_right && target.hashes.verify(&digests).is_ok() {
                return Ok(Some((file, digests)));
            }
            return Ok(None);
        }
        Ok(None)
    }

    fn consistent(&self) -> bool {
        self.trusted
            .as_ref()
            .is_some_and(|trusted| trusted.root().signed.consistent_snapshot)
    }

    fn download_as(
        &self,
        name: &str,
        target: &TargetFile,
        file: &mut File,
    ) -> Result<Digests, ClientError> {
        let mut missing = None;
        for path in target_paths(name, target, self.consistent()) {
            let path = format!("{}{path}", self.options.target_prefix);
            match self.stream(&path, name, target.length, Some(&mut *file)) {
                Err(
                    error @ ClientError::Fetch {
                        source: StoreError::NotFound(_),
                        ..
                    },
                ) => missing = missing.or(Some(error)),
                Err(error) => return Err(error),
                Ok(digests) => {
                    check(name, target, &digests)?;
                    return Ok(digests);
                }
            }
        }
        Err(missing.unwrap_or_else(|| ClientError::Target {
            name: name.to_owned(),
            source: HashMismatch::NoneKnown,
        }))
    }

    // Reads into `file`, or to hash it alone, going on where a connection broke off.
    fn stream(
        &self,
        path: &str,
        name: &str,
        length: u64,
        file: Option<&mut File>,
    ) -> Result<Digests, ClientError> {
        let mut download = Download::new(name, length, file)?;
        let store = self.targets.as_ref().unwrap_or(&self.store);
        self.retrying(path, |received| {
            *received = download.hasher.length();
            let blob = store.open(path, download.hasher.length())?;
            download.read(blob).inspect(|_| *received = length)
        })?;
        match download.hasher.length() == length {
            true => Ok(download.hasher.finish()),
            false => Err(download.wrong_length()),
        }
    }
}

fn check(name: &str, target: &TargetFile, digests: &Digests) -> Result<(), ClientError> {
    let verified = target.hashes.verify(digests);
    verified.map_err(|source| ClientError::Target {
        name: name.to_owned(),
        source,
    })
}

// A target on its way into a file, if any; what came is hashed.
struct Download<'a> {
    name: &'a str,
    length: u64,
    file: Option<&'a mut File>,
    hasher: Hasher,
    step: Step,
}

impl<'a> Download<'a> {
    fn new(name: &'a str, length: u64, file: Option<&'a mut File>) -> Result<Self, ClientError> {
        let mut download = Self {
            name,
            length,
            file,
            hasher: Hasher::new(),
            step: steps::begin(Kind::Download, name, Some(length)),
        };
        download.restart()?;
        Ok(download)
    }

    fn restart(&mut self) -> Result<(), ClientError> {
        self.hasher = Hasher::new();
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.set_len(0))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> ClientError {
        ClientError::Store {
            name: self.name.to_owned(),
            source,
        }
    }

    fn wrong_length(&self) -> ClientError {
        ClientError::TargetLength {
            name: self.name.to_owned(),
            expected: self.length,
        }
    }

    fn read(&mut self, mut blob: Blob) -> Result<(), Attempt> {
        if blob.offset != self.hasher.length() {
            self.restart().map_err(Attempt::Fatal)?;
            if blob.offset != 0 {
                return Err(Attempt::Broken(None));
            }
        }
        let promised = blob.len.map(|len| len.saturating_add(blob.offset));
        let mut buffer = vec![0; 1 << 17];
        loop {
            let n = match blob.body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Attempt::Broken(Some(e))),
            };
            // TUF 5.7.2 endless data: no byte more than was signed.
            if self.hasher.length() + n as u64 > self.length {
                return Err(Attempt::Fatal(self.wrong_length()));
            }
            let written = match &mut self.file {
                Some(file) => fs::announced(fs::Step::Write, Path::new(self.name), || {
                    file.write_all(&buffer[..n])
                }),
                None => Ok(()),
            };
            written.map_err(|e| Attempt::Fatal(self.failed(e)))?;
            self.hasher.update(&buffer[..n]);
            self.step.advance(n as u64);
        }
        match promised {
            Some(promised) if self.hasher.length() < promised => Err(Attempt::Broken(None)),
            _ => Ok(()),
        }
    }
}

/// Where a target lies: under its name, or with consistent snapshots under each of its hashes
/// (TUF 5.7.3: the file name is prefixed).
pub fn target_paths(name: &str, target: &TargetFile, consistent: bool) -> Vec<String> {
    if !consistent {
        return vec![name.to_owned()];
    }
    let (folder, file) = match name.rsplit_once('/') {
        Some((folder, file)) => (format!("{folder}/"), file),
        None => (String::new(), name),
    };
    target
        .hashes
        .known()
        .map(|hash| format!("{folder}{hash}.{file}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_all_numbers_is_a_connection_that_broke_off() {
        let mut download = Download::new("orbit", 100, None).unwrap();
        download.hasher.update(b"some");
        let blob = Blob {
            len: Some(u64::MAX),
            offset: 4,
            body: Box::new(&b"more"[..]),
        };
        assert!(matches!(download.read(blob), Err(Attempt::Broken(None))));
        assert_eq!(download.hasher.length(), 8);
    }
}
