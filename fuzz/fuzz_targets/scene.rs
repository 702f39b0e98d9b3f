//! A small repository in memory, for targets that act on one. Made once for a process: keys are
//! slow to seal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fleetpack::tuf::keystore::{Origin, Passphrase, PassphraseError, Passphrases};
use fleetpack::tuf::metadata::Role;
use fleetpack::tuf::repository::{
    Adding, Layout, NewTarget, Repository, Signing, Tokens, Validities, create,
};
use serde_json::Value;

/// Everybody's passphrase.
pub struct Word;

impl Passphrases for Word {
    fn existing(&mut self, _: Role, _: bool) -> Result<(Passphrase, Origin), PassphraseError> {
        Ok((Passphrase::new("word".to_owned()), Origin::Typed))
    }

    fn new_one(&mut self, _: Role) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new("word".to_owned()))
    }
}

/// What signing needs.
pub fn signing(ask: &mut Word) -> Signing<'_> {
    Signing {
        ask,
        now: jiff::Timestamp::now(),
        validities: Validities::default(),
    }
}

/// A folder in memory, which goes away with the value.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("a folder in memory")
}

/// Makes a repository with a target in `path`.
pub fn repository(path: &Path) {
    let layout = Layout::new(path);
    fs::create_dir(path).expect("memory takes everything");
    create(&layout, &Tokens::new(), &mut signing(&mut Word)).expect("a new repository");
    add(path, "one");
}

/// Adds a target of this content.
pub fn add(path: &Path, content: &str) {
    let source = path.join("given");
    fs::write(&source, content).expect("memory takes everything");
    let target = NewTarget {
        source: source.clone(),
        names: vec![format!("{content}/linux/stable/{content}")],
        custom: Some(serde_json::json!({ "version": "1.0.0" })),
        known: None,
    };
    open(path)
        .add(&[target], Adding::default(), &mut signing(&mut Word))
        .expect("a target is added");
    fs::remove_file(source).expect("it was written");
}

/// Opens it.
pub fn open(path: &Path) -> Repository {
    let opened = Repository::open(Layout::new(path), || ());
    opened.expect("a repository").0
}

/// Every file below a folder, by its name.
pub fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let bytes = fs::read(&path).unwrap_or_default();
                    found.insert(path.display().to_string(), bytes);
                }
            }
        }
    }
    found
}

/// Puts the files of `from` in the place of those of `to`.
pub fn restore(to: &Path, from: &BTreeMap<String, Vec<u8>>) {
    fs::remove_dir_all(to).expect("it is there");
    for (path, bytes) in from {
        let folder = Path::new(path).parent().expect("a folder");
        fs::create_dir_all(folder).expect("memory takes everything");
        fs::write(path, bytes).expect("memory takes everything");
    }
}

/// What bytes make of a document: a patch of it when they are JSON (RFC 7396), or themselves.
pub fn patched(document: &Value, bytes: &[u8]) -> Vec<u8> {
    let Ok(patch) = serde_json::from_slice::<Value>(bytes) else {
        return bytes.to_vec();
    };
    let mut document = document.clone();
    merge(&mut document, patch);
    serde_json::to_vec(&document).expect("JSON is written")
}

fn merge(document: &mut Value, patch: Value) {
    match (document, patch) {
        (Value::Object(document), Value::Object(patch)) => {
            for (name, value) in patch {
                match value {
                    Value::Null => drop(document.remove(&name)),
                    value => merge(document.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (document, patch) => *document = patch,
    }
}
