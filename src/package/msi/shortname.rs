//! Names in the 8.3 form that every file and folder needs beside its long one.
//!
//! A name that has that form already is its own. For others the short name is made of a hash,
//! so that it does not depend on what else lies in the folder, and never of `~1`, which
//! Windows makes itself. Document: Windows Installer, data type Filename.

use std::collections::BTreeSet;

use super::guid::{Purpose, derive};

/// Digits of a short name's number.
const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The text for a FileName or DefaultDir column: `SHORT|long`, or the name alone when it has
/// 8.3 form. `taken` holds the short names of the same folder in upper case, and gets this one.
pub fn column(name: &str, taken: &mut BTreeSet<String>) -> String {
    if is_short(name) && taken.insert(name.to_ascii_uppercase()) {
        return name.to_owned();
    }
    let extension = extension(name);
    let mut salt = 0u32;
    loop {
        let short = format!("{}{extension}", stem(name, salt));
        if taken.insert(short.clone()) {
            return format!("{short}|{name}");
        }
        salt += 1;
    }
}

fn is_short(name: &str) -> bool {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let plain = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    let dot_ends = name.ends_with('.');
    (1..=8).contains(&stem.len())
        && extension.len() <= 3
        && plain(stem)
        && plain(extension)
        && !dot_ends
}

/// `.EXE` of `orbit.exe`: at most three plain characters, or nothing.
fn extension(name: &str) -> String {
    let Some((_, extension)) = name.rsplit_once('.') else {
        return String::new();
    };
    let kept: String = extension
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(3)
        .collect();
    match kept.is_empty() {
        true => kept,
        false => format!(".{}", kept.to_ascii_uppercase()),
    }
}

/// `F` and seven digits in base 36 of a hash of the name.
fn stem(name: &str, salt: u32) -> String {
    let id = derive(
        Purpose::Key,
        format!("{salt}|{}", name.to_lowercase()).as_bytes(),
    );
    let mut number = id.as_u128();
    let mut stem = String::from("F");
    for _ in 0..7 {
        stem.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form() {
        let cases = [
            ("already short", "orbit.exe", "orbit.exe"),
            ("no extension", "bin", "bin"),
            (
                "stem too long",
                "osqueryd1.exe",
                "FXXXXXXX.EXE|osqueryd1.exe",
            ),
            ("extension too long", "a.flags", "FXXXXXXX.FLA|a.flags"),
            ("two dots", "a.ext.exe", "FXXXXXXX.EXE|a.ext.exe"),
            ("space", "a b", "FXXXXXXX|a b"),
            ("leading dot", ".x", "FXXXXXXX.X|.x"),
            ("tilde", "a~1", "FXXXXXXX|a~1"),
        ];
        for (case, name, wanted) in cases {
            let got = column(name, &mut BTreeSet::new());
            let shape: String = match got.split_once('|') {
                Some((short, long)) => {
                    let rest = short.get(8..).unwrap_or_default();
                    assert!(is_short(short), "{case}: {short}");
                    format!("FXXXXXXX{rest}|{long}")
                }
                None => got.clone(),
            };
            assert_eq!(shape, wanted, "{case}");
        }
    }

    #[test]
    fn unique_in_a_folder() {
        let mut taken = BTreeSet::new();
        assert_eq!(column("a.b", &mut taken), "a.b");
        let second = column("A.B", &mut taken);
        assert_ne!(second, "A.B");
        let third = column("A.B", &mut taken);
        assert_ne!(second, third);
    }

    #[test]
    fn the_same_every_time() {
        let short = column("installer_utils.ps1", &mut BTreeSet::new());
        assert_eq!(short, column("installer_utils.ps1", &mut BTreeSet::new()));
    }
}
