//! Passphrases of key files: from `FLEET_<ROLE>_PASSPHRASE`, or typed without echo.

use std::io;

use crate::cli::{Printer, Surroundings};
use crate::tuf::keystore::{self, Origin, Passphrase, PassphraseError};
use crate::tuf::metadata::Role;

/// Asks this process's environment, then its terminal.
pub struct Passphrases<'a> {
    surroundings: &'a Surroundings,
    printer: &'a Printer,
}

impl<'a> Passphrases<'a> {
    pub fn new(surroundings: &'a Surroundings, printer: &'a Printer) -> Self {
        Self {
            surroundings,
            printer,
        }
    }

    // A variable that is set and empty is a mistake in a script, not a wish to be asked.
    fn in_environment(&self, role: Role) -> Result<Option<Passphrase>, PassphraseError> {
        match self.surroundings.secret(&variable(role)) {
            None => Ok(None),
            Some(secret) if secret.is_empty() => Err(PassphraseError::Empty(role)),
            Some(mut secret) => Ok(Some(Passphrase::new(std::mem::take(&mut *secret)))),
        }
    }
}

fn variable(role: Role) -> String {
    format!("FLEET_{}_PASSPHRASE", role.name().to_uppercase())
}

fn typed(role: Role, prompt: &str) -> Result<Passphrase, PassphraseError> {
    let text = rpassword::prompt_password(prompt).map_err(|source| match source.kind() {
        // No /dev/tty, or one without a terminal behind it.
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => PassphraseError::NoTerminal {
            role,
            variable: variable(role),
        },
        _ if source.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            PassphraseError::NoTerminal {
                role,
                variable: variable(role),
            }
        }
        _ => PassphraseError::Terminal { role, source },
    })?;
    match text.is_empty() {
        true => Err(PassphraseError::Empty(role)),
        false => Ok(Passphrase::new(text)),
    }
}

impl keystore::Passphrases for Passphrases<'_> {
    fn existing(
        &mut self,
        role: Role,
        again: bool,
    ) -> Result<(Passphrase, Origin), PassphraseError> {
        if let Some(passphrase) = self.in_environment(role)? {
            return Ok((passphrase, Origin::Variable(variable(role))));
        }
        if again {
            self.printer
                .warn(format!("that is not the passphrase of the {role} key"));
        }
        let prompt = format!("Passphrase of the {role} key: ");
        Ok((typed(role, &prompt)?, Origin::Typed))
    }

    fn new_one(&mut self, role: Role) -> Result<Passphrase, PassphraseError> {
        if let Some(passphrase) = self.in_environment(role)? {
            return Ok(passphrase);
        }
        let first = typed(role, &format!("New passphrase for the {role} key: "))?;
        let second = typed(role, &format!("Repeat the passphrase for the {role} key: "))?;
        match first.same(&second) {
            true => Ok(first),
            false => Err(PassphraseError::Differ(role)),
        }
    }
}
