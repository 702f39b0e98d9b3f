//! Downloads targets (TUF 5.7): into an open file, hashed on the way, and resumed where the
//! connection broke off.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fetch::Attempt;
use super::{Client, ClientError, lock};
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
                scope.spawn(work);
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
            let Ok(digests) = Digests::read(&mut (&file).take(target.length + 1)) else {
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
            match self.stream(&path, name, target.length, file) {
                Err(
                    error @ ClientError::Fetch {
                        source: StoreError::NotFound(_),
                        ..
                    },
                ) => missing = missing.or(Some(error)),
                Err(error) => return Err(error),
                Ok(digests) => {
                    target
                        .hashes
                        .verify(&digests)
                        .map_err(|source| ClientError::Target {
                            name: name.to_owned(),
                            source,
                        })?;
                    return Ok(digests);
                }
            }
        }
        Err(missing.unwrap_or_else(|| ClientError::Target {
            name: name.to_owned(),
            source: HashMismatch::NoneKnown,
        }))
    }

    // Reads into `file`, going on where a connection broke off.
    fn stream(
        &self,
        path: &str,
        name: &str,
        length: u64,
        file: &mut File,
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

// A target on its way into a file; what is there is hashed.
struct Download<'a> {
    name: &'a str,
    length: u64,
    file: &'a mut File,
    hasher: Hasher,
}

impl<'a> Download<'a> {
    fn new(name: &'a str, length: u64, file: &'a mut File) -> Result<Self, ClientError> {
        let mut download = Self {
            name,
            length,
            file,
            hasher: Hasher::new(),
        };
        download.restart()?;
        Ok(download)
    }

    fn restart(&mut self) -> Result<(), ClientError> {
        self.hasher = Hasher::new();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.set_len(0))
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
        let promised = blob.len.map(|len| len + blob.offset);
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
            self.file
                .write_all(&buffer[..n])
                .map_err(|e| Attempt::Fatal(self.failed(e)))?;
            self.hasher.update(&buffer[..n]);
        }
        match promised {
            Some(promised) if self.hasher.length() < promised => Err(Attempt::Broken(None)),
            _ => Ok(()),
        }
    }
}

/// Where a target lies: under its name, or with consistent snapshots under each of its hashes
/// (TUF 5.7.3: the file name is prefixed).
pub(in crate::tuf) fn target_paths(
    name: &str,
    target: &TargetFile,
    consistent: bool,
) -> Vec<String> {
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
