//! Targets of another repository, for this one.
//!
//! The other is followed by a client with a chain of trust and a memory of its own; the memory
//! lies beside ours, not in what is published. What it lists and this one lacks is downloaded
//! and verified into `.fleetpack/incoming/`, one file for each content, and added from there
//! under our keys. Anything that is not what upstream signed ends it before anything is added.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::targets::NewTarget;
use super::{Layout, Repository, RepositoryError, commit, io_error};
use crate::tuf::client::{Client, ClientError, Job};
use crate::tuf::metadata::TargetFile;
use crate::tuf::state::State;

/// One content of another repository that this one lacks.
#[derive(Clone, Debug)]
pub struct Lacking {
    /// The names that it has there, and will have here.
    pub names: Vec<String>,
    /// What was signed of it there.
    pub target: TargetFile,
}

/// What is the same in both, and what is not.
#[derive(Clone, Debug, Default)]
pub struct Mirrored {
    /// Names that are here as they are there.
    pub unchanged: Vec<String>,
    /// What is to be fetched.
    pub lacking: Vec<Lacking>,
}

impl Layout {
    /// What a client of the repository at `address` remembers; beside the memory of our own.
    pub fn upstream(&self, anchor: &[u8], address: &str) -> State {
        let state = self.state();
        let base = state.parent().unwrap_or(Path::new("."));
        State::for_repository(&base.join("upstreams"), anchor, address)
    }
}

impl Repository {
    /// Compares targets of another repository with our own.
    pub fn compare<'a>(
        &self,
        there: impl Iterator<Item = (&'a String, &'a TargetFile)>,
    ) -> Mirrored {
        let mut mirrored = Mirrored::default();
        let mut contents: BTreeMap<String, usize> = BTreeMap::new();
        for (name, target) in there {
            if self.has(name, target) {
                mirrored.unchanged.push(name.clone());
                continue;
            }
            // Two entries are one content when they say the same of it.
            let key = serde_json::to_string(target).unwrap_or_else(|_| name.clone());
            let next = mirrored.lacking.len();
            match mirrored
                .lacking
                .get_mut(*contents.entry(key).or_insert(next))
            {
                Some(lacking) => lacking.names.push(name.clone()),
                None => mirrored.lacking.push(Lacking {
                    names: vec![name.clone()],
                    target: target.clone(),
                }),
            }
        }
        mirrored
    }

    // Listed with the same length, data and hashes, and lying there; where files are
    // elsewhere, what is listed lies there.
    fn has(&self, name: &str, there: &TargetFile) -> bool {
        let Some(here) = self.base.targets().signed.targets.get(name) else {
            return false;
        };
        let known = |algorithm| match (here.hashes.get(algorithm), there.hashes.get(algorithm)) {
            (Some(here), Some(there)) => Some(here.eq_ignore_ascii_case(there)),
            _ => None,
        };
        let hashes: Vec<bool> = ["sha256", "sha512"].into_iter().filter_map(known).collect();
        let same = !hashes.is_empty() && hashes.into_iter().all(|same| same);
        same && here.length == there.length
            && here.custom == there.custom
            && (self.layout.sparse || self.file_of(name, here).is_ok())
    }

    /// An empty folder for files to add, on the same disk; whatever stays in it goes when the
    /// repository is opened next.
    pub fn incoming(&self) -> Result<PathBuf, RepositoryError> {
        let folder = self.layout.work().join("incoming");
        commit::remove_tree(&folder)?;
        crate::fs::create_folders_unsynced(&folder, 0o755)
            .map_err(io_error(format!("make {}", folder.display())))?;
        Ok(folder)
    }

    /// Downloads what is lacking and verifies it.
    pub fn fetch(
        &self,
        upstream: &Client,
        lacking: &[Lacking],
    ) -> Result<Result<Vec<NewTarget>, ClientError>, RepositoryError> {
        let folder = self.incoming()?;
        let (mut jobs, mut sources) = (Vec::new(), Vec::new());
        for (number, lacking) in lacking.iter().enumerate() {
            let Some(name) = lacking.names.first() else {
                continue;
            };
            let file = name.rsplit('/').next().unwrap_or(name);
            let source = folder.join(format!("{number}-{file}"));
            let spool = crate::fs::create_unsynced(&source, 0o644)
                .map_err(io_error(format!("write {}", source.display())))?;
            sources.push((source, lacking));
            jobs.push(Job {
                name: name.clone(),
                spool,
                in_place: false,
            });
        }
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let downloaded = match upstream.download_all(jobs, threads) {
            Err(ClientError::Store { source, .. }) => {
                return Err(io_error(format!("write {}", folder.display()))(source));
            }
            downloaded => downloaded,
        };
        Ok(downloaded.map(|files| {
            let new = files.into_iter().zip(sources);
            let new = new.map(|((_, digests), (source, lacking))| NewTarget {
                source,
                known: Some(digests),
                names: lacking.names.clone(),
                custom: lacking.target.custom.clone(),
            });
            new.collect()
        }))
    }
}
