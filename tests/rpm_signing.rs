//! Signed rpm packages: keys made by GnuPG, signatures verified by rpm's own tools.

use std::path::{Path, PathBuf};

use fleetpack::hint::Hint;
use fleetpack::package::rpm::{KeyError, Rpm, SigningKey};
use libtest_mimic::Trial;

use crate::harness::linux_tree::{Build, EPOCH};
use crate::harness::{Scratch, scratch::Run, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    let tools = &["gpg", "rpmkeys"];
    vec![
        trial_needing("rpm signing: rpm verifies RSA and EdDSA", tools, verified),
        trial_needing("rpm signing: a changed header is noticed", tools, tampered),
        trial_needing(
            "rpm signing: an encrypted key and its passphrase",
            tools,
            passphrases,
        ),
        trial_needing(
            "rpm signing: a subkey signs for a key that may not",
            tools,
            subkeys,
        ),
        trial_needing("rpm signing: keys that are refused", &["gpg"], refused),
        trial_needing("rpm signing: same bytes twice", &["gpg"], same_bytes),
        trial_needing(
            "rpm signing: rpmsign adds its own without moving the rest",
            &["gpg", "rpmsign", "rpmkeys"],
            added_later,
        ),
        trial("rpm signing: what is no key", no_key),
    ]
}

/// A folder with a GnuPG home of its own.
struct Keys {
    scratch: Scratch,
}

impl Keys {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let home = scratch.join("gnupg");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { scratch }
    }

    fn gpg(&self, arguments: &[&str]) -> Run {
        let common = ["--batch", "--pinentry-mode", "loopback"];
        let all = common.iter().chain(arguments).copied();
        self.scratch
            .tool("gpg", all)
            .env("GNUPGHOME", self.scratch.join("gnupg"))
    }

    /// Makes a key; gives its fingerprint.
    fn make(&self, passphrase: &str, algorithm: &str, usage: &str, expiry: &str) -> String {
        let user = format!("{algorithm} {usage} <packages@example.com>");
        self.gpg(&[
            "--passphrase",
            passphrase,
            "--faked-system-time",
            "20240101T000000",
            "--quick-gen-key",
            &user,
            algorithm,
            usage,
            expiry,
        ])
        .ok();
        let listed = self
            .gpg(&["--with-colons", "--list-keys", &format!("={user}")])
            .ok();
        let line = listed.text().lines().find(|line| line.starts_with("fpr:"));
        line.unwrap().split(':').nth(9).unwrap().to_owned()
    }

    fn secret(&self, passphrase: &str, key: &str) -> Vec<u8> {
        self.export(passphrase, "--export-secret-keys", key)
    }

    fn export(&self, passphrase: &str, how: &str, key: &str) -> Vec<u8> {
        let ran = self
            .gpg(&["--armor", "--passphrase", passphrase, how, key])
            .ok();
        ran.text().as_bytes().to_vec()
    }

    /// An empty database of rpm's with one public key in it.
    fn import(&self, key: &str) -> PathBuf {
        let public = self.export("", "--export", key);
        let file = self.scratch.write("public.asc", public);
        let database = self.scratch.join(format!("rpmdb-{key}"));
        std::fs::create_dir_all(&database).unwrap();
        self.rpmkeys(&database, "--import", &file).ok();
        database
    }

    fn rpmkeys(&self, database: &Path, what: &str, file: &Path) -> Run {
        self.scratch
            .tool("rpmkeys", ["--dbpath"])
            .arg(database)
            .arg(what)
            .arg("-v")
            .arg(file)
    }

    fn signed(&self, key: SigningKey) -> PathBuf {
        let builder = Rpm::signed_by(key);
        Build::sample().file(&self.scratch, &builder).unwrap()
    }
}

/// 2026-01-01: after the keys were made.
const NOW: u64 = 1_767_225_600;

fn open(bytes: &[u8]) -> SigningKey {
    SigningKey::open(bytes, None, NOW).unwrap()
}

fn verified() {
    let keys = Keys::new();
    for algorithm in ["rsa3072", "ed25519"] {
        let key = keys.make("", algorithm, "sign", "never");
        let database = keys.import(&key);
        let package = keys.signed(open(&keys.secret("", &key)));
        let id = key[key.len() - 16..].to_lowercase();
        let ran = keys.rpmkeys(&database, "--checksig", &package).ok();
        let line = ran.text().lines().find(|line| line.contains("ignature"));
        let line = line.unwrap_or_else(|| panic!("{}", ran.text()));
        assert!(line.contains("Header V4"), "{line}");
        // rpm 4.18 prints the last eight digits, later ones more.
        assert!(line.contains(&id[8..]) && line.ends_with(": OK"), "{line}");
        ran.prints("Header SHA256 digest: OK")
            .prints("Payload SHA256 digest: OK");
    }
}

fn tampered() {
    let keys = Keys::new();
    let key = keys.make("", "rsa2048", "sign", "never");
    let database = keys.import(&key);
    let package = keys.signed(open(&keys.secret("", &key)));
    let mut bytes = std::fs::read(&package).unwrap();
    let name = bytes
        .windows(12)
        .rposition(|w| w == b"Fleet osquer")
        .unwrap();
    bytes[name] ^= 0x20;
    std::fs::write(&package, bytes).unwrap();
    let ran = keys.rpmkeys(&database, "--checksig", &package).fails(1);
    ran.prints("BAD");
}

fn passphrases() {
    let keys = Keys::new();
    let key = keys.make("correct horse", "rsa2048", "sign", "never");
    let secret = keys.secret("correct horse", &key);
    let opened = SigningKey::open(&secret, Some("correct horse"), NOW).unwrap();
    let database = keys.import(&key);
    let package = keys.signed(opened);
    keys.rpmkeys(&database, "--checksig", &package).ok();
    let wrong = SigningKey::open(&secret, Some("wrong horse"), NOW).unwrap_err();
    assert!(matches!(wrong, KeyError::Passphrase { .. }), "{wrong:?}");
    assert_eq!(
        wrong.to_string(),
        format!("the passphrase does not open the rpm signing key {key}")
    );
    let missing = SigningKey::open(&secret, None, NOW).unwrap_err();
    assert!(matches!(missing, KeyError::Locked { .. }), "{missing:?}");
    let hint = "set FLEET_RPM_SIGNING_PASSPHRASE to the key's passphrase";
    assert_eq!(missing.hint().as_deref(), Some(hint));
}

fn subkeys() {
    let keys = Keys::new();
    let key = keys.make("", "rsa2048", "cert", "never");
    let only_certifies = SigningKey::open(&keys.secret("", &key), None, NOW).unwrap_err();
    assert!(
        matches!(only_certifies, KeyError::CannotSign { .. }),
        "{only_certifies:?}"
    );
    let said = only_certifies.to_string();
    assert!(
        said.ends_with("the primary key is not meant for signing"),
        "{said}"
    );
    keys.gpg(&[
        "--passphrase",
        "",
        "--quick-add-key",
        &key,
        "rsa2048",
        "sign",
        "never",
    ])
    .ok();
    let database = keys.import(&key);
    let package = keys.signed(open(&keys.secret("", &key)));
    keys.rpmkeys(&database, "--checksig", &package).ok();
    // Without the primary key's private part, which is kept offline.
    let package = keys.signed(open(&keys.export("", "--export-secret-subkeys", &key)));
    keys.rpmkeys(&database, "--checksig", &package).ok();
}

fn refused() {
    let keys = Keys::new();
    let expired = keys.make("", "ed25519", "sign", "1y");
    let error = SigningKey::open(&keys.secret("", &expired), None, NOW).unwrap_err();
    assert!(matches!(error, KeyError::Expired { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("the rpm signing key {expired} expired at 2024-12-31T00:00:00Z")
    );
    assert!(error.hint().unwrap().starts_with("gpg --quick-set-expire"));
    // It was valid then.
    SigningKey::open(&keys.secret("", &expired), None, EPOCH).unwrap();
    let public = keys.export("", "--export", &expired);
    let error = SigningKey::open(&public, None, NOW).unwrap_err();
    assert!(matches!(error, KeyError::Parse(_)), "{error:?}");
    let revoked = keys.make("", "rsa2048", "sign", "never");
    let folder = keys.scratch.join("gnupg/openpgp-revocs.d");
    let certificate = std::fs::read_to_string(folder.join(format!("{revoked}.rev"))).unwrap();
    let certificate = certificate.replace(":-----BEGIN", "-----BEGIN");
    let certificate = keys.scratch.write("revocation.asc", certificate);
    keys.gpg(&["--import"]).arg(certificate).ok();
    let error = SigningKey::open(&keys.secret("", &revoked), None, NOW).unwrap_err();
    assert!(matches!(error, KeyError::Revoked { .. }), "{error:?}");
}

fn same_bytes() {
    let keys = Keys::new();
    for algorithm in ["rsa2048", "ed25519"] {
        let key = keys.make("", algorithm, "sign", "never");
        let secret = keys.secret("", &key);
        let once = std::fs::read(keys.signed(open(&secret))).unwrap();
        let twice = std::fs::read(keys.signed(open(&secret))).unwrap();
        assert!(once == twice, "{algorithm}");
    }
}

fn added_later() {
    let keys = Keys::new();
    let key = keys.make("", "rsa2048", "sign", "never");
    let package = Build::sample()
        .file(&keys.scratch, &Rpm::unsigned())
        .unwrap();
    let before = std::fs::read(&package).unwrap();
    keys.scratch
        .tool("rpmsign", ["--addsign", "--define"])
        .arg(format!("_gpg_name {key}"))
        .arg("--define")
        .arg("__gpg /usr/bin/gpg")
        .arg(&package)
        .env("GNUPGHOME", keys.scratch.join("gnupg"))
        .ok();
    let after = std::fs::read(&package).unwrap();
    let header = 96 + 4096;
    assert!(before != after && before[header..] == after[header..]);
    let database = keys.import(&key);
    keys.rpmkeys(&database, "--checksig", &package).ok();
}

fn no_key() {
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"no key at all\n"),
        ("armor without a key", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n=twTO\n-----END PGP PRIVATE KEY BLOCK-----\n"),
    ] {
        let error = SigningKey::open(bytes, None, NOW).unwrap_err();
        assert!(matches!(error, KeyError::Parse(_)), "{name}: {error:?}");
    }
}
