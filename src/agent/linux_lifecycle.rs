//! What the agent needs done on a Linux host around installation and removal.
//!
//! The bodies are templates under `templates/linux/agent/`; which call of a package manager
//! runs which body is each format's matter (`crate::package::scripts`).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::install::{Event, Lifecycle};
use crate::templates::{TemplateError, render};

/// What the agent makes and removal takes away. Its folder holds its database, its keys and
/// its logs; `/var/lib/orbit` was that folder in early versions.
pub const LEFTOVERS: [&str; 3] = ["/opt/orbit", "/var/lib/orbit", "/var/log/orbit"];

/// The bodies of all events. `start` is whether the service is enabled and started; otherwise
/// one that runs already is restarted and one that does not is left alone.
pub fn lifecycle(start: bool) -> Result<Lifecycle, TemplateError> {
    #[derive(Serialize)]
    struct Data<'a> {
        service: &'a str,
        start: bool,
        restart: &'a str,
        labelled: [&'a str; 6],
        leftovers: [&'a str; 3],
    }
    let data = Data {
        service: "orbit.service",
        start,
        restart: if start { "restart" } else { "try-restart" },
        labelled: [
            "/opt/orbit",
            "/usr/lib/systemd/system/orbit.service",
            "/etc/default/orbit",
            "/usr/local/bin/orbit",
            "/var/log/orbit",
            "/var/log/osquery",
        ],
        leftovers: LEFTOVERS,
    };
    let bodies = [
        (Event::AfterInstall, "linux/agent/after_install"),
        (Event::Handover, "linux/agent/handover"),
        (Event::BeforeRemove, "linux/agent/before_remove"),
        (Event::AfterRemove, "linux/agent/after_remove"),
    ];
    let rendered = bodies
        .into_iter()
        .map(|(event, name)| Ok((event, render(name, &data)?)))
        .collect::<Result<_, TemplateError>>()?;
    Ok(Lifecycle {
        bodies: rendered,
        admin: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_not_wanted_is_not_enabled() {
        let bodies = lifecycle(false).unwrap().bodies;
        assert!(!bodies[&Event::AfterInstall].contains("enable orbit"));
        assert!(bodies[&Event::AfterInstall].contains("try-restart"));
    }
}
