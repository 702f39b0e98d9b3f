//! Any bytes as the tar archive inside a target's `.tar.gz`: what passes stays in its folder.

#![no_main]

use std::collections::BTreeSet;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use fleetpack::agent::archive::{ArchiveError, Limits, walk};

const LIMITS: Limits = Limits {
    members: 64,
    bytes: 1 << 16,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The gzip around it is the inflater's matter.
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed.write_all(bytes).expect("memory takes everything");
    let packed = packed.finish().expect("memory takes everything");
    let mut folders = BTreeSet::from([String::new()]);
    let mut paths = BTreeSet::new();
    let mut total = 0;
    let _ = walk::<ArchiveError>(&packed[..], LIMITS, |member, contents| {
        let path = &member.path;
        assert!(paths.insert(path.clone()), "{path:?} came twice");
        assert!(paths.len() <= LIMITS.members);
        let parts: Vec<&str> = path.split('/').collect();
        assert!(
            parts.iter().all(|part| !matches!(*part, "" | "." | "..")),
            "{path:?}"
        );
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        assert!(folders.contains(parent), "{path:?} came before its folder");
        assert_eq!(member.mode & !0o777, 0, "{path:?}");
        match member.len {
            None => assert!(folders.insert(path.clone())),
            Some(len) => {
                // A cut archive ends early, with an error; no file is longer than it said.
                let read = std::io::copy(&mut contents.take(len + 1), &mut std::io::sink());
                assert!(
                    read.is_err() || read.is_ok_and(|read| read <= len),
                    "{path:?}"
                );
                total += len;
            }
        }
        assert!(total <= LIMITS.bytes);
        Ok(())
    });
});
