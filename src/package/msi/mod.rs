//! The msi builder: a Windows Installer package, made of tables and two cabinets.
//!
//! The file in order: the payload cabinet (shared files, the same bytes for every customer),
//! the customer's small cabinet, the database's streams, the compound file's own tables.
//! Which rows there are is settled in `tables`, `actions` and `sequence`; what bytes
//! they become in `database`; the containers in `cabinet` and `compound`. Signing is a
//! step after the build: [`authenticode`]. Documents: Windows Installer SDK, MS-CAB, MS-CFB.

mod actions;
pub mod authenticode;
mod cabinet;
mod compound;
mod database;
mod guid;
mod layout;
pub mod pe;
mod product;
mod schema;
mod sequence;
mod shortname;
mod tables;

use crate::compress::{Codec, Digests, Wanted};
use crate::install::{Arch, Content, Identity, Shared, Tree};

use super::{BuildContext, BuildError, Builder, Compression, Format, Output};
use cabinet::{DosTime, Folder, Member};
use compound::Compound;
use database::Summary;
use guid::{Purpose, braced, derive};
use layout::{File, Layout};
pub use product::Product;
use tables::{CABINETS, Facts};

/// Level of MSZIP unless told otherwise: the next ones take twice the time for two percent.
const LEVEL: u8 = 6;

/// See the head of this file.
pub struct Msi;

impl Builder for Msi {
    fn file_name(&self, identity: &Identity) -> String {
        match identity.arch {
            Arch::Arm64 => format!("{}-arm64.msi", identity.name),
            Arch::Amd64 | Arch::Universal => format!("{}.msi", identity.name),
        }
    }

    fn check(&self, identity: &Identity) -> Result<(), BuildError> {
        tables::product_version(&identity.version).map(|_| ())
    }

    fn build(
        &self,
        tree: &Tree,
        context: &BuildContext<'_>,
        out: &mut Output,
    ) -> Result<(), BuildError> {
        let windows = tree
            .windows
            .as_ref()
            .ok_or_else(|| unfit("a tree that is not for Windows".to_owned()))?;
        let time = DosTime::new(context.epoch)?;
        let version = tables::product_version(&tree.identity.version)?;
        let cache = context.compressor.cache();
        let layout = Layout::new(tree, windows, cache)?;
        let level = level(context.compression)?;
        let digests = digests(&layout, level, context)?;
        if let Some(cache) = cache {
            layout.keep(cache);
        }
        let database = database(&Settled {
            facts: Facts {
                tree,
                windows,
                layout: &layout,
                digests: &digests,
                version: &version,
            },
            level,
            epoch: context.epoch,
        })?;
        let mut file = Compound::create(out)?;
        let (shared, customer) = layout.files.split_at(layout.shared);
        let packer = Packer { level, context };
        payload(&mut file, shared, time, &packer)?;
        config(&mut file, customer, time, &packer)?;
        for (name, bytes) in &database {
            file.stream(name, bytes)?;
        }
        file.finish(&database::CLASS)
    }
}

/// Everything that decides the database's rows.
struct Settled<'a> {
    facts: Facts<'a>,
    level: u8,
    epoch: u64,
}

fn database(settled: &Settled<'_>) -> Result<Vec<database::Stream>, BuildError> {
    let mut tables = tables::all(&settled.facts)?;
    let everything = fingerprint(settled, &tables.dump());
    let product_code = braced(derive(Purpose::Product, everything.as_bytes()));
    tables::add_product_code(&mut tables, &product_code);
    let identity = &settled.facts.tree.identity;
    let summary = Summary {
        identity,
        template: template(identity.arch),
        package_code: derive(Purpose::Package, everything.as_bytes()),
        epoch: settled.epoch,
    };
    database::streams(&tables, &summary)
}

/// Text that differs whenever the file does: product and package code are derived from it.
/// The time is part of it, as it is of the file: Windows refuses a second file with a product
/// code that is installed (error 1638), and takes files with one package code for the same.
fn fingerprint(settled: &Settled<'_>, tables: &str) -> String {
    let mut text = format!(
        "{}\n{}\nlevel {}\ntime {}\n{tables}",
        env!("CARGO_PKG_VERSION"),
        template(settled.facts.tree.identity.arch),
        settled.level,
        settled.epoch
    );
    let files = settled.facts.layout.files.iter();
    for (file, digests) in files.zip(settled.facts.digests) {
        text.push_str(&format!("{} {}\n", hex::encode(digests.sha256), file.path));
    }
    text
}

fn level(compression: Option<Compression>) -> Result<u8, BuildError> {
    match compression {
        None | Some(Compression::Gzip) => Ok(LEVEL),
        Some(Compression::None) => Ok(0),
        Some(Compression::Zstd) => Err(unfit("zstd: cabinets hold deflate or stored bytes".into())),
        Some(Compression::Xz) => Err(unfit("xz: cabinets hold deflate or stored bytes".into())),
    }
}

/// Verifies and compresses shared files on all cores; MD5 only where the database wants it.
fn digests(
    layout: &Layout<'_>,
    level: u8,
    context: &BuildContext<'_>,
) -> Result<Vec<Digests>, BuildError> {
    let mut digests = vec![Digests::default(); layout.files.len()];
    for (wanted, versioned) in [(Wanted::NONE, true), (Wanted::MD5, false)] {
        let chosen: Vec<(usize, Shared)> = layout
            .files
            .iter()
            .enumerate()
            .filter(|(_, file)| file.version.is_some() == versioned)
            .filter_map(|(index, file)| match file.content {
                Content::Shared(shared) => Some((index, shared.clone())),
                Content::Customer(_) => None,
            })
            .collect();
        let contents: Vec<Shared> = chosen.iter().map(|(_, shared)| shared.clone()).collect();
        let found = context
            .compressor
            .prepare(&contents, Codec::Mszip(level), wanted)?;
        for ((index, _), found) in chosen.iter().zip(found) {
            digests[*index] = found;
        }
    }
    for (file, slot) in layout.files.iter().zip(&mut digests) {
        if let Content::Customer(customer) = file.content {
            *slot = Digests::of(customer.bytes(), Wanted::MD5);
        }
    }
    match (context.cancelled)() {
        true => Err(BuildError::Cancelled),
        false => Ok(digests),
    }
}

struct Packer<'a> {
    level: u8,
    context: &'a BuildContext<'a>,
}

/// Writes the cabinet of shared files: a folder per content, copied from what was prepared.
fn payload(
    file: &mut Compound<'_>,
    files: &[File<'_>],
    time: DosTime,
    packer: &Packer<'_>,
) -> Result<(), BuildError> {
    if files.is_empty() {
        return Ok(());
    }
    let mut contents: Vec<&Shared> = Vec::new();
    let mut members = Vec::new();
    for file in files {
        let Content::Shared(shared) = file.content else {
            continue;
        };
        let known = contents
            .iter()
            .position(|seen| seen.sha256() == shared.sha256());
        let folder = known.unwrap_or_else(|| {
            contents.push(shared);
            contents.len() - 1
        });
        members.push(Member {
            name: &file.id,
            len: shared.len(),
            folder,
            offset: 0,
        });
    }
    let mut folders = vec![Folder::default(); contents.len()];
    let start = file.begin();
    let len = cabinet::head_len(&members, folders.len());
    file.out().append(&vec![0; len as usize])?;
    for (shared, folder) in contents.into_iter().zip(&mut folders) {
        if (packer.context.cancelled)() {
            return Err(BuildError::Cancelled);
        }
        let codec = Codec::Mszip(packer.level);
        let mut stream = packer.context.compressor.stream(codec, file.out());
        stream.content(&Content::Shared(shared.clone()))?;
        let totals = stream.finish()?;
        *folder = Folder {
            raw: totals.raw,
            stored: totals.stored,
        };
    }
    let head = cabinet::head(&members, &folders, time)?;
    file.out().patch(start, &head)?;
    file.end(&database::stream_name(CABINETS[0]), start)
}

/// Writes the cabinet of the customer's files: one folder, in memory.
fn config(
    file: &mut Compound<'_>,
    files: &[File<'_>],
    time: DosTime,
    packer: &Packer<'_>,
) -> Result<(), BuildError> {
    if files.is_empty() {
        return Ok(());
    }
    let mut members = Vec::new();
    let mut blocks = Vec::new();
    let codec = Codec::Mszip(packer.level);
    let mut stream = packer.context.compressor.stream(codec, &mut blocks);
    let mut offset = 0;
    for file in files {
        members.push(Member {
            name: &file.id,
            len: file.content.len(),
            folder: 0,
            offset,
        });
        offset += file.content.len();
        stream.content(file.content)?;
    }
    let totals = stream.finish()?;
    let folder = Folder {
        raw: totals.raw,
        stored: totals.stored,
    };
    let mut cabinet = cabinet::head(&members, &[folder], time)?;
    cabinet.extend_from_slice(&blocks);
    file.stream(&database::stream_name(CABINETS[1]), &cabinet)
}

/// The summary information's word for a processor.
fn template(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm64 => "Arm64",
        Arch::Amd64 | Arch::Universal => "x64",
    }
}

/// The format has no way to say `what`.
fn unfit(what: String) -> BuildError {
    BuildError::Unfit {
        format: Format::Msi,
        what,
    }
}
