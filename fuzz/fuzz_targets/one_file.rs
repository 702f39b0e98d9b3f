//! Bytes as a file, for readers that want one: in memory, never on a disk.

use std::fs::File;
use std::io::Write;

use fleetpack::package::Format;
use fleetpack::package::read::{read_with, sniff};

/// Reads `bytes` as a package and every file in it. What comes out is an error or a package;
/// a panic, a hang or a flood of memory is a finding.
pub fn read(format: Format, bytes: &[u8]) {
    let Ok(mut file) = tempfile::tempfile_in("/dev/shm") else {
        return;
    };
    if file.write_all(bytes).is_err() {
        return;
    }
    let file: &File = &file;
    let _ = sniff(file);
    let mut seen = 0;
    let read = read_with(format, file, &mut |_, contents| {
        seen += std::io::copy(contents, &mut std::io::sink())?;
        Ok(())
    });
    if let Ok(package) = read {
        let told: u64 = package.files.iter().map(|found| found.len).sum();
        assert!(seen <= told, "more was read than the package says it holds");
    }
}
