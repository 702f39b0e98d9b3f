//! An in-toto statement (in-toto Attestation Framework v1) with SLSA provenance v1: which
//! installer was made by what, of which inputs, named by digest.
//!
//! Inputs are the targets, the metadata documents by which they were verified, certificates and
//! an administrator's scripts. Parameters are those that the installer itself shows, and the time
//! in it; the enroll secret is none of them. Addresses are written without a user's name and
//! password and what follows `?`, for everybody may read a statement. Files that may hold secrets
//! are named without digest, as one could be guessed by it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::hint::{bare, bare_within};
use crate::inspect::{Agent, Installed, Report};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// Says how to read `externalParameters`.
const BUILD: &str = "urn:fleetpack:package:v1";

/// Files that an administrator may give, below the agent's folder, and what the agent is told to
/// trust.
const PUBLIC: [&str; 5] = [
    "certs.pem",
    "fleet.pem",
    "fleet_client.crt",
    "update.pem",
    "update_client.crt",
];
const SECRET: [&str; 3] = ["fleet_client.key", "osquery.flags", "update_client.key"];

/// What the installer does not show by itself.
pub struct Circumstances<'a> {
    /// Seconds since 1970 in the installer.
    pub epoch: u64,
    /// An administrator's scripts: when each runs, and its sha256 in hex.
    pub scripts: &'a [(&'a str, String)],
}

/// The statement, as one line of JSON.
pub fn statement(report: &Report, circumstances: &Circumstances<'_>) -> String {
    let statement = json!({
        "_type": STATEMENT,
        "subject": [{
            "name": report.file.name,
            "digest": { "sha256": report.file.sha256 },
        }],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": parameters(report, circumstances.epoch),
                "resolvedDependencies": inputs(report, circumstances.scripts),
            },
            "runDetails": {
                "builder": {
                    "id": "urn:fleetpack",
                    "version": { "fleetpack": env!("CARGO_PKG_VERSION") },
                },
            },
        },
    });
    format!("{statement}\n")
}

fn parameters(report: &Report, epoch: u64) -> Value {
    let mut parameters = Map::new();
    parameters.insert("type".into(), report.format.into());
    parameters.insert("arch".into(), report.arch.as_str().into());
    parameters.insert("version".into(), report.version.as_str().into());
    parameters.insert("sourceDateEpoch".into(), epoch.into());
    if let Some(agent) = &report.agent {
        parameters.insert(
            "fleetUrl".into(),
            json!(agent.fleet_url.as_deref().map(bare)),
        );
        parameters.insert(
            "updateUrl".into(),
            json!(agent.update_url.as_deref().map(bare)),
        );
        parameters.insert("channels".into(), json!(agent.channels));
        parameters.insert("variables".into(), variables(agent));
        let undisclosed: BTreeSet<_> = given(report, &SECRET).map(|(name, _)| name).collect();
        parameters.insert("undisclosedFiles".into(), json!(undisclosed));
    }
    parameters.into()
}

/// Those of the agent, with the addresses among them bare.
fn variables(agent: &Agent) -> Value {
    let variables = agent.variables.iter();
    let variables = variables.map(|(name, value)| (name.clone(), bare_within(value).into()));
    Value::Object(variables.collect())
}

/// Those of the files that are inside, by their names below the agent's folder.
fn given<'a>(
    report: &'a Report,
    names: &'a [&'a str],
) -> impl Iterator<Item = (&'a str, &'a Installed)> {
    let files = report.files.iter().filter_map(move |file| {
        let path = file.path.strip_prefix("/opt/orbit/");
        let path = path.unwrap_or(&file.path);
        names.contains(&path).then_some((path, file))
    });
    files.filter(|(_, file)| file.kind == "file")
}

fn inputs(report: &Report, scripts: &[(&str, String)]) -> Vec<Value> {
    let Some(agent) = &report.agent else {
        return Vec::new();
    };
    let documents = agent.trust.iter().flat_map(|trust| {
        let others = [
            ("timestamp.json", &trust.timestamp),
            ("snapshot.json", &trust.snapshot),
            ("targets.json", &trust.targets),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, document)| Some((name, document.as_ref()?)));
        std::iter::once(("root.json", &trust.root)).chain(others)
    });
    let documents = documents.map(|(name, document)| {
        json!({
            "name": name,
            "digest": { "sha256": document.sha256 },
            "annotations": { "version": document.version },
        })
    });
    let targets = agent.components.iter().map(|program| {
        let mut digest = Map::new();
        if let Some(sha256) = &program.sha256 {
            digest.insert("sha256".into(), sha256.as_str().into());
        }
        if let Some(sha512) = &program.sha512 {
            digest.insert("sha512".into(), sha512.as_str().into());
        }
        json!({
            "name": format!("targets/{}", program.target),
            "digest": digest,
            "annotations": { "version": program.version },
        })
    });
    let files = given(report, &PUBLIC)
        .filter_map(|(name, file)| Some((name.to_owned(), file.sha256.as_ref()?)));
    let scripts = scripts
        .iter()
        .map(|(when, sha256)| (format!("scripts/{when}"), sha256));
    let others = files
        .chain(scripts)
        .map(|(name, sha256)| json!({ "name": name, "digest": { "sha256": sha256 } }));
    documents.chain(targets).chain(others).collect()
}
