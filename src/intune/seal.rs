//! Contents of an `.intunewin`, encrypted then authenticated.
//!
//! ```text
//!  0  32  HMAC-SHA256 by the MAC key, over all that follows
//! 32  16  initialization vector
//! 48   …  AES-256-CBC with PKCS #7 padding
//! ```
//!
//! The keys are random for every file and stand beside it in clear (`Detection.xml`, see [`super`]):
//! Intune takes them out, and stores the contents without. Derived keys would make the same
//! file of the same package, but whoever guesses an enroll secret could then check the guess
//! against what Intune stores. Microsoft never documented the format; its own tool's files,
//! and every program that reads them, agree on it.

use std::io::{self, Read};

use aws_lc_rs::cipher::{AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

/// Bytes before the encrypted ones.
pub const HEAD: usize = MAC + IV;
const MAC: usize = 32;
const IV: usize = 16;
/// Bytes of AES' block.
const BLOCK: usize = 16;
/// Bytes encrypted at a time.
const STEP: usize = 64 * 1024;

/// The keys of one file.
pub struct Keys {
    /// AES-256.
    pub encryption: Zeroizing<[u8; 32]>,
    /// HMAC-SHA256.
    pub mac: Zeroizing<[u8; 32]>,
    /// Where the chain begins.
    pub vector: [u8; IV],
}

impl Keys {
    /// Random ones.
    pub fn random() -> io::Result<Self> {
        let mut keys = Self {
            encryption: Zeroizing::new([0; 32]),
            mac: Zeroizing::new([0; 32]),
            vector: [0; IV],
        };
        for bytes in [
            &mut keys.encryption[..],
            &mut keys.mac[..],
            &mut keys.vector[..],
        ] {
            getrandom::fill(bytes).map_err(io::Error::from)?;
        }
        Ok(keys)
    }

    /// The authentication code of the contents.
    pub fn authenticate(&self, plain: &mut dyn Read) -> io::Result<[u8; MAC]> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.mac);
        let mut context = hmac::Context::with_key(&key);
        context.update(&self.vector);
        self.encrypt(plain, &mut |bytes| {
            context.update(bytes);
            Ok(())
        })?;
        let mut code = [0; MAC];
        code.copy_from_slice(context.sign().as_ref());
        Ok(code)
    }

    /// Encrypts everything, piece by piece.
    pub fn encrypt(
        &self,
        plain: &mut dyn Read,
        to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let key = UnboundCipherKey::new(&AES_256, &*self.encryption).map_err(refused)?;
        let context = EncryptionContext::Iv128(FixedLength::from(self.vector));
        let mut key = StreamingEncryptingKey::less_safe_cbc_pkcs7(key, context).map_err(refused)?;
        let mut bytes = vec![0; STEP];
        let mut sealed = vec![0; STEP + BLOCK];
        loop {
            let count = match plain.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let done = key.update(&bytes[..count], &mut sealed).map_err(refused)?;
            to(done.written())?;
        }
        let (_, done) = key.finish(&mut sealed).map_err(refused)?;
        to(done.written())
    }
}

fn refused(_: Unspecified) -> io::Error {
    io::Error::other("the cipher refuses to work")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.2.5, its first block; a full block of padding follows.
    #[test]
    fn published_example() {
        let mut keys = Keys::random().unwrap();
        let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
        hex::decode_to_slice(key, &mut *keys.encryption).unwrap();
        hex::decode_to_slice("000102030405060708090a0b0c0d0e0f", &mut keys.vector).unwrap();
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172a").unwrap();
        let mut sealed = Vec::new();
        keys.encrypt(&mut &plain[..], &mut |bytes| {
            sealed.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
        assert_eq!(sealed.len(), 32);
        let expected = "f58c4c04d6e5f1ba779eabfb5f7bfbd6";
        assert_eq!(hex::encode(&sealed[..16]), expected);
    }

    #[test]
    fn lengths() {
        let keys = Keys::random().unwrap();
        for (len, sealed) in [
            (0, 16),
            (1, 16),
            (15, 16),
            (16, 32),
            (STEP, STEP + 16),
            (STEP + 5, STEP + 16),
        ] {
            let mut count = 0;
            let plain = vec![7; len];
            keys.encrypt(&mut &plain[..], &mut |bytes| {
                count += bytes.len();
                Ok(())
            })
            .unwrap();
            assert_eq!(count, sealed, "{len}");
        }
    }
}
