//! The process's environment and clock, read here and handed down as values.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::CliError;

type Lookup = dyn Fn(&str) -> Option<String> + Sync;

/// What a command may know of the process it runs in.
pub struct Surroundings {
    variable: Box<Lookup>,
    /// The time at which the command started: all expiry is judged by it (TUF 5.1).
    pub now: Timestamp,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            variable: Box::new(|name| std::env::var(name).ok()),
            now: Timestamp::now(),
        }
    }

    /// Others than those of this process, for commands that run inside another program.
    pub fn of(variables: BTreeMap<String, String>, now: Timestamp) -> Self {
        Self {
            variable: Box::new(move |name| variables.get(name).cloned()),
            now,
        }
    }

    /// An environment variable; an empty one counts as absent.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// A variable that holds a secret; an empty one is given back as such.
    pub fn secret(&self, name: &str) -> Option<Zeroizing<String>> {
        (self.variable)(name).map(Zeroizing::new)
    }

    /// Seconds since 1970 that go into packages: `SOURCE_DATE_EPOCH`, or now.
    pub fn epoch(&self) -> Result<u64, CliError> {
        match self.variable("SOURCE_DATE_EPOCH") {
            None => Ok(u64::try_from(self.now.as_second()).unwrap_or(0)),
            Some(text) => text.parse().map_err(|_| {
                CliError::usage(
                    format!("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds"),
                    "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)",
                )
            }),
        }
    }

    /// Where state is kept between runs: `$XDG_STATE_HOME/fleetpack`, by default
    /// `~/.local/state/fleetpack`.
    pub fn state_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_STATE_HOME", ".local/state")
    }

    /// Where the cache is: `$XDG_CACHE_HOME/fleetpack`, by default `~/.cache/fleetpack`.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_CACHE_HOME", ".cache")
    }

    /// Where the user's own settings are: `$XDG_CONFIG_HOME/fleetpack`, by default
    /// `~/.config/fleetpack`.
    pub fn config_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_CONFIG_HOME", ".config")
    }

    fn folder(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        let base = match self.variable(variable) {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(self.variable("HOME")?).join(in_home),
        };
        Some(base.join("fleetpack"))
    }
}

/// Whether a variable of this process is there and empty: for the definitions of arguments,
/// which read variables by themselves.
pub(super) fn is_empty(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// Lets the system write no image of this process's memory, which may hold keys and secrets:
/// neither when it crashes nor for another process of the same user (`prctl(2)`,
/// `PR_SET_DUMPABLE`). A system that cannot goes without.
pub(super) fn keep_out_of_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
