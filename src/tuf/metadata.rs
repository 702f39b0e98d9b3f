//! The documents of a repository: root, timestamp, snapshot, targets (TUF 4.3 to 4.6).
//!
//! [`Signed`] keeps a document's bytes and the canonical form of its `signed` part beside the
//! typed view, so that what is verified, stored and shipped is what was read. Unknown fields
//! survive a round trip, for they are signed. Fields are written in go-tuf's order. Whether a
//! document may be trusted is decided in [`super::trusted`].

use std::collections::{BTreeMap, HashSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::hashes::Hashes;
use super::json::{self, JsonError};
use super::key::Key;
use super::time::Expires;

/// The four roles that every repository has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Lists the keys of all roles.
    Root,
    /// Lists the targets.
    Targets,
    /// Lists the versions of the targets documents.
    Snapshot,
    /// Names the present snapshot.
    Timestamp,
}

impl Role {
    /// All of them, in the order in which fleetctl makes their keys.
    pub const ALL: [Role; 4] = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];

    /// Its name in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// The file of its present document.
    pub fn file(self) -> String {
        format!("{}.json", self.name())
    }

    /// The file of one version of its document.
    pub fn versioned_file(self, version: u64) -> String {
        format!("{version}.{}.json", self.name())
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A document that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// No JSON, or no form to sign.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The form is not the document's.
    #[error("it is not a {role} document of TUF")]
    Form {
        /// What was expected.
        role: Role,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// `_type` says another role.
    #[error("it is a {found} document and not a {expected} document")]
    Type {
        /// What was expected.
        expected: Role,
        /// What `_type` says.
        found: String,
    },
    /// Another major version of the specification.
    #[error("its spec_version is {0:?}; this program reads 1.x")]
    SpecVersion(String),
    /// An old fleetctl printed the keys of the root role alone.
    #[error("it is a list of keys and not root metadata")]
    KeyList,
}

/// What all documents have.
pub trait Metadata: Serialize + DeserializeOwned + Clone {
    /// Whose document it is.
    const ROLE: Role;
    /// The common fields.
    fn common(&self) -> &Common;
    /// The common fields, to be changed.
    fn common_mut(&mut self) -> &mut Common;
    /// What the form alone does not rule out.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The fields at the head of every document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    /// Which document it is.
    #[serde(rename = "_type")]
    pub kind: String,
    /// Edition of the specification.
    pub spec_version: String,
    /// Counts up from 1.
    #[serde(deserialize_with = "positive")]
    pub version: u64,
    /// End of validity.
    pub expires: Expires,
}

impl Common {
    /// The head of a role's first document.
    pub fn first(role: Role, expires: Expires) -> Self {
        Self {
            kind: role.name().to_owned(),
            // go-tuf 0.5.2 writes this; every reader of 1.x takes it.
            spec_version: "1.0".to_owned(),
            version: 1,
            expires,
        }
    }
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(de::Error::custom("a version or threshold is 0")),
        // go-tuf 0.5.2 counts in 63 bits.
        n if n > i64::MAX as u64 => Err(de::Error::custom("a version is out of range")),
        n => Ok(n),
    }
}

/// Key ids and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Ids of the role's keys, each once.
    #[serde(deserialize_with = "unique")]
    pub keyids: Vec<String>,
    /// How many different keys must sign.
    #[serde(deserialize_with = "positive")]
    pub threshold: u64,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

pub(crate) fn unique<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let ids = Vec::<String>::deserialize(deserializer)?;
    let mut seen = HashSet::new();
    match ids.iter().find(|id| !seen.insert(id.as_str())) {
        Some(twice) => Err(de::Error::custom(format!(
            "the key id {twice} is given twice"
        ))),
        None => Ok(ids),
    }
}

/// Keys and thresholds of the four roles (TUF 4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The head.
    #[serde(flatten)]
    pub common: Common,
    /// Key id → key.
    pub keys: BTreeMap<String, Key>,
    /// Role name → its keys.
    pub roles: BTreeMap<String, RoleKeys>,
    /// Whether files are published under versioned and hashed names.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Root {
    /// The keys of a role; none when it is not listed (parsing refuses that for the four).
    pub fn role(&self, role: Role) -> Option<&RoleKeys> {
        self.roles.get(role.name())
    }
}

/// What the timestamp and snapshot documents say of another document (TUF 4.4, 4.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Hashes of its bytes.
    #[serde(default, skip_serializing_if = "Hashes::is_empty")]
    pub hashes: Hashes,
    /// Its version.
    #[serde(deserialize_with = "positive")]
    pub version: u64,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Names the present snapshot (TUF 4.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// The head.
    #[serde(flatten)]
    pub common: Common,
    /// `snapshot.json` and nothing else.
    pub meta: BTreeMap<String, MetaFile>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Names the present targets documents (TUF 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The head.
    #[serde(flatten)]
    pub common: Common,
    /// File name → what it must be.
    pub meta: BTreeMap<String, MetaFile>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Snapshot {
    /// The documents of delegated roles: role and version. A role's name may be anything; its
    /// files have the [quoted](super::state::quoted) one.
    pub fn delegated(&self) -> impl Iterator<Item = (&str, u64)> {
        let delegated = |role: &str| Role::ALL.iter().all(|top| top.name() != role);
        self.meta.iter().filter_map(move |(file, meta)| {
            let role = file.strip_suffix(".json").filter(|role| delegated(role))?;
            Some((role, meta.version))
        })
    }
}

/// One target (TUF 4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Length in bytes.
    pub length: u64,
    /// Hashes of its bytes.
    pub hashes: Hashes,
    /// Data of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Lists targets and delegations (TUF 4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// The head.
    #[serde(flatten)]
    pub common: Common,
    /// Target name → what it must be.
    pub targets: BTreeMap<String, TargetFile>,
    /// Other roles trusted for some names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Roles that a targets document trusts for some names (TUF 4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    /// Key id → key.
    pub keys: BTreeMap<String, Key>,
    /// The roles, in the order in which they are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<DelegatedRole>>,
    /// Bins by hash prefix, in place of `roles` (TAP 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succinct_roles: Option<SuccinctRoles>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One delegated role (TUF 4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// Its name, which is also its file's.
    pub name: String,
    /// Ids of its keys, each once.
    #[serde(deserialize_with = "unique")]
    pub keyids: Vec<String>,
    /// How many different keys must sign.
    #[serde(deserialize_with = "positive")]
    pub threshold: u64,
    /// Whether the search ends here for names that match.
    pub terminating: bool,
    /// Prefixes of the hex sha256 of matching names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Patterns of matching names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Bins `NAME_PREFIX-HEX` by the first bits of the sha256 of a name (TUF 4.5, TAP 15).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccinctRoles {
    /// Ids of the keys of every bin, each once.
    #[serde(deserialize_with = "unique")]
    pub keyids: Vec<String>,
    /// How many different keys must sign.
    #[serde(deserialize_with = "positive")]
    pub threshold: u64,
    /// 1 to 32 bits choose the bin.
    pub bit_length: u32,
    /// What the bins' names begin with.
    pub name_prefix: String,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

macro_rules! metadata {
    ($($kind:ident $({$validate:item})?),*) => {$(
        impl Metadata for $kind {
            const ROLE: Role = Role::$kind;
            fn common(&self) -> &Common {
                &self.common
            }
            fn common_mut(&mut self) -> &mut Common {
                &mut self.common
            }
            $($validate)?
        }
    )*};
}
metadata!(
    Root,
    Targets {
        fn validate(&self) -> Result<(), String> {
            self.delegations.as_ref().map_or(Ok(()), super::delegation::validate)
        }
    },
    Snapshot,
    Timestamp
);

/// A signature by a key (TUF 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Id of the key.
    pub keyid: String,
    /// The signature in hex.
    pub sig: String,
    /// Fields that we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A document with its signatures, as read or as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    /// The typed view.
    pub signed: T,
    signatures: Vec<Signature>,
    bytes: Vec<u8>,
    canonical: Vec<u8>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    signed: &'a Value,
    signatures: &'a [Signature],
}

impl<T: Metadata> Signed<T> {
    /// Reads a document. Whether it is signed by anybody is not asked here.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let form = |source| MetadataError::Form {
            role: T::ROLE,
            source,
        };
        let mut object = match json::parse(bytes)? {
            Value::Object(object) => object,
            Value::Array(_) if T::ROLE == Role::Root => return Err(MetadataError::KeyList),
            _ => return Err(form(de::Error::custom("it is no object"))),
        };
        let mut take = |field: &str| {
            object
                .shift_remove(field)
                .ok_or_else(|| form(de::Error::custom(format!("it has no {field:?}"))))
        };
        let value = take("signed")?;
        let signatures: Vec<Signature> =
            serde_json::from_value(take("signatures")?).map_err(form)?;
        let mut seen = HashSet::new();
        if let Some(twice) = signatures.iter().find(|s| !seen.insert(s.keyid.as_str())) {
            let sentence = format!("two signatures have the key id {}", twice.keyid);
            return Err(form(de::Error::custom(sentence)));
        }
        Ok(Self {
            canonical: json::canonical(&value)?,
            signed: typed(value)?,
            signatures,
            bytes: bytes.to_vec(),
        })
    }

    /// Makes a document of `signed`, with a signature by each signer.
    ///
    /// `sign` is given the bytes to sign.
    pub fn create<E: From<MetadataError>>(
        signed: &T,
        sign: impl FnOnce(&[u8]) -> Result<Vec<Signature>, E>,
    ) -> Result<Self, E> {
        let value = serde_json::to_value(signed)
            .map_err(|source| MetadataError::Json(JsonError::Write(source)))?;
        let canonical = json::canonical(&value).map_err(MetadataError::from)?;
        let signatures = sign(&canonical)?;
        let envelope = Envelope {
            signed: &value,
            signatures: &signatures,
        };
        let bytes = json::published(&envelope).map_err(MetadataError::from)?;
        Ok(Self::parse(&bytes)?)
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.signed.common().version
    }

    /// When it expires.
    pub fn expires(&self) -> &Expires {
        &self.signed.common().expires
    }
}

impl<T> Signed<T> {
    /// The document as it was read or is to be published.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the signatures are over.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The signatures, none of them verified.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

fn typed<T: Metadata>(value: Value) -> Result<T, MetadataError> {
    let found = value.get("_type").and_then(Value::as_str).unwrap_or("?");
    if found != T::ROLE.name() {
        return Err(MetadataError::Type {
            expected: T::ROLE,
            found: found.to_owned(),
        });
    }
    let signed: T = serde_json::from_value(value).map_err(|source| MetadataError::Form {
        role: T::ROLE,
        source,
    })?;
    signed.validate().map_err(|sentence| MetadataError::Form {
        role: T::ROLE,
        source: de::Error::custom(sentence),
    })?;
    let spec = &signed.common().spec_version;
    match spec == "1" || spec.starts_with("1.") {
        true => Ok(signed),
        false => Err(MetadataError::SpecVersion(spec.clone())),
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
