//! The signature header: digests and an OpenPGP signature of the header, and two lengths.
//!
//! All cover the header alone; the payload is covered by its sha256 in the header. MD5 and
//! signatures over header and payload together, of rpm 3, are left out: they take another pass
//! over the whole file, and no rpm since 4.0 needs them. SHA-1 is there for rpm 4.11 of
//! RHEL 7, which knows no sha256 of the header and would check nothing at all. Source:
//! <https://rpm.org/docs/4.20.x/manual/signatures_digests.html>.
//!
//! The length is always the same ([`LEN`]), because header and payload are written before
//! they can be signed; what is left over is `RPMSIGTAG_RESERVEDSPACE`, which rpmsign uses to
//! add a signature without moving the rest of the file.

use aws_lc_rs::digest;

use super::header::{Header, Region, Value};
use super::openpgp::Signed;
use super::tag::signature as tag;

/// Bytes of the signature header, a multiple of 8 so that the header behind it needs no
/// padding: room for the signature of an RSA key of 16384 bits.
pub const LEN: usize = 4096;

/// What the signature header says.
#[derive(Clone, Debug)]
pub struct Signatures<'a> {
    /// The whole header structure.
    pub header: &'a [u8],
    /// Bytes of the payload as it lies in the file.
    pub payload: u32,
    /// Bytes of the payload before compression.
    pub archive: u32,
    /// A signature over the header.
    pub signed: Option<Signed>,
}

impl Signatures<'_> {
    /// The header's bytes, [`LEN`] of them; `None` when the signature does not fit.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut header = Header::new(Region::Signatures);
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.header);
        header.text(tag::SHA1, hex::encode(sha1));
        header.text(
            tag::SHA256,
            hex::encode(crate::compress::sha256(self.header)),
        );
        header.int32(tag::SIZE, [self.header.len() as u32 + self.payload]);
        header.int32(tag::PAYLOAD_SIZE, [self.archive]);
        if let Some(signed) = &self.signed {
            let tag = match signed.rsa {
                true => tag::RSA,
                false => tag::DSA,
            };
            header.put(tag, Value::Binary(signed.packet.clone()));
        }
        header.put(tag::RESERVED_SPACE, Value::Binary(vec![0]));
        let reserved = (LEN + 1).checked_sub(header.to_bytes().len())?;
        header.put(tag::RESERVED_SPACE, Value::Binary(vec![0; reserved]));
        Some(header.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_never_changes() {
        let signed = |len| {
            Some(Signed {
                packet: vec![1; len],
                rsa: len % 2 == 0,
            })
        };
        for (name, signed) in [
            ("none", None),
            ("ed25519", signed(119)),
            ("RSA 4096", signed(566)),
            ("RSA 16384", signed(2102)),
        ] {
            let signatures = Signatures {
                header: b"header",
                payload: 5,
                archive: 6,
                signed,
            };
            assert_eq!(signatures.to_bytes().map(|b| b.len()), Some(LEN), "{name}");
        }
    }

    #[test]
    fn a_signature_that_does_not_fit() {
        let signatures = Signatures {
            header: b"",
            payload: 0,
            archive: 0,
            signed: Some(Signed {
                packet: vec![1; LEN],
                rsa: true,
            }),
        };
        assert_eq!(signatures.to_bytes(), None);
    }
}
