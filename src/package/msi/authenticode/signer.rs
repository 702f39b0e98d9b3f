//! A code signing certificate, its chain and its key.

use std::time::SystemTime;

use der::Decode;
use der::asn1::ObjectIdentifier;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::time::Time;

use super::SignError;
use crate::store::tls;

/// id-kp-codeSigning and anyExtendedKeyUsage. RFC 5280 4.2.1.12.
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// How the key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS #1 1.5.
    Rsa,
    /// ECDSA on NIST P-256.
    EcdsaP256,
}

impl Algorithm {
    fn scheme(self) -> SignatureScheme {
        match self {
            Self::Rsa => SignatureScheme::RSA_PKCS1_SHA256,
            Self::EcdsaP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        }
    }
}

/// See the head of this file.
pub struct Signer {
    pair: CertifiedKey,
    chain: Vec<Certificate>,
    algorithm: Algorithm,
    key_name: String,
}

impl Signer {
    /// A certificate (leaf first, then its issuers) and its key, both as PEM with the names of
    /// their files. Refused are pairs that do not match, certificates that are not valid at
    /// `now` or not for code signing, and keys that SHA-256 does not go with.
    pub fn from_pem(
        certificate: (&[u8], &str),
        key: (&[u8], &str),
        now: SystemTime,
    ) -> Result<Self, SignError> {
        let pair = tls::certified_key(certificate, key)?;
        let chain: Result<Vec<Certificate>, der::Error> = pair
            .cert
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect();
        let chain = chain?;
        let name = certificate.1.to_owned();
        if let Some(leaf) = chain.first() {
            check_time(leaf, &name, now)?;
            check_purpose(leaf, &name)?;
        }
        let algorithm = [Algorithm::Rsa, Algorithm::EcdsaP256]
            .into_iter()
            .find(|algorithm| pair.key.choose_scheme(&[algorithm.scheme()]).is_some());
        let key_name = key.1.to_owned();
        match algorithm {
            Some(algorithm) => Ok(Self {
                pair,
                chain,
                algorithm,
                key_name,
            }),
            None => Err(SignError::Algorithm { name: key_name }),
        }
    }

    /// The certificates, leaf first.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// How [`Signer::sign`] signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs the sha256 of a message.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let scheme = self.algorithm.scheme();
        let signer = self.pair.key.choose_scheme(&[scheme]);
        let signer = signer.ok_or_else(|| SignError::Algorithm {
            name: self.key_name.clone(),
        })?;
        signer.sign(message).map_err(|source| SignError::Key {
            name: self.key_name.clone(),
            source,
        })
    }
}

fn check_time(certificate: &Certificate, name: &str, now: SystemTime) -> Result<(), SignError> {
    let validity = &certificate.tbs_certificate.validity;
    let (from, to) = (validity.not_before, validity.not_after);
    match (from.to_system_time()..=to.to_system_time()).contains(&now) {
        true => Ok(()),
        false => Err(SignError::Time {
            name: name.to_owned(),
            from: day(&from),
            to: day(&to),
        }),
    }
}

fn day(time: &Time) -> String {
    let text = time.to_date_time().to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Without an extension every purpose is allowed.
fn check_purpose(certificate: &Certificate, name: &str) -> Result<(), SignError> {
    let fields = &certificate.tbs_certificate;
    let purposes = fields.get::<ExtendedKeyUsage>()?;
    let usage = fields.get::<KeyUsage>()?;
    let purpose_fits = purposes.is_none_or(|(_, purposes)| {
        let fits = |purpose: &ObjectIdentifier| [CODE_SIGNING, ANY_PURPOSE].contains(purpose);
        purposes.0.iter().any(fits)
    });
    let usage_fits = usage.is_none_or(|(_, usage)| usage.0.contains(KeyUsages::DigitalSignature));
    match purpose_fits && usage_fits {
        true => Ok(()),
        false => Err(SignError::Purpose {
            name: name.to_owned(),
        }),
    }
}

/// Issuer and serial number: what names a signer in the message.
pub fn named(certificate: &Certificate) -> cms::cert::IssuerAndSerialNumber {
    let fields = &certificate.tbs_certificate;
    cms::cert::IssuerAndSerialNumber {
        issuer: fields.issuer.clone(),
        serial_number: fields.serial_number.clone(),
    }
}
