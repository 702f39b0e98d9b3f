//! A change that breaks off at any step: whoever opens the repository next finds it done or
//! not begun, and a client never trusts anything else.

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
        let folder = tempfile::tempdir().unwrap();
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
        };
        repository.add(&[new], &mut signing(&mut Tester))
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
    let mut outcomes = [0; 3];
    for broken in (0..).step_by(stride) {
        let scene = Scene::from(original.layout().path());
        let (_, old) = scene.client().unwrap();
        let new = new.unwrap_or(&old);
        let count = Arc::new(AtomicUsize::new(0));
        crate::fs::set_hook(Some(Box::new(move |_, _| {
            // Like a kill: this step and everything after it does not happen.
            match count.fetch_add(1, Ordering::Relaxed) >= broken {
                true => Err(io::Error::other("broken off")),
                false => Ok(()),
            }
        })));
        let done = edit(&scene).is_ok();
        crate::fs::set_hook(None);
        match scene.client() {
            Ok((1, got)) => assert_eq!(got, old),
            Ok((2, got)) => assert_eq!(got, new),
            Ok(other) => panic!("step {broken}: trusted {other:?}"),
            Err(error) => assert!(may_fail_between, "step {broken}: {error:?}"),
        }
        let (mut repository, opened) = Repository::open(scene.layout(), || ()).unwrap();
        let expected = match (done, opened.recovered) {
            (false, false) => repository.trusted().version(Role::Targets),
            _ => 2,
        };
        repository.timestamp(&mut signing(&mut Tester)).unwrap();
        drop(repository);
        let (version, got) = scene.client().unwrap();
        assert_eq!(version, expected, "step {broken}");
        assert_eq!(got, if version == 2 { new } else { &old });
        assert!(
            !scene.layout().work().join("stage").exists()
                && !scene.layout().work().join("commit.json").exists()
        );
        outcomes[usize::from(opened.recovered) + 2 * usize::from(done)] += 1;
        if done {
            break;
        }
    }
    let seen = outcomes[0] > 1 && outcomes[1] > 1 && outcomes[2] == 1;
    assert!(seen, "{outcomes:?}");
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

#[test]
fn a_changing_source_is_refused() {
    let scene = Scene::new("plaintext-keys");
    let source = scene.folder.path().join("new");
    let path = source.clone();
    crate::fs::set_hook(Some(Box::new(move |step, target| {
        // While the copy is being written the source grows.
        if step == crate::fs::Step::Write && target.ends_with("source-0") {
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
    };
    let error = repository
        .add(&[new], &mut signing(&mut Tester))
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
