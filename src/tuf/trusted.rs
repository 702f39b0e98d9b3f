//! The client workflow (TUF 1.0.34 §5.2 to §5.6) as a chain of types without I/O.
//!
//! Bytes and a time go in; a verdict comes out. [`Roots`] yields [`Timestamps`] yields
//! [`Snapshots`] yields [`TopTargets`] yields [`Trusted`]: the wrong order does not compile.
//! Each check is headed by its clause and the attack that it stops. A rejection changes
//! nothing. Fetching, limits on reading and persisting are [`super::client`]'s.

use jiff::Timestamp as Instant;

use super::delegation::Delegated;
use super::hashes::Digests;
use super::key::Key;
use super::metadata::{
    MetaFile, Metadata, Role, RoleKeys, Root, Signature, Signed, Snapshot, Targets, Timestamp,
};
pub use super::rejected::Rejected;
use super::time::Expires;
use std::collections::BTreeMap;

/// What is held against `expires`: the fixed start of the update (TUF 5.1).
#[derive(Clone, Copy, Debug)]
pub enum Expiry {
    /// Documents that expire at or before this time are rejected.
    At(Instant),
    /// Not looked at: for those who will renew the documents.
    Ignored,
}

/// What became of an accepted document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is newer than what was trusted.
    New,
    /// It has the version that is already trusted, which stays.
    Unchanged,
}

/// How many of a role's keys signed. The loop is over the trusted role's key ids, so a
/// foreign or doubled signature cannot count; the same key under two ids counts once.
pub fn valid_signatures(
    keys: &BTreeMap<String, Key>,
    keyids: &[String],
    message: &[u8],
    signatures: &[Signature],
) -> u64 {
    let mut counted: Vec<&Key> = Vec::new();
    for keyid in keyids {
        let (Some(key), Some(signature)) = (
            keys.get(keyid),
            signatures.iter().find(|s| &s.keyid == keyid),
        ) else {
            continue;
        };
        let verified = hex::decode(&signature.sig).is_ok_and(|sig| key.verify(message, &sig));
        if verified && !counted.iter().any(|other| other.same_as(key)) {
            counted.push(key);
        }
    }
    counted.len() as u64
}

fn parse<T: Metadata>(document: &str, bytes: &[u8]) -> Result<Signed<T>, Rejected> {
    Signed::parse(bytes).map_err(|source| Rejected::Unreadable {
        document: document.to_owned(),
        source,
    })
}

fn check_signatures<T>(
    document: &str,
    root: &Root,
    role: Role,
    signed: &Signed<T>,
) -> Result<(), Rejected> {
    let keys = listed(document, root, role)?;
    let have = valid_signatures(
        &root.keys,
        &keys.keyids,
        signed.canonical(),
        signed.signatures(),
    );
    match have >= keys.threshold {
        true => Ok(()),
        false => Err(Rejected::Threshold {
            document: document.to_owned(),
            role: role.name().to_owned(),
            have,
            need: keys.threshold,
            root: root.common.version,
        }),
    }
}

fn listed<'a>(document: &str, root: &'a Root, role: Role) -> Result<&'a RoleKeys, Rejected> {
    root.role(role).ok_or_else(|| Rejected::NotListed {
        document: document.to_owned(),
        entry: format!("the {role} role"),
    })
}

fn check_expiry(document: &str, expires: &Expires, expiry: Expiry) -> Result<(), Rejected> {
    match expiry {
        Expiry::At(now) if expires.passed(now) => Err(Rejected::Expired {
            document: document.to_owned(),
            since: expires.clone(),
        }),
        _ => Ok(()),
    }
}

fn check_bytes(document: &str, bytes: &[u8], wanted: &MetaFile) -> Result<(), Rejected> {
    let found = bytes.len() as u64;
    if let Some(expected) = wanted.length
        && expected != found
    {
        return Err(Rejected::Length {
            document: document.to_owned(),
            found,
            expected,
        });
    }
    if wanted.hashes.is_empty() {
        return Ok(());
    }
    wanted
        .hashes
        .verify(&Digests::of(bytes))
        .map_err(|source| Rejected::Hash {
            document: document.to_owned(),
            source,
        })
}

fn check_version(document: &str, found: u64, expected: u64) -> Result<(), Rejected> {
    match found == expected {
        true => Ok(()),
        false => Err(Rejected::Version {
            document: document.to_owned(),
            found,
            expected,
        }),
    }
}

fn check_rollback(document: &str, offered: u64, trusted: u64) -> Result<(), Rejected> {
    match offered >= trusted {
        true => Ok(()),
        false => Err(Rejected::Rollback {
            document: document.to_owned(),
            offered,
            trusted,
        }),
    }
}

/// The chain of root documents (TUF 5.2, 5.3).
#[derive(Clone, Debug)]
pub struct Roots {
    expiry: Expiry,
    root: Signed<Root>,
    recovering: bool,
}

impl Roots {
    /// Begins with a root that is trusted for reasons of its own (TUF 5.2). It must be
    /// signed by itself; whether it expired does not matter.
    pub fn anchor(bytes: &[u8], expiry: Expiry) -> Result<Self, Rejected> {
        let root = self_signed("root.json", bytes)?;
        Ok(Self {
            expiry,
            root,
            recovering: false,
        })
    }

    /// The root trusted so far.
    pub fn root(&self) -> &Signed<Root> {
        &self.root
    }

    /// The file that the next root of the chain has.
    pub fn next_file(&self) -> String {
        Role::Root.versioned_file(self.root.version().saturating_add(1))
    }

    /// Takes the next root of the chain. Whether it expired does not matter yet (TUF 5.3.6).
    pub fn accept(&mut self, bytes: &[u8]) -> Result<(), Rejected> {
        let file = self.next_file();
        let next: Signed<Root> = parse(&file, bytes)?;
        // TUF 5.3.4 arbitrary software: signed by the trusted root's keys and by its own.
        check_signatures(&file, &self.root.signed, Role::Root, &next)?;
        let next = self_signed_parsed(&file, next)?;
        // TUF 5.3.5 rollback: exactly the next version.
        check_version(&file, next.version(), self.root.version().saturating_add(1))?;
        // TUF 5.3.11 fast-forward: see `recovering`.
        self.recovering |= [Role::Timestamp, Role::Snapshot]
            .into_iter()
            .any(|role| revoked(&self.root.signed, &next.signed, role));
        // TUF 5.3.7: the new root is the trusted one.
        self.root = next;
        Ok(())
    }

    /// Whether so many timestamp or snapshot keys were revoked on the way that what is kept of
    /// these two roles must be dropped (TUF 5.3.11).
    pub fn recovering(&self) -> bool {
        self.recovering
    }

    /// Whether a timestamp or a snapshot is signed as the trusted root asks. Nothing else of it
    /// is judged.
    pub fn signed(&self, role: Role, bytes: &[u8]) -> bool {
        match role {
            Role::Timestamp => self.signed_as::<Timestamp>(bytes),
            Role::Snapshot => self.signed_as::<Snapshot>(bytes),
            Role::Root | Role::Targets => false,
        }
    }

    fn signed_as<T: Metadata>(&self, bytes: &[u8]) -> bool {
        let document = Signed::<T>::parse(bytes);
        document.is_ok_and(|document| {
            check_signatures("", &self.root.signed, T::ROLE, &document).is_ok()
        })
    }

    /// Ends the chain: there is no newer root.
    pub fn finish(self) -> Result<Timestamps, Rejected> {
        // TUF 5.3.10 freeze.
        check_expiry("root.json", self.root.expires(), self.expiry)?;
        Ok(Timestamps {
            expiry: self.expiry,
            root: self.root,
            trusted: None,
        })
    }
}

fn self_signed(document: &str, bytes: &[u8]) -> Result<Signed<Root>, Rejected> {
    self_signed_parsed(document, parse(document, bytes)?)
}

fn self_signed_parsed(document: &str, root: Signed<Root>) -> Result<Signed<Root>, Rejected> {
    for role in Role::ALL {
        listed(document, &root.signed, role)?;
    }
    check_signatures(document, &root.signed, Role::Root, &root)?;
    Ok(root)
}

// go-tuf 0.5.2: a role counts as rotated when as many keys went as its threshold asks for.
fn revoked(old: &Root, new: &Root, role: Role) -> bool {
    let (Some(old), Some(new)) = (old.role(role), new.role(role)) else {
        return true;
    };
    let gone = old.keyids.iter().filter(|id| !new.keyids.contains(id));
    gone.count() as u64 >= old.threshold
}

/// Waits for a timestamp (TUF 5.4).
#[derive(Clone, Debug)]
pub struct Timestamps {
    expiry: Expiry,
    root: Signed<Root>,
    trusted: Option<Signed<Timestamp>>,
}

impl Timestamps {
    /// The root trusted.
    pub fn root(&self) -> &Signed<Root> {
        &self.root
    }

    /// Takes the timestamp kept from an earlier run; its expiry does not matter, it guards
    /// against rollback.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), Rejected> {
        self.trusted = Some(self.read(bytes)?);
        Ok(())
    }

    fn read(&self, bytes: &[u8]) -> Result<Signed<Timestamp>, Rejected> {
        let file = "timestamp.json";
        let document = parse(file, bytes)?;
        // TUF 5.4.2 arbitrary software.
        check_signatures(file, &self.root.signed, Role::Timestamp, &document)?;
        snapshot_entry(&document)?;
        Ok(document)
    }

    /// Takes the published timestamp.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<Accepted, Rejected> {
        let file = "timestamp.json";
        let new = self.read(bytes)?;
        if let Some(trusted) = &self.trusted {
            // TUF 5.4.3.1 rollback; the same version again is no news.
            check_rollback(file, new.version(), trusted.version())?;
            if new.version() == trusted.version() {
                return Ok(Accepted::Unchanged);
            }
            // TUF 5.4.3.2 rollback of the snapshot.
            let (new, trusted) = (snapshot_entry(&new)?, snapshot_entry(trusted)?);
            check_rollback("snapshot.json", new.version, trusted.version)?;
        }
        // TUF 5.4.4 freeze.
        check_expiry(file, new.expires(), self.expiry)?;
        self.trusted = Some(new);
        Ok(Accepted::New)
    }

    /// Goes on with the timestamp trusted.
    pub fn finish(self) -> Result<Snapshots, Rejected> {
        let timestamp = self.trusted.ok_or_else(|| Rejected::NotListed {
            document: "the repository".to_owned(),
            entry: "timestamp.json".to_owned(),
        })?;
        // TUF 5.4.4 freeze, for one that was kept and is still the newest.
        check_expiry("timestamp.json", timestamp.expires(), self.expiry)?;
        Ok(Snapshots {
            wanted: snapshot_entry(&timestamp)?.clone(),
            expiry: self.expiry,
            root: self.root,
            timestamp,
            trusted: None,
        })
    }
}

fn snapshot_entry(timestamp: &Signed<Timestamp>) -> Result<&MetaFile, Rejected> {
    entry("timestamp.json", &timestamp.signed.meta, "snapshot.json")
}

fn entry<'a>(
    document: &str,
    meta: &'a BTreeMap<String, MetaFile>,
    entry: &str,
) -> Result<&'a MetaFile, Rejected> {
    meta.get(entry).ok_or_else(|| Rejected::NotListed {
        document: document.to_owned(),
        entry: entry.to_owned(),
    })
}

fn is_targets_file(name: &str) -> bool {
    [Role::Root, Role::Snapshot, Role::Timestamp]
        .into_iter()
        .all(|role| role.file() != name)
}

/// Waits for the snapshot (TUF 5.5).
#[derive(Clone, Debug)]
pub struct Snapshots {
    expiry: Expiry,
    root: Signed<Root>,
    timestamp: Signed<Timestamp>,
    wanted: MetaFile,
    trusted: Option<Signed<Snapshot>>,
}

impl Snapshots {
    /// The root trusted.
    pub fn root(&self) -> &Signed<Root> {
        &self.root
    }

    /// The timestamp trusted.
    pub fn timestamp(&self) -> &Signed<Timestamp> {
        &self.timestamp
    }

    /// What the snapshot must be.
    pub fn wanted(&self) -> &MetaFile {
        &self.wanted
    }

    /// Takes the snapshot kept from an earlier run, which may be an older one.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), Rejected> {
        self.trusted = Some(self.read(bytes)?);
        Ok(())
    }

    fn read(&self, bytes: &[u8]) -> Result<Signed<Snapshot>, Rejected> {
        let file = "snapshot.json";
        let document: Signed<Snapshot> = parse(file, bytes)?;
        // TUF 5.5.3 arbitrary software.
        check_signatures(file, &self.root.signed, Role::Snapshot, &document)?;
        entry(file, &document.signed.meta, "targets.json")?;
        Ok(document)
    }

    /// Whether the snapshot kept is the one wanted, so that none need be fetched.
    pub fn is_current(&self) -> bool {
        self.trusted.as_ref().is_some_and(|trusted| {
            trusted.version() == self.wanted.version
                && check_bytes("snapshot.json", trusted.bytes(), &self.wanted).is_ok()
        })
    }

    /// Takes the published snapshot.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<(), Rejected> {
        let file = "snapshot.json";
        // TUF 5.5.2 mix-and-match: the bytes that the timestamp names.
        check_bytes(file, bytes, &self.wanted)?;
        let new = self.read(bytes)?;
        // TUF 5.5.4 mix-and-match: the version that the timestamp names.
        check_version(file, new.version(), self.wanted.version)?;
        // TUF 5.5.5 rollback: no targets document listed vanishes or goes down. go-tuf before
        // 0.3 listed the root too, which newer ones leave out.
        let listed = self.trusted.iter().flat_map(|t| &t.signed.meta);
        for (name, old) in listed.filter(|(name, _)| is_targets_file(name)) {
            let Some(listed) = new.signed.meta.get(name) else {
                return Err(Rejected::Vanished {
                    entry: name.clone(),
                });
            };
            check_rollback(name, listed.version, old.version)?;
        }
        // TUF 5.5.6 freeze.
        check_expiry(file, new.expires(), self.expiry)?;
        self.trusted = Some(new);
        Ok(())
    }

    /// Goes on with the snapshot trusted, if it is the one wanted.
    pub fn finish(self) -> Result<TopTargets, Rejected> {
        let file = "snapshot.json";
        let snapshot = self.trusted.ok_or_else(|| Rejected::NotListed {
            document: "the repository".to_owned(),
            entry: file.to_owned(),
        })?;
        check_bytes(file, snapshot.bytes(), &self.wanted)?;
        check_version(file, snapshot.version(), self.wanted.version)?;
        check_expiry(file, snapshot.expires(), self.expiry)?;
        Ok(TopTargets {
            wanted: entry(file, &snapshot.signed.meta, "targets.json")?.clone(),
            expiry: self.expiry,
            root: self.root,
            timestamp: self.timestamp,
            snapshot,
            trusted: None,
        })
    }
}

/// Waits for the top-level targets document (TUF 5.6.1 to 5.6.6).
#[derive(Clone, Debug)]
pub struct TopTargets {
    expiry: Expiry,
    root: Signed<Root>,
    timestamp: Signed<Timestamp>,
    snapshot: Signed<Snapshot>,
    wanted: MetaFile,
    trusted: Option<Signed<Targets>>,
}

impl TopTargets {
    /// The root trusted.
    pub fn root(&self) -> &Signed<Root> {
        &self.root
    }

    /// The snapshot trusted.
    pub fn snapshot(&self) -> &Signed<Snapshot> {
        &self.snapshot
    }

    /// What the document must be.
    pub fn wanted(&self) -> &MetaFile {
        &self.wanted
    }

    /// Takes the document, from an earlier run or as published; the rules are the same.
    pub fn accept(&mut self, bytes: &[u8]) -> Result<(), Rejected> {
        let file = "targets.json";
        // TUF 5.6.2 mix-and-match: the bytes that the snapshot names.
        check_bytes(file, bytes, &self.wanted)?;
        let new: Signed<Targets> = parse(file, bytes)?;
        // TUF 5.6.3 arbitrary software.
        check_signatures(file, &self.root.signed, Role::Targets, &new)?;
        // TUF 5.6.4 mix-and-match: the version that the snapshot names.
        check_version(file, new.version(), self.wanted.version)?;
        // TUF 5.6.5 freeze.
        check_expiry(file, new.expires(), self.expiry)?;
        self.trusted = Some(new);
        Ok(())
    }

    /// Takes over the document that `before` holds, where the same root and the same snapshot
    /// led to it: all but its expiry was judged then. Says whether it was so.
    pub fn carry_over(&mut self, before: &Trusted) -> Result<bool, Rejected> {
        let same = self.root.bytes() == before.root.bytes()
            && self.snapshot.bytes() == before.snapshot.bytes();
        if same {
            // TUF 5.6.5 freeze.
            check_expiry("targets.json", before.targets.expires(), self.expiry)?;
            self.trusted = Some(before.targets.clone());
        }
        Ok(same)
    }

    /// Ends the workflow for the four roles.
    pub fn finish(self) -> Result<Trusted, Rejected> {
        let targets = self.trusted.ok_or_else(|| Rejected::NotListed {
            document: "the repository".to_owned(),
            entry: "targets.json".to_owned(),
        })?;
        Ok(Trusted {
            root: self.root,
            timestamp: self.timestamp,
            snapshot: self.snapshot,
            targets,
        })
    }
}

/// The four documents, verified and consistent with each other.
#[derive(Clone, Debug)]
pub struct Trusted {
    root: Signed<Root>,
    timestamp: Signed<Timestamp>,
    snapshot: Signed<Snapshot>,
    targets: Signed<Targets>,
}

impl Trusted {
    /// The root document.
    pub fn root(&self) -> &Signed<Root> {
        &self.root
    }

    /// The timestamp document.
    pub fn timestamp(&self) -> &Signed<Timestamp> {
        &self.timestamp
    }

    /// The snapshot document.
    pub fn snapshot(&self) -> &Signed<Snapshot> {
        &self.snapshot
    }

    /// The top-level targets document.
    pub fn targets(&self) -> &Signed<Targets> {
        &self.targets
    }

    /// What the snapshot says of a delegated role's document.
    pub fn wanted(&self, role: &str) -> Result<&MetaFile, Rejected> {
        entry(
            "snapshot.json",
            &self.snapshot.signed.meta,
            &format!("{role}.json"),
        )
    }

    /// Judges a delegated role's document by the keys that `delegator` gives it (TUF 5.6.7).
    /// The verdict holds for this delegator alone: another may give the role other keys.
    pub fn delegated(
        &self,
        delegator: &Targets,
        role: &Delegated,
        bytes: &[u8],
        expiry: Expiry,
    ) -> Result<Signed<Targets>, Rejected> {
        let file = format!("{}.json", role.name);
        let wanted = self.wanted(&role.name)?;
        // TUF 5.6.2 mix-and-match: the bytes that the snapshot names.
        check_bytes(&file, bytes, wanted)?;
        let document: Signed<Targets> = parse(&file, bytes)?;
        // TUF 5.6.3 arbitrary software.
        let none = BTreeMap::new();
        let keys = delegator.delegations.as_ref().map_or(&none, |d| &d.keys);
        let have = valid_signatures(
            keys,
            &role.keyids,
            document.canonical(),
            document.signatures(),
        );
        if have < role.threshold {
            return Err(Rejected::Threshold {
                document: file,
                role: role.name.clone(),
                have,
                need: role.threshold,
                root: self.root.version(),
            });
        }
        // TUF 5.6.4 mix-and-match: the version that the snapshot names.
        check_version(&file, document.version(), wanted.version)?;
        // TUF 5.6.5 freeze.
        check_expiry(&file, document.expires(), expiry)?;
        Ok(document)
    }

    /// The bytes of a role's document.
    pub fn bytes(&self, role: Role) -> &[u8] {
        match role {
            Role::Root => self.root.bytes(),
            Role::Targets => self.targets.bytes(),
            Role::Snapshot => self.snapshot.bytes(),
            Role::Timestamp => self.timestamp.bytes(),
        }
    }

    /// The version of a role's document.
    pub fn version(&self, role: Role) -> u64 {
        match role {
            Role::Root => self.root.version(),
            Role::Targets => self.targets.version(),
            Role::Snapshot => self.snapshot.version(),
            Role::Timestamp => self.timestamp.version(),
        }
    }

    /// When a role's document expires.
    pub fn expires(&self, role: Role) -> &Expires {
        match role {
            Role::Root => self.root.expires(),
            Role::Targets => self.targets.expires(),
            Role::Snapshot => self.snapshot.expires(),
            Role::Timestamp => self.timestamp.expires(),
        }
    }
}
