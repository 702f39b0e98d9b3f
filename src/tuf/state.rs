//! What a client keeps between runs: the last documents it trusted, so that a repository
//! cannot be rolled back between two runs (TUF 5.2 to 5.6, "persist").
//!
//! A folder holds `root.json`, `timestamp.json`, `snapshot.json` and `targets.json`. Each
//! anchor and address has a folder of its own: another trust anchor starts anew.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::metadata::Role;

/// A client's memory.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// In this folder and no other.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// In a folder below `base` for this anchor and this repository's address.
    pub fn for_repository(base: &Path, anchor: &[u8], address: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(digest::digest(&digest::SHA256, anchor).as_ref());
        context.update(address.trim_end_matches('/').as_bytes());
        let name = hex::encode(&context.finish().as_ref()[..16]);
        Self::at(&base.join("clients").join(name))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A kept document; one larger than `limit` is as good as none.
    pub fn read(&self, role: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match crate::fs::read_document(&self.file(role), limit) {
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => Ok(None),
            read => read,
        }
    }

    /// Keeps a document.
    pub fn write(&self, role: &str, bytes: &[u8]) -> io::Result<()> {
        crate::fs::create_folders(&self.folder, 0o755)?;
        crate::fs::write_atomic(&self.file(role), bytes, 0o644)
    }

    /// Forgets a document.
    pub fn forget(&self, role: &str) -> io::Result<()> {
        crate::fs::remove(&self.file(role))
    }

    // On a disk that ignores case a delegated role `Root` must not take the place of `root`.
    fn file(&self, role: &str) -> PathBuf {
        let like_a_top_level_one = Role::ALL
            .into_iter()
            .any(|top| top.name() != role && top.name().eq_ignore_ascii_case(role));
        let mut name = quoted(role);
        if like_a_top_level_one {
            let head = format!("%{:02X}", name.remove(0) as u32);
            name.insert_str(0, &head);
        }
        self.folder.join(format!("{name}.json"))
    }
}

/// A role's name as a file name and as one part of a URL: every byte but letters, digits and
/// `-._~` as `%XX` (RFC 3986 §2.1), as python-tuf does.
pub fn quoted(role: &str) -> String {
    let mut out = String::new();
    for byte in role.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_alone_do_not_collide() {
        let state = State::at(Path::new("state"));
        for (role, file) in [
            ("root", "root.json"),
            ("Root", "%52oot.json"),
            ("timestamp", "timestamp.json"),
            ("tImestamp", "%74Imestamp.json"),
            ("TARGETS", "%54ARGETS.json"),
            ("%52oot", "%2552oot.json"),
            ("Roots", "Roots.json"),
            ("../Root", "..%2FRoot.json"),
        ] {
            assert_eq!(state.file(role), Path::new("state").join(file), "{role}");
        }
    }
}
