//! Where fleetpack's own releases come from, for machines.
//!
//! ```text
//! cargo tree --edges normal,build --prefix none --format '{p}|{l}' |
//!     cargo run --example own_provenance -- bill FILE
//! cargo run --example own_provenance -- statement SHA256SUMS COMMIT LOCK
//! ```
//!
//! The first prints a bill of materials (CycloneDX 1.5) of FILE: the crates that its program is
//! compiled from and by, as cargo resolves them for one target. The second prints an in-toto statement with SLSA provenance: the files that SHA256SUMS lists were made from this
//! commit with this lock file. The time in a bill is `SOURCE_DATE_EPOCH`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use aws_lc_rs::digest;
use cyclonedx_bom::external_models::date_time::DateTime;
use cyclonedx_bom::external_models::spdx::SpdxExpression;
use cyclonedx_bom::external_models::uri::Purl;
use cyclonedx_bom::models::bom::{Bom, SpecVersion, UrnUuid};
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

type Failed = Box<dyn Error>;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut printed = match args[..] {
        ["bill", file] => bill(Path::new(file), &std::io::read_to_string(std::io::stdin())?)?,
        ["statement", sums, commit, lock] => statement(sums, commit, Path::new(lock))?.into_bytes(),
        _ => return Err("own_provenance bill FILE | statement SHA256SUMS COMMIT LOCK".into()),
    };
    printed.push(b'\n');
    std::io::stdout().write_all(&printed)?;
    Ok(())
}

fn sha256(file: &Path) -> Result<String, Failed> {
    let bytes = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(hex::encode(digest::digest(&digest::SHA256, &bytes)))
}

fn name(file: &Path) -> String {
    file.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn bill(file: &Path, tree: &str) -> Result<Vec<u8>, Failed> {
    let digest = sha256(file)?;
    let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds.parse()?,
        Err(_) => 0,
    };
    let mut subject = Component::new(
        Classification::Application,
        &name(file),
        env!("CARGO_PKG_VERSION"),
        Some(digest.clone()),
    );
    subject.hashes = Some(Hashes(vec![Hash {
        alg: HashAlgorithm::SHA_256,
        content: HashValue(digest.clone()),
    }]));
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, digest.as_bytes());
    let bill = Bom {
        serial_number: Some(UrnUuid::from(id)),
        metadata: Some(Metadata {
            timestamp: Some(DateTime::try_from(
                Timestamp::from_second(epoch)?.to_string(),
            )?),
            component: Some(subject),
            ..Metadata::default()
        }),
        components: Some(Components(crates(tree)?)),
        ..Bom::default()
    };
    let mut text = Vec::new();
    bill.output_as_json(&mut text, SpecVersion::V1_5)?;
    Ok(text)
}

/// One crate a line: `NAME vVERSION|LICENCE`, with more words behind the version for some; each
/// but fleetpack itself is a component, once.
fn crates(tree: &str) -> Result<Vec<Component>, Failed> {
    let mut crates = BTreeMap::new();
    for line in tree.lines() {
        let (package, licence) = line.rsplit_once('|').unwrap_or_default();
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (
            words.next(),
            words.next().and_then(|word| word.strip_prefix('v')),
        ) else {
            return Err(format!("{line:?} is no line of `cargo tree`").into());
        };
        if name != env!("CARGO_PKG_NAME") {
            // A crate that is named for the second time ends in a star.
            let licence = licence.trim_end_matches(" (*)");
            crates.insert((name, version), licence);
        }
    }
    let components = crates.into_iter().map(|((name, version), licence)| {
        let url = Purl::new("cargo", name, version)?;
        let mut component = Component::new(
            Classification::Library,
            name,
            version,
            Some(url.to_string()),
        );
        component.purl = Some(url);
        // An old way to write "or".
        let licence = licence.replace(" / ", " OR ").replace('/', " OR ");
        if let Ok(licence) = SpdxExpression::try_from(licence) {
            component.licenses = Some(Licenses(vec![LicenseChoice::Expression(licence)]));
        }
        Ok(component)
    });
    components.collect()
}

fn statement(sums: &str, commit: &str, lock: &Path) -> Result<String, Failed> {
    let text = std::fs::read_to_string(sums).map_err(|e| format!("cannot read {sums}: {e}"))?;
    let subjects = text.lines().map(|line| {
        let (digest, name) = line
            .split_once("  ")
            .ok_or_else(|| format!("{sums} is not what sha256sum prints"))?;
        Ok(json!({ "name": name, "digest": { "sha256": digest } }))
    });
    let subjects: Vec<Value> = subjects.collect::<Result<_, String>>()?;
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:fleetpack:release:v1",
                "externalParameters": { "version": env!("CARGO_PKG_VERSION") },
                "resolvedDependencies": [
                    { "name": "commit", "digest": { "gitCommit": commit } },
                    { "name": name(lock), "digest": { "sha256": sha256(lock)? } },
                ],
            },
            "runDetails": { "builder": { "id": "urn:fleetpack:packaging/release.sh" } },
        },
    });
    Ok(statement.to_string())
}
