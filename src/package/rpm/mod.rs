//! The rpm builder: lead, signature header, header, compressed cpio payload.
//!
//! ```text
//! 0     lead              [`lead`]
//! 96    signature header  [`signatures`], always of one length
//! 4192  header            [`header`] by the tags of [`tag`]
//!       payload           [`newc`] members, compressed
//! ```
//!
//! The header holds the payload's sha256, and the signature header covers the header, so the
//! payload is written behind room for both and they are patched in. Gzip is the default, as
//! rpm 4.11 (RHEL 7) reads nothing newer but xz. Source: LSB 5.0 Core, "RPM Package Format",
//! and <https://rpm.org/docs/4.20.x/manual/format.html>.

mod dependency;
mod files;
mod header;
mod lead;
mod newc;
mod openpgp;
mod scriptlets;
mod signatures;
mod tag;

pub use openpgp::{KeyError, PASSPHRASE_VARIABLE, SigningKey};

use aws_lc_rs::digest;

use super::{BuildContext, BuildError, Builder, Compression, Format, Output, distribution};
use crate::compress::{Ahead, Codec, Stream, Totals, Wanted};
use crate::install::{Content, Identity, Node, Tree};
use files::File;
use header::{Header, Region};
use scriptlets::Scriptlets;
use signatures::Signatures;

/// There is one package of a version.
const RELEASE: &str = "1";

/// Room that heads and padding may take beside the contents, of the 32 bits that lengths have.
const OVERHEAD: u64 = 64 << 20;

/// Builds rpm files.
#[derive(Debug)]
pub struct Rpm {
    signing_key: Option<SigningKey>,
}

impl Rpm {
    /// A builder that does not sign.
    pub const fn unsigned() -> Self {
        Self { signing_key: None }
    }

    /// Whether there is a key.
    pub fn signs(&self) -> bool {
        self.signing_key.is_some()
    }

    /// A builder that signs.
    pub fn signed_by(key: SigningKey) -> Self {
        Self {
            signing_key: Some(key),
        }
    }
}

impl Builder for Rpm {
    fn file_name(&self, identity: &Identity) -> String {
        format!(
            "{}-{}.{}.rpm",
            identity.name,
            identity.version,
            distribution::machine(identity.arch)
        )
    }

    fn check(&self, identity: &Identity) -> Result<(), BuildError> {
        // rpm 4.18, build/parsePreamble.c: what a version may hold; `-` separates the release.
        distribution::check_version(identity, Format::Rpm, "._+~^%")
    }

    fn treatment(&self, compression: Option<Compression>) -> Option<(Codec, Wanted)> {
        Some((codec(compression), Wanted::NONE))
    }

    fn build(
        &self,
        tree: &Tree,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(), BuildError> {
        self.check(&tree.identity)?;
        let package = Package::of(tree, context)?;
        let draft = package.header(&[0; 32]);
        out.append(&lead::lead(&package.nevr(), tree.identity.arch))?;
        out.append(&[0; signatures::LEN])?;
        out.append(&draft)?;
        let (sha256, totals) = package.payload(context, out)?;
        let header = package.header(&sha256);
        let signed = match &self.signing_key {
            Some(key) => Some(key.sign(&header, package.epoch)?),
            None => None,
        };
        let signatures = Signatures {
            header: &header,
            payload: fit32(totals.stored)?,
            archive: fit32(totals.raw)?,
            signed,
        };
        let signatures = signatures.to_bytes().ok_or_else(|| {
            unfit("a signature by this key: it is longer than the signature header")
        })?;
        out.patch(lead::LEN as u64, &signatures)?;
        out.patch((lead::LEN + signatures::LEN) as u64, &header)
    }
}

/// What is decided before anything is written.
struct Package<'a> {
    identity: &'a Identity,
    files: Vec<File<'a>>,
    scriptlets: Scriptlets,
    codec: Codec,
    epoch: u32,
}

impl<'a> Package<'a> {
    fn of(tree: &'a Tree, context: &BuildContext<'_>) -> Result<Self, BuildError> {
        let bytes = tree.installed_bytes();
        if bytes > u64::from(u32::MAX) - OVERHEAD {
            return Err(unfit(&format!(
                "{bytes} bytes of files: the limit is 4 GiB"
            )));
        }
        Ok(Self {
            identity: &tree.identity,
            files: files::list(tree),
            scriptlets: Scriptlets::of(tree)?,
            codec: codec(context.compression),
            epoch: distribution::epoch32(context.epoch, Format::Rpm)?,
        })
    }

    fn nevr(&self) -> String {
        format!("{}-{}-{RELEASE}", self.identity.name, self.identity.version)
    }

    /// The header, whose length does not depend on the payload's digest.
    fn header(&self, payload_sha256: &[u8]) -> Vec<u8> {
        let mut header = Header::new(Region::Immutable);
        self.put_identity(&mut header);
        dependency::put(&mut header, self.identity, &self.scriptlets, self.codec);
        self.scriptlets.put(&mut header);
        files::put(&mut header, &self.files, self.epoch);
        header.text(tag::PAYLOAD_FORMAT, "cpio");
        if let Some((name, level)) = compressor(self.codec) {
            header.text(tag::PAYLOAD_COMPRESSOR, name);
            header.text(tag::PAYLOAD_FLAGS, level);
        }
        header.texts(tag::PAYLOAD_DIGEST, [hex::encode(payload_sha256)]);
        header.int32(tag::PAYLOAD_DIGEST_ALGORITHM, [tag::SHA256]);
        header.to_bytes()
    }

    fn put_identity(&self, header: &mut Header) {
        let identity = self.identity;
        header.texts(tag::I18N_TABLE, ["C"]);
        header.text(tag::NAME, &identity.name);
        header.text(tag::VERSION, &identity.version);
        header.text(tag::RELEASE, RELEASE);
        header.localised(tag::SUMMARY, &identity.summary);
        header.localised(tag::DESCRIPTION, &identity.description);
        header.int32(tag::BUILD_TIME, [self.epoch]);
        // The building host's own name would make every host's package another one.
        header.text(tag::BUILD_HOST, "reproducible");
        header.text(tag::VENDOR, &identity.vendor);
        header.text(tag::LICENSE, &identity.license);
        header.text(tag::PACKAGER, &identity.maintainer);
        header.localised(tag::GROUP, "System Environment/Daemons");
        header.text(tag::URL, &identity.homepage);
        header.text(tag::OS, "linux");
        header.text(tag::ARCH, distribution::machine(identity.arch));
        header.text(tag::SOURCE_RPM, format!("{}.src.rpm", self.nevr()));
        header.text(tag::ENCODING, "utf-8");
        self.put_changelog(header);
    }

    fn put_changelog(&self, header: &mut Header) {
        let identity = self.identity;
        header.int32(tag::CHANGELOG_TIME, [self.epoch]);
        let author = format!("{} - {}-{RELEASE}", identity.maintainer, identity.version);
        header.texts(tag::CHANGELOG_NAME, [author]);
        let text = format!("- {} {}", identity.display_name, identity.version);
        header.texts(tag::CHANGELOG_TEXT, [text]);
    }

    /// Writes the payload; gives its sha256 and its lengths.
    fn payload(
        &self,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(Vec<u8>, Totals), BuildError> {
        let shared: Vec<_> = self
            .files
            .iter()
            .filter_map(|file| match &file.entry.node {
                Node::File(Content::Shared(shared)) => Some(shared.clone()),
                _ => None,
            })
            .collect();
        let mut hashing = context.compressor.hashing(out, &digest::SHA256);
        let write = |ahead: &Ahead<'_>| {
            let mut stream = ahead.stream(&mut hashing);
            for file in &self.files {
                if (context.cancelled)() {
                    return Err(BuildError::Cancelled);
                }
                self.member(*file, &mut stream)?;
            }
            stream.bytes(&newc::trailer())?;
            Ok(stream.finish()?)
        };
        let room = context.compressor;
        let (_, totals) = room.beside(&shared, self.codec, Wanted::NONE, write)?;
        Ok((hashing.finish(), totals))
    }

    fn member(&self, file: File<'_>, stream: &mut Stream<'_>) -> Result<(), BuildError> {
        let member = newc::Member {
            path: &file.entry.path,
            inode: file.inode,
            mode: file.mode(),
            mtime: self.epoch,
            len: file.len(),
        };
        stream.bytes(&member.head())?;
        match &file.entry.node {
            Node::File(content) => stream.content(content)?,
            Node::Link(target) => stream.bytes(target.as_bytes())?,
            Node::Directory => {}
        }
        stream.bytes(member.padding())?;
        Ok(())
    }
}

fn codec(compression: Option<Compression>) -> Codec {
    distribution::codec(
        compression.unwrap_or(Compression::Gzip),
        distribution::Frames::Several,
    )
}

/// rpm's word for a codec, and the level. A payload that is stored has none: every rpm reads
/// it as gzip, whose reader passes on what has no gzip magic.
fn compressor(codec: Codec) -> Option<(&'static str, String)> {
    match codec {
        Codec::Gzip(level) => Some(("gzip", level.to_string())),
        Codec::Zstd(level) | Codec::ZstdFrames(level) => Some(("zstd", level.to_string())),
        Codec::Xz(preset) => Some(("xz", preset.to_string())),
        Codec::Store | Codec::Mszip(_) => None,
    }
}

fn fit32(len: u64) -> Result<u32, BuildError> {
    u32::try_from(len).map_err(|_| unfit(&format!("a payload of {len} bytes")))
}

fn unfit(what: &str) -> BuildError {
    BuildError::Unfit {
        format: Format::Rpm,
        what: what.to_owned(),
    }
}
