//! The agent's folder on a host: what is the same on all systems.
//!
//! `/opt/orbit` on Linux and macOS, `%ProgramFiles%\Orbit` on Windows; below it the programs
//! under `bin/<component>/<platform>/<channel>/`, the verified metadata, certificates and
//! osquery's flags. Modes are those that orbit enforces when it starts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::AgentError;
use super::component::Component;
use super::config::{ClientFiles, Config};
use super::environment::ROOT;
use super::fetched::{Documents, Fetched, Program};
use crate::install::{Content, Entry};

/// The first orbit that does without the archives of unpacked targets.
const ARCHIVES_LEFT_OUT_SINCE: [u64; 2] = [1, 49];

/// The service's program on Linux and macOS: a link to the packaged orbit.
pub const PROGRAM: &str = "/opt/orbit/bin/orbit/orbit";

/// The link at [`PROGRAM`]. orbit compares its text with the path that it expects.
pub fn program_link(fetched: &Fetched) -> Result<Entry, AgentError> {
    let orbit = fetched.program(Component::Orbit)?;
    let target = format!("{ROOT}/bin/{}", orbit.target.name(&orbit.channel));
    Ok(Entry::link(PROGRAM, target))
}

/// Entries below `root` (without a trailing slash; empty on Windows).
pub fn entries(root: &str, config: &Config, fetched: &Fetched) -> Result<Vec<Entry>, AgentError> {
    let at = |path: &str| match root {
        "" => path.to_owned(),
        root => format!("{root}/{path}"),
    };
    let keep_archives = wants_archives(fetched);
    let mut entries = Vec::new();
    for program in &fetched.programs {
        let folder = format!("bin/{}", program.target.folder(&program.channel));
        program_entries(&at(&folder), program, keep_archives, &mut entries);
    }
    documents(&at, &fetched.documents, &mut entries)?;
    entries.push(Entry::customer(at("certs.pem"), 0o644, mozilla_bundle()));
    configured(&at, config, &mut entries);
    Ok(entries)
}

fn program_entries(folder: &str, program: &Program, keep_archive: bool, entries: &mut Vec<Entry>) {
    let file = format!("{folder}/{}", program.target.file);
    if program.target.unpacked.is_none() {
        entries.push(Entry::file(
            file,
            0o755,
            Content::Shared(program.file.clone()),
        ));
        return;
    }
    for member in &program.unpacked {
        let path = format!("{folder}/{}", member.path);
        entries.push(match &member.contents {
            // orbit wants 0755 on every directory below its root.
            None => Entry::directory(path),
            Some(contents) => Entry::file(path, member.mode, Content::Shared(contents.clone())),
        });
    }
    // Always there and always right: a stale one of an older installation misleads orbit.
    let digest = format!("{file}.sha512");
    entries.push(Entry::customer(digest, 0o644, program.sha512.as_bytes()));
    if keep_archive {
        entries.push(Entry::file(
            file,
            0o755,
            Content::Shared(program.file.clone()),
        ));
    }
}

fn documents(
    at: &dyn Fn(&str) -> String,
    documents: &Documents,
    entries: &mut Vec<Entry>,
) -> Result<(), AgentError> {
    let json = documents.to_json().map_err(AgentError::Documents)?;
    // orbit before 1.38 reads the first, later ones the second.
    for name in ["tuf-metadata.json", "updates-metadata.json"] {
        entries.push(Entry::customer(at(name), 0o600, json.clone()));
    }
    Ok(())
}

fn configured(at: &dyn Fn(&str) -> String, config: &Config, entries: &mut Vec<Entry>) {
    let public = [
        ("fleet.pem", &config.fleet_certificate),
        ("update.pem", &config.update_certificate),
    ];
    for (name, pem) in public {
        if let Some(pem) = pem {
            entries.push(Entry::customer(at(name), 0o644, pem.clone()));
        }
    }
    // An empty one would wipe an operator's flags on upgrade: only a given one is shipped.
    if let Some(flags) = &config.osquery_flagfile {
        entries.push(Entry::customer(at("osquery.flags"), 0o600, flags.clone()).secret());
    }
    let clients = [
        ("fleet_client", &config.fleet_client),
        ("update_client", &config.update_client),
    ];
    for (name, files) in clients {
        if let Some(ClientFiles { certificate, key }) = files {
            let (crt, pem) = (format!("{name}.crt"), format!("{name}.key"));
            entries.push(Entry::customer(at(&crt), 0o600, certificate.clone()));
            entries.push(Entry::customer(at(&pem), 0o600, key.to_vec()).secret());
        }
    }
}

/// Whether the orbit that is packaged hashes archives itself: one before 1.49, or one of
/// unknown version.
fn wants_archives(fetched: &Fetched) -> bool {
    let orbit = |program: &&Program| program.target.component == Component::Orbit;
    let version = fetched
        .programs
        .iter()
        .find(orbit)
        .and_then(|p| p.version.as_deref());
    version
        .and_then(major_minor)
        .is_none_or(|v| v < ARCHIVES_LEFT_OUT_SINCE)
}

fn major_minor(version: &str) -> Option<[u64; 2]> {
    let mut fields = version.trim_start_matches('v').split(['.', '-', '+']);
    Some([fields.next()?.parse().ok()?, fields.next()?.parse().ok()?])
}

/// Mozilla's certificate authorities as PEM, for osquery.
fn mozilla_bundle() -> String {
    let mut pem = String::new();
    for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let text = STANDARD.encode(der.as_ref());
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for start in (0..text.len()).step_by(64) {
            pem.push_str(&text[start..text.len().min(start + 64)]);
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_want_archives() {
        for (version, fields) in [
            ("1.48.2", Some([1, 48])),
            ("1.49.0", Some([1, 49])),
            ("v2.0.0-rc1", Some([2, 0])),
            ("stable", None),
            ("7", None),
        ] {
            assert_eq!(major_minor(version), fields, "{version}");
        }
    }

    #[test]
    fn the_bundle_is_pem() {
        let found = crate::store::tls::certificates(mozilla_bundle().as_bytes(), "bundle");
        let count = found.map(|found| found.len()).ok();
        assert_eq!(count, Some(webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()));
    }
}
