//! cpio: the portable ASCII format (`070707`, "odc") of macOS and the new ones (`070701`,
//! `070702`, "newc") of rpm, one entry at a time.
//!
//! ```text
//! odc : magic 6, dev 6, ino 6, mode 6, uid 6, gid 6, nlink 6, rdev 6, mtime 11, namesize 6,
//!       filesize 11, all octal; name with NUL; contents. No alignment.
//! newc: magic 6, then 13 fields of 8 hex digits: ino, mode, uid, gid, nlink, mtime, filesize,
//!       devmajor, devminor, rdevmajor, rdevminor, namesize, check; name and contents are each
//!       padded with NUL to a multiple of 4 from the start of the header.
//! ```
//! Documents: POSIX.1-1997 `pax`, cpio(5).

use std::io::Read;

use super::ReadError;
use super::collect::MAX_PATH;
use super::stream::drain;

/// What precedes an entry's contents.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) ino: u64,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) nlink: u64,
    pub(super) len: u64,
    aligned: bool,
    head: u64,
}

/// `st_mode`'s file types.
pub(super) const S_IFMT: u32 = 0o170_000;
/// Regular file.
pub(super) const S_IFREG: u32 = 0o100_000;
/// Directory.
pub(super) const S_IFDIR: u32 = 0o040_000;
/// Symbolic link.
pub(super) const S_IFLNK: u32 = 0o120_000;

/// Walks an archive up to its trailer. `each` gets every entry with a reader that ends where
/// its contents end.
pub(super) fn walk(
    from: &mut dyn Read,
    part: &str,
    each: &mut dyn FnMut(Header, &mut dyn Read) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let of_io = |e| ReadError::of_io(part, e);
    loop {
        let header = header(from, part)?;
        if header.name == b"TRAILER!!!" {
            break;
        }
        let (len, aligned) = (header.len, header.aligned);
        let mut contents = Read::take(&mut *from, len);
        each(header, &mut contents)?;
        drain(&mut contents).map_err(of_io)?;
        if contents.limit() > 0 {
            return Err(ReadError::truncated(part));
        }
        if aligned {
            skip(from, len.wrapping_neg() % 4).map_err(of_io)?;
        }
    }
    // What follows is padding to the archive's block size.
    let mut rest = [0; 4096];
    loop {
        match from.read(&mut rest).map_err(of_io)? {
            0 => return Ok(()),
            got if rest[..got].iter().all(|&byte| byte == 0) => {}
            _ => return Err(ReadError::damaged(part, "bytes follow the archive's end")),
        }
    }
}

/// The text of a symbolic link.
pub(super) fn link(
    header: &Header,
    contents: &mut dyn Read,
    part: &str,
) -> Result<String, ReadError> {
    if header.len > MAX_PATH as u64 {
        return Err(ReadError::too_large(part, "4096 bytes in a link"));
    }
    let mut text = Vec::new();
    contents
        .read_to_end(&mut text)
        .map_err(|e| ReadError::of_io(part, e))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn header(from: &mut dyn Read, part: &str) -> Result<Header, ReadError> {
    let of_io = |e| ReadError::of_io(part, e);
    let mut magic = [0; 6];
    from.read_exact(&mut magic).map_err(of_io)?;
    let (mut header, namesize) = match &magic {
        b"070707" => odc(from, part)?,
        b"070701" | b"070702" => newc(from, part)?,
        b"07070X" => return Err(ReadError::unsupported(part, "entries larger than 4 GiB")),
        _ => {
            return Err(ReadError::damaged(
                part,
                "an entry does not begin as cpio's do",
            ));
        }
    };
    if namesize == 0 || namesize > MAX_PATH as u64 + 1 {
        return Err(ReadError::damaged(
            part,
            format!("a name has {namesize} bytes"),
        ));
    }
    let mut name = vec![0; namesize as usize];
    from.read_exact(&mut name).map_err(of_io)?;
    if name.pop() != Some(0) {
        return Err(ReadError::damaged(part, "a name does not end in NUL"));
    }
    header.name = name;
    if header.aligned {
        skip(from, (header.head + namesize).wrapping_neg() % 4).map_err(of_io)?;
    }
    Ok(header)
}

fn odc(from: &mut dyn Read, part: &str) -> Result<(Header, u64), ReadError> {
    let mut bytes = [0; 70];
    from.read_exact(&mut bytes)
        .map_err(|e| ReadError::of_io(part, e))?;
    let field = |at: usize, len: usize| field(&bytes[at..at + len], 8, part);
    let header = Header {
        name: Vec::new(),
        ino: field(6, 6)?,
        mode: field(12, 6)? as u32,
        uid: field(18, 6)?,
        gid: field(24, 6)?,
        nlink: field(30, 6)?,
        len: field(59, 11)?,
        aligned: false,
        head: 76,
    };
    Ok((header, field(53, 6)?))
}

fn newc(from: &mut dyn Read, part: &str) -> Result<(Header, u64), ReadError> {
    let mut bytes = [0; 104];
    from.read_exact(&mut bytes)
        .map_err(|e| ReadError::of_io(part, e))?;
    let field = |index: usize| field(&bytes[index * 8..index * 8 + 8], 16, part);
    let header = Header {
        name: Vec::new(),
        ino: field(0)?,
        mode: field(1)? as u32,
        uid: field(2)?,
        gid: field(3)?,
        nlink: field(4)?,
        len: field(6)?,
        aligned: true,
        head: 110,
    };
    Ok((header, field(11)?))
}

fn field(digits: &[u8], radix: u32, part: &str) -> Result<u64, ReadError> {
    std::str::from_utf8(digits)
        .ok()
        .filter(|digits| !digits.starts_with('+'))
        .and_then(|digits| u64::from_str_radix(digits, radix).ok())
        .ok_or_else(|| {
            let digits = String::from_utf8_lossy(digits);
            ReadError::damaged(part, format!("{digits:?} is no number of a header"))
        })
}

fn skip(from: &mut dyn Read, bytes: u64) -> std::io::Result<()> {
    let mut padding = [0; 4];
    from.read_exact(&mut padding[..bytes as usize])
}
