//! Any bytes as the file that remembers what a key holder signed or saw.

#![no_main]

use std::fs;

use fleetpack::tuf::metadata::Role;
use fleetpack::tuf::repository::Memory;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let path = folder.path().join("state.json");
    fs::write(&path, bytes).expect("memory takes everything");
    let Ok(memory) = Memory::read(&path) else {
        return;
    };
    memory.write(&path).expect("memory takes everything");
    let again = Memory::read(&path).expect("what was written is read");
    assert_eq!(again, memory);
    for role in Role::ALL {
        // Nothing that is older than what was seen, and nothing else under the same version.
        if let Some(version) = memory.version(role) {
            assert!(memory.check(role, version, b"not what was seen").is_err());
            assert!(version == 0 || memory.check(role, version - 1, bytes).is_err());
            assert!(version == u64::MAX || memory.check(role, version + 1, bytes).is_ok());
        }
    }
});
