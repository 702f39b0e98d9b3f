//! What is inside an installer: of any format, made by fleetpack or by anybody else.
//!
//! [`inspect`] reads a package back ([`crate::package::read`], so it is whole and consistent
//! when there is a report), and looks into the few small files that say how the agent will
//! run: its variables, the packaged metadata, the enroll secret. [`difference`] compares two
//! reports. The shape of a [`Report`] as JSON is `docs/schema/inspect.json`. Signatures are
//! named, not checked; nothing here prints.

mod agent;
mod change;
pub mod variables;

pub use agent::{Agent, Beside, Component, Document, Secret, Trust};
pub use change::{Change, difference};

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;

use crate::hint::{Hint, bare_within, word};
use crate::package::read::{self, Found, Kind, Package, ReadError};
use crate::package::{Compression, Format};
use crate::steps::{self, Told};
use agent::Gathered;

/// A package and what it says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file itself.
    pub file: FileFacts,
    /// `deb`, `rpm`, …
    pub format: &'static str,
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Processor in the format's own word.
    pub arch: String,
    /// Kind of signature, not verified.
    pub signature: Option<String>,
    /// How contents are compressed.
    pub payload: Payload,
    /// Fleet's agent, when it is one of Fleet's installers.
    pub agent: Option<Agent>,
    /// What runs on the host.
    pub scripts: Vec<Script>,
    /// The format's own fields.
    pub metadata: Vec<Field>,
    /// The folder that paths are relative to (Windows).
    pub base: Option<String>,
    /// What is installed.
    pub files: Vec<Installed>,
}

impl Report {
    /// Takes users' names, passwords and queries out of the addresses that are shown.
    pub fn bare(&mut self) {
        for field in &mut self.metadata {
            field.value = bare_within(&field.value);
        }
        let Some(agent) = &mut self.agent else {
            return;
        };
        let addresses = [&mut agent.fleet_url, &mut agent.update_url];
        let addresses = addresses.into_iter().flatten();
        for value in addresses.chain(agent.variables.values_mut()) {
            *value = bare_within(value);
        }
    }
}

/// The file that was read.
#[derive(Clone, Debug, Serialize)]
pub struct FileFacts {
    /// Its name without folders.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Digest of all of it, lower-case hex.
    pub sha256: String,
}

/// How contents are compressed.
#[derive(Clone, Debug, Serialize)]
pub struct Payload {
    /// `gzip`, `zstd`, `xz`, `none`.
    pub compression: &'static str,
    /// Members, frames, streams or folders.
    pub parts: u64,
}

/// Something that runs on the host.
#[derive(Clone, Debug, Serialize)]
pub struct Script {
    /// The format's name for it.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// One of the format's own fields.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Something that is installed.
#[derive(Clone, Debug, Serialize)]
pub struct Installed {
    /// Where.
    pub path: String,
    /// `file`, `directory`, `link`, `hard link`, `ghost`, `special`.
    pub kind: &'static str,
    /// Octal digits.
    pub mode: Option<String>,
    /// `user:group`.
    pub owner: Option<String>,
    /// Length of a file.
    pub bytes: u64,
    /// Digest of a file's contents, lower-case hex; not of a file with the enroll secret.
    pub sha256: Option<String>,
    /// Text of a link.
    pub link: Option<String>,
}

/// A file could not be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The operating system refused.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is none of the formats.
    #[error("{} is no deb, rpm, pkg.tar.zst, pkg or msi", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged, or not read here.
    #[error("cannot read {} as {format}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What its first bytes say.
        format: Format,
        /// What is wrong.
        source: ReadError,
    },
}

impl Hint for InspectError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Open { path, source } if source.kind() == io::ErrorKind::NotFound => {
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                Some(format!("ls {}", word(&folder.display().to_string())))
            }
            Self::Unknown { path } => Some(format!("file {}", word(&path.display().to_string()))),
            Self::Read {
                source: ReadError::Truncated { .. },
                path,
                ..
            } => Some(format!(
                "ls -l {}, beside the original: it was cut off on its way",
                word(&path.display().to_string())
            )),
            _ => None,
        }
    }
}

/// Reads a package and reports on it.
pub fn inspect(path: &Path) -> Result<Report, InspectError> {
    let opened = open(path).map_err(|source| InspectError::Open {
        path: path.to_owned(),
        source,
    })?;
    inspect_open(&opened, path)
}

/// Reads a package that is open, and may have no name any more; `path` is what it is called.
pub fn inspect_open(file: &File, path: &Path) -> Result<Report, InspectError> {
    let reading = |format| {
        move |source| InspectError::Read {
            path: path.to_owned(),
            format,
            source,
        }
    };
    // First: a large file of another kind is not read to its end.
    let format = read::sniff(file).map_err(reading(Format::Deb))?;
    let format = format.ok_or_else(|| InspectError::Unknown {
        path: path.to_owned(),
    })?;
    let shown = path.display().to_string();
    let (bytes, sha256) = digest(file, &shown).map_err(|source| InspectError::Open {
        path: path.to_owned(),
        source,
    })?;
    let mut gathered = Gathered::default();
    let package = read::read_with(format, file, &mut |found, contents| {
        gathered.look(found, contents)
    });
    let package = package.map_err(reading(format))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = FileFacts {
        name: name.into_owned(),
        bytes,
        sha256,
    };
    Ok(report(file, package, gathered))
}

// Regular files only: opening a FIFO would wait for its other end.
fn open(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match kind.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("it is no regular file")),
    }
}

fn digest(file: &File, name: &str) -> io::Result<(u64, String)> {
    let length = file.metadata()?.len();
    let mut file = Told::new(file, steps::Kind::Hash, name, Some(length));
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hex::encode(context.finish()))),
            got => {
                context.update(&buffer[..got]);
                bytes += got as u64;
            }
        }
    }
}

fn report(file: FileFacts, package: Package, gathered: Gathered) -> Report {
    let agent = gathered.agent(&package);
    let guarded = agent.as_ref().is_some_and(|agent| agent.secret.inside);
    let pairs = |pairs: Vec<(String, String)>| pairs.into_iter();
    Report {
        file,
        format: package.format.word(),
        name: package.identity.name,
        version: package.identity.version,
        arch: package.identity.arch,
        signature: package.signature,
        payload: Payload {
            compression: match package.payload.compression {
                Compression::Gzip if package.format == Format::Msi => "mszip",
                Compression::Gzip => "gzip",
                Compression::Zstd => "zstd",
                Compression::Xz => "xz",
                Compression::None => "none",
            },
            parts: package.payload.parts,
        },
        agent,
        scripts: pairs(package.scripts)
            .map(|(name, text)| Script { name, text })
            .collect(),
        metadata: pairs(package.metadata)
            .map(|(name, value)| Field { name, value })
            .collect(),
        base: package.base,
        files: package
            .files
            .into_iter()
            .map(|found| installed(found, guarded))
            .collect(),
    }
}

/// A digest of a short secret is as good as the secret to whoever has a list of words.
fn holds_secret(path: &str) -> bool {
    path == "/etc/default/orbit" || path.ends_with("secret.txt")
}

fn installed(found: Found, guarded: bool) -> Installed {
    let sha256 = found
        .sha256
        .filter(|_| !guarded || !holds_secret(&found.path));
    let (kind, link) = match found.kind {
        Kind::File => ("file", None),
        Kind::Directory => ("directory", None),
        Kind::Link(text) => ("link", Some(text)),
        Kind::HardLink(to) => ("hard link", Some(to)),
        Kind::Ghost => ("ghost", None),
        Kind::Special => ("special", None),
    };
    Installed {
        path: found.path,
        kind,
        mode: found.mode.map(|mode| format!("{mode:04o}")),
        owner: found.owner.map(|(user, group)| format!("{user}:{group}")),
        bytes: found.len,
        sha256: sha256.map(hex::encode),
        link,
    }
}
