//! Signing on a PKCS#11 token (feature `pkcs11`).
//!
//! ed25519 signs by `CKM_EDDSA`; ECDSA on P-256 by `CKM_ECDSA` over our own sha256, whose
//! r ‖ s becomes DER (RFC 3279 §2.2.3). The public key is read from the token's public key
//! object with the private one's id. Every signature is verified before it is given away.
//! PKCS #11 v3.1: <https://docs.oasis-open.org/pkcs11/pkcs11-spec/v3.1/pkcs11-spec-v3.1.html>.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use super::key::Key;
use super::keystore::{KeystoreError, Signer};
use super::token::{Request, TokenError, Uri};

/// Of P-256 in `CKA_EC_PARAMS`: a DER object identifier.
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// A key on a token, with a session that is logged in.
struct TokenKey {
    uri: String,
    // Sessions go from thread to thread, but serve one at a time.
    session: Mutex<Session>,
    private: ObjectHandle,
    ed25519: bool,
    public: Key,
}

/// See [`super::token::open`].
pub fn open(
    requests: Vec<Request>,
    module: Option<PathBuf>,
) -> Result<Vec<Arc<dyn Signer>>, TokenError> {
    // A library is initialised once in a process.
    let mut modules: BTreeMap<PathBuf, Pkcs11> = BTreeMap::new();
    let mut keys: Vec<Arc<dyn Signer>> = Vec::new();
    for request in requests {
        let path = request.uri.module.clone().or_else(|| module.clone());
        let path = path.ok_or_else(|| TokenError::NoModule(request.uri.text.clone()))?;
        let library = match modules.get(&path) {
            Some(library) => library.clone(),
            None => load(&path)?,
        };
        modules.insert(path, library.clone());
        keys.push(Arc::new(TokenKey::open(&library, &request)?));
    }
    Ok(keys)
}

fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    let failed = |error: Error| TokenError::Module {
        path: path.to_owned(),
        reason: said(&error, path),
    };
    let library = Pkcs11::new(path).map_err(failed)?;
    let args = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match library.initialize(args) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(library),
        done => done.map(|()| library).map_err(failed),
    }
}

fn failed(uri: &Uri, what: &'static str) -> impl Fn(Error) -> TokenError {
    let uri = uri.text.clone();
    move |error| TokenError::Failed {
        uri: uri.clone(),
        what,
        reason: said(&error, Path::new("")),
    }
}

// PKCS #11 v3.1 §5.1 names what a function returns; the loader names the file once more.
fn said(error: &Error, module: &Path) -> String {
    match error {
        Error::Pkcs11(returned, function) => {
            let mut name = String::from("CKR");
            for letter in format!("{returned:?}").chars() {
                name.extend(letter.is_ascii_uppercase().then_some('_'));
                name.push(letter.to_ascii_uppercase());
            }
            format!("C_{function:?} returned {name}")
        }
        Error::LibraryLoading(loader) => {
            let text = loader.to_string();
            let file = format!("{}: ", module.display());
            text.strip_prefix(&file).unwrap_or(&text).to_owned()
        }
        other => other.to_string(),
    }
}

fn slot(library: &Pkcs11, uri: &Uri) -> Result<Slot, TokenError> {
    let broken = failed(uri, "cannot be found");
    let mut present = Vec::new();
    let mut fitting = Vec::new();
    for slot in library
        .get_slots_with_initialized_token()
        .map_err(&broken)?
    {
        let info = library.get_token_info(slot).map_err(&broken)?;
        let fits = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        if fits(&uri.token, info.label())
            && fits(&uri.serial, info.serial_number())
            && fits(&uri.manufacturer, info.manufacturer_id())
            && fits(&uri.model, info.model())
        {
            fitting.push(slot);
        }
        present.push(info.label().to_owned());
    }
    match fitting.as_slice() {
        [] => Err(TokenError::NoToken {
            uri: uri.text.clone(),
            present,
        }),
        [slot] => Ok(*slot),
        several => Err(TokenError::Ambiguous {
            uri: uri.text.clone(),
            what: "tokens",
            count: several.len(),
        }),
    }
}

fn login(session: &Session, request: &Request) -> Result<(), TokenError> {
    let pin = AuthPin::new(request.pin.as_str().into());
    match session.login(UserType::User, Some(&pin)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
            _,
        )) => Err(TokenError::WrongPin {
            origin: request.origin.clone(),
        }),
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::PinLocked),
        Err(error) => Err(failed(&request.uri, "cannot be logged into")(error)),
    }
}

impl TokenKey {
    fn open(library: &Pkcs11, request: &Request) -> Result<Self, TokenError> {
        let uri = &request.uri;
        let slot = slot(library, uri)?;
        let session = library
            .open_ro_session(slot)
            .map_err(failed(uri, "cannot be opened"))?;
        login(&session, request)?;
        let private = private_key(&session, uri)?;
        let (public, ed25519) = public_key(&session, private, uri)?;
        Ok(Self {
            uri: uri.text.clone(),
            session: Mutex::new(session),
            private,
            ed25519,
            public,
        })
    }
}

fn private_key(session: &Session, uri: &Uri) -> Result<ObjectHandle, TokenError> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(
        uri.object
            .iter()
            .map(|label| Attribute::Label(label.as_bytes().to_vec())),
    );
    template.extend(uri.id.iter().map(|id| Attribute::Id(id.clone())));
    let found = session
        .find_objects(&template)
        .map_err(failed(uri, "cannot be searched"))?;
    match found.as_slice() {
        [] => Err(TokenError::NoKey(uri.text.clone())),
        [key] => Ok(*key),
        several => Err(TokenError::Ambiguous {
            uri: uri.text.clone(),
            what: "keys",
            count: several.len(),
        }),
    }
}

// Whether it is ed25519; otherwise it is ECDSA on P-256.
fn public_key(
    session: &Session,
    private: ObjectHandle,
    uri: &Uri,
) -> Result<(Key, bool), TokenError> {
    let broken = failed(uri, "cannot be read");
    let unfit = |reason| TokenError::KeyType {
        uri: uri.text.clone(),
        reason,
    };
    let mut kind = None;
    let mut id = Vec::new();
    for attribute in session
        .get_attributes(private, &[AttributeType::KeyType, AttributeType::Id])
        .map_err(&broken)?
    {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::Id(found) => id = found,
            _ => {}
        }
    }
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
    let public = session.find_objects(&template).map_err(&broken)?;
    let public = public
        .first()
        .ok_or_else(|| unfit("its public key is not on the token"))?;
    let (mut params, mut point) = (Vec::new(), Vec::new());
    for attribute in session
        .get_attributes(*public, &[AttributeType::EcParams, AttributeType::EcPoint])
        .map_err(&broken)?
    {
        match attribute {
            Attribute::EcParams(found) => params = found,
            Attribute::EcPoint(found) => point = found,
            _ => {}
        }
    }
    match kind {
        Some(KeyType::EC_EDWARDS) => {
            let bytes = octets(&point, 32).ok_or_else(|| unfit("it is not an ed25519 key"))?;
            let bytes: &[u8; 32] = bytes
                .try_into()
                .map_err(|_| unfit("it is not an ed25519 key"))?;
            Ok((Key::ed25519(bytes), true))
        }
        Some(KeyType::EC) if params == P256 => {
            let point = octets(&point, 65).ok_or_else(|| unfit("its public key is compressed"))?;
            Ok((Key::ecdsa_p256(&subject_public_key_info(point)), false))
        }
        _ => Err(unfit("it is neither ed25519 nor ECDSA on P-256")),
    }
}

// PKCS #11 v3.1 §6.3: `CKA_EC_POINT` is a DER octet string; some tokens leave its head out.
fn octets(point: &[u8], length: usize) -> Option<&[u8]> {
    match point {
        [4, head, bytes @ ..] if usize::from(*head) == length && bytes.len() == length => {
            Some(bytes)
        }
        bytes if bytes.len() == length => Some(bytes),
        _ => None,
    }
}

// RFC 5480 §2.
fn subject_public_key_info(point: &[u8]) -> Vec<u8> {
    let algorithm = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let mut info = vec![0x30, 0x59, 0x30, 0x13];
    info.extend(algorithm);
    info.extend(P256);
    info.extend([3, 0x42, 0]);
    info.extend(point);
    info
}

// RFC 3279 §2.2.3: a sequence of two integers, each at most 33 bytes.
fn der_signature(raw: &[u8]) -> Option<Vec<u8>> {
    if raw.len() != 64 {
        return None;
    }
    let mut body = Vec::new();
    for number in raw.chunks(32) {
        let skip = number.iter().take_while(|byte| **byte == 0).count().min(31);
        let number = &number[skip..];
        let sign = number.first().is_some_and(|byte| *byte >= 0x80);
        body.extend([2, number.len() as u8 + u8::from(sign)]);
        body.extend(sign.then_some(0));
        body.extend(number);
    }
    let mut der = vec![0x30, body.len() as u8];
    der.extend(body);
    Some(der)
}

impl TokenKey {
    fn failed(&self, reason: String) -> KeystoreError {
        TokenError::Failed {
            uri: self.uri.clone(),
            what: "did not sign",
            reason,
        }
        .into()
    }
}

impl Signer for TokenKey {
    fn public(&self) -> &Key {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeystoreError> {
        let session = self
            .session
            .lock()
            .map_err(|_| self.failed("an earlier use broke off".to_owned()))?;
        let signed = match self.ed25519 {
            true => {
                let scheme = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                session.sign(&Mechanism::Eddsa(scheme), self.private, message)
            }
            false => {
                let hash = digest::digest(&digest::SHA256, message);
                session.sign(&Mechanism::Ecdsa, self.private, hash.as_ref())
            }
        };
        let signed = signed.map_err(|error| self.failed(said(&error, Path::new(""))))?;
        let signature = match self.ed25519 {
            true => Some(signed),
            false => der_signature(&signed),
        };
        signature
            .filter(|signature| self.public.verify(message, signature))
            .ok_or_else(|| self.failed("its signature is not valid".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn returned_values_have_their_own_names() {
        let error = Error::Pkcs11(RvError::GeneralError, Function::Initialize);
        let expected = "C_Initialize returned CKR_GENERAL_ERROR";
        assert_eq!(said(&error, Path::new("/lib/a.so")), expected);
    }

    #[test]
    fn signatures_in_der() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let der = der_signature(&raw).unwrap();
        assert_eq!(der[..7], [0x30, 38, 2, 1, 1, 2, 33]);
        assert_eq!(der[7..9], [0, 0x80]);
        assert_eq!(der.len(), 40);
        assert!(der_signature(&raw[1..]).is_none());
    }
}
