//! Keys on PKCS#11 tokens: how they are named (RFC 7512), and what can go wrong.
//!
//! The library that speaks to a token is loaded while the program runs, which needs the
//! feature `pkcs11` and a program that is not linked statically; every other build knows the
//! names and says which build can. A PIN never stands in the name: it would be seen in the
//! list of processes.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::keystore::Signer;

/// A PKCS#11 URI (RFC 7512 §2.3): which token, which key on it, which library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    /// The text that was given.
    pub text: String,
    /// Label of the token.
    pub token: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Manufacturer of the token.
    pub manufacturer: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Label of the key.
    pub object: Option<String>,
    /// Id of the key, as bytes.
    pub id: Option<Vec<u8>>,
    /// The token's library.
    pub module: Option<PathBuf>,
    /// A file that holds the PIN.
    pub pin_source: Option<PathBuf>,
}

impl FromStr for Uri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("pkcs11:")
            .ok_or("a token's key is named by a URI that begins with pkcs11:")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for part in path.split(';').filter(|part| !part.is_empty()) {
            uri.path_attribute(part)?;
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            uri.query_attribute(part)?;
        }
        match uri.object.is_some() || uri.id.is_some() {
            true => Ok(uri),
            false => Err("the URI names no key: give object=LABEL or id=%01".to_owned()),
        }
    }
}

impl Uri {
    fn path_attribute(&mut self, part: &str) -> Result<(), String> {
        let (name, bytes) = attribute(part)?;
        let text = || {
            String::from_utf8(bytes.clone()).map_err(|_| format!("{name} in the URI is not UTF-8"))
        };
        match name {
            "token" => self.token = Some(text()?),
            "serial" => self.serial = Some(text()?),
            "manufacturer" => self.manufacturer = Some(text()?),
            "model" => self.model = Some(text()?),
            "object" => self.object = Some(text()?),
            "id" => self.id = Some(bytes),
            "type" if text()? == "private" => {}
            "type" => return Err("only keys of type=private can sign".to_owned()),
            other => return Err(format!("the URI's {other} is not understood")),
        }
        Ok(())
    }

    fn query_attribute(&mut self, part: &str) -> Result<(), String> {
        let (name, bytes) = attribute(part)?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
        match name {
            "module-path" => self.module = Some(text.into()),
            "pin-source" => {
                let path = text.strip_prefix("file:").unwrap_or(&text);
                self.pin_source = Some(path.into());
            }
            "pin-value" => {
                return Err(
                    "a PIN in the URI would be seen by everybody on this machine; use FLEET_ROLE_PIN or pin-source"
                        .to_owned(),
                );
            }
            other => return Err(format!("the URI's {other} is not understood")),
        }
        Ok(())
    }
}

// RFC 7512 §2.3: values are percent-encoded bytes.
fn attribute(part: &str) -> Result<(&str, Vec<u8>), String> {
    let (name, value) = part
        .split_once('=')
        .ok_or_else(|| format!("`{part}` in the URI has no value"))?;
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        (bytes, rest) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let mut byte = [0];
                hex::decode_to_slice([*high, *low], &mut byte)
                    .map_err(|_| format!("{name} in the URI has a bad %-escape"))?;
                bytes.extend(byte);
                (bytes, tail)
            }
            (b'%', _) => return Err(format!("{name} in the URI has a bad %-escape")),
            (byte, tail) => {
                bytes.push(*byte);
                (bytes, tail)
            }
        };
    }
    Ok((name, bytes))
}

/// A token's key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Built without the feature, or linked statically.
    #[error("this build of fleetpack cannot load a token's library")]
    Build,
    /// No library is named.
    #[error("nothing says which library speaks to the token of {0}")]
    NoModule(String),
    /// The library cannot be loaded.
    #[error("cannot load the token's library {}: {reason}", path.display())]
    Module {
        /// The library.
        path: PathBuf,
        /// What the loader, or the library, said.
        reason: String,
    },
    /// No such token is there.
    #[error("no token fits {uri}; {}", there(present))]
    NoToken {
        /// What was asked for.
        uri: String,
        /// The labels of those that are there.
        present: Vec<String>,
    },
    /// No such key is on it.
    #[error("the token has no private key that fits {0}")]
    NoKey(String),
    /// The name fits several.
    #[error("{count} {what} fit {uri}")]
    Ambiguous {
        /// What was asked for.
        uri: String,
        /// Tokens or keys.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A key that agents cannot use.
    #[error("the key {uri} cannot sign metadata: {reason}")]
    KeyType {
        /// What was asked for.
        uri: String,
        /// Why not.
        reason: &'static str,
    },
    /// The PIN is wrong.
    #[error("the token refused the PIN in {origin}")]
    WrongPin {
        /// The variable or file that it came from.
        origin: String,
    },
    /// Too many wrong PINs.
    #[error("the token's PIN is locked")]
    PinLocked,
    /// The token is no longer there, or did not do what it was asked.
    #[error("the token of {uri} {what}: {reason}")]
    Failed {
        /// What was asked for.
        uri: String,
        /// What went wrong.
        what: &'static str,
        /// What the library said.
        reason: String,
    },
}

fn there(tokens: &[String]) -> String {
    match tokens {
        [] => "none is plugged in".to_owned(),
        _ => format!("plugged in: {}", tokens.join(", ")),
    }
}

impl crate::hint::Hint for TokenError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Build => Some(
                "cargo install --path . --features pkcs11 (linked dynamically) builds one that can"
                    .to_owned(),
            ),
            Self::NoModule(_) => Some(
                "export FLEETPACK_PKCS11_MODULE=/path/of/library.so, or add ?module-path= to the URI"
                    .to_owned(),
            ),
            Self::Module { path, .. } => Some(format!(
                "pkcs11-tool --module {} --list-token-slots tries the library alone",
                path.display()
            )),
            Self::NoToken { .. } => Some("pkcs11-tool --list-token-slots".to_owned()),
            Self::NoKey(_) => Some("pkcs11-tool --login --list-objects shows the keys".to_owned()),
            Self::Ambiguous { .. } => Some("add token= or id= to the URI".to_owned()),
            Self::KeyType { .. } => Some(
                "pkcs11-tool --login --keypairgen --key-type EC:prime256v1 --label LABEL".to_owned(),
            ),
            Self::Failed { .. } => Some("pkcs11-tool --list-token-slots shows whether it is plugged in; nothing was changed".to_owned()),
            _ => None,
        }
    }
}

/// A key that is asked for.
pub struct Request {
    /// Its name.
    pub uri: Uri,
    /// The token's PIN.
    pub pin: Zeroizing<String>,
    /// Where the PIN came from, for the error.
    pub origin: String,
}

/// Finds keys on tokens and logs in; in the order of the requests. `module` is the library of
/// those that name none.
#[cfg(all(feature = "pkcs11", not(target_feature = "crt-static")))]
pub fn open(
    requests: Vec<Request>,
    module: Option<PathBuf>,
) -> Result<Vec<Arc<dyn Signer>>, TokenError> {
    super::pkcs11::open(requests, module)
}

/// Says that this build cannot.
#[cfg(not(all(feature = "pkcs11", not(target_feature = "crt-static"))))]
pub fn open(
    requests: Vec<Request>,
    _module: Option<PathBuf>,
) -> Result<Vec<Arc<dyn Signer>>, TokenError> {
    match requests.is_empty() {
        true => Ok(Vec::new()),
        false => Err(TokenError::Build),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let uri: Uri = "pkcs11:token=My%20token;object=root;id=%01%ff?module-path=/lib/a.so&pin-source=file:/run/pin"
            .parse()
            .unwrap();
        assert_eq!(uri.token.as_deref(), Some("My token"));
        assert_eq!(uri.object.as_deref(), Some("root"));
        assert_eq!(uri.id, Some(vec![1, 0xff]));
        assert_eq!(uri.module, Some("/lib/a.so".into()));
        assert_eq!(uri.pin_source, Some("/run/pin".into()));
    }

    #[test]
    fn names_that_are_none() {
        let cases = [
            ("other scheme", "file:/x"),
            ("no key", "pkcs11:token=a"),
            ("public key", "pkcs11:object=a;type=public"),
            ("unknown attribute", "pkcs11:object=a;slot-label=b"),
            ("PIN in sight", "pkcs11:object=a?pin-value=1234"),
            ("bad escape", "pkcs11:object=%zz"),
            ("cut escape", "pkcs11:object=%2"),
            ("no value", "pkcs11:object"),
        ];
        for (name, text) in cases {
            assert!(text.parse::<Uri>().is_err(), "{name}");
        }
    }
}
