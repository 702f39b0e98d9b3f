//! A sample agent for trying things out: stand-ins for the real programs.
//!
//! A small shell script on Linux and macOS, in archives where agents expect archives; on
//! Windows the smallest program there is. They answer `--help` with success and wait.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::package::msi::pe::{Machine, sample};
use crate::templates::{self, TemplateError};

/// The version that all stand-ins have.
pub const VERSION: &str = "1.0.0";

/// A file to be added to a repository.
pub struct Sample {
    /// Component: `orbit`.
    pub name: &'static str,
    /// Platform: `linux`.
    pub platform: &'static str,
    /// What the file is called, with the suffix that `updates add` looks at.
    pub file: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A stand-in could not be made: a fault of fleetpack.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The script's template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An archive in memory.
    #[error("cannot make the sample's archive")]
    Archive(#[from] io::Error),
}

/// The stand-ins for all components on all platforms.
pub fn agent() -> Result<Vec<Sample>, SampleError> {
    let mut samples = Vec::new();
    for platform in ["linux", "linux-arm64"] {
        for name in ["orbit", "osqueryd"] {
            samples.push(Sample::new(name, platform, name, script(name)?));
        }
        let desktop = archive(&["fleet-desktop/"], "fleet-desktop/fleet-desktop")?;
        samples.push(Sample::new("desktop", platform, "desktop.tar.gz", desktop));
    }
    samples.push(Sample::new("orbit", "macos", "orbit", script("orbit")?));
    let osquery = [
        "osquery.app/",
        "osquery.app/Contents/",
        "osquery.app/Contents/MacOS/",
    ];
    let osquery = archive(&osquery, "osquery.app/Contents/MacOS/osqueryd")?;
    samples.push(Sample::new(
        "osqueryd",
        "macos-app",
        "osqueryd.app.tar.gz",
        osquery,
    ));
    let desktop = [
        "Fleet Desktop.app/",
        "Fleet Desktop.app/Contents/",
        "Fleet Desktop.app/Contents/MacOS/",
    ];
    let desktop = archive(&desktop, "Fleet Desktop.app/Contents/MacOS/fleet-desktop")?;
    samples.push(Sample::new(
        "desktop",
        "macos",
        "desktop.app.tar.gz",
        desktop,
    ));
    for (platform, machine) in [
        ("windows", Machine::Amd64),
        ("windows-arm64", Machine::Arm64),
    ] {
        let program = sample::program(machine, Some([1, 0, 0, 0]));
        for (name, file) in [
            ("orbit", "orbit.exe"),
            ("osqueryd", "osqueryd.exe"),
            ("desktop", "fleet-desktop.exe"),
        ] {
            samples.push(Sample::new(name, platform, file, program.clone()));
        }
    }
    Ok(samples)
}

impl Sample {
    fn new(name: &'static str, platform: &'static str, file: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            name,
            platform,
            file,
            bytes,
        }
    }
}

fn script(name: &str) -> Result<Vec<u8>, TemplateError> {
    let data = json!({ "name": name, "version": VERSION });
    Ok(templates::render("sample/agent.sh", &data)?.into_bytes())
}

/// A `.tar.gz` of folders and one script.
fn archive(folders: &[&str], program: &str) -> Result<Vec<u8>, SampleError> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for folder in folders {
        let mut header = header(tar::EntryType::Directory, 0);
        tar.append_data(&mut header, folder, io::empty())?;
    }
    let script = script(name)?;
    let mut header = header(tar::EntryType::Regular, script.len() as u64);
    tar.append_data(&mut header, program, script.as_slice())?;
    Ok(tar.into_inner()?.finish()?)
}

fn header(kind: tar::EntryType, len: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(len);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::archive::{ArchiveError, Limits, walk};

    #[test]
    fn archives_are_what_agents_accept() {
        for sample in agent().unwrap() {
            if sample.file.ends_with(".tar.gz") {
                let walked =
                    walk::<ArchiveError>(&sample.bytes[..], Limits::default(), |_, _| Ok(()));
                assert!(walked.is_ok(), "{} {walked:?}", sample.file);
            }
        }
    }
}
