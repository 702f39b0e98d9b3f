//! The command that makes an installer once more.

use crate::inspect::Report;

/// What of the command a report does not tell.
const REST: &str = ", with its other flags as they were";

/// Makes the installer anew from the repository at `place`.
pub fn again(report: &Report, place: &str) -> String {
    format!("{}{REST}", command(report, place))
}

/// The same with one flag more.
pub fn again_with(report: &Report, place: &str, flag: &str) -> String {
    format!("{} {flag}{REST}", command(report, place))
}

fn command(report: &Report, place: &str) -> String {
    let arch = match report.arch.as_str() {
        "arm64" | "aarch64" | "Arm64" if report.format != "pkg" => " --arch arm64",
        _ => "",
    };
    format!(
        "fleetpack package --type {}{arch} --update-url {} --update-roots @root.json --outfile {}",
        report.format,
        word(place),
        word(&report.file.name)
    )
}

/// One word of a shell.
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
    fn words() {
        for (text, quoted) in [
            (
                "https://updates.example.com/a",
                "https://updates.example.com/a",
            ),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }
}
