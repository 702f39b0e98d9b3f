//! Programs of other people that we are measured against, in the versions of `ci/versions`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// nfpm and go-tuf's command, built from the Go module proxy when they are not there yet.
/// Their sums are checked against the public checksum database.
pub struct Rivals {
    pub nfpm: PathBuf,
    pub tuf: PathBuf,
}

impl Rivals {
    pub fn install(folder: &Path) -> Result<Self, String> {
        let versions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/versions");
        let versions = std::fs::read_to_string(versions).map_err(|e| e.to_string())?;
        let version = |name: &str| {
            versions
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| format!("ci/versions has no {name}"))
        };
        let nfpm = version("NFPM")?;
        let tuf = version("GO_TUF")?;
        Ok(Self {
            nfpm: go_install(folder, "github.com/goreleaser/nfpm/v2/cmd/nfpm", nfpm)?,
            tuf: go_install(folder, "github.com/theupdateframework/go-tuf/cmd/tuf", tuf)?,
        })
    }
}

/// `GOBIN=folder/VERSION go install PACKAGE@vVERSION`.
fn go_install(folder: &Path, package: &str, version: &str) -> Result<PathBuf, String> {
    let (_, name) = package.rsplit_once('/').unwrap_or(("", package));
    let folder = folder.join(format!("{name}-{version}"));
    let program = folder.join(name);
    if program.exists() {
        return Ok(program);
    }
    eprintln!("building {package} {version}");
    let done = Command::new("go")
        .args(["install", &format!("{package}@v{version}")])
        .env("GOBIN", &folder)
        .output()
        .map_err(|e| format!("go: {e}"))?;
    match done.status.success() {
        true => Ok(program),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

/// Whether a program is in the search path.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
