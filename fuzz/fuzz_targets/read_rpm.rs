//! Any bytes, read back as a package of one format.

#![no_main]

mod one_file;

use fleetpack::package::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| one_file::read(Format::Rpm, bytes));
