//! A team's settings as the flags that they are named after, read by the same rules as typed
//! ones; and where the team's secret comes from.
//!
//! Some flags are for a run and not for a team: they stay on the command line. Those that are
//! secrets themselves are refused, as a manifest is made to be shared. Names of files are
//! relative to the manifest's folder.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args as _, FromArgMatches};
use zeroize::Zeroizing;

use super::manifest::{self, ManifestError, SECRETS, Setting, Settings, Table, Value, wrong};
use crate::agent::config::Secret;
use crate::cli::package::args::Args;
use crate::cli::package::options::read_file;
use crate::cli::{CliError, Surroundings};
use crate::{fs, programs};

/// Flags of the run, by their names among the arguments: they go with `--manifest`.
pub const OF_THE_RUN: [&str; 15] = [
    "manifest",
    "shard",
    "jobs",
    "outdir",
    "state_dir",
    "no_state",
    "cache",
    "cache_key_file",
    "cache_size",
    "checksums",
    "sbom",
    "statement",
    "verbose",
    "json",
    "quiet",
];

/// Flags that are for single runs.
const NOT_IN_A_MANIFEST: [&str; 6] = [
    "rebuild_check",
    "outfile",
    "disable_open_folder",
    "native_tooling",
    "local_wix_dir",
    "sign_identity",
];

/// Flags that are secrets, and where else they can come from.
const SECRET: [(&str, &str); 3] = [
    (
        "enroll_secret",
        "name a file, a variable or a command: enroll-secret-file, enroll-secret-variable, enroll-secret-command",
    ),
    (
        "macos_devid_pem_content",
        "name a file with macos-devid-pem, or set FLEETCTL_MACOS_DEVID_PEM_CONTENT",
    ),
    (
        "app_store_connect_api_key_content",
        "set FLEETCTL_APP_STORE_CONNECT_API_KEY_CONTENT",
    ),
];

/// Where a team's enroll secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
    /// A program prints it.
    Command(Vec<String>),
}

/// One team, its flags read.
pub struct Entry {
    /// Who.
    pub team: String,
    /// Line of the team's name.
    pub line: usize,
    /// The flags, without secret and output folder.
    pub args: Args,
    /// Where the secret is.
    pub secret: Option<Source>,
    /// Whether files have names of their own, in no folder of the team.
    pub named: bool,
}

/// Reads a manifest whose relative names begin in `folder`.
pub fn entries(text: &str, folder: &Path) -> Result<Vec<Entry>, ManifestError> {
    let flags = Flags::new();
    let tables = manifest::parse(text, &|key| flags.knows(key))?;
    let read = tables.into_iter().map(|table| flags.entry(table, folder));
    read.collect()
}

/// The variables in which teams have their secrets.
pub fn variables(entries: &[Entry]) -> Vec<String> {
    let sources = entries.iter().filter_map(|entry| entry.secret.as_ref());
    sources
        .filter_map(Source::variable)
        .map(str::to_owned)
        .collect()
}

/// Whether a flag of this name can be a setting.
pub fn is_setting(key: &str) -> bool {
    Flags::new().knows(key).is_ok()
}

/// The flags of `package`, as a team may set them.
struct Flags(clap::Command);

impl Flags {
    fn new() -> Self {
        let command = Args::augment_args(clap::Command::new("package"));
        // A variable with one secret is not every team's.
        let command = command.mut_arg("enroll_secret", |arg| arg.env(None));
        Self(command.no_binary_name(true))
    }

    fn of(&self, key: &str) -> Option<&Arg> {
        let id = key.replace('-', "_");
        self.0
            .get_arguments()
            .find(|arg| arg.get_long() == Some(key))
            .filter(|arg| !OF_THE_RUN.contains(&arg.get_id().as_str()))
            .filter(|_| !NOT_IN_A_MANIFEST.contains(&id.as_str()))
    }

    fn knows(&self, key: &str) -> Result<(), String> {
        let id = key.replace('-', "_");
        if let Some((_, instead)) = SECRET.iter().find(|(secret, _)| *secret == id) {
            return Err(format!(
                "a manifest holds no secrets, as `{key}` is; {instead}"
            ));
        }
        if SECRETS.contains(&key) || self.of(key).is_some() {
            return Ok(());
        }
        let runs = OF_THE_RUN.contains(&id.as_str());
        Err(match runs {
            true => format!("`{key}` is for the whole run: --{key} on the command line"),
            false => {
                format!("`{key}` is no setting; settings are named after the flags of package")
            }
        })
    }

    fn entry(&self, mut table: Table, folder: &Path) -> Result<Entry, ManifestError> {
        let secret = source(&mut table.settings, folder)?;
        let named = table.settings.contains_key("outname");
        if !table.settings.contains_key("type") {
            let what = format!("the team `{}` has no `type`", table.team);
            return Err(wrong(table.line, what));
        }
        let words = table
            .settings
            .iter()
            .map(|(key, setting)| self.word(key, setting, folder))
            .collect::<Result<Vec<_>, _>>()?;
        let matches = self.0.clone().try_get_matches_from(words);
        let args = matches.and_then(|matches| Args::from_arg_matches(&matches));
        Ok(Entry {
            args: args.map_err(|error| said(&error, &table))?,
            team: table.team,
            line: table.line,
            secret,
            named,
        })
    }

    /// `--key=value`.
    fn word(&self, key: &str, setting: &Setting, folder: &Path) -> Result<OsString, ManifestError> {
        let arg = self.of(key);
        let several = arg.is_some_and(|arg| arg.get_value_delimiter().is_some());
        let value: OsString = match &setting.value {
            Value::List(texts) if several => texts.join(",").into(),
            Value::List(_) => {
                return Err(wrong(setting.line, format!("`{key}` takes one value")));
            }
            Value::One(text) if arg.is_some_and(is_path) => folder.join(text).into(),
            Value::One(text) => match (key, text.strip_prefix('@')) {
                ("update-roots", Some(file)) => {
                    let mut word = OsString::from("@");
                    word.push(folder.join(file));
                    word
                }
                ("update-url", _) if !text.contains("://") => folder.join(text).into(),
                _ => text.into(),
            },
        };
        let mut word = OsString::from(format!("--{key}="));
        word.push(value);
        Ok(word)
    }
}

fn is_path(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}

/// clap's sentence, without the advice that is for people who typed.
fn said(error: &clap::Error, table: &Table) -> ManifestError {
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => flag.as_str(),
        Some(ContextValue::Strings(flags)) => flags.first().map_or("", String::as_str),
        _ => "",
    };
    let key = flag.trim_start_matches('-');
    let key = key.split([' ', '[', '=', '<']).next().unwrap_or(key);
    let line = table.settings.get(key).map_or(table.line, |s| s.line);
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let sentence = first.strip_prefix("error: ").unwrap_or(first);
    let rest = match (sentence.ends_with(':'), error.get(ContextKind::InvalidArg)) {
        (true, Some(ContextValue::Strings(flags))) => format!(" {}", flags.join(", ")),
        _ => String::new(),
    };
    wrong(
        line,
        format!("for the team `{}`, {sentence}{rest}", table.team),
    )
}

fn source(settings: &mut Settings, folder: &Path) -> Result<Option<Source>, ManifestError> {
    for key in SECRETS {
        let Some(Setting { value, line }) = settings.remove(key) else {
            continue;
        };
        let source = match (key, value) {
            ("enroll-secret-file", Value::One(file)) if file != "-" => {
                Source::File(folder.join(file))
            }
            ("enroll-secret-variable", Value::One(name)) => Source::Variable(name),
            ("enroll-secret-command", Value::List(words)) if !words.is_empty() => {
                Source::Command(words)
            }
            ("enroll-secret-command", _) => {
                let what = "`enroll-secret-command` is a list: the program and its arguments";
                return Err(wrong(line, what));
            }
            (key, _) => return Err(wrong(line, format!("`{key}` is a name"))),
        };
        return Ok(Some(source));
    }
    Ok(None)
}

impl Source {
    /// The environment variable that it is in.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            _ => None,
        }
    }

    /// Reads the secret; one line break at its end is not part of it. A command does not get the
    /// variables `hidden`: secrets of other teams.
    pub fn read(&self, surroundings: &Surroundings, hidden: &[String]) -> Result<Secret, CliError> {
        let (bytes, whence) = match self {
            Self::File(file) => {
                let bytes = Zeroizing::new(read_file(file)?);
                (bytes, file.display().to_string())
            }
            Self::Variable(name) => match surroundings.secret(name) {
                Some(text) => (
                    Zeroizing::new(text.as_bytes().to_vec()),
                    format!("the variable {name}"),
                ),
                None => {
                    return Err(CliError::usage(
                        format!("the variable {name} with the enroll secret is not set"),
                        format!("export {name}"),
                    ));
                }
            },
            Self::Command(words) => (
                output(words, hidden)?,
                format!("the output of {}", shown(words)),
            ),
        };
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| about(&format!("the enroll secret in {whence} is no UTF-8 text")))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        match text.is_empty() {
            true => Err(about(&format!("the enroll secret in {whence} is empty"))),
            false => Ok(Secret::new(text)),
        }
    }
}

fn about(message: &str) -> CliError {
    CliError::Usage {
        message: message.to_owned(),
        hint: None,
    }
}

/// The program alone: what follows it may be a secret itself.
fn shown(words: &[String]) -> String {
    format!("`{}`", words.first().map_or("", String::as_str))
}

/// What a program prints; what it complains of goes where we complain.
fn output(words: &[String], hidden: &[String]) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let (program, arguments) = words.split_first().ok_or_else(|| about("no command"))?;
    let ran = programs::output(program, arguments, hidden)
        .map_err(|e| fs::naming(e, "run", Path::new(program)))?;
    let words = shown(words);
    let Some(printed) = ran.printed else {
        return Err(about(&format!("{words} printed more than a secret")));
    };
    match ran.status.success() {
        true => Ok(printed),
        false => {
            let status = ran.status;
            Err(about(&format!("{words} gave no enroll secret: {status}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &str) -> Result<Entry, String> {
        let text = format!("[[installer]]\nteam = 'a'\n{settings}\n");
        let mut entries = entries(&text, Path::new("conf")).map_err(|e| e.to_string())?;
        Ok(entries.remove(0))
    }

    #[test]
    fn flags_as_if_they_were_typed() {
        let entry = read(
            "type = ['deb', 'rpm']\narch = 'arm64'\ndebug = true\ncpu-quota = 30\n\
             osquery-flagfile = 'flags'\nupdate-url = 'repository'\nupdate-roots = '@root.json'\n\
             enroll-secret-file = 'secret'",
        )
        .unwrap();
        let Args { agent, updates, .. } = &entry.args;
        assert_eq!((agent.debug, agent.cpu_quota), (true, Some(30)));
        assert_eq!(entry.args.types.len(), 2);
        assert_eq!(
            agent.osquery_flagfile.as_deref(),
            Some(Path::new("conf/flags"))
        );
        assert_eq!(updates.update_url, "conf/repository");
        assert_eq!(updates.update_roots.as_deref(), Some("@conf/root.json"));
        assert_eq!(entry.secret, Some(Source::File("conf/secret".into())));
    }

    #[test]
    fn refused_with_the_line() {
        let cases = [
            ("", "line 2: the team `a` has no `type`"),
            (
                "type = 'exe'",
                "line 3: for the team `a`, invalid value 'exe' for '--type <TYPE>': `exe` is no package type",
            ),
            (
                "type = 'deb'\ncpu-quota = 'x'",
                "line 4: for the team `a`, invalid value 'x'",
            ),
            (
                "type = 'deb'\ndebug = 'maybe'",
                "line 4: for the team `a`, invalid value 'maybe'",
            ),
            (
                "type = 'deb'\nfleet-url = ['a']",
                "line 4: `fleet-url` takes one value",
            ),
            (
                "type = 'deb'\nenroll-secret = 'x'",
                "line 4: a manifest holds no secrets",
            ),
            (
                "type = 'deb'\nmacos-devid-pem-content = 'x'",
                "line 4: a manifest holds no secrets",
            ),
            (
                "type = 'deb'\njobs = 3",
                "line 4: `jobs` is for the whole run",
            ),
            (
                "type = 'deb'\noutfile = 'x'",
                "line 4: `outfile` is no setting",
            ),
            ("type = 'deb'\nhelp = true", "line 4: `help` is no setting"),
            (
                "type = 'deb'\nenroll-secret-command = 'pass show'",
                "line 4: `enroll-secret-command` is a list",
            ),
            (
                "type = 'deb'\nenroll-secret-file = '-'",
                "line 4: `enroll-secret-file` is a name",
            ),
            (
                "type = 'deb'\nfleet-tls-client-key = 'k'",
                "line 2: for the team `a`, the following required",
            ),
        ];
        for (settings, expected) in cases {
            let said = read(settings).err().unwrap();
            assert!(said.starts_with(expected), "{settings}: {said}");
        }
    }

    #[test]
    fn the_runs_flags_are_flags() {
        let command = Args::augment_args(clap::Command::new("package"));
        let ids: Vec<_> = command
            .get_arguments()
            .map(|arg| arg.get_id().as_str())
            .collect();
        let named = NOT_IN_A_MANIFEST
            .iter()
            .chain(SECRET.iter().map(|(id, _)| id));
        // These two belong to every command.
        let global = |id: &&&str| ["quiet", "verbose"].contains(*id);
        for id in OF_THE_RUN.iter().filter(|id| !global(id)).chain(named) {
            assert!(ids.contains(id), "{id}");
        }
    }

    #[test]
    fn secrets_from_commands() {
        let read = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let secret = Source::Command(words).read(&Surroundings::of_process(), &[]);
            secret
                .map(|s| s.reveal().to_owned())
                .map_err(|e| e.to_string())
        };
        assert_eq!(read(&["printf", "made up\\n"]).as_deref(), Ok("made up"));
        for (words, expected) in [
            (
                &["false", "argument"][..],
                "`false` gave no enroll secret: exit status: 1",
            ),
            (
                &["true", "argument"],
                "the enroll secret in the output of `true` is empty",
            ),
            (&["cat", "/dev/zero"], "`cat` printed more than a secret"),
            (&["/nonexistent", "argument"], "cannot run /nonexistent"),
        ] {
            let said = read(words).unwrap_err();
            assert!(said.starts_with(expected), "{said}");
            assert!(!said.contains("argument"), "{said}");
        }
    }
}
