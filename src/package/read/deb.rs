//! deb: an `ar` archive of `debian-binary`, `control.tar.*` and `data.tar.*`.
//!
//! Every file is held against `md5sums`. Members whose names begin with `_` may stand between
//! and are ignored, as deb(5) demands; one of `debsigs` counts as a signature.
//!
//! ```text
//! "!<arch>\n", then per member: name 16, mtime 12, uid 6, gid 6, mode 8, size 10, "`\n",
//! contents, one "\n" when their length is odd
//! ```
//! Documents: deb(5), deb-control(5).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use super::collect::{Collector, Second, absolute};
use super::stream::{Budget, Decoder, Metered, Section, read_all};
use super::tar;
use super::{Found, Identity, Kind, Package, Payload, ReadError};
use crate::package::Format;

const MAGIC: &[u8; 8] = b"!<arch>\n";
/// Largest maintainer script or control field file.
const MAX_TEXT: u64 = 1 << 20;
/// Largest list of digests.
const MAX_SUMS: u64 = 64 << 20;
/// Control files that run on the host.
const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

struct Member<'f> {
    name: String,
    contents: Section<'f>,
}

/// What `control.tar` says.
#[derive(Default)]
struct Control {
    fields: Vec<(String, String)>,
    scripts: Vec<(String, String)>,
    md5sums: BTreeMap<String, [u8; 16]>,
}

/// Reads the whole file.
pub(super) fn read(
    file: &File,
    len: u64,
    budget: &Budget,
    mut collector: Collector<'_>,
) -> Result<Package, ReadError> {
    let members = members(Section::new(file, 0, len))?;
    let signature = members.iter().find(|m| m.name.starts_with("_gpg"));
    let signature = signature.map(|member| format!("OpenPGP ({})", member.name));
    let mut parts = members.iter().filter(|m| !m.name.starts_with('_'));
    let version = parts.next().ok_or_else(|| foreign("it has no members"))?;
    check_version(version)?;
    let mut next = |stem: &str| {
        parts
            .next()
            .filter(|member| member.name.starts_with(stem))
            .ok_or_else(|| match stem {
                "control.tar" => foreign("no control.tar follows debian-binary"),
                _ => foreign("no data.tar follows control.tar"),
            })
    };
    let control = control(next("control.tar")?, budget)?;
    let payload = data(next("data.tar")?, budget, &control, &mut collector)?;
    Ok(Package {
        format: Format::Deb,
        identity: identity(&control.fields)?,
        files: collector.files,
        base: None,
        scripts: control.scripts,
        metadata: control.fields,
        signature,
        payload,
    })
}

fn foreign(why: &str) -> ReadError {
    ReadError::foreign(Format::Deb, why)
}

fn members(whole: Section<'_>) -> Result<Vec<Member<'_>>, ReadError> {
    let (magic, got) = whole.peek::<8>()?;
    if got < 8 || &magic != MAGIC {
        return Err(foreign("it does not begin with `!<arch>`"));
    }
    let mut members = Vec::new();
    let mut at = 8;
    while at < whole.len() {
        if members.len() == 64 {
            return Err(ReadError::damaged(
                "the archive",
                "it has more than 64 members",
            ));
        }
        let head = whole.part(at, 60);
        let head = head.ok_or_else(|| ReadError::truncated("the archive"))?;
        let (head, _) = head.peek::<60>()?;
        let bad = || ReadError::damaged("the archive", "a member's header is malformed");
        if &head[58..] != b"`\n" {
            return Err(bad());
        }
        let text = |range| std::str::from_utf8(&head[range]).map(str::trim_end);
        let name = text(0..16).map_err(|_| bad())?;
        let name = name.strip_suffix('/').unwrap_or(name).to_owned();
        let size: u64 = text(48..58)
            .ok()
            .and_then(|s| s.parse().ok())
            .ok_or_else(bad)?;
        let contents = whole.part(at + 60, size);
        let contents = contents.ok_or_else(|| ReadError::truncated(name.clone()))?;
        members.push(Member { name, contents });
        at += 60 + size + size % 2;
    }
    Ok(members)
}

fn check_version(member: &Member<'_>) -> Result<(), ReadError> {
    if member.name != "debian-binary" {
        return Err(foreign("its first member is not debian-binary"));
    }
    let version = member.contents.to_vec("debian-binary", 64)?;
    match version.starts_with(b"2.") {
        true => Ok(()),
        false => {
            let version = String::from_utf8_lossy(&version).trim().to_owned();
            Err(ReadError::unsupported(
                "debian-binary",
                format!("format version {version:?}"),
            ))
        }
    }
}

fn decoder<'m>(
    member: &'m Member<'_>,
    budget: &'m Budget,
) -> Result<Metered<'m, Decoder<'m>>, ReadError> {
    let name = &member.name;
    let known = ["tar", "tar.gz", "tar.xz", "tar.zst"];
    let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
    if !known.contains(&suffix) {
        return Err(ReadError::unsupported(
            name,
            format!("the suffix `.{suffix}`"),
        ));
    }
    let decoder = Decoder::new(member.contents).map_err(|e| ReadError::of_io(name, e))?;
    Ok(Metered::new(decoder, name, budget))
}

fn control(member: &Member<'_>, budget: &Budget) -> Result<Control, ReadError> {
    let part = &member.name;
    let mut control = Control::default();
    tar::walk(
        &mut decoder(member, budget)?,
        part,
        &mut |header, contents| {
            let name = absolute("/", &header.name, part)?;
            let name = name.trim_start_matches('/');
            if header.kind != Kind::File {
                return Ok(());
            }
            let limit = if name == "md5sums" {
                MAX_SUMS
            } else {
                MAX_TEXT
            };
            let text = read_all(contents, name, limit)?;
            let text = String::from_utf8_lossy(&text).into_owned();
            match name {
                "control" => control.fields.splice(0..0, fields(&text)?).for_each(drop),
                "md5sums" => control.md5sums = md5sums(&text)?,
                _ if SCRIPTS.contains(&name) => control.scripts.push((name.to_owned(), text)),
                _ => control.fields.push((name.to_owned(), text)),
            }
            Ok(())
        },
    )?;
    Ok(control)
}

/// One paragraph of deb822: `Field: value`, continued by lines that begin with a blank.
fn fields(text: &str) -> Result<Vec<(String, String)>, ReadError> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, value))) => {
                value.push('\n');
                value.push_str(line.trim());
            }
            (true, None) => return Err(ReadError::damaged("control", "it begins with a blank")),
            (false, _) if line.is_empty() => {}
            (false, _) => {
                let (field, value) = line.split_once(':').ok_or_else(|| {
                    ReadError::damaged("control", format!("{line:?} has no colon"))
                })?;
                fields.push((field.to_owned(), value.trim().to_owned()));
            }
        }
    }
    Ok(fields)
}

/// Lines of 32 hexadecimal digits, two blanks and a path without its first slash.
fn md5sums(text: &str) -> Result<BTreeMap<String, [u8; 16]>, ReadError> {
    let bad = |line: &str| ReadError::damaged("md5sums", format!("{line:?} is no line of it"));
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let (digits, path) = line.split_once("  ").ok_or_else(|| bad(line))?;
        let mut sum = [0; 16];
        hex::decode_to_slice(digits, &mut sum).map_err(|_| bad(line))?;
        sums.insert(absolute("/", path.as_bytes(), "md5sums")?, sum);
    }
    Ok(sums)
}

fn data(
    member: &Member<'_>,
    budget: &Budget,
    control: &Control,
    collector: &mut Collector<'_>,
) -> Result<Payload, ReadError> {
    let part = &member.name;
    let mut from = decoder(member, budget)?;
    let mut unseen: BTreeSet<&str> = control.md5sums.keys().map(String::as_str).collect();
    tar::walk(&mut from, part, &mut |header, contents| {
        let found = found(header, part)?;
        let Kind::File = found.kind else {
            return collector.add(found);
        };
        let Some(sum) = control.md5sums.get(&found.path) else {
            return collector.file(found, contents, Second::None).map(drop);
        };
        let path = found.path.clone();
        let seen = collector.file(found, contents, Second::Md5)?;
        unseen.remove(path.as_str());
        match seen.md5 == *sum {
            true => Ok(()),
            false => Err(mismatch(path)),
        }
    })?;
    // A hard link is in the list, and has no contents of its own.
    let linked = |path: &str| {
        let found = collector.files.iter().find(|found| found.path == path);
        found.is_some_and(|found| matches!(found.kind, Kind::HardLink(_)))
    };
    match unseen.into_iter().find(|path| !linked(path)) {
        None => Ok(Payload {
            compression: from.inner().compression(),
            parts: from.inner().parts(),
        }),
        Some(path) => Err(ReadError::damaged(
            part.clone(),
            format!("{path} is in md5sums alone"),
        )),
    }
}

fn mismatch(path: String) -> ReadError {
    ReadError::Mismatch {
        path,
        list: "md5sums",
        what: "digest",
    }
}

/// A tar entry as something that is installed.
pub(super) fn found(header: tar::Header, part: &str) -> Result<Found, ReadError> {
    let path = absolute("/", &header.name, part)?;
    let kind = match header.kind {
        Kind::HardLink(to) => Kind::HardLink(absolute("/", to.as_bytes(), part)?),
        kind => kind,
    };
    let len = if kind == Kind::File { header.len } else { 0 };
    Ok(Found {
        path,
        kind,
        mode: Some(header.mode),
        owner: Some(header.owner),
        len,
        sha256: None,
    })
}

fn identity(fields: &[(String, String)]) -> Result<Identity, ReadError> {
    let field = |name: &str| {
        let field = fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        field
            .map(|(_, value)| value.clone())
            .ok_or_else(|| ReadError::damaged("control", format!("it has no field {name}")))
    };
    Ok(Identity {
        name: field("Package")?,
        version: field("Version")?,
        arch: field("Architecture")?,
    })
}
