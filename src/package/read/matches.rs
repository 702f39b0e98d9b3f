//! Whether a package is what a tree asked for.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;

use super::{Found, Kind, Package};
use crate::install::{Content, Entry, Node, Os, Tree};
use crate::package::Format;

/// Where a package is not what was asked for; the first that was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// An entry of the tree is not in the package.
    #[error("{0} is missing")]
    Missing(String),
    /// The package installs something that nobody asked for.
    #[error("{0} was not asked for")]
    Extra(String),
    /// Two entries of one path.
    #[error("{0} is there twice")]
    Twice(String),
    /// An entry is not as asked for.
    #[error("{path} has another {what}: {found} instead of {wanted}")]
    Other {
        /// Its path.
        path: String,
        /// `kind`, `mode`, `owner`, `digest`, `link`.
        what: &'static str,
        /// What the package has.
        found: String,
        /// What the tree has.
        wanted: String,
    },
    /// Readers in the field stop after the first part.
    #[error("the payload is compressed in {0} parts, where the format's own tools read one")]
    Parts(u64),
}

/// Compares all entries. What the format adds is left aside: directories above entries, the
/// package's own documentation on Linux, and names that are listed for removal. A directory that only holds other entries may be
/// missing; formats leave the system's own folders out.
pub fn matches(tree: &Tree, package: &Package) -> Result<(), Difference> {
    if matches!(package.format, Format::Deb | Format::Pkg) && package.payload.parts > 1 {
        return Err(Difference::Parts(package.payload.parts));
    }
    let mut found: BTreeMap<&str, &Found> = BTreeMap::new();
    for entry in package
        .files
        .iter()
        .filter(|found| found.kind != Kind::Ghost)
    {
        if found.insert(&entry.path, entry).is_some() {
            return Err(Difference::Twice(entry.path.clone()));
        }
    }
    let mut parents: BTreeSet<&str> = BTreeSet::from(["/", ""]);
    for entry in &tree.entries {
        let slashes = entry.path.match_indices('/');
        parents.extend(slashes.map(|(at, _)| &entry.path[..at]));
    }
    for entry in &tree.entries {
        match found.remove(entry.path.as_str()) {
            Some(found) => compare(tree.os, entry, found)?,
            None if parents.contains(entry.path.as_str()) && is_directory(entry) => {}
            None => return Err(Difference::Missing(entry.path.clone())),
        }
    }
    let documentation = documentation(tree);
    let extra = found.into_values().filter(|found| {
        !documentation
            .iter()
            .any(|path| is_around(path, &found.path))
    });
    match extra
        .into_iter()
        .find(|f| f.kind != Kind::Directory || !parents.contains(f.path.as_str()))
    {
        Some(extra) => Err(Difference::Extra(extra.path.clone())),
        None => Ok(()),
    }
}

/// Where Linux's formats put licences and changelogs; empty for other systems.
fn documentation(tree: &Tree) -> Vec<String> {
    let folders = ["/usr/share/doc", "/usr/share/licenses"];
    let folders = folders.iter().filter(|_| tree.os == Os::Linux);
    folders
        .map(|folder| format!("{folder}/{}", tree.identity.name))
        .collect()
}

/// Whether `path` is a folder, above it or in it.
fn is_around(folder: &str, path: &str) -> bool {
    let inside = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(folder, path) || inside(path, folder)
}

fn is_directory(entry: &Entry) -> bool {
    matches!(entry.node, Node::Directory)
}

fn compare(os: Os, entry: &Entry, found: &Found) -> Result<(), Difference> {
    let other = |what, found: String, wanted: String| {
        Err(Difference::Other {
            path: entry.path.clone(),
            what,
            found,
            wanted,
        })
    };
    let kind = |kind: &Kind| format!("{kind:?}");
    match (&entry.node, &found.kind) {
        (Node::Directory, Kind::Directory) => {}
        (Node::File(content), Kind::File) => {
            let wanted = sha256(content);
            if found.sha256 != Some(wanted) {
                let found = found.sha256.map_or_else(|| "none".into(), hex::encode);
                return other("digest", found, hex::encode(wanted));
            }
        }
        (Node::Link(wanted), Kind::Link(found)) if wanted == found => {}
        (Node::Link(wanted), Kind::Link(found)) => {
            return other("link", found.clone(), wanted.clone());
        }
        (Node::Directory, found) => return other("kind", kind(found), "Directory".into()),
        (Node::File(_), found) => return other("kind", kind(found), "File".into()),
        (Node::Link(_), found) => return other("kind", kind(found), "Link".into()),
    }
    let is_link = matches!(entry.node, Node::Link(_));
    // What a link's own mode is, nobody asks.
    if let Some(mode) = found.mode.filter(|mode| !is_link && *mode != entry.mode) {
        return other("mode", format!("{mode:o}"), format!("{:o}", entry.mode));
    }
    if os == Os::Windows {
        return Ok(());
    }
    match &found.owner {
        Some((user, _)) if user == "root" || user == "0" => Ok(()),
        Some((user, group)) => other("owner", format!("{user}:{group}"), "root".into()),
        None => other("owner", "none".into(), "root".into()),
    }
}

fn sha256(content: &Content) -> [u8; 32] {
    match content {
        Content::Shared(shared) => *shared.sha256(),
        Content::Customer(customer) => {
            let mut sum = [0; 32];
            sum.copy_from_slice(digest::digest(&digest::SHA256, customer.bytes()).as_ref());
            sum
        }
    }
}
