//! `Payload` and `Scripts`: a cpio archive as one gzip member.
//!
//! One member, because readers exist that stop after the first. Installer is known to take
//! gzip; of any other compression nobody has published that it does.

use crate::compress::{Ahead, Codec, Digests, Sink, Stream, Wanted};
use crate::install::{Content, Entry, Node, Shared, Tree};
use crate::package::{BuildContext, BuildError, Compression};

use super::cpio::Odc;
use super::listing::{Listing, unfit};
use super::scripts::checksum;

/// The codec, the same for every part of the package.
pub const CODEC: Codec = Codec::Gzip(6);

/// What the Bom tells of every file.
pub const WANTED: Wanted = Wanted::CKSUM;

/// Refuses a compression that Installer is not known to read.
pub fn check(compression: Option<Compression>) -> Result<(), BuildError> {
    match compression {
        None | Some(Compression::Gzip) => Ok(()),
        Some(other) => Err(unfit(format!(
            "a payload compressed by {other:?}; macOS is known to read gzip alone"
        ))),
    }
}

/// Lists every path of the tree. `digests` are those of the shared files, in their order; where
/// there are none, zeros keep their place.
pub fn list(tree: &Tree, epoch: u64, digests: &[Digests]) -> Result<Listing, BuildError> {
    let mut digests = digests.iter();
    let mut listing = Listing::new(epoch)?;
    for entry in &tree.entries {
        let sum = match shared(entry) {
            Some(_) => digests.next().and_then(|digests| digests.cksum),
            None => Some(checksum(&entry.node)),
        };
        listing.add(entry, sum.unwrap_or_default())?;
    }
    Ok(listing)
}

fn shared(entry: &Entry) -> Option<&Shared> {
    match &entry.node {
        Node::File(Content::Shared(shared)) => Some(shared),
        _ => None,
    }
}

/// Writes the archive of the tree while shared files are compressed and digested; gives their
/// digests. `listing` lists it.
pub fn build(
    tree: &Tree,
    listing: &Listing,
    sink: &mut dyn Sink,
    context: &BuildContext<'_>,
) -> Result<Vec<Digests>, BuildError> {
    let shared: Vec<Shared> = tree.entries.iter().filter_map(shared).cloned().collect();
    let write = |ahead: &Ahead<'_>| {
        let stream = ahead.stream(sink);
        fill(stream, listing, &tree.entries, context.cancelled)
    };
    let room = context.compressor;
    let (digests, ()) = room.beside(&shared, CODEC, WANTED, write)?;
    Ok(digests)
}

/// Fills the archive of `entries`, which `listing` lists after its root.
pub fn fill(
    mut stream: Stream<'_>,
    listing: &Listing,
    entries: &[Entry],
    cancelled: &dyn Fn() -> bool,
) -> Result<(), BuildError> {
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
