//! A program on its way into a repository: what its targets are called, and whether it is
//! what it is said to be.
//!
//! Names are fleetctl's: `<name>/<platform>/<channel>/<file>`, the file named for the
//! component with the suffix that the given file has. A recognised program of another system
//! or processor is refused, as is an archive that agents would not unpack; a file of no known
//! kind, such as a script, is let in with a warning.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::archive::{self, ArchiveError, Limits};
use super::component::{Component, Platform, Target};
use super::sniff::{self, Kind};
use crate::hint::Hint;
use crate::install::{Arch, Os};
use crate::tuf::name::{self, NameError};

/// Suffixes that a target keeps, the longer first.
const SUFFIXES: [&str; 5] = [".ext.exe", ".exe", ".app.tar.gz", ".pkg", ".ext"];

/// A program to publish.
#[derive(Clone, Debug)]
pub struct Release {
    /// The file.
    pub file: PathBuf,
    /// Component, such as `orbit` or `extensions/hello`.
    pub name: String,
    /// Platform, such as `linux-arm64`.
    pub platform: String,
    /// Version; also the first channel.
    pub version: String,
    /// Further channels.
    pub tags: Vec<String>,
}

/// A program that agents could not use.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A name that cannot be part of a target's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The file cannot be used.
    #[error("cannot add {}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A program for something else.
    #[error("{} is {kind}, and not a program for the platform {platform}", path.display())]
    Platform {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: Kind,
        /// What it was said to be for.
        platform: String,
    },
    /// An archive that agents would not unpack.
    #[error("agents would refuse the archive {}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ArchiveError,
    },
    /// An archive without the program that agents start.
    #[error("the archive {} does not hold {program}, which agents start", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// Path of the program in it.
        program: &'static str,
    },
}

impl Hint for ReleaseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Archive { source, .. } => source.hint(),
            Self::Incomplete { path, program } => {
                let folder = program.split('/').next().unwrap_or_default();
                let archive = path.file_name().unwrap_or_default().display();
                Some(format!(
                    "tar --format=ustar --no-xattrs -chzf {archive} '{folder}'"
                ))
            }
            Self::Platform { kind, .. } => Some(match kind {
                Kind::Program {
                    os: Os::Linux,
                    arch: Some(Arch::Amd64),
                } => "--platform linux".to_owned(),
                Kind::Program {
                    os: Os::Linux,
                    arch: Some(Arch::Arm64),
                } => "--platform linux-arm64".to_owned(),
                Kind::Program {
                    os: Os::Windows,
                    arch: Some(Arch::Amd64),
                } => "--platform windows".to_owned(),
                Kind::Program {
                    os: Os::Windows,
                    arch: Some(Arch::Arm64),
                } => "--platform windows-arm64".to_owned(),
                Kind::Program { os: Os::Macos, .. } => "--platform macos".to_owned(),
                _ => return None,
            }),
            _ => None,
        }
    }
}

impl Release {
    /// The names of its targets: one for the version, one for each tag.
    pub fn targets(&self) -> Result<Vec<String>, ReleaseError> {
        name::check_path("name", &self.name)?;
        name::check_component("platform", &self.platform)?;
        name::check_component("version", &self.version)?;
        let file = self.stored_as();
        let mut names = Vec::new();
        for channel in std::iter::once(&self.version).chain(&self.tags) {
            name::check_component("channel", channel)?;
            let name = format!("{}/{}/{channel}/{file}", self.name, self.platform);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn stored_as(&self) -> String {
        match (self.name.as_str(), self.platform.as_str()) {
            ("desktop", "windows" | "windows-arm64") => "fleet-desktop.exe".to_owned(),
            ("desktop", "linux" | "linux-arm64") => "desktop.tar.gz".to_owned(),
            (name, _) => {
                let given = self.file.to_string_lossy();
                let suffix = SUFFIXES.into_iter().find(|suffix| given.ends_with(suffix));
                let last = name.rsplit('/').next().unwrap_or(name);
                format!("{last}{}", suffix.unwrap_or_default())
            }
        }
    }

    /// Looks into the file; what comes back is to be said as a warning.
    pub fn check(&self) -> Result<Option<String>, ReleaseError> {
        let mut file = open(&self.file)?;
        let kind = sniff::sniff(&mut file).map_err(read_error(&self.file))?;
        let stored = self.stored_as();
        let shown = self.file.display();
        if stored.ends_with(".tar.gz") {
            self.check_archive(file)?;
            return Ok(None);
        }
        let warning = match (platform(&self.platform), kind) {
            (None, _) => Some(format!(
                "no agent asks for the platform {}: known are linux, linux-arm64, macos, macos-app, windows, windows-arm64",
                self.platform
            )),
            (Some((os, arch)), Kind::Program { os: has, arch: on }) => {
                let fits = os == has && (os == Os::Macos || arch == on);
                if !fits {
                    return Err(ReleaseError::Platform {
                        path: self.file.clone(),
                        kind,
                        platform: self.platform.clone(),
                    });
                }
                None
            }
            (Some(_), Kind::Xar) if stored.ends_with(".pkg") => None,
            (Some(_), Kind::Unknown) => Some(format!(
                "{shown} is a file of no known kind, perhaps a script: make sure that agents on {} can run it",
                self.platform
            )),
            (Some(_), kind) => Some(format!("{shown} is {kind}, stored as {stored}")),
        };
        Ok(warning)
    }

    fn check_archive(&self, mut file: File) -> Result<(), ReleaseError> {
        use std::io::Seek as _;
        file.rewind().map_err(read_error(&self.file))?;
        let program = self.program_of_archive();
        let mut missing = program;
        archive::walk(
            std::io::BufReader::with_capacity(1 << 17, file),
            Limits::default(),
            |member, _| {
                missing = missing.filter(|name| member.len.is_none() || member.path != *name);
                Ok::<(), ArchiveError>(())
            },
        )
        .map_err(|source| ReleaseError::Archive {
            path: self.file.clone(),
            source,
        })?;
        match missing {
            None => Ok(()),
            Some(program) => Err(ReleaseError::Incomplete {
                path: self.file.clone(),
                program,
            }),
        }
    }

    /// What agents start out of the archive, if it is one of fleetd's own.
    fn program_of_archive(&self) -> Option<&'static str> {
        let targets = Component::ALL
            .into_iter()
            .flat_map(|component| Platform::ALL.map(|platform| Target::of(component, platform)));
        targets
            .filter(|target| {
                target.component.word() == self.name && target.platform == self.platform
            })
            .find_map(|target| target.unpacked)
    }
}

fn platform(word: &str) -> Option<(Os, Option<Arch>)> {
    match word {
        "linux" => Some((Os::Linux, Some(Arch::Amd64))),
        "linux-arm64" => Some((Os::Linux, Some(Arch::Arm64))),
        "macos" | "macos-app" => Some((Os::Macos, None)),
        "windows" => Some((Os::Windows, Some(Arch::Amd64))),
        "windows-arm64" => Some((Os::Windows, Some(Arch::Arm64))),
        _ => None,
    }
}

fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> ReleaseError {
    let path = path.to_owned();
    |source| ReleaseError::Read { path, source }
}

// Opens regular files only: opening a FIFO would wait for its other end.
fn open(path: &Path) -> Result<File, ReleaseError> {
    let refuse = |reason| ReleaseError::Unusable {
        path: path.to_owned(),
        reason,
    };
    let metadata = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(refuse("it does not exist"));
        }
        metadata => metadata.map_err(read_error(path))?,
    };
    match (metadata.is_dir(), metadata.is_file(), metadata.len()) {
        (true, _, _) => Err(refuse("it is a directory")),
        (_, false, _) => Err(refuse("it is not a regular file")),
        (_, _, 0) => Err(refuse("it is empty")),
        _ => File::open(path).map_err(read_error(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(file: &str, name: &str, platform: &str) -> Release {
        Release {
            file: file.into(),
            name: name.to_owned(),
            platform: platform.to_owned(),
            version: "1.2.3".to_owned(),
            tags: vec![],
        }
    }

    #[test]
    fn names_of_stored_files() {
        for line in [
            "./linux/osqueryd → osqueryd/linux/1.2.3/osqueryd",
            "orbit-1.2 → orbit/macos/1.2.3/orbit",
            "x/orbit.exe → orbit/windows/1.2.3/orbit.exe",
            "o.exe → osqueryd/windows-arm64/1.2.3/osqueryd.exe",
            "any → desktop/windows/1.2.3/fleet-desktop.exe",
            "any.exe → desktop/windows-arm64/1.2.3/fleet-desktop.exe",
            "any → desktop/linux/1.2.3/desktop.tar.gz",
            "a.tar.gz → desktop/linux-arm64/1.2.3/desktop.tar.gz",
            "a.app.tar.gz → desktop/macos/1.2.3/desktop.app.tar.gz",
            "a.app.tar.gz → osqueryd/macos-app/1.2.3/osqueryd.app.tar.gz",
            "osquery.pkg → osqueryd/macos/1.2.3/osqueryd.pkg",
            "h.ext → extensions/hello/linux/1.2.3/hello.ext",
            "h.ext.exe → extensions/hello/windows/1.2.3/hello.ext.exe",
        ] {
            let (file, target) = line.split_once(" → ").unwrap();
            let (name, rest) = target.split_once("/1.2.3/").unwrap();
            let (name, platform) = name.rsplit_once('/').unwrap();
            let stored = release(file, name, platform).targets().unwrap();
            assert_eq!(stored, [target], "{rest}");
        }
    }

    #[test]
    fn channels_once_each() {
        let mut release = release("orbit", "orbit", "linux");
        release.tags = vec![
            "1.2".into(),
            "1.2.3".into(),
            "stable".into(),
            "stable".into(),
        ];
        let expected = ["1.2.3", "1.2", "stable"].map(|c| format!("orbit/linux/{c}/orbit"));
        assert_eq!(release.targets().unwrap(), expected);
        for bad in ["..", "/etc", "a/b", "a\\b", "a\nb", ""] {
            release.tags = vec![bad.to_owned()];
            assert!(release.targets().is_err(), "{bad:?}");
        }
    }
}
