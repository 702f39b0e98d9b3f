//! mtree: the list of files that pacman packages carry.
//!
//! ```text
//! #mtree
//! /set type=file uid=0 gid=0 mode=644
//! ./opt/orbit time=… mode=755 type=dir
//! ./a\040b time=… size=3 md5digest=… sha256digest=…
//! ```
//! Names escape bytes as `\ooo`. Documents: mtree(5) of libarchive.

use std::collections::BTreeMap;

use super::ReadError;
use super::collect::absolute;

/// What the list says of one path. Words that are not there are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Option<String>,
    pub(super) mode: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) link: Option<String>,
}

/// Parses a whole list; paths come out absolute.
pub(super) fn parse(text: &[u8]) -> Result<BTreeMap<String, Line>, ReadError> {
    let mut lines = BTreeMap::new();
    let mut default = Line::default();
    for raw in text.split(|&byte| byte == b'\n') {
        let mut words = raw
            .split(|&byte| byte == b' ')
            .filter(|word| !word.is_empty());
        let Some(first) = words.next() else {
            continue;
        };
        match first {
            [b'#', ..] => {}
            b"/set" => words.try_for_each(|word| take(&mut default, word))?,
            b"/unset" => default = Line::default(),
            name => {
                let mut line = default.clone();
                words.try_for_each(|word| take(&mut line, word))?;
                lines.insert(absolute("/", &unescape(name), ".MTREE")?, line);
            }
        }
    }
    Ok(lines)
}

fn take(line: &mut Line, word: &[u8]) -> Result<(), ReadError> {
    let bad = || {
        let word = String::from_utf8_lossy(word).into_owned();
        ReadError::damaged(".MTREE", format!("{word:?} is no word of it"))
    };
    let equals = word.iter().position(|&byte| byte == b'=').ok_or_else(bad)?;
    let value = unescape(&word[equals + 1..]);
    let value = String::from_utf8_lossy(&value).into_owned();
    match &word[..equals] {
        b"type" => line.kind = Some(value),
        b"mode" => line.mode = Some(u32::from_str_radix(&value, 8).map_err(|_| bad())?),
        b"size" => line.size = Some(value.parse().map_err(|_| bad())?),
        b"link" => line.link = Some(value),
        b"sha256digest" | b"sha256" => {
            let mut sum = [0; 32];
            hex::decode_to_slice(value, &mut sum).map_err(|_| bad())?;
            line.sha256 = Some(sum);
        }
        _ => {}
    }
    Ok(())
}

/// `\ooo` is a byte in octal.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_escapes() {
        let text = b"#mtree\n/set type=file mode=644\n./a\\040b size=3\n./d mode=755 type=dir\n\
            ./l type=link link=/x\\134y\n";
        let lines = parse(text).unwrap();
        let seen: Vec<_> = lines
            .iter()
            .map(|(path, line)| (path.as_str(), line.mode, line.size, line.link.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("/a b", Some(0o644), Some(3), None),
                ("/d", Some(0o755), None, None),
                ("/l", Some(0o644), None, Some("/x\\y")),
            ]
        );
    }

    #[test]
    fn refused() {
        for text in [
            "./a size",
            "./a size=x",
            "./a sha256digest=00",
            "./../a size=1",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
