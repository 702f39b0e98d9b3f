//! Any bytes as the list of what a publisher was about to do, and any patch of a true one: whoever
//! publishes next reads it at a destination that others write to.

#![no_main]

mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use fleetpack::publish::{Known, Options, publish};
use fleetpack::store::object::{Access, open};
use fleetpack::tuf::metadata::Role;
use serde_json::{Value, json};

struct Published {
    folder: tempfile::TempDir,
    journal: Value,
    files: BTreeMap<String, Vec<u8>>,
}

impl Published {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn publish(&self) -> bool {
        let place = open(&self.path("dest").display().to_string(), &Access::default());
        let place = place.expect("a folder");
        let mut repository = scene::open(&self.path("repo"));
        let known = Known::of(repository.layout());
        let options = Options::default();
        let mut ask = scene::Word;
        let mut signing = scene::signing(&mut ask);
        let done = publish(
            &mut repository,
            &*place,
            &known,
            &options,
            &mut signing,
            &|_| (),
        );
        done.is_ok()
    }
}

// A destination that is one target behind.
static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
    let folder = scene::folder();
    let mut published = Published {
        folder,
        journal: Value::Null,
        files: BTreeMap::new(),
    };
    let repo = published.path("repo");
    scene::repository(&repo);
    fs::create_dir(published.path("dest")).expect("memory takes everything");
    assert!(published.publish());
    scene::add(&repo, "two");
    let document = |role: Role| {
        let text = fs::read_to_string(repo.join("repository").join(role.file()));
        json!([role.file(), text.expect("metadata")])
    };
    published.journal = json!({
        "copies": [],
        "documents": [document(Role::Targets), document(Role::Snapshot), document(Role::Timestamp)],
        "roots": [],
        "roots_first": false,
        "leftovers": [],
    });
    published.files = scene::files(published.folder.path());
    published
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let scene = &*PUBLISHED;
    let own = scene.path("dest/.fleetpack");
    fs::create_dir_all(&own).expect("memory takes everything");
    let text = scene::patched(&scene.journal, bytes);
    fs::write(own.join("commit.json"), text).expect("memory takes everything");
    let done = scene.publish();
    let now = scene::files(scene.folder.path());
    let dest = scene.path("dest").display().to_string();
    let repository = scene.path("repo/repository").display().to_string();
    // Nothing but the destination, and what is remembered of it, is written.
    for (path, bytes) in &scene.files {
        let mine = path.starts_with(&repository) || path.ends_with("/keys/targets.json");
        assert!(!mine || now.get(path) == Some(bytes), "{path}");
    }
    for path in now.keys() {
        let known = scene.files.contains_key(path) || path.contains("/repo/");
        assert!(known || path.starts_with(&dest), "{path}");
    }
    // What is published then is this copy. Contents of targets are the destination's own matter:
    // whoever can write such a list can write them, and clients do not take others.
    for (path, bytes) in scene.files.iter().filter(|_| done) {
        if let Some(name) = path.strip_prefix(&repository) {
            let there = now.get(&format!("{dest}{name}"));
            let same = there == Some(bytes) || name.starts_with("/targets/") && there.is_some();
            assert!(same, "{name}");
        }
    }
    scene::restore(scene.folder.path(), &scene.files);
});
