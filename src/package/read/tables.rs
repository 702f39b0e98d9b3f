//! Windows Installer databases: a compound file whose streams are tables over a pool of texts.
//!
//! ```text
//! stream names: U+3800..U+47FF are two characters of [0-9A-Za-z._], U+4800..U+483F one,
//!   U+4840 in front marks a table
//! _StringPool: codepage u32 (high bit: references have 3 bytes), then length u16, uses u16;
//!   a length of 0 with uses is followed by u32; _StringData: the texts, one after the other
//! a table: column by column; texts are references (0 null), integers are stored with their
//!   high bit turned over (0 null)
//! ```
//! Little-endian. Only what is referred to is copied, so a small file stays small. Documents:
//! Microsoft's "Summary Information", "Column Definition Format"; the streams are known from
//! Wine and the crate `msi`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use super::ReadError;
use super::stream::read_all;
use crate::package::Format;

const POOL: &str = "the pool of texts";
/// Largest stream that is taken into memory.
const MAX_STREAM: u64 = 64 << 20;
/// Bits of a column's type.
const TEXT: i32 = 0x0800;
const NULLABLE: i32 = 0x1000;
/// A stream's name, stored in two bytes whatever the width of references.
const BINARY: i32 = 0x0900;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'p> {
    Null,
    Integer(i32),
    Text(&'p str),
}

impl<'p> Value<'p> {
    /// The text; empty when it is none.
    pub(super) fn text(self) -> &'p str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    /// The number; 0 when it is none.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Integer(number) => number,
            _ => 0,
        }
    }
}

struct Column {
    name: String,
    kind: i32,
}

/// An opened database.
pub(super) struct Database<'f> {
    compound: cfb::CompoundFile<&'f File>,
    /// Stored names by plain ones; tables have `!` in front.
    streams: BTreeMap<String, String>,
    strings: Vec<String>,
    wide: bool,
    columns: BTreeMap<String, Vec<Column>>,
}

/// The rows of a table, by column name.
pub(super) struct Rows<'d> {
    columns: &'d [Column],
    strings: &'d [String],
    bytes: Vec<u8>,
    count: usize,
    wide: bool,
}

impl<'f> Database<'f> {
    /// Opens a compound file and reads what its tables are.
    pub(super) fn open(file: &'f File) -> Result<Self, ReadError> {
        let compound =
            cfb::CompoundFile::open(file).map_err(|e| ReadError::of_io("the compound file", e))?;
        let mut streams = BTreeMap::new();
        for entry in compound.read_root_storage() {
            if entry.is_stream() {
                streams.insert(plain_name(entry.name()), entry.name().to_owned());
            }
        }
        let mut database = Self {
            compound,
            streams,
            strings: Vec::new(),
            wide: false,
            columns: BTreeMap::new(),
        };
        if !database.has("!_StringPool") || !database.has("!_Tables") {
            let why = match database.has("EncryptedPackage") {
                true => "it is an encrypted document",
                false => "it is a compound file without tables",
            };
            return Err(ReadError::foreign(Format::Msi, why));
        }
        database.read_pool()?;
        database.read_columns()?;
        Ok(database)
    }

    /// Whether there is a stream of this plain name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.streams.contains_key(name)
    }

    /// Opens a stream by its plain name.
    pub(super) fn stream(&mut self, name: &str) -> Result<cfb::Stream<&'f File>, ReadError> {
        let stored = self.streams.get(name);
        let stored = stored.ok_or_else(|| {
            ReadError::damaged("the database", format!("it has no stream {name}"))
        })?;
        self.compound
            .open_stream(format!("/{stored}"))
            .map_err(|e| ReadError::of_io(name, e))
    }

    /// A small stream's bytes.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Vec<u8>, ReadError> {
        read_all(self.stream(name)?, name, MAX_STREAM)
    }

    /// The rows of a table; none when there is no such table.
    pub(super) fn rows(&mut self, table: &str) -> Result<Rows<'_>, ReadError> {
        let stream = format!("!{table}");
        let bytes = match self.has(&stream) && self.columns.contains_key(table) {
            true => self.bytes(&stream)?,
            false => Vec::new(),
        };
        let columns = self.columns.get(table).map_or(&[][..], Vec::as_slice);
        let width: usize = columns.iter().map(|c| width(c.kind, self.wide)).sum();
        if width > 0 && bytes.len() % width > 0 {
            return Err(ReadError::damaged(
                format!("the table {table}"),
                "its last row is cut off",
            ));
        }
        Ok(Rows {
            columns,
            strings: &self.strings,
            count: bytes.len().checked_div(width).unwrap_or(0),
            bytes,
            wide: self.wide,
        })
    }

    fn read_pool(&mut self) -> Result<(), ReadError> {
        let pool = self.bytes("!_StringPool")?;
        let data = self.bytes("!_StringData")?;
        let cut = || ReadError::truncated(POOL);
        let head = le(&pool, 0, 4).ok_or_else(cut)?;
        self.wide = head & 0x8000_0000 != 0;
        let codepage = head & 0x7fff_ffff;
        let (mut at, mut from) = (4, 0usize);
        while at < pool.len() {
            let mut len = le(&pool, at, 2).ok_or_else(cut)?;
            let uses = le(&pool, at + 2, 2).ok_or_else(cut)?;
            at += 4;
            if len == 0 && uses > 0 {
                len = le(&pool, at, 4).ok_or_else(cut)?;
                at += 4;
            }
            let end = from.checked_add(len as usize).ok_or_else(cut)?;
            let raw = data.get(from..end).ok_or_else(cut)?;
            self.strings.push(decode(raw, codepage));
            from = end;
        }
        Ok(())
    }

    fn read_columns(&mut self) -> Result<(), ReadError> {
        let text = |name: &str| Column {
            name: name.to_owned(),
            kind: TEXT,
        };
        let short = |name: &str| Column {
            name: name.to_owned(),
            kind: 2,
        };
        let itself = vec![text("Table"), short("Number"), text("Name"), short("Type")];
        self.columns.insert("_Columns".to_owned(), itself);
        let rows = self.rows("_Columns")?;
        let mut columns: BTreeMap<String, BTreeMap<i32, Column>> = BTreeMap::new();
        for row in rows.iter()? {
            let table = columns.entry(row[0].text().to_owned()).or_default();
            let column = Column {
                name: row[2].text().to_owned(),
                kind: row[3].number(),
            };
            table.insert(row[1].number(), column);
        }
        self.columns = columns
            .into_iter()
            .map(|(table, columns)| (table, columns.into_values().collect()))
            .collect();
        Ok(())
    }
}

impl<'d> Rows<'d> {
    /// All rows, each in the order of the table's columns.
    fn iter(&self) -> Result<Vec<Vec<Value<'d>>>, ReadError> {
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        (0..self.count)
            .map(|row| names.iter().map(|name| self.get(row, name)).collect())
            .collect()
    }

    /// All rows with just these columns, in this order; a column that the table does not have
    /// is null.
    pub(super) fn select<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<Vec<[Value<'d>; N]>, ReadError> {
        let mut rows = Vec::with_capacity(self.count);
        for row in 0..self.count {
            let mut values = [Value::Null; N];
            for (value, name) in values.iter_mut().zip(names) {
                *value = self.get(row, name)?;
            }
            rows.push(values);
        }
        Ok(rows)
    }

    fn get(&self, row: usize, name: &str) -> Result<Value<'d>, ReadError> {
        let Some(index) = self.columns.iter().position(|column| column.name == name) else {
            return Ok(Value::Null);
        };
        let wide = self.wide;
        let before: usize = self.columns[..index]
            .iter()
            .map(|c| width(c.kind, wide))
            .sum();
        let kind = self.columns[index].kind;
        let bytes = width(kind, wide);
        let raw = le(&self.bytes, before * self.count + row * bytes, bytes).unwrap_or(0);
        if raw == 0 {
            return Ok(Value::Null);
        }
        if kind & TEXT == 0 {
            return Ok(Value::Integer(match bytes {
                2 => (raw as i32) - 0x8000,
                _ => (raw ^ 0x8000_0000) as i32,
            }));
        }
        if kind & !NULLABLE & 0x0f00 == BINARY && kind & 0xff == 0 && kind & 0x0400 == 0 {
            return Ok(Value::Integer(raw as i32));
        }
        let text = self.strings.get(raw as usize - 1);
        text.map(|text| Value::Text(text)).ok_or_else(|| {
            ReadError::damaged(
                POOL,
                format!("it has no text {raw}, which a table refers to"),
            )
        })
    }
}

fn width(kind: i32, wide: bool) -> usize {
    match kind {
        _ if kind & !NULLABLE == BINARY => 2,
        _ if kind & TEXT != 0 => 2 + usize::from(wide),
        _ if kind & 0xff <= 2 => 2,
        _ => 4,
    }
}

fn le(bytes: &[u8], at: usize, len: usize) -> Option<u32> {
    let raw = bytes.get(at..at.checked_add(len)?)?;
    Some(
        raw.iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u32::from(byte)),
    )
}

/// Windows-1252's characters from 0x80 on that are not Latin-1's.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Text in a codepage; in one that is not known here, only ASCII survives.
pub(super) fn decode(raw: &[u8], codepage: u32) -> String {
    let latin = |byte: u8| match byte {
        0x80..0xa0 => WINDOWS_1252[usize::from(byte - 0x80)],
        byte => char::from(byte),
    };
    match codepage {
        65001 => String::from_utf8_lossy(raw).into_owned(),
        0 | 1252 => raw.iter().map(|&byte| latin(byte)).collect(),
        _ => {
            let known = |byte: &u8| {
                if byte.is_ascii() {
                    char::from(*byte)
                } else {
                    '\u{fffd}'
                }
            };
            raw.iter().map(known).collect()
        }
    }
}

/// See the head of this file; a name that is not mangled stays as it is.
fn plain_name(stored: &str) -> String {
    const CHARACTERS: &[u8; 64] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._";
    let character = |value: u32| char::from(CHARACTERS[(value & 0x3f) as usize]);
    let mut plain = String::new();
    for stored in stored.chars() {
        match u32::from(stored) {
            value @ 0x3800..0x4800 => {
                plain.push(character(value - 0x3800));
                plain.push(character((value - 0x3800) >> 6));
            }
            value @ 0x4800..0x4840 => plain.push(character(value - 0x4800)),
            0x4840 => plain.push('!'),
            _ => plain.push(stored),
        }
    }
    plain
}

/// The summary's properties by number, as text: dates are left out.
pub(super) fn summary(stream: impl Read) -> Result<BTreeMap<u32, String>, ReadError> {
    const PART: &str = "the summary information";
    let bytes = read_all(stream, PART, 1 << 20)?;
    let cut = || ReadError::truncated(PART);
    let start = le(&bytes, 44, 4).ok_or_else(cut)? as usize;
    let set = bytes.get(start..).ok_or_else(cut)?;
    let count = le(set, 4, 4).ok_or_else(cut)?;
    let mut raw = BTreeMap::new();
    for index in 0..count.min(64) as usize {
        let id = le(set, 8 + index * 8, 4).ok_or_else(cut)?;
        let at = le(set, 12 + index * 8, 4).ok_or_else(cut)? as usize;
        raw.insert(id, set.get(at..).ok_or_else(cut)?);
    }
    let codepage = raw
        .get(&1)
        .and_then(|value| le(value, 4, 2))
        .unwrap_or(1252);
    let mut properties = BTreeMap::new();
    for (id, value) in raw {
        let text = match le(value, 0, 4).ok_or_else(cut)? {
            // VT_I2, VT_I4, VT_LPSTR
            2 => le(value, 4, 2).ok_or_else(cut)?.to_string(),
            3 => le(value, 4, 4).ok_or_else(cut)?.to_string(),
            30 => {
                let len = le(value, 4, 4).ok_or_else(cut)? as usize;
                let end = len.checked_add(8).ok_or_else(cut)?;
                let text = value.get(8..end).ok_or_else(cut)?;
                decode(text, codepage).trim_end_matches('\0').to_owned()
            }
            _ => continue,
        };
        properties.insert(id, text);
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_streams() {
        for (stored, plain) in [
            (
                "\u{4840}\u{3f3f}\u{4577}\u{446c}\u{3b6a}\u{45e4}\u{4824}",
                "!_StringData",
            ),
            ("\u{5}SummaryInformation", "\u{5}SummaryInformation"),
            ("plain", "plain"),
        ] {
            assert_eq!(plain_name(stored), plain);
        }
    }
}
