//! What is needed to speak TLS with a server of somebody's own: its authority's certificate, and
//! a certificate for this side. Flags are called as those of `package`.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::CliError;
use crate::fs;
use crate::store::tls::{ClientIdentity, TrustedRoots};
use crate::store::{HttpOptions, StoreError};

/// Largest certificate or key that is read.
const FILE_LIMIT: u64 = 4 << 20;

/// Certificates and keys in PEM files.
#[derive(Debug, clap::Args)]
pub struct Tls {
    /// PEM certificates that the server's is checked against, in place of Mozilla's
    #[arg(long, value_name = "FILE")]
    update_tls_certificate: Option<PathBuf>,

    /// Client certificate (PEM) towards the server
    #[arg(long, value_name = "FILE", requires = "update_tls_client_key")]
    update_tls_client_certificate: Option<PathBuf>,

    /// Key of that client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "update_tls_client_certificate")]
    update_tls_client_key: Option<PathBuf>,
}

impl Tls {
    /// Reads the files.
    pub fn options(&self) -> Result<HttpOptions, CliError> {
        let roots = self.update_tls_certificate.as_deref().map(roots);
        let pair = self.update_tls_client_certificate.as_deref();
        let pair = pair.zip(self.update_tls_client_key.as_deref());
        Ok(HttpOptions {
            roots: roots.transpose()?,
            identity: pair.map(identity).transpose()?,
            ..HttpOptions::default()
        })
    }
}

/// Reads a file that was named on the command line, of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let gone = || {
        let sentence = format!("{} does not exist", path.display());
        io::Error::new(io::ErrorKind::NotFound, sentence)
    };
    Ok(fs::read_limited(path, limit)?.ok_or_else(gone)?)
}

fn roots(path: &Path) -> Result<TrustedRoots, CliError> {
    let roots = TrustedRoots::from_pem(&read(path, FILE_LIMIT)?, &path.display().to_string());
    Ok(roots.map_err(StoreError::from)?)
}

fn identity((certificate, key): (&Path, &Path)) -> Result<ClientIdentity, CliError> {
    let secret = Zeroizing::new(read(key, FILE_LIMIT)?);
    let identity = ClientIdentity::from_pem(
        (
            &read(certificate, FILE_LIMIT)?,
            &certificate.display().to_string(),
        ),
        (&secret, &key.display().to_string()),
    );
    Ok(identity.map_err(StoreError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_too_large() {
        let endless = read(Path::new("/dev/zero"), 1000).unwrap_err();
        assert_eq!(endless.to_string(), "/dev/zero is larger than 1000 bytes");
        let missing = read(Path::new("/missing/ca.pem"), 1000).unwrap_err();
        assert_eq!(missing.to_string(), "/missing/ca.pem does not exist");
    }
}
