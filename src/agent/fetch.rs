//! Programs from an update repository to an installer: verified, archives unpacked.
//!
//! Downloads stream into unnamed temporary files while they are hashed ([`crate::tuf`]); an
//! archive's members go to one such file too (`unpack`). Nothing appears under a name, nothing
//! that was not verified leaves this room but with the promise that its builder verifies it
//! (`unread`). What an earlier run verified is known from the cache (`kept`) by the hashes that
//! today's metadata list, and fetched only when somebody reads its bytes (`later`).

mod kept;
mod later;
mod unpack;
mod unread;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::archive::ArchiveError;
use super::component::{Component, Platform, Target};
use super::config::Config;
use super::fetched::{Documents, Fetched, Program, Unpacked};
use crate::cache::Cache;
use crate::fs::{Step, announced};
use crate::hint::Hint;
use crate::install::Shared;
use crate::tuf::client::{Client, ClientError, Job};
use crate::tuf::hashes::Digests;
use crate::tuf::metadata::{Role, TargetFile};
use kept::Kept;
use later::{LaterArchive, LaterMember, LaterTarget};
use unpack::{Hashed, Spooled, unpack};
use unread::Unread;

/// Programs could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The repository refused, lied, or does not have it.
    #[error(transparent)]
    Client(ClientError),
    /// A verified archive that agents would not accept.
    #[error("the target {name} cannot be unpacked")]
    Archive {
        /// The target.
        name: String,
        /// Why not.
        source: ArchiveError,
    },
    /// A verified archive without the program that agents start.
    #[error("the archive {name} has no program {program}")]
    NoProgram {
        /// The target.
        name: String,
        /// The program's path in it.
        program: &'static str,
    },
    /// A target that an earlier run verified, and that is needed once more.
    #[error("cannot fetch the target {name}")]
    Kept {
        /// The target.
        name: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The temporary file failed.
    #[error("cannot write a temporary file in {}", folder.display())]
    Temporary {
        /// The folder for temporary files.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Hint for FetchError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Client(ClientError::NoTarget { name, .. }) => Some(missing_target_hint(name)),
            Self::Client(error) => error.hint(),
            Self::Archive { source, .. } => source.hint(),
            Self::NoProgram { .. } | Self::Kept { .. } => None,
            Self::Temporary { .. } => Some("TMPDIR=/var/tmp".into()),
        }
    }
}

impl From<ClientError> for FetchError {
    fn from(error: ClientError) -> Self {
        match error {
            // Targets are stored in files without a name here.
            ClientError::Store { source, .. } => temporary_failed(source),
            error => Self::Client(error),
        }
    }
}

fn missing_target_hint(name: &str) -> String {
    let mut parts = name.split('/');
    let mut next = || parts.next().unwrap_or_default();
    let (component, platform, channel, file) = (next(), next(), next(), next());
    format!(
        "fleetpack updates add --target {file} --name {component} --platform {platform} --version VERSION -t {channel}"
    )
}

/// Fetches from one repository, each program once, whoever needs it.
pub struct Fetcher {
    client: Arc<Client>,
    cache: Option<Arc<Cache>>,
    threads: NonZeroUsize,
    is_late: bool,
    /// By their targets' names.
    known: BTreeMap<String, Program>,
}

/// Begins with contents that are here.
pub type Early<'a> = &'a (dyn Fn(&[Shared]) + Sync);

/// A program that is not known yet.
struct Missing {
    target: Target,
    channel: String,
    name: String,
    listed: TargetFile,
}

/// A target: its verified bytes, the promise of them, or bytes to be verified.
enum Obtained {
    Now(File),
    Later(Arc<LaterTarget>),
    Unread(File, Box<Unread>),
    /// Verified while it was unpacked.
    Unpacked(File, Option<(File, Vec<Spooled>)>),
}

impl Fetcher {
    /// Fetches through a client that is refreshed, on up to `threads` threads.
    pub fn new(client: Client, cache: Option<Arc<Cache>>, threads: NonZeroUsize) -> Self {
        Self {
            client: Arc::new(client),
            cache,
            threads,
            is_late: false,
            known: BTreeMap::new(),
        }
    }

    /// Leaves programs that lie on this machine to the builder that reads them all: it verifies
    /// them while it packs them. For those who name no file before all are verified.
    #[must_use]
    pub fn verifying_while_packing(mut self, is_late: bool) -> Self {
        self.is_late = is_late;
        self
    }

    /// What an installer for `platform` needs.
    pub fn fetch(&mut self, platform: Platform, config: &Config) -> Result<Fetched, FetchError> {
        self.fetch_beside(platform, config, &|_| ())
    }

    /// Like [`Fetcher::fetch`], and hands programs that are here already to `early`, which runs
    /// while archives are unpacked. It may verify what it is given, and fail in silence: whoever
    /// reads the contents afterwards is told.
    pub fn fetch_beside(
        &mut self,
        platform: Platform,
        config: &Config,
        early: Early<'_>,
    ) -> Result<Fetched, FetchError> {
        let documents = self.documents()?;
        let channels = &config.channels;
        let mut wanted = vec![
            (Target::of(Component::Orbit, platform), &channels.orbit),
            (
                Target::of(Component::Osqueryd, platform),
                &channels.osqueryd,
            ),
        ];
        if config.desktop {
            wanted.push((Target::of(Component::Desktop, platform), &channels.desktop));
        }
        let mut missing = Vec::new();
        for (target, channel) in &wanted {
            let name = target.name(channel);
            if !self.known.contains_key(&name) {
                missing.push(Missing {
                    target: *target,
                    channel: (*channel).clone(),
                    listed: self.client.target(&name)?,
                    name,
                });
            }
        }
        self.obtain_all(missing, early)?;
        let names = wanted.iter().map(|(target, channel)| target.name(channel));
        Ok(Fetched {
            documents,
            programs: names
                .filter_map(|name| self.known.get(&name).cloned())
                .collect(),
        })
    }

    fn documents(&self) -> Result<Documents, FetchError> {
        let trusted = self.client.trusted().ok_or(ClientError::NotRefreshed)?;
        let bytes = |role| trusted.bytes(role).to_vec();
        Ok(Documents {
            root: bytes(Role::Root),
            timestamp: bytes(Role::Timestamp),
            snapshot: bytes(Role::Snapshot),
            targets: bytes(Role::Targets),
        })
    }

    fn obtain_all(&mut self, missing: Vec<Missing>, early: Early<'_>) -> Result<(), FetchError> {
        let is_archive = |missing: &Missing| missing.target.unpacked.is_some();
        let (archives, programs) = missing.into_iter().partition(is_archive);
        let (mut unknown, here) = self.obtain_here(programs)?;
        if archives.is_empty() {
            return self.download(unknown);
        }
        std::thread::scope(|scope| {
            let hand = scope.spawn(crate::fs::following(|| early(&here)));
            let obtained = self.obtain_here(archives).and_then(|(archives, _)| {
                unknown.extend(archives);
                self.download(unknown)
            });
            crate::fs::joined(hand);
            obtained
        })
    }

    /// Takes what is here already; gives what is not, and the contents that were taken.
    fn obtain_here(
        &mut self,
        missing: Vec<Missing>,
    ) -> Result<(Vec<Missing>, Vec<Shared>), FetchError> {
        let (mut unknown, mut here) = (Vec::new(), Vec::new());
        for missing in missing {
            let found = self.promised(&missing).or_else(|| self.unread(&missing));
            let Some((obtained, digests)) = found else {
                unknown.push(missing);
                continue;
            };
            let program = self.program(&missing, obtained, &digests)?;
            here.push(program.file.clone());
            self.known.insert(missing.name, program);
        }
        Ok((unknown, here))
    }

    /// Downloads, several at a time.
    fn download(&mut self, unknown: Vec<Missing>) -> Result<(), FetchError> {
        let mut jobs = Vec::new();
        for missing in &unknown {
            jobs.push(Job {
                name: missing.name.clone(),
                spool: temporary()?,
                // Builders verify programs again while they pack them; an archive is unpacked
                // before, and must not change until then.
                in_place: missing.target.unpacked.is_none(),
            });
        }
        let obtained = self.client.download_all(jobs, self.threads)?;
        for (missing, (file, digests)) in unknown.into_iter().zip(obtained) {
            if let Some(cache) = &self.cache {
                kept::put_digests(cache, &missing.listed, &digests);
                if !self.client.is_here(&missing.name)? {
                    kept::put_download(cache, &file, &digests).map_err(temporary_failed)?;
                }
            }
            let program = self.program(&missing, Obtained::Now(file), &digests)?;
            self.known.insert(missing.name, program);
        }
        Ok(())
    }

    /// A program that lies on this machine, for the builder to verify.
    fn unread(&self, missing: &Missing) -> Option<(Obtained, Digests)> {
        if missing.target.unpacked.is_some() {
            return self.unpacked_in_place(missing);
        }
        if !self.is_late {
            return None;
        }
        let (file, sha256, sha512) = self.client.unread(&missing.name, &missing.listed)?;
        let digests = Digests {
            length: missing.listed.length,
            sha256,
            sha512,
        };
        let unread = Box::new(Unread {
            digests: digests.clone(),
            listed: missing.listed.clone(),
            cache: self.cache.clone(),
        });
        Some((Obtained::Unread(file, unread), digests))
    }

    /// An archive that lies on this machine, verified by the bytes that were unpacked. `None`
    /// where it has to be downloaded, or where that will say what is wrong.
    fn unpacked_in_place(&self, missing: &Missing) -> Option<(Obtained, Digests)> {
        let (file, ..) = self.client.unread(&missing.name, &missing.listed)?;
        let mut bytes = Hashed::new(&missing.name, &file, missing.listed.length);
        let unpacked = unpack(&missing.name, &mut bytes).ok()?;
        let digests = bytes.finish().ok()?;
        let is_right = digests.length == missing.listed.length;
        if !is_right || missing.listed.hashes.verify(&digests).is_err() {
            return None;
        }
        if let Some(cache) = &self.cache {
            kept::put_digests(cache, &missing.listed, &digests);
        }
        Some((Obtained::Unpacked(file, Some(unpacked)), digests))
    }

    /// A target that an earlier run verified.
    fn promised(&self, missing: &Missing) -> Option<(Obtained, Digests)> {
        let cache = self.cache.as_ref()?;
        let digests = kept::digests(cache, &missing.listed)?;
        let later = LaterTarget {
            client: self.client.clone(),
            cache: self.cache.clone(),
            name: missing.name.clone(),
            digests: digests.clone(),
            in_place: missing.target.unpacked.is_none(),
            fetched: Mutex::default(),
        };
        Some((Obtained::Later(Arc::new(later)), digests))
    }

    fn program(
        &self,
        missing: &Missing,
        mut obtained: Obtained,
        digests: &Digests,
    ) -> Result<Program, FetchError> {
        let (name, target) = (&missing.name, missing.target);
        let custom = missing.listed.custom.as_ref();
        let version = custom.and_then(|custom| custom.get("version")?.as_str().map(str::to_owned));
        let unpacked = match target.unpacked {
            None => Vec::new(),
            Some(program) => {
                let unpacked = self.unpacked(name, &mut obtained, digests)?;
                let is_program = |u: &&Unpacked| u.path == program && u.contents.is_some();
                if !unpacked.iter().any(|u| is_program(&u)) {
                    let name = name.clone();
                    return Err(FetchError::NoProgram { name, program });
                }
                unpacked
            }
        };
        let path = PathBuf::from(name);
        let (len, sha256) = (digests.length, digests.sha256);
        Ok(Program {
            target,
            channel: missing.channel.clone(),
            version,
            file: match obtained {
                Obtained::Now(file) | Obtained::Unpacked(file, _) => {
                    Shared::verified_file(file, &path, len, sha256)
                }
                Obtained::Later(later) => Shared::verified_later(later, &path, len, sha256),
                Obtained::Unread(file, unread) => {
                    Shared::promised_file(file, &path, len, sha256, unread)
                }
            },
            sha512: hex::encode(digests.sha512),
            unpacked,
        })
    }

    fn unpacked(
        &self,
        name: &str,
        obtained: &mut Obtained,
        digests: &Digests,
    ) -> Result<Vec<Unpacked>, FetchError> {
        let cache = self.cache.as_deref();
        let again = |mut file: &File| {
            file.seek(SeekFrom::Start(0)).map_err(temporary_failed)?;
            unpack(name, file)
        };
        let (spool, members) = match obtained {
            Obtained::Unpacked(_, unpacked) => match unpacked.take() {
                Some(unpacked) => unpacked,
                None => return Ok(Vec::new()),
            },
            Obtained::Now(file) | Obtained::Unread(file, _) => again(file)?,
            Obtained::Later(later) => {
                if let Some(kept) = cache.and_then(|c| kept::unpacked(c, &digests.sha256)) {
                    return Ok(promised_members(name, later, kept));
                }
                let file = later.file().map_err(|source| FetchError::Kept {
                    name: name.to_owned(),
                    source,
                })?;
                again(&file)?
            }
        };
        if let Some(cache) = cache {
            kept::put_unpacked(cache, &digests.sha256, &spool, &members);
        }
        Ok(members_of(name, spool, members))
    }
}

fn members_of(name: &str, spool: File, members: Vec<Spooled>) -> Vec<Unpacked> {
    let spool = Arc::new(spool);
    let unpacked = members
        .into_iter()
        .map(|Spooled { member, place }| Unpacked {
            contents: place.map(|place| {
                let path = PathBuf::from(format!("{name}:{}", member.path));
                Shared::verified_slice(spool.clone(), place.at, &path, place.len, place.sha256)
            }),
            path: member.path,
            mode: member.mode,
        });
    unpacked.collect()
}

/// Members that an earlier run unpacked: small ones at hand, large ones when they are read.
fn promised_members(name: &str, target: &Arc<LaterTarget>, kept: Vec<Kept>) -> Vec<Unpacked> {
    let archive = Arc::new(LaterArchive {
        target: target.clone(),
        unpacked: Mutex::default(),
    });
    let unpacked = kept.into_iter().enumerate().map(|(number, kept)| {
        let path = PathBuf::from(format!("{name}:{}", kept.path));
        let contents = kept.file.map(|file| match file.bytes {
            Some(bytes) => Shared::verified_bytes(bytes, &path),
            None => {
                let archive = archive.clone();
                let later = Arc::new(LaterMember { archive, number });
                Shared::verified_later(later, &path, file.len, file.sha256)
            }
        });
        Unpacked {
            path: kept.path,
            mode: kept.mode,
            contents,
        }
    });
    unpacked.collect()
}

fn temporary() -> Result<File, FetchError> {
    let folder = std::env::temp_dir();
    let made = announced(Step::Create, &folder, || tempfile::tempfile_in(&folder));
    made.map_err(temporary_failed)
}

fn temporary_failed(source: io::Error) -> FetchError {
    FetchError::Temporary {
        folder: std::env::temp_dir(),
        source,
    }
}
