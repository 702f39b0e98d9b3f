//! What deb, rpm and Arch packages have in common: facts about Linux distributions.
//!
//! Here stands what two of these formats would otherwise decide twice: their words for a
//! processor, which directories belong to the system, which characters a version may have,
//! and how many bits a time stamp has.

use super::{BuildError, Compression, Format};
use crate::compress::Codec;
use crate::install::{Arch, Identity};

/// How many frames a format's readers take in one zstd stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// dpkg-deb stops after the first.
    One,
    /// rpm and pacman read on.
    Several,
}

/// Codec and level for a word of `--compression`: those of the distributions' own build
/// tools, but for xz, whose higher presets take more memory on every host that installs.
pub fn codec(compression: Compression, frames: Frames) -> Codec {
    match (compression, frames) {
        (Compression::Gzip, _) => Codec::Gzip(6),
        (Compression::Zstd, Frames::One) => Codec::Zstd(ZSTD_LEVEL),
        (Compression::Zstd, Frames::Several) => Codec::ZstdFrames(ZSTD_LEVEL),
        (Compression::Xz, _) => Codec::Xz(6),
        (Compression::None, _) => Codec::Store,
    }
}

const ZSTD_LEVEL: i32 = 9;

/// Directories that a distribution's own packages own, with the modes that it chose for them.
const SYSTEM_DIRECTORIES: [&str; 16] = [
    "/bin",
    "/etc",
    "/etc/default",
    "/lib",
    "/opt",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib/systemd",
    "/usr/lib/systemd/system",
    "/usr/local",
    "/usr/local/bin",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/log",
];

/// Whether a path is a directory of the system itself.
pub fn is_system_directory(path: &str) -> bool {
    SYSTEM_DIRECTORIES.binary_search(&path).is_ok()
}

/// The word that rpm and pacman have for a processor (`uname -m`).
pub fn machine(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 | Arch::Universal => "x86_64",
        Arch::Arm64 => "aarch64",
    }
}

/// A time stamp where a format has 32 bits for it.
pub fn epoch32(epoch: u64, format: Format) -> Result<u32, BuildError> {
    u32::try_from(epoch).map_err(|_| BuildError::Unfit {
        format,
        what: format!("the time stamp {epoch}: it is after the year 2106"),
    })
}

/// Refuses a version with other characters than letters, digits and `allowed`. The version
/// goes in as it was published: one rewritten (`-` to `~`) would compare in another order
/// than the agent's own.
pub fn check_version(identity: &Identity, format: Format, allowed: &str) -> Result<(), BuildError> {
    let version = &identity.version;
    let unfit = |why: &str| BuildError::Unfit {
        format,
        what: format!("the version {version:?}: {why}"),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || allowed.contains(c);
    match version.chars().find(|&c| !fits(c)) {
        Some(c) => Err(unfit(&format!(
            "{c:?} is not among letters, digits and {allowed}"
        ))),
        None if version.is_empty() => Err(unfit("it is empty")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_directories_are_sorted_and_found() {
        assert!(SYSTEM_DIRECTORIES.is_sorted());
        for (path, expected) in [
            ("/opt", true),
            ("/usr/lib/systemd/system", true),
            ("/opt/orbit", false),
            ("/var/log/orbit", false),
            ("/optional", false),
        ] {
            assert_eq!(is_system_directory(path), expected, "{path}");
        }
    }
}
