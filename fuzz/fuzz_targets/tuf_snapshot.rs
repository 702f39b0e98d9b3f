//! Any bytes, read as snapshot.json.

#![no_main]

mod document;

use fleetpack::tuf::metadata::Snapshot;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| document::read::<Snapshot>(bytes));
