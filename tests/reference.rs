//! `docs/reference.md`: every command and flag, made of the argument definitions.
//!
//! What `fleetctl` knows is a list here; the page says of each flag whether it is one of
//! these, and the trials that none of them is missing. `FLEETPACK_REWRITE_GOLDENS=1` writes
//! the page.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command};
use fleetpack::agent::identity;
use fleetpack::cli::manual::{EXIT_CODES, VARIABLES as VARIABLES_OF_NO_FLAG};
use fleetpack::install::{Arch, Os};
use fleetpack::package::{Format, builder};
use libtest_mimic::Trial;

use crate::harness::trial;

/// Flags of `fleetctl package`, without dashes.
const PACKAGE: &[&str] = &[
    "app-store-connect-api-key-content",
    "app-store-connect-api-key-id",
    "app-store-connect-api-key-issuer",
    "arch",
    "bypass-end-user-auth",
    "cpu-quota",
    "debug",
    "desktop-channel",
    "disable-keystore",
    "disable-open-folder",
    "disable-setup-experience",
    "disable-updates",
    "enable-scripts",
    "end-user-email",
    "enroll-secret",
    "fleet-certificate",
    "fleet-desktop",
    "fleet-desktop-alternative-browser-host",
    "fleet-managed-host-identity-certificate",
    "fleet-tls-client-certificate",
    "fleet-tls-client-key",
    "fleet-url",
    "host-identifier",
    "identifier",
    "insecure",
    "local-wix-dir",
    "macos-devid-pem-content",
    "native-tooling",
    "notarize",
    "orbit-channel",
    "osquery-db",
    "osquery-flagfile",
    "osqueryd-channel",
    "outfile",
    "service",
    "sign-identity",
    "type",
    "update-interval",
    "update-roots",
    "update-tls-certificate",
    "update-tls-client-certificate",
    "update-tls-client-key",
    "update-url",
    "use-system-configuration",
    "verbose",
    "version",
];

/// Variables that `fleetctl package` reads.
pub const VARIABLES: &[&str] = &[
    "FLEETCTL_APP_STORE_CONNECT_API_KEY_CONTENT",
    "FLEETCTL_APP_STORE_CONNECT_API_KEY_ID",
    "FLEETCTL_APP_STORE_CONNECT_API_KEY_ISSUER",
    "FLEETCTL_DISABLE_KEYSTORE",
    "FLEETCTL_ENABLE_SCRIPTS",
    "FLEETCTL_END_USER_EMAIL",
    "FLEETCTL_FLEET_MANAGED_HOST_IDENTITY_CERTIFICATE",
    "FLEETCTL_HOST_IDENTIFIER",
    "FLEETCTL_MACOS_DEVID_PEM_CONTENT",
    "FLEETCTL_NATIVE_TOOLING",
    "FLEETCTL_OSQUERY_DB",
    "FLEETCTL_USE_SYSTEM_CONFIGURATION",
];

/// Flags of `fleetctl updates COMMAND`.
const UPDATES: &[(&str, &[&str])] = &[
    ("init", &["path"]),
    (
        "add",
        &["path", "target", "name", "platform", "version", "tag"],
    ),
    ("timestamp", &["path"]),
    ("roots", &["path"]),
    ("rotate", &["path"]),
];

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("reference/page_is_current", page_is_current),
        trial(
            "reference/fleetctl_flags_are_known",
            fleetctl_flags_are_known,
        ),
        trial(
            "reference/variables_that_are_read_are_listed",
            variables_are_listed,
        ),
    ]
}

fn program() -> Command {
    let mut program = fleetpack::cli::definitions();
    program.build();
    program
}

fn find<'a>(program: &'a Command, path: &[&str]) -> &'a Command {
    path.iter().fold(program, |command, name| {
        command
            .find_subcommand(name)
            .unwrap_or_else(|| panic!("no command {name}"))
    })
}

fn is_fleetctls(path: &[&str], flag: &str) -> bool {
    match path {
        ["package"] => PACKAGE.contains(&flag),
        // `package --verbose`; here it goes with every command.
        [] => flag == "verbose",
        ["updates", command] => UPDATES
            .iter()
            .any(|(name, flags)| name == command && flags.contains(&flag)),
        _ => false,
    }
}

fn fleetctl_flags_are_known() {
    let program = program();
    let mut missing = Vec::new();
    let package = find(&program, &["package"]);
    let commands = UPDATES
        .iter()
        .map(|(name, flags)| (find(&program, &["updates", name]), *flags))
        .chain([(package, PACKAGE)]);
    for (command, flags) in commands {
        for flag in flags {
            if !command.get_arguments().any(|a| a.get_long() == Some(flag)) {
                missing.push(format!("{} --{flag}", command.get_name()));
            }
        }
    }
    let read: Vec<_> = package
        .get_arguments()
        .filter_map(|a| a.get_env()?.to_str())
        .collect();
    missing.extend(
        VARIABLES
            .iter()
            .filter(|v| !read.contains(v))
            .map(|v| (*v).to_string()),
    );
    assert!(missing.is_empty(), "unknown: {missing:?}");
}

fn page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let page = page(&program());
    if std::env::var_os("FLEETPACK_REWRITE_GOLDENS").is_some_and(|v| v == "1") {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "FLEETPACK_REWRITE_GOLDENS=1 writes docs/reference.md anew"
    );
}

/// Every variable that the source names is on the page.
fn variables_are_listed() {
    let page = page(&program());
    let mut seen = 0;
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for name in text.split('"').filter(|word| is_variable(word)) {
                let shown = path.display();
                assert!(page.contains(&format!("`{name}`")), "{name} of {shown}");
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

fn is_variable(word: &str) -> bool {
    let fronts = [
        "AWS_",
        "AZURE_",
        "FLEETCTL_",
        "FLEETPACK_",
        "IDENTITY_ENDPOINT",
        "NO_COLOR",
        "SOURCE_DATE_EPOCH",
        "STORAGE_EMULATOR_HOST",
        "XDG_",
    ];
    let spelt = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    word.chars().all(spelt)
        && !word.ends_with('_')
        && (fronts.iter().any(|front| word.starts_with(front))
            || word.starts_with("FLEET_") && word.ends_with("_PASSPHRASE"))
}

/// The names of installers for a version of orbit.
fn file_names(page: &mut String) {
    page.push_str(
        "\n## Names of installers\n\nWithout `--outfile` and `--outname`, for version 1.50.0 of orbit:\n\n\
         | type | amd64 | arm64 |\n| --- | --- | --- |\n",
    );
    for format in Format::ALL {
        let name = |arch| builder(format).file_name(&identity("1.50.0", arch, None));
        let (amd64, arm64) = match format.os() {
            Os::Macos => (name(Arch::Universal), "the same, for both".to_owned()),
            Os::Linux | Os::Windows => (name(Arch::Amd64), code(&name(Arch::Arm64))),
        };
        let _ = writeln!(page, "| {format} | `{amd64}` | {arm64} |");
    }
}

fn exit_codes(page: &mut String) {
    page.push_str("\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n");
    for (code, meaning) in EXIT_CODES {
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
}

/// All variables: those of flags, by the definitions, then the others.
fn variables(program: &Command, page: &mut String) {
    page.push_str(
        "\n## Variables\n\nAn empty `FLEETCTL_…` or `FLEETPACK_…` counts as absent, and a flag that \
         is typed goes before its variable.\n\n| variable | meaning |\n| --- | --- |\n",
    );
    for argument in find(program, &["package"]).get_arguments() {
        if let (Some(name), Some(flag)) = (argument.get_env(), argument.get_long()) {
            let name = name.to_string_lossy();
            let _ = writeln!(page, "| `{name}` | The same as `package --{flag}` |");
        }
    }
    for variables in VARIABLES_OF_NO_FLAG {
        let names = variables.names.iter().map(|name| code(name));
        let names = names.collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| {names} | {} |", variables.meaning);
    }
}

const HEAD: &str = "\
# Reference

Every command and flag, made of the argument definitions by `tests/reference.rs`. A dot in
the column `fleetctl` marks what `fleetctl package` and `fleetctl updates` know under the
same name and with the same meaning; the rest is fleetpack's own. With
`alias fleetctl=fleetpack` both verbs go on working in existing scripts.

A flag's value may be given as `--flag VALUE` or `--flag=VALUE`; a switch (`[=BOOL]`) alone or
as `--switch=false`.

## What is printed where

Results go to standard output; what is being done, warnings and errors go to standard error. With
`--json` standard output holds one JSON document and nothing else; its shape is in
[docs/schema](schema), in the file of the command's name. It is an object, but for
`inspect --json A B`, which prints an array of differences. A command that fails before it has a
result prints none, and its exit code says so. `--quiet` leaves results, warnings and errors,
`--verbose` tells how long each step took. Bars and colours are for terminals alone; `NO_COLOR`
takes the colours away.
";

const PASSPHRASES: &str = "
## Passphrases of keys

`FLEET_ROOT_PASSPHRASE`, `FLEET_TARGETS_PASSPHRASE`, `FLEET_SNAPSHOT_PASSPHRASE` and
`FLEET_TIMESTAMP_PASSPHRASE` open the key files. What is not there is asked for on the
terminal. `updates keys passphrase` takes the new one from `FLEET_ROOT_NEW_PASSPHRASE`,
`FLEET_TARGETS_NEW_PASSPHRASE` and so on.
";

fn page(program: &Command) -> String {
    let mut page = String::from(HEAD);
    exit_codes(&mut page);
    page.push_str(PASSPHRASES);
    variables(program, &mut page);
    file_names(&mut page);
    section(program, &mut Vec::new(), &mut page);
    page
}

fn section<'a>(command: &'a Command, path: &mut Vec<&'a str>, page: &mut String) {
    let _ = write!(
        page,
        "\n## `{}`\n\n",
        ["fleetpack"]
            .iter()
            .chain(path.iter())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    );
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = writeln!(page, "{}", sentence(&about.to_string()));
    }
    let global = path.is_empty();
    let arguments: Vec<_> = command
        .get_arguments()
        // What is hidden from help is taken from existing scripts, and listed here.
        .filter(|a| global || !a.is_global_set())
        .filter(|a| {
            !matches!(
                a.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong
            )
        })
        .filter(|a| global || !matches!(a.get_action(), ArgAction::Version))
        .collect();
    if !arguments.is_empty() {
        page.push_str("\n| flag | default | variable | fleetctl | meaning |\n| --- | --- | --- | --- | --- |\n");
    }
    for argument in arguments {
        row(argument, path, page);
    }
    for below in command
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
    {
        path.push(below.get_name());
        section(below, path, page);
        path.pop();
    }
}

fn row(argument: &Arg, path: &[&str], page: &mut String) {
    let default: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|v| v.to_string_lossy())
        .collect();
    let default = if argument.is_hide_default_value_set() || !argument.get_action().takes_values() {
        String::new()
    } else {
        default.join(" ")
    };
    let variable = argument
        .get_env()
        .map(|v| v.to_string_lossy().into_owned())
        .unwrap_or_default();
    let known = argument
        .get_long()
        .is_some_and(|flag| is_fleetctls(path, flag))
        || (path == ["updates", "rotate"] && argument.is_positional());
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('\n', " ");
    // A default that the code knows and the definitions do not stands at the end of the help.
    let in_words = help.strip_suffix(']');
    let (help, default) = match in_words.and_then(|help| help.rsplit_once(" [default: ")) {
        // Words about it, and no value.
        Some((help, default)) if default.contains(' ') || default == "all" => {
            (help, default.to_owned())
        }
        Some((help, default)) => (help, code(default)),
        None => (help.as_str(), code(&default)),
    };
    let _ = writeln!(
        page,
        "| {} | {} | {} | {} | {} |",
        spelling(argument),
        default.replace('|', "\\|"),
        code(&variable),
        if known { "•" } else { "" },
        help.replace('|', "\\|")
    );
}

/// `--tag TAG`, `-t TAG`.
fn spelling(argument: &Arg) -> String {
    let takes = argument.get_action().takes_values();
    let optional = argument.get_num_args().is_some_and(|n| n.min_values() == 0);
    let names: Vec<_> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let value = match (takes, optional) {
        (false, _) => String::new(),
        (true, true) => format!("[={}]", names.join(" ")),
        (true, false) => format!(" {}", names.join(" ")),
    };
    let mut spellings: Vec<_> = argument
        .get_long()
        .map(|l| format!("`--{l}{value}`"))
        .into_iter()
        .collect();
    spellings.extend(argument.get_short().map(|s| format!("`-{s}{value}`")));
    if spellings.is_empty() {
        spellings.push(format!("`{}`", names.join(" ")));
    }
    spellings.join(", ").replace('|', "\\|")
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with('.') {
        text.into()
    } else {
        format!("{text}.")
    }
}
