//! Names of targets that are safe to store, publish and ask for.
//!
//! Reading accepts whatever upstream signed; this is the rule for names that we sign and for
//! names that become paths on a disk. They must survive a case-insensitive FAT disk and a URL
//! that agents join without escaping.

/// Why a name is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the {what} {value:?} cannot be used: {reason}")]
pub struct NameError {
    /// What the name is for: `channel`, `platform`, `name`, `target name`.
    pub what: &'static str,
    /// The name.
    pub value: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl crate::hint::Hint for NameError {}

/// Checks one name without slashes, such as a channel.
pub fn check_component(what: &'static str, value: &str) -> Result<(), NameError> {
    if value.starts_with('/') {
        return refuse(what, value, "it is an absolute path");
    }
    if value.contains('/') {
        return refuse(what, value, "it contains a slash");
    }
    check_path(what, value)
}

/// Checks a name of one or more components joined by slashes.
pub fn check_path(what: &'static str, value: &str) -> Result<(), NameError> {
    if value.is_empty() {
        return refuse(what, value, "it is empty");
    }
    if value.starts_with('/') {
        return refuse(what, value, "it is an absolute path");
    }
    if value.contains('\\') {
        return refuse(what, value, "it contains a backslash");
    }
    if value.chars().any(char::is_control) {
        return refuse(
            what,
            value,
            "it contains a control character such as a newline",
        );
    }
    // go-tuf 0.5.2: agents join names to the URL unescaped.
    if value.contains(['?', '#', '%', '*', ':', '|', '"', '<', '>']) {
        return refuse(what, value, "it contains one of ? # % * : | \" < >");
    }
    for component in value.split('/') {
        check_part(what, value, component)?;
    }
    Ok(())
}

fn check_part(what: &'static str, value: &str, component: &str) -> Result<(), NameError> {
    if component == ".." {
        return refuse(what, value, "it contains \"..\"");
    }
    if component.is_empty() || component == "." {
        return refuse(what, value, "it has an empty component");
    }
    if component.ends_with(['.', ' ']) || component.starts_with(' ') {
        return refuse(
            what,
            value,
            "a component ends in a dot or begins or ends in a space",
        );
    }
    // Hash prefix of a consistent snapshot (128 hex digits and a dot) included.
    if component.len() > 120 {
        return refuse(what, value, "a component is longer than 120 bytes");
    }
    Ok(())
}

fn refuse(what: &'static str, value: &str, reason: &'static str) -> Result<(), NameError> {
    Err(NameError {
        what,
        value: crate::hint::shortened(value),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in [
            "stable",
            "1.2.3",
            "1",
            "edge",
            "a b",
            "v1+build",
            "äöü",
            "1.2.3-rc~1",
        ] {
            assert!(check_component("channel", good).is_ok(), "{good}");
        }
        assert!(check_path("name", "extensions/hello").is_ok());
        let long = "x".repeat(121);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/etc",
            "a\\b",
            "a\nb",
            "a\0b",
            "a?b",
            "a#b",
            "a%2fb",
            "a:b",
            "x.",
            "x ",
            " x",
            long.as_str(),
        ] {
            assert!(check_component("channel", bad).is_err(), "{bad:?}");
        }
        for bad in ["", "/a", "a//b", "a/", "a/../b", "./a", "a/./b"] {
            assert!(check_path("name", bad).is_err(), "{bad:?}");
        }
    }
}
