//! Where trust begins: the root metadata of `--update-roots`.

use std::path::Path;

use serde_json::Value;

use crate::agent::config::{FLEET_UPDATES, FLEET_UPDATES_FORMER};
use crate::cli::CliError;
use crate::fs;
use crate::hint::bare;

/// The root metadata of Fleet's own repository; clients walk on from it to the newest.
const FLEET_ROOT: &[u8] = include_bytes!("fleet-root.json");

/// Limit of go-tuf for root metadata.
const ROOT_LIMIT: u64 = 512_000;

const HOW: &str = "fleetpack updates roots > root.json, then --update-roots @root.json";

/// The trust anchor for `url`: what was given, or the pinned one of Fleet's repository.
pub fn of(given: Option<&str>, url: &str) -> Result<Vec<u8>, CliError> {
    let trimmed = url.trim_end_matches('/');
    match given {
        Some(given) => parse(given),
        None if [FLEET_UPDATES, FLEET_UPDATES_FORMER].contains(&trimmed) => Ok(FLEET_ROOT.to_vec()),
        None => Err(CliError::usage(
            format!(
                "--update-url {} needs --update-roots: trust in a repository begins elsewhere",
                bare(url)
            ),
            HOW,
        )),
    }
}

fn parse(given: &str) -> Result<Vec<u8>, CliError> {
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
            let found = of(*given, url).map(|_| ()).map_err(|e| e.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{name}");
        }
    }
}
