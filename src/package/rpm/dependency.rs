//! What the package provides and requires: three parallel lists of name, flags and version.
//!
//! Required are the shell that runs the scriptlets and the features of rpm that reading the
//! file takes (`rpmlib()`); nothing else. Libraries are left out: the agent replaces its own
//! programs with later ones, whose needs nobody knows today. systemd is a wish for the order
//! of a transaction (`OrderWithRequires`), as installation succeeds in a container without it.
//! Flags are `rpmsenseFlags` of rpm 4.18, `rpmds.h`.

use super::header::Header;
use super::scriptlets::Scriptlets;
use super::tag;
use crate::compress::Codec;
use crate::install::{Arch, Identity};

const LESS: u32 = 1 << 1;
const EQUAL: u32 = 1 << 3;
const INTERPRETER: u32 = 1 << 8;
const RPMLIB: u32 = 1 << 24;

/// A name, and how it must compare to which version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    version: String,
    flags: u32,
}

impl Dependency {
    fn new(name: &str, flags: u32, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            flags,
        }
    }

    fn feature(name: &str, since: &str) -> Self {
        Self::new(&format!("rpmlib({name})"), LESS | EQUAL | RPMLIB, since)
    }
}

/// Puts `Provides`, `Requires` and the wishes for an order.
pub fn put(header: &mut Header, identity: &Identity, scriptlets: &Scriptlets, codec: Codec) {
    let own = format!("{}-{}", identity.version, super::RELEASE);
    let provides = [
        Dependency::new(&identity.name, EQUAL, &own),
        Dependency::new(
            &format!("{}({})", identity.name, isa(identity.arch)),
            EQUAL,
            &own,
        ),
    ];
    let tags = [tag::PROVIDE_NAME, tag::PROVIDE_FLAGS, tag::PROVIDE_VERSION];
    put_list(header, tags, &provides);
    let tags = [tag::REQUIRE_NAME, tag::REQUIRE_FLAGS, tag::REQUIRE_VERSION];
    put_list(header, tags, &requires(identity, scriptlets, codec));
    if let Some(phases) = scriptlets.phases() {
        let tags = [tag::ORDER_NAME, tag::ORDER_FLAGS, tag::ORDER_VERSION];
        put_list(header, tags, &[Dependency::new("systemd", phases, "")]);
    }
}

fn requires(identity: &Identity, scriptlets: &Scriptlets, codec: Codec) -> Vec<Dependency> {
    let mut requires = vec![
        Dependency::feature("CompressedFileNames", "3.0.4-1"),
        Dependency::feature("FileDigests", "4.6.0-1"),
        Dependency::feature("PayloadFilesHavePrefix", "4.0-1"),
    ];
    // Two characters that older rpms would sort in another way.
    if identity.version.contains('~') {
        requires.push(Dependency::feature("TildeInVersions", "4.10.0-1"));
    }
    if identity.version.contains('^') {
        requires.push(Dependency::feature("CaretInVersions", "4.15.0-1"));
    }
    match codec {
        Codec::Xz(_) => requires.push(Dependency::feature("PayloadIsXz", "5.2-1")),
        Codec::Zstd(_) | Codec::ZstdFrames(_) => {
            requires.push(Dependency::feature("PayloadIsZstd", "5.4.18-1"));
        }
        // MSZIP is for cabinets alone.
        Codec::Gzip(_) | Codec::Store | Codec::Mszip(_) => {}
    }
    if let Some(phases) = scriptlets.phases() {
        let shell = Dependency::new(super::scriptlets::SHELL, INTERPRETER | phases, "");
        requires.push(shell);
    }
    requires.sort();
    requires
}

fn put_list(header: &mut Header, [names, flags, versions]: [u32; 3], list: &[Dependency]) {
    header.texts(names, list.iter().map(|d| d.name.as_str()));
    header.int32(flags, list.iter().map(|d| d.flags));
    header.texts(versions, list.iter().map(|d| d.version.as_str()));
}

/// The word for instruction set and width that rpm's `%{?_isa}` holds.
fn isa(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 | Arch::Universal => "x86-64",
        Arch::Arm64 => "aarch-64",
    }
}
