//! Bom: the list of a macOS component's files, with sizes, modes, owners and checksums.
//!
//! ```text
//! "BOMStore", version u32, blocks u32, index offset u32, index length u32, vars offset u32,
//!   vars length u32; index: count u32, count × (address u32, length u32);
//! vars: count u32, count × (block u32, name length u8, name)
//! tree "Paths": "tree", 1 u32, child block u32, …; leaf: 1 u16, count u16, next u32,
//!   previous u32, count × (info block, name block); branch: 0 u16, the rest alike
//! info: id u32, block of what follows: type u8, 1, arch u16, mode u16, uid u32, gid u32,
//!   mtime u32, size u32, 1, checksum u32, link length u32, link with NUL
//! name: parent's id u32, name with NUL
//! ```
//! All big-endian. Apple never documented it; bomutils and lsbom(8) are what is known.

use std::collections::BTreeMap;

use super::ReadError;
use super::collect::MAX_PATH;

const PART: &str = "Bom";
const MAX_DEPTH: usize = 256;

/// What the list says of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Type and permission bits as `st_mode` has them.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) checksum: u32,
    pub(super) link: String,
}

struct Store<'b> {
    bytes: &'b [u8],
    index: &'b [u8],
}

/// Parses a whole Bom; names are as they stand there: `.`, `./opt`.
pub(super) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Line>, ReadError> {
    if bytes.get(..8) != Some(b"BOMStore") {
        return Err(bad("it does not begin with `BOMStore`"));
    }
    let region = |at: usize| {
        let start = be32(bytes, at)? as usize;
        let end = start.checked_add(be32(bytes, at + 4)? as usize)?;
        bytes.get(start..end)
    };
    let index = region(16).ok_or_else(|| bad("its index lies outside"))?;
    let vars = region(24).ok_or_else(|| bad("its variables lie outside"))?;
    let index = index
        .get(4..)
        .ok_or_else(|| bad("its index lies outside"))?;
    let store = Store { bytes, index };
    let paths = variable(vars, b"Paths").ok_or_else(|| bad("it has no tree of paths"))?;
    let tree = store.block(paths)?;
    if tree.get(..4) != Some(b"tree") {
        return Err(bad("its paths are no tree"));
    }
    let child = be32(tree, 8).ok_or_else(|| bad("its tree is cut off"))?;
    join(store.leaves(child)?)
}

fn bad(why: impl Into<String>) -> ReadError {
    ReadError::damaged(PART, why)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let raw: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(raw))
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let raw: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_be_bytes(raw))
}

fn variable(vars: &[u8], wanted: &[u8]) -> Option<u32> {
    let count = be32(vars, 0)?;
    let mut at = 4;
    for _ in 0..count.min(64) {
        let block = be32(vars, at)?;
        let len = usize::from(*vars.get(at + 4)?);
        if vars.get(at + 5..at + 5 + len)? == wanted {
            return Some(block);
        }
        at += 5 + len;
    }
    None
}

/// A path's own id, its parent's and what is said of it.
struct Node {
    parent: u32,
    name: String,
    line: Line,
}

impl<'b> Store<'b> {
    fn block(&self, number: u32) -> Result<&'b [u8], ReadError> {
        let lies = || bad(format!("block {number} lies outside"));
        let at = (number as usize).checked_mul(8).ok_or_else(lies)?;
        let start = be32(self.index, at).ok_or_else(lies)? as usize;
        let len = be32(self.index, at + 4).ok_or_else(lies)? as usize;
        let end = start.checked_add(len).ok_or_else(lies)?;
        self.bytes.get(start..end).ok_or_else(lies)
    }

    /// Walks from the tree's first leaf along the `next` pointers.
    fn leaves(&self, root: u32) -> Result<BTreeMap<u32, Node>, ReadError> {
        let cut = || bad("its tree is cut off");
        let mut nodes = BTreeMap::new();
        let mut number = root;
        for _ in 0..16 {
            let block = self.block(number)?;
            match be16(block, 0).ok_or_else(cut)? {
                0 if be16(block, 2) == Some(0) => return Err(bad("a branch is empty")),
                0 => number = be32(block, 12).ok_or_else(cut)?,
                _ => break,
            }
        }
        // Each leaf of the chain adds something new, so that a ring comes to an end.
        loop {
            let leaf = self.block(number)?;
            if be16(leaf, 0) != Some(1) {
                return Err(bad("its tree is too deep, or a leaf is none"));
            }
            let count = be16(leaf, 2).ok_or_else(cut)?;
            let before = nodes.len();
            for entry in 0..usize::from(count) {
                let info = be32(leaf, 12 + entry * 8).ok_or_else(cut)?;
                let name = be32(leaf, 16 + entry * 8).ok_or_else(cut)?;
                let (id, node) = self.node(info, name)?;
                if nodes.insert(id, node).is_some() {
                    return Err(bad(format!("the id {id} comes twice")));
                }
            }
            number = be32(leaf, 4).ok_or_else(cut)?;
            match number {
                0 => return Ok(nodes),
                _ if nodes.len() == before => return Err(bad("a leaf is empty")),
                _ => {}
            }
        }
    }

    fn node(&self, info: u32, name: u32) -> Result<(u32, Node), ReadError> {
        let cut = || bad("a path's record is cut off");
        let (info, name) = (self.block(info)?, self.block(name)?);
        let id = be32(info, 0).ok_or_else(cut)?;
        let parent = be32(name, 0).ok_or_else(cut)?;
        let name = name.get(4..).and_then(|name| name.strip_suffix(&[0]));
        let name = name.filter(|name| name.len() <= MAX_PATH).ok_or_else(cut)?;
        let more = self.block(be32(info, 4).ok_or_else(cut)?)?;
        let link_len = be32(more, 27).unwrap_or(0) as usize;
        let link = match link_len.min(MAX_PATH + 1) {
            0 => &[],
            len => more.get(31..31 + len - 1).ok_or_else(cut)?,
        };
        let line = Line {
            mode: u32::from(be16(more, 4).ok_or_else(cut)?),
            uid: u64::from(be32(more, 6).ok_or_else(cut)?),
            gid: u64::from(be32(more, 10).ok_or_else(cut)?),
            size: u64::from(be32(more, 18).ok_or_else(cut)?),
            checksum: be32(more, 23).ok_or_else(cut)?,
            link: String::from_utf8_lossy(link).into_owned(),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        Ok((id, Node { parent, name, line }))
    }
}

/// Puts paths together from the names of parents.
fn join(nodes: BTreeMap<u32, Node>) -> Result<BTreeMap<String, Line>, ReadError> {
    let mut room = 64usize << 20;
    let mut lines = BTreeMap::new();
    for node in nodes.values() {
        let mut words = vec![node.name.as_str()];
        let mut parent = node.parent;
        while parent != 0 {
            let up = nodes.get(&parent);
            let up = up.ok_or_else(|| bad(format!("the parent {parent} is missing")))?;
            words.push(&up.name);
            parent = up.parent;
            if words.len() > MAX_DEPTH {
                return Err(bad("its folders are nested too deep"));
            }
        }
        words.reverse();
        let path = words.join("/");
        room = room
            .checked_sub(path.len())
            .ok_or_else(|| ReadError::too_large(PART, "64 MiB of names"))?;
        if lines.insert(path, node.line.clone()).is_some() {
            return Err(bad("a path comes twice"));
        }
    }
    Ok(lines)
}
