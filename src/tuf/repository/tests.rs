//! A change that breaks off at any step: whoever opens the repository next finds it done or
//! not begun, and a client never trusts anything else.

mod held;
mod unfinished;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp as Instant;

use super::*;
use crate::store::Disk;
use crate::tuf::client::{Client, ClientError, Options};
use crate::tuf::keystore::{Keystore, Origin, Passphrase, PassphraseError, Passphrases};
use crate::tuf::state::State;

struct Tester;

impl Passphrases for Tester {
    fn existing(&mut self, role: Role, _: bool) -> Result<(Passphrase, Origin), PassphraseError> {
        // The fixtures' own.
        let text = match role {
            Role::Root => "root-pass-1",
            Role::Targets => "targets-pass-2",
            Role::Snapshot => "snapshot-pass-3",
            Role::Timestamp => "timestamp-pass-4",
        };
        Ok((Passphrase::new(text.into()), Origin::Typed))
    }

    fn new_one(&mut self, _: Role) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new("made up".into()))
    }
}

fn now() -> Instant {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

fn signing(ask: &mut Tester) -> Signing<'_> {
    Signing {
        ask,
        now: now(),
        validities: Validities::default(),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(fixture: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go-tuf");
        Self::from(&fixtures.join(fixture))
    }

    /// With its keys unsealed.
    fn unsealed(fixture: &str) -> Self {
        let scene = Self::new(fixture);
        let store = Keystore::new(&scene.layout().keys());
        for role in Role::ALL {
            let keys = store.load(role, &mut Tester).unwrap();
            store.rewrite(role, &keys, None).unwrap();
        }
        scene
    }

    fn from(repo: &Path) -> Self {
        // Syncing is not what is tried here, and memory has no disk to wait for.
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        copy(repo, &folder.path().join("repo"));
        std::fs::write(folder.path().join("new"), "new program").unwrap();
        Self { folder }
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.folder.path().join("repo"))
    }

    fn add(&self) -> Result<(), RepositoryError> {
        let (mut repository, _) = Repository::open(self.layout(), || ())?;
        let new = NewTarget {
            source: self.folder.path().join("new"),
            names: ["1.1.0", "stable"]
                .map(|c| format!("orbit/linux/{c}/orbit"))
                .into(),
            custom: None,
            known: None,
        };
        repository
            .add(&[new], Adding::default(), &mut signing(&mut Tester))
            .map(drop)
    }

    fn rotate(&self) -> Result<(), RepositoryError> {
        self.replace_keys(&Rotation::Planned {
            role: Role::Targets,
            key: None,
            new: None,
        })
    }

    fn replace_keys(&self, rotation: &Rotation) -> Result<(), RepositoryError> {
        let (mut repository, _) = Repository::open(self.layout(), || ())?;
        repository
            .rotate(rotation, &mut signing(&mut Tester))
            .map(drop)
    }

    /// What a client with a memory of its own gets for the stable channel.
    fn client(&self) -> Result<(u64, String), ClientError> {
        let repository = self.layout().repository();
        let anchor = std::fs::read(repository.join("1.root.json")).unwrap();
        let store = Box::new(Disk::new(repository).unwrap());
        let state = State::at(&self.folder.path().join("client"));
        let mut client = Client::new(store, anchor, Some(state), Options::default());
        let version = client.refresh(now())?.version(Role::Targets);
        let path = self.folder.path().join("got");
        let mut file = std::fs::File::create(&path).unwrap();
        client.download("orbit/linux/stable/orbit", &mut file)?;
        Ok((version, std::fs::read_to_string(path).unwrap()))
    }
}

/// How a step goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It and everything after it does not happen.
    Kill,
    /// It fails, and what follows does not.
    Error,
}

const FAULTS: [Fault; 2] = [Fault::Kill, Fault::Error];

/// What became of work at one of whose steps something went wrong.
struct Broken {
    done: bool,
    /// It has as many steps.
    reached: bool,
}

fn broken(at: usize, fault: Fault, work: impl FnOnce() -> Result<(), RepositoryError>) -> Broken {
    let count = Arc::new(AtomicUsize::new(0));
    let steps = count.clone();
    crate::fs::set_hook(Some(Box::new(move |_, _| {
        let now = steps.fetch_add(1, Ordering::Relaxed);
        let fails = match fault {
            Fault::Kill => now >= at,
            Fault::Error => now == at,
        };
        match fails {
            true => Err(io::Error::other("broken off")),
            false => Ok(()),
        }
    })));
    let done = work().is_ok();
    crate::fs::set_hook(None);
    Broken {
        done,
        reached: count.load(Ordering::Relaxed) > at,
    }
}

/// For each role whose key file is here, one of its keys is the role's.
fn keys_are_there(scene: &Scene, repository: &Repository) {
    let root = &repository.trusted().root().signed;
    let store = Keystore::new(&scene.layout().keys());
    let there = |role: &Role| store.has(*role).unwrap();
    for role in Role::ALL.into_iter().filter(there) {
        let keys = keyring::Keys::open(&store, role, &Tokens::new(), &mut Tester).unwrap();
        keys.check_any(root, &store).unwrap();
    }
}

type Edit = fn(&Scene) -> Result<(), RepositoryError>;

/// `new` is what the stable channel holds afterwards, when that is something else; every
/// `stride`-th step is tried.
fn breaks_off_at_every_step(
    original: &Scene,
    edit: Edit,
    new: Option<&str>,
    may_fail_between: bool,
    stride: usize,
) {
    for fault in FAULTS {
        let mut outcomes = [0; 3];
        for step in (0..).step_by(stride) {
            let at = format!("{fault:?} at {step}");
            let scene = Scene::from(original.layout().path());
            let (_, old) = scene.client().unwrap();
            let new = new.unwrap_or(&old);
            let Broken { done, reached } = broken(step, fault, || edit(&scene));
            match scene.client() {
                Ok((1, got)) => assert_eq!(got, old, "{at}"),
                Ok((2, got)) => assert_eq!(got, new, "{at}"),
                Ok(other) => panic!("{at}: trusted {other:?}"),
                Err(error) => assert!(may_fail_between, "{at}: {error:?}"),
            }
            let (mut repository, opened) = Repository::open(scene.layout(), || ()).unwrap();
            let expected = match (done, opened.recovered) {
                (false, false) => repository.trusted().version(Role::Targets),
                _ => 2,
            };
            keys_are_there(&scene, &repository);
            repository.timestamp(&mut signing(&mut Tester)).unwrap();
            drop(repository);
            let (version, got) = scene.client().unwrap();
            assert_eq!(version, expected, "{at}");
            assert_eq!(got, if version == 2 { new } else { &old }, "{at}");
            assert!(
                !scene.layout().work().join("stage").exists()
                    && !scene.layout().work().join("commit.json").exists()
            );
            outcomes[usize::from(version == 2) + usize::from(done)] += 1;
            if !reached {
                assert!(done && !opened.recovered, "{at}");
                break;
            }
        }
        let seen = outcomes.iter().all(|count| *count > 0);
        assert!(seen, "{fault:?} {outcomes:?}");
    }
}

#[test]
fn breaks_off() {
    breaks_off_at_every_step(
        &Scene::new("plaintext-keys"),
        Scene::add,
        Some("new program"),
        true,
        2,
    );
}

// With consistent snapshots there is no moment at which a client fails.
#[test]
fn breaks_off_with_consistent_snapshots() {
    let scene = Scene::unsealed("consistent-snapshot");
    breaks_off_at_every_step(&scene, Scene::add, Some("new program"), false, 7);
}

#[test]
fn a_rotation_breaks_off() {
    breaks_off_at_every_step(&Scene::new("plaintext-keys"), Scene::rotate, None, true, 5);
}

// Metadata are signed by old and new keys before the new root appears.
#[test]
fn a_rotation_breaks_off_with_consistent_snapshots() {
    let scene = Scene::unsealed("consistent-snapshot");
    breaks_off_at_every_step(&scene, Scene::rotate, None, false, 5);
}

#[test]
fn a_compromise_breaks_off() {
    let edit = |scene: &Scene| scene.replace_keys(&Rotation::Compromised(vec![Role::Targets]));
    breaks_off_at_every_step(&Scene::new("plaintext-keys"), edit, None, true, 5);
}

/// Every file below `repository/`, with what it holds.
fn published(scene: &Scene) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![scene.layout().repository()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.clone(), std::fs::read(path).unwrap())),
            }
        }
    }
    let top = scene.layout().repository();
    let files = files.into_iter();
    files
        .map(|(path, bytes)| (path.strip_prefix(&top).unwrap().to_owned(), bytes))
        .collect()
}

/// As [`breaks_off_at_every_step`], for changes of any kind: afterwards all that is published
/// is as before or as after, byte by byte.
fn is_whole_or_not(original: &Scene, edit: Edit, may_fail_between: bool, stride: usize) {
    let whole = Scene::from(original.layout().path());
    let before = published(&whole);
    let (_, stable) = whole.client().unwrap();
    edit(&whole).unwrap();
    let after = published(&whole);
    assert_ne!(before, after);
    for fault in FAULTS {
        let mut outcomes = [0; 3];
        for step in (0..).step_by(stride) {
            let at = format!("{fault:?} at {step}");
            let scene = Scene::from(original.layout().path());
            scene.client().unwrap();
            let Broken { done, reached } = broken(step, fault, || edit(&scene));
            match scene.client() {
                Ok((_, got)) => assert_eq!(got, stable, "{at}"),
                Err(error) => assert!(may_fail_between, "{at}: {error:?}"),
            }
            let (repository, opened) = Repository::open(scene.layout(), || ()).unwrap();
            keys_are_there(&scene, &repository);
            let now = published(&scene);
            assert!(now == before || now == after, "{at}: a mixture");
            assert_eq!(scene.client().unwrap().1, stable, "{at}");
            let work = scene.layout().work();
            for left in ["stage", "commit.json", "incoming"] {
                assert!(!work.join(left).exists(), "{at}: {left}");
            }
            outcomes[usize::from(now == after) + usize::from(done)] += 1;
            if !reached {
                assert!(done && now == after && !opened.recovered, "{at}");
                break;
            }
        }
        let seen = outcomes.iter().all(|count| *count > 0);
        assert!(seen, "{fault:?} {outcomes:?}");
    }
}

fn changed(
    scene: &Scene,
    change: impl FnOnce(&mut Repository, &mut Signing<'_>) -> Result<(), RepositoryError>,
) -> Result<(), RepositoryError> {
    let (mut repository, _) = Repository::open(scene.layout(), || ())?;
    change(&mut repository, &mut signing(&mut Tester))
}

fn promote(scene: &Scene) -> Result<(), RepositoryError> {
    let pair = |to: &str| {
        let name = |channel| format!("orbit/linux/{channel}/orbit");
        (name("stable"), name(to))
    };
    changed(scene, |repository, signing| {
        repository.promote(&[pair("edge"), pair("1.0.0")], Copies::Separate, signing)
    })
}

#[test]
fn a_promotion_breaks_off() {
    is_whole_or_not(&Scene::new("plaintext-keys"), promote, true, 2);
    is_whole_or_not(&Scene::unsealed("consistent-snapshot"), promote, false, 3);
}

#[test]
fn a_removal_breaks_off() {
    let remove: Edit = |scene| {
        changed(scene, |repository, signing| {
            repository.remove(&["orbit/linux/edge/orbit".to_owned()], signing)
        })
    };
    for (fixture, may_fail) in [("plaintext-keys", true), ("consistent-snapshot", false)] {
        let scene = Scene::unsealed(fixture);
        promote(&scene).unwrap();
        is_whole_or_not(&scene, remove, may_fail, 3);
    }
}

#[test]
fn a_rehash_breaks_off() {
    let rehash: Edit = |scene| {
        changed(scene, |repository, signing| {
            let adding = Adding {
                rehash: true,
                ..Adding::default()
            };
            let done = repository.add(&[], adding, signing)?;
            assert_eq!(done, ["orbit/linux/stable/orbit"]);
            Ok(())
        })
    };
    is_whole_or_not(&Scene::new("plaintext-keys"), rehash, true, 2);
    is_whole_or_not(&Scene::unsealed("consistent-snapshot"), rehash, false, 2);
}

#[test]
fn the_switch_to_consistent_snapshots_breaks_off() {
    let switch: Edit = |scene| {
        changed(scene, |repository, signing| {
            assert!(repository.make_consistent(Copies::Separate, signing)?);
            Ok(())
        })
    };
    // Not even between two renames does a client fail.
    is_whole_or_not(&Scene::new("plaintext-keys"), switch, false, 1);
}

#[test]
fn a_pruning_breaks_off() {
    let prune: Edit = |scene| {
        changed(scene, |repository, _| {
            let pruned = repository.prune(Instant::MAX, false)?;
            assert!(!pruned.removed.is_empty());
            Ok(())
        })
    };
    for fixture in ["plaintext-keys", "consistent-snapshot"] {
        let scene = Scene::unsealed(fixture);
        let targets = scene.layout().repository().join("targets");
        std::fs::create_dir_all(targets.join("old/folder")).unwrap();
        std::fs::write(targets.join("old/folder/file"), "nobody's").unwrap();
        std::fs::write(targets.join("orbit/linux/stable/other"), "nobody's").unwrap();
        is_whole_or_not(&scene, prune, false, 1);
    }
}

#[test]
fn a_mirroring_breaks_off() {
    let mirror: Edit = |scene| {
        let (mut repository, _) = Repository::open(scene.layout(), || ())?;
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go-tuf");
        let upstream = fixtures.join("fleetctl-style/repository");
        let anchor = std::fs::read(upstream.join("1.root.json")).unwrap();
        let state = repository.layout().upstream(&anchor, "upstream");
        let store = Box::new(Disk::new(upstream).unwrap());
        let mut client = Client::new(store, anchor, Some(state), Options::default());
        let failed = |_| RepositoryError::Stopped;
        let there = client.refresh(now()).map_err(failed)?.clone();
        let listed = there.targets().signed.targets.iter();
        let wanted = listed.filter(|(name, _)| name.starts_with("osqueryd/linux/"));
        let mirrored = repository.compare(wanted);
        assert_eq!(mirrored.lacking.len(), 1, "one content under four names");
        let new = repository.fetch(&client, &mirrored.lacking)?;
        let new = new.map_err(failed)?;
        repository
            .add(&new, Adding::default(), &mut signing(&mut Tester))
            .map(drop)
    };
    is_whole_or_not(&Scene::new("plaintext-keys"), mirror, true, 2);
}

#[test]
fn pruning_waits() {
    let scene = Scene::unsealed("consistent-snapshot");
    let old = scene.layout().repository();
    let add = |scene: &Scene| scene.add().unwrap();
    add(&scene);
    let (mut repository, _) = Repository::open(scene.layout(), || ()).unwrap();
    // Replaced just now: the old content under its hash, and the numbered documents.
    let files = |found: &[Leftover]| {
        let names = found.iter().map(|file| match file.file.rsplit_once('/') {
            Some((_, last)) => last.split_at(last.len() - 6).1.to_owned(),
            None => file.file.clone(),
        });
        names.collect::<Vec<_>>()
    };
    let expected = ["1.snapshot.json", "1.targets.json", ".orbit"];
    // The clock of the change stands in 2027, that of the files does not.
    let early = repository
        .prune(now() - jiff::SignedDuration::from_secs(1), true)
        .unwrap();
    assert_eq!(files(&early.waiting), [".orbit"]);
    let late = repository.prune(now(), true).unwrap();
    assert_eq!(files(&late.removed), expected);
    assert!(old.join("1.targets.json").exists(), "a dry run");
    assert_eq!(repository.prune(now(), false).unwrap(), late);
    assert!(!old.join("1.targets.json").exists());
    assert_eq!(repository.prune(now(), false).unwrap(), Pruned::default());
    drop(repository);
    assert_eq!(scene.client().unwrap(), (2, "new program".to_owned()));
}

#[test]
fn what_is_named_again_is_unnamed_anew() {
    let layout = Layout::new(tempfile::tempdir().unwrap().path());
    crate::fs::create_folders(&layout.work(), 0o755).unwrap();
    let files = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (with, without) = (files(&["a", "b"]), files(&["b"]));
    let at = |seconds| Instant::from_second(seconds).unwrap();
    let since = || unnamed::Unnamed::read(&layout).unwrap().since("a", at(9));
    unnamed::Unnamed::update(&layout, &with, &without, at(1)).unwrap();
    assert_eq!(since(), at(1));
    unnamed::Unnamed::update(&layout, &without, &without, at(2)).unwrap();
    assert_eq!(since(), at(1));
    // Noted, and then the change failed; it is the next change that counts.
    unnamed::Unnamed::update(&layout, &with, &without, at(3)).unwrap();
    assert_eq!(since(), at(3));
    unnamed::Unnamed::update(&layout, &without, &with, at(4)).unwrap();
    assert_eq!(since(), at(9));
}

#[test]
fn a_changing_source_is_refused() {
    let scene = Scene::new("plaintext-keys");
    let source = scene.folder.path().join("new");
    let path = source.clone();
    crate::fs::set_hook(Some(Box::new(move |step, target| {
        // While the copy is being written the source grows.
        if step == crate::fs::Step::Write && target.ends_with("source-0-0") {
            std::fs::write(&path, "something longer than before")?;
        }
        Ok(())
    })));
    let error = scene.add().unwrap_err();
    crate::fs::set_hook(None);
    let reason = "it changed while it was read";
    assert!(
        matches!(&error, RepositoryError::Source { path, reason: r } if *path == source && *r == reason),
        "{error:?}"
    );
    assert_eq!(scene.client().unwrap().0, 1);
}

#[test]
fn timestamps_beyond_what_agents_read() {
    let scene = Scene::new("plaintext-keys");
    let (mut repository, _) = Repository::open(scene.layout(), || ()).unwrap();
    let new = NewTarget {
        source: scene.folder.path().join("new"),
        names: vec!["orbit/linux/x/orbit".into()],
        custom: Some("x".repeat(TARGETS_LIMIT as usize).into()),
        known: None,
    };
    let error = repository
        .add(&[new], Adding::default(), &mut signing(&mut Tester))
        .unwrap_err();
    assert!(
        matches!(error, RepositoryError::TooLarge { ref document, .. } if document == "targets.json")
    );
    assert_eq!(scene.client().unwrap().0, 1);
}

#[test]
fn another_document_under_a_seen_version() {
    let scene = Scene::new("plaintext-keys");
    drop(Repository::open(scene.layout(), || ()).unwrap());
    let state = scene.layout().state();
    let text = std::fs::read_to_string(&state).unwrap();
    let memory: Memory = serde_json::from_str(&text).unwrap();
    assert_eq!(memory.version(Role::Timestamp), Some(1));
    let at = text.rfind("\"sha256\": \"").unwrap() + 11;
    let forged = format!("{}{}{}", &text[..at], "0".repeat(64), &text[at + 64..]);
    std::fs::write(&state, forged).unwrap();
    let error = Repository::open(scene.layout(), || ()).err();
    assert!(
        matches!(
            error,
            Some(RepositoryError::Forked {
                role: Role::Timestamp,
                version: 1
            })
        ),
        "{error:?}"
    );
}

/// Something that can be neither read nor looked at, by root either.
fn out_of_reach(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap();
}

#[test]
fn what_cannot_be_looked_for_is_not_gone() {
    type Work = fn(&Layout) -> Result<(), RepositoryError>;
    // What is out of reach, the only copy of something, and who must leave it.
    let cases: [(&str, &str, Work); 4] = [
        (
            ".fleetpack/new/complete",
            ".fleetpack/new/keys/root.json",
            |layout| create::recover(layout).map(drop),
        ),
        (
            ".fleetpack/new/keys",
            ".fleetpack/new/repository/root.json",
            |layout| {
                std::fs::write(layout.work().join("new/complete"), "").unwrap();
                create::recover(layout).map(drop)
            },
        ),
        (
            "pending/edit.json",
            "pending/keys/targets.json",
            pending::tidy,
        ),
        (
            ".fleetpack/stage/targets.json",
            ".fleetpack/commit.json",
            |layout| {
                let rename = commit::Rename {
                    from: "targets.json".to_owned(),
                    to: "targets.json".to_owned(),
                };
                let commit = commit::Commit {
                    renames: vec![rename],
                    removals: Vec::new(),
                };
                commit::finish(layout, &commit)
            },
        ),
    ];
    for (unreadable, kept, work) in cases {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let kept = folder.path().join(kept);
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        std::fs::write(&kept, "the only copy").unwrap();
        out_of_reach(&folder.path().join(unreadable));
        let error = work(&layout).expect_err(unreadable);
        let RepositoryError::Io { what, .. } = &error else {
            panic!("{unreadable}: {error:?}");
        };
        assert!(what.ends_with(unreadable), "{what}");
        assert!(kept.exists(), "{unreadable}");
    }
    // New keys would take the place of a file that holds the old ones.
    let folder = tempfile::tempdir().unwrap();
    let store = Keystore::new(folder.path());
    out_of_reach(&store.path(Role::Targets));
    let keys = keyring::Keys::open(&store, Role::Targets, &Tokens::new(), &mut Tester);
    assert!(keys.is_err());
}
