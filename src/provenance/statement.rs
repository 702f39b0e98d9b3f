//! An in-toto statement (in-toto Attestation Framework v1) with SLSA provenance v1: which
//! installer was made by what, of which inputs, named by digest.
//!
//! Inputs are the targets, and the metadata documents by which they were verified. Parameters
//! are those that the installer itself shows; the enroll secret is none of them.

use serde_json::{Map, Value, json};

use crate::inspect::Report;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// Says how to read `externalParameters`.
const BUILD: &str = "urn:fleetpack:package:v1";

/// The statement, as one line of JSON.
pub fn statement(report: &Report) -> String {
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
                "externalParameters": parameters(report),
                "resolvedDependencies": inputs(report),
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

fn parameters(report: &Report) -> Value {
    let mut parameters = Map::new();
    parameters.insert("type".into(), report.format.into());
    parameters.insert("arch".into(), report.arch.as_str().into());
    parameters.insert("version".into(), report.version.as_str().into());
    if let Some(agent) = &report.agent {
        parameters.insert("fleetUrl".into(), json!(agent.fleet_url));
        parameters.insert("updateUrl".into(), json!(agent.update_url));
        parameters.insert("channels".into(), json!(agent.channels));
    }
    parameters.into()
}

fn inputs(report: &Report) -> Vec<Value> {
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
        digest.insert("sha512".into(), program.sha512.as_str().into());
        json!({
            "name": format!("targets/{}", program.target),
            "digest": digest,
            "annotations": { "version": program.version },
        })
    });
    documents.chain(targets).collect()
}
