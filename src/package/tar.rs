//! Headers of tar archives, in the form of GNU tar that every package manager reads.
//!
//! Members are owned by root and carry the one time stamp of the package. A name or a link's
//! text of more than 100 bytes goes before its member in one of its own (types `L` and `K`).
//! Document: GNU tar manual, "Basic Tar Format"; POSIX.1-1988 ustar.
//!
//! ```text
//! name[100] mode[8] uid[8] gid[8] size[12] mtime[12] checksum[8] type linkname[100]
//! magic[8] "ustar  \0"  uname[32] gname[32] devmajor[8] devminor[8] padding to 512
//! ```

use super::BuildError;
use crate::compress::Stream;
use crate::install::{Entry, Node};

/// Headers and contents come in blocks of this many bytes.
pub const BLOCK: u64 = 512;

/// The end of an archive: two blocks of zeros.
pub const END: [u8; 1024] = [0; 1024];

/// Length of the fields for names.
const NAME: usize = 100;

/// What a member is.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A regular file of this many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Link(&'a str),
}

/// One member.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Name in the archive; directories end with `/`.
    pub name: &'a str,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970-01-01 UTC.
    pub mtime: u64,
    /// What it is.
    pub kind: Kind<'a>,
}

impl Member<'_> {
    /// The header's blocks. Contents follow, and [`padding`].
    pub fn header(&self) -> Vec<u8> {
        let mut blocks = Vec::with_capacity(BLOCK as usize);
        let (size, flag, link) = match self.kind {
            Kind::File(len) => (len, b'0', ""),
            Kind::Directory => (0, b'5', ""),
            Kind::Link(text) => (0, b'2', text),
        };
        long(b'K', link, &mut blocks);
        long(b'L', self.name, &mut blocks);
        let fields = Fields {
            name: self.name,
            mode: self.mode,
            mtime: self.mtime,
            size,
            flag,
            link,
        };
        blocks.extend_from_slice(&fields.block());
        blocks
    }
}

/// Appends an entry of a tree, with its contents. Its name is `prefix` and the path on the
/// host without the slash that it begins with.
pub fn append(
    entry: &Entry,
    prefix: &str,
    epoch: u64,
    stream: &mut Stream<'_>,
) -> Result<(), BuildError> {
    let (end, kind) = match &entry.node {
        Node::File(content) => ("", Kind::File(content.len())),
        Node::Directory => ("/", Kind::Directory),
        Node::Link(text) => ("", Kind::Link(text)),
    };
    let path = entry.path.trim_start_matches('/');
    let name = format!("{prefix}{path}{end}");
    let member = Member {
        name: &name,
        mode: entry.mode,
        mtime: epoch,
        kind,
    };
    stream.bytes(&member.header())?;
    if let Node::File(content) = &entry.node {
        stream.content(content)?;
        stream.bytes(padding(content.len()))?;
    }
    Ok(())
}

/// Appends a regular file that is in memory.
pub fn append_bytes(
    name: &str,
    mode: u32,
    bytes: &[u8],
    epoch: u64,
    stream: &mut Stream<'_>,
) -> Result<(), BuildError> {
    let member = Member {
        name,
        mode,
        mtime: epoch,
        kind: Kind::File(bytes.len() as u64),
    };
    stream.bytes(&member.header())?;
    stream.bytes(bytes)?;
    stream.bytes(padding(bytes.len() as u64))?;
    Ok(())
}

/// Zeros after contents of `len` bytes, up to the next block.
pub fn padding(len: u64) -> &'static [u8] {
    &END[..((BLOCK - len % BLOCK) % BLOCK) as usize]
}

/// A member that carries a text too long for its field.
fn long(flag: u8, text: &str, blocks: &mut Vec<u8>) {
    if text.len() <= NAME {
        return;
    }
    let size = text.len() as u64 + 1;
    let fields = Fields {
        name: "././@LongLink",
        mode: 0o644,
        mtime: 0,
        size,
        flag,
        link: "",
    };
    blocks.extend_from_slice(&fields.block());
    blocks.extend_from_slice(text.as_bytes());
    blocks.push(0);
    blocks.extend_from_slice(padding(size));
}

struct Fields<'a> {
    name: &'a str,
    mode: u32,
    mtime: u64,
    size: u64,
    flag: u8,
    link: &'a str,
}

impl Fields<'_> {
    fn block(&self) -> [u8; BLOCK as usize] {
        let mut block = [0; BLOCK as usize];
        text(&mut block[0..100], self.name);
        number(&mut block[100..108], u64::from(self.mode));
        number(&mut block[108..116], 0);
        number(&mut block[116..124], 0);
        number(&mut block[124..136], self.size);
        number(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.flag;
        text(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar  \0");
        text(&mut block[265..297], "root");
        text(&mut block[297..329], "root");
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        // Six octal digits, NUL, space: as every tar writes the checksum.
        number(&mut block[148..155], sum);
        block
    }
}

/// A text, cut at the field's end.
fn text(field: &mut [u8], value: &str) {
    let len = value.len().min(field.len());
    field[..len].copy_from_slice(&value.as_bytes()[..len]);
}

/// Octal digits and a NUL; what does not fit is written in base 256 with the first bit set.
fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let octal = format!("{value:0digits$o}");
    if octal.len() == digits {
        field[..digits].copy_from_slice(octal.as_bytes());
        field[digits] = 0;
        return;
    }
    let bytes = value.to_be_bytes();
    let start = field.len() - bytes.len();
    field.fill(0);
    field[start..].copy_from_slice(&bytes);
    field[0] |= 0x80;
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// What the crate `tar` reads: name, mode, kind, size, link.
    fn read_back(member: Member<'_>, contents: &[u8]) -> (String, u32, u8, u64, Option<String>) {
        let mut archive = member.header();
        archive.extend_from_slice(contents);
        archive.extend_from_slice(padding(contents.len() as u64));
        archive.extend_from_slice(&END);
        let mut archive = tar::Archive::new(&archive[..]);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert_eq!(read, contents);
        let header = entry.header();
        assert_eq!(header.uid().unwrap(), 0);
        assert_eq!(header.groupname().unwrap(), Some("root"));
        assert_eq!(header.mtime().unwrap(), member.mtime);
        (
            String::from_utf8(entry.path_bytes().to_vec()).unwrap(),
            header.mode().unwrap(),
            header.entry_type().as_byte(),
            header.size().unwrap(),
            entry
                .link_name_bytes()
                .map(|link| String::from_utf8(link.to_vec()).unwrap()),
        )
    }

    #[test]
    fn members_come_back() {
        let exact = "n".repeat(100);
        let long = "l".repeat(101);
        let longer = "d/".repeat(600);
        let cases: Vec<(&str, Kind<'_>, &[u8])> = vec![
            ("./", Kind::Directory, b""),
            ("./a", Kind::File(3), b"abc"),
            ("./empty", Kind::File(0), b""),
            (&exact, Kind::File(1), b"x"),
            (&long, Kind::File(1), b"x"),
            (&longer, Kind::Directory, b""),
            ("./link", Kind::Link("/opt/orbit/bin"), b""),
            ("./link", Kind::Link(&long), b""),
            (&longer, Kind::Link(&longer), b""),
            ("./\u{e9}t\u{e9}", Kind::File(0), b""),
        ];
        for (name, kind, contents) in cases {
            let member = Member {
                name,
                mode: 0o640,
                mtime: 1_700_000_000,
                kind,
            };
            let (flag, link) = match kind {
                Kind::File(_) => (b'0', None),
                Kind::Directory => (b'5', None),
                Kind::Link(text) => (b'2', Some(text.to_owned())),
            };
            let expected = (name.to_owned(), 0o640, flag, contents.len() as u64, link);
            assert_eq!(read_back(member, contents), expected);
        }
    }

    #[test]
    fn sizes_beyond_the_octal_field() {
        for size in [0, (8 << 30) - 1, 8 << 30, 1 << 40] {
            let member = Member {
                name: "./big",
                mode: 0o644,
                mtime: 0,
                kind: Kind::File(size),
            };
            let block = member.header();
            let header = tar::Header::from_byte_slice(&block);
            assert_eq!(header.size().unwrap(), size);
        }
    }
}
