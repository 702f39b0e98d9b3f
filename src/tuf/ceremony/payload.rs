//! The file that is carried: what is to be signed, what it builds on, and the signatures.
//!
//! One JSON object, indented, with a final line break:
//!
//! - `fleetpack_payload`: 1; `role`: whose document
//! - `roots`: every root document from the oldest published to the base, as text
//! - `base`: the document that is replaced, as text; `null` for root, whose base is the last
//!   of `roots`
//! - `signed`: what the signatures are over (its canonical form)
//! - `keys`: key id → key, of those whose signatures count
//! - `signatures`: those made so far
//! - `sha256`: of this text with an empty `sha256`
//!
//! The sum finds accidents and careless edits, in any byte; it is no protection against
//! somebody who writes a new one. That is what the review is for.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CeremonyError;
use crate::tuf::json;
use crate::tuf::key::Key;
use crate::tuf::keystore::{KeystoreError, Signer};
use crate::tuf::metadata::{Metadata, MetadataError, Role, Signature, Signed};

/// Largest payload that is read: documents have limits of their own.
const LIMIT: u64 = 256 << 20;
const FORMAT: u32 = 1;

/// What is to be signed, with what it builds on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    fleetpack_payload: u32,
    role: String,
    pub(super) roots: Vec<String>,
    pub(super) base: Option<String>,
    pub(super) signed: Value,
    pub(super) keys: BTreeMap<String, Key>,
    signatures: Vec<Signature>,
    sha256: String,
}

impl Payload {
    /// Of a role's new document. `roots` leads to the base; `base` is the role's present
    /// document, nothing for root.
    pub fn new(
        role: Role,
        roots: Vec<String>,
        base: Option<String>,
        signed: Value,
        keys: BTreeMap<String, Key>,
    ) -> Self {
        Self {
            fleetpack_payload: FORMAT,
            role: role.name().to_owned(),
            roots,
            base,
            signed,
            keys,
            signatures: Vec::new(),
            sha256: String::new(),
        }
    }

    /// From its file.
    pub fn read(path: &Path) -> Result<Self, CeremonyError> {
        let io = |source| CeremonyError::Io {
            path: path.to_owned(),
            source,
        };
        let bytes = crate::fs::read_limited(path, LIMIT).map_err(io)?;
        let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "it does not exist");
        let bytes = bytes.ok_or_else(|| io(missing()))?;
        let form = |source| CeremonyError::Form {
            path: path.to_owned(),
            source,
        };
        let payload: Self = serde_json::from_slice(&bytes).map_err(form)?;
        let known = Role::ALL.iter().any(|role| role.name() == payload.role);
        let same = payload.text().map_err(form)?.as_bytes() == bytes;
        match same && known && payload.fleetpack_payload == FORMAT {
            true => Ok(payload),
            false => Err(CeremonyError::Altered(path.to_owned())),
        }
    }

    /// Into its file; appears whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), CeremonyError> {
        let io = |source| CeremonyError::Io {
            path: path.to_owned(),
            source,
        };
        let text = self.text().map_err(|e| io(e.into()))?;
        crate::fs::write_atomic(path, text.as_bytes(), 0o644).map_err(io)
    }

    fn text(&self) -> Result<String, serde_json::Error> {
        let mut copy = self.clone();
        copy.sha256 = String::new();
        let bare = serde_json::to_string_pretty(&copy)?;
        copy.sha256 = hex::encode(digest::digest(&digest::SHA256, bare.as_bytes()));
        Ok(serde_json::to_string_pretty(&copy)? + "\n")
    }

    /// Whose document it is.
    pub fn role(&self) -> Role {
        let mut roles = Role::ALL.into_iter();
        roles
            .find(|role| role.name() == self.role)
            .unwrap_or(Role::Root)
    }

    /// The version of the document that is to be signed.
    pub fn version(&self) -> u64 {
        let version = self.signed.get("version");
        version.and_then(Value::as_u64).unwrap_or(0)
    }

    /// The signatures made so far.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Ids of the keys that are asked to sign.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// The bytes that the signatures are over.
    pub fn canonical(&self) -> Result<Vec<u8>, CeremonyError> {
        json::canonical(&self.signed).map_err(|error| CeremonyError::Document {
            role: self.role(),
            source: error.into(),
        })
    }

    /// Adds a signature by each of these keys that is asked for; says their ids. One that
    /// signed before signs again.
    pub fn sign<'a>(
        &mut self,
        message: &[u8],
        signers: impl Iterator<Item = &'a dyn Signer>,
    ) -> Result<Vec<String>, KeystoreError> {
        let mut ids = Vec::new();
        for signer in signers {
            let asked = self.keys.iter();
            let asked = asked.filter(|(_, key)| key.same_as(signer.public()));
            let asked: Vec<String> = asked.map(|(id, _)| id.clone()).collect();
            for id in asked {
                self.signatures.retain(|other| other.keyid != id);
                self.signatures.push(Signature {
                    keyid: id.clone(),
                    sig: hex::encode(signer.sign(message)?),
                    extra: Map::new(),
                });
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The new document, with no signatures.
    pub(super) fn document<T: Metadata>(&self) -> Result<Signed<T>, CeremonyError> {
        let whole = serde_json::json!({"signed": self.signed, "signatures": []});
        let bytes = json::published(&whole).map_err(MetadataError::from);
        bytes
            .and_then(|bytes| Signed::parse(&bytes))
            .map_err(|source| CeremonyError::Document {
                role: T::ROLE,
                source,
            })
    }
}
