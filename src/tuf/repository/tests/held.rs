//! An edit that waits for signatures, broken off at every step: where it is held, where a
//! signature is added that does not suffice, and where one is added that does. Afterwards the
//! old state or the new one is there, with its keys, and the next command completes it, or
//! drops it.

use super::*;
use crate::tuf::keystore::FileKey;

/// One edit, and whose keys elsewhere must sign it.
struct Case {
    original: Scene,
    role: Role,
    elsewhere: Vec<FileKey>,
    edit: Edit,
    /// What the stable channel holds when all is done.
    new: Option<&'static str>,
    consistent: bool,
}

fn held(result: Result<(), RepositoryError>) -> Result<(), RepositoryError> {
    match result {
        Err(RepositoryError::Held(_)) => Ok(()),
        Ok(()) => panic!("it was published"),
        Err(error) => Err(error),
    }
}

fn key_files(scene: &Scene) -> BTreeMap<Role, Vec<u8>> {
    let store = Keystore::new(&scene.layout().keys());
    let there = Role::ALL.into_iter();
    let there = there.filter(|role| store.has(*role).unwrap());
    there
        .map(|role| (role, std::fs::read(store.path(role)).unwrap()))
        .collect()
}

/// Every private key of the scene is among those of `later`.
fn no_key_was_lost(before: &BTreeMap<Role, Vec<u8>>, scene: &Scene, at: &str) {
    let later = key_files(scene);
    for (role, bytes) in before {
        let keys = |bytes: &[u8]| -> Vec<serde_json::Value> {
            let file: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            file["data"].as_array().unwrap().clone()
        };
        let now = keys(&later[role]);
        for key in keys(bytes) {
            assert!(now.contains(&key), "{at}: a {role} key is gone");
        }
    }
}

impl Case {
    fn begin(&self, scene: &Scene) -> Result<(), RepositoryError> {
        held((self.edit)(scene))
    }

    /// Adds the signatures of some keys that lie elsewhere.
    fn attach(&self, scene: &Scene, signers: &[FileKey]) -> Result<(), RepositoryError> {
        let (mut repository, _) = Repository::open(scene.layout(), || ())?;
        let mut payload = repository.payload(self.role)?;
        let message = payload.canonical().unwrap();
        let signers = signers
            .iter()
            .map(|key| key as &dyn crate::tuf::keystore::Signer);
        assert!(!payload.sign(&message, signers).unwrap().is_empty());
        let mut ask = Tester;
        let (_, outcome) = repository.attach(
            self.role,
            &message,
            payload.signatures(),
            &mut signing(&mut ask),
        )?;
        match outcome {
            Outcome::Published => Ok(()),
            Outcome::Held(missing) => Err(RepositoryError::Held(missing)),
        }
    }

    /// The scene, where the edit waits.
    fn waiting(&self) -> Scene {
        let scene = Scene::from(self.original.layout().path());
        self.begin(&scene).unwrap();
        scene
    }

    /// Completes an edit that waits, or does it anew; a copy drops it before.
    fn goes_on(&self, scene: &Scene, at: &str) {
        let waits = {
            let (mut repository, _) = Repository::open(scene.layout(), || ()).unwrap();
            repository.timestamp(&mut signing(&mut Tester)).unwrap();
            repository.pending().unwrap().is_some()
        };
        let pending = scene.layout().pending();
        assert!(!scene.layout().work().join("stage").exists(), "{at}");
        match waits {
            true => {
                let copy = Scene::from(scene.layout().path());
                let (mut repository, _) = Repository::open(copy.layout(), || ()).unwrap();
                repository.drop_pending().unwrap();
                drop(repository);
                assert!(!copy.layout().pending().exists(), "{at}");
                self.begin(&copy).unwrap();
                self.ends(&copy, at);
            }
            false => {
                assert!(!pending.exists(), "{at}: pending/ without an edit");
                self.begin(scene).unwrap();
            }
        }
        self.ends(scene, at);
    }

    fn ends(&self, scene: &Scene, at: &str) {
        self.attach(scene, &self.elsewhere).unwrap();
        self.is_done(scene, at);
    }

    /// It is published; its keys are there and sign.
    fn is_done(&self, scene: &Scene, at: &str) {
        assert!(!scene.layout().pending().exists(), "{at}");
        let (_, stable) = scene.client().unwrap();
        if let Some(new) = self.new {
            assert_eq!(stable, new, "{at}");
        }
        let (mut repository, opened) = Repository::open(scene.layout(), || ()).unwrap();
        assert!(!opened.recovered, "{at}");
        repository.timestamp(&mut signing(&mut Tester)).unwrap();
        keys_are_there(scene, &repository);
    }

    fn holding(&self) {
        let keys = key_files(&self.original);
        let before = published(&self.original);
        for fault in FAULTS {
            let mut outcomes = [0; 3];
            for step in 0.. {
                let at = format!("holding, {fault:?} at {step}");
                let scene = Scene::from(self.original.layout().path());
                let Broken { done, reached } = broken(step, fault, || self.begin(&scene));
                assert_eq!(published(&scene), before, "{at}");
                assert_eq!(key_files(&scene), keys, "{at}");
                let waits = {
                    let (repository, _) = Repository::open(scene.layout(), || ()).unwrap();
                    repository.pending().unwrap().is_some()
                };
                assert!(waits || !done, "{at}");
                self.goes_on(&scene, &at);
                outcomes[usize::from(waits) + usize::from(done)] += 1;
                if !reached {
                    assert!(done, "{at}");
                    break;
                }
            }
            assert!(outcomes[0] > 1 && outcomes[2] > 0, "{fault:?} {outcomes:?}");
        }
    }

    /// A first signature of two.
    fn adding(&self) {
        let waiting = self.waiting();
        let (keys, before) = (key_files(&waiting), published(&waiting));
        for fault in FAULTS {
            for step in 0.. {
                let at = format!("adding, {fault:?} at {step}");
                let scene = Scene::from(waiting.layout().path());
                let Broken { done, reached } = broken(step, fault, || {
                    held(self.attach(&scene, &self.elsewhere[..1]))
                });
                assert_eq!(published(&scene), before, "{at}");
                assert_eq!(key_files(&scene), keys, "{at}");
                match done {
                    // The other one suffices.
                    true => {
                        self.attach(&scene, &self.elsewhere[1..]).unwrap();
                        self.is_done(&scene, &at);
                    }
                    false => self.goes_on(&scene, &at),
                }
                if !reached {
                    assert!(done, "{at}");
                    break;
                }
            }
        }
    }

    /// The last signature.
    fn committing(&self, stride: usize) {
        let waiting = self.waiting();
        let keys = key_files(&waiting);
        let before = published(&waiting);
        let (_, stable) = waiting.client().unwrap();
        let allowed = [stable.as_str(), self.new.unwrap_or(&stable)];
        for fault in FAULTS {
            let mut outcomes = [0; 3];
            for step in (0..).step_by(stride) {
                let at = format!("committing, {fault:?} at {step}");
                let scene = Scene::from(waiting.layout().path());
                scene.client().unwrap();
                let Broken { done, reached } =
                    broken(step, fault, || self.attach(&scene, &self.elsewhere));
                match scene.client() {
                    Ok((_, got)) => assert!(allowed.contains(&got.as_str()), "{at}: {got}"),
                    Err(error) => assert!(!self.consistent, "{at}: {error:?}"),
                }
                no_key_was_lost(&keys, &scene, &at);
                let (repository, opened) = Repository::open(scene.layout(), || ()).unwrap();
                let waits = repository.pending().unwrap().is_some();
                drop(repository);
                no_key_was_lost(&keys, &scene, &at);
                match waits {
                    true => {
                        assert!(!done && !opened.recovered, "{at}");
                        assert_eq!(published(&scene), before, "{at}");
                        self.goes_on(&scene, &at);
                    }
                    false => self.is_done(&scene, &at),
                }
                outcomes[usize::from(!waits) + usize::from(done)] += 1;
                if !reached {
                    assert!(done, "{at}");
                    break;
                }
            }
            let seen = outcomes[0] > 0 && outcomes[1] > 0 && outcomes[2] > 0;
            assert!(seen, "{fault:?} {outcomes:?}");
        }
    }
}

/// A rotation of the targets keys, where the root keys are elsewhere.
fn rotation(fixture: &str, consistent: bool) -> Case {
    let original = Scene::unsealed(fixture);
    let store = Keystore::new(&original.layout().keys());
    let elsewhere = store.load(Role::Root, &mut Tester).unwrap();
    std::fs::remove_file(store.path(Role::Root)).unwrap();
    drop(Repository::open(original.layout(), || ()).unwrap());
    Case {
        original,
        role: Role::Root,
        elsewhere,
        edit: |scene| {
            changed(scene, |repository, signing| {
                let rotation = Rotation::Planned {
                    role: Role::Targets,
                    key: None,
                    new: None,
                };
                match repository.rotate(&rotation, signing)?.outcome {
                    Outcome::Published => Ok(()),
                    Outcome::Held(missing) => Err(RepositoryError::Held(missing)),
                }
            })
        },
        new: None,
        consistent,
    }
}

/// Gives a role a second key, both of which must sign.
fn two_of_two(scene: &Scene, role: Role) -> Vec<FileKey> {
    for edit in [
        KeyEdit::Add {
            role,
            public: Vec::new(),
            new: 1,
        },
        KeyEdit::Threshold { role, keys: 2 },
    ] {
        changed(scene, |repository, signing| {
            repository.change_keys(&edit, signing).map(drop)
        })
        .unwrap();
    }
    let store = Keystore::new(&scene.layout().keys());
    store.load(role, &mut Tester).unwrap()
}

/// New targets, where one of the two targets keys is elsewhere.
fn addition(fixture: &str, consistent: bool) -> Case {
    let original = Scene::unsealed(fixture);
    let mut keys = two_of_two(&original, Role::Targets);
    let elsewhere = keys.split_off(1);
    let store = Keystore::new(&original.layout().keys());
    store.rewrite(Role::Targets, &keys, None).unwrap();
    Case {
        original,
        role: Role::Targets,
        elsewhere,
        edit: Scene::add,
        new: Some("new program"),
        consistent,
    }
}

#[test]
fn a_rotation_that_waits_breaks_off() {
    let case = rotation("plaintext-keys", false);
    case.holding();
    case.committing(1);
}

#[test]
fn a_rotation_that_waits_breaks_off_with_consistent_snapshots() {
    rotation("consistent-snapshot", true).committing(3);
}

#[test]
fn an_addition_that_waits_breaks_off() {
    let case = addition("plaintext-keys", false);
    case.holding();
    case.committing(2);
}

#[test]
fn an_addition_that_waits_breaks_off_with_consistent_snapshots() {
    let case = addition("consistent-snapshot", true);
    case.holding();
    case.committing(3);
}

#[test]
fn a_first_signature_breaks_off() {
    let mut case = rotation("plaintext-keys", false);
    let store = Keystore::new(&case.original.layout().keys());
    store.rewrite(Role::Root, &case.elsewhere, None).unwrap();
    case.elsewhere = two_of_two(&case.original, Role::Root);
    std::fs::remove_file(store.path(Role::Root)).unwrap();
    case.adding();
}
