//! An installer beside the repository that its hosts will ask.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;

use super::Diagnosis;
use crate::agent::inventory::Parts;
use crate::inspect::{Agent, Report};

/// What is known of the repository.
pub struct Repository<'a> {
    /// Folder or URL.
    pub place: &'a str,
    /// Names of its targets.
    pub targets: BTreeSet<&'a str>,
    /// Versions of root, timestamp, snapshot, targets.
    pub versions: [u64; 4],
}

/// Files that hold the enroll secret, by the end of their paths.
const SECRET_FILES: [&str; 2] = ["/etc/default/orbit", "secret.txt"];
/// Fewer characters can be guessed.
const SHORT: usize = 16;

/// Holds it against the repository; `on_disk` is the installer's own file. `leads` says why
/// its trust anchor does not lead to the repository's root, when it does not.
pub fn installer(
    report: &Report,
    on_disk: &Metadata,
    repository: &Repository<'_>,
    leads: Option<String>,
) -> Vec<Diagnosis> {
    let about = report.file.name.as_str();
    let Some(agent) = &report.agent else {
        let message = "it is no installer of Fleet's agent".to_owned();
        return vec![Diagnosis::fault("no-agent", about, message)];
    };
    let mut found = Vec::new();
    found.extend(leads.map(|why| {
        let message = format!(
            "its trust anchor does not lead to {}: {why}",
            repository.place
        );
        Diagnosis::fault("foreign-root", about, message).or_try(
            "fleetpack updates roots > root.json, then package with --update-roots @root.json",
        )
    }));
    if agent.trust.is_none() {
        let message = "it holds no trust anchor: agents do not start to update".to_owned();
        found.push(Diagnosis::fault("no-trust-anchor", about, message));
    }
    found.extend(address(about, agent, repository));
    found.extend(rolled_back(about, agent, repository));
    found.extend(programs(about, agent));
    found.extend(channels(about, agent, repository));
    found.extend(secret(about, report, agent, on_disk));
    found
}

fn address(about: &str, agent: &Agent, repository: &Repository<'_>) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    if let Some(url) = agent.update_url.as_deref()
        && repository.place.contains("://")
        && plain(url) != plain(repository.place)
    {
        let message = format!(
            "its hosts ask {url} for updates, and not {}",
            repository.place
        );
        found.push(Diagnosis::warning("other-repository", about, message));
    }
    if let Some(url) = agent
        .update_url
        .as_deref()
        .filter(|url| url.starts_with("file:"))
    {
        let message = format!("its hosts look for updates in {url}, on their own disks");
        found.push(
            Diagnosis::fault("local-repository", about, message)
                .or_try("package with --agent-update-url https://updates.example.com"),
        );
    }
    if let Some(url) = agent
        .fleet_url
        .as_deref()
        .filter(|url| url.starts_with("http:"))
    {
        let message = format!("its hosts talk to {url} without TLS, and send the enroll secret so");
        found.push(Diagnosis::fault("fleet-without-tls", about, message));
    }
    found
}

/// Agents remember what they were installed with, and refuse anything older.
fn rolled_back(about: &str, agent: &Agent, repository: &Repository<'_>) -> Option<Diagnosis> {
    let trust = agent.trust.as_ref()?;
    let inside = [
        Some(&trust.root),
        trust.timestamp.as_ref(),
        trust.snapshot.as_ref(),
        trust.targets.as_ref(),
    ];
    let names = ["root", "timestamp", "snapshot", "targets"];
    let newer = names
        .into_iter()
        .zip(inside.into_iter().zip(repository.versions))
        .find_map(|(name, (inside, published))| {
            let inside = inside?.version;
            (inside > published).then_some((name, inside, published))
        });
    let (name, inside, published) = newer?;
    let message = format!(
        "it knows {name}.json version {inside}, and {} has version {published}: its hosts refuse what is older than they know",
        repository.place
    );
    Some(
        Diagnosis::fault("repository-older", about, message)
            .or_try("publish the newest copy of the repository"),
    )
}

fn programs(about: &str, agent: &Agent) -> Vec<Diagnosis> {
    let others = agent
        .components
        .iter()
        .filter(|c| c.is_target == Some(false));
    others
        .map(|program| {
            let message = format!(
                "its {} is not the target {} of the metadata inside: hosts fetch that again at once",
                program.name, program.target
            );
            Diagnosis::fault("stale-program", about, message).or_try("package it anew")
        })
        .collect()
}

fn channels(about: &str, agent: &Agent, repository: &Repository<'_>) -> Vec<Diagnosis> {
    let missing = agent.components.iter().filter_map(|program| {
        let channel = agent.channels.get(&program.name).unwrap_or(&program.channel);
        let wanted = Parts::of(&program.target)?.in_channel(channel);
        (!repository.targets.contains(wanted.as_str())).then(|| {
            let message = format!("its hosts follow {wanted}, which {} does not have", repository.place);
            Diagnosis::fault("missing-channel", about, message).or_try(format!(
                "fleetpack updates add --name {} --platform {} --version VERSION -t {channel} --target FILE",
                program.name, program.platform
            ))
        })
    });
    missing.collect()
}

fn secret(about: &str, report: &Report, agent: &Agent, on_disk: &Metadata) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    if !agent.secret.inside {
        let managed = agent
            .variables
            .contains_key("ORBIT_USE_SYSTEM_CONFIGURATION");
        if agent.fleet_url.is_some() && !managed && report.format != "msi" {
            let message =
                "it has Fleet's address and no enroll secret: its hosts do not enroll".to_owned();
            found.push(Diagnosis::fault("no-secret", about, message));
        }
        return found;
    }
    if agent.secret.length().is_some_and(|length| length < SHORT) {
        let message = format!(
            "its enroll secret has fewer than {SHORT} characters and can be guessed from digests on hosts"
        );
        found.push(Diagnosis::warning("short-secret", about, message));
    }
    if on_disk.permissions().mode() & 0o044 != 0 {
        let message =
            "it holds the enroll secret and can be read by every user of this machine".to_owned();
        found.push(
            Diagnosis::warning("installer-readable", about, message)
                .or_try(format!("chmod 600 {about}")),
        );
    }
    let open = report.files.iter().find(|file| {
        let mode = file
            .mode
            .as_deref()
            .and_then(|mode| u32::from_str_radix(mode, 8).ok());
        SECRET_FILES.iter().any(|end| file.path.ends_with(end))
            && mode.is_some_and(|m| m & 0o044 != 0)
    });
    if let Some(file) = open {
        let message = format!(
            "{} holds the enroll secret and has mode {} on hosts: every user there can read it",
            file.path,
            file.mode.as_deref().unwrap_or_default()
        );
        found.push(Diagnosis::fault("secret-readable", about, message).or_try("package it anew"));
    }
    found
}
