//! Target archives (`.tar.gz`): what agents accept, and nothing else.
//!
//! orbit unpacks an archive entry by entry into an existing folder: so directories and
//! regular files only, a directory's entry before what lies in it, no `..`, no absolute
//! name, no link, no device. Refused here already when a target is added, and again when
//! an installer unpacks one. Nothing is written: members are handed to a visitor, while a
//! thread inflates what comes next.

mod guard;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::hint::Hint;
use guard::Guard;

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members.
    pub members: usize,
    /// Bytes of all files together, unpacked.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members: 100_000,
            bytes: 4 << 30,
        }
    }
}

/// The longest path of a member, in bytes.
const PATH_LIMIT: usize = 4096;
/// All paths together, in bytes: they are kept.
const NAMES_LIMIT: usize = 16 << 20;

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Path without a leading `./` or a trailing `/`.
    pub path: String,
    /// Permission bits, without set-id and sticky bits.
    pub mode: u32,
    /// Length of a regular file; `None` for a directory.
    pub len: Option<u64>,
}

/// An archive that agents would not accept. Its name is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is no gzip-compressed tar archive, or ends early.
    #[error("it is no intact .tar.gz archive")]
    Read(#[source] io::Error),
    /// A member that is neither directory nor regular file.
    #[error("{path:?} in it is a {kind}; agents accept directories and regular files only")]
    Kind {
        /// Member.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A name that would leave the folder.
    #[error("{0:?} in it is no path inside a folder")]
    Path(String),
    /// The same path twice.
    #[error("{0:?} is in it twice")]
    Twice(String),
    /// A member whose directory has no entry before it.
    #[error("{path:?} in it comes before the directory it lies in")]
    Order {
        /// Member.
        path: String,
    },
    /// More members than allowed.
    #[error("it has more than {0} members")]
    Members(usize),
    /// More bytes than allowed.
    #[error("it unpacks to more than {0} bytes")]
    Bytes(u64),
    /// A name, or an extension of a header, that is longer than any path.
    #[error("a name in it has {0} bytes")]
    Name(u64),
    /// All names together are too long.
    #[error("the names in it have more than {0} bytes")]
    Names(usize),
    /// A member whose length stands in an extension of its header.
    #[error("a member in it has its length in a pax header")]
    Length,
}

impl ArchiveError {
    /// What reading a member's contents failed for.
    pub fn of_read(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Read)
    }
}

impl Hint for ArchiveError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read(_) | Self::Members(_) | Self::Bytes(_) | Self::Names(_) => None,
            _ => Some("tar --format=ustar --no-xattrs -chzf NAME.tar.gz FOLDER".into()),
        }
    }
}

/// Hands every member of the gzip-compressed tar archive `from` to `visit`, a regular file
/// with its contents. The visitor's error ends the walk.
pub fn walk<E: From<ArchiveError>>(
    from: impl Read + Send,
    limits: Limits,
    visit: impl FnMut(&Member, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let (sender, receiver) = sync_channel(CHUNKS);
    std::thread::scope(|scope| {
        scope.spawn(move || inflate(from, &sender));
        walk_tar(Inflated::from(receiver), limits, visit)
    })
}

/// Bytes that are inflated in one go, and how many such chunks at most wait to be taken.
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 16;

/// Inflates until the end, the first error, or until nobody takes it any more.
fn inflate(from: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    let mut inflated = MultiGzDecoder::new(from);
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = inflated.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        let is_last = read.is_err() || chunk.is_empty();
        // What came before an error is read before it.
        if !chunk.is_empty() && to.send(Ok(chunk)).is_err() {
            return;
        }
        if let Err(error) = read {
            let _nobody_listens = to.send(Err(error));
        }
        if is_last {
            return;
        }
    }
}

/// What the other thread inflates.
struct Inflated {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl From<Receiver<io::Result<Vec<u8>>>> for Inflated {
    fn from(chunks: Receiver<io::Result<Vec<u8>>>) -> Self {
        Self {
            chunks,
            chunk: io::Cursor::default(),
        }
    }
}

impl Read for Inflated {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.chunk.read(into)? {
                0 if !into.is_empty() => {}
                read => return Ok(read),
            }
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = io::Cursor::new(chunk?),
                Err(_) => return Ok(0),
            }
        }
    }
}

fn walk_tar<E: From<ArchiveError>>(
    from: impl Read,
    limits: Limits,
    mut visit: impl FnMut(&Member, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let mut archive = tar::Archive::new(Guard::new(from, limits));
    let mut seen = Seen::new(limits);
    let broken = |error| E::from(ArchiveError::of_read(error));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if let Some(member) = member_of(&entry)? {
            seen.add(&member)?;
            visit(&member, &mut entry)?;
        }
    }
    // What follows the archive's end belongs to the gzip stream, whose checksum comes last.
    let mut rest = archive.into_inner();
    match drain(&mut rest, limits.bytes).map_err(broken)? {
        true => Ok(()),
        false => Err(ArchiveError::Bytes(limits.bytes).into()),
    }
}

fn drain(from: &mut dyn Read, limit: u64) -> io::Result<bool> {
    Ok(io::copy(&mut from.take(limit), &mut io::sink())? < limit)
}

/// The member that an entry stands for; `None` for the archive's own folder.
fn member_of(entry: &tar::Entry<'_, impl Read>) -> Result<Option<Member>, ArchiveError> {
    let raw = entry.path_bytes();
    let shown = String::from_utf8_lossy(&raw).into_owned();
    let header = entry.header();
    let len = match kind_of(header.entry_type()) {
        Ok(is_file) => is_file.then_some(entry.size()),
        Err(kind) => return Err(ArchiveError::Kind { path: shown, kind }),
    };
    let text = std::str::from_utf8(&raw).map_err(|_| ArchiveError::Path(shown.clone()))?;
    let text = text.strip_prefix("./").unwrap_or(text);
    let path = text.strip_suffix('/').unwrap_or(text);
    if len.is_none() && matches!(path, "" | ".") {
        return Ok(None);
    }
    if !is_inside(path) {
        return Err(ArchiveError::Path(shown));
    }
    let mode = header.mode().map_err(ArchiveError::Read)?;
    Ok(Some(Member {
        path: path.to_owned(),
        mode: mode & 0o777,
        len,
    }))
}

/// Whether a member is a regular file (or a directory), or what else it is.
fn kind_of(kind: EntryType) -> Result<bool, &'static str> {
    match kind {
        EntryType::Regular => Ok(true),
        EntryType::Directory => Ok(false),
        EntryType::Symlink => Err("symbolic link"),
        EntryType::Link => Err("hard link"),
        EntryType::Char | EntryType::Block => Err("device node"),
        EntryType::Fifo => Err("named pipe"),
        EntryType::GNUSparse => Err("sparse file"),
        _ => Err("member of another kind"),
    }
}

fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    path.len() <= PATH_LIMIT
        && !path.contains(|c: char| c == '\\' || c.is_control())
        && path.split('/').all(plain)
}

struct Seen {
    limits: Limits,
    bytes: u64,
    names: usize,
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Seen {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            bytes: 0,
            names: 0,
            files: BTreeSet::new(),
            folders: BTreeSet::new(),
        }
    }

    fn add(&mut self, member: &Member) -> Result<(), ArchiveError> {
        let path = &member.path;
        if let Some((folder, _)) = path.rsplit_once('/')
            && !self.folders.contains(folder)
        {
            return Err(ArchiveError::Order { path: path.clone() });
        }
        if self.files.contains(path) || self.folders.contains(path) {
            return Err(ArchiveError::Twice(path.clone()));
        }
        match member.len {
            None => self.folders.insert(path.clone()),
            Some(_) => self.files.insert(path.clone()),
        };
        if self.files.len() + self.folders.len() > self.limits.members {
            return Err(ArchiveError::Members(self.limits.members));
        }
        self.names += path.len();
        if self.names > NAMES_LIMIT {
            return Err(ArchiveError::Names(NAMES_LIMIT));
        }
        self.bytes = self.bytes.saturating_add(member.len.unwrap_or(0));
        match self.bytes > self.limits.bytes {
            true => Err(ArchiveError::Bytes(self.limits.bytes)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// One entry of a made-up archive: type, name, size field, contents.
    type Row<'a> = (EntryType, &'a str, &'a [u8]);
    const FILE: EntryType = EntryType::Regular;
    const FOLDER: EntryType = EntryType::Directory;

    fn archive(rows: &[Row<'_>]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (kind, name, contents) in rows {
            let mut header = tar::Header::new_gnu();
            // Written raw: the crate's own setter refuses what this test is about.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            header.set_size(contents.len() as u64);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("elsewhere").unwrap();
            }
            header.set_cksum();
            tar.extend_from_slice(header.as_bytes());
            tar.extend_from_slice(contents);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.resize(tar.len() + 1024, 0);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar).unwrap();
        gzip.finish().unwrap()
    }

    fn listing(bytes: &[u8], limits: Limits) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        walk::<ArchiveError>(bytes, limits, |member, contents| {
            let mut text = String::new();
            contents
                .read_to_string(&mut text)
                .map_err(ArchiveError::of_read)?;
            found.push(format!("{} {:o} {text}", member.path, member.mode));
            Ok(())
        })
        .map(|()| found)
        .map_err(|e| e.to_string())
    }

    #[test]
    fn accepted() {
        let rows: &[Row<'_>] = &[
            (FOLDER, "./", b""),
            (FOLDER, "./a/", b""),
            (FILE, "./a/b", b"contents"),
            (FILE, "c", b""),
        ];
        let expected = ["a 755 ", "a/b 755 contents", "c 755 "].map(String::from);
        assert_eq!(
            listing(&archive(rows), Limits::default()),
            Ok(expected.to_vec())
        );
    }

    #[test]
    fn kinds_refused() {
        for (kind, word) in [
            (EntryType::Symlink, "symbolic link"),
            (EntryType::Link, "hard link"),
            (EntryType::Char, "device node"),
            (EntryType::Block, "device node"),
            (EntryType::Fifo, "named pipe"),
            (EntryType::Continuous, "member of another kind"),
        ] {
            let found = listing(&archive(&[(kind, "a", b"")]), Limits::default());
            let sentence = format!(
                "\"a\" in it is a {word}; agents accept directories and regular files only"
            );
            assert_eq!(found, Err(sentence));
        }
    }

    #[test]
    fn paths_refused() {
        for name in ["/a", "../a", "a/../../b", "a\\b", "a\nb", "a//b", "a/./b"] {
            let found = listing(&archive(&[(FILE, name, b"")]), Limits::default());
            assert_eq!(
                found,
                Err(format!("{name:?} in it is no path inside a folder"))
            );
        }
    }

    #[test]
    fn arrangements_refused() {
        let cases: &[(&[Row<'_>], &str)] = &[
            (
                &[(FILE, "a/b", b"")],
                "\"a/b\" in it comes before the directory it lies in",
            ),
            (
                &[(FILE, "a", b""), (FILE, "./a", b"")],
                "\"a\" is in it twice",
            ),
            (
                &[(FOLDER, "a", b""), (FILE, "a", b"")],
                "\"a\" is in it twice",
            ),
            (
                &[(FILE, "a", b""), (FILE, "b", b""), (FILE, "c", b"")],
                "it has more than 2 members",
            ),
            (
                &[(FILE, "a", &[7; 5000])],
                "it unpacks to more than 4096 bytes",
            ),
        ];
        let limits = Limits {
            members: 2,
            bytes: 4096,
        };
        for (rows, sentence) in cases {
            assert_eq!(listing(&archive(rows), limits), Err((*sentence).into()));
        }
    }

    #[test]
    fn headers_beside_members() {
        let long = [b'n'; 100];
        let rows: &[Row<'_>] = &[
            (EntryType::GNULongName, "././@LongLink", &long),
            (FILE, "n", b"x"),
        ];
        let name = format!("{} 755 x", "n".repeat(100));
        assert_eq!(listing(&archive(rows), Limits::default()), Ok(vec![name]));
        let pax = b"13 path=abcd\n";
        let rows: &[Row<'_>] = &[(EntryType::XHeader, "pax", pax), (FILE, "a", b"x")];
        let found = listing(&archive(rows), Limits::default());
        assert_eq!(found, Ok(vec!["abcd 755 x".to_owned()]));
        let too_long = vec![b'n'; 5000];
        let extended = vec![b'n'; (1 << 20) + 1];
        let own = vec![(FOLDER, "./", &b""[..]); 13];
        let cases: &[(&[Row<'_>], &str)] = &[
            (
                &[
                    (EntryType::GNULongName, "././@LongLink", &too_long),
                    (FILE, "n", b"x"),
                ],
                "a name in it has 5000 bytes",
            ),
            (
                &[
                    (EntryType::GNULongLink, "././@LongLink", &too_long),
                    (FILE, "n", b"x"),
                ],
                "a name in it has 5000 bytes",
            ),
            (
                &[(EntryType::XHeader, "pax", &extended), (FILE, "a", b"x")],
                "a name in it has 1048577 bytes",
            ),
            (
                &[
                    (EntryType::XHeader, "pax", b"11 size=99\n"),
                    (FILE, "a", b"x"),
                ],
                "a member in it has its length in a pax header",
            ),
            (
                &[(EntryType::GNUSparse, "a", b"x")],
                "\"a\" in it is a sparse file; agents accept directories and regular files only",
            ),
            (&own, "it has more than 2 members"),
            // A directory has no contents, but a header may say that it has.
            (
                &[(FOLDER, "a/", &[0; 20_000])],
                "it unpacks to more than 4096 bytes",
            ),
        ];
        let limits = Limits {
            members: 2,
            bytes: 4096,
        };
        for (rows, sentence) in cases {
            assert_eq!(listing(&archive(rows), limits), Err((*sentence).into()));
        }
    }

    #[test]
    fn broken() {
        let whole = archive(&[(FILE, "a", &[7; 700])]);
        let mut flipped = whole.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        let cases = [
            ("empty", vec![]),
            ("text", b"no archive".to_vec()),
            ("cut off", whole[..whole.len() - 12].to_vec()),
            ("checksum", flipped),
        ];
        for (name, bytes) in cases {
            let found = listing(&bytes, Limits::default());
            assert_eq!(
                found,
                Err("it is no intact .tar.gz archive".into()),
                "{name}"
            );
        }
    }
}
