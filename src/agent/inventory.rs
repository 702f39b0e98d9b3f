//! What a repository holds, in fleetd's terms: components × platforms × channels, and how
//! long the roles' metadata are still valid.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::tuf::metadata::{Role, TargetFile};
use crate::tuf::trusted::Trusted;

/// A target's name, taken apart: `<component>/<platform>/<channel>/<file>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parts<'a> {
    /// Component; extensions have a slash in theirs.
    pub component: &'a str,
    /// Platform.
    pub platform: &'a str,
    /// Channel.
    pub channel: &'a str,
    /// File.
    pub file: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a name apart; `None` when it is not of fleetd's form.
    pub fn of(name: &'a str) -> Option<Self> {
        let mut parts = name.rsplitn(4, '/');
        let (file, channel, platform) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            component: parts.next()?,
            platform,
            channel,
            file,
        })
    }

    /// The same target in another channel.
    pub fn in_channel(&self, channel: &str) -> String {
        format!(
            "{}/{}/{channel}/{}",
            self.component, self.platform, self.file
        )
    }
}

/// One target.
#[derive(Clone, Debug, Serialize)]
pub struct TargetStatus {
    /// Its name.
    pub target: String,
    /// Component, where the name is of fleetd's form.
    pub component: Option<String>,
    /// Platform, likewise.
    pub platform: Option<String>,
    /// Channel, likewise.
    pub channel: Option<String>,
    /// Version, where metadata tell it.
    pub version: Option<String>,
    /// Bytes.
    pub size: u64,
    /// SHA-512, or SHA-256 where that is all there is, in hex.
    pub hash: String,
    /// Seconds since its file was put where it is, where that can be known.
    pub age_seconds: Option<i64>,
}

impl TargetStatus {
    fn of(name: &str, file: &TargetFile, age_seconds: Option<i64>) -> Self {
        let parts = Parts::of(name);
        let part = |pick: fn(&Parts<'_>) -> String| parts.as_ref().map(pick);
        Self {
            target: name.to_owned(),
            component: part(|p| p.component.to_owned()),
            platform: part(|p| p.platform.to_owned()),
            channel: part(|p| p.channel.to_owned()),
            version: version_of(file.custom.as_ref()),
            size: file.length,
            hash: file.hashes.known().last().unwrap_or_default().to_owned(),
            age_seconds,
        }
    }
}

/// One role.
#[derive(Clone, Debug, Serialize)]
pub struct RoleStatus {
    /// Its name.
    pub role: Role,
    /// Version of its document.
    pub version: u64,
    /// When it expires, as the document says.
    pub expires: String,
    /// Seconds from now until then; negative when it is over.
    pub seconds_left: i64,
    /// Ids of its keys.
    pub keys: Vec<String>,
    /// How many must sign.
    pub threshold: u64,
}

/// A whole repository.
#[derive(Clone, Debug, Serialize)]
pub struct Inventory {
    /// Its roles.
    pub roles: Vec<RoleStatus>,
    /// Its targets, by name.
    pub targets: Vec<TargetStatus>,
}

impl Inventory {
    /// Of verified metadata and of the targets that a search finds in them. `published` says
    /// since when a target's file is where it is.
    pub fn of(
        trusted: &Trusted,
        targets: &[(String, TargetFile)],
        now: Timestamp,
        published: impl Fn(&str, &TargetFile) -> Option<Timestamp>,
    ) -> Self {
        let root = &trusted.root().signed;
        let roles = Role::ALL.into_iter().map(|role| RoleStatus {
            role,
            version: trusted.version(role),
            expires: trusted.expires(role).to_string(),
            seconds_left: trusted.expires(role).at().duration_since(now).as_secs(),
            keys: root
                .role(role)
                .map(|r| r.keyids.clone())
                .unwrap_or_default(),
            threshold: root.role(role).map_or(0, |r| r.threshold),
        });
        let targets = targets.iter().map(|(name, file)| {
            let age = published(name, file).map(|then| now.duration_since(then).as_secs());
            TargetStatus::of(name, file, age)
        });
        Self {
            roles: roles.collect(),
            targets: targets.collect(),
        }
    }

    /// The role whose time is over first, if that is within `limit` (7 days for timestamp
    /// and 30 for the others when not given).
    pub fn expiring(&self, limit: Option<SignedDuration>) -> Option<&RoleStatus> {
        let days = |n: i64| SignedDuration::from_hours(24 * n).as_secs();
        let near = |role: &&RoleStatus| {
            let default = match role.role {
                Role::Timestamp => days(7),
                _ => days(30),
            };
            role.seconds_left <= limit.map_or(default, |limit| limit.as_secs())
        };
        self.roles
            .iter()
            .filter(near)
            .min_by_key(|role| role.seconds_left)
    }

    /// Prometheus's text format 0.0.4.
    pub fn prometheus(&self) -> String {
        let mut text = String::from(
            "# HELP fleetpack_role_expires_seconds Seconds until the role's metadata expire.\n\
             # TYPE fleetpack_role_expires_seconds gauge\n",
        );
        for role in &self.roles {
            text += &format!(
                "fleetpack_role_expires_seconds{{role=\"{}\"}} {}\n",
                role.role, role.seconds_left
            );
        }
        text += "# HELP fleetpack_role_version Version of the role's metadata.\n\
                 # TYPE fleetpack_role_version gauge\n";
        for role in &self.roles {
            text += &format!(
                "fleetpack_role_version{{role=\"{}\"}} {}\n",
                role.role, role.version
            );
        }
        text += "# HELP fleetpack_target_size_bytes Size of a target.\n\
                 # TYPE fleetpack_target_size_bytes gauge\n";
        for target in &self.targets {
            text += &format!(
                "fleetpack_target_size_bytes{{target=\"{}\",version=\"{}\"}} {}\n",
                label(&target.target),
                label(target.version.as_deref().unwrap_or_default()),
                target.size
            );
        }
        text += "# HELP fleetpack_target_age_seconds Seconds since a target was published here.\n\
                 # TYPE fleetpack_target_age_seconds gauge\n";
        for target in &self.targets {
            if let Some(age) = target.age_seconds {
                let name = label(&target.target);
                text += &format!("fleetpack_target_age_seconds{{target=\"{name}\"}} {age}\n");
            }
        }
        text
    }
}

/// The version that `updates add` writes beside a target.
pub fn version_of(custom: Option<&serde_json::Value>) -> Option<String> {
    Some(custom?.get("version")?.as_str()?.to_owned())
}

fn label(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The channels that a version has by itself: `1.2.3` gives `1.2.3`, `1.2` and `1`.
pub fn version_channels(version: &str) -> Vec<String> {
    let mut channels = vec![version.to_owned()];
    let plain = version.split('.').all(|part| part.parse::<u32>().is_ok());
    let mut rest = version;
    while let Some((shorter, _)) = rest.rsplit_once('.').filter(|_| plain) {
        channels.push(shorter.to_owned());
        rest = shorter;
    }
    channels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_taken_apart() {
        let parts = Parts::of("extensions/hello/linux/stable/hello.ext").unwrap();
        assert_eq!(
            (parts.component, parts.platform),
            ("extensions/hello", "linux")
        );
        assert_eq!(
            parts.in_channel("edge"),
            "extensions/hello/linux/edge/hello.ext"
        );
        assert_eq!(Parts::of("orbit/linux/orbit"), None);
    }

    #[test]
    fn channels_of_versions() {
        assert_eq!(version_channels("1.2.3"), ["1.2.3", "1.2", "1"]);
        assert_eq!(version_channels("7"), ["7"]);
        assert_eq!(version_channels("1.2.3-rc1"), ["1.2.3-rc1"]);
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }
}
