//! Target archives that agents would not take, or that would harm them.

use std::io::Write;

use libtest_mimic::Trial;
use tar::{EntryType, Header};

use super::ground::Ground;
use crate::harness::trial;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![trial("bad_input/archives", archives)]
}

/// An entry of an archive, as hostile as its maker wants: names are written as they are.
struct Entry {
    kind: EntryType,
    name: &'static str,
    link: &'static str,
    contents: &'static [u8],
}

const fn file(name: &'static str) -> Entry {
    Entry {
        kind: EntryType::Regular,
        name,
        link: "",
        contents: b"#!/bin/sh\n",
    }
}

const fn other(kind: EntryType, name: &'static str, link: &'static str) -> Entry {
    Entry {
        kind,
        name,
        link,
        contents: b"",
    }
}

const FOLDER: Entry = other(EntryType::Directory, "fleet-desktop/", "");
const PROGRAM: Entry = file("fleet-desktop/fleet-desktop");

fn archives() {
    let ground = Ground::new();
    let mut record = ground.record();
    let mut refused = |row: &str, bytes: &[u8]| {
        ground.write("desktop.tar.gz", bytes);
        record.refused(row, &add(&ground));
    };
    let symlink = other(EntryType::Symlink, "fleet-desktop/link", "/etc/passwd");
    let hard_link = other(
        EntryType::Link,
        "fleet-desktop/link",
        "fleet-desktop/fleet-desktop",
    );
    let device = other(EntryType::Char, "fleet-desktop/device", "");
    let pipe = other(EntryType::Fifo, "fleet-desktop/pipe", "");
    for (row, entry) in [
        ("a symbolic link", symlink),
        ("a hard link", hard_link),
        ("a device", device),
        ("a FIFO", pipe),
        ("a name with ..", file("fleet-desktop/../../escaped")),
        ("an absolute name", file("/etc/cron.d/escaped")),
        (
            "a file below a file",
            file("fleet-desktop/fleet-desktop/below"),
        ),
        ("a name twice", PROGRAM),
    ] {
        refused(row, &pack(&[FOLDER, PROGRAM, entry]));
    }
    let whole = pack(&[FOLDER, PROGRAM]);
    refused("cut off", &whole[..whole.len() - 20]);
    refused("no gzip", b"no archive at all");
    refused("gzip of something else", &gzip(&[b'x'; 4096]));
    refused("nothing in it", &pack(&[]));
    refused("more than it may unpack to", &bomb());
    refused("more members than it may have", &many());
    record.compare("archives");
    ground.write("desktop.tar.gz", whole);
    add(&ground).ok();
}

fn add(ground: &Ground) -> crate::harness::scratch::Run {
    let args = ["add", "--target", "desktop.tar.gz", "--name", "desktop"];
    let more = ["--platform", "linux", "--version", "1.0.0"];
    ground.updates(&[&args[..], &more[..]].concat())
}

fn header(entry: &Entry) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
    header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
    header.set_entry_type(entry.kind);
    header.set_mode(0o755);
    header.set_size(entry.contents.len() as u64);
    header.set_cksum();
    header
}

fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        archive.append(&header(entry), entry.contents).unwrap();
    }
    gzip(&archive.into_inner().unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// 100 001 folders.
fn many() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0..100_001 {
        let mut header = header(&FOLDER);
        let name = format!("{number}/");
        header.as_old_mut().name = [0; 100];
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
    }
    gzip(&tar)
}

/// 16 GiB of zeros in one file: 16 MiB of gzip, made of one repeated stretch of deflate.
fn bomb() -> Vec<u8> {
    let mut entry = header(&PROGRAM);
    entry.set_size(16 << 30);
    entry.set_cksum();
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let folder = header(&FOLDER);
    out.extend(flushed(&[*folder.as_bytes(), *entry.as_bytes()].concat()));
    let zeros = flushed(&vec![0; 16 << 20]);
    for _ in 0..1024 {
        out.extend_from_slice(&zeros);
    }
    out
}

/// Deflate that ends on a byte boundary without ending the stream.
fn flushed(bytes: &[u8]) -> Vec<u8> {
    let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
    let mut out = Vec::with_capacity(bytes.len() / 100 + 4096);
    deflate
        .compress_vec(bytes, &mut out, flate2::FlushCompress::Full)
        .unwrap();
    assert_eq!(deflate.total_in(), bytes.len() as u64);
    out
}
