//! Other programs that are started here: only those that a person named, for a secret or for
//! credentials. They get our environment without the secrets that are meant for us alone, as
//! everybody with the same rights can read the environment of a process (proc_pid_environ(5)).

use std::ffi::OsStr;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};

use zeroize::Zeroizing;

/// The most bytes that a program may print: a secret, or credentials.
pub const LIMIT: usize = 64 << 10;

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

/// What a program did.
pub struct Output {
    /// How it ended, or was ended.
    pub status: ExitStatus,
    /// What it printed; `None` when that was more than [`LIMIT`].
    pub printed: Option<Zeroizing<Vec<u8>>>,
}

/// Runs a program without input, and without the variables `secrets` beside those of ours; what
/// it complains of goes where we complain. One that prints too much is killed.
pub fn output<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    secrets: &[String],
) -> io::Result<Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_secret) {
            command.env_remove(name);
        }
    }
    for name in secrets.iter().filter(|name| is_name(name)) {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    let printed = printed(&mut child);
    if !matches!(printed, Ok(Some(_))) {
        // Nobody reads any more, and it may write for ever. It may have ended, too.
        let _ = child.kill();
    }
    let status = child.wait()?;
    printed.map(|printed| Output { status, printed })
}

// The pipe is closed when this returns: what else writes to it ends too.
fn printed(child: &mut Child) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // A buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT + 1));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    }
    Ok((bytes.len() <= LIMIT).then_some(bytes))
}

// Others cannot be in an environment.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
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

    fn shell(script: &str, secrets: &[&str]) -> Output {
        let secrets: Vec<_> = secrets.iter().map(|name| (*name).to_owned()).collect();
        output("sh", ["-c", script], &secrets).unwrap()
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        for (script, bytes) in [
            ("printf secret", Some(6)),
            ("head -c 65536 /dev/zero", Some(LIMIT)),
            ("head -c 65537 /dev/zero", None),
            ("exec cat /dev/zero", None),
            // By a child of its own.
            ("cat /dev/zero; true", None),
        ] {
            let printed = shell(script, &[]).printed;
            assert_eq!(printed.map(|printed| printed.len()), bytes, "{script}");
        }
        assert!(shell("echo x", &[]).status.success());
    }

    #[test]
    fn secrets_of_others() {
        let home = std::env::var_os("HOME").map_or("", |_| "set");
        for (secrets, expected) in [(&["", "A=B", "NOT_SET"][..], home), (&["HOME"], "")] {
            let printed = shell("printf %s ${HOME+set}", secrets).printed.unwrap();
            assert_eq!(
                printed.as_slice(),
                expected.as_bytes(),
                "without {secrets:?}"
            );
        }
    }
}
