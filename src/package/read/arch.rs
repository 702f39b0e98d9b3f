//! pkg.tar.zst: a tar archive whose members with a leading dot describe the rest.
//!
//! `.PKGINFO` says what it is, `.INSTALL` what runs, `.MTREE` (gzip) what every file is; files
//! are held against the last. Any compression that a [`Decoder`] knows is read.
//! Documents: alpm-pkginfo(5), alpm-mtree(5), PKGBUILD(5).

use std::fs::File;
use std::io::{Cursor, Read};

use super::collect::{Collector, Second};
use super::deb::found;
use super::stream::{Budget, Decoder, Metered, Section, read_all};
use super::{Found, Identity, Kind, Package, Payload, ReadError, mtree, tar};
use crate::package::Format;

const PART: &str = "the archive";
/// Largest of the members that describe the package.
const MAX_TEXT: u64 = 16 << 20;

#[derive(Default)]
struct Described {
    fields: Vec<(String, String)>,
    scripts: Vec<(String, String)>,
    mtree: Option<Vec<u8>>,
}

/// Reads the whole file.
pub(super) fn read(
    file: &File,
    len: u64,
    budget: &Budget,
    mut collector: Collector<'_>,
) -> Result<Package, ReadError> {
    let decoder = Decoder::new(Section::new(file, 0, len));
    let decoder = decoder.map_err(|e| ReadError::of_io(PART, e))?;
    let mut from = Metered::new(decoder, PART, budget);
    let mut described = Described::default();
    tar::walk(&mut from, PART, &mut |header, contents| {
        let found = found(header, PART)?;
        match found.path.strip_prefix("/.").map(str::to_owned) {
            Some(name) if !name.contains('/') => describe(&name, contents, &mut described),
            _ if found.kind == Kind::File => {
                collector.file(found, contents, Second::None).map(drop)
            }
            _ => collector.add(found),
        }
    })?;
    if let Some(list) = &described.mtree {
        check(list, &collector.files, budget)?;
    }
    Ok(Package {
        format: Format::PkgTarZst,
        identity: identity(&described.fields)?,
        files: collector.files,
        base: None,
        scripts: described.scripts,
        metadata: described.fields,
        signature: None,
        payload: Payload {
            compression: from.inner().compression(),
            parts: from.inner().parts(),
        },
    })
}

fn describe(name: &str, contents: &mut dyn Read, into: &mut Described) -> Result<(), ReadError> {
    let bytes = read_all(contents, &format!(".{name}"), MAX_TEXT)?;
    let text = || String::from_utf8_lossy(&bytes).into_owned();
    match name {
        "PKGINFO" => into.fields = fields(&text())?,
        "INSTALL" => into.scripts.push((".INSTALL".to_owned(), text())),
        "MTREE" => into.mtree = Some(bytes),
        "BUILDINFO" | "CHANGELOG" => {}
        _ => {
            let why = format!(".{name} is no member that describes a package");
            return Err(ReadError::damaged(PART, why));
        }
    }
    Ok(())
}

/// Lines `key = value` and comments.
fn fields(text: &str) -> Result<Vec<(String, String)>, ReadError> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let fields = lines.map(|line| match line.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err(ReadError::damaged(
            ".PKGINFO",
            format!("{line:?} has no `=`"),
        )),
    });
    fields.collect()
}

fn identity(fields: &[(String, String)]) -> Result<Identity, ReadError> {
    if fields.is_empty() {
        return Err(ReadError::foreign(
            Format::PkgTarZst,
            "it holds no .PKGINFO",
        ));
    }
    let field = |name: &str| {
        let field = fields.iter().find(|(field, _)| field == name);
        field
            .map(|(_, value)| value.clone())
            .ok_or_else(|| ReadError::damaged(".PKGINFO", format!("it has no {name}")))
    };
    Ok(Identity {
        name: field("pkgname")?,
        version: field("pkgver")?,
        arch: field("arch")?,
    })
}

fn check(list: &[u8], files: &[Found], budget: &Budget) -> Result<(), ReadError> {
    const PART: &str = ".MTREE";
    let decoder = Decoder::new(Cursor::new(list)).map_err(|e| ReadError::of_io(PART, e))?;
    let text = read_all(Metered::new(decoder, PART, budget), PART, 8 * MAX_TEXT)?;
    let mut lines = mtree::parse(&text)?;
    for found in files {
        let differs = |what| ReadError::Mismatch {
            path: found.path.clone(),
            list: PART,
            what,
        };
        let line = lines
            .remove(&found.path)
            .ok_or_else(|| ReadError::damaged(PART, format!("it does not list {}", found.path)))?;
        let kind = match &found.kind {
            Kind::Directory => "dir",
            Kind::Link(_) => "link",
            _ => "file",
        };
        if line.kind.is_some_and(|listed| listed != kind) {
            return Err(differs("kind"));
        }
        let own = matches!(found.kind, Kind::File);
        if own && line.size.is_some_and(|size| size != found.len) {
            return Err(differs("size"));
        }
        if own && line.sha256.is_some_and(|sum| Some(sum) != found.sha256) {
            return Err(differs("digest"));
        }
        if line
            .mode
            .is_some_and(|mode| kind != "link" && Some(mode) != found.mode)
        {
            return Err(differs("mode"));
        }
        if let (Kind::Link(text), Some(listed)) = (&found.kind, &line.link)
            && text != listed
        {
            return Err(differs("link"));
        }
    }
    let described = |path: &str| path == "/" || path.starts_with("/.");
    match lines.into_keys().find(|path| !described(path)) {
        None => Ok(()),
        Some(path) => Err(ReadError::damaged(PART, format!("{path} is in it alone"))),
    }
}
