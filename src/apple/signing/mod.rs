//! Signs a package as `productsign` does, with a Developer ID Installer certificate, here.
//!
//! A signed xar holds two signatures over the digest of its table of contents, an RSA one and
//! a CMS one with the certificates; `apple-xar` writes them. The certificate is looked at
//! before anything is signed: its kind (Apple's extended key usage 1.2.840.113635.100.4.13),
//! its dates, whether the key is its own. Programs inside the package are not signed here.
//!
//! It is all behind the cargo feature `macos-signing`; without it every attempt is
//! [`SigningError::NotBuilt`].

#[cfg(not(feature = "macos-signing"))]
#[path = "absent.rs"]
mod identity;
#[cfg(feature = "macos-signing")]
mod identity;
#[cfg(feature = "macos-signing")]
mod sources;

pub use identity::Identity;

use zeroize::Zeroizing;

use crate::hint::Hint;

/// Apple's own time-stamp server.
pub const APPLE_TIMESTAMP: &str = "http://timestamp.apple.com/ts01";

/// Where certificate and key come from; `name` is what errors call it.
pub enum Credentials {
    /// PEM with a certificate, its key, and maybe the certificates above it.
    Pem {
        /// The text.
        text: Zeroizing<Vec<u8>>,
        /// File or flag.
        name: String,
    },
    /// PKCS #12, as Keychain Access exports it.
    P12 {
        /// The file's bytes.
        bytes: Zeroizing<Vec<u8>>,
        /// Its password.
        password: Zeroizing<String>,
        /// File.
        name: String,
    },
}

impl Credentials {
    /// File or flag.
    pub fn name(&self) -> &str {
        match self {
            Self::Pem { name, .. } | Self::P12 { name, .. } => name,
        }
    }
}

/// A package could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// Built without the feature.
    #[error("this fleetpack was built without signing for macOS")]
    NotBuilt,
    /// Not what it should be.
    #[error("{name} {what}")]
    Credentials {
        /// File or flag.
        name: String,
        /// What is wrong with it.
        what: String,
        /// A command that helps.
        hint: Option<String>,
    },
    /// A certificate that is not for packages, or not now.
    #[error("the certificate of {subject} {what}")]
    Certificate {
        /// Whose it is.
        subject: String,
        /// What is wrong with it.
        what: String,
    },
    /// The signature could not be made.
    #[error("cannot sign {what}")]
    Sign {
        /// What was to be signed.
        what: String,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Hint for SigningError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotBuilt => Some(
                "cargo install --path . --features macos-signing, or the release's …-full.tar.gz"
                    .into(),
            ),
            Self::Credentials { hint, .. } => hint.clone(),
            Self::Certificate { .. } => Some(
                "--macos-devid-pem FILE, with a Developer ID Installer certificate from \
                 https://developer.apple.com/account/resources/certificates"
                    .into(),
            ),
            Self::Sign { .. } => None,
        }
    }
}
