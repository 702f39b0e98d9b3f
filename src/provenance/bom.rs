//! CycloneDX 1.5: the installer as the subject, the agent's programs as components.
//!
//! Written by `cyclonedx-bom`. The serial number is a version 5 UUID of the installer's digest
//! and the time is the one that was asked for, so that the same installer has the same bill.

use cyclonedx_bom::external_models::date_time::DateTime;
use cyclonedx_bom::external_models::normalized_string::NormalizedString;
use cyclonedx_bom::models::bom::{Bom, SpecVersion, UrnUuid};
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::models::tool::{Tool, Tools};
use jiff::Timestamp;
use uuid::Uuid;

use crate::inspect::Report;

/// A bill of materials could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the bill of materials of {name}")]
pub struct BomError {
    /// The installer.
    pub name: String,
    /// What the library said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The bill of materials of an installer, as JSON; `built` is the time that it bears.
pub fn bom(report: &Report, built: Timestamp) -> Result<Vec<u8>, BomError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| BomError {
        name: report.file.name.clone(),
        source,
    };
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, report.file.sha256.as_bytes());
    let time = DateTime::try_from(built.to_string()).map_err(|e| failed(Box::new(e)))?;
    let bill = Bom {
        serial_number: Some(UrnUuid::from(id)),
        metadata: Some(Metadata {
            timestamp: Some(time),
            tools: Some(Tools::List(vec![Tool::new(
                "fleetpack",
                "fleetpack",
                env!("CARGO_PKG_VERSION"),
            )])),
            component: Some(installer(report)),
            ..Metadata::default()
        }),
        components: Some(Components(programs(report))),
        ..Bom::default()
    };
    let mut text = Vec::new();
    bill.output_as_json(&mut text, SpecVersion::V1_5)
        .map_err(|e| failed(Box::new(e)))?;
    text.push(b'\n');
    Ok(text)
}

fn installer(report: &Report) -> Component {
    let mut component = Component::new(
        Classification::Application,
        &report.file.name,
        &report.version,
        Some(report.file.sha256.clone()),
    );
    component.hashes = Some(Hashes(vec![sha256(&report.file.sha256)]));
    component.properties = Some(Properties(vec![
        Property::new("fleetpack:format", report.format),
        Property::new("fleetpack:arch", &report.arch),
    ]));
    component
}

fn programs(report: &Report) -> Vec<Component> {
    let Some(agent) = &report.agent else {
        return Vec::new();
    };
    let programs = agent.components.iter().map(|program| {
        let mut component = Component::new(
            Classification::Application,
            &program.name,
            program.version.as_deref().unwrap_or("unknown"),
            Some(program.target.clone()),
        );
        component.group = Some(NormalizedString::new("fleetdm"));
        let mut hashes: Vec<_> = program.sha256.iter().map(|hex| sha256(hex)).collect();
        hashes.extend(program.sha512.iter().map(|hex| Hash {
            alg: HashAlgorithm::SHA_512,
            content: HashValue(hex.clone()),
        }));
        component.hashes = Some(Hashes(hashes));
        component.properties = Some(Properties(vec![
            Property::new("fleetpack:target", &program.target),
            Property::new("fleetpack:platform", &program.platform),
            Property::new("fleetpack:channel", &program.channel),
        ]));
        component
    });
    programs.collect()
}

fn sha256(hex: &str) -> Hash {
    Hash {
        alg: HashAlgorithm::SHA_256,
        content: HashValue(hex.to_owned()),
    }
}
