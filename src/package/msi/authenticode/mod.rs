//! Authenticode: a package signed by its maker, so that Windows names the maker.
//!
//! A step after the build: the digest of all streams ([`digest`]) is signed with a code
//! signing certificate ([`signer`]) into a CMS message ([`message`]), a time stamp authority
//! may countersign it ([`timestamp`]), and the message becomes one more stream of the file.
//! Without a time stamp the same input gives the same bytes for RSA keys. Documents:
//! "Windows Authenticode Portable Executable Signature Format", RFC 5652, RFC 3161; how a
//! package's digest is taken is written down nowhere: osslsigncode's `msi.c` is the peer.

mod digest;
mod message;
mod signer;
pub mod timestamp;

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use crate::hint::Hint;
use crate::install::Identity;
use crate::store::tls::TlsError;

pub use signer::Signer;

/// The stream that holds the signature.
const STREAM: &str = "\u{5}DigitalSignature";
/// Another stream that no digest covers.
const EXTENDED: &str = "\u{5}MsiDigitalSignatureEx";

/// A time stamp authority.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Its address, http or https.
    pub url: String,
    /// How long it may take.
    pub patience: Duration,
}

impl Authority {
    /// Waits half a minute at most.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            patience: Duration::from_secs(30),
        }
    }
}

/// A package could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Certificate and key cannot be read, or are no pair.
    #[error(transparent)]
    Pair(#[from] TlsError),
    /// The certificate's time is over, or has not come.
    #[error("the certificate in {name} is valid from {from} to {to} only")]
    Time {
        /// Its file.
        name: String,
        /// First day.
        from: String,
        /// Last day.
        to: String,
    },
    /// The certificate's extensions do not allow to sign programs.
    #[error("the certificate in {name} is not for code signing")]
    Purpose {
        /// Its file.
        name: String,
    },
    /// A key that SHA-256 does not go with.
    #[error("the key in {name} is of a kind that cannot sign here: RSA or NIST P-256")]
    Algorithm {
        /// Its file.
        name: String,
    },
    /// The file could not be read or extended.
    #[error("cannot sign the package")]
    File(#[source] io::Error),
    /// A structure could not be encoded or decoded.
    #[error("cannot write the signature")]
    Encoding(#[source] der::Error),
    /// The key refused to sign: a fault of the key.
    #[error("cannot sign with the key in {name}")]
    Key {
        /// Its file.
        name: String,
        /// What the provider said.
        source: rustls::Error,
    },
    /// The time stamp authority did not answer, or with an error.
    #[error("no time stamp from {url}")]
    Authority {
        /// Its address.
        url: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// The time stamp authority's answer is none.
    #[error("{url} gave no usable time stamp: {what}")]
    Stamp {
        /// Its address.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
}

impl From<der::Error> for SignError {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error)
    }
}

impl From<SignError> for crate::package::BuildError {
    fn from(error: SignError) -> Self {
        Self::Sign(Box::new(error))
    }
}

impl Hint for SignError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Pair(error) => error.hint(),
            Self::Time { name, .. } => Some(format!("openssl x509 -in {name} -noout -dates")),
            Self::Purpose { name } => Some(format!(
                "openssl x509 -in {name} -noout -ext extendedKeyUsage,keyUsage"
            )),
            Self::Algorithm { name } => Some(format!("openssl pkey -in {name} -noout -text")),
            Self::Authority { .. } | Self::Stamp { .. } => {
                Some("--msi-timestamp-url URL of another authority, or leave it out".to_owned())
            }
            Self::File(_) | Self::Encoding(_) | Self::Key { .. } => None,
        }
    }
}

/// Signs a finished package in place; `about` is whom Windows names. `file` is open for
/// reading and writing. A package that is signed already gets the new signature instead.
pub fn sign(
    file: File,
    signer: &Signer,
    about: &Identity,
    authority: Option<&Authority>,
) -> Result<(), SignError> {
    let mut package = cfb::CompoundFile::open(file).map_err(SignError::File)?;
    let digest = digest::of(&mut package).map_err(SignError::File)?;
    let message = message::signed(&digest, signer, about, authority)?;
    write(&mut package, &message).map_err(SignError::File)
}

fn write(package: &mut cfb::CompoundFile<File>, message: &[u8]) -> io::Result<()> {
    let stream = format!("/{STREAM}");
    for old in [stream.clone(), format!("/{EXTENDED}")] {
        if package.exists(&old) {
            package.remove_stream(&old)?;
        }
    }
    let mut out = package.create_stream(&stream)?;
    out.write_all(message)?;
    out.flush()?;
    drop(out);
    package.flush()
}
