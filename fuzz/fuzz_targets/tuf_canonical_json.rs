//! Any bytes, read as strict JSON and brought to the form that is signed, against serde_json's
//! own reader.

#![no_main]

use fleetpack::tuf::json;
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let theirs = serde_json::from_slice::<Value>(bytes);
    let Ok(value) = json::parse(bytes) else {
        return;
    };
    assert_eq!(Some(&value), theirs.ok().as_ref());
    let published = json::published(&value).expect("what was read can be written");
    // Numbers that are no integers cannot be signed, and are not read to the last bit.
    let Ok(canonical) = json::canonical(&value) else {
        return;
    };
    assert_eq!(json::parse(&published).ok().as_ref(), Some(&value));
    // Control characters stand as they are in it, which JSON's readers refuse.
    if let Ok(again) = json::parse(&canonical) {
        assert_eq!(json::canonical(&again).ok(), Some(canonical));
    } else {
        assert!(canonical.iter().any(|byte| *byte < 0x20));
    }
});
