//! An App Store Connect API key and its tokens: JSON Web Tokens (RFC 7519) signed by ES256
//! (RFC 7518 3.4), good for ten minutes of the twenty that Apple allows.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use uuid::Uuid;

use crate::hint::Hint;

/// Seconds for which a token is good.
const LIFE: i64 = 600;

/// A key that is none. Its contents are never shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApiKeyError {
    /// Not the private key that Apple hands out.
    #[error("the App Store Connect API key is no private key (PEM, elliptic curve P-256)")]
    Content,
    /// Ten letters and digits.
    #[error("`{0}` is no identifier of an App Store Connect API key")]
    Id(String),
    /// A UUID.
    #[error("`{0}` is no issuer of App Store Connect API keys")]
    Issuer(String),
    /// The random number generator failed.
    #[error("cannot make a token for the notary service")]
    Token,
}

impl Hint for ApiKeyError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Content => {
                Some("--app-store-connect-api-key-content \"$(cat AuthKey_XXXXXXXXXX.p8)\"".into())
            }
            Self::Id(_) | Self::Issuer(_) => {
                Some("--app-store-connect-api-key-id and -issuer, as https://appstoreconnect.apple.com/access/integrations/api shows them".into())
            }
            Self::Token => None,
        }
    }
}

/// A key, ready to make tokens.
pub struct ApiKey {
    id: String,
    issuer: String,
    pair: EcdsaKeyPair,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).finish()
    }
}

impl ApiKey {
    /// Takes identifier, issuer and the text of the `.p8` file.
    pub fn new(id: &str, issuer: &str, content: &str) -> Result<Self, ApiKeyError> {
        let word = |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric());
        if !word(id) {
            return Err(ApiKeyError::Id(id.to_owned()));
        }
        if Uuid::try_parse(issuer).is_err() {
            return Err(ApiKeyError::Issuer(issuer.to_owned()));
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(content.as_bytes())
            .map_err(|_| ApiKeyError::Content)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der())
            .map_err(|_| ApiKeyError::Content)?;
        Ok(Self {
            id: id.to_owned(),
            issuer: issuer.to_owned(),
            pair,
        })
    }

    /// A token that begins to be good at `now`.
    pub fn token(&self, now: Timestamp) -> Result<String, ApiKeyError> {
        let header = json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" });
        let claims = json!({
            "iss": self.issuer,
            "iat": now.as_second(),
            "exp": now.as_second() + LIFE,
            "aud": "appstoreconnect-v1",
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| ApiKeyError::Token)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "11111111-2222-3333-4444-555555555555";

    #[test]
    fn refused() {
        let cases = [
            (("", ISSUER, "x"), ApiKeyError::Id(String::new())),
            (("../x", ISSUER, "x"), ApiKeyError::Id("../x".into())),
            (("AB12", "me", "x"), ApiKeyError::Issuer("me".into())),
            (("AB12", ISSUER, "no PEM"), ApiKeyError::Content),
            (
                (
                    "AB12",
                    ISSUER,
                    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                ),
                ApiKeyError::Content,
            ),
        ];
        for ((id, issuer, content), error) in cases {
            assert_eq!(ApiKey::new(id, issuer, content).unwrap_err(), error);
        }
    }
}
