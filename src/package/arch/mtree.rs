//! `.MTREE`: type, owner, mode, time, length and digests of every path, for `pacman -Qkk`.
//!
//! One line per path (mtree(5)); a first line sets what most have in common. pacman makes its
//! list of files of it, so no path may be missing. Up to 6.0 pacman wants MD5 beside sha256.
//! A file that holds a secret has no digest, as everybody on the host can read the list:
//! `pacman -Qkk` tells it as altered.

use std::collections::HashMap;
use std::fmt::Write;

use crate::compress::{Digests, Wanted};
use crate::install::{Content, Entry, Node, Tree};

/// MD5 of shared contents, by their sha256.
pub type Known = HashMap<[u8; 32], Digests>;

/// The text of `.MTREE`; `leading` are pacman's own members.
pub fn list(leading: &[(&str, &[u8])], tree: &Tree, known: &Known, epoch: u64) -> String {
    let mut text = String::from("#mtree\n/set type=file uid=0 gid=0 mode=644\n");
    for (name, bytes) in leading {
        let digests = digests(&Digests::of(bytes, Wanted::MD5));
        let len = bytes.len();
        line(
            &mut text,
            name,
            &format!("time={epoch}.0 size={len}{digests}"),
        );
    }
    for entry in &tree.entries {
        let path = entry.path.trim_start_matches('/');
        line(&mut text, path, &facts(entry, known, epoch));
    }
    text
}

fn line(text: &mut String, name: &str, facts: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "./{} {facts}", quoted(name));
}

fn facts(entry: &Entry, known: &Known, epoch: u64) -> String {
    let mode = match entry.mode {
        0o644 => String::new(),
        mode => format!(" mode={mode:o}"),
    };
    match &entry.node {
        Node::Directory => format!("time={epoch}.0{mode} type=dir"),
        Node::Link(target) => format!("time={epoch}.0{mode} type=link link={}", quoted(target)),
        Node::File(content) => {
            let digests = match entry.secret {
                true => String::new(),
                false => content_digests(content, known),
            };
            format!("time={epoch}.0{mode} size={}{digests}", content.len())
        }
    }
}

fn content_digests(content: &Content, known: &Known) -> String {
    match content {
        Content::Customer(customer) => digests(&Digests::of(customer.bytes(), Wanted::MD5)),
        Content::Shared(shared) => match known.get(shared.sha256()) {
            Some(known) => digests(known),
            None => format!(" sha256digest={}", hex::encode(shared.sha256())),
        },
    }
}

fn digests(known: &Digests) -> String {
    let md5 = known
        .md5
        .map(|md5| format!(" md5digest={}", hex::encode(md5)));
    let sha256 = hex::encode(known.sha256);
    format!("{} sha256digest={sha256}", md5.unwrap_or_default())
}

/// vis(3): what is no visible ASCII character, and what has a meaning, as `\` and three
/// octal digits.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'\\' | b'#' | b'=' | b'*' | b'?' | b'[' => {
                let _ = write!(text, "\\{byte:03o}");
            }
            byte if byte.is_ascii_graphic() => text.push(char::from(byte)),
            byte => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let cases = [
            ("plain", "opt/orbit", "opt/orbit"),
            ("a blank", "Fleet Desktop", "Fleet\\040Desktop"),
            ("a comment", "#a", "\\043a"),
            ("a backslash", "a\\b", "a\\134b"),
            ("no ASCII", "é", "\\303\\251"),
        ];
        for (name, path, expected) in cases {
            assert_eq!(quoted(path), expected, "{name}");
        }
    }

    #[test]
    fn facts_of_entries() {
        let cases = [
            (
                "directory",
                Entry::directory("/a"),
                "time=7.0 mode=755 type=dir",
            ),
            (
                "link",
                Entry::link("/a", "/b c"),
                "time=7.0 mode=777 type=link link=/b\\040c",
            ),
            (
                "file of the common mode",
                Entry::customer("/a", 0o644, ""),
                "time=7.0 size=0 md5digest=d41d8cd98f00b204e9800998ecf8427e sha256digest=\
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                "secret",
                Entry::customer("/a", 0o600, "s").secret(),
                "time=7.0 mode=600 size=1",
            ),
        ];
        for (name, entry, expected) in cases {
            assert_eq!(facts(&entry, &Known::new(), 7), expected, "{name}");
        }
    }
}
