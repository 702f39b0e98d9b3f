//! The payload's archive: cpio in the format that SVR4 calls newc.
//!
//! ```text
//! "070701"            magic
//! 13 × 8 hex digits   inode, mode, uid, gid, links, mtime, length, device major and minor,
//!                     the same of a device node, length of the name with its NUL, checksum 0
//! name, NUL           filled up to a multiple of 4, counted from the magic
//! contents            filled up to a multiple of 4
//! ```
//!
//! Names begin with `./` (`rpmlib(PayloadFilesHavePrefix)`); a last member `TRAILER!!!` ends
//! the archive. Source: cpio(5) and LSB 5.0 Core, "Payload Section". A length has 32 bits.

/// Name of the member that ends an archive.
pub const TRAILER: &str = "TRAILER!!!";

/// One member's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Absolute path on the host.
    pub path: &'a str,
    /// Number unique in the archive: rpm takes members that share one for hard links.
    pub inode: u32,
    /// Type and permission bits of `st_mode`.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Bytes of contents.
    pub len: u32,
}

impl Member<'_> {
    /// The head's bytes, with the name and its padding.
    pub fn head(&self) -> Vec<u8> {
        let name = format!(".{}", self.path);
        head(&name, [self.inode, self.mode, 1, self.mtime, self.len])
    }

    /// Zeros that follow the contents.
    pub fn padding(&self) -> &'static [u8] {
        padding(self.len as usize)
    }
}

/// The last member.
pub fn trailer() -> Vec<u8> {
    head(TRAILER, [0, 0, 1, 0, 0])
}

fn head(name: &str, [inode, mode, links, mtime, len]: [u32; 5]) -> Vec<u8> {
    let name_len = name.len() as u32 + 1;
    let fields = [
        inode, mode, 0, 0, links, mtime, len, 0, 0, 0, 0, name_len, 0,
    ];
    let mut head = b"070701".to_vec();
    for field in fields {
        head.extend(format!("{field:08x}").bytes());
    }
    head.extend(name.bytes());
    head.push(0);
    head.extend(padding(head.len()));
    head
}

fn padding(len: usize) -> &'static [u8] {
    &[0; 3][..len.next_multiple_of(4) - len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_to_the_byte() {
        let member = Member {
            path: "/a/b",
            inode: 3,
            mode: 0o100_755,
            mtime: 0x6000_0000,
            len: 5,
        };
        let fields = [
            "070701", "00000003", "000081ed", "00000000", "00000000", "00000001", "60000000",
            "00000005", "00000000", "00000000", "00000000", "00000000", "00000006", "00000000",
            "./a/b\0",
        ];
        assert_eq!(String::from_utf8(member.head()).unwrap(), fields.concat());
        assert_eq!(member.padding(), [0; 3]);
    }

    #[test]
    fn everything_is_a_multiple_of_four() {
        for n in 0..9 {
            let path = format!("/{}", "x".repeat(n));
            let member = Member {
                path: &path,
                inode: 1,
                mode: 0,
                mtime: 0,
                len: n as u32,
            };
            assert_eq!(member.head().len() % 4, 0, "{n}");
            assert_eq!((n + member.padding().len()) % 4, 0, "{n}");
        }
        assert_eq!(trailer().len() % 4, 0);
    }
}
