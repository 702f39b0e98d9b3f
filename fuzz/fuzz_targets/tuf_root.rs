//! Any bytes, read as root.json.

#![no_main]

mod document;

use fleetpack::tuf::metadata::Root;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| document::read::<Root>(bytes));
