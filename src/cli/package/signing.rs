//! The flags that sign a Windows package, and the step that does it.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::args::OutputArgs;
use super::options::read_file;
use crate::cli::{CliError, Surroundings};
use crate::install::Identity;
use crate::package::BuildError;
use crate::package::msi::authenticode::{Authority, Signer, sign};

/// By whom Windows packages are signed, and who stamps the time.
pub struct Signing {
    signer: Signer,
    authority: Option<Authority>,
}

impl Signing {
    /// Reads certificate and key; `None` when none are named.
    pub fn read(args: &OutputArgs, surroundings: &Surroundings) -> Result<Option<Self>, CliError> {
        let (certificate, key) = match (&args.msi_signing_cert, &args.msi_signing_key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(half("--msi-signing-cert", "--msi-signing-key")),
            (None, Some(_)) => return Err(half("--msi-signing-key", "--msi-signing-cert")),
        };
        let chain = read_file(certificate)?;
        let private = Zeroizing::new(read_file(key)?);
        let (chain_name, key_name) = (shown(certificate), shown(key));
        let signer = Signer::from_pem(
            (&chain, &chain_name),
            (&private, &key_name),
            SystemTime::from(surroundings.now),
        )
        .map_err(BuildError::from)?;
        let authority = args.msi_timestamp_url.as_ref().map(Authority::new);
        Ok(Some(Self { signer, authority }))
    }

    /// Signs a finished package in place.
    pub fn sign(&self, file: File, about: &Identity) -> Result<(), BuildError> {
        Ok(sign(file, &self.signer, about, self.authority.as_ref())?)
    }
}

fn half(given: &str, missing: &str) -> CliError {
    CliError::usage(
        format!("{given} needs {missing}"),
        format!("add {missing} FILE"),
    )
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
