//! Any bytes, read as targets.json.

#![no_main]

mod document;

use fleetpack::tuf::metadata::Targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| document::read::<Targets>(bytes));
