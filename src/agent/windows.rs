//! The agent on Windows: its folder, the service with its environment, properties, steps.
//!
//! Everything here speaks of Fleet; how it becomes tables is the builder's business
//! ([`crate::package::msi`]). Paths are relative to the agent's folder, which an administrator
//! may move: texts refer to it as `[ORBITROOT]`. Values that an administrator can set when
//! installing are properties; the baked ones are their defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::component::Component;
use super::config::Config;
use super::environment;
use super::fetched::Fetched;
use super::{AgentError, layout};
use crate::install::{
    Entry, Identity, Lifecycle, Moment, Os, Property, Restart, Service, Setting, Step, Tree,
    Windows,
};
use crate::templates::escape::{EscapeError, msi_formatted};
use crate::templates::{self, TemplateError};

const SERVICE: &str = "Fleet osquery";
const PROGRAM: &str = "bin/orbit/orbit.exe";
const FOLDER: &str = "Orbit";
const SCRIPT: &str = "installer_utils.ps1";
/// All installers of the agent that were ever made share it.
const FAMILY: Uuid = Uuid::from_u128(0xb681_cb20_107e_428a_9b14_2d3c_1afe_d244);
/// Components that are in the field: the agent's folder and the service's program.
const FOLDER_COMPONENT: Uuid = Uuid::from_u128(0xa7df_d09e_2d2b_4535_a04f_5d4d_e90f_3863);
const PROGRAM_COMPONENT: Uuid = Uuid::from_u128(0xaf34_7b4e_b84b_4dd4_9c4d_133b_e17b_613d);
/// The value of a property that means "not set".
const UNSET: &str = "dummy";
const LOG_FILE: &str =
    r"[System64Folder]config\systemprofile\AppData\Local\FleetDM\Orbit\Logs\orbit-osquery.log";

/// What the running agent makes below its folder.
const LEFTOVERS: [&str; 26] = [
    "bin",
    "certs.pem",
    "extensions.load",
    "fleet.pem",
    "fleet_client.crt",
    "fleet_client.key",
    "fleet_url.txt",
    "host_identity*",
    "hardware_uuid*",
    "identifier",
    "osquery.db",
    "osquery.flags",
    "osquery.man",
    "osquery.pid",
    "osquery_log",
    "proxy",
    "secret*.txt",
    "server-overrides.json",
    "setup_experience.json",
    "shell",
    "staging",
    "tuf-metadata.json",
    "update*.pem",
    "update_client.*",
    "updates-metadata.json",
    "*.old",
];

/// Everything that an installer for Windows puts on a host. `config` was checked and limited
/// to [`Os::Windows`].
pub fn tree(config: &Config, fetched: &Fetched, identity: Identity) -> Result<Tree, AgentError> {
    check_folders(config)?;
    let mut entries = layout::entries("", config, fetched)?;
    let orbit = fetched.program(Component::Orbit)?;
    let copy = crate::install::Content::Shared(orbit.file.clone());
    entries.push(Entry::file(PROGRAM, 0o755, copy));
    entries.push(Entry::customer(SCRIPT, 0o644, script()?));
    entries.push(Entry::customer("osquery.man", 0o644, manifest(fetched)?));
    if let Some(enrollment) = &config.enrollment {
        let secret = enrollment.secret.reveal();
        entries.push(Entry::customer("secret.txt", 0o600, secret).secret());
    }
    Ok(Tree {
        os: Os::Windows,
        identity: Identity {
            vendor: "Fleet Device Management (fleetdm.com)".into(),
            ..identity
        },
        entries: Tree::settle(Os::Windows, entries)?,
        service: Some(Service {
            name: SERVICE.into(),
            program: PROGRAM.into(),
            start: config.service,
        }),
        settings: settings(config)?,
        properties: properties(config)?,
        lifecycle: Lifecycle::default(),
        leftovers: LEFTOVERS.map(String::from).to_vec(),
        windows: Some(windows()),
    })
}

/// Words that are devices wherever they stand in a path, also with an extension. Microsoft,
/// "Naming Files, Paths, and Namespaces".
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Channels are names of folders.
fn check_folders(config: &Config) -> Result<(), AgentError> {
    let channels = &config.channels;
    for (flag, channel) in [
        ("--orbit-channel", &channels.orbit),
        ("--osqueryd-channel", &channels.osqueryd),
        ("--desktop-channel", &channels.desktop),
    ] {
        if is_device(channel) {
            let source = EscapeError {
                grammar: "a folder on Windows",
                what: "the name of a device".to_owned(),
            };
            let value = flag.to_owned();
            return Err(TemplateError::Refused { value, source }.into());
        }
    }
    Ok(())
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let stem = stem.to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().any(|port| {
        let number = stem.strip_prefix(port);
        number.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    });
    numbered || DEVICES.contains(&stem.as_str())
}

fn windows() -> Windows {
    Windows {
        folder: FOLDER.into(),
        folder_property: "ORBITROOT".into(),
        family: FAMILY,
        component_ids: BTreeMap::from([
            (String::new(), FOLDER_COMPONENT),
            (PROGRAM.to_owned(), PROGRAM_COMPONENT),
        ]),
        restart: Some(Restart {
            after: Duration::from_secs(1),
            forget: Duration::from_secs(24 * 60 * 60),
        }),
        // Older installers made it, and the service's own environment would lose against it.
        cleared_variables: vec!["ORBIT_UPDATE_INTERVAL".into()],
        steps: steps(),
    }
}

fn steps() -> Vec<Step> {
    let step = |name: &str, moment, arguments: String| Step {
        name: name.to_owned(),
        moment,
        condition: None,
        arguments,
        quotes: None,
        hidden: false,
        required: false,
    };
    let script = |switch: &str| format!("-File \"[ORBITROOT]{SCRIPT}\" {switch}");
    vec![
        step("CA_RemoveOrbit", Moment::Remove, script("-RemoveAgent")),
        // The script is not on the host yet. Of an agent that updated itself, programs lie
        // here that no installer knows, and they may still be ending.
        step(
            "CA_ClearPrograms",
            Moment::BeforeFiles,
            "-Command \"Wait-Process -Name orbit -Timeout 30 -ErrorAction SilentlyContinue; \
             Remove-Item -Recurse -Force -ErrorAction SilentlyContinue -LiteralPath \
             '[ORBITROOT]bin\\orbit','[ORBITROOT]bin\\osqueryd','[ORBITROOT]bin\\desktop'; exit 0\""
                .to_owned(),
        ),
        step(
            "CA_RemoveStandaloneOsquery",
            Moment::FirstInstall,
            script("-RemoveStandaloneOsquery"),
        ),
        Step {
            condition: Some(format!("FLEET_SECRET AND FLEET_SECRET <> \"{UNSET}\"")),
            quotes: Some("FLEET_SECRET".to_owned()),
            hidden: true,
            required: true,
            // With the colon a value that begins with a dash is still a value. The full stop,
            // which the script takes off again, parts a backslash at the value's end from the
            // quote, and keeps PowerShell from reading `$true` as a truth value.
            ..step(
                "CA_UpdateSecret",
                Moment::BeforeService,
                script("-Secret:\"[FLEET_SECRET].\""),
            )
        },
    ]
}

fn properties(config: &Config) -> Result<Vec<Property>, AgentError> {
    let truth = |on| match on {
        true => "True".to_owned(),
        false => "False".to_owned(),
    };
    let url = config.enrollment.as_ref().map(|e| e.url.clone());
    let email = config.end_user_email.clone();
    // A property's value is taken as it is; but what is refused elsewhere is no better here.
    for (flag, value) in [("--fleet-url", &url), ("--end-user-email", &email)] {
        literal(flag, value.as_deref().unwrap_or_default())?;
    }
    let list = [
        ("FLEET_URL", url.unwrap_or_default(), false),
        ("FLEET_SECRET", UNSET.to_owned(), true),
        ("FLEET_DESKTOP", truth(config.desktop), false),
        ("ENABLE_SCRIPTS", truth(config.enable_scripts), false),
        ("END_USER_EMAIL", email.unwrap_or(UNSET.to_owned()), false),
        ("EUA_TOKEN", UNSET.to_owned(), true),
        (
            "BYPASS_END_USER_AUTH",
            truth(config.bypass_end_user_auth),
            false,
        ),
    ];
    let property = |(name, default, hidden): (&str, String, bool)| Property {
        name: name.to_owned(),
        default,
        hidden,
    };
    Ok(list.into_iter().map(property).collect())
}

/// The service's environment: what an installer for Windows always states, then what differs
/// from the agent's own defaults.
fn settings(config: &Config) -> Result<Vec<Setting>, AgentError> {
    let mut list: Vec<Setting> = Vec::new();
    let mut formatted = |name: &str, value: String| {
        list.push(Setting {
            name: name.to_owned(),
            value,
        });
    };
    formatted("ORBIT_ROOT_DIR", "[ORBITROOT].".into());
    formatted("ORBIT_LOG_FILE", LOG_FILE.into());
    formatted("ORBIT_FLEET_URL", "[FLEET_URL]".into());
    formatted("ORBIT_ENROLL_SECRET_PATH", "[ORBITROOT]secret.txt".into());
    if config.fleet_certificate.is_some() {
        formatted("ORBIT_FLEET_CERTIFICATE", "[ORBITROOT]fleet.pem".into());
    }
    if config.update_certificate.is_some() {
        formatted(
            "ORBIT_UPDATE_TLS_CERTIFICATE",
            "[ORBITROOT]update.pem".into(),
        );
    }
    formatted("ORBIT_FLEET_DESKTOP", "[FLEET_DESKTOP]".into());
    formatted(
        "ORBIT_DESKTOP_CHANNEL",
        literal("--desktop-channel", &config.channels.desktop)?,
    );
    if let Some(host) = &config.desktop_browser_host {
        let host = literal("--fleet-desktop-alternative-browser-host", host)?;
        formatted("ORBIT_FLEET_DESKTOP_ALTERNATIVE_BROWSER_HOST", host);
    }
    formatted("ORBIT_ENABLE_SCRIPTS", "[ENABLE_SCRIPTS]".into());
    formatted("ORBIT_END_USER_EMAIL", "[END_USER_EMAIL]".into());
    formatted("ORBIT_EUA_TOKEN", "[EUA_TOKEN]".into());
    formatted(
        "ORBIT_BYPASS_END_USER_AUTH",
        "[BYPASS_END_USER_AUTH]".into(),
    );
    for variable in environment::variables(&plain(config), Os::Windows) {
        let flag = flag_of(variable.name);
        formatted(variable.name, literal(&flag, &variable.value)?);
    }
    Ok(list)
}

/// What is left when everything that Windows states in its own way is taken out.
fn plain(config: &Config) -> Config {
    Config {
        enrollment: None,
        fleet_certificate: None,
        update_certificate: None,
        desktop: false,
        enable_scripts: false,
        end_user_email: None,
        bypass_end_user_auth: false,
        ..config.clone()
    }
}

/// `--osquery-db` of `ORBIT_OSQUERY_DB`.
fn flag_of(variable: &str) -> String {
    let word = variable.strip_prefix("ORBIT_").unwrap_or(variable);
    format!("--{}", word.to_lowercase().replace('_', "-"))
}

/// Literal text; `name` is the flag that it comes from.
fn literal(name: &str, value: &str) -> Result<String, AgentError> {
    let refused = |source| TemplateError::Refused {
        value: name.to_owned(),
        source,
    };
    Ok(msi_formatted(value).map_err(refused)?)
}

fn script() -> Result<String, AgentError> {
    let data = json!({
        "product": SERVICE,
        "service": SERVICE,
        "programs": ["orbit", "osqueryd", "fleet-desktop"],
        "folder": FOLDER,
        "leftovers": LEFTOVERS,
    });
    // Windows PowerShell reads a script without a byte-order mark in the system's codepage;
    // the text is ASCII.
    Ok(templates::render("windows/installer_utils.ps1", &data)?.replace('\n', "\r\n"))
}

fn manifest(fetched: &Fetched) -> Result<String, AgentError> {
    let osqueryd = fetched.program(Component::Osqueryd)?;
    let name = osqueryd.target.name(&osqueryd.channel).replace('/', "\\");
    let program = format!(r"%ProgramFiles%\{FOLDER}\bin\{name}");
    // The events are compiled into osqueryd: number, level and keyword have to be these.
    let events: Vec<_> = [
        ("Debug", 1, "Warning", "0x10"),
        ("Info", 2, "Informational", "0x1"),
        ("Warning", 3, "Warning", "0x2"),
        ("Error", 4, "Error", "0x4"),
        ("Fatal", 5, "Critical", "0x8"),
    ]
    .into_iter()
    .map(|(name, value, level, mask)| {
        json!({ "name": name, "value": value, "level": level, "mask": mask })
    })
    .collect();
    Ok(templates::render(
        "windows/osquery.man",
        &json!({ "program": program, "events": events }),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_windows() {
        for name in ["nul", "CON", "aux.1", "com1", "LPT9.stable", "prn .x"] {
            assert!(is_device(name), "{name}");
        }
        for name in ["stable", "null", "com", "com10", "console", "1.nul", "lptx"] {
            assert!(!is_device(name), "{name}");
        }
    }
}
