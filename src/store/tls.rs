//! Certificates and keys in PEM, as administrators have them in files.
//!
//! Read once for two uses: to speak TLS while packaging, and to be shipped in an installer,
//! where a file that is no certificate would stop every agent. A key must belong to its
//! certificate.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use ureq::tls::{Certificate, PrivateKey};

use crate::hint::Hint;

/// PEM that is not what it should be. `name` is the file or flag it came from.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate inside.
    #[error("{name} holds no PEM certificate")]
    NoCertificate {
        /// Where it came from.
        name: String,
    },
    /// No private key inside.
    #[error("{name} holds no PEM private key")]
    NoKey {
        /// Where it came from.
        name: String,
    },
    /// PEM that cannot be decoded.
    #[error("{name} is broken PEM")]
    Broken {
        /// Where it came from.
        name: String,
        /// What the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key are not a pair.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    NoPair {
        /// Where the certificate came from.
        certificate: String,
        /// Where the key came from.
        key: String,
    },
    /// A key of a kind that TLS here does not know.
    #[error("the key in {key} cannot be used")]
    Key {
        /// Where the key came from.
        key: String,
        /// What the TLS library said.
        source: rustls::Error,
    },
}

impl Hint for TlsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoCertificate { name } | Self::Broken { name, .. } => {
                Some(format!("openssl x509 -in {name} -noout -subject"))
            }
            Self::NoKey { name } => Some(format!("openssl pkey -in {name} -noout")),
            Self::NoPair { key, .. } => Some(format!("openssl pkey -in {key} -pubout")),
            Self::Key { .. } => None,
        }
    }
}

/// Certificates that are trusted to sign a server's.
#[derive(Clone)]
pub struct TrustedRoots(Arc<Vec<CertificateDer<'static>>>);

impl TrustedRoots {
    /// Mozilla's, as they were when fleetpack was built.
    pub fn mozilla() -> Self {
        Self(Arc::new(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()))
    }

    /// Those in a PEM file.
    pub fn from_pem(pem: &[u8], name: &str) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(certificates(pem, name)?)))
    }

    pub(super) fn ureq_certificates(&self) -> Vec<Certificate<'static>> {
        ureq_certificates(&self.0)
    }
}

/// A client's certificate chain and key.
#[derive(Clone)]
pub struct ClientIdentity {
    chain: Arc<Vec<CertificateDer<'static>>>,
    key: Arc<PrivateKey<'static>>,
}

impl ClientIdentity {
    /// A certificate (leaf first) and its key, both as PEM with the names of their files.
    pub fn from_pem(certificate: (&[u8], &str), key: (&[u8], &str)) -> Result<Self, TlsError> {
        let pair = certified_key(certificate, key)?;
        let ureq_key = PrivateKey::from_pem(key.0).map_err(|source| TlsError::Broken {
            name: key.1.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self {
            chain: Arc::new(pair.cert),
            key: Arc::new(ureq_key),
        })
    }

    pub(super) fn ureq_chain(&self) -> Vec<Certificate<'static>> {
        ureq_certificates(&self.chain)
    }

    pub(super) fn ureq_key(&self) -> PrivateKey<'static> {
        PrivateKey::to_owned(&self.key)
    }
}

fn ureq_certificates(certificates: &[CertificateDer<'static>]) -> Vec<Certificate<'static>> {
    certificates
        .iter()
        .map(|der| Certificate::from_der(der.as_ref()).to_owned())
        .collect()
}

/// A certificate chain (leaf first) and its key, both as PEM with the names of their files:
/// a pair that can sign.
pub fn certified_key(
    certificate: (&[u8], &str),
    key: (&[u8], &str),
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate.0, certificate.1)?;
    let private = private_key(key.0, key.1)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::NoPair {
            certificate: certificate.1.to_owned(),
            key: key.1.to_owned(),
        },
        source => TlsError::Key {
            key: key.1.to_owned(),
            source,
        },
    })
}

/// The certificates in PEM; at least one.
pub fn certificates(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate { name: name.into() }),
        Ok(found) if found.iter().all(|der| looks_like_a_certificate(der)) => Ok(found),
        Ok(_) => Err(TlsError::Broken {
            name: name.into(),
            source: "a block between BEGIN and END CERTIFICATE is no certificate".into(),
        }),
        Err(source) => Err(TlsError::Broken {
            name: name.into(),
            source: source.to_string().into(),
        }),
    }
}

fn private_key(pem: &[u8], name: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls_pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => TlsError::NoKey { name: name.into() },
        source => TlsError::Broken {
            name: name.into(),
            source: source.to_string().into(),
        },
    })
}

// X.690: a certificate is one DER SEQUENCE that fills its bytes. The agent's TLS library
// parses the rest; this catches a file of another kind under a certificate's label.
fn looks_like_a_certificate(der: &[u8]) -> bool {
    let Some((&0x30, rest)) = der.split_first() else {
        return false;
    };
    match rest {
        [short @ 0..=0x7f, body @ ..] => usize::from(*short) == body.len(),
        [0x81, a, body @ ..] => usize::from(*a) == body.len(),
        [0x82, a, b, body @ ..] => usize::from(u16::from_be_bytes([*a, *b])) == body.len(),
        _ => false,
    }
}
