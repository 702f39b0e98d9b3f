//! Any JSON as a file that travels to the machine that signs: read, written and read again.

#![no_main]

use std::fs;

use fleetpack::tuf::ceremony::Payload;
use serde_json::Value;
use sha2::{Digest, Sha256};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Object(mut payload)) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    // An altered file stops at its digest: here it gets the right one.
    let mut pretty = |digest: String| {
        payload.insert("sha256".to_owned(), Value::String(digest));
        serde_json::to_string_pretty(&payload).expect("it was JSON")
    };
    let digest = Sha256::digest(pretty(String::new()));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = pretty(digest) + "\n";
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let path = folder.path().join("payload.json");
    fs::write(&path, &text).expect("memory takes everything");
    let Ok(payload) = Payload::read(&path) else {
        return;
    };
    let _ = payload.canonical();
    let asked: Vec<&str> = payload.asked().collect();
    let again = folder.path().join("again.json");
    payload.write(&again).expect("memory takes everything");
    assert_eq!(fs::read_to_string(&again).expect("it was written"), text);
    let same = Payload::read(&again).expect("what was written is read");
    assert_eq!(same.asked().collect::<Vec<_>>(), asked);
    assert_eq!(same.role(), payload.role());
    assert_eq!(same.version(), payload.version());
});
