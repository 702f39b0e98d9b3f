//! macOS product archive (`.pkg`): one component with its description.
//!
//! ```text
//! xar  Distribution            what Installer shows and checks        metadata
//!      base.pkg/Bom            every path, for receipts               bom
//!      base.pkg/PackageInfo    the component                          metadata
//!      base.pkg/Scripts        cpio in gzip: pre- and postinstall     scripts
//!      base.pkg/Payload        cpio in gzip: the tree                 payload
//! ```
//!
//! The payload stands last, so that it is streamed straight into the file while it is
//! compressed; the Bom with its check sums and the table of contents (`xar`) are patched in
//! before it. Signing happens afterwards, in a room of its own.

mod bom;
mod cpio;
mod listing;
mod metadata;
mod payload;
mod scripts;
mod xar;

use aws_lc_rs::digest;

use super::{BuildContext, BuildError, Builder, Compression, Output};
use crate::compress::{Codec, Digests, Wanted};
use crate::install::{Identity, Tree};
use metadata::{FOLDER, Metadata};
use scripts::Scripts;
use xar::{Archive, Member, SHA1};

/// Writes product archives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pkg;

impl Builder for Pkg {
    fn file_name(&self, identity: &Identity) -> String {
        format!("{}.pkg", identity.name)
    }

    fn treatment(&self, _compression: Option<Compression>) -> Option<(Codec, Wanted)> {
        Some((payload::CODEC, payload::WANTED))
    }

    fn build(
        &self,
        tree: &Tree,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(), BuildError> {
        payload::check(context.compression)?;
        let listing = payload::list(tree, context.epoch, &[])?;
        let scripts = Scripts::new(&tree.lifecycle)?;
        let metadata = Metadata::new(&tree.identity, &listing, &scripts);

        let distribution = metadata.distribution()?;
        let mut parts = vec![
            (BOM, bom::write(&listing)?),
            ("PackageInfo", metadata.package_info()?.into_bytes()),
        ];
        if !scripts.is_empty() {
            parts.push(("Scripts", packed(&scripts, context)?));
        }
        let mut archive = Archive {
            creation_time: creation_time(context.epoch)?,
            top: vec![Member::of("Distribution", distribution.as_bytes())],
            folder: FOLDER,
            files: parts.iter().map(|(n, _)| Member::unknown(n)).collect(),
        };
        archive.files.push(Member::unknown("Payload"));
        let head = archive.head_length()?;

        out.append(&vec![0; head])?;
        out.append(distribution.as_bytes())?;
        let place = out.position();
        for (_, bytes) in &parts {
            out.append(bytes)?;
        }
        let (payload, digests) = payload(tree, context, &listing, out)?;
        // The Bom stands before the files whose check sums it tells, and is as long without.
        parts[0].1 = bom::write(&payload::list(tree, context.epoch, &digests)?)?;
        out.patch(place, &parts[0].1)?;
        let known = parts.iter().map(|(n, bytes)| Member::of(n, bytes));
        archive.files = known.chain([payload]).collect();
        out.patch(0, &archive.head(head)?)
    }
}

const BOM: &str = "Bom";

fn packed(scripts: &Scripts, context: &BuildContext<'_>) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    let stream = context.compressor.stream(payload::CODEC, &mut bytes);
    let listing = scripts.listing(context.epoch)?;
    payload::fill(stream, &listing, scripts.entries(), context.cancelled)?;
    Ok(bytes)
}

fn payload(
    tree: &Tree,
    context: &BuildContext<'_>,
    listing: &listing::Listing,
    out: &mut Output,
) -> Result<(Member, Vec<Digests>), BuildError> {
    let mut hashing = context
        .compressor
        .hashing(out, &digest::SHA1_FOR_LEGACY_USE_ONLY);
    let digests = payload::build(tree, listing, &mut hashing, context)?;
    let size = hashing.position();
    let mut sha1 = [0; SHA1];
    sha1.copy_from_slice(&hashing.finish());
    let member = Member {
        name: "Payload",
        size,
        sha1,
    };
    Ok((member, digests))
}

fn creation_time(epoch: u64) -> Result<String, BuildError> {
    i64::try_from(epoch)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string())
        .ok_or_else(|| listing::unfit(format!("the time stamp {epoch}")))
}
