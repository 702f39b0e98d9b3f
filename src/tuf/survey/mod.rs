//! What is wrong with a repository though a client that is up to date would not notice.
//!
//! A client walks from its anchor to the newest documents and takes one target. Whoever keeps
//! the repository must know more: whether older clients get here too, whether agents' other
//! readers take the documents, whether every disk can hold the names, whether secrets lie
//! about. `documents` looks at verified metadata, `folder` at the files around them. Nothing
//! is changed, and what a client refuses by itself is not repeated here.

mod documents;
mod folder;

use std::path::{Path, PathBuf};

use super::metadata::Role;
use crate::hint::{Hint, word};

pub use documents::documents;
pub use folder::{chain, folder, private_keys, target_files};

/// One thing that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A document of the chain that older clients need.
    #[error("{} does not exist: clients that trust an older root cannot follow", .0.display())]
    MissingRoot(PathBuf),
    /// `root.json` is newer than what clients can walk to.
    #[error("{} has version {version}, and {highest}.root.json is the newest that clients find", path.display())]
    RootAhead {
        /// `root.json`.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// Of the newest `N.root.json`.
        highest: u64,
    },
    /// `root.json` is not the newest `N.root.json`.
    #[error("{} is not the same as {highest}.root.json", path.display())]
    RootDiffers {
        /// `root.json`.
        path: PathBuf,
        /// Of the newest `N.root.json`.
        highest: u64,
    },
    /// Older than what this key holder signed or saw.
    #[error(
        "{role}.json has version {found}, but version {seen} was signed or seen here before: the repository was rolled back"
    )]
    RolledBack {
        /// Whose document.
        role: Role,
        /// The version it has.
        found: u64,
        /// The version remembered.
        seen: u64,
    },
    /// Another document under a version that was seen.
    #[error(
        "{role}.json version {version} is not the document that was signed or seen here before"
    )]
    Forked {
        /// Whose document.
        role: Role,
        /// The version.
        version: u64,
    },
    /// The memory is older than what is published.
    #[error("{} is older than the repository: it knows {role}.json version {seen}, published is {found}", path.display())]
    StaleMemory {
        /// The state file.
        path: PathBuf,
        /// Whose document.
        role: Role,
        /// The version published.
        found: u64,
        /// The version remembered.
        seen: u64,
    },
    /// The memory cannot be read.
    #[error("{} cannot be used: {why}", path.display())]
    BadMemory {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A private key where everybody reads.
    #[error("{} holds a private key and is published with the repository", .0.display())]
    PrivateKey(PathBuf),
    /// A key file that cannot sign here.
    #[error("no key in {} is a {role} key of this repository", path.display())]
    ForeignKey {
        /// Whose key.
        role: Role,
        /// The key file.
        path: PathBuf,
    },
    /// A change that stopped half-way.
    #[error("a change of the repository was interrupted: {} is there", .0.display())]
    Interrupted(PathBuf),
    /// A target's file is not there.
    #[error("the file of the target {target} is missing: {}", path.display())]
    MissingFile {
        /// The target.
        target: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A target's file has another length.
    #[error("{} is {found} bytes long, and the target {target} {expected}", path.display())]
    WrongLength {
        /// The target.
        target: String,
        /// Its file.
        path: PathBuf,
        /// The length it has.
        found: u64,
        /// The length that was signed.
        expected: u64,
    },
    /// Two names that one disk cannot hold.
    #[error("the target names {first} and {second} are one name on a disk that ignores case")]
    Collision {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A role that the specification does not know.
    #[error("root.json lists the unknown role {0}, which python-tuf refuses")]
    UnknownRole(String),
    /// A key that agents cannot use.
    #[error(
        "root.json lists the key {id} of the type {keytype}, which agents cannot read: they refuse the whole document"
    )]
    UnusableKey {
        /// Its id.
        id: String,
        /// What it says it is.
        keytype: String,
    },
    /// An id that is not its key's.
    #[error("root.json lists a key as {id}, and agents count it as {computed}")]
    KeyId {
        /// As listed.
        id: String,
        /// As computed.
        computed: String,
    },
    /// A time that not every client reads.
    #[error("{role}.json expires at {expires}: python-tuf wants whole seconds and a Z")]
    ExpiresForm {
        /// Whose document.
        role: Role,
        /// As it is written.
        expires: String,
    },
    /// An entry that old go-tuf made.
    #[error("snapshot.json lists {0}, as old go-tuf did: no snapshot is held against it")]
    SnapshotLists(String),
}

impl Finding {
    /// A name that stays, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MissingRoot(_) => "missing-root",
            Self::RootAhead { .. } => "root-ahead",
            Self::RootDiffers { .. } => "root-differs",
            Self::RolledBack { .. } => "rolled-back",
            Self::Forked { .. } => "forked",
            Self::StaleMemory { .. } => "stale-memory",
            Self::BadMemory { .. } => "bad-memory",
            Self::PrivateKey(_) => "private-key",
            Self::ForeignKey { .. } => "foreign-key",
            Self::Interrupted(_) => "interrupted",
            Self::MissingFile { .. } => "missing-file",
            Self::WrongLength { .. } => "wrong-length",
            Self::Collision { .. } => "collision",
            Self::UnknownRole(_) => "unknown-role",
            Self::UnusableKey { .. } => "unusable-key",
            Self::KeyId { .. } => "key-id",
            Self::ExpiresForm { .. } => "expires-form",
            Self::SnapshotLists(_) => "snapshot-lists",
        }
    }

    /// Whether somebody's update fails or a secret is out; the others only deserve a look.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::StaleMemory { .. } | Self::Interrupted(_) | Self::SnapshotLists(_)
        )
    }
}

impl Hint for Finding {
    fn hint(&self) -> Option<String> {
        let name = |path: &PathBuf| path.display().to_string();
        match self {
            Self::MissingRoot(path) => Some(format!(
                "curl -o {} URL/{}, from where the repository is published",
                name(path),
                path.file_name().unwrap_or_default().display()
            )),
            Self::RootAhead { path, version, .. } => Some(format!(
                "if it is the right one: cp {} {}",
                name(path),
                path.with_file_name(format!("{version}.root.json")).display()
            )),
            Self::RootDiffers { path, highest } => Some(format!(
                "if the chain of N.root.json is right: cp {} {}",
                path.with_file_name(format!("{highest}.root.json")).display(),
                name(path)
            )),
            Self::RolledBack { .. } | Self::Forked { .. } => Some(
                "--state FILE, the memory that belongs to this repository, or else the newest copy of repository/ in its place"
                    .to_owned(),
            ),
            Self::PrivateKey(path) => Some(taken_away(path)),
            Self::ForeignKey { .. } => Some(
                "fleetpack updates roots shows the key ids; copy the key file that belongs to them".to_owned(),
            ),
            Self::MissingFile { target, .. } | Self::WrongLength { target, .. } => Some(format!(
                "fleetpack updates remove {target}, or its file back in its place"
            )),
            Self::Collision { second, .. } => Some(format!("fleetpack updates remove {second}")),
            Self::ExpiresForm { role: Role::Timestamp, .. } => {
                Some("fleetpack updates timestamp".to_owned())
            }
            Self::ExpiresForm { role, .. } => {
                Some(format!("fleetpack updates rotate {role}"))
            }
            _ => None,
        }
    }
}

// It may be the only copy, so it is moved and not deleted: to where no server looks.
fn taken_away(key: &Path) -> String {
    let file = key.file_name().unwrap_or_default().to_string_lossy();
    let (from, to) = (
        word(&key.display().to_string()),
        word(&format!("exposed-{file}")),
    );
    let next = match role_in(&file) {
        Some(role) => format!("fleetpack updates rotate --compromised {role}"),
        None => "fleetpack updates keys list".to_owned(),
    };
    format!("mv -n {from} ~/{to}; {next}")
}

/// The one role that a file's name tells.
fn role_in(file: &str) -> Option<Role> {
    let words: Vec<_> = file.split(|c: char| !c.is_alphanumeric()).collect();
    let mut roles = Role::ALL
        .into_iter()
        .filter(|role| words.contains(&role.name()));
    roles.next().filter(|_| roles.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_keys_are_moved_and_never_deleted() {
        for (file, hint) in [
            (
                "a/root.json",
                "mv -n a/root.json ~/exposed-root.json; fleetpack updates rotate --compromised root",
            ),
            (
                "a b/targets-key.json",
                "mv -n 'a b/targets-key.json' ~/exposed-targets-key.json; fleetpack updates rotate --compromised targets",
            ),
            (
                "a/root-or-targets.json",
                "mv -n a/root-or-targets.json ~/exposed-root-or-targets.json; fleetpack updates keys list",
            ),
            (
                "a/it's",
                r"mv -n 'a/it'\''s' ~/'exposed-it'\''s'; fleetpack updates keys list",
            ),
        ] {
            assert_eq!(
                Finding::PrivateKey(file.into()).hint().as_deref(),
                Some(hint)
            );
        }
    }
}
