//! The commands, and what they find.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::scene::{Disk, Scene};
use crate::harness::{fixtures, tools};
use crate::updates::elf;

/// The target that clients ask for.
pub const TARGET: &str = "orbit/linux/stable/orbit";

/// A command that writes.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    /// Makes what it finds.
    pub prepare: fn(&Scene),
    /// Its words; `%` is the scene's folder.
    pub command: &'static str,
    /// Its exit code when nothing goes wrong.
    pub code: u8,
    /// Repositories that clients look at, below the scene's folder.
    pub published: &'static [&'static str],
    /// Repositories that clients can use only after the command.
    pub mended: &'static [&'static str],
    /// Whether clients may fail between two renames.
    pub may_fail: bool,
    /// What is tried next after each kill in turn; the last ones of each kind clean up.
    pub next: &'static [&'static str],
    /// What must succeed once the next command is done.
    pub then: Option<&'static str>,
    /// Whether its work is more than one change, and what is complete stays when a call fails:
    /// a publication is written file by file, a signature that was attached stays, files beside
    /// an installer come after it.
    pub keeps: bool,
    /// Programs that make what it finds.
    pub needs: &'static [&'static str],
    /// In the short run every so many steps are tried.
    pub stride: usize,
}

const REPOSITORY: &[&str] = &["repo/repository"];

/// Any command may be the next one.
const NEXT: &[&str] = &[
    "updates timestamp --path %repo",
    "updates status --path %repo",
    "updates promote --path %repo --component orbit --from stable --to beta",
    "updates prune --path %repo --grace 0",
    "updates rotate timestamp --path %repo",
    "updates keys list --path %repo",
    "updates publish %elsewhere --path %repo",
    "updates pending show --path %repo",
    "updates keys threshold timestamp 1 --path %repo",
    "updates verify --path %repo",
];

fn plain(name: &'static str, prepare: fn(&Scene), command: &'static str) -> Case {
    Case {
        name,
        prepare,
        command,
        code: 0,
        published: REPOSITORY,
        mended: &[],
        may_fail: true,
        next: NEXT,
        then: None,
        keeps: false,
        needs: &[],
        stride: 1,
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = changes(repository, "", true);
    cases.extend(changes(consistent, "_consistent", false));
    cases.push(rehash("rehash", one_hash, true));
    cases.push(rehash("rehash_consistent", one_hash_consistent, false));
    cases.extend(keys());
    cases.extend(others());
    cases.extend(elsewhere());
    cases.extend(ceremony());
    cases.extend(packages());
    cases.extend(beside_packages());
    cases
}

fn changes(prepare: fn(&Scene), suffix: &'static str, may_fail: bool) -> Vec<Case> {
    let cases = [
        (
            "add",
            "updates add --path %repo --target %new --name orbit --platform linux --version 2.0 -t stable",
        ),
        (
            "add_manifest",
            "updates add --path %repo --manifest %release.toml",
        ),
        ("timestamp", "updates timestamp --path %repo"),
        (
            "promote",
            "updates promote --path %repo --component orbit --from edge --to stable",
        ),
        (
            "remove",
            "updates remove orbit/linux/edge/orbit --path %repo",
        ),
        ("prune", "updates prune --path %repo --grace 0"),
        ("rotate_root", "updates rotate root --path %repo"),
        ("rotate_targets", "updates rotate targets --path %repo"),
        ("rotate_snapshot", "updates rotate snapshot --path %repo"),
        ("rotate_timestamp", "updates rotate timestamp --path %repo"),
        (
            "compromised_root",
            "updates rotate --compromised root --path %repo",
        ),
        (
            "compromised_targets",
            "updates rotate --compromised targets --path %repo",
        ),
        (
            "compromised_snapshot",
            "updates rotate --compromised snapshot --path %repo",
        ),
        (
            "compromised_timestamp",
            "updates rotate --compromised timestamp --path %repo",
        ),
    ];
    let cases = cases.into_iter().map(|(name, command)| Case {
        // A new root beside what revoked keys signed is what a compromise asks for.
        may_fail: may_fail || name.starts_with("compromised"),
        ..plain(leaked(name, suffix), prepare, command)
    });
    cases.collect()
}

// Names of trials live as long as the program.
fn leaked(name: &str, suffix: &str) -> &'static str {
    Box::leak(format!("{name}{suffix}").into_boxed_str())
}

fn keys() -> Vec<Case> {
    vec![
        plain(
            "keys_add",
            repository,
            "updates keys add targets --new 1 --path %repo",
        ),
        plain(
            "keys_add_root",
            repository,
            "updates keys add root --new 2 --path %repo",
        ),
        plain(
            "keys_threshold",
            two_keys,
            "updates keys threshold targets 2 --path %repo",
        ),
        Case {
            code: 5,
            ..plain(
                "keys_threshold_held",
                two_keys_away,
                "updates keys threshold targets 2 --path %repo",
            )
        },
        plain(
            "keys_revoke",
            two_keys,
            "updates keys revoke targets --path %repo ID",
        ),
        plain(
            "keys_passphrase",
            repository,
            "updates keys passphrase targets --path %repo",
        ),
        Case {
            may_fail: false,
            ..plain(
                "consistent_snapshot",
                repository,
                "updates consistent-snapshot on --path %repo",
            )
        },
    ]
}

fn rehash(name: &'static str, prepare: fn(&Scene), may_fail: bool) -> Case {
    Case {
        may_fail,
        ..plain(name, prepare, "updates add --rehash --path %repo")
    }
}

fn others() -> Vec<Case> {
    const INIT_ELSEWHERE: &str = "updates init --path %fresh --keys %keys --state %state.json";
    const MAN: &str = "man %pages";
    const QUICKSTART: &str = "quickstart --dir %qs";
    vec![
        Case {
            published: &[],
            stride: 29,
            next: &["updates init --path %fresh"],
            then: Some("updates timestamp --path %fresh"),
            ..plain("init", nothing, "updates init --path %fresh")
        },
        Case {
            published: &[],
            stride: 29,
            next: &[INIT_ELSEWHERE],
            then: Some("updates timestamp --path %fresh --keys %keys --state %state.json"),
            ..plain("init_elsewhere", nothing, INIT_ELSEWHERE)
        },
        plain(
            "mirror",
            upstream,
            "updates mirror --path %repo --from %upstream --update-roots @%upstream/1.root.json --channel stable --component osqueryd --platform linux",
        ),
        Case {
            may_fail: false,
            ..plain(
                "status_html",
                repository,
                "updates status --path %repo --html %status.html",
            )
        },
        Case {
            published: &[],
            stride: 23,
            keeps: true,
            next: &[MAN],
            ..plain("man", nothing, MAN)
        },
        Case {
            published: &[],
            stride: 151,
            keeps: true,
            next: &[QUICKSTART],
            ..plain("quickstart", nothing, QUICKSTART)
        },
    ]
}

/// Publishing and pulling. Work on object storage is cut off at a server's door
/// (`publish/cuts.rs`): the hook does not see its calls.
fn elsewhere() -> Vec<Case> {
    const PUBLISH: &str = "updates publish %dest --path %repo --lock-time 1s";
    const REPAIR: &str = "updates publish %dest --path %repo --lock-time 1s --repair";
    const METADATA: &str = "updates pull %dest --path %second --metadata-only";
    let publish = |name, prepare, command| Case {
        published: &["repo/repository", "dest"],
        keeps: true,
        next: &[PUBLISH, "updates timestamp --path %repo"],
        ..plain(name, prepare, command)
    };
    vec![
        publish("publish", published, PUBLISH),
        publish(
            "publish_delete",
            dropped,
            "updates publish %dest --path %repo --lock-time 1s --delete --grace 1s",
        ),
        publish(
            "publish_status_page",
            published,
            "updates publish %dest --path %repo --lock-time 1s --status-page",
        ),
        Case {
            published: REPOSITORY,
            mended: &["dest"],
            next: &[REPAIR],
            ..publish("publish_repair", broken, REPAIR)
        },
        Case {
            published: &["second/repository", "dest"],
            next: &[
                "updates pull %dest --path %second",
                "updates status --path %second",
            ],
            ..plain("pull", pulled, "updates pull %dest --path %second")
        },
        // Without the targets' files it is no repository for clients.
        Case {
            published: &["dest"],
            next: &[METADATA, "updates status --path %second"],
            then: Some("updates timestamp --path %second"),
            ..plain("pull_metadata", pulled, METADATA)
        },
    ]
}

/// Changes that wait for keys which are elsewhere.
fn ceremony() -> Vec<Case> {
    const SIGN: &str = "updates sign %stick --path %vault --allow-key ID";
    const TRUST: &str =
        "updates sign %stick --path %vault --trust-root %anchor.json --allow-key ID";
    vec![
        Case {
            code: 5,
            ..plain("held", away, "updates rotate timestamp --path %repo")
        },
        plain("pending_drop", held, "updates pending drop --path %repo"),
        plain(
            "payload",
            held,
            "updates payload root --path %repo --out %other-stick",
        ),
        plain("sign", carried, SIGN),
        // Once it is trusted, the root is not named again.
        Case {
            next: &[TRUST],
            then: Some(SIGN),
            ..plain("sign_trust_root", new_vault, TRUST)
        },
        Case {
            keeps: true,
            ..plain("attach", signed, "updates attach %stick --path %repo")
        },
    ]
}

fn package(name: &'static str, prepare: fn(&Scene), command: &'static str) -> Case {
    Case {
        published: &[],
        next: &["package --type=deb ARGS"],
        stride: 5,
        ..plain(leaked("package_", name), prepare, command)
    }
}

fn packages() -> Vec<Case> {
    vec![
        package("deb", sample, "package --type=deb ARGS"),
        package("rpm", sample, "package --type=rpm ARGS"),
        package("pkg", sample, "package --type=pkg ARGS"),
        package("msi", sample, "package --type=msi ARGS"),
        package("pacman", sample, "package --type=pkg.tar.zst ARGS"),
        Case {
            needs: &["sh", "openssl"],
            ..package(
                "signed_msi",
                msi_key,
                "package --type=msi ARGS --msi-signing-cert=%code.pem --msi-signing-key=%code.key",
            )
        },
        Case {
            needs: &["sh", "gpg", "gpgconf"],
            ..package(
                "signed_rpm",
                rpm_key,
                "package --type=rpm ARGS --rpm-signing-key=%rpm.key",
            )
        },
    ]
}

/// Several files of one run. Those that were complete stay.
fn beside_packages() -> Vec<Case> {
    const TEAMS: &str =
        "package --manifest=%teams.toml --outdir=%out --jobs=1 --no-state --checksums --sbom";
    const CACHE: &str = "package --type=deb ARGS --cache=%cache";
    let beside = |name, prepare, command| Case {
        keeps: true,
        ..package(name, prepare, command)
    };
    vec![
        beside(
            "provenance",
            sample,
            "package --type=deb ARGS --checksums --sbom --statement",
        ),
        beside("intunewin", sample, "package --type=msi ARGS --intunewin"),
        beside(
            "mdm",
            sample,
            "package --type=pkg ARGS --use-system-configuration --mobileconfig=%out/fleet.mobileconfig --mdm-manifest=https://mdm.example.com/",
        ),
        Case {
            next: &[TEAMS],
            ..beside("teams", teams, TEAMS)
        },
        Case {
            next: &[CACHE],
            ..package("cache", sample, CACHE)
        },
    ]
}

fn nothing(_: &Scene) {}

fn copy(from: &Path, scene: &Scene, to: &str) {
    Disk::read(from, &Disk::default()).restore(&scene.path().join(to));
}

const RELEASE: &str = "version = '2.0'
tags = ['stable']
[[target]]
file = 'new'
name = 'orbit'
platform = 'linux'
[[target]]
file = 'old'
name = 'osqueryd'
platform = 'linux'
version = '5.1'
";

/// A repository in plain view of a client that remembers it.
fn repository(scene: &Scene) {
    from_go_tuf(scene);
    let here = scene.path();
    let add = "updates add --path %repo --name orbit --platform linux";
    scene
        .run(&format!("{add} --target %old --version 1.0 -t stable"))
        .unwrap();
    scene
        .run(&format!("{add} --target %new --version 1.9 -t edge"))
        .unwrap();
    // Nobody's: for prune.
    std::fs::create_dir_all(here.join("repo/repository/targets/no/body")).unwrap();
    std::fs::write(
        here.join("repo/repository/targets/no/body/here"),
        "nobody's",
    )
    .unwrap();
    scene
        .client("repo/repository", Some("client-0"), TARGET)
        .unwrap();
}

/// A repository that go-tuf made, with what commands add to it.
fn from_go_tuf(scene: &Scene) {
    copy(&fixtures().join("go-tuf/plaintext-keys"), scene, "repo");
    let here = scene.path();
    private(&here.join("repo/keys"));
    std::fs::copy(
        here.join("repo/repository/1.root.json"),
        here.join("anchor.json"),
    )
    .unwrap();
    std::fs::write(here.join("old"), [elf(62).as_slice(), b"old"].concat()).unwrap();
    std::fs::write(here.join("new"), [elf(62).as_slice(), b"new"].concat()).unwrap();
    std::fs::write(here.join("release.toml"), RELEASE).unwrap();
}

/// Targets whose sha256 nobody listed.
fn one_hash(scene: &Scene) {
    from_go_tuf(scene);
    // What fleetpack trusts is remembered.
    scene.run("updates timestamp --path %repo").unwrap();
    seen(scene);
}

fn one_hash_consistent(scene: &Scene) {
    one_hash(scene);
    scene
        .run("updates consistent-snapshot on --path %repo")
        .unwrap();
    seen(scene);
}

fn seen(scene: &Scene) {
    scene
        .client("repo/repository", Some("client-0"), TARGET)
        .unwrap();
}

// As fleetpack writes them.
fn private(keys: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for key in std::fs::read_dir(keys).unwrap() {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(key.unwrap().path(), mode).unwrap();
    }
}

fn consistent(scene: &Scene) {
    repository(scene);
    scene
        .run("updates consistent-snapshot on --path %repo")
        .unwrap();
    scene
        .client("repo/repository", Some("client-0"), TARGET)
        .unwrap();
}

fn two_keys(scene: &Scene) {
    repository(scene);
    scene
        .run("updates keys add targets --new 1 --path %repo")
        .unwrap();
    let root = std::fs::read(scene.path().join("repo/repository/root.json")).unwrap();
    let root: serde_json::Value = serde_json::from_slice(&root).unwrap();
    let id = root["signed"]["roles"]["targets"]["keyids"][0].as_str();
    std::fs::write(scene.path().join("ID"), id.unwrap()).unwrap();
    scene
        .client("repo/repository", Some("client-0"), TARGET)
        .unwrap();
}

fn upstream(scene: &Scene) {
    repository(scene);
    copy(
        &fixtures().join("go-tuf/fleetctl-style/repository"),
        scene,
        "upstream",
    );
}

fn published(scene: &Scene) {
    repository(scene);
    std::fs::create_dir(scene.path().join("dest")).unwrap();
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
    scene.run("updates add --path %repo --target %new --name orbit --platform linux --version 2.0 -t stable").unwrap();
}

/// Published targets that no metadata name any more.
fn dropped(scene: &Scene) {
    published(scene);
    scene
        .run("updates remove orbit/linux/edge/orbit --path %repo")
        .unwrap();
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
    // Longer than it is spared.
    std::thread::sleep(std::time::Duration::from_millis(1100));
}

/// What is published has metadata that nobody can read.
fn broken(scene: &Scene) {
    published(scene);
    std::fs::write(scene.path().join("dest/snapshot.json"), "{").unwrap();
}

fn pulled(scene: &Scene) {
    repository(scene);
    std::fs::create_dir(scene.path().join("dest")).unwrap();
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
    copy(&scene.path().join("repo"), scene, "second");
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
    scene
        .run("updates promote --path %repo --component orbit --from edge --to stable")
        .unwrap();
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
}

/// The root key is in `vault`.
fn away(scene: &Scene) {
    repository(scene);
    take_away(scene);
}

fn two_keys_away(scene: &Scene) {
    two_keys(scene);
    take_away(scene);
}

fn take_away(scene: &Scene) {
    let here = scene.path();
    std::fs::create_dir_all(here.join("vault/keys")).unwrap();
    for file in ["root.json", "pinned-root.json"] {
        let from = here.join("repo/keys").join(file);
        std::fs::copy(from, here.join("vault/keys").join(file)).unwrap();
    }
    std::fs::remove_file(here.join("repo/keys/root.json")).unwrap();
}

fn held(scene: &Scene) {
    away(scene);
    let failure = scene
        .run("updates rotate timestamp --path %repo")
        .unwrap_err();
    assert_eq!(failure.code, 5, "{failure:?}");
}

fn carried(scene: &Scene) {
    held(scene);
    scene
        .run("updates payload root --path %repo --out %stick")
        .unwrap();
    let refused = scene.run("updates sign %stick --path %vault").unwrap_err();
    let id = refused.text.rsplit(' ').next().unwrap();
    std::fs::write(scene.path().join("ID"), id).unwrap();
}

/// The keys' machine has not seen a root yet.
fn new_vault(scene: &Scene) {
    carried(scene);
    std::fs::remove_file(scene.path().join("vault/keys/pinned-root.json")).unwrap();
}

fn signed(scene: &Scene) {
    carried(scene);
    scene
        .run("updates sign %stick --path %vault --allow-key ID")
        .unwrap();
}

/// A repository with the sample agent for every platform.
fn sample(scene: &Scene) {
    // Made once: keys that nobody uses here take the longest.
    static MADE: OnceLock<Disk> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let scene = Scene::new(&Disk::default());
        scene.run("quickstart --dir %qs").unwrap();
        let folder = scene.path().join("qs");
        std::fs::remove_dir_all(folder.join("installers")).unwrap();
        Disk::read(&folder, &Disk::default())
    });
    made.restore(&scene.path().join("qs"));
    std::fs::create_dir(scene.path().join("out")).unwrap();
}

fn teams(scene: &Scene) {
    sample(scene);
    let write = |name: &str, text: &str| std::fs::write(scene.path().join(name), text).unwrap();
    write("secret", "0123456789abcdefghijklmnopqrstuv");
    write(
        "teams.toml",
        "[defaults]\ntype = 'deb'\nfleet-url = 'https://fleet.example.com'\n\
         update-url = 'qs/updates/repository'\n\
         update-roots = '@qs/updates/repository/1.root.json'\n\
         agent-update-url = 'https://updates.example.com'\nenroll-secret-file = 'secret'\n\
         [[installer]]\nteam = 'one'\n[[installer]]\nteam = 'two'\n",
    );
}

fn msi_key(scene: &Scene) {
    sample(scene);
    shell(
        scene,
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout code.key -out code.pem -subj /CN=Maker \
            -days 3650 -addext extendedKeyUsage=codeSigning -addext keyUsage=digitalSignature",
    );
}

fn rpm_key(scene: &Scene) {
    sample(scene);
    shell(
        scene,
        "mkdir -m 700 gnupg; export GNUPGHOME=$PWD/gnupg
        gpg --batch --passphrase '' --faked-system-time 20240101T000000 \
            --quick-gen-key maker@example.com rsa2048 sign never
        gpg --batch --export-secret-keys --armor >rpm.key
        gpgconf --kill gpg-agent
        rm -r gnupg",
    );
}

fn shell(scene: &Scene, lines: &str) {
    let mut shell = Command::new(tools::find("sh").unwrap());
    shell.args(["-ec", lines]).current_dir(scene.path());
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{lines}: {ran:?}");
}
