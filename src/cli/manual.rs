//! What the manual says beside the argument definitions: exit codes and variables. `--help`,
//! the manual pages and `docs/reference.md` are made of the same lists.

use clap::Command;

/// How the program can end, and what that means.
pub const EXIT_CODES: [(u8, &str); 6] = [
    (0, "done"),
    (
        1,
        "failed, or `doctor`, `updates status` or `updates verify` found a fault",
    ),
    (2, "the command line is wrong, or a manifest that it names"),
    (3, "`updates status`: something expires soon"),
    (4, "`updates status`: something has expired"),
    (
        5,
        "the change waits in `pending/` for signatures; nothing is published yet",
    ),
];

const EXAMPLES: &str = "\
Examples:
  fleetpack quickstart
  fleetpack updates status --path updates
  fleetpack help updates add";

/// What stands at the end of `fleetpack --help`.
pub(super) fn of_program() -> String {
    let mut text = format!("{EXAMPLES}\n\nExit codes:");
    for (code, meaning) in EXIT_CODES {
        text += &format!("\n  {code}  {meaning}");
    }
    text
}

/// The codes with which a built command can end, or one below it.
pub(super) fn exit_codes(command: &Command) -> impl Iterator<Item = (u8, &'static str)> {
    EXIT_CODES.into_iter().filter(|(code, _)| match code {
        3 | 4 => any(command, &|one| named(one, &["updates-status"])),
        5 => any(command, &|one| named(one, HOLDING)),
        _ => true,
    })
}

/// Variables that are no flag's.
#[derive(Debug)]
pub struct Variables {
    /// Their names.
    pub names: &'static [&'static str],
    /// What they say.
    pub meaning: &'static str,
    /// They matter to commands that take one of these flags, or that have this name.
    flags: &'static [&'static str],
}

/// Commands whose change may have to wait for signatures.
const HOLDING: &[&str] = &[
    "updates-add",
    "updates-attach",
    "updates-consistent-snapshot",
    "updates-keys-add",
    "updates-keys-revoke",
    "updates-keys-threshold",
    "updates-mirror",
    "updates-promote",
    "updates-remove",
    "updates-rotate",
];
/// A command that signs nothing and opens a key file.
const PASSPHRASE: &str = "updates-keys-passphrase";

/// Flags of commands that sign an update repository.
const SIGNING: &[&str] = &["key", "root-expires", "timestamp-expires", PASSPHRASE];
/// A flag of commands that sign by a token.
const TOKENS: &[&str] = &["key"];
/// Flags of commands that make installers.
const MAKING: &[&str] = &["outfile", "dir"];
/// Flags of commands that reach object storage.
const STORAGE: &[&str] = &["endpoint", "cache"];
/// A flag of every command.
const ALL: &[&str] = &["quiet"];

impl Variables {
    /// Whether a built command reads them, or one below it.
    pub(super) fn matter_to(&self, command: &Command) -> bool {
        any(command, &|one| {
            takes(one, self.flags) || named(one, self.flags)
        })
    }
}

fn any(command: &Command, is: &dyn Fn(&Command) -> bool) -> bool {
    is(command) || command.get_subcommands().any(|below| any(below, is))
}

fn takes(command: &Command, flags: &[&str]) -> bool {
    let long = |arg: &clap::Arg| arg.get_long().is_some_and(|long| flags.contains(&long));
    command.get_arguments().any(long)
}

// Definitions that are built know the names of those above them.
fn named(command: &Command, names: &[&str]) -> bool {
    let name = command.get_display_name().unwrap_or_default();
    name.strip_prefix("fleetpack-")
        .is_some_and(|name| names.contains(&name))
}

/// Variables that are no flag's, in the order of the reference.
pub const VARIABLES: &[Variables] = &[
    Variables {
        names: &[
            "FLEET_ROOT_PASSPHRASE",
            "FLEET_TARGETS_PASSPHRASE",
            "FLEET_SNAPSHOT_PASSPHRASE",
            "FLEET_TIMESTAMP_PASSPHRASE",
        ],
        meaning: "Passphrase of the role's key file",
        flags: SIGNING,
    },
    Variables {
        names: &[
            "FLEET_ROOT_NEW_PASSPHRASE",
            "FLEET_TARGETS_NEW_PASSPHRASE",
            "FLEET_SNAPSHOT_NEW_PASSPHRASE",
            "FLEET_TIMESTAMP_NEW_PASSPHRASE",
        ],
        meaning: "What `updates keys passphrase` puts in its place",
        flags: &[PASSPHRASE],
    },
    Variables {
        names: &[
            "FLEET_ROOT_PIN",
            "FLEET_TARGETS_PIN",
            "FLEET_SNAPSHOT_PIN",
            "FLEET_TIMESTAMP_PIN",
        ],
        meaning: "PIN of the token with the role's key",
        flags: TOKENS,
    },
    Variables {
        names: &["FLEETPACK_PKCS11_MODULE"],
        meaning: "Library of the tokens, where a URI names none",
        flags: TOKENS,
    },
    Variables {
        names: &["FLEET_RPM_SIGNING_PASSPHRASE"],
        meaning: "Passphrase of `--rpm-signing-key`",
        flags: &["rpm-signing-key"],
    },
    Variables {
        names: &["FLEETPACK_MACOS_P12_PASSWORD"],
        meaning: "Password of `--macos-devid-p12`",
        flags: &["macos-devid-p12"],
    },
    Variables {
        names: &["AC_USERNAME"],
        meaning: "For a Mac's own tools; `--notarize` says what it takes instead",
        flags: &["notarize"],
    },
    Variables {
        names: &["FLEETPACK_APPLE_STAND_IN"],
        meaning: "For tests: a server on this machine in Apple's place",
        flags: &["notarize"],
    },
    Variables {
        names: &["SOURCE_DATE_EPOCH"],
        meaning: "Seconds since 1970 that go into packages; now when it is not set",
        flags: MAKING,
    },
    Variables {
        names: &["XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"],
        meaning: "Where `fleetpack/` with verified state, the cache and its key are; by default \
                  `.local/state`, `.cache` and `.config` in `HOME`",
        flags: &["cache"],
    },
    Variables {
        names: &["TMPDIR"],
        meaning: "Folder for large files while a package is made; by default `/tmp`",
        flags: MAKING,
    },
    Variables {
        names: &["NO_COLOR", "TERM"],
        meaning: "No colours when set; none on `dumb`",
        flags: ALL,
    },
    Variables {
        names: &[
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_SKIP_SIGNATURE",
        ],
        meaning: "S3: credentials, or requests without",
        flags: STORAGE,
    },
    Variables {
        names: &[
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
        ],
        meaning: "S3: profile, and the files that hold it; by default those in `HOME`",
        flags: STORAGE,
    },
    Variables {
        names: &[
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_ENDPOINT_URL_S3",
            "AWS_ENDPOINT_URL",
        ],
        meaning: "S3: where",
        flags: STORAGE,
    },
    Variables {
        names: &[
            "AWS_ROLE_ARN",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "AWS_METADATA_ENDPOINT",
        ],
        meaning: "S3: credentials of a workload, container or instance",
        flags: STORAGE,
    },
    Variables {
        names: &[
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "STORAGE_EMULATOR_HOST",
        ],
        meaning: "Google Cloud Storage: credentials; an emulator",
        flags: STORAGE,
    },
    Variables {
        names: &[
            "AZURE_STORAGE_ACCOUNT",
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_CONNECTION_STRING",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_TOKEN",
        ],
        meaning: "Azure: account and credentials",
        flags: STORAGE,
    },
    Variables {
        names: &[
            "AZURE_STORAGE_CLIENT_ID",
            "AZURE_CLIENT_ID",
            "AZURE_FEDERATED_TOKEN_FILE",
            "IDENTITY_ENDPOINT",
        ],
        meaning: "Azure: credentials of a workload or instance; without any the `az` program is asked",
        flags: STORAGE,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_commands_exist() {
        let mut program = crate::cli::definitions();
        program.build();
        let lists = VARIABLES.iter().map(|variables| variables.flags);
        for word in lists.chain([HOLDING]).flatten() {
            let there = any(&program, &|one| takes(one, &[word]) || named(one, &[word]));
            assert!(there, "{word}");
        }
    }

    #[test]
    fn commands_end_with_codes_of_their_own() {
        let mut program = crate::cli::definitions();
        program.build();
        let codes = |names: &[&str]| {
            let command = names.iter().try_fold(&program, |c, n| c.find_subcommand(n));
            let codes = exit_codes(command.unwrap()).map(|(code, _)| code);
            codes.collect::<Vec<_>>()
        };
        assert_eq!(codes(&[]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(codes(&["inspect"]), [0, 1, 2]);
        assert_eq!(codes(&["updates", "status"]), [0, 1, 2, 3, 4]);
        assert_eq!(codes(&["updates", "add"]), [0, 1, 2, 5]);
    }
}
