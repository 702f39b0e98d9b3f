//! `Payload` and `Scripts`: a cpio archive as one gzip member.
//!
//! One member, because readers exist that stop after the first. Installer is known to take
//! gzip; of any other compression nobody has published that it does.

use crate::compress::{Codec, Compressor, Sink, Wanted};
use crate::install::{Content, Entry, Node, Shared, Tree};
use crate::package::{BuildContext, BuildError, Compression};

use super::cpio::Odc;
use super::listing::{Listing, unfit};
use super::scripts::checksum;

/// The codec, the same for every part of the package.
pub const CODEC: Codec = Codec::Gzip(6);

/// Refuses a compression that Installer is not known to read.
pub fn check(compression: Option<Compression>) -> Result<(), BuildError> {
    match compression {
        None | Some(Compression::Gzip) => Ok(()),
        Some(other) => Err(unfit(format!(
            "a payload compressed by {other:?}; macOS is known to read gzip alone"
        ))),
    }
}

/// Compresses and digests shared contents, and lists every path of the tree.
pub fn list(tree: &Tree, context: &BuildContext<'_>) -> Result<Listing, BuildError> {
    let shared: Vec<Shared> = tree.entries.iter().filter_map(shared).cloned().collect();
    let digests = context.compressor.prepare(&shared, CODEC, Wanted::CKSUM)?;
    let mut sums = digests.into_iter();
    let mut listing = Listing::new(context.epoch)?;
    for entry in &tree.entries {
        let sum = match shared_sum(entry, &mut sums) {
            Some(sum) => sum,
            None => checksum(&entry.node),
        };
        listing.add(entry, sum)?;
    }
    Ok(listing)
}

fn shared(entry: &Entry) -> Option<&Shared> {
    match &entry.node {
        Node::File(Content::Shared(shared)) => Some(shared),
        _ => None,
    }
}

fn shared_sum(
    entry: &Entry,
    sums: &mut impl Iterator<Item = crate::compress::Digests>,
) -> Option<u32> {
    shared(entry)?;
    sums.next()?.cksum
}

/// Writes the archive of `entries`, which `listing` lists after its root.
pub fn write(
    compressor: &Compressor,
    listing: &Listing,
    entries: &[Entry],
    sink: &mut dyn Sink,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), BuildError> {
    let mut stream = compressor.stream(CODEC, sink);
    let mut odc = Odc::default();
    let nodes = std::iter::once(&Node::Directory).chain(entries.iter().map(|e| &e.node));
    for (line, node) in listing.lines().iter().zip(nodes) {
        if cancelled() {
            return Err(BuildError::Cancelled);
        }
        stream.bytes(&odc.header(line, listing.mtime()))?;
        if let Node::File(content) = node {
            stream.content(content)?;
        }
    }
    stream.bytes(&odc.trailer())?;
    stream.finish()?;
    Ok(())
}
