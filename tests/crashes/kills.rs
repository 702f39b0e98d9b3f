//! What a kill leaves: keys, no half file, clients that are never misled, and a next command
//! that completes or drops it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::cases::{Case, TARGET};
use super::scene::{Disk, Scene};
use super::{Recorded, is_private, is_temporary, record};

/// Kills the command before every `stride`-th step.
pub fn each(case: &Case, stride: usize) {
    let recorded = record(case);
    let scene = &recorded.scene;
    let may = Allowed::of(case, &recorded, scene);
    let (mut states, mut between) = (0, 0);
    let begin = std::time::Instant::now();
    for (index, step, disk) in recorded.states(stride) {
        states += 1;
        let at = format!("{}, killed before step {index} ({step:?})", case.name);
        disk.restore(&scene.path());
        whole_files(&recorded, disk, &at);
        private_keys(disk, &at);
        keys_stay(&recorded, disk, &at);
        between += usize::from(may.look(case, scene, disk, &at));
        go_on(case, &recorded, scene, index, &at);
        may.look_again(case, scene, &at);
    }
    let points = recorded.at.len().div_ceil(stride);
    eprintln!(
        "{}: {points} kill points, {states} different states tried, clients failed at {between}, {:?}",
        case.name,
        begin.elapsed()
    );
}

/// What clients may see.
pub struct Allowed {
    /// Contents of the target.
    target: BTreeSet<Vec<u8>>,
    before: Disk,
    after: Disk,
}

impl Allowed {
    /// The contents that they get before the command and after it.
    pub fn of(case: &Case, recorded: &Recorded, scene: &Scene) -> Self {
        let mut target = BTreeSet::new();
        for disk in [&recorded.before, &recorded.after] {
            disk.restore(&scene.path());
            for place in case.published.iter().chain(case.mended) {
                // A folder that is not there yet has no clients.
                if let Ok((_, bytes)) = scene.client(place, None, TARGET) {
                    target.insert(bytes);
                }
            }
        }
        Self {
            target,
            before: recorded.before.clone(),
            after: recorded.after.clone(),
        }
    }

    /// An old client and a new one look at what a kill or a fault left. Answers whether one failed,
    /// which it may only between the first change of metadata and the last one.
    pub fn look(&self, case: &Case, scene: &Scene, disk: &Disk, at: &str) -> bool {
        let mut failed = false;
        for (number, place) in case.published.iter().enumerate() {
            let memory = format!("client-{number}");
            let metadata =
                |disk: &Disk| disk.only(|name| name.starts_with(place) && !is_private(name));
            let now = metadata(disk);
            let whole = now == metadata(&self.before) || now == metadata(&self.after);
            for memory in [Some(memory.as_str()), None] {
                match scene.client(place, memory, TARGET) {
                    Ok((_, bytes)) => {
                        assert!(
                            self.target.contains(&bytes),
                            "{at}: a client took other bytes"
                        );
                    }
                    Err(error) => {
                        assert!(!whole, "{at}: {place} is whole, a client failed: {error}");
                        assert!(case.may_fail, "{at}: a client failed: {error}");
                        failed = true;
                    }
                }
            }
        }
        failed
    }

    /// After the next command both succeed.
    fn look_again(&self, case: &Case, scene: &Scene, at: &str) {
        for (number, place) in case.published.iter().enumerate() {
            let memory = format!("client-{number}");
            for memory in [Some(memory.as_str()), None] {
                match scene.client(place, memory, TARGET) {
                    Ok((_, bytes)) => assert!(self.target.contains(&bytes), "{at}: other bytes"),
                    Err(error) => panic!("{at}: a client fails at {place} afterwards: {error}"),
                }
            }
        }
        for place in case.mended {
            if let Err(error) = scene.client(place, None, TARGET) {
                panic!("{at}: {place} is not mended afterwards: {error}");
            }
        }
    }
}

/// Every file under a final name is as before or as after, or whole in itself.
pub fn whole_files(recorded: &Recorded, disk: &Disk, at: &str) {
    for (name, bytes) in disk.files().filter(|(name, _)| !is_private(name)) {
        let known = [&recorded.before, &recorded.after]
            .iter()
            .any(|disk| disk.contents(name) == Some(bytes));
        assert!(
            known || is_whole(name, bytes),
            "{at}: {} is half a file",
            name.display()
        );
    }
}

/// Files that are another one in every run, or change twice in one, show their end.
fn is_whole(name: &Path, bytes: &[u8]) -> bool {
    let extension = name.extension().map(|it| it.to_string_lossy());
    match extension.as_deref() {
        // The time stands in it.
        Some("html") => bytes.trim_ascii_end().ends_with(b"</html>"),
        // Its keys are random. A zip ends with its directory's end.
        Some("intunewin") => {
            bytes.len() > 22 && bytes[bytes.len() - 22..].starts_with(b"PK\x05\x06")
        }
        // Of those installers that could be made.
        None if name.ends_with("SHA256SUMS") => bytes.strip_suffix(b"\n").is_some_and(|lines| {
            lines
                .split(|byte| *byte == b'\n')
                .all(|line| line.len() > 66)
        }),
        // timestamp.json changes twice in some commands, a key file too.
        _ => serde_json::from_slice::<serde_json::Value>(bytes).is_ok(),
    }
}

/// Keys are for their owner alone from the beginning, and a cache's key is whole.
pub fn private_keys(disk: &Disk, at: &str) {
    for (name, (mode, bytes)) in &disk.0 {
        let Some(bytes) = bytes else { continue };
        let of_a_cache = name.ends_with("cache.key");
        assert!(!of_a_cache || bytes.len() == 32, "{at}: half a cache.key");
        assert!(
            mode & 0o077 == 0 || !(of_a_cache || is_key(name)),
            "{at}: {} has mode {mode:o}",
            name.display()
        );
    }
}

/// A key file that is there before and after is there meanwhile.
pub fn keys_stay(recorded: &Recorded, disk: &Disk, at: &str) {
    let keys = recorded.before.files().map(|(name, _)| name);
    let keys = keys.filter(|name| is_key(name) && recorded.after.contents(name).is_some());
    for name in keys {
        let there = disk.contents(name).is_some_and(|bytes| !bytes.is_empty());
        assert!(there, "{at}: {} is gone", name.display());
    }
}

fn is_key(name: &Path) -> bool {
    if !name.parent().is_some_and(|folder| folder.ends_with("keys")) {
        return false;
    }
    let name = name.file_name().unwrap().to_string_lossy();
    [
        "root.json",
        "targets.json",
        "snapshot.json",
        "timestamp.json",
    ]
    .iter()
    .any(|key| name == *key || name.starts_with(&format!(".{key}.fleetpack-")))
}

/// The next command completes or drops what it finds, and every key still signs.
pub fn go_on(case: &Case, recorded: &Recorded, scene: &Scene, index: usize, at: &str) {
    let next = case.next[index % case.next.len()];
    let done = scene.run(next);
    // What they tell of a repository is no failure of theirs: it expires, it waits.
    let told = matches!(&done, Err(failure) if failure.code > 2);
    let nothing = [
        "no edit waits",
        "edit waits for",
        "exists already",
        "trusts a root already",
    ];
    let none = matches!(&done, Err(failure) if nothing.iter().any(|n| failure.text.contains(n)));
    assert!(done.is_ok() || told || none, "{at}: next, {next}: {done:?}");
    if let Some(then) = case.then {
        let done = scene.run(then);
        assert!(done.is_ok(), "{at}: {next}, then {then}: {done:?}");
    }
    if recorded.before.0.contains_key(Path::new("repo/keys")) {
        all_keys_sign(recorded, scene, at);
    }
    // The command itself: done already, it may have nothing to do.
    let _ = scene.run(case.command);
    let left = scene.disk(&recorded.before);
    for name in left.0.keys() {
        let file = name.file_name().unwrap().to_string_lossy();
        let work = ["stage", "incoming", "commit.json", "new"];
        let inside = |other: &PathBuf| other.parent() == Some(name);
        let holds = file.ends_with(".json") || left.0.keys().any(inside);
        let unfinished = name
            .parent()
            .is_some_and(|above| above.ends_with(".fleetpack"))
            && work.contains(&&*file)
            && holds;
        assert!(!unfinished, "{at}: {} stayed after {next}", name.display());
        assert!(
            // The cache's own go when it is trimmed and they are an hour old.
            !is_temporary(&file) || file.starts_with(".new-"),
            "{at}: {} stayed after {next}",
            name.display()
        );
    }
}

// The root key, if it was here before, and those of all other roles.
fn all_keys_sign(recorded: &Recorded, scene: &Scene, at: &str) {
    let away = !recorded
        .before
        .0
        .contains_key(Path::new("repo/keys/root.json"));
    let sign = |words: &str| {
        let done = scene.run(words);
        let waits = away && matches!(&done, Err(failure) if failure.code == 5);
        assert!(done.is_ok() || waits, "{at}: {words}: {done:?}");
    };
    if scene.path().join("repo/pending").exists() {
        return sign("updates timestamp --path %repo");
    }
    sign("updates add --path %repo --target %new --name orbit --platform linux --version 3.0");
    sign("updates rotate timestamp --path %repo");
}
