//! The walk over deflate blocks against an inflater: any bytes get the same verdict, and a
//! stream that passes stands for as many bytes.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let mut out = Vec::new();
    // A stream that blows up is the inflater's trouble, not the walk's.
    let limit = 1 << 26;
    let inflater = flate2::read::DeflateDecoder::new(stream);
    let inflated = inflater.take(limit).read_to_end(&mut out);
    let walked = fleetpack::compress::scan(stream);
    match inflated {
        Ok(_) if out.len() as u64 == limit => {}
        Ok(_) => assert_eq!(walked.map(|blocks| blocks.raw), Ok(out.len() as u64)),
        Err(_) => assert!(walked.is_err()),
    }
});
