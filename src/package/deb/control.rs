//! The member `control`: deb-control(5), Debian Policy chapter 5.
//!
//! Values come as they are and are refused where the grammar or dpkg would not take them;
//! none of them is changed to fit.

use super::{BuildError, architecture, unfit};
use crate::install::{Arch, Entry, Identity, Node, Tree};

/// Refuses an identity that dpkg would not install.
pub(super) fn check(identity: &Identity) -> Result<(), BuildError> {
    if identity.arch == Arch::Universal {
        return Err(unfit("programs for more than one processor".into()));
    }
    if !is_name(&identity.name) {
        return Err(unfit(format!("the package name {:?}", identity.name)));
    }
    if !is_version(&identity.version) {
        return Err(unfit(format!(
            "the version {:?}: it must begin with a digit and hold only letters, digits, `.`, `+`, `-` and `~`",
            identity.version
        )));
    }
    let lines = [
        ("vendor", &identity.vendor),
        ("maintainer", &identity.maintainer),
        ("homepage", &identity.homepage),
        ("summary", &identity.summary),
        ("license", &identity.license),
    ];
    for (what, line) in lines {
        if line.trim().is_empty() || line.contains(char::is_control) {
            return Err(unfit(format!("the {what} {line:?}: it must be one line")));
        }
    }
    if identity
        .description
        .contains(|c: char| c.is_control() && c != '\n')
    {
        return Err(unfit("control characters in the description".into()));
    }
    Ok(())
}

/// Debian Policy 5.6.1.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
}

/// Debian Policy 5.6.12, without an epoch: that would be a colon in a file name.
fn is_version(version: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+-~".contains(c);
    let revision = version.rsplit_once('-').map(|(_, revision)| revision);
    version.starts_with(|c: char| c.is_ascii_digit())
        && version.chars().all(plain)
        && revision != Some("")
}

/// The one paragraph, its fields in the order in which Debian's own tools write them.
pub(super) fn paragraph(tree: &Tree, entries: &[Entry]) -> String {
    let identity = &tree.identity;
    let size = installed_size(entries).to_string();
    let fields = [
        ("Package", identity.name.as_str()),
        ("Version", &identity.version),
        ("Architecture", architecture(identity.arch)),
        ("Maintainer", &identity.maintainer),
        ("Installed-Size", &size),
        ("Section", "admin"),
        ("Priority", "optional"),
        ("Homepage", &identity.homepage),
        ("Description", &identity.summary),
    ];
    let mut paragraph = String::new();
    for (name, value) in fields {
        paragraph.push_str(&format!("{name}: {value}\n"));
    }
    for line in identity.description.trim_end().lines() {
        // An empty line would end the paragraph (Policy 5.6.13).
        let line = if line.trim().is_empty() { "." } else { line };
        paragraph.push_str(&format!(" {line}\n"));
    }
    paragraph
}

/// KiB as Debian's tools count them (deb-substvars(5)): files and links rounded up each, and
/// one for every directory, the root among them.
fn installed_size(entries: &[Entry]) -> u64 {
    let sizes = entries.iter().map(|entry| match entry.node {
        Node::Directory => 1,
        Node::File(_) | Node::Link(_) => entry.len().div_ceil(1024),
    });
    1 + sizes.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        for name in ["fleet-osquery", "a1", "0ad", "g++", "x.y"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a", "Fleet", "-a", "a_b", "a b", "a\n"] {
            assert!(!is_name(name), "{name:?}");
        }
        for version in [
            "1",
            "1.2.3",
            "1.2.3-4",
            "1.2.3-rc1-2",
            "1.0+b~c",
            "0.0.1-beta",
        ] {
            assert!(is_version(version), "{version}");
        }
        for version in [
            "", "v1.2", "edge", "1:2", "1_2", "1 2", "1.2-", "1\n", "1.é",
        ] {
            assert!(!is_version(version), "{version:?}");
        }
    }

    #[test]
    fn sizes_are_rounded_up_one_by_one() {
        let entries = [
            Entry::directory("/a"),
            Entry::customer("/a/empty", 0o644, ""),
            Entry::customer("/a/one", 0o644, "x"),
            Entry::customer("/a/kib", 0o644, vec![0; 1024]),
            Entry::customer("/a/more", 0o644, vec![0; 1025]),
            Entry::link("/a/link", "one"),
        ];
        assert_eq!(installed_size(&entries), 1 + 1 + 1 + 1 + 2 + 1);
    }
}
