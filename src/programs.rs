//! Other programs that are started here: only those that a person named, for a secret or for
//! credentials. They get our environment without the secrets that are meant for us alone, as
//! everybody with the same rights can read the environment of a process (proc_pid_environ(5)).

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// How the names of variables with secrets begin and end.
const SECRETS: (&str, [&str; 5]) = (
    "FLEET",
    [
        "_PASSPHRASE",
        "_PIN",
        "_PASSWORD",
        "_ENROLL_SECRET",
        "_CONTENT",
    ],
);

/// Runs a program without input; what it complains of goes where we complain.
pub fn output<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> std::io::Result<Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_secret) {
            command.env_remove(name);
        }
    }
    command.output()
}

fn is_secret(name: &str) -> bool {
    let (front, backs) = SECRETS;
    name.starts_with(front) && backs.iter().any(|back| name.ends_with(back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_ours() {
        for name in [
            "FLEET_ROOT_PASSPHRASE",
            "FLEET_TARGETS_NEW_PASSPHRASE",
            "FLEET_RPM_SIGNING_PASSPHRASE",
            "FLEET_ROOT_PIN",
            "FLEETPACK_ENROLL_SECRET",
            "FLEETPACK_MACOS_P12_PASSWORD",
            "FLEETCTL_MACOS_DEVID_PEM_CONTENT",
            "FLEETCTL_APP_STORE_CONNECT_API_KEY_CONTENT",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "HOME",
            "AWS_SECRET_ACCESS_KEY",
            "FLEETPACK_CACHE",
            "VAULT_PASSPHRASE",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
