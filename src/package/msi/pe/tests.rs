use std::path::Path;

use super::*;
use crate::install::{Customer, Shared};

fn read_bytes(bytes: Vec<u8>) -> Result<Program, String> {
    let shared = Content::Shared(Shared::verified_bytes(bytes.clone(), Path::new("x.exe")));
    let customer = Content::Customer(Customer::new(bytes));
    let read = |content: &Content| super::read(content).map_err(|error| error.to_string());
    assert_eq!(read(&shared), read(&customer));
    read(&shared)
}

#[test]
fn programs() {
    let cases = [
        ("amd64", Machine::Amd64, Some([1, 2, 3, 4]), Some("1.2.3.4")),
        (
            "arm64",
            Machine::Arm64,
            Some([65535, 0, 0, 9]),
            Some("65535.0.0.9"),
        ),
        ("without a version", Machine::Amd64, None, None),
        ("another processor", Machine::Other(0x14c), None, None),
    ];
    for (name, machine, version, number) in cases {
        let program = read_bytes(sample::program(machine, version)).unwrap();
        assert_eq!(program.machine, machine, "{name}");
        let read = program.version.as_ref();
        assert_eq!(read.map(|v| v.number.as_str()), number, "{name}");
        let language = read.and_then(|v| v.language.as_deref());
        assert_eq!(language, number.map(|_| "1033"), "{name}");
    }
}

#[test]
fn no_programs() {
    let good = sample::program(Machine::Amd64, Some([1, 2, 3, 4]));
    let edited = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let cases = [
        ("empty", vec![], "it does not begin with MZ"),
        (
            "an ELF file",
            b"\x7fELF".to_vec(),
            "it does not begin with MZ",
        ),
        (
            "MZ alone",
            b"MZ".to_vec(),
            "its headers point beyond its end",
        ),
        ("another header", edited(0x40, b"NE"), "it has no PE header"),
        (
            "header beyond the end",
            edited(0x3c, &[0xff; 4]),
            "its headers point beyond its end",
        ),
        (
            "cut short",
            good[..0x100].to_vec(),
            "its headers point beyond its end",
        ),
        (
            "cut in the resource directory",
            good[..0x210 + 16 + 2].to_vec(),
            "its headers point beyond its end",
        ),
        (
            "another kind",
            edited(0x58, &[7, 1]),
            "its optional header is of no known kind",
        ),
        (
            "resources nowhere",
            edited(0xd8, &[0xff; 4]),
            "its resources lie in no section",
        ),
        (
            "version elsewhere",
            edited(0x210 + 0x48, &[0xff; 4]),
            "its version resource points outside the resources",
        ),
        (
            "no fixed part",
            edited(0x210 + 0x58 + 0x28, &[0; 4]),
            "its version resource is damaged",
        ),
    ];
    for (name, bytes, sentence) in cases {
        assert_eq!(read_bytes(bytes), Err(sentence.to_owned()), "{name}");
    }
}

/// No input makes the reader panic or read for long: every prefix, and every byte changed.
#[test]
fn damaged_at_any_place() {
    let good = sample::program(Machine::Amd64, Some([1, 2, 3, 4]));
    for at in 0..good.len() {
        let _ = read_bytes(good[..at].to_vec());
        for value in [0, 0x7f, 0xff] {
            let mut file = good.clone();
            file[at] = value;
            let _ = read_bytes(file);
        }
    }
}
