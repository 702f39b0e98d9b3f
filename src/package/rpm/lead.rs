//! The lead: 96 bytes that make an rpm file known to `file` and to old tools.
//!
//! Nothing in it but the magic, the version and the kind is read by any rpm since 2.1, yet all
//! of them refuse a file without it. Source: LSB 5.0 Core, "Lead Section".
//!
//! ```text
//! 0   ed ab ee db   magic
//! 4   3, 0          format version
//! 6   Int16 0       a binary package
//! 8   Int16         processor
//! 10  66 bytes      name-version-release, ended by a NUL, cut when longer
//! 76  Int16 1       Linux
//! 78  Int16 5       signatures in a header structure
//! 80  16 bytes      reserved
//! ```

use crate::install::Arch;

/// Length in bytes.
pub const LEN: usize = 96;

const NAME: std::ops::Range<usize> = 10..75;

/// The lead of a package called `nevr` (`fleet-osquery-1.2.3-1`).
pub fn lead(nevr: &str, arch: Arch) -> [u8; LEN] {
    let mut lead = [0; LEN];
    lead[..6].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb, 3, 0]);
    // rpm 4.18, rpmrc.in `arch_canon`: x86_64 is 1, aarch64 is 19.
    lead[9] = match arch {
        Arch::Amd64 | Arch::Universal => 1,
        Arch::Arm64 => 19,
    };
    let len = nevr.len().min(NAME.len());
    lead[NAME.start..NAME.start + len].copy_from_slice(&nevr.as_bytes()[..len]);
    lead[77] = 1;
    lead[79] = 5;
    lead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_they_belong() {
        let lead = lead("a-1-1", Arch::Arm64);
        assert_eq!(lead[..10], [0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0, 19]);
        assert_eq!(&lead[10..16], b"a-1-1\0");
        assert_eq!(lead[76..80], [0, 1, 0, 5]);
    }

    #[test]
    fn a_long_name_is_cut_and_still_ended() {
        let lead = lead(&"n".repeat(300), Arch::Amd64);
        assert_eq!((lead[74], lead[75], lead[77]), (b'n', 0, 1));
    }
}
