//! xar: a header, a compressed XML table of contents, a heap.
//!
//! Every member that is opened is held against its `archived-checksum`, the table of contents
//! against the digest at the heap's start.
//!
//! ```text
//! "xar!", header size u16, version u16, table compressed u64, table plain u64, algorithm u32,
//! all big-endian; zlib of the table; heap, from which all offsets count
//! ```
//! Document: the xar project's wiki, "xarformat".

use std::fs::File;
use std::io::Read;

use aws_lc_rs::digest::{self, Context};
use md5::{Digest, Md5};
use roxmltree::{Document, Node, ParsingOptions};

use super::ReadError;
use super::stream::{Budget, Metered, Section, read_all};
use crate::package::Format;

const TOC: &str = "the table of contents";
/// Largest table of contents, unpacked: about 8000 members.
const MAX_TOC: u64 = 8 << 20;
/// XML nodes of a document that are taken.
const MAX_NODES: u32 = 400_000;
const MAX_DEPTH: usize = 16;

/// An opened archive.
pub(super) struct Archive<'f> {
    pub(super) members: Vec<Member<'f>>,
    /// What kind of signature it carries.
    pub(super) signature: Option<String>,
    /// When it was made, as it says.
    pub(super) created: Option<String>,
}

/// A file in it.
pub(super) struct Member<'f> {
    /// Folders and name, with slashes.
    pub(super) path: String,
    stored: Section<'f>,
    size: u64,
    zlib: bool,
}

impl<'f> Member<'f> {
    /// Its bytes as they lie in the heap.
    pub(super) fn stored(&self) -> Section<'f> {
        self.stored
    }
}

/// Reads header and table of contents.
pub(super) fn open<'f>(
    file: &'f File,
    len: u64,
    budget: &Budget,
) -> Result<Archive<'f>, ReadError> {
    let whole = Section::new(file, 0, len);
    let (head, got) = whole.peek::<28>()?;
    if got < 4 || &head[..4] != b"xar!" {
        return Err(ReadError::foreign(
            Format::Pkg,
            "it does not begin with `xar!`",
        ));
    }
    if got < 28 {
        return Err(ReadError::truncated("the header"));
    }
    let number = |range: std::ops::Range<usize>| {
        head[range]
            .iter()
            .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
    };
    let (size, packed, plain) = (number(4..6), number(8..16), number(16..24));
    let toc = whole.part(size, packed);
    let toc = toc.ok_or_else(|| ReadError::truncated(TOC))?;
    if packed > MAX_TOC || plain > MAX_TOC {
        return Err(ReadError::too_large(TOC, "8 MiB"));
    }
    let heap = size + packed;
    let heap = whole.part(heap, len - heap);
    let heap = heap.ok_or_else(|| ReadError::truncated("the heap"))?;
    let unpacked = Metered::new(flate2::read::ZlibDecoder::new(toc), TOC, budget);
    let text = read_all(unpacked, TOC, MAX_TOC)?;
    if text.len() as u64 != plain {
        return Err(ReadError::damaged(
            TOC,
            "its length is not the one announced",
        ));
    }
    let text = String::from_utf8_lossy(&text);
    let document = parse_xml(&text, TOC)?;
    let root = child(document.root_element(), "toc");
    let root = root.ok_or_else(|| ReadError::damaged(TOC, "it has no <toc>"))?;
    check_toc(root, toc, heap)?;
    let signed = |name| child(root, name).is_some();
    let signature = match (signed("x-signature"), signed("signature")) {
        (true, _) => Some("CMS of the table of contents".to_owned()),
        (_, true) => Some("RSA of the table of contents".to_owned()),
        _ => None,
    };
    let created = child(root, "creation-time").and_then(|made| made.text());
    let created = created.map(|made| made.trim().to_owned());
    let members = members(root, heap, budget)?;
    Ok(Archive {
        members,
        signature,
        created,
    })
}

/// Parses XML without document types, bounded.
pub(super) fn parse_xml<'t>(text: &'t str, part: &str) -> Result<Document<'t>, ReadError> {
    let options = ParsingOptions {
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options)
        .map_err(|error| ReadError::damaged(part, error.to_string()))
}

/// The first child element of a name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}

fn number(node: Node<'_, '_>, name: &str) -> Option<u64> {
    text(node, name)?.parse().ok()
}

fn check_toc(root: Node<'_, '_>, toc: Section<'_>, heap: Section<'_>) -> Result<(), ReadError> {
    let Some(sum) = child(root, "checksum") else {
        return Err(ReadError::damaged(TOC, "it has no <checksum>"));
    };
    let place = number(sum, "offset").zip(number(sum, "size"));
    let stored = place.and_then(|(offset, size)| heap.part(offset, size));
    let stored = stored.ok_or_else(|| ReadError::truncated("the heap"))?;
    let stored = stored.to_vec(TOC, 64)?;
    match hash(toc, sum.attribute("style"), TOC)? {
        Some(found) if found != stored => Err(ReadError::damaged(TOC, "its digest does not hold")),
        _ => Ok(()),
    }
}

/// Digest of a range; `None` when the style is none that is known.
fn hash(
    mut from: Section<'_>,
    style: Option<&str>,
    part: &str,
) -> Result<Option<Vec<u8>>, ReadError> {
    let style = style.unwrap_or_default().to_ascii_lowercase();
    let algorithm = match style.as_str() {
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &digest::SHA256,
        "sha512" => &digest::SHA512,
        "md5" => {
            let mut md5 = Md5::new();
            each_piece(&mut from, part, |piece| md5.update(piece))?;
            return Ok(Some(md5.finalize().to_vec()));
        }
        _ => return Ok(None),
    };
    let mut context = Context::new(algorithm);
    each_piece(&mut from, part, |piece| context.update(piece))?;
    Ok(Some(context.finish().as_ref().to_vec()))
}

fn each_piece(
    from: &mut Section<'_>,
    part: &str,
    mut each: impl FnMut(&[u8]),
) -> Result<(), ReadError> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from
            .read(&mut buffer)
            .map_err(|e| ReadError::of_io(part, e))?
        {
            0 => return Ok(()),
            got => each(&buffer[..got]),
        }
    }
}

fn members<'f>(
    root: Node<'_, '_>,
    heap: Section<'f>,
    budget: &Budget,
) -> Result<Vec<Member<'f>>, ReadError> {
    let mut members = Vec::new();
    let mut open = vec![(String::new(), root)];
    while let Some((folder, node)) = open.pop() {
        for file in node.children().filter(|node| node.has_tag_name("file")) {
            let name = text(file, "name").unwrap_or_default();
            let depth = folder.matches('/').count();
            if matches!(name, "" | "." | "..") || name.contains('/') || depth > MAX_DEPTH {
                return Err(ReadError::damaged(
                    TOC,
                    format!("{name:?} is no name of a member"),
                ));
            }
            let path = format!("{folder}{name}");
            match text(file, "type") {
                Some("directory") => open.push((format!("{path}/"), file)),
                _ => members.extend(member(path, file, heap, budget)?),
            }
        }
    }
    Ok(members)
}

/// A member with contents; links have none.
fn member<'f>(
    path: String,
    file: Node<'_, '_>,
    heap: Section<'f>,
    budget: &Budget,
) -> Result<Option<Member<'f>>, ReadError> {
    let Some(data) = child(file, "data") else {
        return Ok(None);
    };
    let place = number(data, "offset").zip(number(data, "length"));
    let stored = place.and_then(|(offset, length)| heap.part(offset, length));
    let stored = stored.ok_or_else(|| ReadError::truncated(path.as_str()))?;
    let size = number(data, "size").unwrap_or(stored.len());
    let encoding = child(data, "encoding").and_then(|node| node.attribute("style"));
    let zlib = match encoding.unwrap_or("application/octet-stream") {
        "application/octet-stream" => false,
        "application/x-gzip" => true,
        other => {
            return Err(ReadError::unsupported(
                path,
                format!("the encoding {other}"),
            ));
        }
    };
    if let Some(sum) = child(data, "archived-checksum") {
        // Members may overlap: hashing the same gigabyte for each of them is no use to anyone.
        budget.spend(&path, stored.len())?;
        let found = hash(stored, sum.attribute("style"), &path)?;
        let announced = hex::decode(sum.text().unwrap_or_default().trim()).unwrap_or_default();
        if found.is_some_and(|found| found != announced) {
            return Err(ReadError::damaged(
                path,
                "its archived-checksum does not hold",
            ));
        }
    }
    Ok(Some(Member {
        path,
        stored,
        size,
        zlib,
    }))
}

impl<'f> Member<'f> {
    /// Its contents.
    pub(super) fn open<'b>(&'b self, budget: &'b Budget) -> Box<dyn Read + 'b> {
        match self.zlib {
            false => Box::new(self.stored),
            true => {
                let plain = flate2::read::ZlibDecoder::new(self.stored);
                Box::new(Metered::new(plain, &self.path, budget).take(self.size))
            }
        }
    }

    /// A small member's text.
    pub(super) fn text(&self, budget: &Budget, limit: u64) -> Result<String, ReadError> {
        let bytes = read_all(self.open(budget), &self.path, limit)?;
        String::from_utf8(bytes).map_err(|_| ReadError::damaged(&self.path, "it is no UTF-8"))
    }
}
