//! Programs from an update repository to an installer: verified, archives unpacked.
//!
//! Downloads stream into unnamed temporary files while they are hashed ([`crate::tuf`]); an
//! archive's members go to one such file too. Nothing appears under a name, nothing that was
//! not verified leaves this room.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::archive::{self, ArchiveError, Limits, Member};
use super::component::{Component, Platform, Target};
use super::config::Config;
use super::fetched::{Documents, Fetched, Program, Unpacked};
use crate::hint::Hint;
use crate::install::Shared;
use crate::tuf::client::{Client, ClientError, Job};
use crate::tuf::hashes::{Digests, Hasher};
use crate::tuf::metadata::Role;

/// Programs could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The repository refused, lied, or does not have it.
    #[error(transparent)]
    Client(#[from] ClientError),
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
            Self::NoProgram { .. } => None,
            Self::Temporary { .. } => Some("TMPDIR=/var/tmp".into()),
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

/// Programs that were fetched before, by their targets' names.
pub type Known = BTreeMap<String, Program>;

/// Fetches what an installer for `platform` needs from a repository that `client` has
/// refreshed.
pub fn fetch(
    client: &Client,
    platform: Platform,
    config: &Config,
    threads: NonZeroUsize,
) -> Result<Fetched, FetchError> {
    fetch_missing(client, platform, config, threads, &mut Known::new())
}

/// Like [`fetch`], without what is `known` from before of the same client; what is fetched is
/// known from now on.
pub fn fetch_missing(
    client: &Client,
    platform: Platform,
    config: &Config,
    threads: NonZeroUsize,
    known: &mut Known,
) -> Result<Fetched, FetchError> {
    let trusted = client.trusted().ok_or(ClientError::NotRefreshed)?;
    let bytes = |role| trusted.bytes(role).to_vec();
    let documents = Documents {
        root: bytes(Role::Root),
        timestamp: bytes(Role::Timestamp),
        snapshot: bytes(Role::Snapshot),
        targets: bytes(Role::Targets),
    };
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
    let mut jobs = Vec::new();
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(target, channel)| !known.contains_key(&target.name(channel)))
        .collect();
    for (target, channel) in &missing {
        let name = target.name(channel);
        client.target(&name)?;
        jobs.push(Job {
            name,
            spool: temporary()?,
            // Builders verify programs again while they pack them; an archive is unpacked
            // before, and must not change until then.
            in_place: target.unpacked.is_none(),
        });
    }
    let obtained = client.download_all(jobs, threads)?;
    for ((target, channel), (file, digests)) in missing.into_iter().zip(obtained) {
        let program = program(client, *target, channel, file, &digests)?;
        known.insert(target.name(channel), program);
    }
    let names = wanted.iter().map(|(target, channel)| target.name(channel));
    Ok(Fetched {
        documents,
        programs: names.filter_map(|name| known.get(&name).cloned()).collect(),
    })
}

fn program(
    client: &Client,
    target: Target,
    channel: &str,
    mut file: File,
    digests: &Digests,
) -> Result<Program, FetchError> {
    let name = target.name(channel);
    let listed = client.target(&name)?;
    let custom = listed.custom.as_ref();
    let version = custom.and_then(|custom| custom.get("version")?.as_str().map(str::to_owned));
    let unpacked = match target.unpacked {
        None => Vec::new(),
        Some(program) => {
            file.seek(SeekFrom::Start(0)).map_err(temporary_failed)?;
            let unpacked = unpack(&name, &file)?;
            if !unpacked
                .iter()
                .any(|u| u.path == program && u.contents.is_some())
            {
                return Err(FetchError::NoProgram { name, program });
            }
            unpacked
        }
    };
    let path = PathBuf::from(&name);
    Ok(Program {
        target,
        channel: channel.to_owned(),
        version,
        file: Shared::verified_file(file, &path, digests.length, digests.sha256),
        sha512: hex::encode(digests.sha512),
        unpacked,
    })
}

/// A member that was written to the spool, with its place there.
struct Spooled {
    member: Member,
    place: Option<(u64, u64, [u8; 32])>,
}

/// What goes wrong while unpacking: the archive, or the temporary file.
enum Unpacking {
    Archive(ArchiveError),
    Temporary(io::Error),
}

impl From<ArchiveError> for Unpacking {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

fn unpack(name: &str, file: &File) -> Result<Vec<Unpacked>, FetchError> {
    let mut spool = temporary()?;
    let mut members = Vec::new();
    let mut position = 0;
    let walked = archive::walk::<Unpacking>(file, Limits::default(), |member, contents| {
        let place = match member.len {
            None => None,
            Some(_) => {
                let digests = copy(contents, &mut spool)?;
                let start = position;
                position += digests.length;
                Some((start, digests.length, digests.sha256))
            }
        };
        let member = member.clone();
        members.push(Spooled { member, place });
        Ok(())
    });
    walked.map_err(|error| match error {
        Unpacking::Archive(source) => FetchError::Archive {
            name: name.to_owned(),
            source,
        },
        Unpacking::Temporary(source) => temporary_failed(source),
    })?;
    let spool = Arc::new(spool);
    let unpacked = members
        .into_iter()
        .map(|Spooled { member, place }| Unpacked {
            contents: place.map(|(offset, len, sha256)| {
                let path = PathBuf::from(format!("{name}:{}", member.path));
                Shared::verified_slice(spool.clone(), offset, &path, len, sha256)
            }),
            path: member.path,
            mode: member.mode,
        });
    Ok(unpacked.collect())
}

fn copy(from: &mut dyn Read, to: &mut File) -> Result<Digests, Unpacking> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                to.write_all(&buffer[..read])
                    .map_err(Unpacking::Temporary)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ArchiveError::Read(e).into()),
        }
    }
}

fn temporary() -> Result<File, FetchError> {
    tempfile::tempfile().map_err(temporary_failed)
}

fn temporary_failed(source: io::Error) -> FetchError {
    FetchError::Temporary {
        folder: std::env::temp_dir(),
        source,
    }
}
