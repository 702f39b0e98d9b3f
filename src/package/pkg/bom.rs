//! The bill of materials: every path of the payload with mode, owner, size and checksum.
//!
//! Apple never documented the format; these are the facts that readers agree on. All numbers
//! are big-endian. A 512-byte header is followed by blocks, the index of blocks (count, then
//! address and length of each; block 0 is empty) and the table of named blocks:
//!
//! ```text
//! header   "BOMStore", 1, blocks in use, index offset, index length, vars offset, vars length
//! vars     count, then (block, length of name u8, name): BomInfo Paths HLIndex VIndex Size64
//! BomInfo  1, paths + 1, entries, then 16 bytes each
//! tree     "tree", 1, block of the first node, size of a node, paths, 0 u8
//! node     leaf? u16, count u16, next leaf, previous leaf, then count × (info block, File block);
//!          of a branch: (leaf block, last File block of that leaf)
//! File     id of the parent (0 for the root), name, NUL
//! info 1   id of the path, block of its info 2
//! info 2   type u8, 1 u8, architecture u16, st_mode u16, uid, gid, mtime, size, 1 u8,
//!          POSIX cksum, length of the link with its NUL, link, NUL; four more bytes for a file
//! ```
//!
//! Entries are sorted by (id of the parent, name), ids given breadth first.

use std::collections::BTreeMap;

use super::listing::{DIRECTORY, GID, LINK, Line, Listing, TYPE, UID, unfit};
use crate::package::BuildError;

/// Size of a node in bytes.
const NODE: u32 = 4096;
/// Entries of one leaf, as `mkbom` fills them.
const LEAF: usize = 256;
/// Entries that one branch has room for.
const BRANCH: usize = (NODE as usize - 12) / 8;

/// Writes the whole file. The listing has every parent of a path, the root as `.`.
pub fn write(listing: &Listing) -> Result<Vec<u8>, BuildError> {
    let paths = number(listing.lines());
    if paths.len() > LEAF * BRANCH {
        return Err(unfit(format!(
            "{} paths; the limit is {}",
            paths.len(),
            LEAF * BRANCH
        )));
    }
    let count = paths.len() as u32;
    let mut store = Store::new();
    let info = store.block(&numbers(&[1, count + 1, 1, 0, 0, 0, 0]));
    let paths = paths_tree(&mut store, &paths, listing.mtime());
    let hard_links = empty_tree(&mut store, NODE);
    let inner = empty_tree(&mut store, 128);
    let mut index = numbers(&[1, inner, 0]);
    index.push(0);
    let versions = store.block(&index);
    let large = empty_tree(&mut store, NODE);
    Ok(store.finish(&[
        ("BomInfo", info),
        ("Paths", paths),
        ("HLIndex", hard_links),
        ("VIndex", versions),
        ("Size64", large),
    ]))
}

struct Numbered<'a> {
    line: &'a Line,
    id: u32,
    parent: u32,
    name: &'a str,
}

// Breadth first, children by name: ids then ascend in the order (parent, name), and parents
// have lower ids than what is in them.
fn number(lines: &[Line]) -> Vec<Numbered<'_>> {
    let mut children: BTreeMap<&str, BTreeMap<&str, &Line>> = BTreeMap::new();
    let mut queue: Vec<(&Line, u32, &str)> = Vec::with_capacity(lines.len());
    for line in lines {
        match line.path.rsplit_once('/') {
            Some((parent, name)) => {
                children.entry(parent).or_default().insert(name, line);
            }
            None => queue.push((line, 0, &line.path)),
        }
    }
    let mut numbered = Vec::with_capacity(lines.len());
    let mut next = 0;
    while let Some(&(line, parent, name)) = queue.get(next) {
        next += 1;
        let id = next as u32;
        let below = children.remove(line.path.as_str()).unwrap_or_default();
        queue.extend(below.into_iter().map(|(name, line)| (line, id, name)));
        numbered.push(Numbered {
            line,
            id,
            parent,
            name,
        });
    }
    numbered
}

fn paths_tree(store: &mut Store, paths: &[Numbered<'_>], mtime: u32) -> u32 {
    let entries: Vec<[u32; 2]> = paths
        .iter()
        .map(|path| {
            let details = store.block(&details(path.line, mtime));
            let info = store.block(&numbers(&[path.id, details]));
            let mut file = numbers(&[path.parent]);
            file.extend_from_slice(path.name.as_bytes());
            file.push(0);
            [info, store.block(&file)]
        })
        .collect();
    let first = store.next();
    let leaves: Vec<&[[u32; 2]]> = entries.chunks(LEAF).collect();
    let mut branch = Vec::new();
    for (at, leaf) in leaves.iter().enumerate() {
        let block = first + at as u32;
        let next = if at + 1 < leaves.len() { block + 1 } else { 0 };
        let previous = if at > 0 { block - 1 } else { 0 };
        store.block(&node(true, [next, previous], leaf, NODE));
        branch.extend(leaf.last().map(|last| [block, last[1]]));
    }
    let root = match branch.len() {
        1 => first,
        _ => store.block(&node(false, [0, 0], &branch, NODE)),
    };
    tree(store, root, NODE, paths.len() as u32)
}

fn details(line: &Line, mtime: u32) -> Vec<u8> {
    let kind = match line.mode & TYPE {
        DIRECTORY => 2,
        LINK => 3,
        _ => 1,
    };
    let mut bytes = vec![kind, 1];
    bytes.extend(3u16.to_be_bytes());
    bytes.extend((line.mode as u16).to_be_bytes());
    bytes.extend(numbers(&[UID, GID, mtime, line.size]));
    bytes.push(1);
    let target = line.target.as_deref().unwrap_or_default();
    let length = match target.len() as u32 {
        0 => 0,
        length => length + 1,
    };
    bytes.extend(numbers(&[line.checksum, length]));
    match kind {
        1 => bytes.extend([0; 4]),
        3 => {
            bytes.extend_from_slice(target.as_bytes());
            bytes.push(0);
        }
        _ => {}
    }
    bytes
}

fn empty_tree(store: &mut Store, size: u32) -> u32 {
    let leaf = store.block(&node(true, [0, 0], &[], size));
    tree(store, leaf, size, 0)
}

fn tree(store: &mut Store, root: u32, size: u32, paths: u32) -> u32 {
    let mut bytes = b"tree".to_vec();
    bytes.extend(numbers(&[1, root, size, paths]));
    bytes.push(0);
    store.block(&bytes)
}

fn node(leaf: bool, siblings: [u32; 2], entries: &[[u32; 2]], size: u32) -> Vec<u8> {
    let mut bytes = u16::from(leaf).to_be_bytes().to_vec();
    bytes.extend((entries.len() as u16).to_be_bytes());
    bytes.extend(numbers(&siblings));
    bytes.extend(entries.iter().flat_map(|entry| numbers(entry)));
    bytes.resize(bytes.len().max(size as usize), 0);
    bytes
}

fn numbers(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

// The file: header, blocks, index of blocks, names.
struct Store {
    bytes: Vec<u8>,
    blocks: Vec<[u32; 2]>,
}

impl Store {
    fn new() -> Self {
        Self {
            bytes: vec![0; 512],
            blocks: vec![[0, 0]],
        }
    }

    fn next(&self) -> u32 {
        self.blocks.len() as u32
    }

    fn block(&mut self, bytes: &[u8]) -> u32 {
        let number = self.next();
        self.blocks
            .push([self.bytes.len() as u32, bytes.len() as u32]);
        self.bytes.extend_from_slice(bytes);
        number
    }

    fn finish(mut self, names: &[(&str, u32)]) -> Vec<u8> {
        let index = self.bytes.len() as u32;
        self.bytes.extend(numbers(&[self.next()]));
        for block in &self.blocks {
            self.bytes.extend(numbers(block));
        }
        // The list of free blocks: none, and room for two.
        self.bytes.extend(numbers(&[0, 0, 0, 0, 0]));
        let vars = self.bytes.len() as u32;
        self.bytes.extend(numbers(&[names.len() as u32]));
        for (name, block) in names {
            self.bytes.extend(numbers(&[*block]));
            self.bytes.push(name.len() as u8);
            self.bytes.extend_from_slice(name.as_bytes());
        }
        let end = self.bytes.len() as u32;
        let header = numbers(&[1, self.next() - 1, index, vars - index, vars, end - vars]);
        self.bytes[..8].copy_from_slice(b"BOMStore");
        self.bytes[8..8 + header.len()].copy_from_slice(&header);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::Entry;
    use apple_bom::ParsedBom;

    fn listing(entries: &[Entry]) -> Listing {
        let mut listing = Listing::new(1_700_000_000).unwrap();
        for (at, entry) in entries.iter().enumerate() {
            listing.add(entry, 1000 + at as u32).unwrap();
        }
        listing
    }

    fn read(bytes: &[u8]) -> Vec<(String, u16, usize, u32, Option<String>)> {
        let bom = ParsedBom::parse(bytes).unwrap();
        bom.paths()
            .unwrap()
            .iter()
            .map(|path| {
                assert_eq!((path.user_id(), path.group_id()), (0, 80));
                assert_eq!(path.modified_time().timestamp(), 1_700_000_000);
                (
                    path.path().to_owned(),
                    path.file_mode(),
                    path.size(),
                    path.crc32().unwrap_or_default(),
                    path.link_name().map(str::to_owned),
                )
            })
            .collect()
    }

    fn expected(listing: &Listing) -> Vec<(String, u16, usize, u32, Option<String>)> {
        let line = |line: &Line| {
            (
                line.path.clone(),
                line.mode as u16,
                line.size as usize,
                line.checksum,
                line.target.clone(),
            )
        };
        let mut lines: Vec<_> = listing.lines().iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn dot_files_spaces_and_links_are_all_there() {
        let listing = listing(&[
            Entry::directory("/opt"),
            Entry::directory("/opt/b c"),
            Entry::customer("/opt/.hidden", 0o600, "h"),
            Entry::customer("/opt/b c/ü", 0o644, "x"),
            Entry::link("/opt/link", "b c/with space"),
        ]);
        let mut seen = read(&write(&listing).unwrap());
        seen.sort();
        assert_eq!(seen, expected(&listing));
    }

    #[test]
    fn several_leaves() {
        for count in [0, 254, 255, 256, 511, 1200] {
            let entries: Vec<_> = (0..count)
                .map(|n| Entry::customer(format!("/f{n}"), 0o644, "x"))
                .collect();
            let listing = listing(&entries);
            let mut seen = read(&write(&listing).unwrap());
            seen.sort();
            assert_eq!(seen, expected(&listing), "{count}");
        }
    }

    #[test]
    fn keys_ascend() {
        let listing = listing(&[
            Entry::directory("/b"),
            Entry::directory("/a"),
            Entry::customer("/b/a", 0o644, "x"),
            Entry::customer("/a/z", 0o644, "x"),
        ]);
        let keys: Vec<_> = number(listing.lines())
            .iter()
            .map(|path| (path.parent, path.name, path.id))
            .collect();
        assert_eq!(
            keys,
            [
                (0, ".", 1),
                (1, "a", 2),
                (1, "b", 3),
                (2, "z", 4),
                (3, "a", 5)
            ]
        );
    }

    #[test]
    fn named_blocks() {
        let bytes = write(&listing(&[])).unwrap();
        let bom = ParsedBom::parse(&bytes).unwrap();
        let names: Vec<_> = bom.vars.vars.iter().map(|var| var.name.clone()).collect();
        assert_eq!(names, ["BomInfo", "Paths", "HLIndex", "VIndex", "Size64"]);
        assert_eq!(bom.bom_info().unwrap().number_of_paths, 2);
        assert!(bom.hl_index().unwrap().is_empty());
        assert!(bom.size64().unwrap().is_empty());
        assert!(bom.vindex().unwrap().is_empty());
    }
}
