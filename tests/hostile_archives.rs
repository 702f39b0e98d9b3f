//! Archives that would fill memory or disk: sparse files, and four million members.

use std::io::Write;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::harness::{Scratch, trial};
use crate::updates::{fixture, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("hostile_archives/sparse", sparse),
        trial("hostile_archives/four_million_members", four_million),
    ]
}

fn refused(scratch: &Scratch, words: &str) {
    let before = scratch.state("repo");
    let add = "add --path repo --target desktop.tar.gz --name desktop --platform linux --version 1";
    let begin = Instant::now();
    let run = updates(scratch, add.split(' ')).limit(Duration::from_secs(240));
    run.fails(1).says(words);
    before.unchanged(&scratch.state("repo"));
    eprintln!("refused after {:?}", begin.elapsed());
}

fn header(kind: tar::EntryType, name: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    header.set_cksum();
    header
}

/// GNU's sparse member: a terabyte in 512 bytes.
fn sparse() {
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let folder = header(tar::EntryType::Directory, "fleet-desktop/", 0);
    gzip.write_all(folder.as_bytes()).unwrap();
    let mut file = header(
        tar::EntryType::GNUSparse,
        "fleet-desktop/fleet-desktop",
        512,
    );
    let gnu = file.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 40);
    gnu.sparse[0].set_offset((1 << 40) - 512);
    gnu.sparse[0].set_length(512);
    file.set_cksum();
    gzip.write_all(file.as_bytes()).unwrap();
    gzip.write_all(&[0; 512 * 3]).unwrap();
    scratch.write("desktop.tar.gz", gzip.finish().unwrap());
    refused(&scratch, "fleet-desktop/fleet-desktop");
}

/// Two gigabytes of headers in a few megabytes: every name is another one within a stretch,
/// and whoever counts stops long before the first stretch comes again.
fn four_million() {
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    let mut out = Vec::new();
    let mut stretch = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let folder = header(tar::EntryType::Directory, "fleet-desktop/", 0);
    stretch.write_all(folder.as_bytes()).unwrap();
    for number in 0..200_000 {
        let file = header(
            tar::EntryType::Regular,
            &format!("fleet-desktop/{number}"),
            0,
        );
        stretch.write_all(file.as_bytes()).unwrap();
    }
    let stretch = stretch.finish().unwrap();
    // Members of gzip follow one another (RFC 1952, 2.2): four million headers.
    for _ in 0..20 {
        out.extend_from_slice(&stretch);
    }
    scratch.write("desktop.tar.gz", out);
    refused(&scratch, "more than 100000 members");
}
