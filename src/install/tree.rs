//! The tree: entries, service, settings, properties, lifecycle.
//!
//! Paths are those of the host that will be installed to, with `/` between names:
//! absolute on Linux and macOS (`/opt/orbit/bin`), and on Windows relative to the folder of
//! the product (`bin/orbit/orbit.exe` below `%ProgramFiles%\Orbit`). [`Tree::new`] adds
//! missing parent directories, refuses collisions and orders entries: directories first
//! (parents before children), then shared files, then links and customer files, each by path.

use std::collections::BTreeMap;

use super::{Content, Customer, Windows};

/// The processor that an installer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
    /// Both in one file (macOS).
    Universal,
}

/// The system that an installer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Os {
    /// Linux with systemd.
    Linux,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
}

/// What a package is called and by whom it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Package name where a name is a word: `fleet-osquery`.
    pub name: String,
    /// Name shown to people: `Fleet osquery`.
    pub display_name: String,
    /// Reverse-domain identifier (macOS): `com.fleetdm.orbit`.
    pub identifier: String,
    /// Version as it was published, unaltered.
    pub version: String,
    /// Processor.
    pub arch: Arch,
    /// Vendor's name alone.
    pub vendor: String,
    /// `Name <address>` for formats that want a maintainer.
    pub maintainer: String,
    /// `https://…`.
    pub homepage: String,
    /// One line.
    pub summary: String,
    /// A paragraph; lines separated by newlines.
    pub description: String,
    /// SPDX expression of what is packaged.
    pub license: String,
}

/// Who owns an entry. Numbers are 0:0 unless a format's own table says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The system's administrator.
    Root,
}

/// Who may read an entry, where modes do not exist (Windows).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// SYSTEM and Administrators only.
    AdminOnly,
    /// SYSTEM and Administrators in full, users read and execute.
    Everyone,
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Node {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Link(String),
}

/// A word for what an entry is, for matching without its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`Node::Directory`].
    Directory,
    /// [`Node::File`] with [`Content::Shared`].
    SharedFile,
    /// [`Node::Link`], or [`Node::File`] with [`Content::Customer`].
    Customer,
}

/// One thing that is put on the host.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where (see the head of this file).
    pub path: String,
    /// Permission bits alone: `0o755`.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
    /// Who may read it, where modes do not exist.
    pub access: Access,
    /// Contents hold a secret: left out of lists of digests.
    pub secret: bool,
    /// What it is.
    pub node: Node,
}

impl Entry {
    /// A directory, 0755.
    pub fn directory(path: impl Into<String>) -> Self {
        Self::new(path, 0o755, Node::Directory)
    }

    /// A file with a mode. Modes without any right for others give [`Access::AdminOnly`].
    pub fn file(path: impl Into<String>, mode: u32, content: Content) -> Self {
        Self::new(path, mode, Node::File(content))
    }

    /// A customer's file with a mode.
    pub fn customer(path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self::file(path, mode, Content::Customer(Customer::new(bytes)))
    }

    /// A symbolic link.
    pub fn link(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(path, 0o777, Node::Link(target.into()))
    }

    /// Marks the contents as holding a secret.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    fn new(path: impl Into<String>, mode: u32, node: Node) -> Self {
        let access = match mode & 0o077 {
            0 => Access::AdminOnly,
            _ => Access::Everyone,
        };
        Self {
            path: path.into(),
            mode,
            owner: Owner::Root,
            access,
            secret: false,
            node,
        }
    }

    /// What this entry is, in one word; the order of the words is that of every payload.
    pub fn kind(&self) -> Kind {
        match &self.node {
            Node::Directory => Kind::Directory,
            Node::File(Content::Shared(_)) => Kind::SharedFile,
            Node::File(Content::Customer(_)) | Node::Link(_) => Kind::Customer,
        }
    }

    /// Length of the contents: of a link its text, of a directory 0.
    pub fn len(&self) -> u64 {
        match &self.node {
            Node::File(content) => content.len(),
            Node::Directory => 0,
            Node::Link(target) => target.len() as u64,
        }
    }

    /// Whether there are no contents.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The background service that an installer sets up.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name in the service manager: `orbit.service`, `com.fleetdm.orbit`, `Fleet osquery`.
    pub name: String,
    /// Path of its program, as an entry's path.
    pub program: String,
    /// Enable and start it after installation; otherwise install it stopped and manual.
    pub start: bool,
}

/// One variable of the service's environment, where a format stores these itself (Windows;
/// elsewhere they are lines of a customer's file). The value may name a property as
/// `[NAME]`, in Windows Installer's Formatted grammar; literal text is already escaped.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `ORBIT_FLEET_URL`.
    pub name: String,
    /// Formatted text.
    pub value: String,
}

/// A value that an administrator may set when installing (Windows Installer's public
/// properties).
#[derive(Clone, Debug)]
pub struct Property {
    /// `FLEET_URL`.
    pub name: String,
    /// Value when none is given; empty for no value at all.
    pub default: String,
    /// Keep it out of logs.
    pub hidden: bool,
}

/// Moments in a package's life, in no format's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Before files are laid down, on install and upgrade.
    BeforeInstall,
    /// After files are laid down, on install and upgrade.
    AfterInstall,
    /// Before files are taken away for good; not on upgrade.
    BeforeRemove,
    /// After files were taken away for good; not on upgrade.
    AfterRemove,
    /// Instead of the restart in [`Event::AfterInstall`] when the agent itself is the one
    /// that runs the installer.
    Handover,
}

/// An administrator's own script, run in addition to the package's.
#[derive(Clone, Debug)]
pub struct AdminScript {
    /// File it came from, for errors.
    pub name: String,
    /// The whole script, with its `#!` line.
    pub body: Customer,
}

/// What runs when. Each builder owns the glue from its format's calls to these events.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Bodies in the target system's script language (POSIX shell, PowerShell).
    pub bodies: BTreeMap<Event, String>,
    /// An administrator's additions; [`Event::Handover`] has none.
    pub admin: BTreeMap<Event, AdminScript>,
}

/// Everything that a builder needs to know.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Target system.
    pub os: Os,
    /// Who and what.
    pub identity: Identity,
    /// What lies where, in the order described at the head of this file.
    pub entries: Vec<Entry>,
    /// The service, if one is installed at all.
    pub service: Option<Service>,
    /// The service's environment (Windows).
    pub settings: Vec<Setting>,
    /// Values an administrator may set when installing (Windows).
    pub properties: Vec<Property>,
    /// What runs when.
    pub lifecycle: Lifecycle,
    /// Paths that the running program makes and that removal takes away: files or whole
    /// directories, in the form of entries' paths.
    pub leftovers: Vec<String>,
    /// What only Windows asks for; `Some` when `os` is [`Os::Windows`].
    pub windows: Option<Windows>,
}

/// A tree that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Two entries of one name.
    #[error("two entries would be installed as {0}")]
    Collision(String),
    /// A path that is not in normal form.
    #[error("{0:?} is not a path that can be installed")]
    Path(String),
}

impl Tree {
    /// Settles `entries`: adds missing parents (0755), refuses collisions (case-insensitive
    /// on Windows and macOS), sorts.
    pub fn settle(os: Os, entries: Vec<Entry>) -> Result<Vec<Entry>, TreeError> {
        let mut settled: BTreeMap<String, Entry> = BTreeMap::new();
        let key = |path: &str| match os {
            Os::Linux => path.to_owned(),
            Os::Macos | Os::Windows => path.to_lowercase(),
        };
        for entry in entries {
            check_path(os, &entry.path)?;
            match settled.get(&key(&entry.path)) {
                Some(there)
                    if there.kind() == Kind::Directory && entry.kind() == Kind::Directory => {}
                Some(_) => return Err(TreeError::Collision(entry.path)),
                None => {
                    settled.insert(key(&entry.path), entry);
                }
            }
        }
        let parents: Vec<String> = settled.values().flat_map(|e| parents(&e.path)).collect();
        for parent in parents {
            match settled.get(&key(&parent)) {
                Some(there) if there.kind() == Kind::Directory => {}
                Some(_) => return Err(TreeError::Collision(parent)),
                None => {
                    settled.insert(key(&parent), Entry::directory(parent));
                }
            }
        }
        let mut entries: Vec<Entry> = settled.into_values().collect();
        entries.sort_by(|a, b| (a.kind(), &a.path).cmp(&(b.kind(), &b.path)));
        Ok(entries)
    }

    /// The entry at `path`.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Sum of all files' lengths, in bytes.
    pub fn installed_bytes(&self) -> u64 {
        self.entries.iter().map(Entry::len).sum()
    }
}

fn check_path(os: Os, path: &str) -> Result<(), TreeError> {
    let bad = || TreeError::Path(path.to_owned());
    let names = match os {
        Os::Windows => path,
        Os::Linux | Os::Macos => path.strip_prefix('/').ok_or_else(bad)?,
    };
    let plain = |name: &str| {
        !name.is_empty() && name != "." && name != ".." && !name.contains(['\\', '\0', '\n'])
    };
    match names.split('/').all(plain) {
        true => Ok(()),
        false => Err(bad()),
    }
}

fn parents(path: &str) -> Vec<String> {
    path.char_indices()
        .filter(|&(at, c)| c == '/' && at > 0)
        .map(|(at, _)| path[..at].to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(os: Os, entries: Vec<Entry>) -> Result<Vec<String>, String> {
        Tree::settle(os, entries)
            .map(|entries| entries.into_iter().map(|e| e.path).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn parents_come_first_and_customer_files_last() {
        let shared = Content::Shared(super::super::Shared::verified_bytes(
            b"x".to_vec(),
            std::path::Path::new("x"),
        ));
        let entries = vec![
            Entry::customer("/a/conf", 0o600, "c"),
            Entry::file("/z/bin", 0o755, shared),
        ];
        assert_eq!(
            paths(Os::Linux, entries),
            Ok(["/a", "/z", "/z/bin", "/a/conf"].map(String::from).to_vec())
        );
    }

    #[test]
    fn refused() {
        let cases: &[(&str, Os, &[&str])] = &[
            ("twice", Os::Linux, &["/a", "/a"]),
            ("file as parent", Os::Linux, &["/a", "/a/b"]),
            ("case on macOS", Os::Macos, &["/a", "/A"]),
            ("relative", Os::Linux, &["a"]),
            ("absolute on Windows", Os::Windows, &["/a"]),
            ("dots", Os::Linux, &["/a/../b"]),
            ("empty name", Os::Linux, &["/a//b"]),
            ("backslash", Os::Windows, &["a\\b"]),
        ];
        for (name, os, files) in cases {
            let entries = files
                .iter()
                .map(|path| Entry::customer(*path, 0o644, ""))
                .collect();
            assert!(paths(*os, entries).is_err(), "{name}");
        }
    }
}
