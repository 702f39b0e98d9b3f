//! Any bytes as a package that is to be described: an error or a report, the same one twice.

#![no_main]

use std::fs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let path = folder.path().join("package");
    fs::write(&path, bytes).expect("memory takes everything");
    let (Ok(report), Ok(again)) = (
        fleetpack::inspect::inspect(&path),
        fleetpack::inspect::inspect(&path),
    ) else {
        return;
    };
    assert!(fleetpack::inspect::difference(&report, &again).is_empty());
});
