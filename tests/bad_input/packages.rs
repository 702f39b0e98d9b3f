//! Files given to `inspect` and `doctor`: cut off anywhere, of other kinds, huge, encrypted, or
//! made to harm whoever reads them. Each ends with one error, soon, and in little memory.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::scratch::Ran;
use crate::harness::{Scratch, trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("bad_input/packages_cut_off", cut_off),
        trial_needing("bad_input/files_of_other_kinds", &["mkfifo"], other_kinds),
        trial_needing("bad_input/encrypted_files", &["7z", "gpg"], encrypted),
        trial_needing("bad_input/packages_that_harm", &["bash"], harmful),
        trial_needing(
            "bad_input/unreadable_package",
            &["root", "setpriv"],
            unreadable,
        ),
    ]
}

/// No address space beyond this: what grows with a lie about a length ends here.
const MEMORY: &str = "--as=1500000000";
const TIME: Duration = Duration::from_secs(60);

/// Runs `inspect` and `doctor` on a file and wants the same refusal of both.
#[track_caller]
fn refused(scratch: &Scratch, name: &str, sentence: &str) {
    for words in [
        &["inspect", name][..],
        &["inspect", "--json", name],
        &["inspect", name, name],
        &["doctor", "--path", "q/updates", name],
    ] {
        let ran = limited(scratch, words);
        assert_eq!(ran.code, Some(1), "{words:?}: {ran}");
        let errors = ran.stderr.matches("error: ").count();
        assert_eq!(errors, 1, "{words:?}: {ran}");
        assert_eq!(ran.text(), "", "{words:?}: {ran}");
        ran.says(sentence).never_says("panicked");
    }
}

fn limited(scratch: &Scratch, words: &[&str]) -> Ran {
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let command = [&[MEMORY, program], words].concat();
    scratch.tool("prlimit", command).limit(TIME).run()
}

/// A quickstart in `q`.
fn ground() -> Scratch {
    let scratch = Scratch::new();
    let quickstart = ["quickstart", "--dir", "q", "--quiet"];
    scratch.fleetpack(quickstart).ok();
    scratch
}

/// The installers of the quickstart, one of each format.
fn installers(scratch: &Scratch) -> Vec<PathBuf> {
    [
        "amd64.deb",
        "x86_64.rpm",
        "x86_64.pkg.tar.zst",
        "osquery.pkg",
        "osquery.msi",
    ]
    .map(|end| {
        std::fs::read_dir(scratch.join("q/installers"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_str().unwrap().ends_with(end))
            .unwrap_or_else(|| panic!("no installer ends in {end}"))
    })
    .into()
}

/// At the beginning, the end, and in between; what is left is refused as what it is.
fn cut_off() {
    let scratch = ground();
    for path in installers(&scratch) {
        let whole = std::fs::read(&path).unwrap();
        let cut = path.file_name().unwrap().to_str().unwrap().to_owned();
        let tenths = (1..10).map(|tenth| whole.len() * tenth / 10);
        let bytes = [0, 1, 4, 8, 60, 100, 512, 2048, whole.len() - 64].into_iter();
        let mut refusals = 0;
        for length in bytes.chain(tenths) {
            scratch.write(&cut, &whole[..length]);
            let ran = limited(&scratch, &["inspect", &cut]);
            ran.never_says("panicked");
            // Sectors behind a compound file's last stream may be missing.
            if ran.code == Some(0) && cut.ends_with("msi") {
                continue;
            }
            refusals += 1;
            assert_eq!(ran.code, Some(1), "{cut}, {length} bytes: {ran}");
            let sentences = [
                format!("cannot read {cut} as "),
                format!("{cut} is no deb, rpm, pkg.tar.zst, pkg or msi"),
            ];
            let said = sentences
                .iter()
                .any(|sentence| ran.stderr.contains(sentence));
            assert!(said, "{cut}, {length} bytes: {ran}");
        }
        assert!(refusals > 12, "{cut}: {refusals} refusals");
    }
}

fn other_kinds() {
    let scratch = ground();
    scratch.write("empty", "");
    scratch.write("text", "hello\n".repeat(10_000));
    scratch.write("page.html", "<!doctype html><title>404</title>");
    scratch.write("random", noise(100_000));
    scratch.write_program("program", crate::updates::elf(62));
    scratch.write("nul\u{1b}[31m", [0; 4096]);
    scratch.tool("mkfifo", ["pipe"]).ok();
    std::os::unix::fs::symlink("loop", scratch.join("loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", scratch.join("dangling")).unwrap();
    // A foreign file of 8 GiB is not read to its end.
    File::create(scratch.join("huge"))
        .unwrap()
        .set_len(8 << 30)
        .unwrap();
    let unknown = "is no deb, rpm, pkg.tar.zst, pkg or msi";
    for (name, sentence) in [
        ("empty", unknown),
        ("text", unknown),
        ("page.html", unknown),
        ("random", unknown),
        ("program", unknown),
        ("nul\u{1b}[31m", unknown),
        ("huge", unknown),
        ("q", "is a directory"),
        ("pipe", "it is no regular file"),
        ("/dev/zero", "it is no regular file"),
        ("loop", "cannot open loop"),
        ("dangling", "cannot open dangling"),
        ("absent", "cannot open absent"),
        ("text/below", "cannot open text/below"),
    ] {
        refused(&scratch, name, sentence);
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut noise = 7u32;
    std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    })
    .take(len)
    .collect()
}

/// A package that somebody locked up is no package.
fn encrypted() {
    let scratch = ground();
    let deb = installers(&scratch).remove(0);
    std::fs::copy(deb, scratch.join("agent.deb")).unwrap();
    for name in ["agent.7z", "agent.zip"] {
        let pack = ["a", "-pmade-up", name, "agent.deb"];
        scratch.tool("7z", pack).ok();
    }
    let gpg = "--batch --pinentry-mode loopback --passphrase made-up --symmetric";
    for (name, armour) in [("agent.gpg", "--no-armor"), ("agent.asc", "--armor")] {
        scratch
            .tool("gpg", gpg.split(' '))
            .args([armour, "--output", name, "agent.deb"])
            .ok();
    }
    for name in ["agent.7z", "agent.zip", "agent.gpg", "agent.asc"] {
        refused(&scratch, name, "is no deb, rpm, pkg.tar.zst, pkg or msi");
    }
}

/// Lengths that lie, names that nest, streams that unpack to gigabytes, chains that go round.
fn harmful() {
    let scratch = ground();
    let [deb, rpm, _, pkg, msi] = installers(&scratch).try_into().unwrap();
    let mut lie = std::fs::read(deb).unwrap();
    // ar: the size of the second member, ten decimal digits at 48 of its header.
    lie[72 + 48..72 + 58].copy_from_slice(b"9999999999");
    scratch.write("lie.deb", &lie);
    // rpm: as many index entries as 32 bits can say, in the signature's header.
    let mut lie = std::fs::read(rpm).unwrap();
    lie[96 + 8..96 + 12].fill(0xff);
    scratch.write("lie.rpm", &lie);
    // xar: a table of contents that unpacks to as much as 64 bits can say.
    let mut lie = std::fs::read(&pkg).unwrap();
    lie[16..24].fill(0x7f);
    scratch.write("lie.pkg", &lie);
    scratch.write("loop.msi", round(&std::fs::read(&msi).unwrap()));
    scratch.write("deep.pkg", deep_table());
    scratch.write("bomb.deb", bomb());
    File::options()
        .write(true)
        .open(scratch.write("huge.rpm", b"\xed\xab\xee\xdb\x03\0"))
        .unwrap()
        .set_len(8 << 30)
        .unwrap();
    for name in [
        "lie.deb", "lie.rpm", "lie.pkg", "loop.msi", "deep.pkg", "bomb.deb", "huge.rpm",
    ] {
        let format = name.split('.').nth(1).unwrap();
        refused(&scratch, name, &format!("cannot read {name} as {format}"));
    }
}

/// A compound file (MS-CFB 2.3) whose first sectors all follow one another in a ring.
fn round(msi: &[u8]) -> Vec<u8> {
    let mut bytes = msi.to_vec();
    let shift = u16::from_le_bytes([bytes[30], bytes[31]]);
    let sector = 1usize << shift;
    let first = u32::from_le_bytes(bytes[76..80].try_into().unwrap());
    let fat = sector * (first as usize + 1);
    let links = sector / 4;
    for at in 0..links {
        let next = ((at + 1) % links) as u32;
        bytes[fat + at * 4..fat + at * 4 + 4].copy_from_slice(&next.to_le_bytes());
    }
    bytes
}

/// A xar archive whose table of contents nests a hundred thousand folders.
fn deep_table() -> Vec<u8> {
    let depth = 100_000;
    let mut xml = "<xar><toc>".to_owned();
    for _ in 0..depth {
        xml += "<file id=\"1\"><name>a</name><type>directory</type>";
    }
    xml += &"</file>".repeat(depth);
    xml += "</toc></xar>";
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(xml.as_bytes()).unwrap();
    let table = zlib.finish().unwrap();
    let mut bytes = b"xar!\0\x1c\0\x01".to_vec();
    bytes.extend((table.len() as u64).to_be_bytes());
    bytes.extend((xml.len() as u64).to_be_bytes());
    bytes.extend(0u32.to_be_bytes());
    bytes.extend(table);
    bytes
}

/// A deb whose control archive is gigabytes of zeros.
fn bomb() -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    let mut header = tar::Header::new_gnu();
    header.set_path("control").unwrap();
    header.set_size(3 << 30);
    header.set_cksum();
    gzip.write_all(header.as_bytes()).unwrap();
    for _ in 0..300 {
        gzip.write_all(&zeros).unwrap();
    }
    let mut ar = ar::Builder::new(Vec::new());
    let mut member = |name: &str, bytes: &[u8]| {
        let header = ar::Header::new(name.into(), bytes.len() as u64);
        ar.append(&header, bytes).unwrap();
    };
    member("debian-binary", b"2.0\n");
    member("control.tar.gz", &gzip.finish().unwrap());
    ar.into_inner().unwrap()
}

/// Somebody else's file; root reads everything, so the trial becomes nobody.
fn unreadable() {
    let scratch = ground();
    let deb = installers(&scratch).remove(0);
    std::fs::copy(deb, scratch.join("mine.deb")).unwrap();
    for (path, mode) in [(scratch.path(), 0o755), (&scratch.join("mine.deb"), 0o600)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_fleetpack"));
    let copy = scratch.join("program");
    std::fs::copy(program, &copy).unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    for command in ["inspect", "doctor"] {
        scratch
            .tool("setpriv", nobody)
            .arg(&copy)
            .args([command, "mine.deb"])
            .fails(1)
            .says("error: cannot open mine.deb\n  caused by: Permission denied");
    }
}
