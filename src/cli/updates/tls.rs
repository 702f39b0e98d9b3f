//! What is needed to speak TLS with a server of somebody's own: its authority's certificate, and
//! a certificate for this side. Flags are called as those of `package`.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::CliError;
use crate::store::tls::{ClientIdentity, TrustedRoots};
use crate::store::{HttpOptions, StoreError};

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

fn roots(path: &Path) -> Result<TrustedRoots, CliError> {
    let roots = TrustedRoots::from_pem(&fs_err::read(path)?, &path.display().to_string());
    Ok(roots.map_err(StoreError::from)?)
}

fn identity((certificate, key): (&Path, &Path)) -> Result<ClientIdentity, CliError> {
    let secret = Zeroizing::new(fs_err::read(key)?);
    let identity = ClientIdentity::from_pem(
        (
            &fs_err::read(certificate)?,
            &certificate.display().to_string(),
        ),
        (&secret, &key.display().to_string()),
    );
    Ok(identity.map_err(StoreError::from)?)
}
