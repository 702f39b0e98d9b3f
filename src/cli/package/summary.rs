//! What a run made: for people in one look, for programs as one JSON object
//! (`docs/schema/package.json`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::{Map, Value};

use super::build::Built;
use super::naming;
use crate::agent::config::Config;
use crate::cli::units::time;
use crate::cli::{CliError, progress};
use crate::fs;
use crate::hint::bare;
use crate::steps::{self, Kind, Told};

pub use crate::cli::units::size;

/// See the head of this file.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    packages: Vec<Package<'a>>,
    files: Vec<String>,
    milliseconds: Value,
    #[serde(skip)]
    phases: (Vec<(String, Duration)>, Duration),
}

#[derive(Debug, Serialize)]
struct Package<'a> {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    arch: &'static str,
    version: &'a str,
    size: u64,
    sha256: String,
    components: Vec<Component<'a>>,
    files: Vec<String>,
    left_out: &'a [&'static str],
}

#[derive(Debug, Serialize)]
struct Component<'a> {
    name: String,
    version: Option<&'a str>,
    channel: &'a str,
    sha512: &'a str,
}

impl<'a> Summary<'a> {
    /// Reads the digests of what was made; `files` are those beside all of it.
    pub fn of(installers: &'a [Built], files: &[std::path::PathBuf]) -> Result<Self, CliError> {
        let phase = steps::phase("hashing");
        let packages = installers.iter().map(package).collect::<Result<_, _>>()?;
        drop(phase);
        let phases = progress::spent();
        Ok(Self {
            packages,
            files: files.iter().map(|file| shown(file)).collect(),
            milliseconds: milliseconds(&phases),
            phases,
        })
    }

    /// The lines, for people.
    pub fn lines(&self, config: &Config) -> Vec<String> {
        let mut lines: Vec<String> = self.packages.iter().flat_map(Package::lines).collect();
        lines.push(match &config.enrollment {
            Some(enrollment) => format!(
                "for {}, updates from {}; the enroll secret is inside: keep it where only hosts get it",
                bare(&enrollment.url),
                bare(&config.update_url)
            ),
            None => format!(
                "updates from {}; no enroll secret inside",
                bare(&config.update_url)
            ),
        });
        if let [_, _, ..] = &self.packages[..] {
            let bytes = self.packages.iter().map(|package| package.size).sum();
            let count = self.packages.len();
            lines.push(format!("{count} installers, {} in all", size(bytes)));
        }
        // With --verbose there is a longer line of the same at the end.
        if !progress::is_verbose() {
            lines.push(self.took());
        }
        lines
    }

    fn took(&self) -> String {
        let (phases, all) = &self.phases;
        let phases = phases.iter();
        let phases: Vec<_> = phases
            .map(|(what, spent)| format!("{what} {}", time(*spent)))
            .collect();
        format!("took {}: {}", time(*all), phases.join(", "))
    }
}

impl Package<'_> {
    fn lines(&self) -> Vec<String> {
        let inside: Vec<_> = self
            .components
            .iter()
            .map(|one| {
                let version = one.version.unwrap_or("of unknown version");
                format!("{} {version} ({})", one.name, one.channel)
            })
            .collect();
        let name = Path::new(&self.path).file_name().unwrap_or_default();
        let mut lines = vec![
            format!("{}: {}", name.display(), size(self.size)),
            format!("  sha256 {}", self.sha256),
            format!("  inside {}", inside.join(", ")),
        ];
        if !self.left_out.is_empty() {
            let flags = self.left_out.join(", ");
            lines.push(format!("  {flags} does not apply to {}", self.kind));
        }
        lines
    }
}

fn package(built: &Built) -> Result<Package<'_>, CliError> {
    let components = built.programs.iter().map(|program| Component {
        name: program.target.component.to_string(),
        version: program.version.as_deref(),
        channel: &program.channel,
        sha512: &program.sha512,
    });
    let path = &built.path;
    Ok(Package {
        path: shown(path),
        kind: built.format.word(),
        arch: naming::arch(built.arch),
        version: &built.tree.identity.version,
        size: built.size,
        sha256: sha256_of(path).map_err(|e| fs::naming(e, "read", path))?,
        components: components.collect(),
        files: built.beside.iter().map(|file| shown(file)).collect(),
        left_out: &built.left_out,
    })
}

fn milliseconds((phases, all): &(Vec<(String, Duration)>, Duration)) -> Value {
    let number = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into();
    let mut object: Map<String, Value> = phases
        .iter()
        .map(|(what, spent)| (what.replace(' ', "_"), number(spent)))
        .collect();
    object.insert("total".into(), number(all));
    object.into()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The digest of a file's bytes, lower-case hex.
fn sha256_of(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut file = Told::new(file, Kind::Hash, &shown(path), Some(length));
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(context.finish())),
            got => context.update(&buffer[..got]),
        }
    }
}
