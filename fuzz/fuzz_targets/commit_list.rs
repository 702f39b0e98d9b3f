//! Any bytes as the list of a change that was broken off, and any patch of a true one: whoever
//! opens the repository next finishes it.

#![no_main]

mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use fleetpack::tuf::repository::{Layout, finish_interrupted};
use serde_json::{Value, json};

struct Decided {
    folder: tempfile::TempDir,
    list: Value,
    files: BTreeMap<String, Vec<u8>>,
}

impl Decided {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

// Somebody's file beside the repository, one that waits in it, and a change that was decided on.
static DECIDED: LazyLock<Decided> = LazyLock::new(|| {
    let folder = scene::folder();
    let mut decided = Decided {
        folder,
        list: json!({
            "renames": [
                { "from": "targets/new", "to": "targets/new" },
                { "from": "../../pending/files/targets/held", "to": "targets/held" },
                { "from": "timestamp.json", "to": "timestamp.json" },
            ],
            "removals": ["targets/one/linux/stable/one", "../pending/edit.json"],
        }),
        files: BTreeMap::new(),
    };
    scene::repository(&decided.path("repo"));
    scene::add(&decided.path("repo"), "one");
    for (name, text) in [
        ("outside", "somebody's"),
        ("repo/pending/edit.json", "{}"),
        ("repo/pending/files/targets/held", "held"),
        ("repo/.fleetpack/stage/targets/new", "new"),
        ("repo/.fleetpack/stage/timestamp.json", "newer"),
    ] {
        let path = decided.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("memory takes everything");
        fs::write(path, text).expect("memory takes everything");
    }
    decided.files = scene::files(decided.folder.path());
    decided
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let scene = &*DECIDED;
    let list = scene.path("repo/.fleetpack/commit.json");
    fs::write(&list, scene::patched(&scene.list, bytes)).expect("memory takes everything");
    let done = finish_interrupted(&Layout::new(&scene.path("repo")));
    assert_eq!(done.is_ok(), !list.exists());
    let now = scene::files(scene.folder.path());
    let inside = ["repository", "pending", ".fleetpack"]
        .map(|name| format!("{}/", scene.path("repo").join(name).display()));
    let may = |path: &String| inside.iter().any(|front| path.starts_with(front));
    // Nothing but what is published and what waits is touched, whatever the list says.
    for (path, bytes) in &scene.files {
        assert!(may(path) || now.get(path) == Some(bytes), "{path}");
    }
    for path in now.keys() {
        assert!(may(path) || scene.files.contains_key(path), "{path}");
    }
    scene::restore(scene.folder.path(), &scene.files);
});
