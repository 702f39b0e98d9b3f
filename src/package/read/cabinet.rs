//! Windows cabinets, read strictly: folders one after the other, each block once.
//!
//! A file is a byte range of its folder's unpacked bytes; two files may be the same range, and
//! are then told together. Ranges that overlap otherwise are refused. Block checksums are
//! verified, all blocks of MSZIP but a folder's last must hold 32 KiB.
//!
//! ```text
//! header 36: "MSCF", 0, size u32, 0, first file's offset u32, 0, version 3.1, folders u16,
//!   files u16, flags u16, set u16, index u16; reserved sizes when flag 4
//! folder 8: first block's offset u32, blocks u16, compression u16
//! file 16: size u32, offset in folder u32, folder u16, date u16, time u16, attributes u16; name
//! block 8: checksum u32, stored u16, raw u16; contents
//! ```
//! Little-endian. Document: MS-CAB.

use std::io::{self, Read, Seek, SeekFrom};

use super::ReadError;
use super::inflate::{WINDOW, inflate};
use super::stream::{Budget, drain};

/// Most that a block stores: raw bytes and MSZIP's overhead (MS-CAB 2.4).
const MAX_STORED: usize = WINDOW + 6144;

/// A file in a cabinet.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) len: u64,
    folder: u16,
    offset: u64,
}

struct Folder {
    first: u64,
    blocks: u16,
    mszip: bool,
}

struct Reserved {
    folder: u8,
    block: u8,
}

/// Called with the indexes of the files that a range of bytes is.
type Each<'a> = dyn FnMut(&[usize], &mut dyn Read) -> Result<(), ReadError> + 'a;

/// An opened cabinet.
pub(super) struct Cabinet<S> {
    source: S,
    part: String,
    folders: Vec<Folder>,
    members: Vec<Member>,
    reserved: Reserved,
}

impl<S: Read + Seek> Cabinet<S> {
    /// Reads header, folders and files; `part` is what errors call it.
    pub(super) fn open(mut source: S, part: &str) -> Result<Self, ReadError> {
        let of_io = |e| ReadError::of_io(part, e);
        let bad = |why: &str| ReadError::damaged(part, why);
        let len = source.seek(SeekFrom::End(0)).map_err(of_io)?;
        source.rewind().map_err(of_io)?;
        let mut head = [0; 36];
        source.read_exact(&mut head).map_err(of_io)?;
        if &head[..4] != b"MSCF" {
            return Err(bad("it does not begin with `MSCF`"));
        }
        if u64::from(le32(&head, 8)) != len {
            return Err(bad("its length is not the one announced"));
        }
        let flags = le16(&head, 30);
        if flags & 3 != 0 {
            return Err(ReadError::unsupported(
                part,
                "files that span several cabinets",
            ));
        }
        let mut reserved = Reserved {
            folder: 0,
            block: 0,
        };
        if flags & 4 != 0 {
            let mut sizes = [0; 4];
            source.read_exact(&mut sizes).map_err(of_io)?;
            (reserved.folder, reserved.block) = (sizes[2], sizes[3]);
            skip(&mut source, usize::from(le16(&sizes, 0))).map_err(of_io)?;
        }
        let mut folders = Vec::new();
        for _ in 0..le16(&head, 26) {
            folders.push(folder(&mut source, &reserved, part)?);
        }
        source
            .seek(SeekFrom::Start(u64::from(le32(&head, 16))))
            .map_err(of_io)?;
        let mut members = Vec::new();
        let mut names = io::BufReader::new(&mut source);
        for _ in 0..le16(&head, 28) {
            members.push(member(&mut names, part)?);
        }
        drop(names);
        Ok(Self {
            source,
            part: part.to_owned(),
            folders,
            members,
            reserved,
        })
    }

    /// The files, in the cabinet's order.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Number of folders.
    pub(super) fn folders(&self) -> u64 {
        self.folders.len() as u64
    }

    /// Whether any folder is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.folders.iter().any(|folder| folder.mszip)
    }

    /// Unpacks everything. `each` gets the indexes of the files that a range of bytes is, and
    /// a reader that ends where the range ends.
    pub(super) fn walk(&mut self, budget: &Budget, each: &mut Each<'_>) -> Result<(), ReadError> {
        let folders = self.folders.len();
        let mut inside: Vec<Vec<usize>> = vec![Vec::new(); folders];
        for (index, member) in self.members.iter().enumerate() {
            let folder = inside.get_mut(usize::from(member.folder)).ok_or_else(|| {
                let why = format!("{} is in a folder that is not there", member.name);
                ReadError::damaged(&self.part, why)
            })?;
            folder.push(index);
        }
        for (number, inside) in inside.into_iter().enumerate() {
            self.folder(number, inside, budget, each)?;
        }
        Ok(())
    }

    fn folder(
        &mut self,
        number: usize,
        mut inside: Vec<usize>,
        budget: &Budget,
        each: &mut Each<'_>,
    ) -> Result<(), ReadError> {
        let part = self.part.clone();
        let of_io = |e| ReadError::of_io(&part, e);
        let place = |index: &usize| (self.members[*index].offset, self.members[*index].len);
        inside.sort_by_key(place);
        let groups: Vec<(u64, u64, &[usize])> = inside
            .chunk_by(|a, b| place(a) == place(b))
            .map(|group| (place(&group[0]).0, place(&group[0]).1, group))
            .collect();
        let folder = &self.folders[number];
        let first = SeekFrom::Start(folder.first);
        self.source.seek(first).map_err(of_io)?;
        let mut blocks = Blocks {
            source: io::BufReader::with_capacity(128 * 1024, &mut self.source),
            left: folder.blocks,
            mszip: folder.mszip,
            reserved: self.reserved.block,
            part: &part,
            budget,
            bytes: Vec::new(),
            from: 0,
            short: false,
        };
        let mut at = 0;
        for (offset, len, group) in groups {
            if len == 0 {
                each(group, &mut io::empty())?;
                continue;
            }
            let gap = offset.checked_sub(at);
            let gap = gap.ok_or_else(|| ReadError::damaged(&part, "two files overlap"))?;
            let skipped = drain(&mut blocks.by_ref().take(gap)).map_err(of_io)?;
            let mut range = blocks.by_ref().take(len);
            each(group, &mut range)?;
            drain(&mut range).map_err(of_io)?;
            if skipped < gap || range.limit() > 0 {
                return Err(ReadError::truncated(part));
            }
            at = offset + len;
        }
        drain(&mut blocks).map_err(of_io)?;
        Ok(())
    }
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn skip(from: &mut impl Read, bytes: usize) -> io::Result<()> {
    let mut nothing = vec![0; bytes];
    from.read_exact(&mut nothing)
}

fn folder(source: &mut impl Read, reserved: &Reserved, part: &str) -> Result<Folder, ReadError> {
    let of_io = |e| ReadError::of_io(part, e);
    let mut raw = [0; 8];
    source.read_exact(&mut raw).map_err(of_io)?;
    skip(source, usize::from(reserved.folder)).map_err(of_io)?;
    let mszip = match le16(&raw, 6) & 0xf {
        0 => false,
        1 => true,
        2 => return Err(ReadError::unsupported(part, "Quantum compression")),
        3 => return Err(ReadError::unsupported(part, "LZX compression")),
        _ => return Err(ReadError::damaged(part, "its compression is unknown")),
    };
    Ok(Folder {
        first: u64::from(le32(&raw, 0)),
        blocks: le16(&raw, 4),
        mszip,
    })
}

fn member(source: &mut impl Read, part: &str) -> Result<Member, ReadError> {
    let of_io = |e| ReadError::of_io(part, e);
    let mut raw = [0; 16];
    source.read_exact(&mut raw).map_err(of_io)?;
    let mut name = Vec::new();
    loop {
        let mut byte = [0];
        source.read_exact(&mut byte).map_err(of_io)?;
        match byte[0] {
            0 => break,
            // MS-CAB 2.3: at most 256 bytes with the NUL.
            _ if name.len() == 255 => {
                return Err(ReadError::damaged(part, "a name has more than 255 bytes"));
            }
            byte => name.push(byte),
        }
    }
    Ok(Member {
        name: String::from_utf8_lossy(&name).into_owned(),
        len: u64::from(le32(&raw, 0)),
        offset: u64::from(le32(&raw, 4)),
        folder: le16(&raw, 8),
    })
}

/// A folder's unpacked bytes. `bytes` holds the window of the block before, then the block.
struct Blocks<'s, S> {
    source: S,
    left: u16,
    mszip: bool,
    reserved: u8,
    part: &'s str,
    budget: &'s Budget,
    bytes: Vec<u8>,
    from: usize,
    short: bool,
}

impl<S: Read> Blocks<'_, S> {
    /// Loads the next block; `false` at the end.
    fn next(&mut self) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let bad = |why: &str| io::Error::from(ReadError::damaged(self.part, why));
        let mut head = [0; 8];
        self.source.read_exact(&mut head)?;
        let (stored, raw) = (usize::from(le16(&head, 4)), usize::from(le16(&head, 6)));
        if stored > MAX_STORED || raw > WINDOW || raw == 0 {
            return Err(bad("a block is larger than blocks may be, or empty"));
        }
        let mut packed = vec![0; usize::from(self.reserved) + stored];
        self.source.read_exact(&mut packed)?;
        let sum = le32(&head, 0);
        if sum != 0 && checksum(&head[4..], checksum(&packed, 0)) != sum {
            return Err(bad("a block's checksum does not hold"));
        }
        let packed = &packed[usize::from(self.reserved)..];
        self.budget.spend(self.part, raw as u64)?;
        if self.short {
            return Err(bad("a block in the middle holds less than 32 KiB"));
        }
        let keep = self.bytes.len().saturating_sub(WINDOW);
        self.bytes.drain(..keep);
        self.from = self.bytes.len();
        if self.mszip {
            let packed = packed
                .strip_prefix(b"CK")
                .ok_or_else(|| bad("a block is no MSZIP"))?;
            inflate(packed, &mut self.bytes, raw).map_err(bad)?;
            self.short = raw < WINDOW;
        } else {
            self.bytes.extend_from_slice(packed);
        }
        match self.bytes.len() - self.from == raw {
            true => Ok(true),
            false => Err(bad("a block unpacks to less than announced")),
        }
    }
}

impl<S: Read> Read for Blocks<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || (self.from == self.bytes.len() && !self.next()?) {
            return Ok(0);
        }
        let ready = &self.bytes[self.from..];
        let got = ready.len().min(buf.len());
        buf[..got].copy_from_slice(&ready[..got]);
        self.from += got;
        Ok(got)
    }
}

/// XOR of little-endian words; a rest of one to three bytes counts from its first byte down
/// (MS-CAB 3.1).
fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let mut words = bytes.chunks_exact(4);
    let sum = words.by_ref().fold(seed, |sum, word| sum ^ le32(word, 0));
    let rest = words.remainder().iter();
    sum ^ rest.fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Two files of one folder, stored: 36 bytes of header, a folder, two files, a block.
    fn cabinet(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(b"MSCF\0\0\0\0");
        bytes.extend(100u32.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(44u32.to_le_bytes());
        bytes.extend([0, 0, 0, 0, 3, 1, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(80u32.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        for (name, len, offset) in [("a", 3u32, 0u32), ("b", 9, 3)] {
            bytes.extend(len.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            bytes.extend([0; 8]);
            bytes.extend(name.as_bytes());
            bytes.push(0);
        }
        bytes.extend([0, 0, 0, 0, 12, 0, 12, 0]);
        bytes.extend(b"onetwothree!");
        change(&mut bytes);
        bytes
    }

    fn unpack(bytes: Vec<u8>) -> Result<Vec<(String, String)>, String> {
        let budget = Budget::for_file(bytes.len() as u64);
        let mut cabinet = Cabinet::open(Cursor::new(bytes), "x.cab").map_err(|e| e.to_string())?;
        let names: Vec<_> = cabinet.members().iter().map(|m| m.name.clone()).collect();
        let mut seen = Vec::new();
        let done = cabinet.walk(&budget, &mut |group, from| {
            let mut text = String::new();
            from.read_to_string(&mut text)
                .map_err(|e| ReadError::of_io("x", e))?;
            seen.extend(
                group
                    .iter()
                    .map(|&index| (names[index].clone(), text.clone())),
            );
            Ok(())
        });
        done.map(|()| seen).map_err(|e| e.to_string())
    }

    #[test]
    fn read_back() {
        let seen = unpack(cabinet(|_| {})).unwrap();
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(seen, [pair("a", "one"), pair("b", "twothree!")]);
        let same = unpack(cabinet(|bytes| {
            bytes[62] = 3;
            bytes[66] = 0;
        }));
        assert_eq!(same.unwrap(), [pair("a", "one"), pair("b", "one")]);
    }

    #[test]
    fn refused() {
        type Change = fn(&mut Vec<u8>);
        let cases: [(&str, Change, &str); 9] = [
            (
                "magic",
                |b| b[0] = 0,
                "x.cab is damaged: it does not begin with `MSCF`",
            ),
            (
                "length",
                |b| b.push(0),
                "x.cab is damaged: its length is not the one announced",
            ),
            (
                "spanned",
                |b| b[30] = 2,
                "x.cab uses files that span several cabinets, which cannot be read",
            ),
            (
                "LZX",
                |b| b[42] = 3,
                "x.cab uses LZX compression, which cannot be read",
            ),
            (
                "overlap",
                |b| b[66] = 2,
                "x.cab is damaged: two files overlap",
            ),
            ("past the end", |b| b[62] = 10, "x.cab ends too early"),
            (
                "checksum",
                |b| b[80] = 1,
                "x.cab is damaged: a block's checksum does not hold",
            ),
            (
                "no such folder",
                |b| b[70] = 7,
                "x.cab is damaged: b is in a folder that is not there",
            ),
            (
                "not MSZIP",
                |b| b[42] = 1,
                "x.cab is damaged: a block is no MSZIP",
            ),
        ];
        for (name, change, error) in cases {
            let found = unpack(cabinet(change)).err();
            assert_eq!(found.as_deref(), Some(error), "{name}");
        }
    }
}
