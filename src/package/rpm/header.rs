//! The header structure of an rpm file, used twice: for the signatures and for the package.
//!
//! ```text
//! 8e ad e8 01   magic, version 1        Int32 are big-endian
//! 00 00 00 00   reserved
//! Int32         number of index entries
//! Int32         bytes of data
//! index         per entry: tag, type, offset into the data, count (Int32 each), by tag
//! data          each value at a multiple of its type's width
//! ```
//!
//! The first entry is a region: it marks all that follows as one immutable block. Its value is
//! the last 16 bytes of the data, shaped like an index entry whose offset is minus the length
//! of the index. Source: <https://rpm.org/docs/4.20.x/manual/format_header.html> and
//! LSB 5.0 Core, "Package File Format".

use std::collections::BTreeMap;

const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
const ENTRY_LEN: usize = 16;

/// What a header is for: decides the tag of its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Region {
    /// `RPMTAG_HEADERSIGNATURES`.
    Signatures = 62,
    /// `RPMTAG_HEADERIMMUTABLE`.
    Immutable = 63,
}

/// One value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `RPM_INT16_TYPE`.
    Int16(Vec<u16>),
    /// `RPM_INT32_TYPE`.
    Int32(Vec<u32>),
    /// `RPM_STRING_TYPE`: one string.
    Text(String),
    /// `RPM_BIN_TYPE`.
    Binary(Vec<u8>),
    /// `RPM_STRING_ARRAY_TYPE`.
    Texts(Vec<String>),
    /// `RPM_I18NSTRING_TYPE`, in the one locale `C`.
    Localised(String),
}

impl Value {
    fn kind(&self) -> u32 {
        match self {
            Self::Int16(_) => 3,
            Self::Int32(_) => 4,
            Self::Text(_) => 6,
            Self::Binary(_) => 7,
            Self::Texts(_) => 8,
            Self::Localised(_) => 9,
        }
    }

    fn align(&self) -> usize {
        match self {
            Self::Int16(_) => 2,
            Self::Int32(_) => 4,
            _ => 1,
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Int16(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Texts(texts) => texts.len(),
            Self::Text(_) | Self::Localised(_) => 1,
        }
    }

    fn write(&self, data: &mut Vec<u8>) {
        match self {
            Self::Int16(values) => values.iter().for_each(|v| data.extend(v.to_be_bytes())),
            Self::Int32(values) => values.iter().for_each(|v| data.extend(v.to_be_bytes())),
            Self::Binary(bytes) => data.extend_from_slice(bytes),
            Self::Text(text) | Self::Localised(text) => write_text(text, data),
            Self::Texts(texts) => texts.iter().for_each(|text| write_text(text, data)),
        }
    }
}

fn write_text(text: &str, data: &mut Vec<u8>) {
    data.extend_from_slice(text.as_bytes());
    data.push(0);
}

/// A header in the making. A tag that is put twice keeps its last value.
#[derive(Clone, Debug)]
pub struct Header {
    region: Region,
    entries: BTreeMap<u32, Value>,
}

impl Header {
    /// An empty header.
    pub fn new(region: Region) -> Self {
        Self {
            region,
            entries: BTreeMap::new(),
        }
    }

    /// Sets a tag. An empty list is left out: rpm takes a count of 0 for damage.
    pub fn put(&mut self, tag: u32, value: Value) {
        if value.count() > 0 {
            self.entries.insert(tag, value);
        }
    }

    /// One string.
    pub fn text(&mut self, tag: u32, text: impl Into<String>) {
        self.put(tag, Value::Text(text.into()));
    }

    /// A list of strings.
    pub fn texts(&mut self, tag: u32, texts: impl IntoIterator<Item = impl Into<String>>) {
        self.put(
            tag,
            Value::Texts(texts.into_iter().map(Into::into).collect()),
        );
    }

    /// A string in the one locale `C`.
    pub fn localised(&mut self, tag: u32, text: impl Into<String>) {
        self.put(tag, Value::Localised(text.into()));
    }

    /// Numbers of 32 bits.
    pub fn int32(&mut self, tag: u32, values: impl IntoIterator<Item = u32>) {
        self.put(tag, Value::Int32(values.into_iter().collect()));
    }

    /// Numbers of 16 bits.
    pub fn int16(&mut self, tag: u32, values: impl IntoIterator<Item = u16>) {
        self.put(tag, Value::Int16(values.into_iter().collect()));
    }

    /// The whole structure, from the magic on; see the head of this file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries = self.entries.len() + 1;
        let mut index = Vec::with_capacity(ENTRY_LEN * entries);
        let mut data = Vec::new();
        for (tag, value) in &self.entries {
            data.resize(data.len().next_multiple_of(value.align()), 0);
            write_entry(
                *tag,
                value.kind(),
                data.len() as u32,
                value.count(),
                &mut index,
            );
            value.write(&mut data);
        }
        let region = self.region as u32;
        let binary = Value::Binary(Vec::new()).kind();
        let mut bytes = Vec::with_capacity(MAGIC.len() + 8 + index.len() + data.len() + 32);
        bytes.extend(MAGIC);
        bytes.extend((entries as u32).to_be_bytes());
        bytes.extend(((data.len() + ENTRY_LEN) as u32).to_be_bytes());
        write_entry(region, binary, data.len() as u32, ENTRY_LEN, &mut bytes);
        bytes.extend(index);
        bytes.extend(data);
        let back = ((entries * ENTRY_LEN) as u32).wrapping_neg();
        write_entry(region, binary, back, ENTRY_LEN, &mut bytes);
        bytes
    }
}

fn write_entry(tag: u32, kind: u32, offset: u32, count: usize, out: &mut Vec<u8>) {
    for number in [tag, kind, offset, count as u32] {
        out.extend(number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8], at: usize) -> u32 {
        u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }

    #[test]
    fn every_byte_of_a_small_header() {
        let mut header = Header::new(Region::Signatures);
        header.text(269, "ab");
        header.int32(1000, [7]);
        let expected: Vec<u8> = [
            &[0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0][..],
            &[0, 0, 0, 3, 0, 0, 0, 24],
            &[0, 0, 0, 62, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 16],
            &[0, 0, 1, 13, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 0, 3, 232, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1],
            b"ab\0\0",
            &[0, 0, 0, 7],
            &[0, 0, 0, 62, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xd0, 0, 0, 0, 16],
        ]
        .concat();
        assert_eq!(header.to_bytes(), expected);
    }

    #[test]
    fn counts_types_and_alignment() {
        let cases: &[(&str, Value, u32, u32, u32)] = &[
            ("string", Value::Text("x".into()), 6, 1, 1),
            ("empty string", Value::Text(String::new()), 6, 1, 1),
            (
                "strings",
                Value::Texts(vec!["a".into(), "b".into()]),
                8,
                2,
                1,
            ),
            ("localised", Value::Localised("x".into()), 9, 1, 1),
            ("binary", Value::Binary(vec![1, 2, 3]), 7, 3, 1),
            ("16 bits", Value::Int16(vec![1, 2, 3]), 3, 3, 2),
            ("32 bits", Value::Int32(vec![1]), 4, 1, 4),
        ];
        for (name, value, kind, count, align) in cases {
            let mut header = Header::new(Region::Immutable);
            header.put(1, Value::Text("".into()));
            header.put(2, value.clone());
            let bytes = header.to_bytes();
            let entry = 16 + 2 * ENTRY_LEN;
            assert_eq!(number(&bytes, entry), 2, "{name}");
            assert_eq!(number(&bytes, entry + 4), *kind, "{name}");
            assert_eq!(number(&bytes, entry + 8), *align, "{name}: after one byte");
            assert_eq!(number(&bytes, entry + 12), *count, "{name}");
        }
    }

    #[test]
    fn empty_lists_are_left_out() {
        let mut header = Header::new(Region::Immutable);
        header.int32(5, []);
        header.texts(6, Vec::<String>::new());
        header.put(7, Value::Binary(Vec::new()));
        assert_eq!(number(&header.to_bytes(), 8), 1);
    }

    /// Whatever is put, rpm's own rules for a blob hold (rpm 4.18, `hdrblobVerifyInfo`).
    #[test]
    fn any_header_keeps_the_readers_rules() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for round in 0..2000 {
            let mut header = Header::new(Region::Immutable);
            for _ in 0..random(12) {
                let n = random(5) as usize;
                let text = "é\u{1F600}x".repeat(n);
                let value = match random(6) {
                    0 => Value::Int16(vec![n as u16; n]),
                    1 => Value::Int32(vec![n as u32; n]),
                    2 => Value::Text(text),
                    3 => Value::Binary(vec![9; n]),
                    4 => Value::Texts(vec![text; n]),
                    _ => Value::Localised(text),
                };
                header.put(100 + random(2000) as u32, value);
            }
            check(&header.to_bytes(), round);
        }
    }

    fn check(bytes: &[u8], round: usize) {
        let entries = number(bytes, 8) as usize;
        let data = number(bytes, 12) as usize;
        let start = 16 + entries * ENTRY_LEN;
        assert_eq!(bytes.len(), start + data, "round {round}");
        assert_eq!(number(bytes, 16 + 8) as usize, data - ENTRY_LEN);
        let (mut tag, mut end) = (0, 0);
        for entry in (1..entries).map(|n| 16 + n * ENTRY_LEN) {
            assert!(number(bytes, entry) > tag, "round {round}: by tag");
            tag = number(bytes, entry);
            let (kind, offset, count) = (
                number(bytes, entry + 4),
                number(bytes, entry + 8) as usize,
                number(bytes, entry + 12) as usize,
            );
            assert!(offset >= end && count > 0, "round {round}: no overlap");
            let value = &bytes[start + offset..start + data - ENTRY_LEN];
            let texts = |n: usize| -> usize {
                value
                    .split_inclusive(|b| *b == 0)
                    .take(n)
                    .map(<[u8]>::len)
                    .sum()
            };
            let (len, align) = match kind {
                3 => (2 * count, 2),
                4 => (4 * count, 4),
                7 => (count, 1),
                _ => (texts(count), 1),
            };
            assert_eq!(offset % align, 0, "round {round}: aligned");
            end = offset + len;
        }
        assert_eq!(end, data - ENTRY_LEN, "round {round}: no bytes left over");
    }
}
