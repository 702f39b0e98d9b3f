//! What installers are called in a folder: each format's own name, or `--outname`.
//!
//! A template is text with `{name}`, `{version}`, `{arch}` and `{type}`; a doubled brace
//! stands for itself. All names are settled, and two that are the same refused, before the
//! first installer is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::options::Place;
use crate::cli::CliError;
use crate::install::{Arch, Identity};
use crate::package::{Builder, Format};

/// How installers are named; by default each as its format does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming(Option<Vec<Piece>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name,
    Version,
    Arch,
    Type,
}

impl FromStr for Naming {
    type Err = String;

    fn from_str(template: &str) -> Result<Self, Self::Err> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => text.extend(rest.next()),
                '{' => {
                    let word = closed(&mut rest)?;
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    pieces.push(placeholder(&word)?);
                }
                '}' => return Err("a `}` has no `{` before it".to_owned()),
                '/' | '\0' => return Err("a name has no folder in it; use --outdir".to_owned()),
                c => text.push(c),
            }
        }
        pieces.push(Piece::Text(text));
        Ok(Self(Some(pieces)))
    }
}

fn closed(rest: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut word = String::new();
    for c in rest {
        match c {
            '}' => return Ok(word),
            c => word.push(c),
        }
    }
    Err("a `{` has no `}` after it".to_owned())
}

fn placeholder(word: &str) -> Result<Piece, String> {
    match word {
        "name" => Ok(Piece::Name),
        "version" => Ok(Piece::Version),
        "arch" => Ok(Piece::Arch),
        "type" => Ok(Piece::Type),
        _ => Err(format!(
            "{{{word}}} is not among {{name}}, {{version}}, {{arch}} and {{type}}"
        )),
    }
}

impl Naming {
    /// An installer's name.
    pub fn of(&self, installer: &Installer<'_>) -> String {
        let Some(pieces) = &self.0 else {
            return installer.builder.file_name(installer.identity);
        };
        let identity = installer.identity;
        let words = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Name => identity.name.as_str(),
            Piece::Version => &identity.version,
            Piece::Arch => arch(identity.arch),
            Piece::Type => installer.format.word(),
        });
        words.collect()
    }
}

/// The words of `--arch`, and one for both.
pub fn arch(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "amd64",
        Arch::Arm64 => "arm64",
        Arch::Universal => "universal",
    }
}

/// What is to be named.
pub struct Installer<'a> {
    /// Its format.
    pub format: Format,
    /// Who writes it.
    pub builder: &'a dyn Builder,
    /// What it holds.
    pub identity: &'a Identity,
}

/// Every installer's path, in their order.
pub fn paths(
    place: &Place,
    naming: &Naming,
    installers: &[Installer<'_>],
) -> Result<Vec<PathBuf>, CliError> {
    let mut taken: BTreeMap<PathBuf, Format> = BTreeMap::new();
    let mut paths = Vec::new();
    for installer in installers {
        let path = match place {
            Place::File(path) => path.clone(),
            Place::Folder(folder) => path_in(folder, naming, installer)?,
        };
        if let Some(other) = taken.insert(path.clone(), installer.format) {
            return Err(CliError::usage(
                format!(
                    "two installers ({other} and {}) would be written to {}",
                    installer.format,
                    path.display()
                ),
                "--outname '{name}-{version}-{arch}.{type}'",
            ));
        }
        if path.is_dir() {
            return Err(CliError::usage(
                format!("{} is a folder", path.display()),
                "--outfile FILE, or --outname PATTERN",
            ));
        }
        paths.push(path);
    }
    Ok(paths)
}

fn path_in(folder: &Path, naming: &Naming, installer: &Installer<'_>) -> Result<PathBuf, CliError> {
    let name = naming.of(installer);
    let extension = format!(".{}", installer.format);
    if name.contains(['/', '\0']) {
        return Err(CliError::usage(
            format!("{name:?} cannot be a file's name"),
            "--outname '{name}-{arch}.{type}'",
        ));
    }
    if !name.ends_with(&extension) || name == extension {
        return Err(CliError::usage(
            format!("the name {name} does not end in {extension}"),
            "--outname '{name}-{version}-{arch}.{type}'",
        ));
    }
    Ok(match folder == Path::new(".") {
        true => name.into(),
        false => folder.join(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::builder;

    fn identity() -> Identity {
        let text = |text: &str| text.to_owned();
        Identity {
            name: text("fleet-osquery"),
            display_name: text(""),
            identifier: text(""),
            version: text("1.2.3"),
            arch: Arch::Arm64,
            vendor: text(""),
            maintainer: text(""),
            homepage: text(""),
            summary: text(""),
            description: text(""),
            license: text(""),
        }
    }

    fn named(template: &str, formats: &[Format]) -> Result<Vec<String>, String> {
        let naming = match template {
            "" => Naming::default(),
            template => template.parse()?,
        };
        let identity = identity();
        let installers: Vec<Installer<'_>> = formats
            .iter()
            .map(|format| Installer {
                format: *format,
                builder: builder(*format),
                identity: &identity,
            })
            .collect();
        let place = Place::Folder("out".into());
        paths(&place, &naming, &installers)
            .map(|paths| paths.iter().map(|p| p.display().to_string()).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn names() {
        let cases = [
            ("", Format::Rpm, "out/fleet-osquery-1.2.3.aarch64.rpm"),
            (
                "{name}_{version}_{arch}.{type}",
                Format::Deb,
                "out/fleet-osquery_1.2.3_arm64.deb",
            ),
            ("team-a.{type}", Format::PkgTarZst, "out/team-a.pkg.tar.zst"),
            ("{{x}}.{type}", Format::Deb, "out/{x}.deb"),
        ];
        for (template, format, expected) in cases {
            assert_eq!(
                named(template, &[format]).as_deref(),
                Ok(&[expected.to_owned()][..]),
                "{template}"
            );
        }
    }

    #[test]
    fn refused() {
        let cases = [
            ("{os}.{type}", "{os} is not among"),
            ("a/{type}", "no folder in it"),
            ("a}.{type}", "no `{` before it"),
            ("{name}", "does not end in .deb"),
            ("{type}", "does not end in .deb"),
            ("{type", "no `}` after it"),
        ];
        for (template, expected) in cases {
            let said = named(template, &[Format::Deb]).unwrap_err();
            assert!(said.contains(expected), "{template}: {said}");
        }
        let said = named("x.{type}", &[Format::Deb, Format::Deb]).unwrap_err();
        assert!(said.contains("two installers (deb and deb) would be written to out/x.deb"));
    }
}
