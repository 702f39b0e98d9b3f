//! Hints that can be typed where the mistake was made: a command of ours in a hint gets the
//! `--path` and `--keys` that the person gave.

use std::path::Path;

use super::definitions;
use crate::hint::word;

/// What a person said about where the repository is.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    flags: Vec<(&'static str, String)>,
}

impl Typed {
    /// The folder of the repository, and that of the keys when it is another.
    pub fn new(path: &Path, keys: Option<&Path>) -> Self {
        let shown = |path: &Path| word(&path.display().to_string());
        let mut flags = Vec::new();
        let here = path.as_os_str().is_empty() || path == Path::new(".");
        if !here {
            flags.push(("path", shown(path)));
        }
        flags.extend(keys.map(|keys| ("keys", shown(keys))));
        Self { flags }
    }

    /// The hint with these flags in every command of ours that takes them and names no place.
    pub fn placed(&self, hint: String) -> String {
        const PROGRAM: &str = "fleetpack ";
        if self.flags.is_empty() || !hint.contains(PROGRAM) {
            return hint;
        }
        let program = definitions();
        let mut parts = hint.split(PROGRAM);
        let mut placed = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            placed.push_str(PROGRAM);
            placed.push_str(&self.command(&program, part));
        }
        placed
    }

    fn command(&self, program: &clap::Command, words: &str) -> String {
        let (mut command, mut end) = (program, 0);
        loop {
            let rest = &words[end..];
            let next = rest.trim_start_matches(' ');
            let length = next.find(|c: char| !c.is_ascii_lowercase() && c != '-');
            let word = &next[..length.unwrap_or(next.len())];
            match command.find_subcommand(word) {
                Some(sub) => command = sub,
                None => break,
            }
            end += rest.len() - next.len() + word.len();
        }
        let (mut text, rest) = (words[..end].to_owned(), &words[end..]);
        // It names a place of its own.
        if rest.contains(" --path ") {
            return words.to_owned();
        }
        for (name, value) in &self.flags {
            let takes = |arg: &clap::Arg| arg.get_long() == Some(*name);
            let flag = format!(" --{name} ");
            if command.get_arguments().any(takes) {
                text.push_str(&flag);
                text.push_str(value);
            }
        }
        text + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_hints_get_the_place() {
        for (path, keys, hint, placed) in [
            (
                ".",
                None,
                "fleetpack updates status",
                "fleetpack updates status",
            ),
            (
                "a",
                None,
                "fleetpack updates status",
                "fleetpack updates status --path a",
            ),
            ("a", None, "TMPDIR=DIR", "TMPDIR=DIR"),
            (
                "a",
                Some("k"),
                "fleetpack updates roots shows the key ids",
                "fleetpack updates roots --path a --keys k shows the key ids",
            ),
            (
                "a b",
                None,
                "fleetpack updates pending shows it, fleetpack updates pending drop gives it up",
                "fleetpack updates pending --path 'a b' shows it, \
                 fleetpack updates pending drop --path 'a b' gives it up",
            ),
            (
                "it's",
                None,
                "after comparing `fleetpack updates roots` with a host",
                r"after comparing `fleetpack updates roots --path 'it'\''s'` with a host",
            ),
            (
                "a",
                Some("k"),
                "fleetpack updates init --path b, or --path DIR",
                "fleetpack updates init --path b, or --path DIR",
            ),
            (
                "a",
                None,
                "fleetpack inspect a.deb",
                "fleetpack inspect a.deb",
            ),
            ("a", None, "fleetpack is newer", "fleetpack is newer"),
        ] {
            let typed = Typed::new(Path::new(path), keys.map(Path::new));
            assert_eq!(typed.placed(hint.to_owned()), placed, "{path}: {hint}");
        }
    }
}
