//! The agent on Linux: its folder, a systemd unit, its settings in `/etc/default/orbit`.

use serde_json::json;

use super::environment::{ROOT, variables};
use super::fetched::Fetched;
use super::layout::{self, PROGRAM};
use super::linux_lifecycle::{LEFTOVERS, lifecycle};
use super::{AgentError, config::Config};
use crate::install::{Entry, Identity, Os, Service, Tree};
use crate::templates::{self, TemplateError, escape::systemd_env};

const CPU_QUOTA: u32 = 20;

/// Everything that an installer for Linux puts on a host. `config` was checked and limited
/// to [`Os::Linux`].
pub fn tree(config: &Config, fetched: &Fetched, identity: Identity) -> Result<Tree, AgentError> {
    let mut entries = layout::entries(ROOT, config, fetched)?;
    entries.push(layout::program_link(fetched)?);
    entries.push(Entry::link("/usr/local/bin/orbit", PROGRAM));
    entries.push(Entry::directory("/var/log/orbit"));
    entries.push(Entry::directory("/var/log/osquery"));
    entries.push(Entry::customer(
        "/usr/lib/systemd/system/orbit.service",
        0o644,
        unit(config)?,
    ));
    entries.push(Entry::customer("/etc/default/orbit", 0o600, settings(config)?).secret());
    Ok(Tree {
        os: Os::Linux,
        identity,
        entries: Tree::settle(Os::Linux, entries)?,
        service: Some(Service {
            name: "orbit.service".into(),
            program: PROGRAM.into(),
            start: config.service,
        }),
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle: lifecycle(config.service)?,
        leftovers: LEFTOVERS.map(String::from).to_vec(),
        windows: None,
    })
}

fn unit(config: &Config) -> Result<String, AgentError> {
    let quota = config.cpu_quota.unwrap_or(CPU_QUOTA);
    Ok(templates::render(
        "linux/orbit.service",
        &json!({ "cpu_quota": quota }),
    )?)
}

fn settings(config: &Config) -> Result<String, AgentError> {
    let variables = variables(config, Os::Linux);
    for variable in &variables {
        // In the template all values have one name; here the error can tell which it is.
        systemd_env(&variable.value).map_err(|source| TemplateError::Refused {
            value: variable.name.to_owned(),
            source,
        })?;
    }
    Ok(templates::render(
        "linux/environment",
        &json!({ "variables": variables }),
    )?)
}
