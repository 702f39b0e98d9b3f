//! Text as the table of contents of a pkg, and behind a NUL its heap: what a change of either
//! does not reach in `read_pkg`, for it would have to mend digests. Here there are none.

#![no_main]

mod one_file;

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use fleetpack::package::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == 0);
    let (toc, heap) = bytes.split_at(end.unwrap_or(bytes.len()));
    let heap = heap.get(1..).unwrap_or_default();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::none());
    packed.write_all(toc).expect("memory takes everything");
    let packed = packed.finish().expect("memory takes everything");
    let mut archive = b"xar!\x00\x1c\x00\x01".to_vec();
    archive.extend((packed.len() as u64).to_be_bytes());
    archive.extend((toc.len() as u64).to_be_bytes());
    archive.extend([0; 4]);
    archive.extend(packed);
    archive.extend(heap);
    one_file::read(Format::Pkg, &archive);
});
