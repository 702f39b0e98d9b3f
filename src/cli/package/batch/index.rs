//! `packages.json`: what a run made and what it could not, for the programs that take the
//! installers further. Its shape is `docs/schema/packages.json`. It holds no secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest;
use serde::Serialize;
use serde_json::Value;

use super::work::Made;
use super::{Failure, Shard};
use crate::cli::CliError;
use crate::fs;
use crate::provenance::checksums;

/// Names of the files with what holds for all of a run's installers; a share has some of its
/// own, as all may write into one folder.
pub struct Names {
    /// `packages.json`.
    pub index: String,
    /// `SHA256SUMS`.
    pub sums: String,
}

impl Names {
    /// Those of a share, or of a run without shares.
    pub fn of(shard: Option<Shard>) -> Self {
        let own = shard.map(|shard| format!("-{}", shard.to_string().replace('/', "-of-")));
        let own = own.unwrap_or_default();
        Self {
            index: format!("packages{own}.json"),
            sums: format!("SHA256SUMS{own}"),
        }
    }
}

/// Writes the installers' checksums, with their names below the folder.
pub fn write_sums(path: &Path, made: &[Made]) -> Result<(), CliError> {
    let sums: Vec<String> = made.iter().map(|made| hex::encode(made.sha256)).collect();
    let names = made.iter().map(|made| made.name.as_str());
    let text = checksums(names.zip(sums.iter().map(String::as_str)));
    fs::write_atomic(path, text.as_bytes(), 0o644).map_err(CliError::Place)
}

#[derive(Serialize)]
struct Document<'a> {
    packages: Vec<Package<'a>>,
    failures: Vec<Failed<'a>>,
}

#[derive(Serialize)]
struct Package<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    arch: &'static str,
    team: &'a str,
    size: u64,
    sha256: String,
    components: Vec<Component<'a>>,
}

#[derive(Serialize)]
struct Component<'a> {
    name: String,
    version: Option<&'a str>,
    channel: &'a str,
    sha512: &'a str,
}

#[derive(Serialize)]
struct Failed<'a> {
    team: &'a str,
    installers: &'a [String],
    error: &'a str,
}

/// Writes the document, and gives it back.
pub fn write(path: &Path, made: &[Made], failures: &[Failure]) -> Result<Value, CliError> {
    let document = Document {
        packages: made.iter().map(package).collect(),
        failures: failures
            .iter()
            .map(|failure| Failed {
                team: &failure.team,
                installers: &failure.installers,
                error: failure.report.trim_end(),
            })
            .collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&document).map_err(io::Error::other)?;
    bytes.push(b'\n');
    fs::write_atomic(path, &bytes, 0o644).map_err(CliError::Place)?;
    Ok(serde_json::to_value(&document).map_err(io::Error::other)?)
}

fn package(made: &Made) -> Package<'_> {
    let components = made.fetched.programs.iter().map(|program| Component {
        name: program.target.component.to_string(),
        version: program.version.as_deref(),
        channel: &program.channel,
        sha512: &program.sha512,
    });
    Package {
        name: &made.name,
        kind: made.format.word(),
        arch: made.arch,
        team: &made.team,
        size: made.size,
        sha256: hex::encode(made.sha256),
        components: components.collect(),
    }
}

/// The digest of a file's bytes.
pub fn sha256_of(mut file: File) -> io::Result<[u8; 32]> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => context.update(&buffer[..read]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    Ok(sha256)
}
