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
use crate::compress::{Ahead, Codec, Digests, Sink, Wanted};
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

    fn treatment(&self, compression: Option<Compression>) -> Option<(Codec, Wanted)> {
        Some((Payload::of(compression).codec, WANTED))
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
        let control = Control::of(tree, &entries)?;
        out.append(ar::MAGIC)?;
        ar::member(out, "debian-binary", context.epoch, b"2.0\n")?;
        let begun = ar::begin(out, "control.tar.gz", context.epoch)?;
        let place = out.position();
        let room = control.archive(&md5sums(&entries, &[]), context)?.len();
        out.append(&vec![0; room])?;
        ar::end(out, begun)?;
        let data = ar::begin(out, payload.name, context.epoch)?;
        let digests = data_archive(&entries, context, payload.codec, out)?;
        ar::end(out, data)?;
        let archive = control.archive(&md5sums(&entries, &digests), context)?;
        match archive.len() == room {
            true => out.patch(place, &archive),
            false => Err(unfit("control.tar.gz beyond its place".to_owned())),
        }
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

/// What `md5sums` tells of every file.
const WANTED: Wanted = Wanted::MD5;

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
    entries.extend(documentation::entries(tree, context)?);
    let mut entries = Tree::settle(Os::Linux, entries).map_err(|error| unfit(error.to_string()))?;
    entries.retain(|entry| !UNLISTED.contains(&entry.path.as_str()));
    Ok(entries)
}

/// The member `md5sums` (deb-md5sums(5)): files without secrets. `digests` are those of the
/// shared files, in their order; where there are none, zeros keep their place.
fn md5sums(entries: &[Entry], digests: &[Digests]) -> String {
    let mut digests = digests.iter();
    let mut sums = String::new();
    for entry in entries {
        let md5 = match &entry.node {
            Node::File(Content::Shared(_)) => digests.next().and_then(|digests| digests.md5),
            Node::File(Content::Customer(own)) => Digests::of(own.bytes(), Wanted::MD5).md5,
            Node::Directory | Node::Link(_) => continue,
        };
        if !entry.secret {
            let path = entry.path.trim_start_matches('/');
            let md5 = hex::encode(md5.unwrap_or_default());
            sums.push_str(&format!("{md5}  {path}\n"));
        }
    }
    sums
}

fn shared(entry: &Entry) -> Option<&Shared> {
    match &entry.node {
        Node::File(Content::Shared(shared)) => Some(shared),
        _ => None,
    }
}

/// What dpkg keeps for itself, without `md5sums`.
struct Control {
    paragraph: String,
    scripts: Vec<(&'static str, String)>,
}

impl Control {
    fn of(tree: &Tree, entries: &[Entry]) -> Result<Self, BuildError> {
        Ok(Self {
            paragraph: control::paragraph(tree, entries),
            scripts: scripts::deb(tree)?,
        })
    }

    /// `control.tar.gz`. It stands before the files whose digests it lists, and its length must
    /// not depend on them: `sums` are stored in it.
    fn archive(&self, sums: &str, context: &BuildContext<'_>) -> Result<Vec<u8>, BuildError> {
        let mut archive = Vec::new();
        let mut stream = context.compressor.stream(Codec::Gzip(9), &mut archive);
        stream.bytes(&root(context.epoch))?;
        let mut append = |name: &str, mode: u32, text: &str, stored: bool| {
            let member = Member {
                name: &format!("./{name}"),
                mode,
                mtime: context.epoch,
                kind: Kind::File(text.len() as u64),
            };
            stream.bytes(&member.header())?;
            match stored {
                true => stream.stored(text.as_bytes())?,
                false => stream.bytes(text.as_bytes())?,
            }
            stream.bytes(tar::padding(text.len() as u64))
        };
        append("control", 0o644, &self.paragraph, false)?;
        append("md5sums", 0o644, sums, true)?;
        for (name, script) in &self.scripts {
            append(name, 0o755, script, false)?;
        }
        stream.bytes(&tar::END)?;
        stream.finish()?;
        Ok(archive)
    }
}

/// `data.tar`, compressed, written while shared files are compressed and digested; gives their
/// digests.
fn data_archive(
    entries: &[Entry],
    context: &BuildContext<'_>,
    codec: Codec,
    out: &mut dyn Sink,
) -> Result<Vec<Digests>, BuildError> {
    let shared: Vec<Shared> = entries.iter().filter_map(shared).cloned().collect();
    let write = |ahead: &Ahead<'_>| {
        let mut stream = ahead.stream(out);
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
    };
    let (digests, ()) = context.compressor.beside(&shared, codec, WANTED, write)?;
    Ok(digests)
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
