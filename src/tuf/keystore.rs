//! Private keys in files as go-tuf keeps them, and who signs.
//!
//! `keys/<role>.json` is `{"encrypted":…,"data":…}`: an array of keys, or that array sealed
//! by a passphrase: scrypt (N 32768, r 8, p 1) makes 32 bytes from it and a salt, NaCl's
//! secretbox (XSalsa20-Poly1305, tag first) seals with a 24-byte nonce. Sealed files of ours say
//! beside that, in `public`, whose they are (go-tuf reads over it). A file may hold several keys; revoked ones stay. Files are written whole, mode 0600. Secrets are wiped
//! from memory and have no `Debug` text. Where passphrases come from is the caller's affair.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::key::Key;
use super::metadata::Role;
use crate::steps;

/// Largest key file that is read.
const FILE_LIMIT: u64 = 1 << 20;
/// More than the JSON of a key takes: a buffer that grows leaves copies behind.
const KEY_ROOM: usize = 1 << 10;
// go-tuf 0.5.2 refuses any other parameters.
const SCRYPT: ScryptParams = ScryptParams {
    n: 32768,
    r: 8,
    p: 1,
};

/// A passphrase; wiped when dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same text.
    pub fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(***)")
    }
}

/// Where a passphrase came from, for what is to happen when it is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable of this name: wrong is wrong.
    Variable(String),
    /// A person typed it and can be asked again.
    Typed,
}

/// Gives passphrases.
pub trait Passphrases {
    /// That of an existing key file. `again` when a typed one was wrong.
    fn existing(
        &mut self,
        role: Role,
        again: bool,
    ) -> Result<(Passphrase, Origin), PassphraseError>;

    /// One for a new key file, typed twice when it is typed.
    fn new_one(&mut self, role: Role) -> Result<Passphrase, PassphraseError>;
}

/// There is no passphrase to be had.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// An empty one would encrypt nothing.
    #[error("the passphrase of the {0} key is empty")]
    Empty(Role),
    /// No variable and nobody to ask.
    #[error("the passphrase of the {role} key is needed, and there is no terminal to ask for it")]
    NoTerminal {
        /// Whose key.
        role: Role,
        /// The variable that would have been read.
        variable: String,
    },
    /// Two different ones were typed.
    #[error("the two passphrases of the {0} key differ")]
    Differ(Role),
    /// The terminal could not be read.
    #[error("cannot ask for the passphrase of the {role} key")]
    Terminal {
        /// Whose key.
        role: Role,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
}

/// A key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// There is no such file.
    #[error("the {role} key is needed, and {} does not exist", path.display())]
    Missing {
        /// Whose key.
        role: Role,
        /// The file.
        path: PathBuf,
    },
    /// It could not be read or written.
    #[error("cannot use the {role} key file {}", path.display())]
    Io {
        /// Whose key.
        role: Role,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no key file.
    #[error("{} is not a key file: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong; never a piece of its content.
        reason: &'static str,
    },
    /// The passphrase in a variable does not open it.
    #[error("the passphrase in {variable} does not open {}", path.display())]
    WrongPassphrase {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// No passphrase could be had.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A token did not sign.
    #[error(transparent)]
    Token(#[from] super::token::TokenError),
    /// No randomness, no memory for scrypt, or a key that does not sign.
    #[error("cannot {0}")]
    Crypto(&'static str),
}

impl crate::hint::Hint for KeystoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { path, .. } => Some(format!(
                "cp KEPT/{} {}, or --path DIR, the folder that holds keys/",
                path.file_name().unwrap_or_default().to_string_lossy(),
                path.display()
            )),
            Self::WrongPassphrase { variable, .. } => Some(format!(
                "set {variable} to the right one, or unset it to be asked"
            )),
            Self::Passphrase(PassphraseError::NoTerminal { variable, .. }) => {
                Some(format!("export {variable}=…"))
            }
            Self::Token(error) => error.hint(),
            _ => None,
        }
    }
}

/// Signs as one key; a file, a token or a service alike.
pub trait Signer: Send + Sync {
    /// The public key.
    fn public(&self) -> &Key;

    /// Signs `message`.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeystoreError>;
}

impl Signer for std::sync::Arc<dyn Signer> {
    fn public(&self) -> &Key {
        (**self).public()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeystoreError> {
        (**self).sign(message)
    }
}

/// An ed25519 key in memory.
pub struct FileKey {
    pair: Ed25519KeyPair,
    public: Key,
    // Seed and public key, as the file has it.
    private: Zeroizing<[u8; 64]>,
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileKey({})", self.public.id())
    }
}

impl FileKey {
    /// A new key from 32 random bytes, which the caller wipes.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeystoreError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let pair = pair.map_err(|_| KeystoreError::Crypto("make an ed25519 key"))?;
        let mut private = Zeroizing::new([0; 64]);
        private[..32].copy_from_slice(seed);
        private[32..].copy_from_slice(pair.public_key().as_ref());
        Self::from_private(private)
    }

    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Self, KeystoreError> {
        let mut seed = Zeroizing::new([0; 32]);
        random(seed.as_mut_slice())?;
        Self::from_seed(&seed)
    }

    // Fails when seed and public key do not belong together.
    fn from_private(private: Zeroizing<[u8; 64]>) -> Result<Self, KeystoreError> {
        let pair = Ed25519KeyPair::from_seed_and_public_key(&private[..32], &private[32..])
            .map_err(|_| KeystoreError::Crypto("read an ed25519 key"))?;
        let mut public = [0; 32];
        public.copy_from_slice(&private[32..]);
        Ok(Self {
            pair,
            public: Key::ed25519(&public),
            private,
        })
    }

    fn object(&self) -> Result<Value, KeystoreError> {
        let failed = |_| KeystoreError::Crypto("write an ed25519 key");
        let mut object = serde_json::to_value(&self.public).map_err(failed)?;
        if let Some(Value::Object(keyval)) = object.get_mut("keyval") {
            let private = hex::encode(self.private.as_slice());
            keyval.insert("private".to_owned(), private.into());
        }
        Ok(object)
    }
}

impl Signer for FileKey {
    fn public(&self) -> &Key {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeystoreError> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

fn random(bytes: &mut [u8]) -> Result<(), KeystoreError> {
    getrandom::fill(bytes).map_err(|_| KeystoreError::Crypto("get randomness from the system"))
}

#[derive(Serialize, Deserialize)]
struct File {
    encrypted: bool,
    data: Value,
    /// What is sealed, without its private parts: a look from outside can tell whose it is.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    public: Value,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: ScryptParams,
    salt: String,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct ScryptParams {
    #[serde(rename = "N")]
    n: u32,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The folder `keys/`.
#[derive(Clone, Debug)]
pub struct Keystore {
    folder: PathBuf,
}

impl Keystore {
    /// On an existing folder or one that will be made.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// A role's key file.
    pub fn path(&self, role: Role) -> PathBuf {
        self.folder.join(role.file())
    }

    /// Whether a role's key file is there.
    pub fn has(&self, role: Role) -> Result<bool, KeystoreError> {
        let path = self.path(role);
        crate::fs::exists(&path).map_err(|source| KeystoreError::Io { role, path, source })
    }

    /// Whether a role's key file is sealed by a passphrase.
    pub fn is_sealed(&self, role: Role) -> Result<bool, KeystoreError> {
        Ok(self.file(role)?.encrypted)
    }

    /// Reads a role's keys, asking for the passphrase when they are sealed.
    pub fn load(
        &self,
        role: Role,
        ask: &mut dyn Passphrases,
    ) -> Result<Vec<FileKey>, KeystoreError> {
        self.open(role, ask).map(|(keys, _)| keys)
    }

    /// As [`Keystore::load`], with the passphrase that opened them, for [`Keystore::rewrite`].
    pub fn open(
        &self,
        role: Role,
        ask: &mut dyn Passphrases,
    ) -> Result<(Vec<FileKey>, Option<Passphrase>), KeystoreError> {
        let path = self.path(role);
        let sealed = match self.read(role)? {
            Content::Plain(keys) => return Ok((keys, None)),
            Content::Sealed(sealed) => sealed,
        };
        let mut again = false;
        loop {
            let (passphrase, origin) = ask.existing(role, again)?;
            if let Some(keys) = unlock_told(&sealed, &passphrase, &path)? {
                return Ok((keys, Some(passphrase)));
            }
            wrong(origin, &path)?;
            again = true;
        }
    }

    /// Reads several roles' keys, in their order. Passphrases are asked for one after the
    /// other, on this thread; the files are unlocked beside that.
    pub fn load_all(
        &self,
        roles: &[Role],
        ask: &mut dyn Passphrases,
    ) -> Result<Vec<Vec<FileKey>>, KeystoreError> {
        // A missing file is found before anybody is asked.
        let files = roles.iter().map(|role| Ok((*role, self.read(*role)?)));
        let files = files.collect::<Result<Vec<_>, KeystoreError>>()?;
        std::thread::scope(|scope| {
            let mut waiting = Vec::new();
            for (role, content) in files {
                let path = self.path(role);
                let unlocking = match content {
                    Content::Plain(keys) => Unlocking::Done(keys),
                    Content::Sealed(sealed) => {
                        let (passphrase, origin) = ask.existing(role, false)?;
                        let thread = scope.spawn(crate::fs::following(move || {
                            let keys = unlock(&sealed, &passphrase, &path);
                            (keys, sealed)
                        }));
                        Unlocking::Begun(thread, origin)
                    }
                };
                waiting.push((role, unlocking));
            }
            let done = waiting.into_iter().map(|(role, unlocking)| {
                let (thread, origin) = match unlocking {
                    Unlocking::Done(keys) => return Ok(keys),
                    Unlocking::Begun(thread, origin) => (thread, origin),
                };
                let phase = steps::phase("unlocking");
                let (keys, sealed) = crate::fs::joined(thread);
                drop(phase);
                if let Some(keys) = keys? {
                    return Ok(keys);
                }
                let path = self.path(role);
                wrong(origin, &path)?;
                loop {
                    let (passphrase, origin) = ask.existing(role, true)?;
                    if let Some(keys) = unlock_told(&sealed, &passphrase, &path)? {
                        return Ok(keys);
                    }
                    wrong(origin, &path)?;
                }
            });
            done.collect()
        })
    }

    fn read(&self, role: Role) -> Result<Content, KeystoreError> {
        let path = self.path(role);
        let form = |reason| KeystoreError::Form {
            path: path.clone(),
            reason,
        };
        let file = self.file(role)?;
        if !file.encrypted {
            return keys_from(file.data).map(Content::Plain).map_err(form);
        }
        serde_json::from_value(file.data)
            .map(Content::Sealed)
            .map_err(|_| form("its \"data\" is not what go-tuf writes"))
    }

    fn file(&self, role: Role) -> Result<File, KeystoreError> {
        let path = self.path(role);
        let bytes = crate::fs::read_limited(&path, FILE_LIMIT)
            .map_err(|source| KeystoreError::Io {
                role,
                path: path.clone(),
                source,
            })?
            .map(Zeroizing::new);
        let Some(bytes) = bytes else {
            return Err(KeystoreError::Missing { role, path });
        };
        serde_json::from_slice(&bytes).map_err(|_| KeystoreError::Form {
            path,
            reason: "a key file is an object with \"encrypted\" and \"data\"",
        })
    }

    /// Writes a role's keys sealed by `passphrase`, in place of what the file held.
    pub fn save(
        &self,
        role: Role,
        keys: &[FileKey],
        passphrase: &Passphrase,
    ) -> Result<(), KeystoreError> {
        if passphrase.is_empty() {
            return Err(PassphraseError::Empty(role).into());
        }
        self.rewrite(role, keys, Some(passphrase))
    }

    /// Writes a role's keys as they were opened: sealed, or in the clear as they were before.
    pub fn rewrite(
        &self,
        role: Role,
        keys: &[FileKey],
        passphrase: Option<&Passphrase>,
    ) -> Result<(), KeystoreError> {
        let failed = |_| KeystoreError::Crypto("write a key file");
        let data = match passphrase {
            Some(passphrase) => serde_json::to_value(seal(keys, passphrase)?).map_err(failed)?,
            None => keys.iter().map(FileKey::object).collect::<Result<_, _>>()?,
        };
        let public: Vec<&Key> = keys.iter().map(Signer::public).collect();
        let public = passphrase.map(|_| serde_json::to_value(public));
        let mut file = File {
            encrypted: passphrase.is_some(),
            data,
            public: public.transpose().map_err(failed)?.unwrap_or_default(),
        };
        let path = self.path(role);
        let text = indented(&file, keys.len());
        wipe(&mut file.data);
        let text = text?;
        crate::fs::create_folders(&self.folder, 0o700)
            .and_then(|()| crate::fs::write_atomic(&path, &text, 0o600))
            .map_err(|source| KeystoreError::Io { role, path, source })
    }
}

// What a key file holds.
enum Content {
    Plain(Vec<FileKey>),
    Sealed(Sealed),
}

type Unlocked = Result<Option<Vec<FileKey>>, KeystoreError>;

// A key file on its way.
enum Unlocking<'scope> {
    Done(Vec<FileKey>),
    Begun(
        std::thread::ScopedJoinHandle<'scope, (Unlocked, Sealed)>,
        Origin,
    ),
}

// On a thread beside others `unlock` is told of where it is waited for.
fn unlock_told(sealed: &Sealed, passphrase: &Passphrase, path: &Path) -> Unlocked {
    let _phase = steps::phase("unlocking");
    unlock(sealed, passphrase, path)
}

// `None` when the passphrase is wrong.
fn unlock(sealed: &Sealed, passphrase: &Passphrase, path: &Path) -> Unlocked {
    let form = |reason| KeystoreError::Form {
        path: path.to_owned(),
        reason,
    };
    let Some(plain) = open(sealed, passphrase).map_err(form)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&plain)
        .map_err(|_| form("its sealed content is no array of keys"))?;
    keys_from(value).map(Some).map_err(form)
}

// A wrong passphrase is asked for again only where somebody can be asked.
fn wrong(origin: Origin, path: &Path) -> Result<(), KeystoreError> {
    match origin {
        Origin::Typed => Ok(()),
        Origin::Variable(variable) => Err(KeystoreError::WrongPassphrase {
            variable,
            path: path.to_owned(),
        }),
    }
}

// Room for the JSON of so many keys, and what is around them.
fn room(keys: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity((keys + 1) * KEY_ROOM))
}

// go-tuf 0.5.2 indents key files by tabs.
fn indented(file: &File, keys: usize) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let mut text = room(keys);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut writer = serde_json::Serializer::with_formatter(&mut *text, formatter);
    file.serialize(&mut writer)
        .map_err(|_| KeystoreError::Crypto("write a key file"))?;
    text.push(b'\n');
    Ok(text)
}

fn keys_from(value: Value) -> Result<Vec<FileKey>, &'static str> {
    let Value::Array(mut items) = value else {
        return Err("it holds no array of keys");
    };
    let keys = items.iter_mut().map(key_from).collect();
    items.iter_mut().for_each(wipe);
    keys
}

fn key_from(item: &mut Value) -> Result<FileKey, &'static str> {
    let text =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    match text(item, "keytype").as_deref() {
        Some("ed25519") => {}
        Some(_) => {
            return Err("it holds a key of a type other than ed25519, which cannot sign here");
        }
        None => return Err("it holds a key without a keytype"),
    }
    let keyval = item
        .get("keyval")
        .ok_or("it holds a key without a keyval")?;
    let private = text(keyval, "private").map(Zeroizing::new);
    let private = private.ok_or("it holds a key without its private part")?;
    let mut bytes = Zeroizing::new([0; 64]);
    hex::decode_to_slice(private.as_bytes(), bytes.as_mut_slice())
        .map_err(|_| "it holds a private key that is not 64 bytes in hex")?;
    FileKey::from_private(bytes)
        .map_err(|_| "it holds a private key that its public key does not match")
}

// Wipes the texts of a JSON value that held a secret.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(object) => object.values_mut().for_each(wipe),
        _ => {}
    }
}

fn derive(passphrase: &Passphrase, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, &'static str> {
    let params = scrypt::Params::new(SCRYPT.n.ilog2() as u8, SCRYPT.r, SCRYPT.p)
        .map_err(|_| "scrypt's parameters are out of range")?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.0.as_bytes(), salt, &params, key.as_mut_slice())
        .map_err(|_| "scrypt's parameters are out of range")?;
    Ok(key)
}

// `None` when the passphrase is wrong.
fn open(
    sealed: &Sealed,
    passphrase: &Passphrase,
) -> Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
    if sealed.kdf.name != "scrypt" || sealed.cipher.name != "nacl/secretbox" {
        return Err("it is sealed otherwise than by scrypt and nacl/secretbox");
    }
    if sealed.kdf.params != SCRYPT {
        return Err("its scrypt parameters are not N 32768, r 8, p 1");
    }
    let salt = unbase64(&sealed.kdf.salt)?;
    let nonce = unbase64(&sealed.cipher.nonce)?;
    let nonce: [u8; 24] = nonce
        .try_into()
        .map_err(|_| "its nonce is not 24 bytes long")?;
    let key = derive(passphrase, &salt)?;
    let cipher = XSalsa20Poly1305::new(key.as_slice().into());
    let ciphertext = unbase64(&sealed.ciphertext)?;
    let plain = cipher.decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice());
    Ok(plain.ok().map(Zeroizing::new))
}

// What is sealed.
fn plain(keys: &[FileKey]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let mut items = keys
        .iter()
        .map(FileKey::object)
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = room(keys.len());
    let written = serde_json::to_writer(&mut *text, &items);
    items.iter_mut().for_each(wipe);
    written.map_err(|_| KeystoreError::Crypto("write a key file"))?;
    Ok(text)
}

fn seal(keys: &[FileKey], passphrase: &Passphrase) -> Result<Sealed, KeystoreError> {
    let plain = plain(keys)?;
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    random(&mut salt)?;
    random(&mut nonce)?;
    let key = derive(passphrase, &salt).map_err(KeystoreError::Crypto)?;
    let ciphertext = XSalsa20Poly1305::new(key.as_slice().into())
        .encrypt(Nonce::from_slice(&nonce), plain.as_slice())
        .map_err(|_| KeystoreError::Crypto("seal a key file"))?;
    Ok(Sealed {
        kdf: Kdf {
            name: "scrypt".to_owned(),
            params: SCRYPT,
            salt: base64(&salt),
        },
        cipher: Cipher {
            name: "nacl/secretbox".to_owned(),
            nonce: base64(&nonce),
        },
        ciphertext: base64(&ciphertext),
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unbase64(text: &str) -> Result<Vec<u8>, &'static str> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| "a field is not base64")
}

#[cfg(test)]
mod tests;
