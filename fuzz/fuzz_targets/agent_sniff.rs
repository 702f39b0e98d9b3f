//! Any bytes as a program: what is said of them depends on what the first bytes allow.

#![no_main]

use std::io::Cursor;

use fleetpack::agent::sniff::{Kind, sniff};
use fleetpack::install::Os;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let kind = sniff(&mut Cursor::new(bytes)).expect("memory does not fail");
    let magic: &[&[u8]] = match kind {
        Kind::Program { os: Os::Linux, .. } => &[b"\x7fELF"],
        Kind::Program {
            os: Os::Windows, ..
        } => &[b"MZ"],
        Kind::Program { os: Os::Macos, .. } => &[
            b"\xcf\xfa\xed\xfe",
            b"\xce\xfa\xed\xfe",
            b"\xca\xfe\xba\xbe",
        ],
        Kind::Xar => &[b"xar!"],
        Kind::Gzip => &[b"\x1f\x8b"],
        Kind::Unknown => return,
    };
    assert!(magic.iter().any(|magic| bytes.starts_with(magic)), "{kind}");
});
