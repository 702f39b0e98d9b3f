//! Any bytes, read as a key file: keys in the clear, or sealed under a passphrase.

#![no_main]

use fleetpack::tuf::keystore::{
    Keystore, Origin, Passphrase, PassphraseError, Passphrases, Signer,
};
use fleetpack::tuf::metadata::Role;

struct Known;

impl Passphrases for Known {
    fn existing(&mut self, _: Role, _: bool) -> Result<(Passphrase, Origin), PassphraseError> {
        let passphrase = Passphrase::new("root-pass-1".to_owned());
        Ok((passphrase, Origin::Variable("X".to_owned())))
    }

    fn new_one(&mut self, role: Role) -> Result<Passphrase, PassphraseError> {
        self.existing(role, false).map(|(passphrase, _)| passphrase)
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let store = Keystore::new(folder.path());
    if std::fs::write(store.path(Role::Root), bytes).is_err() {
        return;
    }
    for key in store.load(Role::Root, &mut Known).unwrap_or_default() {
        // What was read signs as the public key that it says.
        let signature = key.sign(b"message").expect("a key signs");
        assert!(key.public().verify(b"message", &signature));
    }
});
