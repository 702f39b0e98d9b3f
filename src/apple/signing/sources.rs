//! Certificates and a key out of PEM or PKCS #12.

use std::panic;

use apple_codesign::AppleCodesignError;
use apple_codesign::cryptography::{InMemoryPrivateKey, parse_pfx_data};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_certificate::CapturedX509Certificate;

use super::{Credentials, SigningError};

/// What was found: at least one certificate.
pub struct Found {
    pub certificates: Vec<CapturedX509Certificate>,
    pub key: InMemoryPrivateKey,
}

/// Reads the credentials.
pub fn read(credentials: &Credentials) -> Result<Found, SigningError> {
    match credentials {
        Credentials::Pem { text, name } => pem(text, name),
        Credentials::P12 {
            bytes,
            password,
            name,
        } => p12(bytes, password, name),
    }
}

fn wrong(name: &str, what: impl Into<String>, hint: Option<String>) -> SigningError {
    SigningError::Credentials {
        name: name.to_owned(),
        what: what.into(),
        hint,
    }
}

fn pem(text: &[u8], name: &str) -> Result<Found, SigningError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .map(|der| {
            let der = der.map_err(|_| wrong(name, "is broken PEM", None))?;
            CapturedX509Certificate::from_der(der.as_ref())
                .map_err(|_| wrong(name, "holds a certificate that cannot be read", None))
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        let hint = format!("openssl x509 -in {name} -noout -subject");
        return Err(wrong(name, "holds no PEM certificate", Some(hint)));
    }
    if String::from_utf8_lossy(text).contains("ENCRYPTED") {
        let hint = format!("openssl pkey -in {name} -out plain.pem");
        return Err(wrong(name, "holds an encrypted key", Some(hint)));
    }
    let key = match PrivateKeyDer::from_pem_slice(text) {
        Ok(PrivateKeyDer::Pkcs8(der)) => InMemoryPrivateKey::from_pkcs8_der(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(der)) => InMemoryPrivateKey::from_pkcs1_der(der.secret_pkcs1_der()),
        Ok(_) => return Err(wrong(name, "holds a key that is not RSA", None)),
        Err(_) => {
            let hint = format!("openssl pkey -in {name} -noout");
            return Err(wrong(name, "holds no PEM private key", Some(hint)));
        }
    };
    let key = key.map_err(|_| wrong(name, "holds a key that cannot be read", None))?;
    Ok(Found { certificates, key })
}

fn p12(bytes: &[u8], password: &str, name: &str) -> Result<Found, SigningError> {
    let converted = || {
        Some(format!(
            "openssl pkcs12 -in {name} -nodes -out identity.pem, then --macos-devid-pem identity.pem"
        ))
    };
    // p12 0.6: an integrity code that is not SHA-1, as OpenSSL 3 makes it, ends in a panic.
    let parsed = silently(|| parse_pfx_data(bytes, password).map_err(Box::new));
    match parsed {
        Ok(Ok((certificate, key))) => Ok(Found {
            certificates: vec![certificate],
            key,
        }),
        Ok(Err(error)) if matches!(*error, AppleCodesignError::PfxBadPassword) => Err(wrong(
            name,
            "does not open with this password",
            Some("set FLEETPACK_MACOS_P12_PASSWORD".into()),
        )),
        Ok(Err(_)) => Err(wrong(
            name,
            "is no PKCS #12 file that can be read",
            converted(),
        )),
        Err(_) => Err(wrong(
            name,
            "is a PKCS #12 file of a newer kind, as OpenSSL 3 makes it, which cannot be read",
            converted(),
        )),
    }
}

/// Runs `work` and catches its panic, without the message on standard error.
fn silently<T>(work: impl FnOnce() -> T + panic::UnwindSafe) -> std::thread::Result<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(work);
    panic::set_hook(hook);
    result
}
