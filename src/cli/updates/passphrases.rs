//! Passphrases of key files: from `FLEET_<ROLE>_PASSPHRASE`, or typed without echo. One that
//! is to replace another comes from `FLEET_<ROLE>_NEW_PASSPHRASE`.

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
    fn in_environment(
        &self,
        role: Role,
        variable: &str,
    ) -> Result<Option<Passphrase>, PassphraseError> {
        match self.surroundings.secret(variable) {
            None => Ok(None),
            Some(secret) if secret.is_empty() => Err(PassphraseError::Empty(role)),
            Some(mut secret) => Ok(Some(Passphrase::new(std::mem::take(&mut *secret)))),
        }
    }
}

fn variable(role: Role) -> String {
    format!("FLEET_{}_PASSPHRASE", role.name().to_uppercase())
}

fn new_variable(role: Role) -> String {
    format!("FLEET_{}_NEW_PASSPHRASE", role.name().to_uppercase())
}

fn typed(role: Role, prompt: &str, variable: String) -> Result<Passphrase, PassphraseError> {
    let text = rpassword::prompt_password(prompt).map_err(|source| match source.kind() {
        // No /dev/tty, or one without a terminal behind it.
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => {
            PassphraseError::NoTerminal { role, variable }
        }
        _ if source.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            PassphraseError::NoTerminal { role, variable }
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
        if let Some(passphrase) = self.in_environment(role, &variable(role))? {
            return Ok((passphrase, Origin::Variable(variable(role))));
        }
        if again {
            self.printer
                .warn(format!("that is not the passphrase of the {role} key"));
        }
        let prompt = format!("Passphrase of the {role} key: ");
        Ok((typed(role, &prompt, variable(role))?, Origin::Typed))
    }

    fn new_one(&mut self, role: Role) -> Result<Passphrase, PassphraseError> {
        if let Some(passphrase) = self.in_environment(role, &variable(role))? {
            return Ok(passphrase);
        }
        typed_twice(role, variable(role))
    }
}

fn typed_twice(role: Role, variable: String) -> Result<Passphrase, PassphraseError> {
    let prompt = format!("New passphrase for the {role} key: ");
    let first = typed(role, &prompt, variable.clone())?;
    let prompt = format!("Repeat the passphrase for the {role} key: ");
    let second = typed(role, &prompt, variable)?;
    match first.same(&second) {
        true => Ok(first),
        false => Err(PassphraseError::Differ(role)),
    }
}

/// Asks for passphrases that replace others.
pub struct NewPassphrases<'a>(Passphrases<'a>);

impl<'a> NewPassphrases<'a> {
    pub fn new(surroundings: &'a Surroundings, printer: &'a Printer) -> Self {
        Self(Passphrases::new(surroundings, printer))
    }

    /// The new one, typed twice when it is typed.
    pub fn new_one(&self, role: Role) -> Result<Passphrase, PassphraseError> {
        let variable = new_variable(role);
        match self.0.in_environment(role, &variable)? {
            Some(passphrase) => Ok(passphrase),
            None => typed_twice(role, variable),
        }
    }
}
