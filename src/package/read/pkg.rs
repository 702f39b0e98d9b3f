//! pkg: a xar archive with a Distribution and one folder per component, or one component.
//!
//! A component is `PackageInfo`, `Bom`, `Payload` and `Scripts`; the last two are cpio
//! archives, as gzip, pbzx or plain. Every entry of the Payload is held against the Bom, and
//! the Bom against the Payload.
//!
//! ```text
//! pbzx: "pbzx", block size u64, then per block: raw size u64, stored size u64 (big-endian),
//!   an xz stream, or the raw bytes when both sizes are the same
//! ```
//! Documents: Apple's "Distribution Definition"; the rest is known by use.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};

use super::bom::{self, Line};
use super::collect::{Collector, Second, absolute, cksum};
use super::cpio::{self, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use super::stream::{Budget, Decoder, Metered, mebibytes, read_all};
use super::xar::{self, Archive, Member, child, parse_xml};
use super::{Found, Identity, Kind, Package, Payload, ReadError};
use crate::package::{Compression, Format};

/// Largest Distribution or PackageInfo.
const MAX_XML: u64 = 4 << 20;
/// Largest Bom: some 500,000 files.
const MAX_BOM: u64 = 64 << 20;
/// Largest script whose text is kept; larger members are programs that scripts call.
const MAX_SCRIPT: u64 = 1 << 20;
/// Largest block of pbzx.
const MAX_BLOCK: u64 = 64 << 20;

/// What a component's PackageInfo says.
struct Info {
    identifier: String,
    version: String,
    location: String,
}

/// Reads the whole file.
pub(super) fn read(
    file: &File,
    len: u64,
    budget: &Budget,
    mut collector: Collector<'_>,
) -> Result<Package, ReadError> {
    let archive = xar::open(file, len, budget)?;
    let mut package = Package {
        format: Format::Pkg,
        identity: Identity::default(),
        files: Vec::new(),
        base: None,
        scripts: Vec::new(),
        metadata: Vec::new(),
        signature: archive.signature.clone(),
        payload: Payload {
            compression: Compression::None,
            parts: 1,
        },
    };
    if let Some(member) = find(&archive, "", "Distribution") {
        distribution(&member.text(budget, MAX_XML)?, &mut package)?;
    }
    let infos = archive.members.iter().filter_map(|member| {
        let folder = member.path.strip_suffix("PackageInfo")?;
        (folder.is_empty() || folder.ends_with('/')).then_some((folder, member))
    });
    let mut infos: Vec<_> = infos.collect();
    infos.sort_by_key(|(folder, _)| *folder);
    if infos.is_empty() {
        return Err(ReadError::foreign(Format::Pkg, "it holds no PackageInfo"));
    }
    for (folder, member) in infos {
        let text = member.text(budget, MAX_XML)?;
        let info = info(&text, &member.path)?;
        package.metadata.push((member.path.clone(), text));
        if package.identity.name.is_empty() {
            package.identity.name = info.identifier.clone();
        }
        if package.identity.version.is_empty() {
            package.identity.version = info.version.clone();
        }
        component(
            &archive,
            folder,
            &info,
            budget,
            &mut package,
            &mut collector,
        )?;
    }
    package.files = collector.files;
    Ok(package)
}

fn find<'a, 'f>(archive: &'a Archive<'f>, folder: &str, name: &str) -> Option<&'a Member<'f>> {
    let mut members = archive.members.iter();
    members.find(|member| member.path.strip_prefix(folder) == Some(name))
}

fn distribution(text: &str, package: &mut Package) -> Result<(), ReadError> {
    let document = parse_xml(text, "Distribution")?;
    let root = document.root_element();
    if let Some(product) = child(root, "product") {
        let attribute = |name| product.attribute(name).unwrap_or_default().to_owned();
        package.identity.name = attribute("id");
        package.identity.version = attribute("version");
    }
    let options = child(root, "options").and_then(|node| node.attribute("hostArchitectures"));
    package.identity.arch = options.unwrap_or_default().to_owned();
    package
        .metadata
        .push(("Distribution".to_owned(), text.to_owned()));
    Ok(())
}

fn info(text: &str, path: &str) -> Result<Info, ReadError> {
    let document = parse_xml(text, path)?;
    let root = document.root_element();
    if !root.has_tag_name("pkg-info") {
        return Err(ReadError::damaged(path, "its root is not <pkg-info>"));
    }
    let attribute = |name| root.attribute(name).map(str::to_owned);
    let missing = || ReadError::damaged(path, "it has no identifier");
    Ok(Info {
        identifier: attribute("identifier").ok_or_else(missing)?,
        version: attribute("version").unwrap_or_default(),
        location: attribute("install-location").unwrap_or_else(|| "/".to_owned()),
    })
}

fn component(
    archive: &Archive<'_>,
    folder: &str,
    info: &Info,
    budget: &Budget,
    package: &mut Package,
    collector: &mut Collector<'_>,
) -> Result<(), ReadError> {
    if let Some(member) = find(archive, folder, "Scripts") {
        let mut from = unpack(member, budget)?;
        cpio::walk(&mut from, &member.path, &mut |entry, contents| {
            let name = absolute("", &entry.name, &member.path)?;
            if entry.mode & S_IFMT != S_IFREG {
                return Ok(());
            }
            let text = match entry.len > MAX_SCRIPT {
                true => format!("({})", mebibytes(entry.len)),
                false => {
                    let bytes = read_all(contents, &member.path, MAX_SCRIPT)?;
                    String::from_utf8_lossy(&bytes).into_owned()
                }
            };
            let name = format!("{folder}{}", name.trim_start_matches('/'));
            package.scripts.push((name, text));
            Ok(())
        })?;
    }
    let Some(member) = find(archive, folder, "Payload") else {
        return Ok(());
    };
    let list = match find(archive, folder, "Bom") {
        Some(bom) => bom::parse(&read_all(bom.open(budget), &bom.path, MAX_BOM)?)?,
        None => return Err(ReadError::damaged(&info.identifier, "it has no Bom")),
    };
    package.payload = payload(member, budget, info, list, collector)?;
    Ok(())
}

fn payload(
    member: &Member<'_>,
    budget: &Budget,
    info: &Info,
    mut list: BTreeMap<String, Line>,
    collector: &mut Collector<'_>,
) -> Result<Payload, ReadError> {
    let part = &member.path;
    let mut from = unpack(member, budget)?;
    cpio::walk(&mut from, part, &mut |entry, contents| {
        let path = absolute(&info.location, &entry.name, part)?;
        let name = absolute("", &entry.name, part)?;
        let name = match name.as_str() {
            "/" => ".".to_owned(),
            name => format!(".{name}"),
        };
        let line = list.remove(&name).ok_or_else(|| {
            ReadError::damaged("Bom", format!("it does not list {name}, or once only"))
        })?;
        one(entry, path, contents, &line, part, collector)
    })?;
    match list.into_keys().next() {
        Some(name) => Err(ReadError::damaged("Bom", format!("{name} is in it alone"))),
        None => Ok(from.payload()),
    }
}

/// One entry of the payload, held against the Bom.
fn one(
    entry: cpio::Header,
    path: String,
    contents: &mut dyn Read,
    line: &Line,
    part: &str,
    collector: &mut Collector<'_>,
) -> Result<(), ReadError> {
    let differs = |what| ReadError::Mismatch {
        path: path.clone(),
        list: "Bom",
        what,
    };
    let kind = match entry.mode & S_IFMT {
        S_IFREG => Kind::File,
        S_IFDIR => Kind::Directory,
        S_IFLNK => Kind::Link(cpio::link(&entry, contents, part)?),
        _ => Kind::Special,
    };
    if line.mode != entry.mode {
        return Err(differs("mode"));
    }
    if (line.uid, line.gid) != (entry.uid, entry.gid) {
        return Err(differs("owner"));
    }
    let found = Found {
        path: path.clone(),
        mode: Some(entry.mode & 0o7777),
        owner: Some((entry.uid.to_string(), entry.gid.to_string())),
        len: if kind == Kind::File { entry.len } else { 0 },
        sha256: None,
        kind,
    };
    match &found.kind {
        Kind::File => {
            // The Bom's field has 32 bits.
            if line.size != entry.len & 0xffff_ffff {
                return Err(differs("size"));
            }
            let seen = collector.file(found, contents, Second::Cksum)?;
            match seen.cksum == line.checksum {
                true => Ok(()),
                false => Err(differs("checksum")),
            }
        }
        Kind::Link(text) if *text != line.link => Err(differs("link")),
        Kind::Link(text) if cksum(text.as_bytes()) != line.checksum => Err(differs("checksum")),
        _ => collector.add(found),
    }
}

/// A Payload or Scripts member, unpacked.
enum Unpacked<'b> {
    Plain(Metered<'b, Decoder<'b>>),
    Pbzx(Metered<'b, Pbzx<'b>>),
}

impl Unpacked<'_> {
    fn payload(&self) -> Payload {
        match self {
            Self::Plain(from) => Payload {
                compression: from.inner().compression(),
                parts: from.inner().parts(),
            },
            Self::Pbzx(_) => Payload {
                compression: Compression::Xz,
                parts: 1,
            },
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(from) => from.read(buf),
            Self::Pbzx(from) => from.read(buf),
        }
    }
}

fn unpack<'b>(member: &'b Member<'_>, budget: &'b Budget) -> Result<Unpacked<'b>, ReadError> {
    let part = &member.path;
    let of_io = |e| ReadError::of_io(part, e);
    let mut from = BufReader::new(member.open(budget));
    let mut magic = [0; 4];
    let got = io::Read::take(&mut from, 4)
        .read(&mut magic)
        .map_err(of_io)?;
    if got == 4 && &magic == b"pbzx" {
        let mut size = [0; 8];
        from.read_exact(&mut size).map_err(of_io)?;
        let pbzx = Pbzx {
            from: Box::new(from),
            block: Cursor::new(Vec::new()),
        };
        return Ok(Unpacked::Pbzx(Metered::new(pbzx, part, budget)));
    }
    let whole = Cursor::new(magic).take(got as u64).chain(from);
    let decoder = Decoder::new(whole).map_err(of_io)?;
    Ok(Unpacked::Plain(Metered::new(decoder, part, budget)))
}

/// Blocks of xz, one after the other; one block is in memory at a time.
struct Pbzx<'b> {
    from: Box<dyn Read + 'b>,
    block: Cursor<Vec<u8>>,
}

impl Pbzx<'_> {
    /// Loads the next block; `false` at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut head = [0; 16];
        let got = io::Read::take(&mut self.from, 1).read(&mut head)?;
        if got == 0 {
            return Ok(false);
        }
        self.from.read_exact(&mut head[1..])?;
        let size = |at: usize| {
            head[at..at + 8]
                .iter()
                .fold(0, |sum, &b| sum << 8 | u64::from(b))
        };
        let (raw, stored) = (size(0), size(8));
        if raw > MAX_BLOCK || stored > MAX_BLOCK {
            return Err(ReadError::too_large("a block of pbzx", mebibytes(MAX_BLOCK)).into());
        }
        let packed = read_all(
            self.from.by_ref().take(stored),
            "a block of pbzx",
            MAX_BLOCK,
        )?;
        if packed.len() as u64 != stored {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let plain = match raw == stored {
            true => packed,
            false => read_all(Decoder::new(Cursor::new(packed))?, "a block of pbzx", raw)?,
        };
        if plain.len() as u64 != raw {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.block = Cursor::new(plain);
        Ok(true)
    }
}

impl Read for Pbzx<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.block.read(buf)?;
            if got > 0 || buf.is_empty() || !self.next()? {
                return Ok(got);
            }
        }
    }
}
