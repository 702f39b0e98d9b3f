//! The ticket of a notarised package: found by the digest of the package's table of contents,
//! appended to the file, where Gatekeeper looks for it without a network.
//!
//! Undocumented; the facts are those that open-source tools agree on. The record is called
//! `2/<algorithm>/<digest>`, 1 for SHA-1. The trailer, behind everything that xar knows:
//!
//! ```text
//! "t8lr", version u16 = 1, type u16 = 1 (end of the archive), length u32 = 0, u32 = 0
//! the ticket
//! "t8lr", version u16 = 1, type u16 = 2 (ticket), length u32 of the ticket, u32 = 0
//! ```
//!
//! Numbers of the trailer are little-endian.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::{NotaryError, answer};
use crate::fs::{self, Step};

const MAGIC: &[u8; 4] = b"t8lr";
const END_OF_ARCHIVE: u16 = 1;
const TICKET: u16 = 2;
/// The digest algorithm's number in records' names: SHA-1.
const SHA1: u8 = 1;

/// The name of the record with a package's ticket.
pub fn record_name(package: &File) -> io::Result<String> {
    let mut header = [0; 28];
    package.read_exact_at(&mut header, 0)?;
    let mut length = [0; 8];
    length.copy_from_slice(&header[8..16]);
    if !header.starts_with(b"xar!\x00\x1c") || header[24..] != [0, 0, 0, SHA1] {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is no xar archive with a SHA-1 digest",
        ));
    }
    let mut digest = [0; 20];
    let heap = u64::from_be_bytes(length).saturating_add(28);
    package.read_exact_at(&mut digest, heap)?;
    Ok(format!("2/{SHA1}/{}", hex::encode(digest)))
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    record_name: String,
    #[serde(default)]
    fields: Option<Fields>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    signed_ticket: Value,
}

#[derive(Deserialize)]
struct Value {
    value: String,
}

/// Asks for a ticket.
pub fn look_up(agent: &ureq::Agent, url: &str, name: &str) -> Result<Vec<u8>, NotaryError> {
    let body = json!({ "records": [{ "recordName": name }] });
    let sent = agent
        .post(url)
        .header("Accept", "application/json")
        .content_type("application/json")
        .send(body.to_string());
    let answer: Records = answer(url, sent)?;
    let none = |why: &str| NotaryError::NoTicket(why.to_owned());
    let record = answer
        .records
        .into_iter()
        .find(|record| record.record_name == name)
        .ok_or_else(|| none("the answer is about another package"))?;
    let Some(fields) = record.fields else {
        return Err(none(&record.reason.unwrap_or_default()));
    };
    STANDARD
        .decode(fields.signed_ticket.value)
        .map_err(|_| none("the ticket is no base64"))
}

/// Appends a ticket to a package, which will be called `path`.
pub fn append(mut package: &File, path: &Path, ticket: &[u8]) -> io::Result<()> {
    fs::step(Step::Write, "write", path, || {
        package.seek(SeekFrom::End(0))?;
        package.write_all(&trailer(ticket))
    })
}

fn trailer(ticket: &[u8]) -> Vec<u8> {
    let mut bytes = mark(END_OF_ARCHIVE, 0);
    bytes.extend_from_slice(ticket);
    bytes.extend(mark(TICKET, ticket.len() as u32));
    bytes
}

fn mark(kind: u16, length: u32) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers() {
        let expected = b"t8lr\x01\0\x01\0\0\0\0\0\0\0\0\0\
                         abc\
                         t8lr\x01\0\x02\0\x03\0\0\0\0\0\0\0";
        assert_eq!(trailer(b"abc"), expected);
    }

    #[test]
    fn a_disk_that_is_full_is_told_with_the_package() {
        let package = tempfile::tempfile().unwrap();
        fs::set_hook(Some(Box::new(
            |_, _| Err(io::ErrorKind::StorageFull.into()),
        )));
        let appended = append(&package, Path::new("out/fleet.pkg"), b"ticket");
        fs::set_hook(None);
        let said = appended.unwrap_err().to_string();
        assert_eq!(said, "cannot write out/fleet.pkg: no storage space");
        assert_eq!(package.metadata().unwrap().len(), 0);
    }
}
