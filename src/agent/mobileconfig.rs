//! The configuration profile that gives a Mac its Fleet server and secret through MDM, for
//! packages made with `--use-system-configuration`.
//!
//! orbit reads the managed preferences `com.fleetdm.fleetd.config`, so the inner payload has
//! that identifier and type. Identifiers stay the same from one profile to the next, which
//! makes a new profile replace the old one (Apple, Device Management, TopLevel). The UUIDs are
//! derived from Fleet's address, never from the secret.

use serde_json::json;
use uuid::Uuid;

use super::config::{Config, Enrollment};
use crate::templates::{self, TemplateError};

const PAYLOAD: &str = "com.fleetdm.fleetd.config";
const PROFILE: &str = "com.fleetdm.fleetd.config.profile";

/// The profile as XML, unsigned.
pub fn profile(config: &Config, enrollment: &Enrollment) -> Result<String, TemplateError> {
    let uuid = |identifier: &str| {
        let name = format!("{identifier} {}", enrollment.url);
        let uuid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
        uuid.hyphenated().to_string().to_uppercase()
    };
    let values = json!({
        "secret": enrollment.secret.reveal(),
        "url": enrollment.url,
        "enable_scripts": config.enable_scripts,
        "payload": PAYLOAD,
        "payload_uuid": uuid(PAYLOAD),
        "profile": PROFILE,
        "profile_uuid": uuid(PROFILE),
    });
    templates::render("macos/mobileconfig", &values)
}
