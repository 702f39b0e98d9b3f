//! The smallest program that Windows takes for one: it returns 0.
//!
//! A stand-in where no real program is at hand: in samples and tests. One section holds code
//! and, when wanted, a version resource. Documents: Microsoft "PE Format", "VS_VERSIONINFO".

use super::{MACHINE_AMD64, MACHINE_ARM64, Machine, RT_VERSION};

/// File offset and address of the only section.
const RAW: u32 = 0x200;
const ADDRESS: u32 = 0x1000;
/// Where in the section the resources begin.
const RESOURCES: u32 = 0x10;

/// A program for `machine`; with `version` (`a.b.c.d`) it has a version resource in English.
pub fn program(machine: Machine, version: Option<[u16; 4]>) -> Vec<u8> {
    let (number, code): (u16, &[u8]) = match machine {
        // mov w0, #0; ret
        Machine::Arm64 => (MACHINE_ARM64, &[0, 0, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6]),
        // xor eax, eax; ret
        Machine::Amd64 => (MACHINE_AMD64, &[0x31, 0xc0, 0xc3]),
        Machine::Other(number) => (number, &[]),
    };
    let mut section = code.to_vec();
    section.resize(RESOURCES as usize, 0);
    let resources = version.map_or_else(Vec::new, resources);
    section.extend_from_slice(&resources);
    section.resize(section.len().next_multiple_of(0x200), 0);
    let mut file = headers(number, resources.len() as u32, section.len() as u32);
    file.resize(RAW as usize, 0);
    file.extend_from_slice(&section);
    file
}

fn headers(machine: u16, resources: u32, section: u32) -> Vec<u8> {
    let mut file = b"MZ".to_vec();
    file.resize(0x3c, 0);
    put(&mut file, &[0x40]);
    file.extend_from_slice(b"PE\0\0");
    // Machine, one section; no time, no symbols; optional header of 240 bytes; executable,
    // large addresses.
    put16(&mut file, &[machine, 1]);
    put(&mut file, &[0, 0, 0]);
    put16(&mut file, &[240, 0x22]);
    // PE32+, no linker version; sizes of code and data, entry point, base of code.
    put16(&mut file, &[0x20b, 0]);
    put(&mut file, &[section, 0, 0, ADDRESS, ADDRESS]);
    file.extend_from_slice(&0x1_4000_0000_u64.to_le_bytes());
    put(&mut file, &[0x1000, 0x200]);
    // Versions of system, image and subsystem.
    put16(&mut file, &[6, 0, 0, 0, 6, 0]);
    // Reserved, size of the image, size of headers, no checksum; console, relocatable.
    put(&mut file, &[0, 0x3000, RAW, 0]);
    put16(&mut file, &[3, 0x8160]);
    for size in [0x10_0000_u64, 0x1000, 0x10_0000, 0x1000] {
        file.extend_from_slice(&size.to_le_bytes());
    }
    put(&mut file, &[0, 16, 0, 0, 0, 0]);
    match resources {
        0 => put(&mut file, &[0, 0]),
        len => put(&mut file, &[ADDRESS + RESOURCES, len]),
    }
    put(&mut file, &[0; 26]);
    file.extend_from_slice(b".text\0\0\0");
    put(&mut file, &[section, ADDRESS, section, RAW, 0, 0, 0]);
    // Code and data, readable, executable.
    put(&mut file, &[0x6000_0060]);
    file
}

/// A resource directory of three levels with one leaf.
fn resources(version: [u16; 4]) -> Vec<u8> {
    const SUBDIRECTORY: u32 = 1 << 31;
    let block = version_info(version);
    let mut bytes = Vec::new();
    for (id, next) in [(RT_VERSION, 0x18), (1, 0x30), (0x409, 0x48)] {
        // Characteristics, time, version; no named entries, one numbered.
        put(&mut bytes, &[0, 0, 0]);
        put16(&mut bytes, &[0, 1]);
        let kind = if next == 0x48 { 0 } else { SUBDIRECTORY };
        put(&mut bytes, &[id, next | kind]);
    }
    let address = ADDRESS + RESOURCES + 0x58;
    put(&mut bytes, &[address, block.len() as u32, 0, 0]);
    bytes.extend_from_slice(&block);
    bytes
}

fn version_info([a, b, c, d]: [u16; 4]) -> Vec<u8> {
    let high = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
    let mut fixed = Vec::new();
    let (most, least) = (high(a, b), high(c, d));
    // Signature, structure version; file and product version; mask, flags; Windows NT, a
    // program; no subtype, no date.
    put(
        &mut fixed,
        &[super::FIXED_SIGNATURE, 0x1_0000, most, least, most, least],
    );
    put(&mut fixed, &[0x3f, 0, 0x4_0004, 1, 0, 0, 0]);
    let mut translation = Vec::new();
    // English (United States), Unicode.
    put16(&mut translation, &[0x409, 1200]);
    let var = node("Translation", &translation, &[]);
    let var_info = node("VarFileInfo", &[], &var);
    node("VS_VERSION_INFO", &fixed, &var_info)
}

/// Length, length of the value, type 0 (binary), key, padding, value, children.
fn node(key: &str, value: &[u8], children: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    bytes.extend(key.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(children);
    let len = bytes.len() as u16;
    bytes[..2].copy_from_slice(&len.to_le_bytes());
    bytes[2..4].copy_from_slice(&(value.len() as u16).to_le_bytes());
    bytes
}

fn put(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put16(bytes: &mut Vec<u8>, numbers: &[u16]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}
