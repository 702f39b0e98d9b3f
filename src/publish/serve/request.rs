//! One request's head, and the grammar of what it asks.

use std::io::{self, BufRead};
use std::time::{Duration, Instant};

/// Largest head that is read.
const LIMIT: usize = 16 << 10;

/// What was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, or another word.
    pub method: String,
    /// The path, decoded, without its first slash; none when it cannot be a name.
    pub path: Option<String>,
    /// `Range`.
    pub range: Option<String>,
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
    /// `If-Range`.
    pub if_range: Option<String>,
    /// The connection ends after the answer.
    pub close: bool,
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

impl Request {
    /// Reads the head; nothing when the other side is gone.
    pub fn read(reader: &mut impl BufRead, patience: Duration) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        let begun = Instant::now();
        while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
            if head.len() >= LIMIT || begun.elapsed() > patience {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let taken = match reader.fill_buf() {
                Ok([]) => return Ok(None),
                Ok(bytes) => {
                    let end = bytes.iter().position(|b| *b == b'\n');
                    let n = end.map_or(bytes.len(), |at| at + 1);
                    head.extend_from_slice(&bytes[..n]);
                    n
                }
                Err(e) if is_timeout(&e) => continue,
                Err(e) => return Err(e),
            };
            reader.consume(taken);
        }
        let head = String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData)?;
        Self::parse(&head)
            .map(Some)
            .ok_or(io::ErrorKind::InvalidData.into())
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() || !version.starts_with("HTTP/1.") {
            return None;
        }
        let mut request = Self {
            method: method.to_owned(),
            path: decode(target),
            close: version == "HTTP/1.0",
            ..Self::default()
        };
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let value = value.trim().to_owned();
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = Some(value),
                "if-match" => request.if_match = Some(value),
                "if-none-match" => request.if_none_match = Some(value),
                "if-range" => request.if_range = Some(value),
                "connection" => request.close |= value.eq_ignore_ascii_case("close"),
                // A body is nothing that this server reads: the next request could not be found.
                "content-length" => request.close |= value != "0",
                "transfer-encoding" => request.close = true,
                _ => {}
            }
        }
        Some(request)
    }
}

fn decode(target: &str) -> Option<String> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Whether a list of entity tags holds this one; `*` is any (RFC 9110 §13.1.1).
pub fn lists(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| {
        tag == "*" || tag == etag || tag.strip_prefix("W/").is_some_and(|weak| weak == etag)
    })
}

/// What a range asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Ranged {
    /// Everything: there is no range, or one that is not understood.
    All,
    /// From here to before there.
    Part(u64, u64),
    /// Nothing that exists.
    Outside,
}

/// One range of bytes (RFC 9110 §14.1.2); several are answered with the whole.
pub fn range(text: &str, len: u64) -> Ranged {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Ranged::All;
    };
    let part = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, len.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, len),
        (Err(_), Ok(count)) if first.is_empty() => (len.saturating_sub(count), len),
        _ => return Ranged::All,
    };
    match part.0 < part.1 {
        true => Ranged::Part(part.0, part.1),
        false => Ranged::Outside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, answer) in [
            ("bytes=0-", Ranged::Part(0, 10)),
            ("bytes=3-5", Ranged::Part(3, 6)),
            ("bytes=3-99", Ranged::Part(3, 10)),
            ("bytes=-4", Ranged::Part(6, 10)),
            ("bytes=-99", Ranged::Part(0, 10)),
            ("bytes=10-", Ranged::Outside),
            ("bytes=-0", Ranged::Outside),
            ("bytes=5-3", Ranged::All),
            ("bytes=0-1,4-5", Ranged::All),
            ("lines=0-1", Ranged::All),
        ] {
            assert_eq!(range(text, 10), answer, "{text}");
        }
    }

    #[test]
    fn paths() {
        for (target, path) in [
            ("/a/b", Some("a/b")),
            ("/", Some("")),
            ("/a%20b?x", Some("a b")),
            ("/%zz", None),
            ("/%ff", None),
            ("a", None),
        ] {
            assert_eq!(decode(target).as_deref(), path, "{target}");
        }
    }

    #[test]
    fn tags() {
        assert!(lists("\"a\", W/\"b\"", "\"b\""));
        assert!(lists("*", "\"b\""));
        assert!(!lists("\"a\"", "\"b\""));
    }
}
