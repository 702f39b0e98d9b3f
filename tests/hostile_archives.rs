//! Archives that would fill memory or disk, or leave their folder, in every place that unpacks:
//! `updates add` looks into them, `package` unpacks those that somebody signed, `inspect` reads
//! installers.

use std::io::Write;
use std::time::{Duration, Instant};

use fleetpack::tuf::keystore::{Origin, Passphrase, PassphraseError, Passphrases};
use fleetpack::tuf::metadata::Role;
use fleetpack::tuf::repository::{
    self, Adding, Layout, NewTarget, Repository, Signing, Validities,
};
use libtest_mimic::Trial;

use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial};
use crate::updates::{elf, fixture, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("hostile_archives/sparse", sparse),
        trial("hostile_archives/four_million_members", four_million),
        trial("hostile_archives/long_names", long_names),
        trial("hostile_archives/signed", signed),
        trial("hostile_archives/inspected", inspected),
    ]
}

/// Largest memory of a run, bytes: a development build of the program.
const MEMORY: u64 = 160 << 20;

fn refused(scratch: &Scratch, words: &str) {
    let before = scratch.state("repo");
    let add = "add --path repo --target desktop.tar.gz --name desktop --platform linux --version 1";
    let run = updates(scratch, add.split(' ')).limit(Duration::from_secs(240));
    bounded(&run, words);
    before.unchanged(&scratch.state("repo"));
}

/// Wants a failure that says `words`, in four minutes and little memory.
fn bounded(run: &Run, words: &str) {
    let begin = Instant::now();
    let (ran, peak) = run.measured();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.says(words);
    assert!(peak < MEMORY, "{peak} bytes of memory\n{ran}");
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(240), "{took:?}");
    eprintln!("{words}: refused after {took:?}, {} MiB", peak >> 20);
}

fn header(kind: tar::EntryType, name: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header
}

/// GNU's sparse member: a terabyte in 512 bytes.
fn sparse() {
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    scratch.write("desktop.tar.gz", sparse_archive());
    refused(&scratch, "fleet-desktop/fleet-desktop");
}

fn sparse_archive() -> Vec<u8> {
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
    gzip.finish().unwrap()
}

/// Two gigabytes of headers in a few megabytes: every name is another one within a stretch,
/// and whoever counts stops long before the first stretch comes again.
fn four_million() {
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    scratch.write("desktop.tar.gz", four_million_members("fleet-desktop/"));
    refused(&scratch, "more than 100000 members");
}

fn four_million_members(folder: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stretch = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let first = header(tar::EntryType::Directory, folder, 0);
    stretch.write_all(first.as_bytes()).unwrap();
    for number in 0..200_000 {
        let file = header(tar::EntryType::Regular, &format!("{folder}{number}"), 0);
        stretch.write_all(file.as_bytes()).unwrap();
    }
    let stretch = stretch.finish().unwrap();
    // Members of gzip follow one another (RFC 1952, 2.2): four million headers.
    for _ in 0..20 {
        out.extend_from_slice(&stretch);
    }
    out
}

/// Zeros, `times` 64 MiB of them, in gzip's members.
fn zeros(times: usize) -> Vec<u8> {
    let mut stretch = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        stretch.write_all(&[0; 1 << 20]).unwrap();
    }
    stretch.finish().unwrap().repeat(times)
}

/// A header and what follows it.
fn bomb(head: &tar::Header, rest: Vec<u8>) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(head.as_bytes()).unwrap();
    let mut out = gzip.finish().unwrap();
    out.extend(rest);
    out
}

/// Headers that say the name of the next member, eight gigabytes long; the archive's own folder,
/// which is no member, over and over; a folder with contents.
fn long_names() {
    let scratch = Scratch::new();
    fixture(&scratch, "plaintext-keys");
    let kinds = [
        (
            tar::EntryType::GNULongName,
            "a name in it has 8589934591 bytes",
        ),
        (
            tar::EntryType::GNULongLink,
            "a name in it has 8589934591 bytes",
        ),
        (tar::EntryType::XHeader, "a name in it has 8589934591 bytes"),
        (
            tar::EntryType::Directory,
            "it unpacks to more than 4294967296 bytes",
        ),
    ];
    for (kind, words) in kinds {
        let head = header(kind, "long", (1 << 33) - 1);
        scratch.write("desktop.tar.gz", bomb(&head, zeros(128)));
        refused(&scratch, words);
    }
    let own = header(tar::EntryType::Directory, "./", 0);
    let mut stretch = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..100_000 {
        stretch.write_all(own.as_bytes()).unwrap();
    }
    scratch.write("desktop.tar.gz", stretch.finish().unwrap().repeat(40));
    refused(&scratch, "more than 100000 members");
}

/// Archives that somebody signed who did not look into them.
fn signed() {
    let links = |kind, target: &str| {
        let mut head = header(kind, "fleet-desktop/link", 0);
        head.set_link_name(target).unwrap();
        head.set_cksum();
        let folder = header(tar::EntryType::Directory, "fleet-desktop/", 0);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(folder.as_bytes()).unwrap();
        gzip.write_all(head.as_bytes()).unwrap();
        gzip.write_all(&[0; 1024]).unwrap();
        gzip.finish().unwrap()
    };
    let climbing = {
        let mut head = header(tar::EntryType::Regular, "x", 0);
        head.as_mut_bytes()[..12].copy_from_slice(b"../../passwd");
        head.set_cksum();
        bomb(&head, zeros(1))
    };
    let file = header(tar::EntryType::Regular, "fleet-desktop", (1 << 33) - 1);
    let name = header(tar::EntryType::GNULongName, "long", (1 << 33) - 1);
    let cases = [
        ("sparse file", sparse_archive()),
        (
            "symbolic link",
            links(tar::EntryType::Symlink, "/etc/passwd"),
        ),
        ("hard link", links(tar::EntryType::Link, "/etc/passwd")),
        ("no path inside a folder", climbing),
        (
            "it unpacks to more than 4294967296 bytes",
            bomb(&file, zeros(128)),
        ),
        ("a name in it has 8589934591 bytes", bomb(&name, zeros(128))),
        (
            "more than 100000 members",
            four_million_members("fleet-desktop/"),
        ),
    ];
    for (words, archive) in cases {
        let scratch = Scratch::new();
        repository(&scratch, archive);
        std::fs::create_dir(scratch.join("out")).unwrap();
        std::fs::create_dir(scratch.join("tmp")).unwrap();
        let package = "package --type deb --update-url=repo/repository --disable-updates \
            --update-roots=@root.json --outdir=out --no-state --cache=none";
        let run = scratch.fleetpack(package.split_whitespace());
        let run = run.env("TMPDIR", scratch.join("tmp"));
        bounded(&run.clone().arg("--fleet-desktop"), words);
        for folder in ["out", "tmp"] {
            assert_eq!(
                scratch.state(folder).names().count(),
                0,
                "{words}: {folder}"
            );
        }
        run.ok();
    }
}

/// Everybody's passphrase.
struct Word;

impl Passphrases for Word {
    fn existing(&mut self, _: Role, _: bool) -> Result<(Passphrase, Origin), PassphraseError> {
        Ok((Passphrase::new("word".to_owned()), Origin::Typed))
    }

    fn new_one(&mut self, _: Role) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new("word".to_owned()))
    }
}

/// An update repository with two programs and this archive, signed unseen.
fn repository(scratch: &Scratch, archive: Vec<u8>) {
    let mut signing = Signing {
        ask: &mut Word,
        now: jiff::Timestamp::now(),
        validities: Validities::default(),
    };
    let layout = Layout::new(&scratch.join("repo"));
    std::fs::create_dir(scratch.join("repo")).unwrap();
    repository::create(&layout, &repository::Tokens::new(), &mut signing).unwrap();
    let (mut repository, _) = Repository::open(layout, || ()).unwrap();
    let target = |name: &str, bytes: Vec<u8>| NewTarget {
        source: scratch.write(&format!("given/{}", name.replace('/', "-")), bytes),
        names: vec![name.to_owned()],
        custom: Some(serde_json::json!({ "version": "1.0.0" })),
        known: None,
    };
    let targets = [
        target("orbit/linux/stable/orbit", elf(62)),
        target("osqueryd/linux/stable/osqueryd", elf(62)),
        target("desktop/linux/stable/desktop.tar.gz", archive),
    ];
    repository
        .add(&targets, Adding::default(), &mut signing)
        .unwrap();
    let root = scratch.read("repo/repository/root.json");
    scratch.write("root.json", root);
}

/// Installers whose payloads are such archives.
fn inspected() {
    let file = header(tar::EntryType::Regular, "opt", (1 << 33) - 1);
    let name = header(tar::EntryType::GNULongName, "long", (1 << 33) - 1);
    let cases = [
        ("MiB", bomb(&file, zeros(128))),
        ("data.tar", bomb(&name, zeros(128))),
        ("500000 entries", four_million_members("opt/")),
    ];
    for (words, archive) in cases {
        let scratch = Scratch::new();
        let mut control = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let text = b"Package: x\nVersion: 1\nArchitecture: amd64\n";
        let head = header(tar::EntryType::Regular, "./control", text.len() as u64);
        control.write_all(head.as_bytes()).unwrap();
        control.write_all(text).unwrap();
        control
            .write_all(&vec![0; 512 - text.len() + 1024])
            .unwrap();
        let mut deb = ar::Builder::new(Vec::new());
        for (name, bytes) in [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", control.finish().unwrap()),
            ("data.tar.gz", archive),
        ] {
            let head = ar::Header::new(name.into(), bytes.len() as u64);
            deb.append(&head, &bytes[..]).unwrap();
        }
        scratch.write("x.deb", deb.into_inner().unwrap());
        bounded(&scratch.fleetpack(["inspect", "x.deb"]), words);
    }
}
