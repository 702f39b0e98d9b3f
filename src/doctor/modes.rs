//! Modes: what an installer gives its files, and those of a repository's folder.
//!
//! orbit refuses metadata that are not exactly 0600 and wants 0755 on its programs and folders;
//! a web server runs as a user of its own and reads what everybody may read. Formats without
//! modes (msi) have none that can be wrong.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::again::again;
use super::{Diagnosis, OnDisk};
use crate::agent::component::Target;
use crate::hint::word;
use crate::inspect::Installed;
use crate::tuf::metadata::Role;

const NAME: &str = "wrong-mode";
const ROOT: &str = "/opt/orbit";
/// Linux: the variables, with the enroll secret.
const SETTINGS: &str = "/etc/default/orbit";
/// Bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// What a file of the agent must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Documents,
    Secret,
    Program,
    Unpacked,
    Folder,
}

impl Rule {
    const ALL: [Self; 5] = [
        Self::Documents,
        Self::Secret,
        Self::Program,
        Self::Unpacked,
        Self::Folder,
    ];

    /// The one for a path, when there is one.
    fn of(path: &str, kind: &str) -> Option<Self> {
        let inner = path.strip_prefix(ROOT);
        let inner = inner.and_then(|rest| rest.strip_prefix('/'));
        match (kind, inner) {
            ("directory", Some(_)) => Some(Self::Folder),
            ("directory", None) => (path == ROOT).then_some(Self::Folder),
            ("file", None) => (path == SETTINGS).then_some(Self::Secret),
            ("file", Some(inner)) => Self::of_file(inner),
            _ => None,
        }
    }

    fn of_file(inner: &str) -> Option<Self> {
        match inner {
            "updates-metadata.json" | "tuf-metadata.json" => return Some(Self::Documents),
            "secret.txt" => return Some(Self::Secret),
            _ if inner.ends_with(".key") && !inner.contains('/') => return Some(Self::Secret),
            _ => {}
        }
        let below = inner.strip_prefix("bin/")?;
        if Target::of_unpacked(below).is_some() {
            return Some(Self::Unpacked);
        }
        let target = below.split('/').count() == 4 && !below.ends_with(".sha512");
        target.then_some(Self::Program)
    }

    fn allows(self, mode: u32) -> bool {
        match self {
            Self::Documents => mode == 0o600,
            Self::Secret => mode & OTHERS == 0,
            Self::Program | Self::Folder => mode == 0o755,
            // The rest is as it was in the archive.
            Self::Unpacked => mode & 0o555 == 0o555,
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Documents => "0600: agents refuse it, and do not start to update",
            Self::Secret => "0600: other users of the host get at what only root may read",
            Self::Program => "0755: agents refuse it, or fetch it again",
            Self::Unpacked => "0755: it cannot be started",
            Self::Folder => "0755: agents refuse the folder",
        }
    }
}

/// Modes in an installer that agents refuse or that show secrets; `told` is a file that was
/// named already. One diagnosis per rule: what is wrong with one file is so with its like.
pub fn installer(on_disk: &OnDisk<'_>, place: &str, told: Option<&str>) -> Vec<Diagnosis> {
    let wrong = |rule: Rule| {
        let files = on_disk.report.files.iter().filter(move |file| {
            Rule::of(&file.path, file.kind) == Some(rule)
                && mode_of(file).is_some_and(|mode| !rule.allows(mode))
        });
        let paths: Vec<_> = files.filter(|file| Some(&*file.path) != told).collect();
        let first = paths.first()?;
        let message = format!(
            "{} has mode {} on hosts{}, and not {}",
            first.path,
            first.mode.as_deref().unwrap_or_default(),
            and_others(paths.len()),
            rule.wanted()
        );
        let fault = Diagnosis::fault(NAME, on_disk.path, message);
        Some(fault.or_try(again(on_disk, place)))
    };
    Rule::ALL.into_iter().filter_map(wrong).collect()
}

/// The permission bits of an installed file, in formats that have them.
pub fn mode_of(file: &Installed) -> Option<u32> {
    u32::from_str_radix(file.mode.as_deref()?, 8).ok()
}

/// Modes in a published folder that a web server cannot read. `keys` are private keys that lie
/// there: these nobody should read, and no command is named that would open them.
pub fn folder(folder: &Path, about: &str, keys: &[PathBuf]) -> io::Result<Vec<Diagnosis>> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        if mode(&std::fs::metadata(&folder)?) & 0o001 == 0 {
            folders.push(folder.clone());
        }
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            // What begins so is being written.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file()
                && mode(&entry.metadata()?) & 0o004 == 0
                && !keys.contains(&entry.path())
            {
                files.push(entry.path());
            }
        }
    }
    let shut = [(files, "read"), (folders, "enter")];
    let found = shut.into_iter().filter_map(|(mut paths, verb)| {
        paths.sort();
        let message = format!(
            "not every user may {verb} {}{}: a web server that runs as another user answers 403",
            paths.first()?.display(),
            and_others(paths.len())
        );
        let warning = Diagnosis::warning(NAME, about, message);
        Some(match keys {
            [] => warning.or_try(format!(
                "chmod -R o+rX {}",
                word(&folder.display().to_string())
            )),
            _ => warning,
        })
    });
    Ok(found.collect())
}

/// Key files that others than their owner can read or change.
pub fn keys(folder: &Path, about: &str) -> Option<Diagnosis> {
    let open = |path: &PathBuf| {
        let file = std::fs::metadata(path);
        file.is_ok_and(|file| file.is_file() && mode(&file) & OTHERS != 0)
    };
    let files = Role::ALL.map(|role| folder.join(role.file()));
    let open: Vec<_> = files.into_iter().filter(open).collect();
    let message = format!(
        "other users of this machine get at the key file {}{}",
        open.first()?.display(),
        and_others(open.len())
    );
    let paths = open.iter().map(|path| word(&path.display().to_string()));
    let paths: Vec<_> = paths.collect();
    let hint = format!("chmod 600 {}", paths.join(" "));
    Some(Diagnosis::warning(NAME, about, message).or_try(hint))
}

fn mode(file: &Metadata) -> u32 {
    file.permissions().mode()
}

fn and_others(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        2 => " (and one other)".to_owned(),
        count => format!(" (and {} others)", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        for (path, kind, mode, allowed) in [
            ("/opt/orbit/updates-metadata.json", "file", 0o600, true),
            ("/opt/orbit/updates-metadata.json", "file", 0o400, false),
            ("/opt/orbit/tuf-metadata.json", "file", 0o644, false),
            ("/opt/orbit/secret.txt", "file", 0o400, true),
            ("/opt/orbit/secret.txt", "file", 0o640, false),
            ("/opt/orbit/update_client.key", "file", 0o620, false),
            ("/etc/default/orbit", "file", 0o600, true),
            ("/etc/default/orbit", "file", 0o660, false),
            ("/etc/default/other", "file", 0o666, true),
            (
                "/opt/orbit/bin/orbit/linux/stable/orbit",
                "file",
                0o755,
                true,
            ),
            (
                "/opt/orbit/bin/orbit/linux/stable/orbit",
                "file",
                0o775,
                false,
            ),
            (
                "/opt/orbit/bin/orbit/linux/stable/orbit",
                "link",
                0o777,
                true,
            ),
            (
                "/opt/orbit/bin/desktop/linux/stable/desktop.tar.gz.sha512",
                "file",
                0o644,
                true,
            ),
            (
                "/opt/orbit/bin/desktop/linux/stable/fleet-desktop/fleet-desktop",
                "file",
                0o644,
                false,
            ),
            (
                "/opt/orbit/bin/desktop/linux/stable/fleet-desktop/README",
                "file",
                0o600,
                true,
            ),
            ("/opt/orbit", "directory", 0o777, false),
            ("/opt/orbit/bin", "directory", 0o755, true),
            ("/opt", "directory", 0o700, true),
            ("/opt/orbit/certs.pem", "file", 0o644, true),
        ] {
            let rule = Rule::of(path, kind);
            let found = rule.is_none_or(|rule| rule.allows(mode));
            assert_eq!(found, allowed, "{path} {mode:o}");
        }
    }
}
