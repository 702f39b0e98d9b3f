//! Cabinets: the head of a `.cab`, and which bytes of which folder a file is.
//!
//! Every shared content is a folder of its own, so that its compressed blocks are the same in
//! every cabinet and can be copied; contents that are equal share one. The customer's files,
//! all small, share one folder. Names in a cabinet are the File table's keys, in its order.
//! Documents: MS-CAB 2.1 CFHEADER, 2.2 CFFOLDER, 2.3 CFFILE.
//!
//! ```text
//! CFHEADER 36 bytes: "MSCF", 0, size, 0, offset of CFFILE, 0, version 1.3, folders, files, flags, set, 0
//! CFFOLDER  8 bytes: offset of CFDATA, blocks u16, compression u16 (1 is MSZIP)
//! CFFILE   16 bytes: size, offset in folder, folder u16, date u16, time u16, attributes u16; name, NUL
//! ```

use crate::compress::mszip::BLOCK;
use crate::package::BuildError;

use super::unfit;

const HEADER: usize = 36;
const FOLDER: usize = 8;
const FILE: usize = 16;
/// typeCompress of MSZIP.
const MSZIP: u16 = 1;
/// File attribute: archive.
const ARCHIVE: u16 = 0x20;
/// Largest cabinet that readers with signed offsets take.
const LIMIT: u64 = 0x7fff_ffff;

/// MS-DOS date and time, in UTC: two-second steps from 1980 to 2107.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DosTime {
    /// Year from 1980 (7 bits), month (4), day (5).
    pub date: u16,
    /// Hour (5 bits), minute (6), second / 2 (5).
    pub time: u16,
}

impl DosTime {
    /// The DOS time of `epoch` (seconds since 1970), an error when it has none.
    pub fn new(epoch: u64) -> Result<Self, BuildError> {
        let refused = || {
            unfit(format!(
                "the time {epoch} of SOURCE_DATE_EPOCH: file times begin at 315532800 (1980) and \
                 end before 4354819200 (2108)"
            ))
        };
        let seconds = i64::try_from(epoch).map_err(|_| refused())?;
        let moment = jiff::Timestamp::from_second(seconds)
            .map_err(|_| refused())?
            .to_zoned(jiff::tz::TimeZone::UTC);
        let year = u16::try_from(moment.year() - 1980).map_err(|_| refused())?;
        if year > 127 {
            return Err(refused());
        }
        let part = |value: i8| u16::try_from(value).unwrap_or(0);
        Ok(Self {
            date: (year << 9) | (part(moment.month()) << 5) | part(moment.day()),
            time: (part(moment.hour()) << 11)
                | (part(moment.minute()) << 5)
                | (part(moment.second()) / 2),
        })
    }
}

/// A file in a cabinet.
pub struct Member<'a> {
    /// Its name: a File table's key.
    pub name: &'a str,
    /// Bytes.
    pub len: u64,
    /// Index of its folder.
    pub folder: usize,
    /// Where it begins among the folder's raw bytes.
    pub offset: u64,
}

/// A folder of a cabinet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folder {
    /// Raw bytes.
    pub raw: u64,
    /// Bytes of its CFDATA blocks.
    pub stored: u64,
}

/// Length of everything before the first CFDATA.
pub fn head_len(members: &[Member<'_>], folders: usize) -> u64 {
    let names: usize = members.iter().map(|member| member.name.len() + 1).sum();
    (HEADER + folders * FOLDER + members.len() * FILE + names) as u64
}

/// Everything before the first CFDATA; folders' blocks follow in order.
pub fn head(
    members: &[Member<'_>],
    folders: &[Folder],
    time: DosTime,
) -> Result<Vec<u8>, BuildError> {
    let len = head_len(members, folders.len());
    let size = len + folders.iter().map(|folder| folder.stored).sum::<u64>();
    if size > LIMIT {
        return Err(unfit(format!(
            "{size} bytes of compressed files; {LIMIT} is the most that a cabinet may have"
        )));
    }
    let count = |number: usize, what: &str| {
        u16::try_from(number).map_err(|_| unfit(format!("{number} {what} in one cabinet")))
    };
    let mut head = Vec::with_capacity(len as usize);
    head.extend_from_slice(b"MSCF\0\0\0\0");
    head.extend_from_slice(&(size as u32).to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(&((HEADER + folders.len() * FOLDER) as u32).to_le_bytes());
    head.extend_from_slice(&[0, 0, 0, 0, 3, 1]);
    head.extend_from_slice(&count(folders.len(), "folders")?.to_le_bytes());
    head.extend_from_slice(&count(members.len(), "files")?.to_le_bytes());
    head.extend_from_slice(&[0; 6]);
    let mut at = len;
    for folder in folders {
        let blocks = count(
            folder.raw.div_ceil(BLOCK as u64) as usize,
            "blocks of one folder",
        )?;
        head.extend_from_slice(&(at as u32).to_le_bytes());
        head.extend_from_slice(&blocks.to_le_bytes());
        head.extend_from_slice(&MSZIP.to_le_bytes());
        at += folder.stored;
    }
    for member in members {
        head.extend_from_slice(&(member.len as u32).to_le_bytes());
        head.extend_from_slice(&(member.offset as u32).to_le_bytes());
        head.extend_from_slice(&count(member.folder, "folders")?.to_le_bytes());
        head.extend_from_slice(&time.date.to_le_bytes());
        head.extend_from_slice(&time.time.to_le_bytes());
        head.extend_from_slice(&ARCHIVE.to_le_bytes());
        head.extend_from_slice(member.name.as_bytes());
        head.push(0);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_times() {
        let cases = [
            ("the first", 315_532_800, Some((0x0021, 0))),
            ("a second too early", 315_532_799, None),
            ("a day in 2024", 1_709_210_096, Some((0x585d, 0x645c))),
            ("the last", 4_354_819_199, Some((0xff9f, 0xbf7d))),
            ("too late", 4_354_819_200, None),
            ("beyond any calendar", u64::MAX, None),
        ];
        for (name, epoch, wanted) in cases {
            let time = DosTime::new(epoch).ok().map(|time| (time.date, time.time));
            assert_eq!(time, wanted, "{name}");
        }
    }

    // One structure of the file per line.
    #[test]
    fn a_whole_head() {
        let members = [
            Member {
                name: "f_a",
                len: 5,
                folder: 0,
                offset: 0,
            },
            Member {
                name: "f_b",
                len: 2,
                folder: 0,
                offset: 5,
            },
        ];
        let folders = [Folder { raw: 7, stored: 20 }];
        let time = DosTime {
            date: 0x5859,
            time: 0x1234,
        };
        let wanted: &[u8] = b"\
            MSCF\0\0\0\0\x68\0\0\0\0\0\0\0\x2c\0\0\0\0\0\0\0\x03\x01\x01\0\x02\0\0\0\0\0\0\0\
            \x54\0\0\0\x01\0\x01\0\
            \x05\0\0\0\0\0\0\0\0\0\x59\x58\x34\x12\x20\0f_a\0\
            \x02\0\0\0\x05\0\0\0\0\0\x59\x58\x34\x12\x20\0f_b\0";
        assert_eq!(head(&members, &folders, time).unwrap(), wanted);
        assert_eq!(head_len(&members, 1), wanted.len() as u64);
    }
}
