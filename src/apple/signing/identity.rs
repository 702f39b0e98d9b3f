//! A Developer ID Installer certificate with its key, checked, and what it signs.

use std::fs::File;
use std::io::{BufWriter, Write};

use apple_codesign::cryptography::InMemoryPrivateKey;
use apple_codesign::{AppleCertificate, CertificateProfile};
use apple_xar::reader::XarReader;
use apple_xar::signing::XarSigner;
use cryptographic_message_syntax::{SignedDataBuilder, SignerBuilder};
use jiff::Timestamp;
use url::Url;
use x509_certificate::{CapturedX509Certificate, KeyAlgorithm, Sign};

use super::sources::{self, Found};
use super::{Credentials, SigningError};

/// A certificate with its key.
pub struct Identity {
    key: InMemoryPrivateKey,
    certificate: CapturedX509Certificate,
    above: Vec<CapturedX509Certificate>,
}

impl Identity {
    /// Reads credentials and checks that they can sign a package at `now`.
    pub fn load(credentials: &Credentials, now: Timestamp) -> Result<Self, SigningError> {
        let identity = Self::pair(sources::read(credentials)?, credentials.name())?;
        identity.check_kind()?;
        identity.check_dates(now)?;
        Ok(identity)
    }

    /// Signs the package `from` and writes the signed one to `to`. A time stamp of the server
    /// `timestamp` outlives the certificate.
    pub fn sign_package(
        &self,
        from: File,
        to: &File,
        timestamp: Option<&Url>,
    ) -> Result<(), SigningError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| SigningError::Sign {
            what: match timestamp {
                Some(url) => format!("the package with a time stamp of {url}"),
                None => "the package".to_owned(),
            },
            source,
        };
        let reader = XarReader::new(from).map_err(|e| failed(e.into()))?;
        let mut out = BufWriter::with_capacity(256 * 1024, to);
        XarSigner::new(reader)
            .sign(
                &mut out,
                &self.key,
                &self.certificate,
                timestamp,
                self.above.iter().cloned(),
            )
            .map_err(|e| failed(e.into()))?;
        out.flush().map_err(|e| failed(e.into()))
    }

    /// Wraps a configuration profile into a signed one (CMS, DER).
    pub fn sign_profile(&self, profile: &str) -> Result<Vec<u8>, SigningError> {
        let signer = SignerBuilder::new(&self.key, self.certificate.clone());
        SignedDataBuilder::default()
            .content_inline(profile.as_bytes().to_vec())
            .signer(signer)
            .certificates(self.above.iter().cloned())
            .build_der()
            .map_err(|e| SigningError::Sign {
                what: "the configuration profile".to_owned(),
                source: e.into(),
            })
    }

    // The certificate is the one that the key belongs to; the others stand above it.
    fn pair(found: Found, name: &str) -> Result<Self, SigningError> {
        let wrong = |what: &str| SigningError::Credentials {
            name: name.to_owned(),
            what: what.to_owned(),
            hint: None,
        };
        let Found { certificates, key } = found;
        if !matches!(key.key_algorithm(), Some(KeyAlgorithm::Rsa)) {
            return Err(wrong("holds a key that is not RSA"));
        }
        let public = key.public_key_data();
        let (mut own, mut above): (Vec<_>, Vec<_>) = certificates
            .into_iter()
            .partition(|certificate| certificate.public_key_data() == public);
        let certificate = own
            .pop()
            .ok_or_else(|| wrong("holds no certificate that its key belongs to"))?;
        // Apple's own certificates are known; they need not be in the file.
        if let Some(chain) = certificate.apple_root_certificate_chain() {
            above = chain.into_iter().skip(1).collect();
        }
        Ok(Self {
            key,
            certificate,
            above,
        })
    }

    fn check_kind(&self) -> Result<(), SigningError> {
        match self.certificate.apple_guess_profile() {
            Some(CertificateProfile::DeveloperIdInstaller) => Ok(()),
            Some(other) => Err(self.refused(format!(
                "is for {other:?}; a package is signed with Developer ID Installer"
            ))),
            None => Err(self.refused("is no Developer ID Installer certificate".to_owned())),
        }
    }

    fn check_dates(&self, now: Timestamp) -> Result<(), SigningError> {
        let second = now.as_second();
        let from = self.certificate.validity_not_before();
        let until = self.certificate.validity_not_after();
        if second < from.timestamp() {
            let day = from.format("%Y-%m-%d");
            return Err(self.refused(format!("is not valid before {day}")));
        }
        if second > until.timestamp() {
            let day = until.format("%Y-%m-%d");
            return Err(self.refused(format!("expired on {day}")));
        }
        Ok(())
    }

    fn refused(&self, what: String) -> SigningError {
        let subject = self.certificate.subject_common_name();
        SigningError::Certificate {
            subject: subject.unwrap_or_else(|| "nobody".to_owned()),
            what,
        }
    }
}
