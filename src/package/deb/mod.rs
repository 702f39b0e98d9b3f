//! Debian packages: deb(5), Debian Policy chapters 3, 5, 6 and 12.
//!
//! ```text
//! "!<arch>\n"
//! debian-binary     "2.0\n"
//! control.tar.gz    control, md5sums, maintainer scripts
//! data.tar[.gz …]   what lies where: shared files first, then customers' and documentation
//! ```
//!
//! dpkg reads one zstd frame and one xz stream, and stops there: those two are never made of
//! kept segments. Nothing is a conffile, as a new installer's configuration wins.

mod ar;
mod control;
mod documentation;

use super::distribution::{self, Frames};
use super::tar::{self, Kind, Member};
use super::{BuildContext, BuildError, Builder, Compression, Format, Output, scripts};
use crate::compress::{Codec, Digests, Sink, Wanted};
use crate::install::{Arch, Content, Entry, Identity, Node, Os, Shared, Tree};

/// Writes `.deb` files.
pub struct Deb;

impl Builder for Deb {
    fn file_name(&self, identity: &Identity) -> String {
        let arch = architecture(identity.arch);
        format!("{}_{}_{arch}.deb", identity.name, identity.version)
    }

    fn check(&self, identity: &Identity) -> Result<(), BuildError> {
        control::check(identity)
    }

    fn build(
        &self,
        tree: &Tree,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(), BuildError> {
        self.check(&tree.identity)?;
        let entries = entries(tree, context)?;
        let payload = Payload::of(context.compression);
        let sums = md5sums(&entries, context, payload.codec)?;
        out.append(ar::MAGIC)?;
        ar::member(out, "debian-binary", context.epoch, b"2.0\n")?;
        let control = control_archive(tree, &entries, sums, context)?;
        ar::member(out, "control.tar.gz", context.epoch, &control)?;
        let data = ar::begin(out, payload.name, context.epoch)?;
        data_archive(&entries, context, payload.codec, out)?;
        ar::end(out, data)
    }
}

/// The word for a processor (Debian Policy 11.1). Debian has no packages for two.
fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "amd64",
        Arch::Arm64 => "arm64",
        Arch::Universal => "all",
    }
}

fn unfit(what: String) -> BuildError {
    BuildError::Unfit {
        format: Format::Deb,
        what,
    }
}

/// Name and codec of the archive of files.
struct Payload {
    name: &'static str,
    codec: Codec,
}

impl Payload {
    fn of(compression: Option<Compression>) -> Self {
        let compression = compression.unwrap_or(Compression::Gzip);
        let name = match compression {
            Compression::Gzip => "data.tar.gz",
            Compression::Zstd => "data.tar.zst",
            Compression::Xz => "data.tar.xz",
            Compression::None => "data.tar",
        };
        let codec = distribution::codec(compression, Frames::One);
        Self { name, codec }
    }
}

/// Directories that every Debian has and no package lists: dpkg would remove them, when they
/// are empty, with a package that does. preinst makes those that are missing.
const UNLISTED: [&str; 3] = ["/opt", "/usr/local", "/usr/local/bin"];

/// The tree's entries and the package's documentation, without what is [`UNLISTED`].
fn entries(tree: &Tree, context: &BuildContext<'_>) -> Result<Vec<Entry>, BuildError> {
    let mut entries = tree.entries.clone();
    entries.extend(documentation::entries(&tree.identity, context)?);
    let mut entries = Tree::settle(Os::Linux, entries).map_err(|error| unfit(error.to_string()))?;
    entries.retain(|entry| !UNLISTED.contains(&entry.path.as_str()));
    Ok(entries)
}

/// The member `md5sums` (deb-md5sums(5)): files without secrets. The digests of shared files
/// are taken in the pass that compresses them.
fn md5sums(
    entries: &[Entry],
    context: &BuildContext<'_>,
    codec: Codec,
) -> Result<String, BuildError> {
    let shared: Vec<Shared> = entries.iter().filter_map(shared).cloned().collect();
    let prepared = context.compressor.prepare(&shared, codec, Wanted::MD5)?;
    let mut prepared = prepared.into_iter();
    let mut sums = String::new();
    for entry in entries {
        let digests = match &entry.node {
            Node::File(Content::Shared(_)) => prepared.next(),
            Node::File(Content::Customer(own)) => Some(Digests::of(own.bytes(), Wanted::MD5)),
            Node::Directory | Node::Link(_) => None,
        };
        if let Some(md5) = digests.and_then(|digests| digests.md5)
            && !entry.secret
        {
            let path = entry.path.trim_start_matches('/');
            sums.push_str(&format!("{}  {path}\n", hex::encode(md5)));
        }
    }
    Ok(sums)
}

fn shared(entry: &Entry) -> Option<&Shared> {
    match &entry.node {
        Node::File(Content::Shared(shared)) => Some(shared),
        _ => None,
    }
}

/// `control.tar.gz`.
fn control_archive(
    tree: &Tree,
    entries: &[Entry],
    sums: String,
    context: &BuildContext<'_>,
) -> Result<Vec<u8>, BuildError> {
    let mut files = vec![
        ("control", 0o644, control::paragraph(tree, entries)),
        ("md5sums", 0o644, sums),
    ];
    for (name, script) in scripts::deb(tree)? {
        files.push((name, 0o755, script));
    }
    let mut archive = Vec::new();
    let mut stream = context.compressor.stream(Codec::Gzip(9), &mut archive);
    stream.bytes(&root(context.epoch))?;
    for (name, mode, text) in files {
        let name = format!("./{name}");
        tar::append_bytes(&name, mode, text.as_bytes(), context.epoch, &mut stream)?;
    }
    stream.bytes(&tar::END)?;
    stream.finish()?;
    Ok(archive)
}

/// `data.tar`, compressed.
fn data_archive(
    entries: &[Entry],
    context: &BuildContext<'_>,
    codec: Codec,
    out: &mut dyn Sink,
) -> Result<(), BuildError> {
    let mut stream = context.compressor.stream(codec, out);
    stream.bytes(&root(context.epoch))?;
    for entry in entries {
        if (context.cancelled)() {
            return Err(BuildError::Cancelled);
        }
        tar::append(entry, "./", context.epoch, &mut stream)?;
    }
    stream.bytes(&tar::END)?;
    stream.finish()?;
    Ok(())
}

/// The first member of both archives, as dpkg-deb writes it.
fn root(epoch: u64) -> Vec<u8> {
    let root = Member {
        name: "./",
        mode: 0o755,
        mtime: epoch,
        kind: Kind::Directory,
    };
    root.header()
}

#[cfg(test)]
mod tests;
