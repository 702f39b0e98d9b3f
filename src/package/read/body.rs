//! The unsigned body of an installer, part by part, and what is left out as signature.
//!
//! Two installers with the same body do the same on a host, whoever signed them:
//!
//! | format | parts | left out |
//! | --- | --- | --- |
//! | deb | members of the ar archive | `_gpg…` members |
//! | rpm | header, payload | lead and signature header |
//! | pkg.tar.zst | the file | nothing: signatures lie beside it |
//! | pkg | members of the xar archive, as stored | its table of contents, signatures, a ticket behind it |
//! | msi | streams of the compound file | `DigitalSignature`, `MsiDigitalSignatureEx` |
//!
//! The time that a package bears is found on the way: it is what `SOURCE_DATE_EPOCH` was.

use std::fs::File;
use std::io::{self, Read};
use std::time::UNIX_EPOCH;

use super::stream::{Budget, Section};
use super::{ReadError, xar};
use crate::package::Format;

/// A body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Name and sha256 of each part, in the order of the file.
    pub parts: Vec<(String, [u8; 32])>,
    /// What is signature, and so no part of it.
    pub left_out: Vec<String>,
    /// Seconds since 1970 that the package bears, where that can be told from it alone.
    pub epoch: Option<u64>,
}

/// Reads the body of a package. It is not judged: [`super::read`] does that.
pub fn body(format: Format, file: &File) -> Result<Body, ReadError> {
    let len = file.metadata().map_err(ReadError::Io)?.len();
    let whole = Section::new(file, 0, len);
    match format {
        Format::Deb => deb(whole),
        Format::Rpm => rpm(whole),
        Format::PkgTarZst => Ok(Body {
            parts: vec![("the file".to_owned(), digest(whole)?)],
            left_out: Vec::new(),
            epoch: None,
        }),
        Format::Pkg => pkg(file, len),
        Format::Msi => msi(file),
    }
}

fn digest(mut from: impl Read) -> Result<[u8; 32], ReadError> {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 1 << 17];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => context.update(&buffer[..got]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ReadError::Io(e)),
        }
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    Ok(sha256)
}

/// Offset of the first member's time in its header, and its length (ar(5)).
const AR_TIME: std::ops::Range<usize> = 24..36;

fn deb(whole: Section<'_>) -> Result<Body, ReadError> {
    let (head, _) = whole.peek::<68>()?;
    let time = std::str::from_utf8(&head[AR_TIME]).ok();
    let epoch = time.and_then(|time| time.trim().parse().ok());
    let (mut parts, mut left_out) = (Vec::new(), Vec::new());
    let mut archive = ar::Archive::new(whole);
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(ReadError::Io)?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        match name.starts_with("_gpg") {
            true => left_out.push(format!("the signature {name}")),
            false => parts.push((name, digest(member)?)),
        }
    }
    Ok(Body {
        parts,
        left_out,
        epoch,
    })
}

/// Bytes of the lead, which nobody reads any more (rpm's `format_lead`).
const LEAD: u64 = 96;
/// Tag of the build time.
const BUILD_TIME: u32 = 1006;

fn rpm(whole: Section<'_>) -> Result<Body, ReadError> {
    let cut = || ReadError::truncated("the header");
    let signature = header_len(whole, LEAD)?;
    // The signature header is padded to eight bytes; the header is not.
    let start = LEAD + signature.next_multiple_of(8);
    let len = header_len(whole, start)?;
    let header = whole.part(start, len).ok_or_else(cut)?;
    let payload = whole
        .part(start + len, whole.len().saturating_sub(start + len))
        .ok_or_else(cut)?;
    let epoch = build_time(&header.to_vec("the header", 64 << 20)?);
    Ok(Body {
        parts: vec![
            ("header".to_owned(), digest(header)?),
            ("payload".to_owned(), digest(payload)?),
        ],
        left_out: vec!["lead and signature header".to_owned()],
        epoch,
    })
}

/// Magic and reserved bytes, number of entries, bytes of data; 16 bytes an entry.
fn header_len(whole: Section<'_>, at: u64) -> Result<u64, ReadError> {
    let cut = || ReadError::truncated("the header");
    let head = whole.part(at, 16).ok_or_else(cut)?;
    let (head, _) = head.peek::<16>()?;
    if head[..3] != [0x8e, 0xad, 0xe8] {
        return Err(ReadError::damaged(
            "the header",
            "it has another magic number",
        ));
    }
    Ok(16 + u64::from(big_endian(&head[8..12])) * 16 + u64::from(big_endian(&head[12..16])))
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn build_time(header: &[u8]) -> Option<u64> {
    let count = usize::try_from(big_endian(header.get(8..12)?)).ok()?;
    let (index, data) = header.get(16..)?.split_at_checked(count.checked_mul(16)?)?;
    let entry = index
        .chunks_exact(16)
        .find(|entry| big_endian(&entry[..4]) == BUILD_TIME)?;
    let offset = usize::try_from(big_endian(&entry[8..12])).ok()?;
    let bytes = data.get(offset..offset.checked_add(4)?)?;
    Some(u64::from(big_endian(bytes)))
}

fn pkg(file: &File, len: u64) -> Result<Body, ReadError> {
    let budget = Budget::for_file(len);
    let archive = xar::open(file, len, &budget)?;
    let mut left_out = vec!["the table of contents of the xar archive".to_owned()];
    left_out.extend(
        archive
            .signature
            .map(|kind| format!("the signature: {kind}")),
    );
    let epoch = archive.created.as_deref().and_then(|text| {
        let text = format!("{}Z", text.trim_end_matches('Z'));
        u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_second()).ok()
    });
    let mut parts = Vec::new();
    for member in archive.members {
        let sha256 = digest(member.stored())?;
        parts.push((member.path, sha256));
    }
    Ok(Body {
        parts,
        left_out,
        epoch,
    })
}

/// Streams that a signature adds (their names begin with byte 5).
const SIGNATURES: [&str; 2] = ["\u{5}DigitalSignature", "\u{5}MsiDigitalSignatureEx"];

fn msi(file: &File) -> Result<Body, ReadError> {
    let damaged = |error: io::Error| ReadError::damaged("the compound file", error.to_string());
    let mut compound = cfb::CompoundFile::open(file).map_err(damaged)?;
    let streams: Vec<_> = compound
        .walk()
        .filter(cfb::Entry::is_stream)
        .map(|entry| (entry.path().to_owned(), entry.name().to_owned()))
        .collect();
    let (mut parts, mut left_out) = (Vec::new(), Vec::new());
    for (path, name) in streams {
        if SIGNATURES.contains(&name.as_str()) {
            left_out.push(format!(
                "the signature: stream {}",
                name.trim_start_matches('\u{5}')
            ));
            continue;
        }
        let stream = compound.open_stream(&path).map_err(damaged)?;
        parts.push((decoded(&name), digest(stream)?));
    }
    let package = msi::Package::open(file).map_err(damaged)?;
    let created = package.summary_info().creation_time();
    let created = created.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(Body {
        parts,
        left_out,
        epoch: created.map(|time| time.as_secs()),
    })
}

/// A stream's name as the database knows it: two of 64 characters in one of U+3800 to U+47FF,
/// one in U+4800 to U+483F; U+4840 marks a table.
fn decoded(name: &str) -> String {
    const SET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._";
    let letter = |number: u32| char::from(SET[(number & 63) as usize]);
    let mut text = String::new();
    for c in name.chars() {
        match u32::from(c) {
            0x4840 => text.push_str("table "),
            code @ 0x3800..0x4800 => {
                let pair = code - 0x3800;
                text.extend([letter(pair), letter(pair >> 6)]);
            }
            code @ 0x4800..0x4840 => text.push(letter(code - 0x4800)),
            5 => {}
            _ => text.push(c),
        }
    }
    text
}
