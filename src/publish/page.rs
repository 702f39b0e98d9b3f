//! The status page: components × channels × platforms with versions and ages, and how long
//! the metadata are valid, as one HTML file that needs nothing else.
//!
//! What stands on it comes from verified metadata; ages are those of the files, for metadata
//! do not tell them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp as Instant;
use serde::Serialize;

use super::PublishError;
use crate::agent::inventory::{Inventory, Parts, RoleStatus, TargetStatus};

const DAY: i64 = 86_400;

#[derive(Serialize)]
struct Page {
    version: &'static str,
    now: String,
    now_shown: String,
    state: &'static str,
    summary: String,
    roles: Vec<Role>,
    components: Vec<Component>,
    others: Vec<Other>,
}

#[derive(Serialize)]
struct Role {
    name: String,
    version: String,
    date: String,
    left: String,
    state: &'static str,
    width: String,
}

#[derive(Serialize)]
struct Component {
    name: String,
    platforms: Vec<String>,
    channels: Vec<Channel>,
}

#[derive(Serialize)]
struct Channel {
    name: String,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    platform: String,
    version: Option<String>,
    about: String,
}

#[derive(Serialize)]
struct Other {
    name: String,
    about: String,
}

/// Fills the page in.
pub fn render(inventory: &Inventory, now: Instant) -> Result<String, PublishError> {
    let mut components: BTreeMap<&str, Vec<(Parts<'_>, &TargetStatus)>> = BTreeMap::new();
    let mut others = Vec::new();
    for target in &inventory.targets {
        match Parts::of(&target.target) {
            Some(parts) => components
                .entry(parts.component)
                .or_default()
                .push((parts, target)),
            None => others.push(Other {
                name: target.target.clone(),
                about: about(target),
            }),
        }
    }
    let (state, summary) = summary(&inventory.roles);
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        now: now.to_string(),
        now_shown: shown(now),
        state,
        summary,
        roles: inventory.roles.iter().map(role).collect(),
        components: components
            .into_iter()
            .map(|(name, targets)| component(name, &targets))
            .collect(),
        others,
    };
    crate::templates::render("status/page.html", &page)
        .map_err(|error| PublishError::Make("the status page", error.into()))
}

fn shown(at: Instant) -> String {
    at.to_string()
        .chars()
        .take(16)
        .map(|c| if c == 'T' { ' ' } else { c })
        .chain(" UTC".chars())
        .collect()
}

// What somebody who looks for a moment has to know.
fn summary(roles: &[RoleStatus]) -> (&'static str, String) {
    let Some(first) = roles.iter().min_by_key(|role| role.seconds_left) else {
        return ("over", "There are no metadata".to_owned());
    };
    let about = format!("{} {}", first.role.name(), left(first));
    match state(first) {
        "over" => ("over", format!("Agents accept nothing from here: {about}")),
        state => (state, format!("All metadata are valid; {about}")),
    }
}

fn left(role: &RoleStatus) -> String {
    match role.seconds_left {
        0.. => format!("expires in {}", length(role.seconds_left)),
        _ => format!("expired {} ago", length(-role.seconds_left)),
    }
}

fn state(role: &RoleStatus) -> &'static str {
    let soon = match role.role {
        crate::tuf::metadata::Role::Timestamp => 3 * DAY,
        _ => 30 * DAY,
    };
    match role.seconds_left {
        ..=0 => "over",
        seconds if seconds <= soon => "soon",
        _ => "good",
    }
}

fn role(role: &RoleStatus) -> Role {
    let days = role.seconds_left as f64 / DAY as f64;
    // A week, a month, a year and ten years at equal distances.
    let marks = [0.0, 7.0, 30.0, 365.0, 3650.0];
    let place = marks
        .windows(2)
        .enumerate()
        .find_map(|(i, pair)| match pair {
            [low, high] if days < *high => Some(i as f64 + (days - low).max(0.0) / (high - low)),
            _ => None,
        });
    Role {
        name: role.role.name().to_owned(),
        version: role.version.to_string(),
        date: role.expires.chars().take(10).collect(),
        left: left(role),
        state: state(role),
        width: format!("{:.1}", place.unwrap_or(4.0) * 25.0),
    }
}

fn component(name: &str, targets: &[(Parts<'_>, &TargetStatus)]) -> Component {
    let platforms: BTreeSet<&str> = targets.iter().map(|(parts, _)| parts.platform).collect();
    let mut channels: Vec<&str> = targets.iter().map(|(parts, _)| parts.channel).collect();
    channels.sort_by(|a, b| order(a).cmp(&order(b)));
    channels.dedup();
    let cell = |channel: &str, platform: &str| {
        let found = targets
            .iter()
            .find(|(parts, _)| parts.channel == channel && parts.platform == platform);
        Cell {
            platform: platform.to_owned(),
            version: found.map(|(parts, target)| {
                let version = target.version.clone();
                version.unwrap_or_else(|| parts.channel.to_owned())
            }),
            about: found.map_or_else(String::new, |(_, target)| about(target)),
        }
    };
    Component {
        name: name.to_owned(),
        channels: channels
            .into_iter()
            .map(|channel| Channel {
                name: channel.to_owned(),
                cells: platforms.iter().map(|p| cell(channel, p)).collect(),
            })
            .collect(),
        platforms: platforms.iter().map(|p| (*p).to_owned()).collect(),
    }
}

// Names such as stable and edge first, then versions, the newest first.
fn order(channel: &str) -> (bool, std::cmp::Reverse<Vec<u64>>, &str) {
    let is_version = channel.starts_with(|c: char| c.is_ascii_digit());
    let numbers = channel
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    let numbers = numbers.filter(|_| is_version).collect();
    (is_version, std::cmp::Reverse(numbers), channel)
}

fn about(target: &TargetStatus) -> String {
    let size = match target.size {
        bytes @ 0..10_000 => format!("{bytes} bytes"),
        bytes @ 10_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        bytes => format!("{:.1} MB", bytes as f64 / 1e6),
    };
    let hash = target.hash.get(..8).unwrap_or(&target.hash);
    let age = target.age_seconds;
    let age = age.map(|seconds| format!(", {} old", length(seconds.max(0))));
    format!("{size}{}, {hash}", age.unwrap_or_default())
}

fn length(seconds: i64) -> String {
    let (count, unit) = match seconds {
        0..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3600, "hour"),
        172_800..63_072_000 => (seconds / DAY, "day"),
        _ => (seconds / (365 * DAY), "year"),
    };
    match count {
        1 => format!("1 {unit}"),
        _ => format!("{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (seconds, words) in [
            (0, "0 minutes"),
            (60, "1 minute"),
            (3 * 3600, "3 hours"),
            (2 * DAY, "2 days"),
            (700 * DAY, "700 days"),
            (3650 * DAY, "10 years"),
        ] {
            assert_eq!(length(seconds), words);
        }
    }

    #[test]
    fn channels_in_order() {
        let mut channels = ["1.9", "stable", "1.10", "edge", "1"];
        channels.sort_by(|a, b| order(a).cmp(&order(b)));
        assert_eq!(channels, ["edge", "stable", "1.10", "1.9", "1"]);
    }
}
