//! Several programs on one command line: each `--target` begins a group.
//!
//! What follows a `--target` belongs to it, up to the next one. What stands before the first
//! holds for all of them; so with one `--target` the order does not matter.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::CliError;
use crate::agent::release::Release;

const HOW: &str = "--target FILE --name NAME --platform PLATFORM --version VERSION [-t TAG]…";

/// What one flag said.
#[derive(Clone, Debug)]
enum Word {
    Target(PathBuf),
    Name(String),
    Platform(String),
    Version(String),
    Tag(String),
}

/// The flags that name programs, in the order in which they were typed.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    words: Vec<Word>,
}

/// A group so far.
#[derive(Clone, Debug, Default)]
struct Group {
    file: Option<PathBuf>,
    name: Option<String>,
    platform: Option<String>,
    version: Option<String>,
    tags: Vec<String>,
}

impl Groups {
    /// Whether no program is named.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The programs, each complete.
    pub fn releases(self) -> Result<Vec<Release>, CliError> {
        let is_target = |word: &Word| matches!(word, Word::Target(_));
        let several = self.words.iter().filter(|word| is_target(word)).count() > 1;
        let mut shared = Group::default();
        let mut groups: Vec<Group> = Vec::new();
        for word in self.words {
            match (word, groups.last_mut()) {
                (Word::Target(file), _) => groups.push(Group {
                    file: Some(file),
                    ..Group::default()
                }),
                (word, Some(group)) if several => group.take(word)?,
                (word, _) => shared.take(word)?,
            }
        }
        if groups.is_empty() {
            return Err(CliError::usage("no --target is given", HOW));
        }
        groups.into_iter().map(|g| g.complete(&shared)).collect()
    }
}

impl Group {
    fn take(&mut self, word: Word) -> Result<(), CliError> {
        let (flag, slot, value) = match word {
            Word::Target(_) => return Ok(()),
            // As fleetctl takes them: `-t 1.50,1,stable` are three.
            Word::Tag(tags) => {
                let tags = tags.split(',').map(|tag| tag.trim().to_owned());
                self.tags.extend(tags);
                return Ok(());
            }
            Word::Name(value) => ("--name", &mut self.name, value),
            Word::Platform(value) => ("--platform", &mut self.platform, value),
            Word::Version(value) => ("--version", &mut self.version, value),
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(CliError::usage(
                format!("{flag} is given twice for one --target"),
                HOW,
            )),
        }
    }

    fn complete(self, shared: &Self) -> Result<Release, CliError> {
        let file = self.file.unwrap_or_default();
        let given = |own: Option<String>, shared: &Option<String>, flag: &str| {
            own.or_else(|| shared.clone()).ok_or_else(|| {
                CliError::usage(format!("{flag} is missing for {}", file.display()), HOW)
            })
        };
        Ok(Release {
            name: given(self.name, &shared.name, "--name")?,
            platform: given(self.platform, &shared.platform, "--platform")?,
            version: given(self.version, &shared.version, "--version")?,
            tags: [shared.tags.clone(), self.tags].concat(),
            file,
        })
    }
}

fn flag(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .action(ArgAction::Append)
}

impl clap::Args for Groups {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                flag(
                    "target",
                    "FILE",
                    "File to add; may be given more than once: what follows belongs to it, what \
                     stands before the first belongs to all",
                )
                .value_parser(value_parser!(PathBuf)),
            )
            .arg(flag(
                "name",
                "NAME",
                "Component: orbit, osqueryd, desktop, extensions/NAME, or another",
            ))
            .arg(flag(
                "platform",
                "PLATFORM",
                "Platform: linux, linux-arm64, macos, macos-app, windows, windows-arm64",
            ))
            .arg(flag(
                "version",
                "VERSION",
                "Version, which is also the first channel",
            ))
            .arg(
                flag(
                    "tag",
                    "TAG",
                    "Further channels, such as 1.50,1,stable; may be given more than once",
                )
                .short('t'),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Groups {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        type Make = fn(String) -> Word;
        let mut words: Vec<(usize, Word)> = Vec::new();
        let targets = matches.get_many::<PathBuf>("target").into_iter().flatten();
        let indices = matches.indices_of("target").into_iter().flatten();
        words.extend(indices.zip(targets.cloned().map(Word::Target)));
        let texts: [(&str, Make); 4] = [
            ("name", Word::Name),
            ("platform", Word::Platform),
            ("version", Word::Version),
            ("tag", Word::Tag),
        ];
        for (flag, word) in texts {
            let values = matches.get_many::<String>(flag).into_iter().flatten();
            let indices = matches.indices_of(flag).into_iter().flatten();
            words.extend(indices.zip(values.cloned().map(word)));
        }
        words.sort_by_key(|(index, _)| *index);
        Ok(Self {
            words: words.into_iter().map(|(_, word)| word).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches as _};

    fn releases(line: &str) -> Result<Vec<String>, String> {
        let command = Groups::augment_args(Command::new("add").disable_version_flag(true));
        let words = std::iter::once("add").chain(line.split_whitespace());
        let matches = command.try_get_matches_from(words).unwrap();
        let groups = Groups::from_arg_matches(&matches).unwrap();
        let releases = groups.releases().map_err(|error| error.to_string())?;
        let shown = releases.into_iter().map(|r| {
            let file = r.file.display().to_string();
            [file, r.name, r.platform, r.version, r.tags.join(",")].join(" ")
        });
        Ok(shown.collect())
    }

    #[test]
    fn groups() {
        let cases = [
            (
                "one, in any order",
                "--name orbit -t a --platform linux --target f --version 1 -t b",
                Ok(vec!["f orbit linux 1 a,b"]),
            ),
            (
                "several with what they share",
                "--version 1 -t s --target f --name orbit --platform linux \
                 --target g --platform linux-arm64 --name orbit -t e --target h --name x --platform y --version 2",
                Ok(vec![
                    "f orbit linux 1 s",
                    "g orbit linux-arm64 1 s,e",
                    "h x y 2 s",
                ]),
            ),
            (
                "several",
                "-t s --target f --name orbit --platform linux --version 1 \
                 --target g --platform linux-arm64 --name orbit -t e --version 2",
                Ok(vec!["f orbit linux 1 s", "g orbit linux-arm64 2 s,e"]),
            ),
            (
                "channels with commas",
                "-t 4.6,4 --target f --name orbit --platform linux --version 1 -t stable,,x,",
                Ok(vec!["f orbit linux 1 4.6,4,stable,,x,"]),
            ),
            (
                "incomplete",
                "--target f --name orbit --platform linux --version 1 --target g",
                Err("--name is missing for g"),
            ),
            (
                "twice",
                "--target f --name a --name b --platform linux --version 1",
                Err("--name is given twice for one --target"),
            ),
            ("none", "--name a", Err("no --target is given")),
        ];
        for (name, line, expected) in cases {
            let found = releases(line);
            let found: Result<Vec<&str>, &str> = match &found {
                Ok(lines) => Ok(lines.iter().map(String::as_str).collect()),
                Err(error) => Err(error),
            };
            assert_eq!(found, expected, "{name}");
        }
    }
}
