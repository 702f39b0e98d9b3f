//! The configuration as the agent's variables.
//!
//! Every flag of orbit has an `ORBIT_*` variable on every system. Linux writes them to
//! `/etc/default/orbit`, macOS into the daemon's property list, Windows into the service's
//! registry key. Only what differs from the agent's own default is written, save for what
//! an installer states always.

use serde::Serialize;

use super::config::{Config, HostIdentifier, Secret};
use crate::install::Os;

/// Where the agent lives on Linux and macOS.
pub const ROOT: &str = "/opt/orbit";

/// One variable.
#[derive(Clone, Debug, Serialize)]
pub struct Variable {
    /// `ORBIT_FLEET_URL`.
    pub name: &'static str,
    /// Its value, in no grammar.
    pub value: String,
}

/// The variables for Linux and macOS, in a fixed order.
pub fn variables(config: &Config, os: Os) -> Vec<Variable> {
    let mut list = Variables(Vec::new());
    list.connection(config, os);
    list.updates(config);
    list.behaviour(config);
    list.0
}

struct Variables(Vec<Variable>);

impl Variables {
    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push(Variable {
            name,
            value: value.into(),
        });
    }

    fn flag(&mut self, name: &'static str, on: bool) {
        if on {
            self.set(name, "true");
        }
    }

    fn optional(&mut self, name: &'static str, value: Option<&String>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn connection(&mut self, config: &Config, os: Os) {
        if let Some(enrollment) = &config.enrollment {
            self.set("ORBIT_FLEET_URL", &enrollment.url);
            match os {
                Os::Linux => self.set("ORBIT_ENROLL_SECRET", Secret::reveal(&enrollment.secret)),
                _ => self.set("ORBIT_ENROLL_SECRET_PATH", format!("{ROOT}/secret.txt")),
            }
        }
        if config.fleet_certificate.is_some() {
            self.set("ORBIT_FLEET_CERTIFICATE", format!("{ROOT}/fleet.pem"));
        }
        self.flag("ORBIT_INSECURE", config.insecure);
        let managed = config.managed_host_identity;
        self.flag("ORBIT_FLEET_MANAGED_HOST_IDENTITY_CERTIFICATE", managed);
        self.flag(
            "ORBIT_USE_SYSTEM_CONFIGURATION",
            config.use_system_configuration,
        );
    }

    fn updates(&mut self, config: &Config) {
        self.set("ORBIT_UPDATE_URL", &config.update_url);
        if config.update_certificate.is_some() {
            self.set("ORBIT_UPDATE_TLS_CERTIFICATE", format!("{ROOT}/update.pem"));
        }
        self.set("ORBIT_UPDATE_INTERVAL", config.update_interval.to_string());
        self.flag("ORBIT_DISABLE_UPDATES", config.disable_updates);
        self.set("ORBIT_ORBIT_CHANNEL", &config.channels.orbit);
        self.set("ORBIT_OSQUERYD_CHANNEL", &config.channels.osqueryd);
        if config.desktop {
            self.set("ORBIT_FLEET_DESKTOP", "true");
            self.set("ORBIT_DESKTOP_CHANNEL", &config.channels.desktop);
            let host = config.desktop_browser_host.as_ref();
            self.optional("ORBIT_FLEET_DESKTOP_ALTERNATIVE_BROWSER_HOST", host);
        }
    }

    fn behaviour(&mut self, config: &Config) {
        self.flag("ORBIT_DEBUG", config.debug);
        self.flag("ORBIT_ENABLE_SCRIPTS", config.enable_scripts);
        if config.host_identifier == HostIdentifier::Instance {
            self.set("ORBIT_HOST_IDENTIFIER", "instance");
        }
        self.optional("ORBIT_END_USER_EMAIL", config.end_user_email.as_ref());
        self.optional("ORBIT_OSQUERY_DB", config.osquery_db.as_ref());
        self.flag("ORBIT_DISABLE_KEYSTORE", config.disable_keystore);
        self.flag(
            "ORBIT_DISABLE_SETUP_EXPERIENCE",
            config.disable_setup_experience,
        );
        self.flag("ORBIT_BYPASS_END_USER_AUTH", config.bypass_end_user_auth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::config::{Channels, Enrollment};

    fn text(config: &Config, os: Os) -> String {
        let lines = variables(config, os);
        let lines = lines.iter().map(|v| format!("{}={}\n", v.name, v.value));
        lines.collect()
    }

    #[test]
    fn little_is_set() {
        let expected = "ORBIT_UPDATE_URL=https://updates.fleetdm.com\n\
                        ORBIT_UPDATE_INTERVAL=15m0s\n\
                        ORBIT_ORBIT_CHANNEL=stable\n\
                        ORBIT_OSQUERYD_CHANNEL=stable\n";
        assert_eq!(text(&Config::default(), Os::Linux), expected);
    }

    #[test]
    fn all_is_set_on_linux() {
        let config = Config {
            enrollment: Some(Enrollment {
                url: "https://fleet.example.com".into(),
                secret: Secret::new("made up"),
            }),
            fleet_certificate: Some(vec![]),
            update_certificate: Some(vec![]),
            channels: Channels {
                orbit: "1.2.3".into(),
                osqueryd: "5".into(),
                desktop: "edge".into(),
            },
            desktop: true,
            desktop_browser_host: Some("browse.example.com".into()),
            disable_updates: true,
            debug: true,
            enable_scripts: true,
            host_identifier: HostIdentifier::Instance,
            end_user_email: Some("a@b.example".into()),
            osquery_db: Some("/var/osquery.db".into()),
            managed_host_identity: true,
            disable_setup_experience: true,
            bypass_end_user_auth: true,
            ..Config::default()
        };
        let expected = "ORBIT_FLEET_URL=https://fleet.example.com\n\
                        ORBIT_ENROLL_SECRET=made up\n\
                        ORBIT_FLEET_CERTIFICATE=/opt/orbit/fleet.pem\n\
                        ORBIT_FLEET_MANAGED_HOST_IDENTITY_CERTIFICATE=true\n\
                        ORBIT_UPDATE_URL=https://updates.fleetdm.com\n\
                        ORBIT_UPDATE_TLS_CERTIFICATE=/opt/orbit/update.pem\n\
                        ORBIT_UPDATE_INTERVAL=15m0s\n\
                        ORBIT_DISABLE_UPDATES=true\n\
                        ORBIT_ORBIT_CHANNEL=1.2.3\n\
                        ORBIT_OSQUERYD_CHANNEL=5\n\
                        ORBIT_FLEET_DESKTOP=true\n\
                        ORBIT_DESKTOP_CHANNEL=edge\n\
                        ORBIT_FLEET_DESKTOP_ALTERNATIVE_BROWSER_HOST=browse.example.com\n\
                        ORBIT_DEBUG=true\n\
                        ORBIT_ENABLE_SCRIPTS=true\n\
                        ORBIT_HOST_IDENTIFIER=instance\n\
                        ORBIT_END_USER_EMAIL=a@b.example\n\
                        ORBIT_OSQUERY_DB=/var/osquery.db\n\
                        ORBIT_DISABLE_SETUP_EXPERIENCE=true\n\
                        ORBIT_BYPASS_END_USER_AUTH=true\n";
        assert_eq!(text(&config, Os::Linux), expected);
    }
}
