//! Any bytes as certificates and keys that somebody names: PEM for TLS and Authenticode, OpenPGP
//! for rpm files. What opens as a key signs.

#![no_main]

use fleetpack::package::rpm::SigningKey;
use fleetpack::store::tls::{ClientIdentity, certificates, certified_key};

/// 2026; the keys in the corpus are older.
const NOW: u64 = 1_790_000_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = (bytes, "both.pem");
    let chain = certificates(bytes, "both.pem");
    let pair = certified_key(file, file);
    assert!(pair.is_err() || chain.is_ok());
    assert_eq!(ClientIdentity::from_pem(file, file).is_ok(), pair.is_ok());
    if let Ok(key) = SigningKey::open(bytes, Some("passphrase"), NOW) {
        let signed = key.sign(b"data", NOW as u32);
        assert!(signed.is_ok(), "{:?}", signed.err());
    }
});
