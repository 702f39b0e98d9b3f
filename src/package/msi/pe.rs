//! What Windows Installer wants to know of a program: processor, version, language.
//!
//! Reads a few hundred bytes by position, never the whole file (the crates that know PE want
//! it in memory). Takes nothing on trust: every offset is checked against the file's length.
//! A program without a version resource is no error; one that is no PE file is.
//! Documents: Microsoft "PE Format" (headers, section table, `.rsrc`), "VS_VERSIONINFO".
//!
//! ```text
//! 0x3c u32 → "PE\0\0", COFF header (20 bytes: machine u16, sections u16, …), optional header
//! optional header: magic 0x10b (PE32) or 0x20b (PE32+); data directory 2 is the resources
//! resources: three levels of directories (type 16, name, language) → (address, size)
//! VS_VERSIONINFO: length u16, value length u16, type u16, key UTF-16, padding, fixed part, children
//! ```

mod kept;
pub mod sample;

pub use kept::{keep, kept};

use crate::install::{Content, ContentError};

/// COFF machine numbers.
const MACHINE_AMD64: u16 = 0x8664;
const MACHINE_ARM64: u16 = 0xaa64;
/// Resource type RT_VERSION.
const RT_VERSION: u32 = 16;
/// First field of VS_FIXEDFILEINFO.
const FIXED_SIGNATURE: u32 = 0xfeef_04bd;
/// No version resource is larger; what claims to be is damaged.
const VERSION_LIMIT: u32 = 64 * 1024;
/// Sections in a program: the loader takes no more than 96.
const SECTION_LIMIT: u16 = 96;

/// A processor, as far as this program packages for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
    /// Another one, with its COFF number.
    Other(u16),
}

impl Machine {
    fn of(number: u16) -> Self {
        match number {
            MACHINE_AMD64 => Self::Amd64,
            MACHINE_ARM64 => Self::Arm64,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::Amd64 => MACHINE_AMD64,
            Self::Arm64 => MACHINE_ARM64,
            Self::Other(number) => number,
        }
    }
}

/// What was read from a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The processor it is for.
    pub machine: Machine,
    /// Version and language, when it has a version resource.
    pub version: Option<Version>,
}

/// The File table's columns of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `a.b.c.d` of VS_FIXEDFILEINFO's file version.
    pub number: String,
    /// First LANGID of `VarFileInfo\Translation`, decimal; none when there is no translation.
    pub language: Option<String>,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Amd64 => f.write_str("amd64"),
            Self::Arm64 => f.write_str("arm64"),
            Self::Other(number) => write!(f, "machine {number:#06x}"),
        }
    }
}

/// A file that should be a program could not be read as one.
#[derive(Debug, thiserror::Error)]
pub enum PeError {
    /// Not a PE file, or a damaged one.
    #[error("{0}")]
    Malformed(&'static str),
    /// The contents could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Reads a program. `Err(Malformed)` says what is wrong with it.
pub fn read(content: &Content) -> Result<Program, PeError> {
    let image = Image(content);
    let pe = match image.bytes::<2>(0) {
        Ok([b'M', b'Z']) => u64::from(image.u32(0x3c)?),
        Ok(_) | Err(PeError::Malformed(_)) => {
            return Err(PeError::Malformed("it does not begin with MZ"));
        }
        Err(error) => return Err(error),
    };
    if image.bytes::<4>(pe)? != *b"PE\0\0" {
        return Err(PeError::Malformed("it has no PE header"));
    }
    let machine = Machine::of(image.u16(pe + 4)?);
    let version = match resources(&image, pe)? {
        Some(section) => version(&image, &section)?,
        None => None,
    };
    Ok(Program { machine, version })
}

struct Image<'a>(&'a Content);

impl Image<'_> {
    fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N], PeError> {
        let mut bytes = [0; N];
        self.fill(at, &mut bytes)?;
        Ok(bytes)
    }

    fn fill(&self, at: u64, into: &mut [u8]) -> Result<(), PeError> {
        let end = at.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.0.len()) {
            return Err(PeError::Malformed("its headers point beyond its end"));
        }
        match self.0 {
            Content::Shared(shared) => shared.read_exact_at(into, at)?,
            Content::Customer(customer) => {
                let at = at as usize;
                into.copy_from_slice(&customer.bytes()[at..at + into.len()]);
            }
        }
        Ok(())
    }

    fn u16(&self, at: u64) -> Result<u16, PeError> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: u64) -> Result<u32, PeError> {
        self.bytes(at).map(u32::from_le_bytes)
    }
}

/// The section that holds the resources.
struct Resources {
    /// Offset in the file of the resource directory.
    directory: u64,
    /// What to add to an address to get an offset in the file.
    address: u32,
    offset: u32,
    size: u32,
}

impl Resources {
    fn offset_of(&self, address: u32, len: u32) -> Option<u64> {
        let within = address.checked_sub(self.address)?;
        (within.checked_add(len)? <= self.size).then(|| u64::from(self.offset) + u64::from(within))
    }
}

fn resources(image: &Image<'_>, pe: u64) -> Result<Option<Resources>, PeError> {
    let sections = image.u16(pe + 6)?.min(SECTION_LIMIT);
    let optional_len = u64::from(image.u16(pe + 20)?);
    let optional = pe + 24;
    // Offsets of NumberOfRvaAndSizes, which the data directories follow.
    let directories = match image.u16(optional)? {
        0x10b => optional + 92,
        0x20b => optional + 108,
        _ => {
            return Err(PeError::Malformed(
                "its optional header is of no known kind",
            ));
        }
    };
    if image.u32(directories)? < 3 {
        return Ok(None);
    }
    let address = image.u32(directories + 4 + 2 * 8)?;
    if address == 0 {
        return Ok(None);
    }
    for index in 0..u64::from(sections) {
        let header = optional + optional_len + index * 40;
        let section = Resources {
            directory: 0,
            address: image.u32(header + 12)?,
            size: image.u32(header + 16)?,
            offset: image.u32(header + 20)?,
        };
        if let Some(directory) = section.offset_of(address, 16) {
            return Ok(Some(Resources {
                directory,
                ..section
            }));
        }
    }
    Err(PeError::Malformed("its resources lie in no section"))
}

fn version(image: &Image<'_>, section: &Resources) -> Result<Option<Version>, PeError> {
    let Some(by_type) = child(image, section, 0, Some(RT_VERSION))? else {
        return Ok(None);
    };
    // Name and language: the first of each is the one that GetFileVersionInfo takes.
    let mut at = by_type;
    for _ in 0..2 {
        match at.checked_sub(1 << 31) {
            Some(directory) => match child(image, section, directory, None)? {
                Some(next) => at = next,
                None => return Ok(None),
            },
            None => break,
        }
    }
    let entry = section.directory + u64::from(at & 0x7fff_ffff);
    let (address, size) = (image.u32(entry)?, image.u32(entry + 4)?);
    let damaged = PeError::Malformed("its version resource points outside the resources");
    let Some(offset) = section
        .offset_of(address, size)
        .filter(|_| size <= VERSION_LIMIT)
    else {
        return Err(damaged);
    };
    let mut block = vec![0; size as usize];
    image.fill(offset, &mut block)?;
    parse_version(&block).map(Some)
}

/// Follows a resource directory at `at` (relative to the first one) to the entry with number
/// `wanted`, or to its first; the highest bit of the answer marks a directory.
fn child(
    image: &Image<'_>,
    section: &Resources,
    at: u32,
    wanted: Option<u32>,
) -> Result<Option<u32>, PeError> {
    let directory = section.directory + u64::from(at);
    let named = u64::from(image.u16(directory + 12)?);
    let numbered = u64::from(image.u16(directory + 14)?);
    for index in 0..named + numbered {
        let entry = directory + 16 + index * 8;
        let number = image.u32(entry)?;
        if wanted.is_none_or(|wanted| number == wanted) {
            return image.u32(entry + 4).map(Some);
        }
    }
    Ok(None)
}

fn parse_version(block: &[u8]) -> Result<Version, PeError> {
    let damaged = PeError::Malformed("its version resource is damaged");
    let word = |at: usize| {
        let bytes = block.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let Some(fixed) = block
        .chunks_exact(4)
        .position(|four| four == FIXED_SIGNATURE.to_le_bytes())
        .map(|index| index * 4)
    else {
        return Err(damaged);
    };
    let number = |at: usize| word(fixed + at);
    let fields = [number(10), number(8), number(14), number(12)];
    let [Some(a), Some(b), Some(c), Some(d)] = fields else {
        return Err(damaged);
    };
    let key: Vec<u8> = "Translation\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let language = block
        .windows(key.len())
        .position(|window| window == key)
        // The value follows the key's NUL at the next multiple of four.
        .and_then(|at| word((at + key.len()).next_multiple_of(4)))
        .map(|language| language.to_string());
    Ok(Version {
        number: format!("{a}.{b}.{c}.{d}"),
        language,
    })
}

#[cfg(test)]
mod tests;
