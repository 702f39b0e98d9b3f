//! `.PKGINFO` and `.BUILDINFO`: lines of `key = value`.
//!
//! No dependency is named: the shell, glibc and systemd are in Arch's `base`, which every
//! installation has, and the agent replaces its own programs with later ones. What BUILDINFO(5)
//! says about a PKGBUILD is left out: there is none.

use super::full_version;
use crate::install::Tree;
use crate::package::distribution::machine;

/// `.PKGINFO` (PKGINFO(5)).
pub fn package_info(tree: &Tree, epoch: u64) -> Vec<u8> {
    let identity = &tree.identity;
    lines(&[
        ("pkgname", &identity.name),
        ("pkgbase", &identity.name),
        ("xdata", "pkgtype=pkg"),
        ("pkgver", &full_version(identity)),
        ("pkgdesc", &identity.summary),
        ("url", &identity.homepage),
        ("builddate", &epoch.to_string()),
        ("packager", &identity.maintainer),
        ("size", &tree.installed_bytes().to_string()),
        ("arch", machine(identity.arch)),
        ("license", &identity.license),
    ])
}

/// `.BUILDINFO` (BUILDINFO(5), format 2).
pub fn build_info(tree: &Tree, epoch: u64) -> Vec<u8> {
    let identity = &tree.identity;
    lines(&[
        ("format", "2"),
        ("pkgname", &identity.name),
        ("pkgbase", &identity.name),
        ("pkgver", &full_version(identity)),
        ("pkgarch", machine(identity.arch)),
        ("packager", &identity.maintainer),
        ("builddate", &epoch.to_string()),
        ("buildtool", env!("CARGO_PKG_NAME")),
        ("buildtoolver", env!("CARGO_PKG_VERSION")),
    ])
}

fn lines(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push_str(&format!("{key} = {}\n", value.replace('\n', " ")));
    }
    text.into_bytes()
}
