//! Any bytes as a program for Windows: an error, or what Windows Installer wants to know of it.

#![no_main]

use std::path::Path;

use fleetpack::install::{Content, Customer, Shared};
use fleetpack::package::msi::pe::read;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let program = read(&Content::Customer(Customer::new(bytes))).ok();
    // Contents of the other kind are read by another way.
    let shared = Shared::verified_bytes(bytes.to_vec(), Path::new("program.exe"));
    assert_eq!(read(&Content::Shared(shared)).ok(), program);
    let Some(program) = program else {
        return;
    };
    if let Some(version) = &program.version {
        let parts: Vec<_> = version.number.split('.').collect();
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.parse::<u16>().is_ok()));
        let language = version.language.iter();
        assert!(language.map(|l| l.parse::<u16>()).all(|l| l.is_ok()));
    }
    // What lies behind a program, such as a signature, is none of it.
    let longer = [bytes, &[0; 64]].concat();
    let longer = read(&Content::Customer(Customer::new(longer))).ok();
    assert_eq!(longer, Some(program));
});
