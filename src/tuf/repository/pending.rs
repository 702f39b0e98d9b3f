//! An edit from its plan to its commit, and `pending/`, where it waits for signatures.
//!
//! An edit's documents are drafted in their order: root and targets first, snapshot when the
//! targets document carries all its signatures (its hash is in the snapshot), timestamp last.
//! Each is signed by the keys at hand. When every threshold is met, the edit is published
//! (`edit`); otherwise it is held: `pending/edit.json` has the documents with what signatures
//! they carry and the versions that they build on, `pending/keys/` the key files as they will
//! be, `pending/files/` new targets. Meanwhile a timestamp of the committed state may be
//! signed and published; another edit is refused.
//!
//! `pending/edit.json` is written last and removed by the commit, so that the folder without
//! it means nothing and is cleared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::edit::{Change, Signing};
use super::keyring::Keyring;
use super::memory::{self, Seen};
use super::{Layout, Repository, RepositoryError, commit, exists, io_error};
use crate::tuf::ceremony::Payload;
use crate::tuf::key::Key;
use crate::tuf::keystore::Keystore;
use crate::tuf::metadata::{Metadata, MetadataError, Role, Root, Signature, Signed};
use crate::tuf::trusted::valid_signatures;

/// Largest pending edit that is read: its documents have limits of their own.
const LIMIT: u64 = 64 << 20;
/// Largest key file that is read.
const KEYS_LIMIT: u64 = 1 << 20;
const FORMAT: u32 = 1;

/// What became of an edit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It is published.
    #[default]
    Published,
    /// It waits in `pending/` for these signatures.
    Held(Vec<Missing>),
}

/// Signatures that a document still needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Whose document.
    pub role: Role,
    /// Its version.
    pub version: u64,
    /// The version of the root whose keys must sign it.
    pub root: u64,
    /// Valid signatures by different keys.
    pub have: u64,
    /// The threshold.
    pub need: u64,
    /// Ids of the keys that have not signed.
    pub keys: Vec<String>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} version {} carries {} of {} signatures by the keys of root version {}",
            self.role, self.version, self.have, self.need, self.root
        )
    }
}

/// An edit that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What was asked for, such as `rotate targets`.
    pub what: String,
    /// What is missing.
    pub missing: Vec<Missing>,
}

/// An edit on its way.
#[derive(Default)]
pub(super) struct Edit {
    /// What was asked for.
    pub what: String,
    /// The documents drafted so far.
    pub change: Change,
    /// Roles below root whose documents are made anew.
    pub roles: BTreeSet<Role>,
    /// Staged targets.
    pub files: Vec<String>,
    /// Role → sha256 of its key file when the edit was held: what its copy in `pending/keys/`
    /// may replace.
    pub keys: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    what: String,
    /// Role → what the edit builds on.
    base: BTreeMap<String, Seen>,
    root_first: bool,
    roles: Vec<String>,
    /// Role → the document, as text.
    documents: BTreeMap<String, String>,
    files: Vec<String>,
    removals: Vec<String>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

impl Layout {
    /// The folder of an edit that waits for signatures.
    pub fn pending(&self) -> PathBuf {
        self.path().join("pending")
    }

    pub(super) fn pending_edit(&self) -> PathBuf {
        self.pending().join("edit.json")
    }
}

/// Clears what a broken-off edit left.
pub(super) fn tidy(layout: &Layout) -> Result<(), RepositoryError> {
    match exists(&layout.pending_edit())? {
        true => Ok(()),
        false => commit::remove_tree(&layout.pending()),
    }
}

impl Repository {
    /// The edit that waits for signatures.
    pub fn pending(&self) -> Result<Option<Pending>, RepositoryError> {
        let Some(edit) = self.held()? else {
            return Ok(None);
        };
        Ok(Some(Pending {
            missing: self.missing(&edit),
            what: edit.what,
        }))
    }

    /// Gives the edit that waits up, with its new keys; says what it was.
    pub fn drop_pending(&mut self) -> Result<String, RepositoryError> {
        let path = self.layout.pending_edit();
        let Some(file) = self.held_file()? else {
            return Err(RepositoryError::NothingPending);
        };
        crate::fs::remove(&path).map_err(io_error(format!("delete {}", path.display())))?;
        commit::remove_tree(&self.layout.pending())?;
        Ok(file.what)
    }

    /// Fails when an edit waits: another one would build on the same versions.
    pub(super) fn check_no_pending(&self) -> Result<(), RepositoryError> {
        match self.held_file()? {
            Some(file) => Err(RepositoryError::Pending { what: file.what }),
            None => Ok(()),
        }
    }

    /// Drafts and signs what is left of an edit; publishes it, or holds it.
    pub(super) fn settle(
        &mut self,
        mut edit: Edit,
        ring: &mut Keyring,
        signing: &mut Signing<'_>,
    ) -> Result<Outcome, RepositoryError> {
        let held = edit.change.held;
        let settled = self.draft(&mut edit, ring, signing).and_then(|()| {
            let missing = self.missing(&edit);
            match missing.is_empty() {
                true => {
                    self.install_edit(&edit, ring, signing.now)?;
                    self.stamp_again(&edit, ring, signing)?;
                    Ok(Outcome::Published)
                }
                false => {
                    self.hold(&mut edit, ring)?;
                    Ok(Outcome::Held(missing))
                }
            }
        });
        if settled.is_err() && !held {
            // What was staged for it goes with it, unless the commit was decided on.
            if self.layout.interrupted()?.is_none() {
                commit::remove_tree(&self.layout.work().join("stage"))?;
            }
            tidy(&self.layout)?;
        }
        settled
    }

    // go-tuf forgets its targets.json when it meets a root that replaces the targets keys. A
    // client that saw our timestamp before that root would then find the same timestamp version
    // again, call it "no update", and have no targets until the next one: so there is a next one.
    fn stamp_again(
        &mut self,
        edit: &Edit,
        ring: &mut Keyring,
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let change = &edit.change;
        let store = Keystore::new(&self.layout.keys());
        let forgets = change.root.is_some() && change.targets.is_some() && !change.root_first;
        // Where the timestamp key is not at hand, whoever signs the time cures it.
        if !forgets || !store.has(Role::Timestamp)? {
            return Ok(());
        }
        let keys = ring.role(&self.layout, Role::Timestamp, signing.ask)?;
        let root = &self.base.root().signed;
        if keys.check_enough(root, &store).is_err() {
            return Ok(());
        }
        let change = Change {
            timestamp: Some(keys.sign(&self.plan_timestamp(None, signing)?, &[root])?),
            ..Change::default()
        };
        commit::clear_stage(&self.layout)?;
        self.publish(&change, Vec::new(), signing.now)
    }

    /// Adds signatures to a document of the edit that waits, and goes on with it.
    pub fn attach(
        &mut self,
        role: Role,
        canonical: &[u8],
        signatures: &[Signature],
        signing: &mut Signing<'_>,
    ) -> Result<(String, Outcome), RepositoryError> {
        let Some(mut edit) = self.held()? else {
            return Err(RepositoryError::NothingPending);
        };
        let keys = self.keys_of(&edit, role);
        let change = &mut edit.change;
        match role {
            Role::Root => add(&mut change.root, canonical, signatures, &keys)?,
            Role::Targets => add(&mut change.targets, canonical, signatures, &keys)?,
            Role::Snapshot => add(&mut change.snapshot, canonical, signatures, &keys)?,
            Role::Timestamp => add(&mut change.timestamp, canonical, signatures, &keys)?,
        }
        // Kept before anything else is asked for.
        self.write_edit(&edit)?;
        let what = edit.what.clone();
        let mut ring = Keyring::new(self.tokens.clone());
        Ok((what, self.settle(edit, &mut ring, signing)?))
    }

    /// What is to be signed elsewhere for a role of the edit that waits.
    pub fn payload(&self, role: Role) -> Result<Payload, RepositoryError> {
        let edit = self.held()?.ok_or(RepositoryError::NothingPending)?;
        let change = &edit.change;
        let bytes = match role {
            Role::Root => change.root.as_ref().map(Signed::bytes),
            Role::Targets => change.targets.as_ref().map(Signed::bytes),
            Role::Snapshot => change.snapshot.as_ref().map(Signed::bytes),
            Role::Timestamp => change.timestamp.as_ref().map(Signed::bytes),
        };
        let bytes = bytes.ok_or(RepositoryError::NothingToSign { role })?;
        let mut value = crate::tuf::json::parse(bytes).map_err(MetadataError::from)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let roots = self.layout.root_chain(self.base.root().version())?;
        let base = (role != Role::Root).then(|| text(self.base.bytes(role)));
        Ok(Payload::new(
            role,
            roots.iter().map(|root| text(root)).collect(),
            base,
            value["signed"].take(),
            self.keys_of(&edit, role),
        ))
    }

    // The keys of a role in the roots by which the edit's document must be signed.
    fn keys_of(&self, edit: &Edit, role: Role) -> BTreeMap<String, Key> {
        let mut keys = BTreeMap::new();
        for root in self.roots_of(&edit.change, role) {
            let ids = root.role(role).into_iter().flat_map(|role| &role.keyids);
            let listed = ids.filter_map(|id| Some((id.clone(), root.keys.get(id)?.clone())));
            keys.extend(listed);
        }
        keys
    }

    // By which roots a document must be signed: the published one, and the new one. After a
    // compromise the old keys of the roles below root sign nothing.
    fn roots_of<'a>(&'a self, change: &'a Change, role: Role) -> Vec<&'a Root> {
        let old = &self.base.root().signed;
        match &change.root {
            None => vec![old],
            Some(new) if change.root_first && role != Role::Root => vec![&new.signed],
            Some(new) => vec![old, &new.signed],
        }
    }

    /// Makes the document of a role with the signatures of the keys at hand.
    pub(super) fn signed<T: Metadata>(
        &self,
        document: &T,
        change: &Change,
        ring: &mut Keyring,
        signing: &mut Signing<'_>,
    ) -> Result<Signed<T>, RepositoryError> {
        let keys = ring.role(&self.layout, T::ROLE, signing.ask)?;
        keys.sign(document, &self.roots_of(change, T::ROLE))
    }

    fn draft(
        &self,
        edit: &mut Edit,
        ring: &mut Keyring,
        signing: &mut Signing<'_>,
    ) -> Result<(), RepositoryError> {
        let change = &mut edit.change;
        let wanted = |role| edit.roles.contains(&role);
        if wanted(Role::Targets) && change.targets.is_none() {
            let mut targets = self.base.targets().signed.clone();
            self.head(&mut targets, signing)?;
            change.targets = Some(self.signed(&targets, change, ring, signing)?);
        }
        let complete = |change: &Change, role| self.missing_of(change, role).is_empty();
        if wanted(Role::Snapshot) && change.snapshot.is_none() && complete(change, Role::Targets) {
            let snapshot = self.plan_snapshot(change.targets.as_ref(), signing)?;
            change.snapshot = Some(self.signed(&snapshot, change, ring, signing)?);
        }
        // The committed timestamp goes on while an edit waits.
        let base = self.base.timestamp().version();
        let behind = |change: &Change| {
            change
                .timestamp
                .as_ref()
                .is_none_or(|t| t.version() <= base)
        };
        let others = [Role::Root, Role::Targets, Role::Snapshot];
        if wanted(Role::Timestamp)
            && behind(change)
            && (!wanted(Role::Snapshot) || change.snapshot.is_some())
            && others.into_iter().all(|role| complete(change, role))
        {
            let timestamp = self.plan_timestamp(change.snapshot.as_ref(), signing)?;
            change.timestamp = Some(self.signed(&timestamp, change, ring, signing)?);
        }
        Ok(())
    }

    // Of all documents drafted so far.
    fn missing(&self, edit: &Edit) -> Vec<Missing> {
        let all = Role::ALL.into_iter();
        all.flat_map(|role| self.missing_of(&edit.change, role))
            .collect()
    }

    fn missing_of(&self, change: &Change, role: Role) -> Vec<Missing> {
        let roots = self.roots_of(change, role).into_iter();
        let lacking = |root| match role {
            Role::Root => change.root.as_ref().and_then(|d| lacking(d, root)),
            Role::Targets => change.targets.as_ref().and_then(|d| lacking(d, root)),
            Role::Snapshot => change.snapshot.as_ref().and_then(|d| lacking(d, root)),
            Role::Timestamp => change.timestamp.as_ref().and_then(|d| lacking(d, root)),
        };
        let mut missing: Vec<Missing> = roots.filter_map(lacking).collect();
        // A signature counts for both roots.
        missing.dedup_by(|new, old| (new.need, &new.keys) == (old.need, &old.keys));
        missing
    }

    // Puts the edit into `pending/`: new key files and targets first, `edit.json` last.
    fn hold(&self, edit: &mut Edit, ring: &Keyring) -> Result<(), RepositoryError> {
        let folder = self.layout.pending();
        if !edit.change.held {
            crate::fs::create_folders(&folder, 0o700)
                .map_err(io_error(format!("make {}", folder.display())))?;
            let store = Keystore::new(&folder.join("keys"));
            for keys in ring.to_save() {
                let path = Keystore::new(&self.layout.keys()).path(keys.role);
                if let Some(bytes) = key_file(&path)? {
                    let name = keys.role.name().to_owned();
                    edit.keys.insert(name, memory::sha256(&bytes));
                }
                keys.save(&store)?;
            }
            let stage = self.layout.work().join("stage");
            for file in &edit.files {
                let to = folder.join("files").join(file);
                super::stage::make_parents(&to)?;
                crate::fs::rename(&stage.join(file), &to)
                    .map_err(io_error(format!("write {}", to.display())))?;
            }
            commit::remove_tree(&stage)?;
            edit.change.held = true;
        }
        self.write_edit(edit)
    }

    fn write_edit(&self, edit: &Edit) -> Result<(), RepositoryError> {
        let change = &edit.change;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let documents = [
            (Role::Root, change.root.as_ref().map(Signed::bytes)),
            (Role::Targets, change.targets.as_ref().map(Signed::bytes)),
            (Role::Snapshot, change.snapshot.as_ref().map(Signed::bytes)),
            (
                Role::Timestamp,
                change.timestamp.as_ref().map(Signed::bytes),
            ),
        ];
        let documents = documents
            .into_iter()
            .filter_map(|(role, bytes)| Some((role.name().to_owned(), text(bytes?))));
        let file = File {
            format: FORMAT,
            what: edit.what.clone(),
            base: self.pending_base(),
            root_first: change.root_first,
            roles: edit.roles.iter().map(|r| r.name().to_owned()).collect(),
            documents: documents.collect(),
            files: edit.files.clone(),
            removals: change.removals.clone(),
            keys: edit.keys.clone(),
        };
        let path = self.layout.pending_edit();
        let mut text = serde_json::to_vec_pretty(&file)
            .map_err(std::io::Error::from)
            .map_err(io_error(format!("write {}", path.display())))?;
        text.push(b'\n');
        crate::fs::write_atomic(&path, &text, 0o600)
            .map_err(io_error(format!("write {}", path.display())))
    }

    // The timestamp may go on meanwhile.
    fn pending_base(&self) -> BTreeMap<String, Seen> {
        BTreeMap::from([
            (Role::Root.name().to_owned(), Seen::of(self.base.root())),
            (
                Role::Targets.name().to_owned(),
                Seen::of(self.base.targets()),
            ),
            (
                Role::Snapshot.name().to_owned(),
                Seen::of(self.base.snapshot()),
            ),
        ])
    }

    fn held_file(&self) -> Result<Option<File>, RepositoryError> {
        let path = self.layout.pending_edit();
        let bytes = crate::fs::read_document(&path, LIMIT)
            .map_err(io_error(format!("read {}", path.display())))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let file: File =
            serde_json::from_slice(&bytes).map_err(|source| RepositoryError::PendingForm {
                path: path.clone(),
                source,
            })?;
        Ok(Some(file))
    }

    pub(super) fn held(&self) -> Result<Option<Edit>, RepositoryError> {
        let Some(file) = self.held_file()? else {
            return Ok(None);
        };
        if file.base != self.pending_base() || file.format != FORMAT {
            return Err(RepositoryError::PendingStale { what: file.what });
        }
        let mut names = file.files.iter().chain(&file.removals);
        if let Some(name) = names.find(|name| !commit::is_below(name)) {
            return Err(RepositoryError::Stray {
                list: self.layout.pending_edit(),
                name: name.clone(),
            });
        }
        let roles = Role::ALL.into_iter();
        let roles = roles.filter(|role| file.roles.iter().any(|name| name == role.name()));
        Ok(Some(Edit {
            roles: roles.collect(),
            change: Change {
                root: document(&file)?,
                root_first: file.root_first,
                targets: document(&file)?,
                snapshot: document(&file)?,
                timestamp: document(&file)?,
                removals: file.removals,
                held: true,
            },
            what: file.what,
            files: file.files,
            keys: file.keys,
        }))
    }

    // New keys are on the disk before the root that names them is published; when that fails
    // for good, the files are what they were.
    fn install_edit(
        &mut self,
        edit: &Edit,
        ring: &Keyring,
        now: jiff::Timestamp,
    ) -> Result<(), RepositoryError> {
        if edit.change.held {
            self.check_files(edit)?;
        }
        let mut before = Vec::new();
        self.decided = false;
        let done = self
            .install_keys(edit, ring, &mut before)
            .and_then(|()| self.publish(&edit.change, edit.files.clone(), now));
        if let Err(error) = done {
            // Once it is decided on, the root that names the new keys will be seen.
            for (path, old) in before.into_iter().filter(|_| !self.decided) {
                let restored = match old {
                    Some(bytes) => crate::fs::write_atomic(&path, &bytes, 0o600),
                    None => crate::fs::remove(&path),
                };
                restored.map_err(io_error(format!("restore {}", path.display())))?;
            }
            return Err(error);
        }
        match edit.change.held {
            true => commit::remove_tree(&self.layout.pending()),
            false => Ok(()),
        }
    }

    fn install_keys(
        &self,
        edit: &Edit,
        ring: &Keyring,
        before: &mut Vec<(PathBuf, Option<Zeroizing<Vec<u8>>>)>,
    ) -> Result<(), RepositoryError> {
        let store = Keystore::new(&self.layout.keys());
        let waiting = Keystore::new(&self.layout.pending().join("keys"));
        for role in Role::ALL {
            let new = ring.to_save().find(|keys| keys.role == role);
            let moved = edit.change.held && waiting.has(role)?;
            if new.is_none() && !moved {
                continue;
            }
            let path = store.path(role);
            let old = key_file(&path)?;
            let copy = moved.then(|| key_file(&waiting.path(role))).transpose()?;
            let copy = copy.flatten();
            if let (Some(old), Some(copy)) = (&old, &copy) {
                let known = edit.keys.get(role.name());
                // An earlier try may have put the copy there.
                if old != copy && known.is_none_or(|known| *known != memory::sha256(old)) {
                    return Err(RepositoryError::KeyFileReplaced { role, path });
                }
            }
            before.push((path.clone(), old));
            match (new, copy) {
                (_, Some(bytes)) => {
                    let folder = self.layout.keys();
                    crate::fs::create_folders(&folder, 0o700)
                        .and_then(|()| crate::fs::write_atomic(&path, &bytes, 0o600))
                        .map_err(io_error(format!("write {}", path.display())))?;
                }
                (Some(keys), None) => keys.save(&store)?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    // What lies in `pending/files/` is what the targets document says.
    pub(super) fn check_files(&self, edit: &Edit) -> Result<(), RepositoryError> {
        let listed = edit.change.targets.iter();
        let new = edit.change.root.as_ref().map(|root| &root.signed);
        let root = new.unwrap_or(&self.base.root().signed);
        let listed = listed.flat_map(|targets| &targets.signed.targets);
        let entries = listed.flat_map(|(name, file)| {
            let places = super::targets::places(name, file, root.consistent_snapshot);
            places.into_iter().map(move |place| (place, file))
        });
        let entries: BTreeMap<_, _> = entries.collect();
        for name in &edit.files {
            let path = self.layout.pending().join("files").join(name);
            let mut file =
                std::fs::File::open(&path).map_err(io_error(format!("read {}", path.display())))?;
            let found = crate::tuf::hashes::Digests::read(&mut file)
                .map_err(io_error(format!("read {}", path.display())))?;
            let same = entries.get(name).is_some_and(|entry| {
                entry.length == found.length && entry.hashes.verify(&found).is_ok()
            });
            if !same {
                return Err(RepositoryError::Source {
                    path,
                    reason: "it is not the file that was signed",
                });
            }
        }
        Ok(())
    }
}

fn key_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, RepositoryError> {
    crate::fs::read_document(path, KEYS_LIMIT)
        .map(|bytes| bytes.map(Zeroizing::new))
        .map_err(io_error(format!("read {}", path.display())))
}

fn document<T: Metadata>(file: &File) -> Result<Option<Signed<T>>, RepositoryError> {
    let text = file.documents.get(T::ROLE.name());
    let parsed = text.map(|text| Signed::parse(text.as_bytes()));
    parsed.transpose().map_err(|source| RepositoryError::Make {
        role: T::ROLE,
        source,
    })
}

/// What `document` still needs from the keys of `root`.
pub(super) fn lacking<T: Metadata>(document: &Signed<T>, root: &Root) -> Option<Missing> {
    let listed = root.role(T::ROLE)?;
    let valid = |ids: &[String]| {
        valid_signatures(&root.keys, ids, document.canonical(), document.signatures())
    };
    let have = valid(&listed.keyids);
    (have < listed.threshold).then(|| {
        let unsigned = listed
            .keyids
            .iter()
            .filter(|id| valid(std::slice::from_ref(*id)) == 0);
        Missing {
            role: T::ROLE,
            version: document.version(),
            root: root.common.version,
            have,
            need: listed.threshold,
            keys: unsigned.cloned().collect(),
        }
    })
}

fn add<T: Metadata>(
    document: &mut Option<Signed<T>>,
    canonical: &[u8],
    signatures: &[Signature],
    keys: &BTreeMap<String, Key>,
) -> Result<(), RepositoryError> {
    let role = T::ROLE;
    let known = document
        .as_ref()
        .filter(|known| known.canonical() == canonical)
        .ok_or(RepositoryError::OtherEdit { role })?;
    let mut all = known.signatures().to_vec();
    for signature in signatures {
        let id = &signature.keyid;
        let valid = keys.get(id).zip(hex::decode(&signature.sig).ok());
        if !valid.is_some_and(|(key, sig)| key.verify(canonical, &sig)) {
            return Err(RepositoryError::BadSignature {
                role,
                id: id.clone(),
            });
        }
        if !all.iter().any(|other| other.keyid == *id) {
            all.push(signature.clone());
        }
    }
    *document = Some(Signed::create::<MetadataError>(&known.signed, |_| Ok(all))?);
    Ok(())
}
