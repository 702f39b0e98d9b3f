//! The outer archive of a deb (deb(5)): `ar` in its common form, names without a slash.
//!
//! ```text
//! name[16] mtime[12] uid[6] gid[6] mode[8] size[10] "`\n"    decimal, mode octal, blanks
//! contents, then "\n" when their length is odd
//! ```

use super::{BuildError, Output, unfit};

/// The archive's first bytes.
pub(super) const MAGIC: &[u8] = b"!<arch>\n";

/// Offset of the size in a header.
const SIZE: u64 = 48;
const HEADER: u64 = 60;

/// The largest size that ten decimal digits hold.
const LARGEST: u64 = 9_999_999_999;

/// A member whose size is not known yet.
pub(super) struct Begun {
    header: u64,
}

/// Appends a whole member.
pub(super) fn member(
    out: &mut Output,
    name: &str,
    epoch: u64,
    contents: &[u8],
) -> Result<(), BuildError> {
    let begun = begin(out, name, epoch)?;
    out.append(contents)?;
    end(out, begun)
}

/// Appends a header; contents follow, then [`end`].
pub(super) fn begin(out: &mut Output, name: &str, epoch: u64) -> Result<Begun, BuildError> {
    let header = out.position();
    let size = "";
    out.append(
        format!(
            "{name:<16}{epoch:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            0, 0, "100644"
        )
        .as_bytes(),
    )?;
    Ok(Begun { header })
}

/// Writes down the size of what was appended since [`begin`].
pub(super) fn end(out: &mut Output, begun: Begun) -> Result<(), BuildError> {
    let size = out.position() - begun.header - HEADER;
    if size > LARGEST {
        return Err(unfit(format!(
            "{size} bytes of compressed files; at most {LARGEST} fit"
        )));
    }
    out.patch(begun.header + SIZE, format!("{size:<10}").as_bytes())?;
    if size % 2 == 1 {
        out.append(b"\n")?;
    }
    Ok(())
}
