//! tar: old, ustar, GNU and pax archives, one entry at a time.
//!
//! The crate `tar` reads the 512-byte headers; its iterator is not used because it takes long
//! names and pax records into memory whatever their size. A checksum is demanded for every
//! header, two zero blocks (or the end of the stream after at least one) for the end.
//! Documents: POSIX.1-2017 `pax`, GNU tar manual "Basic Tar Format".

use std::io::{self, Read};

use super::collect::{MAX_PATH, name_or_number};
use super::stream::drain;
use super::{Kind, ReadError};

const BLOCK: usize = 512;
/// Largest pax header that is taken.
const MAX_PAX: u64 = 1 << 20;

/// What precedes an entry's contents.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (String, String),
    pub(super) len: u64,
}

/// Extended fields that precede a header.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    user: Option<String>,
    group: Option<String>,
}

/// Walks an archive. `each` gets every entry with a reader that ends where its contents end.
pub(super) fn walk(
    from: &mut dyn Read,
    part: &str,
    each: &mut dyn FnMut(Header, &mut dyn Read) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let of_io = |e| ReadError::of_io(part, e);
    let mut extended = Extended::default();
    let mut any = false;
    while let Some(raw) = next_block(from, part, any)? {
        any = true;
        let len = raw.entry_size().map_err(of_io)?;
        match raw.entry_type().as_byte() {
            b'L' => extended.name = Some(long_name(from, len, part)?),
            b'K' => extended.link = Some(long_name(from, len, part)?),
            b'x' => pax(&read_padded(from, len, MAX_PAX, part)?, part, &mut extended)?,
            b'g' => drop(read_padded(from, len, MAX_PAX, part)?),
            _ => {
                let header = header(&raw, std::mem::take(&mut extended), part)?;
                let len = header.len;
                let mut contents = Read::take(&mut *from, len);
                each(header, &mut contents)?;
                drain(&mut contents).map_err(of_io)?;
                match contents.limit() {
                    0 => skip_padding(from, len, part)?,
                    _ => return Err(ReadError::truncated(part)),
                }
            }
        }
    }
    drain(from).map_err(of_io)?;
    Ok(())
}

/// The next header; `None` at the end of the archive.
fn next_block(
    from: &mut dyn Read,
    part: &str,
    any: bool,
) -> Result<Option<tar::Header>, ReadError> {
    let mut block = [0; BLOCK];
    let got = fill(from, &mut block).map_err(|e| ReadError::of_io(part, e))?;
    match got {
        0 if any => return Ok(None),
        BLOCK => {}
        _ => return Err(ReadError::truncated(part)),
    }
    if block.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let header = tar::Header::from_byte_slice(&block).clone();
    let sum = header.cksum().map_err(|e| ReadError::of_io(part, e))?;
    // The checksum counts its own field as blanks.
    let counted: u32 = block[..148]
        .iter()
        .chain(&block[156..])
        .map(|&b| u32::from(b))
        .sum();
    match sum == counted + 8 * 32 {
        true => Ok(Some(header)),
        false => Err(ReadError::damaged(
            part,
            "a header's checksum does not hold",
        )),
    }
}

fn fill(from: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buf.len() {
        match from.read(&mut buf[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

fn skip_padding(from: &mut dyn Read, len: u64, part: &str) -> Result<(), ReadError> {
    let padding = (BLOCK - (len % BLOCK as u64) as usize) % BLOCK;
    let mut block = [0; BLOCK];
    match fill(from, &mut block[..padding]).map_err(|e| ReadError::of_io(part, e))? {
        got if got == padding => Ok(()),
        _ => Err(ReadError::truncated(part)),
    }
}

fn read_padded(
    from: &mut dyn Read,
    len: u64,
    limit: u64,
    part: &str,
) -> Result<Vec<u8>, ReadError> {
    if len > limit {
        return Err(ReadError::too_large(
            part,
            format!("{limit} bytes in a header"),
        ));
    }
    let mut bytes = vec![0; len as usize];
    from.read_exact(&mut bytes)
        .map_err(|e| ReadError::of_io(part, e))?;
    skip_padding(from, len, part)?;
    Ok(bytes)
}

/// A GNU long name: the text and a NUL.
fn long_name(from: &mut dyn Read, len: u64, part: &str) -> Result<Vec<u8>, ReadError> {
    let mut name = read_padded(from, len, MAX_PATH as u64 + 1, part)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// Records `LENGTH KEY=VALUE\n`, where the length counts the whole record.
fn pax(mut records: &[u8], part: &str, into: &mut Extended) -> Result<(), ReadError> {
    let bad = || ReadError::damaged(part, "a pax record is malformed");
    while !records.is_empty() {
        let blank = records.iter().position(|&b| b == b' ').ok_or_else(bad)?;
        let len = number(&records[..blank]).ok_or_else(bad)?;
        let len = usize::try_from(len).map_err(|_| bad())?;
        let record = records.get(blank + 1..len).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|&b| b == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let text = || String::from_utf8_lossy(value).into_owned();
        match key {
            b"path" => into.name = Some(value.to_vec()),
            b"linkpath" => into.link = Some(value.to_vec()),
            b"size" => into.size = Some(number(value).ok_or_else(bad)?),
            b"uname" => into.user = Some(text()),
            b"gname" => into.group = Some(text()),
            _ => {}
        }
        records = &records[len..];
    }
    Ok(())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn header(raw: &tar::Header, extended: Extended, part: &str) -> Result<Header, ReadError> {
    let of_io = |e| ReadError::of_io(part, e);
    let link = || {
        let text = extended.link.clone();
        let text = text.or_else(|| raw.link_name_bytes().map(|link| link.into_owned()));
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    };
    let name = match extended.name.clone() {
        Some(name) => name,
        None => raw.path_bytes().into_owned(),
    };
    let kind = match raw.entry_type().as_byte() {
        // Before POSIX a directory was a file whose name ends in a slash.
        b'0' | 0 | b'7' if name.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::HardLink(link()),
        b'2' => Kind::Link(link()),
        b'3' | b'4' | b'6' => Kind::Special,
        b'5' => Kind::Directory,
        b'S' => return Err(ReadError::unsupported(part, "sparse files")),
        other => {
            let what = format!("entries of type {:?}", char::from(other));
            return Err(ReadError::unsupported(part, what));
        }
    };
    let len = match kind {
        Kind::File => extended.size.map_or_else(|| raw.entry_size(), Ok),
        _ => raw.entry_size(),
    };
    let user = raw.username_bytes().unwrap_or_default();
    let group = raw.groupname_bytes().unwrap_or_default();
    let owner = |given: Option<String>, name: &[u8], id: io::Result<u64>| -> io::Result<String> {
        Ok(given.unwrap_or(name_or_number(name, id?)))
    };
    Ok(Header {
        kind,
        mode: raw.mode().map_err(of_io)? & 0o7777,
        owner: (
            owner(extended.user, user, raw.uid()).map_err(of_io)?,
            owner(extended.group, group, raw.gid()).map_err(of_io)?,
        ),
        len: len.map_err(of_io)?,
        name,
    })
}
