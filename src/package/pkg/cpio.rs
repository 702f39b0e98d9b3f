//! cpio in the `odc` form ("070707", POSIX.1 pax), the form of `Payload` and `Scripts`.
//!
//! A header is 76 ASCII bytes, numbers in octal: magic 6, dev 6, ino 6, mode 6, uid 6, gid 6,
//! nlink 6, rdev 6, mtime 11, namesize 6 (with the NUL), filesize 11. Name, NUL and contents
//! follow without padding. The last member is called `TRAILER!!!`.
//!
//! Every member has its own inode number and no hard links: readers collapse members of equal
//! dev and ino with nlink ≥ 2 into one file. The numbers' limits are settled in
//! [`super::listing`].

use std::fmt::Write as _;

use super::listing::{DIRECTORY, GID, Line, TYPE, UID};

/// Writes headers; the caller writes contents after them.
#[derive(Debug, Default)]
pub struct Odc {
    inode: u32,
    written: u64,
}

impl Odc {
    /// The header of a path, with its name; a link's text with it, too.
    pub fn header(&mut self, line: &Line, mtime: u32) -> Vec<u8> {
        self.inode += 1;
        let links = match line.mode & TYPE {
            DIRECTORY => 2,
            _ => 1,
        };
        let mut bytes = header(&Fields {
            inode: self.inode,
            mode: line.mode,
            links,
            mtime,
            name: &line.path,
            size: line.size,
        });
        bytes.extend_from_slice(line.target.as_deref().unwrap_or_default().as_bytes());
        let contents = match &line.target {
            Some(_) => 0,
            None => u64::from(line.size),
        };
        self.written += bytes.len() as u64 + contents;
        bytes
    }

    /// The last member, padded to whole blocks of 512 bytes.
    pub fn trailer(self) -> Vec<u8> {
        let mut bytes = header(&Fields {
            inode: 0,
            mode: 0,
            links: 1,
            mtime: 0,
            name: "TRAILER!!!",
            size: 0,
        });
        let end = self.written + bytes.len() as u64;
        let padding = end.next_multiple_of(512) - end;
        bytes.resize(bytes.len() + padding as usize, 0);
        bytes
    }
}

struct Fields<'a> {
    inode: u32,
    mode: u32,
    links: u32,
    mtime: u32,
    name: &'a str,
    size: u32,
}

fn header(fields: &Fields<'_>) -> Vec<u8> {
    let owner = match fields.inode {
        0 => (0, 0),
        _ => (UID, GID),
    };
    let mut text = String::with_capacity(76 + fields.name.len() + 1);
    let length = fields.name.len() + 1;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "070707{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}{:011o}{length:06o}{:011o}{}\0",
        0,
        fields.inode,
        fields.mode,
        owner.0,
        owner.1,
        fields.links,
        0,
        fields.mtime,
        fields.size,
        fields.name,
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, mode: u32, size: u32, target: Option<&str>) -> Line {
        Line {
            path: path.to_owned(),
            mode,
            size,
            checksum: 0,
            target: target.map(str::to_owned),
        }
    }

    #[test]
    fn fields_in_octal() {
        let mut odc = Odc::default();
        let header = odc.header(&line("./a", 0o100_644, 9, None), 0o14_724_702_440);
        assert_eq!(
            String::from_utf8(header).unwrap(),
            "070707000000000001100644000000000120000001000000147247024400000040\
             0000000011./a\0"
        );
    }

    #[test]
    fn the_reader_crate_reads_it() {
        let mut bytes = Vec::new();
        let mut odc = Odc::default();
        let lines = [
            line(".", 0o040_755, 0, None),
            line("./file", 0o100_600, 5, None),
            line("./link", 0o120_755, 4, Some("file")),
        ];
        for line in &lines {
            bytes.extend(odc.header(line, 1_700_000_000));
            if line.mode == 0o100_600 {
                bytes.extend(b"hello");
            }
        }
        bytes.extend(odc.trailer());
        assert_eq!(bytes.len() % 512, 0);

        let mut reader = cpio_archive::reader(std::io::Cursor::new(bytes)).unwrap();
        let mut seen = Vec::new();
        while let Some(member) = reader.read_next().unwrap() {
            let mut contents = String::new();
            std::io::Read::read_to_string(&mut reader, &mut contents).unwrap();
            assert_eq!((member.uid(), member.gid()), (0, 80));
            seen.push((
                member.name().to_owned(),
                member.mode(),
                member.inode(),
                contents,
            ));
        }
        let expected = [
            (".", 0o040_755, 1, ""),
            ("./file", 0o100_600, 2, "hello"),
            ("./link", 0o120_755, 3, "file"),
        ];
        let expected = expected.map(|(n, m, i, c)| (n.to_owned(), m, i, c.to_owned()));
        assert_eq!(seen, expected);
    }
}
