//! Lists of unfinished work that fleetpack did not write: somebody who can write to the folder, and
//! to no key, has nothing moved, deleted or written over that he could not touch.

use serde_json::json;

use super::*;

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.append(&mut files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn a_commit_that_leads_elsewhere_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(&folder.path().join("repo"));
    let outside = folder.path().join("outside");
    let absolute = outside.to_str().unwrap();
    let rename = |from: &str, to: &str| json!([{ "from": from, "to": to }]);
    for (name, renames, removals) in [
        (absolute, rename(absolute, "targets/x"), json!([])),
        (
            "../../keys/root.json",
            rename("../../keys/root.json", "targets/x"),
            json!([]),
        ),
        (
            "../../pending/files/../keys/root.json",
            rename("../../pending/files/../keys/root.json", "targets/x"),
            json!([]),
        ),
        (
            "../keys/root.json",
            rename("x", "../keys/root.json"),
            json!([]),
        ),
        (absolute, rename("x", absolute), json!([])),
        (
            "targets/../../keys",
            json!([]),
            json!(["targets/../../keys"]),
        ),
        ("../keys/root.json", json!([]), json!(["../keys/root.json"])),
        ("..//outside", json!([]), json!(["..//outside"])),
        (absolute, json!([]), json!([absolute])),
        ("", json!([]), json!([""])),
    ] {
        let work = layout.work();
        std::fs::create_dir_all(work.join("stage")).unwrap();
        std::fs::create_dir_all(layout.repository()).unwrap();
        std::fs::create_dir_all(layout.keys()).unwrap();
        std::fs::write(layout.keys().join("root.json"), "a key").unwrap();
        std::fs::write(work.join("stage/x"), "staged").unwrap();
        std::fs::write(&outside, "somebody's").unwrap();
        let list = json!({ "renames": renames, "removals": removals }).to_string();
        std::fs::write(work.join("commit.json"), list).unwrap();
        let before = files(folder.path());
        match commit::recover(&layout) {
            Err(RepositoryError::Stray { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(files(folder.path()), before, "{name}");
    }
}

#[test]
fn a_waiting_edit_that_leads_elsewhere_is_none() {
    let scene = Scene::unsealed("consistent-snapshot");
    let edit = rotation_without_root_key(&scene);
    for (field, name) in [
        ("removals", "../keys/targets.json"),
        ("removals", "/etc/hostname"),
        ("files", "../edit.json"),
        ("files", "/etc/hostname"),
    ] {
        let mut edit = edit.clone();
        edit[field] = json!([name]);
        std::fs::write(scene.layout().pending_edit(), edit.to_string()).unwrap();
        let (repository, _) = Repository::open(scene.layout(), || ()).unwrap();
        match repository.pending() {
            Err(RepositoryError::Stray { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    // A file that no target names would be published with the rest.
    let mut edit = edit.clone();
    edit["files"] = json!(["targets/x"]);
    std::fs::write(scene.layout().pending_edit(), edit.to_string()).unwrap();
    let file = scene.layout().pending().join("files/targets/x");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "somebody's").unwrap();
    let (repository, _) = Repository::open(scene.layout(), || ()).unwrap();
    let held = repository.held().unwrap().unwrap();
    assert!(matches!(
        repository.check_files(&held),
        Err(RepositoryError::Source { .. })
    ));
}

#[test]
fn a_new_repository_takes_nobodys_place() {
    for (taken, with_state) in [
        ("keys/targets.json", false),
        ("keys/state.json", false),
        ("keys/pinned-root.json", false),
        ("memory/state.json", true),
        ("memory/pinned-root.json", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let layout = |path: &str| Layout::new(&at(path));
        let mine = layout("mine");
        let (mut ask, none) = (Tester, Tokens::new());
        create(&mine, &none, &mut signing(&mut ask)).unwrap();
        // As a kill after the last of it was written would leave it.
        let new = mine.work().join("new");
        for part in ["keys", "staged", "repository"] {
            std::fs::create_dir_all(&new).unwrap();
            std::fs::rename(mine.path().join(part), new.join(part)).unwrap();
        }
        std::fs::write(new.join("complete"), "").unwrap();
        let there = at(taken);
        std::fs::create_dir_all(there.parent().unwrap()).unwrap();
        std::fs::write(&there, "another's").unwrap();
        let elsewhere = match with_state {
            true => mine.clone().with_state(Some(at("memory/state.json"))),
            false => mine.clone().with_keys(Some(at("keys"))),
        };
        let before = files(folder.path());
        match finish_interrupted(&elsewhere) {
            Err(RepositoryError::InTheWay { file, .. }) => assert_eq!(file, there),
            other => panic!("{taken}: {other:?}"),
        }
        assert_eq!(files(folder.path()), before, "{taken}");
        // Nor does a whole `init`.
        let other = match with_state {
            true => layout("other").with_state(Some(at("memory/state.json"))),
            false => layout("other").with_keys(Some(at("keys"))),
        };
        match create(&other, &none, &mut signing(&mut ask)) {
            Err(RepositoryError::ExistsElsewhere(file)) => assert_eq!(file, there),
            other => panic!("{taken}: {other:?}"),
        }
        assert_eq!(files(folder.path()), before, "{taken}");
        // Out of the way, it is finished.
        std::fs::remove_file(&there).unwrap();
        assert!(finish_interrupted(&elsewhere).unwrap());
        assert!(there.exists(), "{taken}");
    }
}

fn rotation_without_root_key(scene: &Scene) -> serde_json::Value {
    std::fs::remove_file(scene.layout().keys().join("root.json")).unwrap();
    let (mut repository, _) = Repository::open(scene.layout(), || ()).unwrap();
    let rotation = Rotation::Planned {
        role: Role::Timestamp,
        key: None,
        new: None,
    };
    let rotated = repository.rotate(&rotation, &mut signing(&mut Tester));
    assert!(matches!(rotated.unwrap().outcome, Outcome::Held(_)));
    let text = std::fs::read(scene.layout().pending_edit()).unwrap();
    serde_json::from_slice(&text).unwrap()
}
