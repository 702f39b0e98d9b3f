//! Which folders, components and files the database names, and in which order files are
//! stored.
//!
//! A component holds one file; its identity depends on processor and install path alone, so
//! that every version of a product has the same one. Shared files come first, equal ones side
//! by side, customer files last; that order is the cabinets' and the File table's Sequence.
//! Row keys are hashes of paths: they never change, and hold lower-case letters, so that none
//! is a public property. Document: Windows Installer, "File Table", "Component Table".

use std::collections::{BTreeMap, BTreeSet};

use crate::cache::Cache;
use crate::install::{Access, Arch, Content, Entry, Kind, Node, Tree, Windows};
use crate::package::BuildError;

use super::guid::{Purpose, braced, derive};
use super::pe::{self, Machine, PeError, Program, Version};
use super::{shortname, unfit};

/// A folder of MSZIP has at most 65,535 blocks (CFFOLDER's cCFData is 16 bits wide).
const FILE_LIMIT: u64 = 65_535 * crate::compress::mszip::BLOCK as u64;

/// File extensions of programs, whose version Windows Installer compares.
const PROGRAMS: [&str; 3] = [".exe", ".dll", ".sys"];

/// A row of the Directory table.
pub struct Directory {
    /// Key.
    pub id: String,
    /// Key of the folder above.
    pub parent: String,
    /// `SHORT|long`.
    pub name: String,
}

/// A row of the Component table.
pub struct Component {
    /// Key.
    pub id: String,
    /// `{GUID}`.
    pub guid: String,
    /// Key of its folder.
    pub directory: String,
    /// Key of its file; a component without one stands for its folder.
    pub file: Option<String>,
}

/// A row of the File table, and the file.
pub struct File<'t> {
    /// Key.
    pub id: String,
    /// Key of its component.
    pub component: String,
    /// `SHORT|long`.
    pub name: String,
    /// Where in the tree.
    pub path: &'t str,
    /// Contents.
    pub content: &'t Content,
    /// Who may read it.
    pub access: Access,
    /// Version and language of a program that has them.
    pub version: Option<Version>,
}

/// See the head of this file.
pub struct Layout<'t> {
    /// Folders, parents first; the product's own is the first.
    pub directories: Vec<Directory>,
    /// The product's folder's first, then those of empty folders, then one per file.
    pub components: Vec<Component>,
    /// Files in the order in which they are stored: [`Layout::shared`] of the first cabinet,
    /// then those of the second.
    pub files: Vec<File<'t>>,
    /// How many files are shared.
    pub shared: usize,
    /// What shared programs say of themselves, by their sha256, that no cache knew.
    pub read: BTreeMap<[u8; 32], Program>,
}

impl<'t> Layout<'t> {
    /// Lays out a tree. What `cache` knows of programs is not read again.
    pub fn new(
        tree: &'t Tree,
        windows: &Windows,
        cache: Option<&Cache>,
    ) -> Result<Self, BuildError> {
        let mut layout = Self {
            directories: Vec::new(),
            components: Vec::new(),
            files: Vec::new(),
            shared: 0,
            read: BTreeMap::new(),
        };
        let ids = Ids::new(tree, windows);
        let mut taken: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        layout.add_directories(tree, windows, &ids, &mut taken);
        for entry in ordered_files(tree)? {
            if entry.kind() == Kind::SharedFile {
                layout.shared += 1;
            }
            let version = layout.version(entry, tree.identity.arch, cache)?;
            layout.add_file(entry, version, &ids, &mut taken)?;
        }
        Ok(layout)
    }

    /// The component of the file at `path`.
    pub fn component_of(&self, path: &str) -> Option<&str> {
        let file = self.files.iter().find(|file| file.path == path)?;
        Some(&file.component)
    }

    fn add_directories(
        &mut self,
        tree: &'t Tree,
        windows: &Windows,
        ids: &Ids,
        taken: &mut BTreeMap<&'t str, BTreeSet<String>>,
    ) {
        self.directories.push(Directory {
            id: windows.folder_property.clone(),
            parent: "ProgramFiles64Folder".to_owned(),
            name: shortname::column(&windows.folder, &mut BTreeSet::new()),
        });
        self.components.push(Component {
            id: format!("C_{}", windows.folder_property),
            guid: ids.component(""),
            directory: windows.folder_property.clone(),
            file: None,
        });
        for entry in &tree.entries {
            if entry.kind() != Kind::Directory {
                continue;
            }
            let (parent, name) = split(&entry.path);
            self.directories.push(Directory {
                id: ids.directory(&entry.path),
                parent: ids.directory(parent),
                name: shortname::column(name, taken.entry(parent).or_default()),
            });
            let below = format!("{}/", entry.path);
            if !tree
                .entries
                .iter()
                .any(|other| other.path.starts_with(&below))
            {
                self.components.push(Component {
                    id: ids.key("c", &entry.path),
                    guid: ids.component(&entry.path),
                    directory: ids.directory(&entry.path),
                    file: None,
                });
            }
        }
    }

    fn add_file(
        &mut self,
        entry: &'t Entry,
        version: Option<Version>,
        ids: &Ids,
        taken: &mut BTreeMap<&'t str, BTreeSet<String>>,
    ) -> Result<(), BuildError> {
        let Node::File(content) = &entry.node else {
            return Err(unfit(format!("{}: it is a link", entry.path)));
        };
        if content.len() > FILE_LIMIT {
            return Err(unfit(format!(
                "{}: {} bytes, and {FILE_LIMIT} is the most that a file in a cabinet may have",
                entry.path,
                content.len()
            )));
        }
        let (parent, name) = split(&entry.path);
        let file = File {
            id: ids.key("f", &entry.path),
            component: ids.key("c", &entry.path),
            name: shortname::column(name, taken.entry(parent).or_default()),
            path: &entry.path,
            content,
            access: entry.access,
            version,
        };
        self.components.push(Component {
            id: file.component.clone(),
            guid: ids.component(&entry.path),
            directory: ids.directory(parent),
            file: Some(file.id.clone()),
        });
        self.files.push(file);
        Ok(())
    }

    /// What a program says of itself; a program for another processor, or one that is none,
    /// is refused.
    fn version(
        &mut self,
        entry: &Entry,
        arch: Arch,
        cache: Option<&Cache>,
    ) -> Result<Option<Version>, BuildError> {
        let name = entry.path.to_ascii_lowercase();
        let Node::File(content) = &entry.node else {
            return Ok(None);
        };
        if !PROGRAMS.iter().any(|extension| name.ends_with(extension)) {
            return Ok(None);
        }
        let program = self.program(content, cache);
        let program = program.map_err(|error| match error {
            PeError::Malformed(what) => {
                unfit(format!("{} as a Windows program: {what}", entry.path))
            }
            PeError::Content(error) => error.into(),
        })?;
        let wanted = match arch {
            Arch::Arm64 => Machine::Arm64,
            Arch::Amd64 | Arch::Universal => Machine::Amd64,
        };
        if program.machine != wanted {
            return Err(unfit(format!(
                "{}, which is a program for {}, in a package for {wanted}",
                entry.path, program.machine
            )));
        }
        Ok(program.version)
    }

    fn program(&mut self, content: &Content, cache: Option<&Cache>) -> Result<Program, PeError> {
        let (Content::Shared(shared), Some(cache)) = (content, cache) else {
            return pe::read(content);
        };
        if let Some(program) = pe::kept(cache, shared.sha256()) {
            return Ok(program);
        }
        let program = pe::read(content)?;
        self.read.insert(*shared.sha256(), program.clone());
        Ok(program)
    }

    /// Keeps what was read of programs that were verified since.
    pub fn keep(&self, cache: &Cache) {
        for (sha256, program) in &self.read {
            pe::keep(cache, sha256, program);
        }
    }
}

/// Shared files, equal ones side by side, then customer files; links are refused.
fn ordered_files(tree: &Tree) -> Result<Vec<&Entry>, BuildError> {
    let mut place: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    let mut files = Vec::new();
    for (index, entry) in tree.entries.iter().enumerate() {
        let place = match &entry.node {
            Node::Directory => continue,
            Node::File(Content::Shared(shared)) => *place.entry(*shared.sha256()).or_insert(index),
            Node::File(Content::Customer(_)) => index,
            Node::Link(_) => return Err(unfit(format!("the symbolic link {}", entry.path))),
        };
        files.push((entry.kind(), place, index, entry));
    }
    files.sort_by_key(|&(kind, place, index, _)| (kind, place, index));
    Ok(files.into_iter().map(|(.., entry)| entry).collect())
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Keys and identities, from paths.
struct Ids<'w> {
    template: &'static str,
    windows: &'w Windows,
}

impl<'w> Ids<'w> {
    fn new(tree: &Tree, windows: &'w Windows) -> Self {
        Self {
            template: super::template(tree.identity.arch),
            windows,
        }
    }

    fn key(&self, letter: &str, path: &str) -> String {
        let id = derive(Purpose::Key, path.to_lowercase().as_bytes());
        format!("{letter}_{}", id.simple())
    }

    fn directory(&self, path: &str) -> String {
        match path {
            "" => self.windows.folder_property.clone(),
            path => self.key("d", path),
        }
    }

    fn component(&self, path: &str) -> String {
        let derived = || {
            let folder = self.windows.folder.to_lowercase();
            let name = format!("{}|{folder}/{}", self.template, path.to_lowercase());
            derive(Purpose::Component, name.as_bytes())
        };
        let fixed = self.windows.component_ids.get(path).copied();
        braced(fixed.unwrap_or_else(derived))
    }
}
