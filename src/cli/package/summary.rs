//! What a run made, in one look: a line per installer, and the flags it went without.

use super::build::Built;

/// The lines, for people.
pub fn lines(installers: &[Built]) -> Vec<String> {
    let mut lines: Vec<String> = installers.iter().map(line).collect();
    if installers.len() > 1 {
        let bytes: u64 = installers.iter().map(|built| built.size).sum();
        lines.push(format!(
            "{} installers, {} in all",
            installers.len(),
            size(bytes)
        ));
    }
    lines
}

fn line(built: &Built) -> String {
    let name = built.path.file_name().unwrap_or(built.path.as_os_str());
    let mut line = format!("{}: {}", name.display(), size(built.size));
    if !built.left_out.is_empty() {
        line.push_str(&format!(
            "; {} does not apply to {}",
            built.left_out.join(", "),
            built.format
        ));
    }
    line
}

/// Bytes in a unit that leaves at most three digits before the point.
pub fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, word)) => format!("{}.{} {word}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (53_480_000, "53.4 MB"),
            (2_999_999_999, "2.9 GB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
