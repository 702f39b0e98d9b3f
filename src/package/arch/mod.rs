//! The Arch Linux builder: one zstd-compressed tar with pacman's own members first.
//!
//! ```text
//! .BUILDINFO   how it was built           [`info`]
//! .INSTALL     functions for bash         [`super::scripts`]
//! .MTREE       gzip; every path's facts   [`mtree`]
//! .PKGINFO     what it is                 [`info`]
//! the tree     names without a leading slash
//! ```
//!
//! Everything in the leading members is known before the first byte is written. The stream
//! is of independent frames, which libarchive reads one after the other. Sources: PKGINFO(5)
//! and BUILDINFO(5) of pacman, mtree(5) of libarchive.

mod info;
mod mtree;

use super::{
    BuildContext, BuildError, Builder, Compression, Format, Output, distribution, scripts, tar,
};
use crate::compress::{Codec, Stream, Wanted};
use crate::install::{Content, Identity, Node, Shared, Tree};

/// There is one package of a version.
const RELEASE: &str = "1";

/// Level of `.MTREE`'s gzip: it is small.
const MTREE_LEVEL: u8 = 9;

/// Builds `pkg.tar.zst` files.
#[derive(Clone, Copy, Debug, Default)]
pub struct PkgTarZst;

impl Builder for PkgTarZst {
    fn file_name(&self, identity: &Identity) -> String {
        format!(
            "{}-{}-{}.pkg.tar.zst",
            identity.name,
            full_version(identity),
            distribution::machine(identity.arch)
        )
    }

    fn check(&self, identity: &Identity) -> Result<(), BuildError> {
        // PKGBUILD(5), pkgver: no colon, slash, hyphen or whitespace.
        distribution::check_version(identity, Format::PkgTarZst, "._+~^%@")
    }

    fn treatment(&self, compression: Option<Compression>) -> Option<(Codec, Wanted)> {
        Some((codec(compression).ok()?, WANTED))
    }

    fn build(
        &self,
        tree: &Tree,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(), BuildError> {
        self.check(&tree.identity)?;
        let codec = codec(context.compression)?;
        let shared: Vec<Shared> = tree.entries.iter().filter_map(shared).collect();
        let digests = context.compressor.prepare(&shared, codec, WANTED)?;
        let known = digests.into_iter().map(|d| (d.sha256, d)).collect();
        let leading = leading(tree, &known, context)?;
        let mut stream = context.compressor.stream(codec, out);
        for (name, bytes) in &leading {
            tar::append_bytes(name, 0o644, bytes, context.epoch, &mut stream)?;
        }
        payload(tree, context, &mut stream)?;
        stream.bytes(&tar::END)?;
        stream.finish()?;
        Ok(())
    }
}

/// What `.MTREE` tells of every file.
const WANTED: Wanted = Wanted::MD5;

type Leading = Vec<(&'static str, Vec<u8>)>;

/// The members that pacman keeps for itself, in the order in which they are written.
fn leading(
    tree: &Tree,
    known: &mtree::Known,
    context: &BuildContext<'_>,
) -> Result<Leading, BuildError> {
    let mut members: Leading = vec![
        (".BUILDINFO", info::build_info(tree, context.epoch)),
        (".PKGINFO", info::package_info(tree, context.epoch)),
    ];
    for (name, text) in scripts::arch(tree)? {
        members.push((name, text.into_bytes()));
    }
    members.sort();
    let listed: Vec<(&str, &[u8])> = members
        .iter()
        .map(|(name, bytes)| (*name, bytes.as_slice()))
        .collect();
    let mtree = mtree::list(&listed, tree, known, context.epoch);
    let mut packed = Vec::new();
    let mut stream = context
        .compressor
        .stream(Codec::Gzip(MTREE_LEVEL), &mut packed);
    stream.bytes(mtree.as_bytes())?;
    stream.finish()?;
    members.push((".MTREE", packed));
    members.sort();
    Ok(members)
}

fn payload(
    tree: &Tree,
    context: &BuildContext<'_>,
    stream: &mut Stream<'_>,
) -> Result<(), BuildError> {
    for entry in &tree.entries {
        if (context.cancelled)() {
            return Err(BuildError::Cancelled);
        }
        tar::append(entry, "", context.epoch, stream)?;
    }
    Ok(())
}

fn shared(entry: &crate::install::Entry) -> Option<Shared> {
    match &entry.node {
        Node::File(Content::Shared(shared)) => Some(shared.clone()),
        _ => None,
    }
}

/// The codec is part of the format's name.
fn codec(compression: Option<Compression>) -> Result<Codec, BuildError> {
    match compression {
        None | Some(Compression::Zstd) => Ok(distribution::codec(
            Compression::Zstd,
            distribution::Frames::Several,
        )),
        Some(_) => Err(BuildError::Unfit {
            format: Format::PkgTarZst,
            what: "any compression but zstd: its name says so".to_owned(),
        }),
    }
}

/// Version and release, as pacman compares them.
fn full_version(identity: &Identity) -> String {
    format!("{}-{RELEASE}", identity.version)
}
