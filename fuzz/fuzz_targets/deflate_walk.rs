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
    // Two streams at once: what is said of one does not depend on the other.
    let (first, second) = stream.split_at(stream.len() / 2);
    let apart = fleetpack::compress::scan(first)
        .ok()
        .zip(fleetpack::compress::scan(second).ok());
    let both = fleetpack::compress::scan_both(first, second).ok();
    assert_eq!(both.map(|[first, second]| (first, second)), apart);
    let twice = fleetpack::compress::scan_both(stream, stream);
    assert_eq!(twice.ok(), walked.ok().map(|blocks| [blocks, blocks]));
});
