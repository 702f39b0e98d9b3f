//! The list of files in the header: parallel lists, one value per file, sorted by path.
//!
//! rpm searches the list by halving it, so the header's order is by path whatever the order
//! of the payload; a payload member is found by its name. Directories of the system itself
//! belong to other packages and are not listed; rpm makes them where they are missing.

use std::collections::BTreeMap;

use super::header::Header;
use super::tag;
use crate::install::{Content, Entry, Node, Tree};
use crate::package::distribution;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// One file of the package, in the payload's order.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// What lies where.
    pub entry: &'a Entry,
    /// Number unique in the package, from 1.
    pub inode: u32,
}

impl File<'_> {
    /// Type and permission bits.
    pub fn mode(&self) -> u32 {
        let kind = match &self.entry.node {
            Node::Directory => DIRECTORY,
            Node::File(_) => REGULAR,
            Node::Link(_) => LINK,
        };
        kind | (self.entry.mode & 0o7777)
    }

    /// Bytes of contents in the payload: of a link its text.
    pub fn len(&self) -> u32 {
        // The sum of all lengths is checked to have 32 bits.
        self.entry.len() as u32
    }

    fn digest(&self) -> String {
        match &self.entry.node {
            Node::File(Content::Shared(shared)) => hex::encode(shared.sha256()),
            Node::File(Content::Customer(customer)) => {
                hex::encode(crate::compress::sha256(customer.bytes()))
            }
            Node::Directory | Node::Link(_) => String::new(),
        }
    }

    fn link(&self) -> &str {
        match &self.entry.node {
            Node::Link(target) => target,
            Node::File(_) | Node::Directory => "",
        }
    }
}

/// What the package holds, in the order of the tree.
pub fn list(tree: &Tree) -> Vec<File<'_>> {
    tree.entries
        .iter()
        .filter(|entry| !distribution::is_system_directory(&entry.path))
        .zip(1..)
        .map(|(entry, inode)| File { entry, inode })
        .collect()
}

/// Puts the lists.
pub fn put(header: &mut Header, files: &[File<'_>], mtime: u32) {
    let mut files = files.to_vec();
    files.sort_by_key(|file| &file.entry.path);
    let all = |value: u32| files.iter().map(move |_| value);
    put_names(header, &files);
    let regular = files
        .iter()
        .filter(|f| matches!(f.entry.node, Node::File(_)));
    header.int32(tag::SIZE, [regular.map(File::len).sum()]);
    header.int32(tag::FILE_SIZES, files.iter().map(File::len));
    header.int16(tag::FILE_MODES, files.iter().map(|f| f.mode() as u16));
    header.int16(tag::FILE_RDEVS, files.iter().map(|_| 0));
    header.int32(tag::FILE_MTIMES, all(mtime));
    header.texts(tag::FILE_DIGESTS, files.iter().map(File::digest));
    header.texts(tag::FILE_LINK_TOS, files.iter().map(File::link));
    header.int32(tag::FILE_FLAGS, all(0));
    header.texts(tag::FILE_USER_NAME, files.iter().map(|_| "root"));
    header.texts(tag::FILE_GROUP_NAME, files.iter().map(|_| "root"));
    // Everything is verified.
    header.int32(tag::FILE_VERIFY_FLAGS, all(u32::MAX));
    header.int32(tag::FILE_DEVICES, all(1));
    header.int32(tag::FILE_INODES, files.iter().map(|f| f.inode));
    header.texts(tag::FILE_LANGS, files.iter().map(|_| ""));
    header.int32(tag::FILE_DIGEST_ALGORITHM, [tag::SHA256]);
}

fn put_names(header: &mut Header, files: &[File<'_>]) {
    let split: Vec<(&str, &str)> = files
        .iter()
        .map(|file| match file.entry.path.rfind('/') {
            Some(at) => file.entry.path.split_at(at + 1),
            None => ("", file.entry.path.as_str()),
        })
        .collect();
    let mut folders: BTreeMap<&str, u32> = split.iter().map(|(dir, _)| (*dir, 0)).collect();
    for (index, number) in folders.values_mut().zip(0..) {
        *index = number;
    }
    header.texts(tag::BASE_NAMES, split.iter().map(|(_, base)| *base));
    header.int32(tag::DIR_INDEXES, split.iter().map(|(dir, _)| folders[dir]));
    header.texts(tag::DIR_NAMES, folders.keys().copied());
}
