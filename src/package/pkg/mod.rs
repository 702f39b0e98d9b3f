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
//! The payload stands last, so that it is streamed straight into the file and the table of
//! contents patched in before it (`xar`). Signing happens afterwards, in a room of its own.

mod bom;
mod cpio;
mod listing;
mod metadata;
mod payload;
mod scripts;
mod xar;

use aws_lc_rs::digest;

use super::{BuildContext, BuildError, Builder, Output};
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

    fn build(
        &self,
        tree: &Tree,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(), BuildError> {
        payload::check(context.compression)?;
        let listing = payload::list(tree, context)?;
        let scripts = Scripts::new(&tree.lifecycle)?;
        let metadata = Metadata::new(&tree.identity, &listing, &scripts);

        let distribution = metadata.distribution()?;
        let mut parts = vec![
            ("Bom", bom::write(&listing)?),
            ("PackageInfo", metadata.package_info()?.into_bytes()),
        ];
        if !scripts.is_empty() {
            parts.push(("Scripts", packed(&scripts, context)?));
        }

        let mut archive = Archive {
            creation_time: creation_time(context.epoch)?,
            top: vec![Member::of("Distribution", distribution.as_bytes())],
            folder: FOLDER,
            files: parts
                .iter()
                .map(|(n, bytes)| Member::of(n, bytes))
                .collect(),
        };
        archive.files.push(Member::unknown("Payload"));
        let head = archive.head_length()?;

        out.append(&vec![0; head])?;
        out.append(distribution.as_bytes())?;
        for (_, bytes) in &parts {
            out.append(bytes)?;
        }
        archive.files.pop();
        archive.files.push(payload(tree, context, &listing, out)?);
        out.patch(0, &archive.head(head)?)
    }
}

fn packed(scripts: &Scripts, context: &BuildContext<'_>) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    payload::write(
        context.compressor,
        &scripts.listing(context.epoch)?,
        scripts.entries(),
        &mut bytes,
        context.cancelled,
    )?;
    Ok(bytes)
}

fn payload(
    tree: &Tree,
    context: &BuildContext<'_>,
    listing: &listing::Listing,
    out: &mut Output,
) -> Result<Member, BuildError> {
    let mut hashing = context
        .compressor
        .hashing(out, &digest::SHA1_FOR_LEGACY_USE_ONLY);
    payload::write(
        context.compressor,
        listing,
        &tree.entries,
        &mut hashing,
        context.cancelled,
    )?;
    let size = hashing.position();
    let mut sha1 = [0; SHA1];
    sha1.copy_from_slice(&hashing.finish());
    Ok(Member {
        name: "Payload",
        size,
        sha1,
    })
}

fn creation_time(epoch: u64) -> Result<String, BuildError> {
    i64::try_from(epoch)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string())
        .ok_or_else(|| listing::unfit(format!("the time stamp {epoch}")))
}
