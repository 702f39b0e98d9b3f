//! What was typed goes before what variables say, and what is empty is not given.
//!
//! `fleetctl` reads an empty variable and an empty value as if neither were there, and scripts
//! lean on that: `--fleet-certificate "$CERTIFICATE"`. Two flags that exclude each other are a
//! mistake when both were typed; when one of them is a variable, the typed one is meant.

use std::ffi::OsString;

use clap::{Arg, Args as _};

use super::args::Args;
use crate::cli::{CliError, surroundings};

/// Flags that sign: an unset variable in their place must not leave a package unsigned.
const SIGNING: [&str; 5] = [
    "rpm_signing_key",
    "msi_signing_cert",
    "msi_signing_key",
    "macos_devid_pem",
    "macos_devid_p12",
];

/// Takes an empty variable away from its flag.
pub fn without_empty_variable(arg: Arg) -> Arg {
    match arg.get_env().is_some_and(surroundings::is_empty) {
        true => arg.env(None),
        false => arg,
    }
}

/// The command line without those flags of `package` whose value is empty.
pub fn without_empty_flags(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let words: Vec<OsString> = words.into_iter().collect();
    let is_flag = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let command = words.iter().skip(1).find(|word| !is_flag(word));
    if command.is_none_or(|command| command != "package") {
        return words;
    }
    let definitions = Args::augment_args(clap::Command::new("package"));
    let flags: Vec<String> = definitions
        .get_arguments()
        .filter(|arg| may_be_empty(arg))
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    let mut kept = Vec::new();
    let mut rest = words.into_iter().peekable();
    while let Some(word) = rest.next() {
        let flag = word.to_str().unwrap_or_default();
        let known = |flag: &str| flags.iter().any(|known| known == flag);
        let alone = known(flag) && rest.peek().is_some_and(|next| next.is_empty());
        if alone {
            rest.next();
        } else if !flag.strip_suffix('=').is_some_and(known) {
            kept.push(word);
        }
    }
    kept
}

fn may_be_empty(arg: &Arg) -> bool {
    arg.get_action().takes_values()
        && !arg.is_require_equals_set()
        && !SIGNING.contains(&arg.get_id().as_str())
}

/// Of two settings that exclude each other, the one that a variable made gives way.
pub fn settle(args: &mut Args) -> Result<(), CliError> {
    let given = args.given.clone();
    let typed = |id: &str| given.0.iter().any(|name| name == id);
    if args.fleet.enroll_secret_file.is_some() {
        if typed("enroll_secret") {
            return Err(CliError::usage(
                "--enroll-secret-file cannot be used with --enroll-secret",
                "leave out --enroll-secret",
            ));
        }
        args.fleet.enroll_secret = None;
    }
    if args.fleet.fleet_tls_client_certificate.is_some()
        && !typed("fleet_managed_host_identity_certificate")
    {
        args.fleet.fleet_managed_host_identity_certificate = false;
    }
    // The profile carries what the package then lacks: with it both are wanted.
    if args.macos.mobileconfig.is_none() && args.fleet.use_system_configuration {
        match typed("use_system_configuration") {
            true if !typed("enroll_secret") => args.fleet.enroll_secret = None,
            false if args.fleet.fleet_url.is_some() => args.fleet.use_system_configuration = false,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ')
            .map(|word| word.trim_matches('\'').into())
            .collect()
    }

    #[test]
    fn empty_flags_are_not_given() {
        let cases = [
            (
                "fleetpack package --type deb",
                "fleetpack package --type deb",
            ),
            (
                "fleetpack -q package --fleet-certificate '' --debug --osquery-db= --arch arm64",
                "fleetpack -q package --debug --arch arm64",
            ),
            // A switch has no value of its own to be left out, and a key is not forgotten.
            (
                "fleetpack package --service= --rpm-signing-key ''",
                "fleetpack package --service= --rpm-signing-key ''",
            ),
            (
                "fleetpack package --no-such-flag ''",
                "fleetpack package --no-such-flag ''",
            ),
            (
                "fleetpack updates add --path package --name ''",
                "fleetpack updates add --path package --name ''",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(without_empty_flags(words(line)), words(expected), "{line}");
        }
    }

    #[test]
    fn what_was_typed_wins() {
        // What a variable says stands in no list of what was typed.
        let cases = [
            ("--enroll-secret-file f", "--enroll-secret s", Ok("file")),
            ("--enroll-secret s --enroll-secret-file f", "", Err(())),
            (
                "--fleet-url u",
                "--use-system-configuration --enroll-secret s",
                Ok("secret"),
            ),
            (
                "--use-system-configuration",
                "--enroll-secret s",
                Ok("system"),
            ),
            (
                "--fleet-url u --use-system-configuration",
                "--enroll-secret s",
                Ok("system"),
            ),
            (
                "--fleet-url u --mobileconfig p",
                "--use-system-configuration --enroll-secret s",
                Ok("secret system"),
            ),
            (
                "--fleet-tls-client-certificate c --fleet-tls-client-key k",
                "--fleet-managed-host-identity-certificate",
                Ok(""),
            ),
            ("", "--fleet-managed-host-identity-certificate", Ok("host")),
        ];
        let parse = |line: &str| {
            let command = Args::augment_args(clap::Command::new("package")).no_binary_name(true);
            let words = format!("--type pkg {line}");
            let matches = command
                .try_get_matches_from(words.split_whitespace())
                .unwrap();
            Args::from_arg_matches(&matches).unwrap()
        };
        for (line, variables, expected) in cases {
            let mut args = parse(&format!("{line} {variables}"));
            args.given = parse(line).given;
            let found = settle(&mut args).map(|()| {
                let found = [
                    ("secret", args.fleet.enroll_secret.is_some()),
                    ("file", args.fleet.enroll_secret_file.is_some()),
                    ("system", args.fleet.use_system_configuration),
                    ("host", args.fleet.fleet_managed_host_identity_certificate),
                ];
                let found = found.iter().filter(|(_, set)| *set);
                found.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
            });
            let found = found.as_deref().map_err(|_| ());
            assert_eq!(found, expected, "{line} with {variables}");
        }
    }
}
