//! What a person can do about an error.
//!
//! An error's sentence says what was tried on what; its `source` says why it failed; the
//! hint is a command or a variable that would have worked. Only the top level prints it.

/// An error that may know the way out.
pub trait Hint {
    /// A command to run or a flag or variable to set, in one line without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The most of a value that an error shows, in characters.
const SHOWN: usize = 200;

/// A value as an error shows it: what is very long is cut off.
pub fn shortened(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}

/// An address as it may be shown: without a user's name and password, and what follows `?`.
pub fn bare(address: &str) -> String {
    let (front, hidden) = match address.split_once('?') {
        Some((front, _)) => (front, "?…"),
        None => (address, ""),
    };
    let (scheme, rest) = match front.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), front),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match authority.rsplit_once('@') {
        Some((user, host)) if !scheme.is_empty() || user.contains(':') => host,
        _ => authority,
    };
    format!("{scheme}{host}{path}{hidden}")
}

/// A text with every address in it [`bare`]. An address ends with a space, or where the next
/// variable of a Windows service begins (`[~]`).
pub fn bare_within(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let start = rest[..at].trim_end_matches(of_scheme).len();
        let (before, address) = rest.split_at(start);
        let ends = [address.find(char::is_whitespace), address.find("[~]")];
        let end = ends.into_iter().flatten().min().unwrap_or(address.len());
        shown.push_str(before);
        shown.push_str(&bare(&address[..end]));
        rest = &address[end..];
    }
    shown + rest
}

/// A text as one word of a shell.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:@%+=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_of_a_shell() {
        for (text, quoted) in [
            ("https://a.example/b", "https://a.example/b"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }

    #[test]
    fn long_values_are_cut_off() {
        assert_eq!(shortened("ü"), "ü");
        assert_eq!(shortened(&"ü".repeat(SHOWN)), "ü".repeat(SHOWN));
        let cut = shortened(&"ü".repeat(SHOWN + 1));
        assert_eq!(cut, format!("{}…", "ü".repeat(SHOWN)));
    }

    #[test]
    fn addresses_in_a_text() {
        for (text, shown) in [
            ("no address", "no address"),
            ("https://me:w@a.example", "https://a.example"),
            (
                "A=https://me:it's@a.example/x[~]B=1[~]C=http://b:c@d",
                "A=https://a.example/x[~]B=1[~]C=http://d",
            ),
            (
                "see https://a.example/x?t=1 and ://",
                "see https://a.example/x?… and ://",
            ),
            ("a@b", "a@b"),
        ] {
            assert_eq!(bare_within(text), shown);
        }
    }

    #[test]
    fn addresses_are_shown_without_what_is_secret_in_them() {
        for (address, shown) in [
            ("https://a.example:8080/x", "https://a.example:8080/x"),
            ("https://me:word@a.example/x@y", "https://a.example/x@y"),
            ("https://me:w@rd@a.example", "https://a.example"),
            ("https://a.example/x?token=1", "https://a.example/x?…"),
            ("me:word@a.example", "a.example"),
            ("/a@b/updates", "/a@b/updates"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(bare(address), shown);
        }
    }
}
