//! A repository in memory that does what a test tells it, also what no honest one would.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp as Instant;
use serde_json::{Map, json};

use super::client::{Client, ClientError, Options};
use super::hashes::{Digests, Hashes};
use super::keystore::{FileKey, Signer};
use super::metadata::*;
use super::state::{State, quoted};
use super::time::Expires;
use crate::store::{Blob, Store, StoreError};

/// The documents as they will be signed, and what is published.
pub struct Simulator {
    pub root: Root,
    pub timestamp: Timestamp,
    pub snapshot: Snapshot,
    pub targets: Targets,
    /// Role → document, and the keys that sign it.
    pub delegated: BTreeMap<String, Targets>,
    /// Role → keys that sign it.
    pub signers: BTreeMap<String, Vec<Arc<FileKey>>>,
    /// Whether metadata list lengths and hashes of metadata.
    pub with_hashes: bool,
    /// Name → bytes, as served.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was asked for.
    pub requests: Vec<String>,
}

/// The time of all tests.
pub fn now() -> Instant {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

pub fn later(days: i64) -> Instant {
    now() + jiff::SignedDuration::from_hours(24 * days)
}

fn head(role: Role) -> Common {
    Common::first(role, Expires::from(later(30)))
}

impl Simulator {
    pub fn new() -> Self {
        let mut sim = Self {
            root: Root {
                common: head(Role::Root),
                keys: BTreeMap::new(),
                roles: BTreeMap::new(),
                consistent_snapshot: true,
                extra: Map::new(),
            },
            timestamp: Timestamp {
                common: head(Role::Timestamp),
                meta: BTreeMap::new(),
                extra: Map::new(),
            },
            snapshot: Snapshot {
                common: head(Role::Snapshot),
                meta: BTreeMap::new(),
                extra: Map::new(),
            },
            targets: empty_targets(),
            delegated: BTreeMap::new(),
            signers: BTreeMap::new(),
            with_hashes: true,
            files: BTreeMap::new(),
            requests: vec![],
        };
        for role in Role::ALL {
            let keys = RoleKeys {
                keyids: vec![],
                threshold: 1,
                extra: Map::new(),
            };
            sim.root.roles.insert(role.name().into(), keys);
            sim.add_key(role);
        }
        sim.publish_root();
        sim.publish();
        sim
    }

    pub fn add_key(&mut self, role: Role) {
        let key = Arc::new(FileKey::generate().unwrap());
        let id = key.public().id();
        self.root.keys.insert(id.clone(), key.public().clone());
        self.root
            .roles
            .get_mut(role.name())
            .unwrap()
            .keyids
            .push(id);
        self.signers
            .entry(role.name().into())
            .or_default()
            .push(key);
    }

    /// Another key in place of all of a role's.
    pub fn rotate(&mut self, role: Role) {
        self.root.roles.get_mut(role.name()).unwrap().keyids.clear();
        self.signers.remove(role.name());
        self.add_key(role);
    }

    fn sign<T: Metadata>(&self, role: &str, document: &T) -> Vec<u8> {
        Signed::create::<MetadataError>(document, |message| {
            let keys = self.signers.get(role).into_iter().flatten();
            Ok(keys
                .map(|key| Signature {
                    keyid: key.public().id(),
                    sig: hex::encode(key.sign(message).unwrap()),
                    extra: Map::new(),
                })
                .collect())
        })
        .unwrap()
        .bytes()
        .to_vec()
    }

    /// Signs the root with its role's present signers and publishes it under its version.
    pub fn publish_root(&mut self) {
        let bytes = self.sign("root", &self.root);
        let version = self.root.common.version;
        self.files.insert(Role::Root.versioned_file(version), bytes);
    }

    pub fn next_root(&mut self) {
        self.root.common.version += 1;
        self.publish_root();
    }

    fn meta(&self, version: u64, bytes: &[u8]) -> MetaFile {
        let digests = Digests::of(bytes);
        MetaFile {
            length: self.with_hashes.then_some(digests.length),
            hashes: match self.with_hashes {
                true => Hashes::from_digests(&digests),
                false => Hashes::default(),
            },
            version,
            extra: Map::new(),
        }
    }

    fn put(&mut self, role: &str, version: u64, bytes: Vec<u8>) {
        let role = quoted(role);
        let name = match self.root.consistent_snapshot {
            true => format!("{version}.{role}.json"),
            false => format!("{role}.json"),
        };
        self.files.insert(name, bytes);
    }

    /// Signs everything below root as it stands, and publishes it.
    pub fn publish(&mut self) {
        for (role, document) in self.delegated.clone() {
            let bytes = self.sign(&role, &document);
            let meta = self.meta(document.common.version, &bytes);
            self.snapshot.meta.insert(format!("{role}.json"), meta);
            self.put(&role, document.common.version, bytes);
        }
        let version = self.targets.common.version;
        let bytes = self.sign("targets", &self.targets);
        let meta = self.meta(version, &bytes);
        self.snapshot.meta.insert("targets.json".into(), meta);
        self.put("targets", version, bytes);
        self.publish_snapshot();
    }

    /// Signs snapshot and timestamp as they stand.
    pub fn publish_snapshot(&mut self) {
        let version = self.snapshot.common.version;
        let bytes = self.sign("snapshot", &self.snapshot);
        let meta = self.meta(version, &bytes);
        self.timestamp.meta.insert("snapshot.json".into(), meta);
        self.put("snapshot", version, bytes);
        self.publish_timestamp();
    }

    /// Signs the timestamp as it stands.
    pub fn publish_timestamp(&mut self) {
        let bytes = self.sign("timestamp", &self.timestamp);
        self.files.insert("timestamp.json".into(), bytes);
    }

    /// Raises the three versions and publishes.
    pub fn next(&mut self) {
        self.targets.common.version += 1;
        self.snapshot.common.version += 1;
        self.timestamp.common.version += 1;
        self.publish();
    }

    /// Lets `delegator` trust `role` with a new key for names that match `pattern`.
    pub fn delegate(&mut self, delegator: &str, role: &str, pattern: &str, terminating: bool) {
        let key = Arc::new(FileKey::generate().unwrap());
        self.delegated
            .entry(role.into())
            .or_insert_with(empty_targets);
        self.signers
            .entry(role.into())
            .or_default()
            .push(key.clone());
        let document = match delegator {
            "targets" => &mut self.targets,
            other => self.delegated.get_mut(other).unwrap(),
        };
        let delegations = document.delegations.get_or_insert_with(|| {
            serde_json::from_value(json!({"keys": {}, "roles": []})).unwrap()
        });
        let id = key.public().id();
        delegations.keys.insert(id.clone(), key.public().clone());
        let role: DelegatedRole = serde_json::from_value(json!({"name": role, "keyids": [id],
            "threshold": 1, "terminating": terminating, "paths": [pattern]}))
        .unwrap();
        delegations.roles.as_mut().unwrap().push(role);
    }

    /// Lists a target in a role and serves it.
    pub fn add_target(&mut self, role: &str, name: &str, content: &[u8]) {
        let digests = Digests::of(content);
        let target = TargetFile {
            length: digests.length,
            hashes: Hashes::from_digests(&digests),
            custom: None,
            extra: Map::new(),
        };
        for path in super::client::target_paths(name, &target, self.root.consistent_snapshot) {
            self.files
                .insert(format!("targets/{path}"), content.to_vec());
        }
        match role {
            "targets" => &mut self.targets,
            other => self.delegated.get_mut(other).unwrap(),
        }
        .targets
        .insert(name.into(), target);
    }
}

fn empty_targets() -> Targets {
    Targets {
        common: head(Role::Targets),
        targets: BTreeMap::new(),
        delegations: None,
        extra: Map::new(),
    }
}

struct Served(Arc<Mutex<Simulator>>);

impl Store for Served {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn open(&self, name: &str, offset: u64) -> Result<Blob, StoreError> {
        let mut sim = self.0.lock().unwrap();
        sim.requests.push(name.to_owned());
        let bytes = sim.files.get(name).cloned();
        let bytes = bytes.ok_or_else(|| StoreError::NotFound(name.to_owned()))?;
        let rest = bytes[offset as usize..].to_vec();
        Ok(Blob {
            len: Some(rest.len() as u64),
            offset,
            body: Box::new(std::io::Cursor::new(rest)),
        })
    }
}

/// A simulator with a client whose memory stays from one refresh to the next.
pub struct Scene {
    sim: Arc<Mutex<Simulator>>,
    anchor: Vec<u8>,
    pub folder: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Self {
        let sim = Simulator::new();
        Self {
            anchor: sim.files["1.root.json"].clone(),
            sim: Arc::new(Mutex::new(sim)),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn sim(&self) -> MutexGuard<'_, Simulator> {
        self.sim.lock().unwrap()
    }

    /// A new client with the old memory.
    pub fn client(&self) -> Client {
        let store = Box::new(Served(self.sim.clone()));
        let state = Some(State::at(self.folder.path()));
        let options = Options {
            attempts: 1,
            ..Options::default()
        };
        Client::new(store, self.anchor.clone(), state, options)
    }

    pub fn refresh(&self) -> Result<Client, ClientError> {
        self.refresh_at(now())
    }

    pub fn refresh_at(&self, now: Instant) -> Result<Client, ClientError> {
        let mut client = self.client();
        client.refresh(now)?;
        Ok(client)
    }

    /// The version of a role's document that the client keeps.
    pub fn kept(&self, role: Role) -> Option<u64> {
        let bytes = std::fs::read(self.folder.path().join(role.file())).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        value["signed"]["version"].as_u64()
    }
}
