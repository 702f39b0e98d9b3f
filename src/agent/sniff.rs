//! What kind of program a file is, by its first bytes: ELF, PE, Mach-O, xar, gzip.
//!
//! Only as much of each header is read as tells the system and the processor: ELF's
//! `e_machine` (offset 18), PE's COFF `Machine` behind the offset at 0x3c, Mach-O's `cputype`
//! (offset 4) and those of a universal file. A file of another kind, such as a script, is
//! unknown and nobody's fault.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use crate::install::{Arch, Os};

/// What a file was recognised as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program for a system and, where that is known, a processor.
    Program {
        /// Whose executable format it is.
        os: Os,
        /// What it runs on; `None` for a processor that no agent runs on.
        arch: Option<Arch>,
    },
    /// A macOS package or another xar archive.
    Xar,
    /// Something gzip-compressed.
    Gzip,
    /// Nothing known.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (os, arch) = match self {
            Self::Program { os, arch } => (os, arch),
            Self::Xar => return f.write_str("a macOS package"),
            Self::Gzip => return f.write_str("a gzip file"),
            Self::Unknown => return f.write_str("a file of no known kind"),
        };
        let os = match os {
            Os::Linux => "Linux",
            Os::Macos => "macOS",
            Os::Windows => "Windows",
        };
        let arch = match arch {
            Some(Arch::Amd64) => "x86-64",
            Some(Arch::Arm64) => "AArch64",
            Some(Arch::Universal) => "x86-64 and AArch64",
            None => "another processor",
        };
        write!(f, "a {os} program for {arch}")
    }
}

/// Recognises a file.
pub fn sniff(file: &mut (impl Read + Seek)) -> io::Result<Kind> {
    let mut head = [0; 64];
    let length = read_at(file, 0, &mut head)?;
    let head = &head[..length];
    Ok(match head {
        [0x7f, b'E', b'L', b'F', _, order, ..] if length >= 20 => {
            let machine = [head[18], head[19]];
            let machine = match order {
                2 => u16::from_be_bytes(machine),
                _ => u16::from_le_bytes(machine),
            };
            program(Os::Linux, u32::from(machine), 62, 183)
        }
        [b'M', b'Z', ..] if length == 64 => pe(file, head)?,
        [0xcf, 0xfa, 0xed, 0xfe, a, b, c, d, ..] => {
            let cpu = u32::from_le_bytes([*a, *b, *c, *d]);
            program(Os::Macos, cpu, 0x0100_0007, 0x0100_000c)
        }
        [0xce, 0xfa, 0xed, 0xfe, ..] => program(Os::Macos, 0, 1, 1),
        [0xca, 0xfe, 0xba, 0xbe, a, b, c, d, ..] => {
            universal(head, u32::from_be_bytes([*a, *b, *c, *d]))
        }
        [b'x', b'a', b'r', b'!', ..] => Kind::Xar,
        [0x1f, 0x8b, 8, ..] => Kind::Gzip,
        _ => Kind::Unknown,
    })
}

fn program(os: Os, machine: u32, amd64: u32, arm64: u32) -> Kind {
    let arch = match machine {
        m if m == amd64 => Some(Arch::Amd64),
        m if m == arm64 => Some(Arch::Arm64),
        _ => None,
    };
    Kind::Program { os, arch }
}

// PE: `e_lfanew` at 0x3c leads to "PE\0\0" and the COFF header.
fn pe(file: &mut (impl Read + Seek), head: &[u8]) -> io::Result<Kind> {
    let offset = u32::from_le_bytes([head[60], head[61], head[62], head[63]]);
    let mut coff = [0; 6];
    let length = read_at(file, u64::from(offset), &mut coff)?;
    if length < 6 || &coff[..4] != b"PE\0\0" {
        return Ok(Kind::Unknown);
    }
    let machine = u16::from_le_bytes([coff[4], coff[5]]);
    Ok(program(Os::Windows, u32::from(machine), 0x8664, 0xaa64))
}

// Universal: a count, then 20 bytes for each processor, all big-endian. Java classes share
// the magic number; their version stands where the count does and is at least 43.
fn universal(head: &[u8], count: u32) -> Kind {
    if count == 0 || count >= 43 {
        return Kind::Unknown;
    }
    let cpus: Vec<u32> = head[8..]
        .chunks_exact(20)
        .take(count as usize)
        .map(|entry| u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]))
        .collect();
    let arch = match (cpus.contains(&0x0100_0007), cpus.contains(&0x0100_000c)) {
        (true, true) => Some(Arch::Universal),
        (true, false) => Some(Arch::Amd64),
        (false, true) => Some(Arch::Arm64),
        (false, false) => None,
    };
    Kind::Program {
        os: Os::Macos,
        arch,
    }
}

fn read_at(file: &mut (impl Read + Seek), offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn elf(machine: u16, order: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, order]);
        let machine = match order {
            2 => machine.to_be_bytes(),
            _ => machine.to_le_bytes(),
        };
        bytes[18..20].copy_from_slice(&machine);
        bytes
    }

    fn pe(machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 0x80];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[60..64].copy_from_slice(&0x80u32.to_le_bytes());
        bytes.extend(b"PE\0\0");
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    fn fat(cpus: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0xca, 0xfe, 0xba, 0xbe];
        bytes.extend((cpus.len() as u32).to_be_bytes());
        for cpu in cpus {
            bytes.extend(cpu.to_be_bytes());
            bytes.extend([0; 16]);
        }
        bytes
    }

    #[test]
    fn kinds() {
        let of = |os, arch| Kind::Program { os, arch };
        let amd64 = Some(Arch::Amd64);
        let arm64 = Some(Arch::Arm64);
        let cases = [
            ("elf amd64", elf(62, 1), of(Os::Linux, amd64)),
            ("elf arm64", elf(183, 1), of(Os::Linux, arm64)),
            ("elf i386", elf(3, 1), of(Os::Linux, None)),
            ("elf s390x", elf(22, 2), of(Os::Linux, None)),
            ("elf cut short", elf(62, 1)[..19].to_vec(), Kind::Unknown),
            ("pe amd64", pe(0x8664), of(Os::Windows, amd64)),
            ("pe arm64", pe(0xaa64), of(Os::Windows, arm64)),
            ("pe i386", pe(0x14c), of(Os::Windows, None)),
            ("dos", [b"MZ".as_slice(), &[0; 80]].concat(), Kind::Unknown),
            (
                "mach-o arm64",
                vec![0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1],
                of(Os::Macos, arm64),
            ),
            (
                "universal",
                fat(&[0x0100_0007, 0x0100_000c]),
                of(Os::Macos, Some(Arch::Universal)),
            ),
            (
                "java",
                vec![0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52],
                Kind::Unknown,
            ),
            ("xar", b"xar!\0\x1c".to_vec(), Kind::Xar),
            ("gzip", vec![0x1f, 0x8b, 8, 0], Kind::Gzip),
            ("script", b"#!/bin/sh\n".to_vec(), Kind::Unknown),
            ("empty", vec![], Kind::Unknown),
        ];
        for (name, bytes, kind) in cases {
            assert_eq!(sniff(&mut Cursor::new(bytes)).unwrap(), kind, "{name}");
        }
    }
}
