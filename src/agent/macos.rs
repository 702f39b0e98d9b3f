//! The agent on macOS: its folder, a launch daemon, and what runs after installation.
//!
//! The daemon's label, its property list and the paths are those of every installation in the
//! field, whatever identifier the product has. `/var` is a link on macOS: the folder for logs
//! is shipped under its real name, so that no installer ever lays a folder over that link.

use serde_json::json;

use super::environment::{ROOT, variables};
use super::fetched::Fetched;
use super::layout::{self, PROGRAM};
use super::{AgentError, config::Config};
use crate::install::{Entry, Event, Identity, Lifecycle, Os, Service, Tree};
use crate::templates;

/// The daemon's name in launchd.
pub const LABEL: &str = "com.fleetdm.orbit";
const PROPERTY_LIST: &str = "/Library/LaunchDaemons/com.fleetdm.orbit.plist";
const LOGS: &str = "/private/var/log/orbit";

/// Folders that hold nothing but what was installed or updated since.
const TIDIED: [&str; 3] = [
    "/opt/orbit/bin/orbit",
    "/opt/orbit/bin/osqueryd",
    "/opt/orbit/bin/desktop",
];

/// Files that the agent takes up by their presence, or that hold a secret of a former package.
const PRESENCE: [&str; 7] = [
    "/opt/orbit/secret.txt",
    "/opt/orbit/fleet.pem",
    "/opt/orbit/update.pem",
    "/opt/orbit/fleet_client.crt",
    "/opt/orbit/fleet_client.key",
    "/opt/orbit/update_client.crt",
    "/opt/orbit/update_client.key",
];

/// Everything that an installer for macOS puts on a host. `config` was checked and limited to
/// [`Os::Macos`].
pub fn tree(config: &Config, fetched: &Fetched, identity: Identity) -> Result<Tree, AgentError> {
    let mut entries = layout::entries(ROOT, config, fetched)?;
    entries.push(layout::program_link(fetched)?);
    entries.push(Entry::link("/usr/local/bin/orbit", PROGRAM));
    entries.push(Entry::directory(LOGS));
    if let Some(enrollment) = &config.enrollment {
        let secret = enrollment.secret.reveal();
        entries.push(Entry::customer(format!("{ROOT}/secret.txt"), 0o600, secret).secret());
    }
    if config.service {
        entries.push(Entry::customer(
            PROPERTY_LIST,
            0o644,
            property_list(config)?,
        ));
    }
    let entries = Tree::settle(Os::Macos, entries)?;
    let after = after_install(config, &entries)?;
    Ok(Tree {
        os: Os::Macos,
        identity,
        entries,
        service: config.service.then(|| Service {
            name: LABEL.into(),
            program: PROGRAM.into(),
            start: true,
        }),
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle: Lifecycle {
            bodies: [(Event::AfterInstall, after)].into(),
            ..Lifecycle::default()
        },
        leftovers: Vec::new(),
        windows: None,
    })
}

fn property_list(config: &Config) -> Result<String, AgentError> {
    let values = json!({
        "label": LABEL,
        "program": PROGRAM,
        "variables": variables(config, Os::Macos),
    });
    Ok(templates::render("macos/launch-daemon.plist", &values)?)
}

// The agent's own way of installing it, when it is the one that runs Installer, is told by a
// marker in its folder: macOS passes no environment to scripts.
fn after_install(config: &Config, entries: &[Entry]) -> Result<String, AgentError> {
    let tidied =
        |path: &str| PRESENCE.contains(&path) || TIDIED.iter().any(|folder| within(path, folder));
    let installed: Vec<&str> = entries
        .iter()
        .map(|entry| entry.path.as_str())
        .filter(|path| tidied(path))
        .collect();
    let service = config.service.then(|| {
        json!({
            "label": LABEL,
            "property_list": PROPERTY_LIST,
            "marker": format!("{ROOT}/.inband_upgrade"),
            "log": format!("{LOGS}/postinstall.log"),
        })
    });
    let values = json!({
        "installed": installed,
        "folders": TIDIED,
        "files": PRESENCE,
        "service": service,
    });
    Ok(templates::render("macos/after-install", &values)?)
}

fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
