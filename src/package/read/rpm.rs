//! rpm: lead, signature header, header, cpio payload.
//!
//! Verified: the header against its digests in the signature header, the compressed payload
//! against `PAYLOADSHA256`, and every file against the digest, size and link in the header.
//! Signatures are named, not checked.
//!
//! ```text
//! lead 96 bytes; header = 8e ad e8 01, 4 zeros, count u32, length u32,
//!   count × (tag u32, type u32, offset u32, count u32), store of `length` bytes;
//! the signature header is padded to a multiple of 8
//! ```
//! Documents: rpm.org/docs "RPM V4 Package format" and "RPM Tags".

mod header;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use aws_lc_rs::digest::{self, Context};

use super::collect::{Collector, Contents, Second, absolute};
use super::cpio::{self, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use super::stream::{Budget, Decoder, Metered, Section, drain};
use super::{Found, Identity, Kind, Package, Payload, ReadError};
use crate::package::Format;
use header::{Header, tag};

const LEAD: u64 = 96;
const PART: &str = "the payload";
/// Digest algorithms as OpenPGP numbers them (RFC 4880, 9.4).
const MD5: u32 = 1;
const SHA256: u32 = 8;

/// Reads the whole file.
pub(super) fn read(
    file: &File,
    len: u64,
    budget: &Budget,
    mut collector: Collector<'_>,
) -> Result<Package, ReadError> {
    let whole = Section::new(file, 0, len);
    let (lead, got) = whole.peek::<4>()?;
    if got < 4 || lead != [0xed, 0xab, 0xee, 0xdb] {
        let why = "it does not begin with rpm's lead";
        return Err(ReadError::foreign(Format::Rpm, why));
    }
    let (signatures, end) = Header::read(&whole, LEAD, "the signature header")?;
    let begin = end.next_multiple_of(8);
    let (header, end) = Header::read(&whole, begin, "the header")?;
    check_header(&signatures, &header)?;
    let payload = whole.part(end, len - end);
    let payload = payload.ok_or_else(|| ReadError::truncated(PART))?;
    check_payload(&header, payload)?;
    let listed = listed(&header)?;
    let payload = unpack(&header, payload, budget, listed, &mut collector)?;
    Ok(Package {
        format: Format::Rpm,
        identity: Identity {
            name: header.text(tag::NAME)?,
            version: header.text(tag::VERSION)?,
            arch: header.text(tag::ARCH)?,
        },
        files: collector.files,
        base: None,
        scripts: header.scripts()?,
        metadata: header.fields()?,
        signature: signature(&signatures),
        payload,
    })
}

fn signature(signatures: &Header) -> Option<String> {
    let kinds = [
        (tag::SIG_RSA, "OpenPGP, RSA, of the header"),
        (tag::SIG_DSA, "OpenPGP, DSA or EdDSA, of the header"),
        (tag::SIG_OPENPGP, "OpenPGP, of the header"),
        (tag::SIG_PGP, "OpenPGP, RSA, of header and payload"),
        (tag::SIG_GPG, "OpenPGP, DSA, of header and payload"),
    ];
    let found = kinds.iter().find(|(tag, _)| signatures.has(*tag));
    found.map(|(_, words)| (*words).to_owned())
}

fn check_header(signatures: &Header, header: &Header) -> Result<(), ReadError> {
    let kinds = [
        (tag::SIG_SHA1, &digest::SHA1_FOR_LEGACY_USE_ONLY),
        (tag::SIG_SHA256, &digest::SHA256),
    ];
    for (tag, algorithm) in kinds {
        let Some(announced) = signatures.text_if_there(tag)? else {
            continue;
        };
        let found = digest::digest(algorithm, header.bytes());
        if !announced.eq_ignore_ascii_case(&hex::encode(found)) {
            return Err(ReadError::damaged("the header", "its digest does not hold"));
        }
    }
    Ok(())
}

fn check_payload(header: &Header, mut payload: Section<'_>) -> Result<(), ReadError> {
    let Some(announced) = header.text_if_there(tag::PAYLOAD_DIGEST)? else {
        return Ok(());
    };
    if header.number_if_there(tag::PAYLOAD_DIGEST_ALGO)? != Some(u64::from(SHA256)) {
        return Ok(());
    }
    let mut context = Context::new(&digest::SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match payload.read(&mut buffer).map_err(ReadError::Io)? {
            0 => break,
            got => context.update(&buffer[..got]),
        }
    }
    match announced.eq_ignore_ascii_case(&hex::encode(context.finish())) {
        true => Ok(()),
        false => Err(ReadError::damaged(PART, "its digest does not hold")),
    }
}

/// What the header says of one file.
struct Listed {
    found: Found,
    /// Hexadecimal, empty for all but regular files.
    digest: String,
    seen: bool,
}

fn listed(header: &Header) -> Result<BTreeMap<String, Listed>, ReadError> {
    let paths = header.paths()?;
    let count = paths.len();
    let modes = header.numbers(tag::FILE_MODES, count)?;
    let sizes = match header.has(tag::LONG_FILE_SIZES) {
        true => header.numbers(tag::LONG_FILE_SIZES, count)?,
        false => header.numbers(tag::FILE_SIZES, count)?,
    };
    let digests = header.texts(tag::FILE_DIGESTS, count)?;
    let links = header.texts(tag::FILE_LINKS, count)?;
    let flags = header.numbers(tag::FILE_FLAGS, count)?;
    let users = header.texts(tag::FILE_USERS, count)?;
    let groups = header.texts(tag::FILE_GROUPS, count)?;
    let mut listed = BTreeMap::new();
    for (index, path) in paths.into_iter().enumerate() {
        let path = absolute("/", path.as_bytes(), "the header")?;
        let mode = modes[index] as u32;
        let kind = match mode & S_IFMT {
            _ if flags[index] & tag::GHOST != 0 => Kind::Ghost,
            S_IFREG => Kind::File,
            S_IFDIR => Kind::Directory,
            S_IFLNK => Kind::Link(links[index].clone()),
            _ => Kind::Special,
        };
        let len = if kind == Kind::File { sizes[index] } else { 0 };
        let found = Found {
            path: path.clone(),
            kind,
            mode: Some(mode & 0o7777),
            owner: Some((users[index].clone(), groups[index].clone())),
            len,
            sha256: None,
        };
        let entry = Listed {
            found,
            digest: digests[index].clone(),
            seen: false,
        };
        if listed.insert(path.clone(), entry).is_some() {
            return Err(ReadError::damaged(
                "the header",
                format!("{path} is listed twice"),
            ));
        }
    }
    Ok(listed)
}

fn unpack(
    header: &Header,
    payload: Section<'_>,
    budget: &Budget,
    mut listed: BTreeMap<String, Listed>,
    collector: &mut Collector<'_>,
) -> Result<Payload, ReadError> {
    let algorithm = header.number_if_there(tag::FILE_DIGEST_ALGO)?;
    let algorithm = algorithm.map_or(MD5, |number| number as u32);
    let compressor = header.text_if_there(tag::PAYLOAD_COMPRESSOR)?;
    if let Some(other @ ("bzip2" | "lzma")) = compressor.as_deref() {
        return Err(ReadError::unsupported(PART, format!("{other} compression")));
    }
    let mut from = match Decoder::new(payload) {
        Ok(decoder) => Metered::new(decoder, PART, budget),
        Err(e) => return Err(ReadError::of_io(PART, e)),
    };
    let mut linked: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    if !listed.is_empty() || payload.len() > 0 {
        cpio::walk(&mut from, PART, &mut |entry, contents| {
            let path = absolute("/", &entry.name, PART)?;
            let known = listed.get_mut(&path).filter(|known| !known.seen);
            let known = known.ok_or_else(|| {
                ReadError::damaged(PART, format!("{path} is not in the header, or comes twice"))
            })?;
            known.seen = true;
            let found = known.found.clone();
            // Of hard links only the last carries the contents.
            if found.kind == Kind::File && entry.nlink > 1 && entry.len == 0 && found.len > 0 {
                linked.entry(entry.ino).or_default().push(path);
                return Ok(());
            }
            let others = linked.remove(&entry.ino).filter(|_| entry.nlink > 1);
            let digest = known.digest.clone();
            one(found, &digest, algorithm, entry, contents, collector)?;
            for other in others.unwrap_or_default() {
                if let Some(known) = listed.get(&other) {
                    let kind = Kind::HardLink(path.clone());
                    let found = Found {
                        kind,
                        len: 0,
                        ..known.found.clone()
                    };
                    collector.add(found)?;
                }
            }
            Ok(())
        })?;
    } else {
        drain(&mut from).map_err(|e| ReadError::of_io(PART, e))?;
    }
    rest(linked, listed, collector)?;
    Ok(Payload {
        compression: from.inner().compression(),
        parts: from.inner().parts(),
    })
}

/// What the payload did not bring: ghosts belong there, everything else is missing.
fn rest(
    linked: BTreeMap<u64, Vec<String>>,
    listed: BTreeMap<String, Listed>,
    collector: &mut Collector<'_>,
) -> Result<(), ReadError> {
    if let Some(path) = linked.into_values().flatten().next() {
        return Err(ReadError::truncated(path));
    }
    for (path, entry) in listed {
        match entry.found.kind {
            Kind::Ghost => collector.add(entry.found)?,
            _ if entry.seen => {}
            _ => {
                return Err(ReadError::damaged(
                    PART,
                    format!("{path} is in the header alone"),
                ));
            }
        }
    }
    Ok(())
}

/// One entry of the payload, held against the header.
fn one(
    found: Found,
    digest: &str,
    algorithm: u32,
    entry: cpio::Header,
    contents: &mut dyn Read,
    collector: &mut Collector<'_>,
) -> Result<(), ReadError> {
    let path = found.path.clone();
    let differs = |what| ReadError::Mismatch {
        path: path.clone(),
        list: "the header",
        what,
    };
    if found.kind == Kind::Ghost {
        return Err(ReadError::damaged(
            PART,
            format!("{path} is a ghost with contents"),
        ));
    }
    let kind = match entry.mode & S_IFMT {
        S_IFREG => Kind::File,
        S_IFDIR => Kind::Directory,
        S_IFLNK => Kind::Link(cpio::link(&entry, contents, PART)?),
        _ => Kind::Special,
    };
    if kind != found.kind {
        return Err(differs("kind or link"));
    }
    if Some(entry.mode & 0o7777) != found.mode {
        return Err(differs("mode"));
    }
    if kind != Kind::File {
        return collector.add(found);
    }
    if entry.len != found.len {
        return Err(differs("size"));
    }
    let second = match algorithm {
        MD5 => Second::Md5,
        _ => Second::None,
    };
    let seen = collector.file(found, contents, second)?;
    match digest_holds(&seen, digest, algorithm) {
        true => Ok(()),
        false => Err(differs("digest")),
    }
}

fn digest_holds(seen: &Contents, digest: &str, algorithm: u32) -> bool {
    match algorithm {
        SHA256 => digest.eq_ignore_ascii_case(&hex::encode(seen.sha256)),
        MD5 => digest.eq_ignore_ascii_case(&hex::encode(seen.md5)),
        // Others exist on paper: sha1, sha384, sha512. The payload's own digest covers them.
        _ => true,
    }
}
