//! A whole release in a file: `updates add --manifest release.toml`.
//!
//! ```toml
//! version = "1.43.0"            # of all that follow, unless they say otherwise
//! tags = ["1.43", "1", "stable"]
//!
//! [[target]]
//! file = "build/orbit"          # relative to this file's folder
//! name = "orbit"
//! platform = "linux"
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CliError;
use crate::agent::release::Release;

/// Largest manifest that is read.
const LIMIT: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    target: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    file: PathBuf,
    name: String,
    platform: String,
    version: Option<String>,
    tags: Option<Vec<String>>,
}

/// The programs that a manifest names.
pub fn read(path: &Path) -> Result<Vec<Release>, CliError> {
    let shown = path.display();
    let bytes = crate::fs::read_limited(path, LIMIT)?
        .ok_or_else(|| CliError::usage(format!("{shown} does not exist"), "--manifest FILE"))?;
    let text = String::from_utf8_lossy(&bytes);
    let manifest: Manifest = toml::from_str(&text).map_err(|error| CliError::Usage {
        message: format!("{shown} is no manifest of a release: {}", one_line(&error)),
        hint: Some("[[target]] with file, name, platform, and version there or at the top".into()),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let releases = manifest.target.into_iter().map(|target| {
        let version = target.version.or_else(|| manifest.version.clone());
        let version = version.ok_or_else(|| {
            CliError::usage(
                format!("{shown} says no version for {}", target.file.display()),
                "version = \"1.2.3\" in its [[target]], or at the top",
            )
        })?;
        Ok(Release {
            file: folder.join(target.file),
            name: target.name,
            platform: target.platform,
            version,
            tags: target.tags.unwrap_or_else(|| manifest.tags.clone()),
        })
    });
    releases.collect()
}

// Line, column and message, without the excerpt.
fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    match (error.span(), text.lines().last()) {
        (Some(_), Some(last)) if last != first => format!("{first}: {last}"),
        _ => first,
    }
}
