//! Any bytes, read as timestamp.json.

#![no_main]

mod document;

use fleetpack::tuf::metadata::Timestamp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| document::read::<Timestamp>(bytes));
