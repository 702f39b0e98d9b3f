//! Text that a person has looked at once, kept under `tests/fixtures`.
//!
//! `FLEETPACK_REWRITE_GOLDENS=1` writes what the tests see instead of comparing; the
//! difference is then read with `git diff`.

use std::path::{Path, PathBuf};

/// The folder of the test data.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Compares text with `tests/fixtures/<name>`.
#[track_caller]
pub fn golden(name: &str, actual: &str) {
    let path = fixtures().join(name);
    if std::env::var_os("FLEETPACK_REWRITE_GOLDENS").is_some_and(|v| v == "1") {
        assert!(!super::tools::in_ci(), "goldens are not rewritten in CI");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| {
        panic!("{name}: {e}; FLEETPACK_REWRITE_GOLDENS=1 makes it of:\n{actual}")
    });
    if let Some(difference) = difference(&expected, actual) {
        panic!("{name} differs (FLEETPACK_REWRITE_GOLDENS=1 takes the new text):\n{difference}");
    }
}

/// The first differing line with what surrounds it; `None` when the texts are the same.
pub fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (old, new): (Vec<_>, Vec<_>) = (
        expected.split_inclusive('\n').collect(),
        actual.split_inclusive('\n').collect(),
    );
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let quote = |lines: &[&str], mark: char| -> String {
        let from = same.min(lines.len());
        let to = (same + 6).min(lines.len());
        lines[from..to]
            .iter()
            .map(|line| format!("{mark} {line:?}\n"))
            .collect()
    };
    Some(format!(
        "line {}:\n{}{}",
        same + 1,
        quote(&old, '-'),
        quote(&new, '+')
    ))
}
