//! Any bytes as the answer of a time stamp authority, which comes by plain HTTP.

#![no_main]

use fleetpack::package::msi::authenticode::timestamp::read;

/// What the answers in the corpus are about.
const DIGEST: [u8; 32] = [7; 32];

libfuzzer_sys::fuzz_target!(|answer: &[u8]| {
    if read(answer, &DIGEST).is_ok() {
        assert!(answer.windows(32).any(|bytes| bytes == DIGEST));
        assert!(read(answer, &[8; 32]).is_err());
    }
});
