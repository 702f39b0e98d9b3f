//! An installer beside the repository that its hosts will ask.

use std::collections::BTreeSet;

use super::again::{again, again_with};
use super::{Diagnosis, modes};
use crate::agent::inventory::Parts;
use crate::hint::{bare, word};
use crate::inspect::{Agent, Beside, Component, Installed, Report};

/// The repository.
pub struct Repository<'a> {
    /// Folder or URL, as it may be printed.
    pub place: &'a str,
    /// What it holds; `None` when it could not be verified.
    pub trusted: Option<Trusted<'a>>,
}

/// What is known of a verified repository.
pub struct Trusted<'a> {
    /// Names of its targets.
    pub targets: BTreeSet<&'a str>,
    /// Versions of root, timestamp, snapshot, targets.
    pub versions: [u64; 4],
}

/// An installer and its own file.
pub struct OnDisk<'a> {
    /// What is in it.
    pub report: &'a Report,
    /// Its path, as it was given.
    pub path: &'a str,
    /// Its permission bits.
    pub mode: u32,
}

/// Files that hold the enroll secret, by the end of their paths.
const SECRET_FILES: [&str; 2] = ["/etc/default/orbit", "secret.txt"];
/// Fewer characters can be guessed.
const SHORT: usize = 16;

/// Holds it against the repository. `foreign` says why its trust anchor does not lead to the
/// repository's root, when it does not. Of a repository that could not be verified, only what
/// the installer says of itself is looked at.
pub fn installer(
    on_disk: &OnDisk<'_>,
    repository: &Repository<'_>,
    foreign: Option<String>,
) -> Vec<Diagnosis> {
    let OnDisk { report, path, .. } = *on_disk;
    let about = path;
    let Some(agent) = &report.agent else {
        let message = "it is no installer of Fleet's agent".to_owned();
        return vec![Diagnosis::fault("no-agent", about, message)];
    };
    let mut found = Vec::new();
    let place = repository.place;
    found.extend(foreign.map(|why| {
        let message = format!("its trust anchor does not lead to {place}: {why}");
        let hint = format!(
            "fleetpack updates roots > root.json; {}",
            again(on_disk, place)
        );
        Diagnosis::fault("foreign-root", about, message).or_try(hint)
    }));
    if agent.trust.is_none() {
        let message = "it holds no trust anchor: agents do not start to update".to_owned();
        let fault = Diagnosis::fault("no-trust-anchor", about, message);
        found.push(fault.or_try(again(on_disk, place)));
    }
    found.extend(address(on_disk, agent, place));
    if let Some(trusted) = &repository.trusted {
        found.extend(rolled_back(about, agent, place, trusted));
        found.extend(channels(about, agent, place, trusted));
    }
    let programs = agent.components.iter();
    found.extend(programs.filter_map(|program| stale(on_disk, program, place)));
    let open = agent.secret.inside.then(|| readable(report)).flatten();
    found.extend(secret(on_disk, agent, open, place));
    let told = open.map(|file| file.path.as_str());
    found.extend(modes::installer(on_disk, place, told));
    found
}

/// Names of the targets that the hosts of an installer follow: each program in its channel.
pub fn followed(agent: &Agent) -> impl Iterator<Item = String> {
    let programs = agent.components.iter();
    programs.filter_map(|program| {
        let channel = agent.channels.get(&program.name);
        let channel = channel.unwrap_or(&program.channel);
        Some(Parts::of(&program.target)?.in_channel(channel))
    })
}

fn address(on_disk: &OnDisk<'_>, agent: &Agent, place: &str) -> Vec<Diagnosis> {
    let about = on_disk.path;
    let mut found = Vec::new();
    let update_url = agent.update_url.as_deref().map(bare);
    // It is the same repository, whoever asks.
    if let Some(url) = &update_url
        && place.contains("://")
        && url.trim_end_matches('/') != place.trim_end_matches('/')
    {
        let message = format!("its hosts ask {url} for updates, and not {place}");
        let warning = Diagnosis::warning("other-repository", about, message);
        found.push(warning.or_try(again_with(
            on_disk,
            place,
            &format!("--agent-update-url {}", word(place)),
        )));
    }
    if let Some(url) = update_url.filter(|url| url.starts_with("file:")) {
        let message = format!("its hosts look for updates in {url}, on their own disks");
        let fault = Diagnosis::fault("local-repository", about, message);
        found.push(fault.or_try(again_with(
            on_disk,
            place,
            "--agent-update-url https://updates.example.com",
        )));
    }
    let fleet_url = agent.fleet_url.as_deref().map(bare);
    if let Some(url) = fleet_url.filter(|url| url.starts_with("http:")) {
        let message = format!("its hosts talk to {url} without TLS, and send the enroll secret so");
        let https = word(&url.replacen("http:", "https:", 1));
        let hint = again_with(on_disk, place, &format!("--fleet-url {https}"));
        found.push(Diagnosis::fault("fleet-without-tls", about, message).or_try(hint));
    }
    found
}

/// Agents remember what they were installed with, and refuse anything older.
fn rolled_back(
    about: &str,
    agent: &Agent,
    place: &str,
    repository: &Trusted<'_>,
) -> Option<Diagnosis> {
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
        "it knows {name}.json version {inside}, and {place} has version {published}: its hosts refuse what is older than they know"
    );
    Some(
        Diagnosis::fault("repository-older", about, message)
            .or_try("fleetpack updates publish DEST, where the newest copy of the repository is"),
    )
}

fn stale(on_disk: &OnDisk<'_>, program: &Component, place: &str) -> Option<Diagnosis> {
    let about = on_disk.path;
    let (name, target) = (&program.name, &program.target);
    // Its sha256 is known when the file that is the target is inside.
    let whole = program.sha256.is_some();
    let digest = match program.beside {
        Some(Beside::Missing) if !whole => Some("is missing"),
        Some(Beside::Unreadable) => Some("holds no sha512"),
        Some(Beside::Digest(Some(false))) => Some("is not that of the metadata inside"),
        _ => None,
    };
    let (kind, message) = match digest {
        _ if whole && program.is_target == Some(false) => (
            "stale-program",
            format!(
                "its {name} is not the target {target} of the metadata inside: hosts fetch that again at once"
            ),
        ),
        Some(wrong) => (
            "stale-sha512",
            format!(
                "the digest {target}.sha512 of its {name} {wrong}: hosts fetch the target again at once"
            ),
        ),
        None => return None,
    };
    Some(Diagnosis::fault(kind, about, message).or_try(again(on_disk, place)))
}

fn channels(about: &str, agent: &Agent, place: &str, repository: &Trusted<'_>) -> Vec<Diagnosis> {
    let missing = followed(agent).filter(|wanted| !repository.targets.contains(wanted.as_str()));
    let found = missing.filter_map(|wanted| {
        let parts = Parts::of(&wanted)?;
        let message = format!("its hosts follow {wanted}, which {place} does not have");
        let hint = format!(
            "fleetpack updates add --name {} --platform {} --version VERSION -t {} --target FILE",
            parts.component, parts.platform, parts.channel
        );
        Some(Diagnosis::fault("missing-channel", about, message).or_try(hint))
    });
    found.collect()
}

/// A file that shows the enroll secret to every user of a host.
fn readable(report: &Report) -> Option<&Installed> {
    report.files.iter().find(|file| {
        SECRET_FILES.iter().any(|end| file.path.ends_with(end))
            && modes::mode_of(file).is_some_and(|mode| mode & 0o044 != 0)
    })
}

fn secret(
    on_disk: &OnDisk<'_>,
    agent: &Agent,
    open: Option<&Installed>,
    place: &str,
) -> Vec<Diagnosis> {
    let about = on_disk.path;
    let mut found = Vec::new();
    if !agent.secret.inside {
        let managed = agent
            .variables
            .contains_key("ORBIT_USE_SYSTEM_CONFIGURATION");
        if agent.fleet_url.is_some() && !managed && on_disk.report.format != "msi" {
            let message =
                "it has Fleet's address and no enroll secret: its hosts do not enroll".to_owned();
            let hint = again_with(on_disk, place, "--enroll-secret-file FILE");
            found.push(Diagnosis::fault("no-secret", about, message).or_try(hint));
        }
        return found;
    }
    if agent.secret.length().is_some_and(|length| length < SHORT) {
        let message = format!(
            "its enroll secret has fewer than {SHORT} characters and can be guessed from digests on hosts"
        );
        found.push(Diagnosis::warning("short-secret", about, message));
    }
    if on_disk.mode & 0o044 != 0 {
        let message =
            "it holds the enroll secret and can be read by every user of this machine".to_owned();
        found.push(
            Diagnosis::warning("installer-readable", about, message)
                .or_try(format!("chmod 600 {}", word(on_disk.path))),
        );
    }
    if let Some(file) = open {
        let message = format!(
            "{} holds the enroll secret and has mode {} on hosts: every user there can read it",
            file.path,
            file.mode.as_deref().unwrap_or_default()
        );
        let fault = Diagnosis::fault("secret-readable", about, message);
        found.push(fault.or_try(again(on_disk, place)));
    }
    found
}
