//! Any bytes as the edit that waits for signatures, and any patch of a true one.

#![no_main]

mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use fleetpack::tuf::metadata::Role;
use fleetpack::tuf::repository::{Outcome, Rotation};
use serde_json::Value;

struct Held {
    folder: tempfile::TempDir,
    edit: Value,
    files: BTreeMap<String, Vec<u8>>,
}

impl Held {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("repo").join(name)
    }
}

// A rotation without the root key.
static HELD: LazyLock<Held> = LazyLock::new(|| {
    let folder = scene::folder();
    let path = folder.path().join("repo");
    scene::repository(&path);
    fs::remove_file(path.join("keys/root.json")).expect("the root key's file");
    let rotation = Rotation::Planned {
        role: Role::Timestamp,
        key: None,
        new: None,
    };
    let rotated = scene::open(&path)
        .rotate(&rotation, &mut scene::signing(&mut scene::Word))
        .expect("a rotation");
    assert!(matches!(rotated.outcome, Outcome::Held(_)));
    let edit = fs::read(path.join("pending/edit.json")).expect("what waits");
    Held {
        edit: serde_json::from_slice(&edit).expect("JSON"),
        files: scene::files(&path),
        folder,
    }
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let held = &*HELD;
    let path = held.path("pending/edit.json");
    let text = scene::patched(&held.edit, bytes);
    fs::create_dir_all(held.path("pending")).expect("memory takes everything");
    fs::write(&path, &text).expect("memory takes everything");
    let mut repository = scene::open(&held.path(""));
    let pending = repository.pending();
    for role in Role::ALL {
        // Something to sign belongs to something that waits.
        let payload = repository.payload(role);
        assert!(payload.is_err() || matches!(pending, Ok(Some(_))));
    }
    let untouched = |name: &str, files: &BTreeMap<String, Vec<u8>>| {
        let front = held.path(name).display().to_string();
        let files = files.iter().filter(|(path, _)| path.starts_with(&front));
        files
            .map(|(path, bytes)| (path.clone(), bytes.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let dropped = repository.drop_pending().is_ok();
    assert!(!dropped || !path.exists());
    drop(repository);
    let now = scene::files(&held.path(""));
    for name in ["repository", "keys"] {
        assert_eq!(
            untouched(name, &now),
            untouched(name, &held.files),
            "{name}"
        );
    }
    // With what waited beside it, for the next one.
    if dropped {
        scene::restore(&held.path(""), &held.files);
    }
});
