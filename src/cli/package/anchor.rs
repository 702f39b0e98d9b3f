//! Where a repository is, and where trust in it begins: the root metadata of `--update-roots`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use url::Url;

use crate::agent::config::{FLEET_UPDATES, FLEET_UPDATES_FORMER};
use crate::cli::CliError;
use crate::fs;
use crate::hint::{bare, word};

/// The root metadata of Fleet's own repository; clients walk on from it to the newest.
const FLEET_ROOT: &[u8] = include_bytes!("fleet-root.json");

/// Limit of go-tuf for root metadata.
const ROOT_LIMIT: u64 = 512_000;

const HOW: &str = "fleetpack updates roots > root.json, then --update-roots @root.json";

/// The address of a repository, as a person gave it.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    /// The flag that it follows, when it follows one.
    pub flag: Option<&'static str>,
    /// URL or folder.
    pub url: &'a str,
}

impl Address<'_> {
    /// Refuses the folder around a repository: what else lies there is not published.
    pub fn check(self) -> Result<(), CliError> {
        let Some(around) = self.folder() else {
            return Ok(());
        };
        let published = around.join("repository");
        let is_one =
            !around.join("timestamp.json").exists() && published.join("root.json").exists();
        if !is_one {
            return Ok(());
        }
        let shown = |path: &Path| word(&path.display().to_string());
        Err(CliError::usage(
            format!(
                "{} holds no timestamp.json: what is published is {}",
                around.display(),
                published.display()
            ),
            match self.flag {
                Some(flag) => format!("{flag} {}", shown(&published)),
                None => format!("--path {}", shown(&around)),
            },
        ))
    }

    fn folder(self) -> Option<PathBuf> {
        if !self.url.contains("://") {
            return Some(self.url.into());
        }
        let url = Url::parse(self.url)
            .ok()
            .filter(|url| url.scheme() == "file")?;
        url.to_file_path().ok()
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flag {
            Some(flag) => write!(f, "{flag} {}", bare(self.url)),
            None => f.write_str(&bare(self.url)),
        }
    }
}

/// The trust anchor for an address: what was given, or the pinned one of Fleet's repository.
pub fn of(given: Option<&str>, address: Address<'_>) -> Result<Vec<u8>, CliError> {
    address.check()?;
    let trimmed = address.url.trim_end_matches('/');
    match given {
        Some(given) => parsed(given),
        None if [FLEET_UPDATES, FLEET_UPDATES_FORMER].contains(&trimmed) => Ok(FLEET_ROOT.to_vec()),
        None => Err(CliError::usage(
            format!("{address} needs --update-roots: trust in a repository begins elsewhere"),
            HOW,
        )),
    }
}

/// What `--update-roots` gives.
pub fn parsed(given: &str) -> Result<Vec<u8>, CliError> {
    let bytes = match given.strip_prefix('@') {
        Some(path) => fs::read_limited(Path::new(path), ROOT_LIMIT)?.ok_or_else(|| {
            CliError::usage(format!("--update-roots: {path} does not exist"), HOW)
        })?,
        None => given.as_bytes().to_vec(),
    };
    let wrong = |what: &str| CliError::usage(format!("--update-roots {what}"), HOW);
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_)) => Ok(bytes),
        Ok(Value::Array(_)) => Err(wrong(
            "is a list of keys, as fleetctl printed long ago; it takes the whole root metadata",
        )),
        Ok(_) => Err(wrong("is no root metadata")),
        Err(_) if Path::new(given).exists() => Err(CliError::usage(
            format!("--update-roots {given} is a file's name"),
            format!("--update-roots @{given}"),
        )),
        Err(_) => Err(wrong("is no JSON")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Hint;

    type Case<'a> = (&'a str, Option<&'a str>, &'a str, Result<(), &'a str>);

    #[test]
    fn anchors() {
        let mine = "https://updates.example.com";
        let cases: &[Case<'_>] = &[
            ("Fleet's own", None, "https://updates.fleetdm.com", Ok(())),
            ("with a slash", None, "https://updates.fleetdm.com/", Ok(())),
            ("its old name", None, "https://tuf.fleetctl.com", Ok(())),
            ("given", Some("{}"), mine, Ok(())),
            (
                "none",
                None,
                mine,
                Err(
                    "--update-url https://updates.example.com needs --update-roots: trust in a repository begins elsewhere",
                ),
            ),
            (
                "old keys",
                Some("[]"),
                mine,
                Err(
                    "--update-roots is a list of keys, as fleetctl printed long ago; it takes the whole root metadata",
                ),
            ),
            ("no JSON", Some("x"), mine, Err("--update-roots is no JSON")),
            (
                "a number",
                Some("1"),
                mine,
                Err("--update-roots is no root metadata"),
            ),
            (
                "no file",
                Some("@/nonexistent"),
                mine,
                Err("--update-roots: /nonexistent does not exist"),
            ),
        ];
        for (name, given, url, expected) in cases {
            let flag = Some("--update-url");
            let found = of(*given, Address { flag, url })
                .map(|_| ())
                .map_err(|e| e.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{name}");
        }
    }
    #[test]
    fn the_folder_around_a_repository_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let around = folder.path().to_str().unwrap();
        let check = |flag, url: &str| {
            let error = Address { flag, url }.check().err()?;
            error.hint()
        };
        let flag = Some("--from");
        std::fs::create_dir(folder.path().join("repository")).unwrap();
        assert_eq!(check(flag, around), None);
        std::fs::write(folder.path().join("repository/root.json"), "{}").unwrap();
        let published = format!("--from {around}/repository");
        assert_eq!(check(flag, around), Some(published.clone()));
        assert_eq!(check(flag, &format!("file://{around}")), Some(published));
        assert_eq!(check(None, around), Some(format!("--path {around}")));
        assert_eq!(check(flag, &format!("{around}/repository")), None);
        std::fs::write(folder.path().join("timestamp.json"), "{}").unwrap();
        assert_eq!(check(flag, around), None);
    }
}
