//! rpm's header structure: an index of typed, counted values over a store of bytes.
//!
//! Every access is checked against the store; a value of another type than asked for is
//! damage. Sizes are bounded before anything is allocated.

use super::super::ReadError;
use super::super::stream::Section;

/// Most index entries: librpm's own limit is 0xffff.
const MAX_ENTRIES: u32 = 0xffff;
/// Largest store: names and digests of several 100,000 files.
const MAX_STORE: u32 = 64 << 20;
const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];

/// Tags by number (rpm.org/docs, "RPM Tags").
pub(super) mod tag {
    pub(crate) const NAME: u32 = 1000;
    pub(crate) const VERSION: u32 = 1001;
    pub(crate) const ARCH: u32 = 1022;
    pub(crate) const OLD_FILE_NAMES: u32 = 1027;
    pub(crate) const FILE_SIZES: u32 = 1028;
    pub(crate) const FILE_MODES: u32 = 1030;
    pub(crate) const FILE_DIGESTS: u32 = 1035;
    pub(crate) const FILE_LINKS: u32 = 1036;
    pub(crate) const FILE_FLAGS: u32 = 1037;
    pub(crate) const FILE_USERS: u32 = 1039;
    pub(crate) const FILE_GROUPS: u32 = 1040;
    pub(crate) const DIR_INDEXES: u32 = 1116;
    pub(crate) const BASE_NAMES: u32 = 1117;
    pub(crate) const DIR_NAMES: u32 = 1118;
    pub(crate) const PAYLOAD_COMPRESSOR: u32 = 1125;
    pub(crate) const LONG_FILE_SIZES: u32 = 5008;
    pub(crate) const FILE_DIGEST_ALGO: u32 = 5011;
    pub(crate) const PAYLOAD_DIGEST: u32 = 5092;
    pub(crate) const PAYLOAD_DIGEST_ALGO: u32 = 5093;
    /// Bit of FILE_FLAGS: not in the payload.
    pub(crate) const GHOST: u64 = 1 << 6;

    pub(crate) const SIG_DSA: u32 = 267;
    pub(crate) const SIG_RSA: u32 = 268;
    pub(crate) const SIG_SHA1: u32 = 269;
    pub(crate) const SIG_SHA256: u32 = 273;
    pub(crate) const SIG_OPENPGP: u32 = 278;
    pub(crate) const SIG_PGP: u32 = 1002;
    pub(crate) const SIG_GPG: u32 = 1005;

    /// Scripts: number, number of its interpreter, name.
    pub(crate) const SCRIPTS: [(u32, u32, &str); 9] = [
        (1151, 1153, "pretrans"),
        (1023, 1085, "pre"),
        (1024, 1086, "post"),
        (1025, 1087, "preun"),
        (1026, 1088, "postun"),
        (1152, 1154, "posttrans"),
        (1079, 1091, "verifyscript"),
        (5104, 5106, "preuntrans"),
        (5105, 5107, "postuntrans"),
    ];

    /// Fields that people look at.
    pub(crate) const FIELDS: [(u32, &str); 26] = [
        (NAME, "Name"),
        (1003, "Epoch"),
        (VERSION, "Version"),
        (1002, "Release"),
        (ARCH, "Arch"),
        (1021, "Os"),
        (1004, "Summary"),
        (1005, "Description"),
        (1006, "Build time"),
        (1007, "Build host"),
        (1009, "Size"),
        (1010, "Distribution"),
        (1011, "Vendor"),
        (1014, "License"),
        (1015, "Packager"),
        (1016, "Group"),
        (1020, "URL"),
        (1044, "Source RPM"),
        (1047, "Provides"),
        (1049, "Requires"),
        (1054, "Conflicts"),
        (1090, "Obsoletes"),
        (1124, "Payload format"),
        (PAYLOAD_COMPRESSOR, "Payload compressor"),
        (1126, "Payload flags"),
        (5062, "Encoding"),
    ];
}

struct Entry {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

/// See the head of this file.
pub(super) struct Header {
    bytes: Vec<u8>,
    index: Vec<Entry>,
    store: usize,
    part: &'static str,
}

impl Header {
    /// Reads the header at `at`; also answers where it ends.
    pub(super) fn read(
        whole: &Section<'_>,
        at: u64,
        part: &'static str,
    ) -> Result<(Self, u64), ReadError> {
        let cut = || ReadError::truncated(part);
        let intro = whole.part(at, 16).ok_or_else(cut)?;
        let (intro, _) = intro.peek::<16>()?;
        if intro[..8] != MAGIC {
            return Err(ReadError::damaged(part, "it does not begin with its magic"));
        }
        let count = be32(&intro, 8).unwrap_or(0);
        let store = be32(&intro, 12).unwrap_or(0);
        if count > MAX_ENTRIES || store > MAX_STORE {
            return Err(ReadError::too_large(part, "65535 entries or 64 MiB"));
        }
        let len = 16 + u64::from(count) * 16 + u64::from(store);
        let all = whole.part(at, len).ok_or_else(cut)?;
        let bytes = all.to_vec(part, len)?;
        let index = bytes[16..16 + count as usize * 16]
            .chunks_exact(16)
            .map(|raw| {
                let field = |at| be32(raw, at).unwrap_or(0);
                Entry {
                    tag: field(0),
                    kind: field(4),
                    offset: field(8) as usize,
                    count: field(12) as usize,
                }
            });
        let index = index.collect();
        let store = 16 + count as usize * 16;
        let header = Self {
            bytes,
            index,
            store,
            part,
        };
        Ok((header, at + len))
    }

    /// All of it, as digests cover it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn has(&self, tag: u32) -> bool {
        self.entry(tag).is_some()
    }

    /// A text that must be there.
    pub(super) fn text(&self, tag: u32) -> Result<String, ReadError> {
        self.text_if_there(tag)?
            .ok_or_else(|| self.bad(format!("tag {tag} is missing")))
    }

    /// The first text of a tag.
    pub(super) fn text_if_there(&self, tag: u32) -> Result<Option<String>, ReadError> {
        match self.entry(tag) {
            None => Ok(None),
            Some(entry) => Ok(self.strings(entry, 1)?.into_iter().next()),
        }
    }

    pub(super) fn number_if_there(&self, tag: u32) -> Result<Option<u64>, ReadError> {
        match self.entry(tag) {
            None => Ok(None),
            Some(entry) => Ok(self.integers(entry)?.into_iter().next()),
        }
    }

    /// One number for each of `count` files.
    pub(super) fn numbers(&self, tag: u32, count: usize) -> Result<Vec<u64>, ReadError> {
        let numbers = match self.entry(tag) {
            Some(entry) => self.integers(entry)?,
            None => Vec::new(),
        };
        self.counted(tag, numbers, count)
    }

    /// One text for each of `count` files.
    pub(super) fn texts(&self, tag: u32, count: usize) -> Result<Vec<String>, ReadError> {
        let texts = match self.entry(tag) {
            Some(entry) => self.strings(entry, entry.count)?,
            None => Vec::new(),
        };
        self.counted(tag, texts, count)
    }

    /// Paths of all files, put together of directories and names.
    pub(super) fn paths(&self) -> Result<Vec<String>, ReadError> {
        if let Some(entry) = self.entry(tag::OLD_FILE_NAMES) {
            return self.strings(entry, entry.count);
        }
        let Some(names) = self.entry(tag::BASE_NAMES) else {
            return Ok(Vec::new());
        };
        let names = self.strings(names, names.count)?;
        let folders = match self.entry(tag::DIR_NAMES) {
            Some(entry) => self.strings(entry, entry.count)?,
            None => Vec::new(),
        };
        let indexes = self.numbers(tag::DIR_INDEXES, names.len())?;
        let mut room = MAX_STORE as usize;
        let joined = names.iter().zip(indexes).map(|(name, index)| {
            let folder = usize::try_from(index)
                .ok()
                .and_then(|index| folders.get(index));
            let folder = folder.ok_or_else(|| self.bad(format!("{name} has no folder")))?;
            // One long folder of a million files would take a million times its length.
            room = room
                .checked_sub(folder.len() + name.len())
                .ok_or_else(|| ReadError::too_large(self.part, "64 MiB of names"))?;
            Ok(format!("{folder}{name}"))
        });
        joined.collect()
    }

    /// Scripts by name, with a `#!` line for their interpreter.
    pub(super) fn scripts(&self) -> Result<Vec<(String, String)>, ReadError> {
        let mut scripts = Vec::new();
        for (tag, program, name) in tag::SCRIPTS {
            let body = self.text_if_there(tag)?;
            let program = match self.entry(program) {
                None => None,
                Some(entry) => Some(self.strings(entry, entry.count.min(16))?.join(" ")),
            };
            let text = match (body, program) {
                (None, None) => continue,
                (body, None) => body.unwrap_or_default(),
                (body, Some(program)) => format!("#!{program}\n{}", body.unwrap_or_default()),
            };
            scripts.push((name.to_owned(), text));
        }
        Ok(scripts)
    }

    /// Fields that people look at, lists one value a line.
    pub(super) fn fields(&self) -> Result<Vec<(String, String)>, ReadError> {
        let mut fields = Vec::new();
        for (tag, name) in tag::FIELDS {
            let Some(entry) = self.entry(tag) else {
                continue;
            };
            let value = match entry.kind {
                6 | 9 => self.strings(entry, 1)?.join(""),
                8 => self.strings(entry, entry.count)?.join("\n"),
                _ => {
                    let numbers = self.integers(entry)?;
                    let words: Vec<_> = numbers.iter().map(u64::to_string).collect();
                    words.join(" ")
                }
            };
            fields.push((name.to_owned(), value));
        }
        Ok(fields)
    }

    fn entry(&self, tag: u32) -> Option<&Entry> {
        self.index.iter().find(|entry| entry.tag == tag)
    }

    fn bad(&self, why: String) -> ReadError {
        ReadError::damaged(self.part, why)
    }

    fn counted<T>(&self, tag: u32, values: Vec<T>, count: usize) -> Result<Vec<T>, ReadError> {
        match values.len() == count {
            true => Ok(values),
            false => Err(self.bad(format!(
                "tag {tag} has {} values for {count} files",
                values.len()
            ))),
        }
    }

    fn at(&self, entry: &Entry) -> Result<&[u8], ReadError> {
        let start = self.store.checked_add(entry.offset);
        start
            .and_then(|start| self.bytes.get(start..))
            .ok_or_else(|| self.bad(format!("tag {} lies outside", entry.tag)))
    }

    /// Types 1 to 5: char, 8, 16, 32 and 64 bits.
    fn integers(&self, entry: &Entry) -> Result<Vec<u64>, ReadError> {
        let width = match entry.kind {
            1 | 2 => 1,
            3 => 2,
            4 => 4,
            5 => 8,
            _ => return Err(self.bad(format!("tag {} is no number", entry.tag))),
        };
        let len = entry.count.checked_mul(width);
        let bytes = len.and_then(|len| self.at(entry).ok()?.get(..len));
        let bytes = bytes.ok_or_else(|| self.bad(format!("tag {} lies outside", entry.tag)))?;
        let number = |raw: &[u8]| raw.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        Ok(bytes.chunks_exact(width).map(number).collect())
    }

    /// Types 6, 8 and 9: texts that end in NUL, one after the other.
    fn strings(&self, entry: &Entry, count: usize) -> Result<Vec<String>, ReadError> {
        if !matches!(entry.kind, 6 | 8 | 9) {
            return Err(self.bad(format!("tag {} is no text", entry.tag)));
        }
        let mut rest = self.at(entry)?;
        let mut strings = Vec::new();
        for _ in 0..count.min(entry.count) {
            let end = rest.iter().position(|&byte| byte == 0);
            let end = end.ok_or_else(|| self.bad(format!("tag {} lies outside", entry.tag)))?;
            strings.push(String::from_utf8_lossy(&rest[..end]).into_owned());
            rest = &rest[end + 1..];
        }
        Ok(strings)
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let raw: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(raw))
}
