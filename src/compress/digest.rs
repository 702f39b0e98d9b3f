//! Digests of contents: sha256 always (it verifies them), others where a format wants them.
//!
//! Every digest is a [`Hasher`] of its own, so that two cores can work on two digests of one
//! content at a time. POSIX `cksum` (IEEE Std 1003.1, `cksum`) is the CRC of the polynomial
//! 0x04C11DB7, most significant bit first, over the bytes and then over the length, least
//! significant byte first and without leading zero bytes, complemented.

use aws_lc_rs::digest;
use md5::{Digest as _, Md5};

/// Digests beside sha256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// MD5 (deb's `md5sums`, Windows Installer's `MsiFileHash`).
    pub md5: bool,
    /// SHA-1.
    pub sha1: bool,
    /// POSIX `cksum` (macOS' bill of materials).
    pub cksum: bool,
    /// CRC-32 as in gzip and zip.
    pub crc32: bool,
}

impl Wanted {
    /// sha256 alone.
    pub const NONE: Self = Self {
        md5: false,
        sha1: false,
        cksum: false,
        crc32: false,
    };
    /// sha256 and MD5.
    pub const MD5: Self = Self {
        md5: true,
        ..Self::NONE
    };
    /// sha256 and POSIX `cksum`.
    pub const CKSUM: Self = Self {
        cksum: true,
        ..Self::NONE
    };

    /// What is wanted here and not among `known`.
    pub(super) fn without(self, known: &Digests) -> Self {
        Self {
            md5: self.md5 && known.md5.is_none(),
            sha1: self.sha1 && known.sha1.is_none(),
            cksum: self.cksum && known.cksum.is_none(),
            crc32: self.crc32 && known.crc32.is_none(),
        }
    }
}

/// What is known of one content's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Length in bytes.
    pub len: u64,
    /// sha256.
    pub sha256: [u8; 32],
    /// MD5, where wanted.
    pub md5: Option<[u8; 16]>,
    /// SHA-1, where wanted.
    pub sha1: Option<[u8; 20]>,
    /// POSIX `cksum`, where wanted.
    pub cksum: Option<u32>,
    /// CRC-32, where wanted.
    pub crc32: Option<u32>,
}

impl Digests {
    /// Digests bytes in memory.
    pub fn of(bytes: &[u8], wanted: Wanted) -> Self {
        let mut digests = Self::default();
        for mut hasher in Hasher::all(wanted) {
            hasher.update(bytes);
            let _no_sha512 = hasher.finish(bytes.len() as u64, &mut digests);
        }
        digests.len = bytes.len() as u64;
        digests
    }

    /// Takes over what `other` knows of the same bytes.
    pub(super) fn merge(&mut self, other: &Self) {
        self.md5 = self.md5.or(other.md5);
        self.sha1 = self.sha1.or(other.sha1);
        self.cksum = self.cksum.or(other.cksum);
        self.crc32 = self.crc32.or(other.crc32);
    }
}

/// One running digest.
pub(super) enum Hasher {
    Sha512(digest::Context),
    Sha256(digest::Context),
    Sha1(digest::Context),
    Md5(Md5),
    Cksum(Cksum),
    Crc32(crc32fast::Hasher),
}

impl Hasher {
    /// What a promise is kept by besides sha256.
    pub(super) fn sha512() -> Self {
        Self::Sha512(digest::Context::new(&digest::SHA512))
    }

    /// sha256 and what is wanted, the slowest first.
    pub(super) fn all(wanted: Wanted) -> Vec<Self> {
        let mut all = Vec::new();
        if wanted.md5 {
            all.push(Self::Md5(Md5::new()));
        }
        all.push(Self::Sha256(digest::Context::new(&digest::SHA256)));
        if wanted.sha1 {
            let algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;
            all.push(Self::Sha1(digest::Context::new(algorithm)));
        }
        if wanted.cksum {
            all.push(Self::Cksum(Cksum::new()));
        }
        if wanted.crc32 {
            all.push(Self::Crc32(crc32fast::Hasher::new()));
        }
        all
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha512(context) | Self::Sha256(context) | Self::Sha1(context) => {
                context.update(bytes);
            }
            Self::Md5(md5) => md5.update(bytes),
            Self::Cksum(cksum) => cksum.update(bytes),
            Self::Crc32(crc) => crc.update(bytes),
        }
    }

    /// Ends the digest of `len` bytes and writes it down; a sha512 has no place there and is
    /// given back.
    pub(super) fn finish(self, len: u64, into: &mut Digests) -> Option<[u8; 64]> {
        match self {
            Self::Sha512(context) => {
                let mut sha512 = [0; 64];
                sha512.copy_from_slice(context.finish().as_ref());
                return Some(sha512);
            }
            Self::Sha256(context) => into.sha256.copy_from_slice(context.finish().as_ref()),
            Self::Sha1(context) => {
                let mut sha1 = [0; 20];
                sha1.copy_from_slice(context.finish().as_ref());
                into.sha1 = Some(sha1);
            }
            Self::Md5(md5) => into.md5 = Some(md5.finalize().into()),
            Self::Cksum(cksum) => into.cksum = Some(cksum.finish(len)),
            Self::Crc32(crc) => into.crc32 = Some(crc.finalize()),
        }
        None
    }
}

/// POSIX `cksum` by the CRC of zip: the same polynomial in the other order of bits, so each
/// byte is turned around, and so is the result. Zip's register starts with ones, POSIX' with
/// zeros.
pub(super) struct Cksum(crc32fast::Hasher);

impl Cksum {
    fn new() -> Self {
        Self(crc32fast::Hasher::new_with_initial(u32::MAX))
    }

    fn update(&mut self, bytes: &[u8]) {
        let mut turned = [0; 4096];
        for chunk in bytes.chunks(turned.len()) {
            for (to, from) in turned.iter_mut().zip(chunk) {
                *to = from.reverse_bits();
            }
            self.0.update(&turned[..chunk.len()]);
        }
    }

    fn finish(mut self, len: u64) -> u32 {
        let length = len.to_le_bytes();
        let used = length.iter().rposition(|&byte| byte != 0);
        self.update(&length[..used.map_or(0, |last| last + 1)]);
        // Zip complements at the end and so does POSIX.
        self.0.finalize().reverse_bits()
    }
}

/// sha256 of bytes in memory.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let wanted = Wanted {
            md5: true,
            sha1: true,
            cksum: true,
            crc32: true,
        };
        let all = Digests::of(b"123456789", wanted);
        assert_eq!(
            hex::encode(all.sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(
            all.md5.map(hex::encode).as_deref(),
            Some("25f9e794323b453885f5181f1b624d0b")
        );
        assert_eq!(
            all.sha1.map(hex::encode).as_deref(),
            Some("f7c3bc1d808e04732adf679965ccc34ca7ae3441")
        );
        assert_eq!(all.crc32, Some(0xCBF4_3926));
        // `printf 123456789 | cksum` of coreutils.
        assert_eq!(all.cksum, Some(930_766_865));
    }

    #[test]
    fn cksum_of_lengths() {
        // `head -c N /dev/zero | cksum` of coreutils.
        let cases = [
            (0, 4_294_967_295),
            (1, 4_215_202_376),
            (256, 4_215_202_376),
            (5000, 3_060_373_916),
            (66051, 1_504_020_942),
        ];
        for (len, sum) in cases {
            let digests = Digests::of(&vec![0; len], Wanted::CKSUM);
            assert_eq!(digests.cksum, Some(sum), "{len} zeros");
        }
    }
}
