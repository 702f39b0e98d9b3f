//! The compound file that a package is: written front to back, every stream in one piece.
//!
//! Version 4 (sectors of 4,096 bytes). Streams from 4,096 bytes on lie where they are
//! appended; smaller ones are collected and lie together in the mini stream at the end,
//! followed by the mini FAT, the directory, the FAT and, beyond 457 MB, the DIFAT. The header
//! is written last. Writing whole chains once, in order, is what makes the file good for
//! readers that take sector 0 of the mini stream for an error. Document: MS-CFB.
//!
//! ```text
//! sector n at (n + 1) × 4096; before it the header: 512 bytes, then zeros
//! FAT entry: number of the next sector, or END, FREE, FAT, DIFAT
//! directory entry 128 bytes: name UTF-16 (64), its length, type, colour, left, right, child,
//!   CLSID, state, two times, first sector, length
//! ```

use std::cmp::Ordering;

use crate::package::{BuildError, Output};

use super::unfit;

const SECTOR: usize = 4096;
const MINI_SECTOR: usize = 64;
/// Streams shorter than this are mini streams.
const CUTOFF: u64 = 4096;
const ENTRIES_PER_SECTOR: usize = SECTOR / 4;
/// FAT sectors whose numbers fit into the header.
const DIFAT_IN_HEADER: usize = 109;
const DIFAT_SECTOR: u32 = 0xffff_fffc;
const FAT_SECTOR: u32 = 0xffff_fffd;
const END: u32 = 0xffff_fffe;
const FREE: u32 = 0xffff_ffff;
/// Beyond, the sector at 2 GiB would have to be a lock sector (MS-CFB 2.6.1).
const LIMIT: u64 = 0x7fff_0000;

struct Stream {
    name: Vec<u16>,
    /// Of the FAT, or of the mini FAT; [`END`] when it is empty.
    first: u32,
    len: u64,
}

/// See the head of this file.
pub struct Compound<'o> {
    out: &'o mut Output,
    streams: Vec<Stream>,
    /// Sectors used so far, as chains of consecutive ones: what each sector's FAT entry says.
    fat: Vec<u32>,
    mini: Vec<u8>,
    mini_fat: Vec<u32>,
}

impl<'o> Compound<'o> {
    /// Begins a file at the start of `out`.
    pub fn create(out: &'o mut Output) -> Result<Self, BuildError> {
        out.append(&[0; SECTOR])?;
        Ok(Self {
            out,
            streams: Vec::new(),
            fat: Vec::new(),
            mini: Vec::new(),
            mini_fat: Vec::new(),
        })
    }

    /// Adds a whole stream.
    pub fn stream(&mut self, name: &str, bytes: &[u8]) -> Result<(), BuildError> {
        if (bytes.len() as u64) < CUTOFF {
            self.mini_stream(name, bytes);
            return Ok(());
        }
        let start = self.begin();
        self.out.append(bytes)?;
        self.end(name, start)
    }

    /// Where a stream begins that is appended to [`Compound::out`] until [`Compound::end`].
    pub fn begin(&self) -> u64 {
        self.out.position()
    }

    /// The file, for appending to the stream that was begun.
    pub fn out(&mut self) -> &mut Output {
        self.out
    }

    /// Ends the stream that began at `start`.
    pub fn end(&mut self, name: &str, start: u64) -> Result<(), BuildError> {
        let len = self.out.position() - start;
        let sectors = len.div_ceil(SECTOR as u64);
        if len < CUTOFF {
            // Too short after all: its sector stays behind as a free one.
            let mut bytes = vec![0; len as usize];
            self.out.read_back(start, &mut bytes)?;
            self.out.patch(start, &vec![0; bytes.len()])?;
            self.fat.extend((0..sectors).map(|_| FREE));
            self.mini_stream(name, &bytes);
        } else {
            let first = self.chain(sectors)?;
            self.add(name, first, len);
        }
        self.pad()
    }

    /// Writes everything else. `class` is the CLSID of the root, as bytes in the file.
    pub fn finish(mut self, class: &[u8; 16]) -> Result<(), BuildError> {
        let mini = std::mem::take(&mut self.mini);
        let mini_first = self.sectors(&mini)?;
        let mini_fat = table(&self.mini_fat);
        let mini_fat_first = self.sectors(&mini_fat)?;
        let mini_fat_sectors = mini_fat.len().div_ceil(SECTOR);
        let directory = directory(&self.streams, class, mini_first, mini.len() as u64);
        let directory_first = self.sectors(&directory)?;
        let (fat_first, fat_sectors, difat_sectors) = self.write_fat()?;
        let (difat_first, difat) = difat(fat_first, fat_sectors, difat_sectors);
        self.out.append(&difat)?;
        let mut header = Vec::with_capacity(512);
        header.extend_from_slice(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
        header.extend_from_slice(&[0; 16]);
        // Minor and major version, byte order, sector shift, mini sector shift.
        for number in [0x3e_u16, 4, 0xfffe, 12, 6, 0, 0, 0] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        let lengths = [
            (directory.len() / SECTOR) as u32,
            fat_sectors,
            directory_first,
            0,
            CUTOFF as u32,
            mini_fat_first,
            mini_fat_sectors as u32,
            difat_first,
            difat_sectors,
        ];
        header.extend(lengths.iter().flat_map(|n| n.to_le_bytes()));
        let in_header = (0..DIFAT_IN_HEADER as u32).map(|n| match n < fat_sectors {
            true => fat_first + n,
            false => FREE,
        });
        header.extend(in_header.flat_map(u32::to_le_bytes));
        self.out.patch(0, &header)
    }

    fn add(&mut self, name: &str, first: u32, len: u64) {
        self.streams.push(Stream {
            name: name.encode_utf16().collect(),
            first,
            len,
        });
    }

    fn mini_stream(&mut self, name: &str, bytes: &[u8]) {
        let first = self.mini_fat.len() as u32;
        let sectors = bytes.len().div_ceil(MINI_SECTOR) as u32;
        self.mini_fat.extend((1..sectors).map(|n| first + n));
        self.mini.extend_from_slice(bytes);
        self.mini
            .resize(self.mini.len().next_multiple_of(MINI_SECTOR), 0);
        match sectors {
            0 => self.add(name, END, 0),
            _ => {
                self.mini_fat.push(END);
                self.add(name, first, bytes.len() as u64);
            }
        }
    }

    /// Numbers the next `sectors` as one chain and gives the first.
    fn chain(&mut self, sectors: u64) -> Result<u32, BuildError> {
        let first = self.fat.len() as u64;
        if (first + sectors) * SECTOR as u64 > LIMIT {
            return Err(unfit(format!("more than {LIMIT} bytes")));
        }
        let last = first + sectors;
        self.fat.extend((first + 1..last).map(|n| n as u32));
        match sectors {
            0 => Ok(END),
            _ => {
                self.fat.push(END);
                Ok(first as u32)
            }
        }
    }

    /// Appends bytes as a chain of sectors.
    fn sectors(&mut self, bytes: &[u8]) -> Result<u32, BuildError> {
        let first = self.chain(bytes.len().div_ceil(SECTOR) as u64)?;
        self.out.append(bytes)?;
        self.pad()?;
        Ok(first)
    }

    fn pad(&mut self) -> Result<(), BuildError> {
        let beyond = (self.out.position() % SECTOR as u64) as usize;
        match beyond {
            0 => Ok(()),
            _ => self.out.append(&vec![0; SECTOR - beyond]),
        }
    }

    /// Writes the FAT, which also names its own sectors and those of the DIFAT after it.
    /// First sector, number of sectors, number of DIFAT sectors.
    fn write_fat(&mut self) -> Result<(u32, u32, u32), BuildError> {
        let first = self.fat.len();
        let (mut fat, mut difat) = (0, 0);
        loop {
            let needed = (first + fat + difat).div_ceil(ENTRIES_PER_SECTOR);
            let beyond = needed.saturating_sub(DIFAT_IN_HEADER);
            let more = beyond.div_ceil(ENTRIES_PER_SECTOR - 1);
            if (needed, more) == (fat, difat) {
                break;
            }
            (fat, difat) = (needed, more);
        }
        self.fat.extend(std::iter::repeat_n(FAT_SECTOR, fat));
        self.fat.extend(std::iter::repeat_n(DIFAT_SECTOR, difat));
        self.fat.resize(fat * ENTRIES_PER_SECTOR, FREE);
        let bytes = table(&self.fat);
        self.out.append(&bytes)?;
        Ok((first as u32, fat as u32, difat as u32))
    }
}

/// A table of sector numbers, filled up to whole sectors with [`FREE`].
fn table(numbers: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0xff);
    bytes
}

/// The DIFAT sectors and the number of the first: FAT sectors beyond those in the header.
fn difat(fat_first: u32, fat_sectors: u32, sectors: u32) -> (u32, Vec<u8>) {
    if sectors == 0 {
        return (END, Vec::new());
    }
    let first = fat_first + fat_sectors;
    let mut rest = (fat_first..first).skip(DIFAT_IN_HEADER);
    let mut bytes = Vec::new();
    for number in 1..=sectors {
        for _ in 0..ENTRIES_PER_SECTOR - 1 {
            bytes.extend_from_slice(&rest.next().unwrap_or(FREE).to_le_bytes());
        }
        let next = match number == sectors {
            true => END,
            false => first + number,
        };
        bytes.extend_from_slice(&next.to_le_bytes());
    }
    (first, bytes)
}

/// A directory entry's place in the tree of names.
#[derive(Clone, Copy)]
struct Place {
    left: u32,
    right: u32,
    black: bool,
}

fn directory(streams: &[Stream], class: &[u8; 16], mini_first: u32, mini_len: u64) -> Vec<u8> {
    let mut order: Vec<usize> = (0..streams.len()).collect();
    order.sort_by(|&a, &b| compare(&streams[a].name, &streams[b].name));
    let mut places = vec![
        Place {
            left: FREE,
            right: FREE,
            black: true
        };
        streams.len()
    ];
    // In a tree halved at every step, only the deepest level is incomplete: it is red.
    let depth = (streams.len() + 1).next_power_of_two().trailing_zeros();
    let perfect = (streams.len() + 1).is_power_of_two();
    let deepest = if perfect { u32::MAX } else { depth - 1 };
    let child = plant(&order, &mut places, 0, deepest);
    let root_name: Vec<u16> = "Root Entry".encode_utf16().collect();
    let root = Stream {
        name: root_name,
        first: mini_first,
        len: mini_len,
    };
    let none = Place {
        left: FREE,
        right: FREE,
        black: true,
    };
    let mut bytes = entry(&root, 5, none, child, class);
    for (stream, place) in streams.iter().zip(places) {
        bytes.extend(entry(stream, 2, place, FREE, &[0; 16]));
    }
    while !bytes.len().is_multiple_of(SECTOR) {
        let mut unused = [0; 128];
        unused[68..80].fill(0xff);
        bytes.extend_from_slice(&unused);
    }
    bytes
}

/// Makes a balanced tree of `order`'s entries and gives the directory number of its root.
fn plant(order: &[usize], places: &mut [Place], level: u32, deepest: u32) -> u32 {
    let middle = order.len() / 2;
    let Some(&index) = order.get(middle) else {
        return FREE;
    };
    places[index] = Place {
        left: plant(&order[..middle], places, level + 1, deepest),
        right: plant(&order[middle + 1..], places, level + 1, deepest),
        black: level < deepest,
    };
    // Number 0 is the root entry.
    index as u32 + 1
}

fn entry(stream: &Stream, kind: u8, place: Place, child: u32, class: &[u8; 16]) -> Vec<u8> {
    let mut bytes: Vec<u8> = stream.name.iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.resize(64, 0);
    bytes.extend_from_slice(&(stream.name.len() as u16 * 2 + 2).to_le_bytes());
    bytes.extend_from_slice(&[kind, u8::from(place.black)]);
    for number in [place.left, place.right, child] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(class);
    // State bits and both times: none.
    bytes.extend_from_slice(&[0; 20]);
    bytes.extend_from_slice(&stream.first.to_le_bytes());
    bytes.extend_from_slice(&stream.len.to_le_bytes());
    bytes
}

/// MS-CFB 2.6.4: shorter names first, then by upper-case code units.
fn compare(a: &[u16], b: &[u16]) -> Ordering {
    let upper = |unit: &u16| match unit {
        0x61..=0x7a => unit - 0x20,
        _ => *unit,
    };
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().map(upper).cmp(b.iter().map(upper)))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn written(streams: &[(String, usize)]) -> std::fs::File {
        let file = tempfile::tempfile().unwrap();
        let mut out = Output::new(file.try_clone().unwrap(), std::path::Path::new("x"));
        let mut compound = Compound::create(&mut out).unwrap();
        for (name, len) in streams {
            compound.stream(name, &bytes(*len)).unwrap();
        }
        compound.finish(&[7; 16]).unwrap();
        out.finish().unwrap();
        file
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    #[test]
    fn another_reader_finds_every_stream() {
        let cases: &[(&str, &[usize])] = &[
            ("none", &[]),
            ("an empty one", &[0]),
            ("a mini stream", &[1]),
            ("one byte below the cutoff", &[4095]),
            ("at the cutoff", &[4096]),
            ("both kinds", &[10, 5000, 64, 100_000, 65, 0, 4095, 8192]),
            ("a directory of two sectors", &[100; 40]),
            ("many mini sectors", &[4000; 30]),
            ("a FAT of two sectors", &[9_000_000, 3]),
        ];
        for (name, lens) in cases {
            let streams: Vec<(String, usize)> = (0..)
                .zip(lens.iter())
                .map(|(n, &len)| (format!("s{}{n}", "x".repeat(n % 5)), len))
                .collect();
            let mut read = cfb::CompoundFile::open_strict(written(&streams)).unwrap();
            assert_eq!(read.version(), cfb::Version::V4, "{name}");
            assert_eq!(read.read_root_storage().count(), lens.len(), "{name}");
            for (stream, len) in &streams {
                let mut got = Vec::new();
                read.open_stream(stream)
                    .unwrap()
                    .read_to_end(&mut got)
                    .unwrap();
                assert!(got == bytes(*len), "{name}: {stream}");
            }
        }
    }

    #[test]
    fn a_stream_that_turned_out_short() {
        let file = tempfile::tempfile().unwrap();
        let mut out = Output::new(file.try_clone().unwrap(), std::path::Path::new("x"));
        let mut compound = Compound::create(&mut out).unwrap();
        let start = compound.begin();
        compound.out().append(b"head").unwrap();
        compound.out().patch(start, b"HE").unwrap();
        compound.end("short", start).unwrap();
        compound.stream("long", &bytes(5000)).unwrap();
        compound.finish(&[0; 16]).unwrap();
        out.finish().unwrap();
        let mut read = cfb::CompoundFile::open_strict(file).unwrap();
        let mut got = String::new();
        read.open_stream("short")
            .unwrap()
            .read_to_string(&mut got)
            .unwrap();
        assert_eq!(got, "HEad");
        assert_eq!(read.entry("long").unwrap().len(), 5000);
    }

    #[test]
    fn difat_begins_beyond_109_fat_sectors() {
        assert_eq!(difat(10, 109, 0), (END, Vec::new()));
        let (first, bytes) = difat(10, 111, 1);
        assert_eq!((first, bytes.len()), (121, SECTOR));
        assert_eq!(bytes[..8], [119, 0, 0, 0, 120, 0, 0, 0]);
        assert_eq!(bytes[8..12], [0xff; 4]);
        assert_eq!(bytes[SECTOR - 4..], END.to_le_bytes());
    }
}
