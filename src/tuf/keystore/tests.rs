//! Key files: sealed, in the clear, of other tools, broken.

use super::*;

struct Fixed(&'static [&'static str], Option<&'static str>, usize);

impl Passphrases for Fixed {
    fn existing(
        &mut self,
        role: Role,
        again: bool,
    ) -> Result<(Passphrase, Origin), PassphraseError> {
        assert_eq!(again, self.2 > 0);
        let text = self.0.get(self.2).ok_or(PassphraseError::Empty(role))?;
        self.2 += 1;
        let origin = self
            .1
            .map_or(Origin::Typed, |name| Origin::Variable(name.into()));
        Ok((Passphrase::new((*text).into()), origin))
    }

    fn new_one(&mut self, role: Role) -> Result<Passphrase, PassphraseError> {
        Err(PassphraseError::Empty(role))
    }
}

fn fixtures(name: &str) -> Keystore {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go-tuf");
    Keystore::new(&root.join(name).join("keys"))
}

#[test]
fn go_tuf_files_open() {
    let mut ask = Fixed(&["wrong", "targets-pass-2"], None, 0);
    let keys = fixtures("rotated").load(Role::Targets, &mut ask).unwrap();
    assert_eq!(keys.len(), 2, "the revoked key stays in the file");
    let keys = fixtures("plaintext-keys")
        .load(Role::Root, &mut Fixed(&[], None, 0))
        .unwrap();
    let id = "c05491f3a68df228d9914f1261e6bf76457ac13e2dd14a6d65f7c06c9b05b5e5";
    assert_eq!(keys[0].public().id(), id);
    let signature = keys[0].sign(b"message").unwrap();
    assert!(keys[0].public().verify(b"message", &signature));
}

#[test]
fn wrong_in_a_variable() {
    let mut ask = Fixed(&["wrong"], Some("FLEET_ROOT_PASSPHRASE"), 0);
    let error = fixtures("rotated").load(Role::Root, &mut ask).unwrap_err();
    assert!(
        matches!(error, KeystoreError::WrongPassphrase { variable, .. } if variable == "FLEET_ROOT_PASSPHRASE")
    );
}

#[test]
fn written_and_read_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = Keystore::new(&folder.path().join("keys"));
    let keys = [FileKey::generate().unwrap(), FileKey::generate().unwrap()];
    assert!(
        store
            .save(Role::Root, &keys, &Passphrase::new(String::new()))
            .is_err()
    );
    assert!(!store.has(Role::Root).unwrap());
    store
        .save(Role::Root, &keys, &Passphrase::new("made up".into()))
        .unwrap();
    let mode = std::fs::metadata(store.path(Role::Root))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // Whose keys it holds can be seen from outside, and no more than that.
    let text = std::fs::read_to_string(store.path(Role::Root)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let named: Vec<Key> = serde_json::from_value(file["public"].clone()).unwrap();
    let public: Vec<Key> = keys.iter().map(|key| key.public().clone()).collect();
    assert_eq!(named, public);
    assert!(!text.contains("private"));
    let read = store
        .load(Role::Root, &mut Fixed(&["made up"], None, 0))
        .unwrap();
    let ids = |keys: &[FileKey]| keys.iter().map(|k| k.public().id()).collect::<Vec<_>>();
    assert_eq!(ids(&read), ids(&keys));
    assert!(matches!(
        store.load(Role::Targets, &mut Fixed(&[], None, 0)),
        Err(KeystoreError::Missing {
            role: Role::Targets,
            ..
        })
    ));
}

#[test]
fn buffers_of_keys_do_not_grow() {
    let keys: Vec<_> = (0..9).map(|_| FileKey::generate().unwrap()).collect();
    for number in [1, 2, 9] {
        let keys = &keys[..number];
        let objects = keys.iter().map(FileKey::object);
        let file = File {
            encrypted: false,
            data: objects.collect::<Result<_, _>>().unwrap(),
            public: Value::Null,
        };
        let reserved = room(number).capacity();
        assert_eq!(plain(keys).unwrap().capacity(), reserved, "{number} keys");
        let indented = indented(&file, number).unwrap();
        assert_eq!(indented.capacity(), reserved, "{number} keys, indented");
    }
}

#[test]
fn secrets_have_no_text() {
    let key = FileKey::from_seed(&[7; 32]).unwrap();
    let text = format!("{key:?}{:?}", Passphrase::new("made up".into()));
    assert!(
        !text.contains("0707") && !text.contains("made up"),
        "{text}"
    );
}

#[test]
fn broken_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = Keystore::new(folder.path());
    let cases = [
        ("no JSON", "-----BEGIN PRIVATE KEY-----"),
        ("no object", "[]"),
        ("no keys", r#"{"encrypted":false,"data":{}}"#),
        ("no type", r#"{"encrypted":false,"data":[{}]}"#),
        (
            "short",
            r#"{"encrypted":false,"data":[{"keytype":"ed25519","keyval":{"private":"00"}}]}"#,
        ),
        (
            "sealed otherwise",
            r#"{"encrypted":true,"data":{"kdf":{"name":"argon2","params":{"N":1,"r":1,"p":1},"salt":""},"cipher":{"name":"x","nonce":""},"ciphertext":""}}"#,
        ),
        (
            "weak",
            r#"{"encrypted":true,"data":{"kdf":{"name":"scrypt","params":{"N":2,"r":8,"p":1},"salt":""},"cipher":{"name":"nacl/secretbox","nonce":""},"ciphertext":""}}"#,
        ),
    ];
    for (name, text) in cases {
        std::fs::write(store.path(Role::Root), text).unwrap();
        let result = store.load(Role::Root, &mut Fixed(&["x"], None, 0));
        assert!(matches!(result, Err(KeystoreError::Form { .. })), "{name}");
    }
}
