//! Every variant of every error that a user can meet, as the program prints it: sentence, causes,
//! way out. One list per floor. A new variant does not compile here until it has a line, a new
//! error type fails [`complete`], and a hint that names what fleetpack does not have fails
//! [`hints`].

mod agent;
mod cli;
mod package;
mod store;
mod tuf;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use fleetpack::cli::{CliError, text};

use crate::harness::golden;

/// The examples of one type.
pub struct Examples {
    /// The type's name.
    kind: &'static str,
    /// Variant, and what is printed.
    printed: Vec<(&'static str, String)>,
}

impl Examples {
    fn of(kind: &'static str) -> Self {
        let printed = Vec::new();
        Self { kind, printed }
    }

    fn add(&mut self, variant: &'static str, error: &CliError) {
        self.printed
            .push((variant, format!("error: {}", text(error))));
    }
}

/// Examples of an enum's variants, written as its constructors are. A variant may come several
/// times, where its hint depends on its fields. `as` tells how the error gets to the user.
macro_rules! every {
    ($name:ident: $kind:ident as $shown:expr; $(
        $variant:ident $(($($inner:tt)*))? $({$($field:tt)*})?
    ),* $(,)?) => {
        pub fn $name() -> $crate::errors::table::Examples {
            #[allow(unreachable_patterns, reason = "a variant may have several examples")]
            fn variant(error: &$kind) -> &'static str {
                // No `_`: a variant without an example stops the compiler here.
                match error { $($kind::$variant { .. } => stringify!($variant),)* }
            }
            let shown: fn($kind) -> fleetpack::cli::CliError = $shown;
            let mut examples = $crate::errors::table::Examples::of(stringify!($kind));
            $(
                let error = $kind::$variant $(($($inner)*))? $({$($field)*})?;
                let name = variant(&error);
                examples.add(name, &shown(error));
            )*
            examples
        }
    };
}
use every;

/// The one example of an error that has no variants.
macro_rules! one {
    ($name:ident: $kind:ident as $shown:expr; $error:expr) => {
        pub fn $name() -> $crate::errors::table::Examples {
            let shown: fn($kind) -> fleetpack::cli::CliError = $shown;
            let mut examples = $crate::errors::table::Examples::of(stringify!($kind));
            examples.add("", &shown($error));
            examples
        }
    };
}
use one;

fn io() -> io::Error {
    io::Error::from(io::ErrorKind::PermissionDenied)
}

fn json() -> serde_json::Error {
    serde_json::from_str::<u8>("{").unwrap_err()
}

fn cause() -> Box<dyn std::error::Error + Send + Sync> {
    "what the library says".into()
}

fn s(text: &str) -> String {
    text.to_owned()
}

fn path(text: &str) -> PathBuf {
    text.into()
}

fn all() -> Vec<Examples> {
    [
        cli::all(),
        agent::all(),
        package::all(),
        store::all(),
        tuf::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The table, as a text that a reviewer reads.
pub fn printed() {
    let mut page = String::new();
    for examples in all() {
        let _ = writeln!(page, "=== {}\n", examples.kind);
        for (variant, text) in examples.printed {
            if !variant.is_empty() {
                let _ = writeln!(page, "{variant}");
            }
            let _ = writeln!(page, "{text}");
        }
    }
    golden("errors/table.golden", &page);
}

/// Error types that nobody can make from outside, with where they are seen.
const INSIDE: &[(&str, &str)] = &[
    ("src/store/object/credentials.rs", "Refusal"), // ObjectError: NoCredentials, Delegated
    ("src/templates/mod.rs", "Refusal"),            // TemplateError: Refused
];

/// Every type of the sources that derives or implements `Error` is in the table, by its name.
pub fn complete() {
    let listed: Vec<_> = all().iter().map(|e| e.kind.to_owned()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    super::sources(&root.join("src"), &mut files);
    let found: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let place: PathBuf = file.strip_prefix(root).unwrap().into();
            types(&text)
                .into_iter()
                .map(move |kind| (place.clone(), kind))
        })
        .filter(|(place, kind)| {
            !INSIDE
                .iter()
                .any(|(file, inside)| place == Path::new(file) && kind == inside)
        })
        .collect();
    let mut names: Vec<_> = found.iter().map(|(_, kind)| kind.clone()).collect();
    let mut wanted = listed.clone();
    names.sort();
    wanted.sort();
    assert!(names.len() > 40, "{} types were found", names.len());
    assert_eq!(names, wanted, "found, and listed in the table");
}

/// Names of the types that derive or implement `Error`.
fn types(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut derived = false;
    for line in text.lines().map(str::trim) {
        let mut words = line
            .split([' ', '(', '{', '<', ';'])
            .filter(|w| !w.is_empty());
        if line.starts_with("#[derive(") {
            derived = line.contains("thiserror::Error");
        } else if !line.starts_with("//") && words.any(|w| matches!(w, "enum" | "struct")) {
            found.extend(derived.then(|| words.next().unwrap().to_owned()));
            derived = false;
        } else if line.starts_with("impl") && line.contains("Error for ") && !line.contains("From<")
        {
            let name = line.split("Error for ").nth(1).unwrap();
            found.push(name.trim_end_matches(['{', '}', ' ']).to_owned());
        }
    }
    found
}

/// A hint is something to type: a command, a flag or a variable. What it names of fleetpack is
/// there.
pub fn hints() {
    let mut wrong = Vec::new();
    let mut count = 0;
    let known = Known::new();
    let printed = all().into_iter().flat_map(|e| {
        let kind = e.kind;
        e.printed
            .into_iter()
            .map(move |(variant, text)| (format!("{kind}::{variant}"), text))
    });
    let commands = std::fs::read_to_string(golden_of_commands()).unwrap();
    for (of, text) in printed.chain([("a command".to_owned(), commands)]) {
        for hint in text.lines().filter_map(|l| l.strip_prefix("  hint: ")) {
            count += 1;
            wrong.extend(
                known
                    .fault(hint)
                    .map(|fault| format!("{of}: {fault}: {hint}")),
            );
        }
    }
    assert!(count > 100, "{count} hints");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with a hint that is no error's.
pub fn hint_fault(hint: &str) -> Option<String> {
    Known::new().fault(hint)
}

fn golden_of_commands() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/errors/commands.golden")
}

/// What can be typed.
struct Known {
    flags: BTreeSet<String>,
    commands: BTreeSet<String>,
}

/// Programs of others that hints name.
const PROGRAMS: &[&str] = &[
    "apt",
    "umask",
    "aws",
    "az",
    "cargo",
    "cat",
    "chmod",
    "cp",
    "curl",
    "eval",
    "file",
    "gcloud",
    "gpg",
    "ls",
    "mkdir",
    "mv",
    "nginx",
    "openssl",
    "pkcs11-tool",
    "printf",
    "rm",
    "tar",
    "timedatectl",
    "tuf",
    "xcrun",
];

impl Known {
    fn new() -> Self {
        let mut known = Self {
            flags: BTreeSet::new(),
            commands: BTreeSet::new(),
        };
        known.learn(&fleetpack::cli::definitions(), "fleetpack");
        known
    }

    fn learn(&mut self, command: &clap::Command, path: &str) {
        self.commands.insert(path.to_owned());
        let flags = command.get_arguments().filter_map(|arg| arg.get_long());
        self.flags.extend(flags.map(|flag| format!("--{flag}")));
        for below in command.get_subcommands() {
            self.learn(below, &format!("{path} {}", below.get_name()));
        }
    }

    /// What is wrong with a hint.
    fn fault(&self, hint: &str) -> Option<String> {
        let words: Vec<_> = hint
            .split([' ', '`', '(', ')', ',', ';', ':', '"'])
            .filter(|word| !word.is_empty())
            .collect();
        let variable = |word: &str| {
            let name = word.split('=').next().unwrap();
            name.contains('_') || word.contains('=')
        };
        let typed = words.iter().any(|word| {
            word.starts_with("--")
                || *word == "fleetpack"
                || PROGRAMS.contains(word)
                || variable(word)
                || word.starts_with("#!")
                || word.starts_with("s3")
        });
        if !typed {
            return Some("nothing to type".to_owned());
        }
        if hint.ends_with('.') && !hint.ends_with(" .") {
            return Some("a full stop".to_owned());
        }
        if let Some(at) = words.iter().position(|word| *word == "fleetpack") {
            let path = words[at..]
                .iter()
                .take_while(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
            let path: Vec<_> = path.copied().collect();
            let below = (2..=path.len()).any(|n| self.commands.contains(&path[..n].join(" ")));
            if !below {
                return Some(format!("no command {}", path.join(" ")));
            }
        }
        let others = words.iter().any(|word| PROGRAMS.contains(word));
        let flag = |word: &&&str| word.starts_with("--") && word.len() > 2;
        let unknown = words.iter().filter(flag).find(|word| {
            let name = word.split('=').next().unwrap();
            !self.flags.contains(name)
        });
        unknown
            .filter(|_| !others)
            .map(|flag| format!("no flag {flag}"))
    }
}
